//! What a signature covers: whatever URL, secret and body there are, what was signed verifies, and
//! what came from outside does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;
use simfuse_supersim::Provider;
use simfuse_supersim::signature::{
    SignatureError, SignedRequest, Verifier, sign_kore, sign_twilio,
};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (url, secret, signature) = (text(), text(), text());
    let body = parts.next().unwrap_or_default();
    let key = SecretString::from(secret.clone());
    for provider in [Provider::Twilio, Provider::Kore] {
        let verifier = Verifier::new(provider, vec![key.clone()]);
        let asked = |url: &str, signature: &str| {
            let signature = Some(signature);
            verifier.verify(&SignedRequest { method: "POST", url, signature, body })
        };
        let forged = asked(&url, &signature);
        let (signed_url, right) = match provider {
            Provider::Twilio => sign_twilio(&key, &url, body),
            Provider::Kore => (url.clone(), sign_kore(&key, "POST", &url, body)),
        };
        assert!(forged.is_err() || !secret.is_empty(), "no secret, no trust");
        // No request carries a fragment.
        if !secret.is_empty() && !url.contains('#') {
            let verified = asked(&signed_url, &right);
            // A hash that stood in the URL before is that of another body.
            let is_fine = matches!(verified, Ok(()) | Err(SignatureError::BodyHashWrong));
            assert!(is_fine, "{provider:?} {signed_url:?}: {verified:?}");
        }
    }
});
