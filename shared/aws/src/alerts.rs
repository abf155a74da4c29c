//! Alerts over SNS.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_sdk_sns::types::MessageAttributeValue;
use simfuse_domain::alert::{Alert, StackName};
use simfuse_domain::port::{AlertError, Alerts};

/// Publishes alerts to one topic, and those that nobody answers to a second one as well.
///
/// A message has a text for each protocol. SNS gives `default` to every protocol that has none of
/// its own, and it has no way to leave a protocol out; so an alert without an SMS carries its
/// subject as `default` (a phone that receives it gets one short line, a webhook the same), and the
/// attribute `sms` says `yes` or `no`. The template's SMS subscriptions filter on
/// `{"sms": ["yes"]}`, so that what can wait wakes nobody.
#[derive(Debug, Clone)]
pub struct SnsAlerts {
    client: Client,
    topic_arn: String,
    escalation_topic_arn: Option<String>,
    stack: Option<StackName>,
}

impl SnsAlerts {
    /// Publishes to this topic.
    #[must_use]
    pub const fn new(client: Client, topic_arn: String) -> Self {
        Self { client, topic_arn, escalation_topic_arn: None, stack: None }
    }

    /// Publishes to this topic, too, what nobody answers.
    #[must_use]
    pub fn escalating_to(self, topic_arn: Option<String>) -> Self {
        Self { escalation_topic_arn: topic_arn, ..self }
    }

    /// Says with each alert that it is of this stack.
    #[must_use]
    pub fn of_stack(self, stack: Option<StackName>) -> Self {
        Self { stack, ..self }
    }

    async fn send(&self, alert: &Alert) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.send_to(&self.topic_arn, alert).await?;
        // The page is out, and comes again: a second topic that fails must not make it come at once.
        if let Some(second) = self.escalation_topic_arn.as_ref().filter(|_| alert.escalated)
            && let Err(error) = self.send_to(second, alert).await
        {
            tracing::error!(error.message = %error, alert.id, "not told to the second topic");
        }
        Ok(())
    }

    async fn send_to(
        &self,
        topic_arn: &str,
        alert: &Alert,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let request = self
            .client
            .publish()
            .topic_arn(topic_arn)
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
        let named = self.stack.as_ref().map(|stack| alert.clone().of_stack(stack));
        let sent = Box::pin(self.send(named.as_ref().unwrap_or(alert))).await;
        sent.map_err(|source| {
            let is_refused = is_refused(&*source);
            AlertError { alert_id: alert.id.clone(), is_refused, source }
        })
    }
}

