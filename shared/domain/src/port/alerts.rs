//! Telling a human.

use std::error::Error;
use std::future::Future;

use crate::alert::Alert;

/// E-mail and SMS.
pub trait Alerts: Send + Sync {
    /// Publishes one alert to everyone who subscribed.
    ///
    /// # Errors
    /// When it is not known to be published; it has to be tried again.
    fn publish(&self, alert: &Alert) -> impl Future<Output = Result<(), AlertError>> + Send;
}

/// An alert was not published.
#[derive(Debug, thiserror::Error)]
#[error("alert {alert_id} was not published")]
pub struct AlertError {
    /// Which one.
    pub alert_id: String,
    /// Whether it is refused as it is, now and later: it is too long, or holds what is not allowed.
    pub is_refused: bool,
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}
