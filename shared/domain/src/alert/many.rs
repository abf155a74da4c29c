//! One alert for many SIMs at once.

use super::{Alert, SMS_CHARS_MAX, SUBJECT_BYTES_MAX, Severity, StackName, one_line, plain, typed};

impl Alert {
    /// Tells that a human acts on many SIMs by one request; nobody is told of each.
    #[must_use]
    pub fn of_many(
        id: String,
        happened: &str,
        action: &str,
        (by, why): (&str, &str),
        stack: Option<&StackName>,
    ) -> Self {
        let (by, why) = (one_line(by), one_line(why));
        let commands = [
            "simfuse audit --since 1h",
            "simfuse restore SIM --reason \"...\"",
            "simfuse kill SIM --reason \"...\"",
        ];
        let [audit, restore, kill] = commands.map(|command| typed(command, stack));
        let email = format!(
            "{happened}, by one request.\nBy         {by}: {why}\n\nWhat to do: nothing, if you \
             know of it. Otherwise:\nTo see which, and what became of each: {audit}\nTo switch one on again:  \
             {restore}\nTo switch one off again: {kill}\nEach SIM has its own entries in the \
             audit log, and its own page should it not obey.\n"
        );
        Self {
            escalated: false,
            stack: None,
            tells: Vec::new(),
            id,
            severity: Severity::Critical,
            subject: plain(&format!("SimFuse: {happened}"), SUBJECT_BYTES_MAX),
            email,
            sms: Some(plain(&format!("SimFuse: {happened}. By {by}: {why}"), SMS_CHARS_MAX)),
            fleet: None,
            detector: None,
            action: action.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_does_not_hide_what_happens() {
        let why = "a reason that is far too long ".repeat(20);
        let alert = Alert::of_many(
            "1".into(),
            "12 SIMs are being restored",
            "restored",
            ("me", &why),
            None,
        );
        let sms = alert.sms.unwrap();
        assert!(sms.starts_with("SimFuse: 12 SIMs are being restored. By me: a reason"), "{sms}");
        assert!(sms.len() <= SMS_CHARS_MAX && sms.ends_with(".."), "{sms}");
        assert!(alert.email.contains(why.trim_end()), "{}", alert.email);
    }
}
