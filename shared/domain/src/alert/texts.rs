//! How many SMS go out: whoever makes alarms ring over forty fleets must not empty a purse, fill a
//! phone, or bring the carrier to throttle the one that counts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Alert, HELD_PAGE, Severity, StackName, sms_of, typed};
use crate::time::Hour;

/// Alerts of the account that go out by SMS in one hour of the clock, beside the one that says that
/// there will be no more. The others are mails only.
pub const SMS_HOUR_MAX: usize = 30;

/// Of these, those that are kept for alerts that come first.
pub const SMS_KEPT: usize = 10;

/// What went out by SMS in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HourTexts {
    /// Ids of the alerts: one that is published again is no other.
    pub ids: BTreeSet<String>,
    /// Whether it was said that there will be no more.
    pub is_said: bool,
}

/// Whether an alert goes out by SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextRoom {
    /// It does.
    Taken,
    /// It does once this is written.
    Take(HourTexts),
    /// It does not, and it has to be said that there will be no more, once this is written.
    Say(HourTexts),
    /// It does not.
    None,
}

impl HourTexts {
    /// Whether an alert goes out by SMS.
    #[must_use]
    pub fn room_for(&self, alert: &Alert) -> TextRoom {
        if self.ids.contains(&alert.id) {
            return TextRoom::Taken;
        }
        // The page about all kills that wait for an answer comes four times an hour at most, each time
        // it is one alert: nothing else takes its room.
        if alert.id.starts_with(HELD_PAGE) {
            return TextRoom::Taken;
        }
        let kept = if alert.comes_first() { 0 } else { SMS_KEPT };
        if self.ids.len() < SMS_HOUR_MAX.saturating_sub(kept) {
            let mut with = self.clone();
            with.ids.insert(alert.id.clone());
            return TextRoom::Take(with);
        }
        if self.is_said {
            return TextRoom::None;
        }
        TextRoom::Say(Self { is_said: true, ..self.clone() })
    }
}

impl Alert {
    /// Whether it has room where others have none: a SIM that stays on although it should be off.
    fn comes_first(&self) -> bool {
        matches!(self.action.as_str(), "leaking" | "unreachable")
    }

    /// Says that the SMS of an hour are used up.
    #[must_use]
    pub fn of_no_more_texts(hour: Hour, stack: Option<&StackName>) -> Self {
        let until = hour.after().start().strftime("%H:%MZ");
        let happened = format!("so many alerts that no more SMS come until {until}");
        let status = typed("simfuse status", stack);
        let email = format!(
            "{happened}\n\nHour       {hour}\nMeans      {SMS_HOUR_MAX} alerts at most go out by SMS \
             in an hour, {SMS_KEPT} of them are kept for SIMs that stay on although they should be \
             off, and the page about held kills comes beside them. All others come as mails only\n\nWhat to do: read the mails. Many at once are a \
             theft of many, or a wrong rule\nTo see how things are: {status}\n"
        );
        Self {
            id: format!("texts-{hour}"),
            severity: Severity::Critical,
            subject: super::subject_of(&format!("SimFuse: {happened}")),
            email,
            sms: Some(sms_of(&happened, "Read the mails: simfuse status", "", stack)),
            fleet: None,
            detector: None,
            action: "alerted".to_owned(),
            escalated: false,
            stack: None,
            tells: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SimSid;

    fn hour() -> Hour {
        Hour::of("2026-03-01T14:20:00Z".parse().unwrap())
    }

    fn alert(id: usize, action: &str) -> Alert {
        let (id, action) =
            (format!("{}-{action}-{id}", SimSid::from_bytes([1; 16])), action.to_owned());
        Alert { id, action, ..Alert::of_no_more_texts(hour(), None) }
    }

    /// How many of so many alerts of an action get room, and how often it is said that some do not.
    fn taken(texts: &mut HourTexts, action: &str, alerts: usize) -> (usize, usize) {
        let (mut taken, mut said) = (Vec::new(), Vec::new());
        for id in 0..alerts {
            match texts.room_for(&alert(id, action)) {
                TextRoom::Take(with) => {
                    *texts = with;
                    taken.push(id);
                }
                TextRoom::Say(with) => {
                    *texts = with;
                    said.push(id);
                }
                TextRoom::Taken | TextRoom::None => {}
            }
        }
        (taken.len(), said.len())
    }

    #[test]
    fn thirty_go_out_by_sms_ten_of_them_kept_for_what_comes_first_and_one_says_so() {
        let mut texts = HourTexts::default();
        assert_eq!(taken(&mut texts, "deactivated", 400), (20, 1));
        assert_eq!(taken(&mut texts, "leaking", 6), (6, 0));
        assert_eq!(taken(&mut texts, "held", 6), (0, 0));
        assert_eq!(taken(&mut texts, "unreachable", 400), (4, 0));
        let page = Alert::of_held(&[], None, hour().start(), None);
        assert_eq!(texts.room_for(&page), TextRoom::Taken, "beside all others");
        assert_eq!(texts.room_for(&alert(3, "deactivated")), TextRoom::Taken, "the same again");
    }

    #[test]
    fn that_there_are_no_more_fits_a_phone() {
        let alert = Alert::of_no_more_texts(hour(), Some(&"prod".parse().unwrap()));
        insta::assert_snapshot!(alert.sms.unwrap(), @"SimFuse prod: so many alerts that no more SMS come until 15:00Z. Read the mails: simfuse status --stack prod");
        assert!(alert.subject.len() < 100, "{}", alert.subject);
        assert_eq!(alert.id, "texts-2026-03-01T14Z");
    }
}
