//! Twilio's and KORE's Super SIM: event envelopes, webhook signatures, REST client.
//!
//! The only crate that knows that there are two providers. Facts about them come from their public
//! documentation and OpenAPI descriptions; where these are silent, the code assumes nothing.

pub mod client;
pub mod envelope;
pub mod provider;
pub mod secret;
pub mod signature;

pub use provider::Provider;
