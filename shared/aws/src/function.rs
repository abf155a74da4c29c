//! What every deployed function sets up before anything else.

use tracing_subscriber::EnvFilter;

/// TLS was set up before.
#[derive(Debug, thiserror::Error)]
#[error("TLS is set up twice")]
pub struct TlsSetUpTwice;

/// Logs as JSON lines, which CloudWatch can search by field; `RUST_LOG` chooses how much.
pub fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_current_span(false).init();
}

/// Chooses how TLS computes, once for the process.
///
/// # Errors
/// When it was chosen before.
pub fn install_tls() -> Result<(), TlsSetUpTwice> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_before| TlsSetUpTwice)
}
