//! Alerts over one SNS topic.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use simfuse_domain::alert::Alert;
use simfuse_domain::port::{AlertError, Alerts};

/// Publishes alerts to one topic.
///
/// A message has a text for each protocol. SNS gives `default` to every protocol that has none of
/// its own, and it has no way to leave a protocol out; so an alert without an SMS carries its subject
/// as `default` (a phone that receives it gets one short line, a webhook the same), and the attribute
/// `sms` says `yes` or `no`. The template's SMS subscriptions filter on `{"sms": ["yes"]}`, so that
/// what can wait wakes nobody.
#[derive(Debug, Clone)]
pub struct SnsAlerts {
    client: Client,
    topic_arn: String,
}

impl SnsAlerts {
    /// Publishes to this topic.
    #[must_use]
    pub const fn new(client: Client, topic_arn: String) -> Self {
        Self { client, topic_arn }
    }

    async fn send(&self, alert: &Alert) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let request = self
            .client
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(&alert.subject)
            .message_structure("json")
            .message(message(alert)?)
            .set_message_attributes(Some(attributes(alert)?));
        request.send().await?;
        Ok(())
    }
}

impl Alerts for SnsAlerts {
    async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        let sent = Box::pin(self.send(alert)).await;
        sent.map_err(|source| AlertError { alert_id: alert.id.clone(), source })
    }
}

/// One text for each protocol, as JSON.
fn message(alert: &Alert) -> Result<String, serde_json::Error> {
    let short = alert.sms.as_deref().unwrap_or(&alert.subject);
    let mut texts = BTreeMap::from([("default", short), ("email", &alert.email)]);
    if let Some(sms) = &alert.sms {
        texts.insert("sms", sms);
    }
    serde_json::to_string(&texts)
}

/// What subscriptions can filter on. SNS refuses an empty value, so what is absent is left out.
fn attributes(
    alert: &Alert,
) -> Result<HashMap<String, MessageAttributeValue>, aws_sdk_sns::error::BuildError> {
    let sms = if alert.sms.is_some() { "yes" } else { "no" };
    let values = [
        ("severity", alert.severity.as_str().to_owned()),
        ("fleet", alert.fleet.map_or(String::new(), |fleet| fleet.to_string())),
        ("detector", alert.detector.map_or(String::new(), |detector| detector.to_string())),
        ("action", alert.action.clone()),
        ("alert_id", alert.id.clone()),
        ("sms", sms.to_owned()),
    ];
    let present = values.into_iter().filter(|(_, value)| !value.is_empty());
    let attribute = |(name, value): (&str, String)| {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
        attribute.build().map(|attribute| (name.to_owned(), attribute))
    };
    present.map(attribute).collect()
}
