//! Which of several stacks speaks: an operator with two of them must not type a command at the
//! wrong one at 3 a.m.

use std::fmt;
use std::str::FromStr;

use super::{Alert, SMS_CHARS_MAX, SUBJECT_BYTES_MAX};
use crate::id::IdError;

/// The longest name of a CloudFormation stack.
const NAME_CHARS_MAX: usize = 128;

/// How every text begins that does not say whose it is.
const SENDER: &str = "SimFuse";

/// The name of a deployed stack, as `simfuse --stack` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackName(String);

impl FromStr for StackName {
    type Err = IdError;

    /// Letters, digits and hyphens, a letter first: what CloudFormation allows, and what a shell and
    /// GSM-7 take as it is.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_name = text.starts_with(|char: char| char.is_ascii_alphabetic())
            && text.len() <= NAME_CHARS_MAX
            && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::new("the name of a stack: letters, digits and hyphens, a letter first"))
        }
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Alert {
    /// The alert with the stack that it is of: as an attribute, in the e-mail's last line, and in
    /// the subject where there is room for all of it.
    #[must_use]
    pub fn of_stack(mut self, stack: &StackName) -> Self {
        let rest = self.subject.strip_prefix(SENDER);
        let subject = rest.map(|rest| format!("{SENDER} {stack}{rest}"));
        if let Some(subject) = subject.filter(|subject| subject.len() <= SUBJECT_BYTES_MAX) {
            self.subject = subject;
        }
        let sms = self.sms.as_deref().and_then(|sms| sms.strip_prefix("SimFuse: "));
        let sms = sms.map(|rest| format!("{SENDER} {stack}: {rest}"));
        if let Some(sms) = sms.filter(|sms| sms.len() <= SMS_CHARS_MAX) {
            self.sms = Some(sms);
        }
        self.email = format!("{}\nStack:      {stack}\n", self.email.trim_end_matches('\n'));
        self.stack = Some(stack.to_string());
        self
    }
}

/// A text that ends with a command, as it is typed for this stack; any other as it is.
pub(crate) fn typed(text: &str, stack: Option<&StackName>) -> String {
    match stack.filter(|_| text.contains("simfuse ")) {
        Some(stack) => format!("{text} --stack {stack}"),
        None => text.to_owned(),
    }
}

/// How an SMS begins and ends: with as much of the stack as fits beside what happened and what to
/// do. The command is whole before the sender is: it is what is typed.
pub(crate) fn in_sms(happened: &str, to_do: &str, stack: Option<&StackName>) -> (String, String) {
    let anyone = format!("{SENDER}: {happened}");
    let ours = stack.map_or_else(|| anyone.clone(), |name| format!("{SENDER} {name}: {happened}"));
    let whole = typed(to_do, stack);
    let ways = [(&ours, whole.as_str()), (&anyone, &whole), (&ours, to_do)];
    let fits = |(head, to_do): &(&String, &str)| {
        head.len().saturating_add(". ".len()).saturating_add(to_do.len()) <= SMS_CHARS_MAX
    };
    let (head, to_do) = ways.into_iter().find(fits).unwrap_or((&anyone, to_do));
    (head.clone(), to_do.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(name: &str) -> StackName {
        name.parse().unwrap()
    }

    #[test]
    fn a_name_is_what_cloudformation_allows() {
        assert_eq!(stack("simfuse-prod2").to_string(), "simfuse-prod2");
        for wrong in ["", "2prod", "-prod", "prod;rm", "pro d", "pr\u{f6}d", &"x".repeat(129)] {
            wrong.parse::<StackName>().unwrap_err();
        }
    }

    #[test]
    fn the_stack_stands_in_each_text_where_there_is_room() {
        let many =
            Alert::of_many("1".into(), "12 SIMs are being restored", "restored", ("me", "x"), None);
        let alert = many.clone().of_stack(&stack("prod"));
        assert_eq!(alert.subject, "SimFuse prod: 12 SIMs are being restored");
        assert!(alert.email.ends_with("\nStack:      prod\n"), "{}", alert.email);
        assert_eq!(alert.stack.as_deref(), Some("prod"));
        assert_eq!(
            alert.sms.as_deref(),
            Some("SimFuse prod: 12 SIMs are being restored. By me: x")
        );
        let alert = many.of_stack(&stack(&"p".repeat(128)));
        assert_eq!(alert.subject, "SimFuse: 12 SIMs are being restored", "no room");
        assert!(alert.sms.unwrap().starts_with("SimFuse: 12 SIMs"), "no room");
        assert!(alert.email.contains("ppp"));
    }

    #[test]
    fn of_an_sms_the_command_is_whole_first() {
        let fits = in_sms("pump-1 deactivated", "simfuse restore pump-1", Some(&stack("prod")));
        assert_eq!(fits.0, "SimFuse prod: pump-1 deactivated");
        assert_eq!(fits.1, "simfuse restore pump-1 --stack prod");
        let happened = "x".repeat(104);
        let tight = in_sms(&happened, "simfuse restore pump-1", Some(&stack("productio")));
        assert_eq!(tight.0, format!("SimFuse: {happened}"));
        assert_eq!(tight.1, "simfuse restore pump-1 --stack productio");
        let none = in_sms(&happened, "simfuse restore pump-1", Some(&stack(&"p".repeat(99))));
        assert_eq!(none, (format!("SimFuse: {happened}"), "simfuse restore pump-1".to_owned()));
    }
}
