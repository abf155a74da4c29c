//! The webhook's Lambda function.
fn main() {}
