//! The AWS adapters of the domain's ports: the table in DynamoDB, alerts over SNS, secrets from
//! Secrets Manager, and the clock.
//!
//! [`client`] makes the SDK's configuration, for AWS and for services on loopback.

pub mod client;
pub mod function;

mod alerts;
mod clock;
#[cfg(test)]
mod loopback;
mod secrets;
mod table;

pub use alerts::SnsAlerts;
pub use aws_config::SdkConfig;
pub use clock::SystemClock;
pub use secrets::{SecretsError, SecretsManager};
pub use table::{HOUR_DAYS, SHARDS, ScanPage, Table, create_table};
