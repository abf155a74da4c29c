//! The SDK's configuration: from the environment for AWS, from nothing for services on loopback.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider as Environment;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

/// A connection within a region takes milliseconds; one that takes longer is better made anew.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection across the world over a bad line takes seconds.
const OPERATOR_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One attempt: several times the 99.9th percentile of a small call within a region.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// All attempts of one call together: well within the webhook's answer time and the five seconds
/// that the stream's consumer spends on one record.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(3);

/// Attempts of one call, the first included.
pub const ATTEMPTS_MAX: u32 = 3;

/// The longest pause before the second attempt. The SDK's own second would use up the whole call.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(50);

/// The configuration of a deployed function, from its environment alone: Lambda gives it region and
/// credentials there. The SDK's search elsewhere (profiles, metadata services, other roles) is left
/// out: it makes every function a tenth larger and finds nothing there. `AWS_ENDPOINT_URL` and
/// `AWS_ENDPOINT_URL_DYNAMODB` and so on are heeded.
#[must_use]
pub fn function_config() -> SdkConfig {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Environment::new()))
        .service_config(ServiceEndpoints)
        .http_client(https_client())
        .timeout_config(timeouts())
        .retry_config(retries());
    let (region, endpoint) = (variable("AWS_REGION"), variable("AWS_ENDPOINT_URL"));
    let mut config = config.region(region.map(Region::new));
    config.set_endpoint_url(endpoint);
    config.build()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `AWS_ENDPOINT_URL_DYNAMODB` and so on: where one service is, other than all others.
#[derive(Debug)]
struct ServiceEndpoints;

impl LoadServiceConfig for ServiceEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_ascii_uppercase().replace(' ', "_");
        variable(&format!("{}_{service}", key.env()))
    }
}

fn https_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// The configuration for an operator's own machine, which may be far from the region: from wherever
/// the SDK finds it (profiles, `AWS_REGION`, …), and a call may take this long.
pub async fn operator_config(call_within: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(OPERATOR_CONNECT_TIMEOUT)
        .operation_timeout(call_within)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(https_client())
        .timeout_config(timeouts)
        .retry_config(retries())
        .load()
        .await
}

/// The configuration for services on loopback at this endpoint (`http://127.0.0.1:8000`).
///
/// It looks at no variable, profile or metadata service, so nothing local reaches an account by
/// accident: the credentials are dummies, and it trusts no certificate.
#[must_use]
pub fn local_config(endpoint: &str) -> SdkConfig {
    let dummy = Credentials::new("local", "local", None, None, "simfuse-local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(dummy))
        .endpoint_url(endpoint)
        .http_client(loopback_client())
        .timeout_config(timeouts())
        .retry_config(retries())
        .build()
}

/// Without root certificates it starts at once, also on a machine that has none.
fn loopback_client() -> SharedHttpClient {
    let nobody = TlsContext::builder().with_trust_store(TrustStore::empty()).build();
    let builder =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    match nobody {
        Ok(nobody) => builder.tls_context(nobody).build_https(),
        Err(_) => builder.build_https(),
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX).with_initial_backoff(FIRST_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the child process of the test below.
    const CHILD: &str = "SIMFUSE_TEST_HOSTILE_ENVIRONMENT";

    /// A port on which nothing listens.
    const NOWHERE: &str = "http://127.0.0.1:9";

    /// A process cannot safely change its own environment, so the test runs itself in another one.
    #[test]
    fn local_configuration_ignores_the_environment() {
        if std::env::var_os(CHILD).is_some() {
            return;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "client::tests::reaches_loopback_only"])
            .env(CHILD, "1")
            .env("AWS_ENDPOINT_URL", NOWHERE)
            .env("AWS_ENDPOINT_URL_DYNAMODB", NOWHERE)
            .env("AWS_PROFILE", "production")
            .env("AWS_CONFIG_FILE", "/nonexistent/config")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAREAL")
            .env("AWS_SECRET_ACCESS_KEY", "real")
            .env("AWS_SESSION_TOKEN", "real")
            .env("AWS_MAX_ATTEMPTS", "0")
            .env("AWS_USE_FIPS_ENDPOINT", "true")
            .env("HTTP_PROXY", NOWHERE)
            .env("HTTPS_PROXY", NOWHERE)
            .env("http_proxy", NOWHERE)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[tokio::test]
    async fn reaches_loopback_only() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (headers, mut received) = tokio::sync::mpsc::channel(1);
        let answer = async move |request: axum::http::HeaderMap| {
            headers.send(request).await.unwrap();
            r#"{"TableNames": ["here"]}"#
        };
        let app = axum::Router::new().fallback(axum::routing::post(answer));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let client = aws_sdk_dynamodb::Client::new(&local_config(&endpoint));
        let tables = client.list_tables().send().await.unwrap();
        assert_eq!(tables.table_names(), ["here"]);
        let headers = received.recv().await.unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.contains("Credential=local/"), "{authorization}");
        assert!(authorization.contains("/us-east-1/"), "{authorization}");
        server.abort();
    }
}
