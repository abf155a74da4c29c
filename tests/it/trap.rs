//! A listener that must not be called, and an environment that points everything at it.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections that were made to it.
pub(crate) struct Trap {
    address: String,
    calls: Arc<AtomicUsize>,
}

impl Trap {
    pub(crate) fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for _caller in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, calls }
    }

    /// Everything that a deployed SimFuse, an SDK or an HTTP client would listen to.
    pub(crate) fn surround(&self, command: &mut Command) {
        let url = format!("http://{}", self.address);
        for name in [
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_DYNAMODB",
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
            "AWS_ENDPOINT_URL_SNS",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "TWILIO_API_URL",
        ] {
            command.env(name, &url);
        }
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "AKIA-made-up"),
            ("AWS_SECRET_ACCESS_KEY", "made-up"),
            ("AWS_SESSION_TOKEN", "made-up"),
            ("AWS_PROFILE", "production"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_LAMBDA_FUNCTION_NAME", "production"),
            ("TABLE_NAME", "production"),
            ("WEBHOOK_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:000000000000:secret:w"),
            ("API_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:000000000000:secret:a"),
            ("ALERT_TOPIC_ARN", "arn:aws:sns:eu-central-1:000000000000:production"),
            ("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001"),
            ("TWILIO_AUTH_TOKEN", "made-up"),
        ] {
            command.env(name, value);
        }
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}