/// Codes of answers that refuse a message as it is (SNS API reference, Publish). A topic that is gone,
/// or forbidden, may be there again for the same message.
const REFUSED_CODES: [&str; 4] =
    ["InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "ValidationException"];

/// Whether the same message would be refused again: it cannot even be made, or SNS does not take it.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    match error.downcast_ref::<SdkError<PublishError>>() {
        Some(SdkError::ServiceError(answer)) => {
            answer.err().code().is_some_and(|code| REFUSED_CODES.contains(&code))
        }
        Some(error) => matches!(error, SdkError::ConstructionFailure(_)),
        None => true,
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
        ("stack", alert.stack.clone().unwrap_or_default()),
        ("sms", sms.to_owned()),
    ];
    let present = values.into_iter().filter(|(_, value)| !value.is_empty());
    let attribute = |(name, value): (&str, String)| {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
        attribute.build().map(|attribute| (name.to_owned(), attribute))
    };
    present.map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use axum::extract::{Form, FromRequest, Request};
    use simfuse_domain::alert::Severity;
    use simfuse_domain::finding::DetectorId;

    use super::*;
    use crate::loopback::Loopback;

    const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:alerts";

    const PUBLISHED: &str = "<PublishResponse><PublishResult><MessageId>1</MessageId>\
                             </PublishResult></PublishResponse>";

    const REFUSED: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameter</Code>\
                           <Message>no</Message></Error></ErrorResponse>";

    fn alert() -> Alert {
        Alert {
            id: "incident-1".to_owned(),
            severity: Severity::Critical,
            subject: "SimFuse: pump-17 deactivated".to_owned(),
            email: "pump-17 deactivated\n\nWhy …".to_owned(),
            sms: Some("SimFuse: pump-17 deactivated. used 21 MB".to_owned()),
            fleet: Some("HF0123456789abcdef0123456789abcdef".parse().unwrap()),
            detector: Some(DetectorId::HourLimit),
            action: "deactivated".to_owned(),
            escalated: false,
            stack: None,
            tells: Vec::new(),
        }
    }

    /// Publishes it and returns the form that SNS was sent.
    async fn published(alert: &Alert) -> BTreeMap<String, String> {
        let service = Loopback::answering([(200, PUBLISHED)]).await;
        let alerts = SnsAlerts::new(Client::new(&service.config()), TOPIC.to_owned());
        alerts.publish(alert).await.unwrap();
        let [body] = service.bodies().try_into().unwrap();
        form_of(body).await
    }

    async fn form_of(body: String) -> BTreeMap<String, String> {
        let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        let form = form.body(body.into()).unwrap();
        Form::<BTreeMap<String, String>>::from_request(form, &()).await.unwrap().0
    }

    /// The message attributes of a form, all of which are texts.
    fn attributes_in(form: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
        let attribute = |place: usize| {
            let part = |part: &str| form.get(&format!("MessageAttributes.entry.{place}.{part}"));
            assert!(part("Name").is_none() || part("Value.DataType").unwrap() == "String");
            Some((part("Name")?.as_str(), part("Value.StringValue")?.as_str()))
        };
        (1..=10).filter_map(attribute).collect()
    }

    #[tokio::test]
    async fn an_alert_has_a_text_for_each_protocol() {
        let form = published(&alert()).await;
        let field = |name: &str| form[name].as_str();
        assert_eq!((field("Action"), field("TopicArn")), ("Publish", TOPIC));
        assert_eq!(field("Subject"), "SimFuse: pump-17 deactivated");
        assert_eq!(field("MessageStructure"), "json");
        let texts: BTreeMap<String, String> = serde_json::from_str(field("Message")).unwrap();
        let sms = alert().sms.unwrap();
        assert_eq!(texts["email"], alert().email);
        assert_eq!((&texts["sms"], &texts["default"]), (&sms, &sms));
        let attributes = attributes_in(&form);
        let expected = [
            ("action", "deactivated"),
            ("alert_id", "incident-1"),
            ("detector", "hour_limit"),
            ("fleet", "HF0123456789abcdef0123456789abcdef"),
            ("severity", "critical"),
            ("sms", "yes"),
        ];
        assert_eq!(attributes, BTreeMap::from(expected));
    }

    #[tokio::test]
    async fn an_alert_of_a_named_stack_says_so() {
        let service = Loopback::answering([(200, PUBLISHED)]).await;
        let alerts = SnsAlerts::new(Client::new(&service.config()), TOPIC.to_owned());
        let alerts = alerts.of_stack(Some("prod".parse().unwrap()));
        alerts.publish(&alert()).await.unwrap();
        let [body] = service.bodies().try_into().unwrap();
        let form = form_of(body).await;
        assert_eq!(form["Subject"], "SimFuse prod: pump-17 deactivated");
        assert_eq!(attributes_in(&form)["stack"], "prod");
        assert!(form["Message"].contains("Stack:      prod"), "{}", form["Message"]);
    }

    #[tokio::test]
    async fn what_an_alert_lacks_is_left_out() {
        let alert = Alert { sms: None, fleet: None, detector: None, ..alert() };
        let form = published(&alert).await;
        let texts: BTreeMap<String, String> = serde_json::from_str(&form["Message"]).unwrap();
        assert_eq!(texts.keys().collect::<Vec<_>>(), ["default", "email"]);
        assert_eq!(texts["default"], alert.subject);
        let attributes = attributes_in(&form);
        assert_eq!(attributes["sms"], "no");
        assert!(!attributes.contains_key("fleet") && !attributes.contains_key("detector"));
    }

    #[tokio::test]
    async fn what_nobody_answers_goes_to_the_second_topic_as_well() {
        const SECOND: &str = "arn:aws:sns:us-east-1:123456789012:second";
        for (escalated, topics) in [(false, vec![TOPIC]), (true, vec![TOPIC, SECOND])] {
            let answers = [(200, PUBLISHED), (200, PUBLISHED)];
            let service = Loopback::answering(answers).await;
            let alerts = SnsAlerts::new(Client::new(&service.config()), TOPIC.to_owned());
            let alerts = alerts.escalating_to(Some(SECOND.to_owned()));
            alerts.publish(&Alert { escalated, ..alert() }).await.unwrap();
            let mut published = Vec::new();
            for body in service.bodies() {
                published.push(form_of(body).await["TopicArn"].clone());
            }
            assert_eq!(published, topics);
        }
    }

    #[tokio::test]
    async fn an_alert_that_is_refused_is_not_published_and_is_told_from_a_topic_that_fails() {
        let gone = REFUSED.replace("InvalidParameter", "NotFound");
        let forbidden = REFUSED.replace("InvalidParameter", "AuthorizationError");
        for (status, body, is_refused) in
            [(400, REFUSED, true), (404, gone.as_str(), false), (403, forbidden.as_str(), false)]
        {
            let service = Loopback::answering([(status, body)]).await;
            let alerts = SnsAlerts::new(Client::new(&service.config()), TOPIC.to_owned());
            let error = alerts.publish(&alert()).await.unwrap_err();
            assert_eq!((error.alert_id.as_str(), error.is_refused), ("incident-1", is_refused));
            assert_eq!(service.bodies().len(), 1);
        }
    }

    #[tokio::test]
    async fn an_alert_that_fails_for_the_moment_is_tried_again() {
        let service = Loopback::answering([(503, ""), (200, PUBLISHED)]).await;
        let alerts = SnsAlerts::new(Client::new(&service.config()), TOPIC.to_owned());
        alerts.publish(&alert()).await.unwrap();
        assert_eq!(service.bodies().len(), 2);
    }
}
