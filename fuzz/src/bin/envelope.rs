//! The envelope of events: each element is an event, or is not, and none is told of twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simfuse_supersim::envelope::decode;

fuzz_target!(|body: &[u8]| {
    let mut elements = 0_usize;
    decode(body, |_| elements += 1);
    // An element has two bytes at least, and a comma.
    assert!(elements <= body.len() / 2 + 1, "{elements} elements in {} bytes", body.len());
});
