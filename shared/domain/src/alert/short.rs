//! An alert as any topic takes it.

use super::{Alert, SMS_CHARS_MAX, SUBJECT_BYTES_MAX, plain};

/// Bytes of the body: less than half of what SNS takes, so that JSON may double each.
const EMAIL_BYTES_MAX: usize = 100_000;

impl Alert {
    /// The alert without whatever a topic may refuse of it: nothing but printable ASCII, and cut. It
    /// says so, and is for an alert that was refused as it is.
    #[must_use]
    pub fn in_short(&self) -> Self {
        let plainly = |char: char| match char {
            '\n' | ' '..='~' => char,
            _ => '?',
        };
        let head = "This alert was refused as it was: it is cut here. See simfuse status.\n\n";
        let body = self.email.chars().map(plainly).take(EMAIL_BYTES_MAX);
        Self {
            subject: plain(&self.subject, SUBJECT_BYTES_MAX),
            email: head.chars().chain(body).collect(),
            sms: self.sms.as_deref().map(|sms| plain(sms, SMS_CHARS_MAX)),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Hour;

    #[test]
    fn what_was_refused_is_cut_to_what_any_topic_takes() {
        let hour = Hour::of("2026-03-01T14:20:00Z".parse().unwrap());
        let subject = "a\nb\u{7}\u{e9}".repeat(50);
        let email = format!("pump-1\n{}", "\"\u{1f6b0}\u{0}".repeat(200_000));
        let sms = Some("\u{1f6b0}".repeat(900));
        let alert = Alert { subject, email, sms, ..Alert::of_no_more_texts(hour, None) };
        let short = alert.in_short();
        assert!(short.subject.len() < 100 && !short.subject.contains('\n'), "{}", short.subject);
        assert!(short.sms.unwrap().len() <= 160);
        assert!(short.email.contains("pump-1\n\"??\"??"), "{}", &short.email[..200]);
        assert!(short.email.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
        assert!(serde_json::to_string(&short.email).unwrap().len() < 250_000);
        assert_eq!(short.id, alert.id);
    }
}
