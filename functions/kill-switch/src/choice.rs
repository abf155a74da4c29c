//! Which SIMs a request is about, in what order, and the digest that says so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use simfuse_domain::bytes::Bytes;
use simfuse_domain::incident::FREEZE_HOURS_MAX;
use simfuse_domain::port::SimName;

use crate::request::{Action, Request};

/// A request about more SIMs than this acts only with the digest of a dry run.
pub const CONFIRM_ABOVE: usize = 10;

/// SIMs that one request may be about: as many SIDs as Lambda's 6 MB for a payload hold twice over,
/// and an hour's work at the pace at which the provider answers.
pub const SIMS_MAX: usize = 50_000;

/// Hours that a selection may look back: the provider's records by SIM cover 31 days.
const HOURS_MAX: u32 = 720;

/// Hours that a selection looks back where it does not say.
const HOURS_USUAL: u32 = 24;

/// Digits of a digest: 48 bits, far more than anyone confirms by accident, short enough to type.
const DIGEST_DIGITS: usize = 12;

/// Chooses SIMs by fleet, by usage, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Select {
    /// The fleet, by SID or unique name; without it all fleets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// SIMs that are proven to have used more than so many megabytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_more_than_mb: Option<Megabytes>,
    /// In the last so many hours that are over, and in the one under way: 1 to 720, by default 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_last_hours: Option<u32>,
}

impl Select {
    /// How far back usage is counted.
    pub(crate) fn hours(&self) -> u32 {
        self.in_last_hours.unwrap_or(HOURS_USUAL)
    }

    /// Why this selects nothing that can be meant.
    fn refusal(&self) -> Option<String> {
        let fleet = self.fleet.as_deref().map(str::trim);
        if fleet == Some("") {
            return Some("an empty \"fleet\" in \"select\"".to_owned());
        }
        match (fleet, self.used_more_than_mb, self.in_last_hours) {
            (None, None, _) => Some(
                "\"select\" needs a \"fleet\", \"used_more_than_mb\", or both: nobody means all \
                 SIMs of the account"
                    .to_owned(),
            ),
            (Some(_), None, Some(_)) => {
                Some("\"in_last_hours\" goes with \"used_more_than_mb\"".to_owned())
            }
            (_, _, Some(hours)) if !(1..=HOURS_MAX).contains(&hours) => {
                Some(format!("\"in_last_hours\" is {hours}: 1 to {HOURS_MAX} is allowed"))
            }
            _ => None,
        }
    }
}

/// A number of megabytes, with decimals, as a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Megabytes(pub Bytes);

impl std::str::FromStr for Megabytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let megabytes = text.trim().parse().map_err(|_syntax| format!("{text}: not a number"))?;
        Self::of(megabytes)
    }
}

impl Megabytes {
    /// A petabyte: a SIM that could use more is not built.
    const MAX: f64 = 1e9;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number from 0 to 10^15, rounded to a whole one"
    )]
    fn of(megabytes: f64) -> Result<Self, String> {
        if !(0.0..=Self::MAX).contains(&megabytes) {
            return Err(format!("{megabytes} MB: 0 to 1,000,000,000 is allowed"));
        }
        Ok(Self(Bytes((megabytes * 1e6).round() as u64)))
    }
}

impl Serialize for Megabytes {
    #[expect(clippy::cast_precision_loss, reason = "at most 10^15, which an f64 holds exactly")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Bytes(bytes)) = self;
        if bytes % Bytes::MB == 0 {
            serializer.serialize_u64(bytes / Bytes::MB)
        } else {
            serializer.serialize_f64(*bytes as f64 / 1e6)
        }
    }
}

impl<'de> Deserialize<'de> for Megabytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Why the request as a whole cannot be meant; `None` where it can.
pub(crate) fn refusal(request: &Request) -> Option<String> {
    let action = request.action;
    if let Some(hours) = request.freeze_hours {
        if action != Action::Deactivate {
            return Some(format!("freeze_hours is for deactivate, not for {action}"));
        }
        if !(1..=FREEZE_HOURS_MAX).contains(&hours) {
            let allowed = format!("1 to {FREEZE_HOURS_MAX} are allowed");
            return Some(format!("a freeze of {hours} hours: {allowed}"));
        }
    }
    let named = request.sims.len();
    if request.as_told.is_some() && request.only_incident.is_none() {
        return Some("\"as_told\" goes with \"only_incident\"".to_owned());
    }
    if request.only_incident.is_some() {
        let is_bindable = matches!(
            action,
            Action::Deactivate | Action::Approve | Action::Restore | Action::FalseAlarm
        );
        if !is_bindable {
            return Some(format!("{action} takes no \"only_incident\""));
        }
        if named != 1 {
            return Some("\"only_incident\" goes with one SIM in \"sims\"".to_owned());
        }
    }
    if named > SIMS_MAX {
        return Some(format!("{named} SIMs named, at most {SIMS_MAX} are taken in one request"));
    }
    if request.of_fleet.is_some() && (named == 0 || !is_about_sims(action)) {
        return Some("\"of_fleet\" goes with \"sims\" that something is done about".to_owned());
    }
    if let Some(select) = &request.select {
        if named > 0 {
            return Some("\"sims\" and \"select\" together: name SIMs or select them".to_owned());
        }
        if !is_about_sims(action) || action == Action::Approve {
            return Some(format!("{action} takes no \"select\""));
        }
        return select.refusal();
    }
    if request.next.is_some() && named == 0 && !is_about_sims(action) {
        return Some(format!("{action} takes no \"next\""));
    }
    let needs_sims = is_about_sims(action) && !matches!(action, Action::Status | Action::Approve);
    (needs_sims && named == 0).then(|| "no SIM named in \"sims\", and no \"select\"".to_owned())
}

/// Whether the action is done SIM by SIM.
pub(crate) const fn is_about_sims(action: Action) -> bool {
    match action {
        Action::Deactivate
        | Action::Quarantine
        | Action::Restore
        | Action::FalseAlarm
        | Action::Status
        | Action::Approve
        | Action::Protect
        | Action::Unprotect => true,
        Action::Stop
        | Action::Resume
        | Action::PolicyShow
        | Action::PolicyApply
        | Action::FleetLimit
        | Action::Audit => false,
    }
}

/// The SIMs of a request, each once.
#[derive(Debug)]
pub(crate) struct Choice {
    /// As they were called first, in the order in which they were named.
    pub(crate) names: Vec<String>,
    /// The same in canonical order, in which they are worked through: canonical name and the place
    /// in `names`.
    canonical: BTreeMap<String, usize>,
}

impl Choice {
    pub(crate) fn of(names: &[String]) -> Self {
        let mut choice = Self { names: Vec::new(), canonical: BTreeMap::new() };
        for name in names {
            let place = choice.names.len();
            if let std::collections::btree_map::Entry::Vacant(free) =
                choice.canonical.entry(canonical(name))
            {
                free.insert(place);
                choice.names.push(name.clone());
            }
        }
        choice
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// From this canonical name on: canonical names and places.
    pub(crate) fn from(&self, next: Option<&str>) -> Vec<(String, usize)> {
        let rest = self.canonical.range(canonical(next.unwrap_or_default())..);
        rest.map(|(name, place)| (name.clone(), *place)).collect()
    }
}

/// What a SIM is called in digests and in `next`: what has several spellings has one here.
fn canonical(name: &str) -> String {
    match name {
        "" => String::new(),
        name => SimName::parse(name).to_string(),
    }
}

/// What a human confirms: the action, all that changes what it does, and the set of names, whatever
/// their order and however often each is named. Twelve hexadecimal digits of a SHA-256.
///
/// A name is confirmed as it stands. Which SIM it is, is looked up for the act.
#[must_use]
pub fn digest_of(request: &Request, names: &[String]) -> String {
    // Whoever adds a field has to say here whether it changes what is done.
    let Request {
        action,
        override_protection,
        freeze_hours,
        only_incident,
        // It only refuses.
        as_told: _,
        sims: _,
        select: _,
        // It leaves SIMs out, and takes none in.
        of_fleet: _,
        reason: _,
        requested_by: _,
        dry_run: _,
        confirm: _,
        next: _,
        toml: _,
        compared_with: _,
        version: _,
        fleet: _,
        limit_mb: _,
        since: _,
        until: _,
        page_size: _,
        cursor: _,
        account_only: _,
        heads_of: _,
    } = request;
    let mut hash = Sha256::new();
    hash.update(format!("simfuse\n{action}\noverride_protection={override_protection}\n"));
    if let Some(hours) = freeze_hours {
        hash.update(format!("freeze_hours={hours}\n"));
    }
    if let Some(incident) = only_incident {
        hash.update(format!("only_incident={incident}\n"));
    }
    let names: BTreeSet<String> = names.iter().map(|name| canonical(name)).collect();
    for name in names {
        // The length keeps a name with a line break from passing for two.
        hash.update(format!("{} {name}\n", name.len()));
    }
    let mut digest = hex::encode(hash.finalize());
    digest.truncate(DIGEST_DIGITS);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn kill() -> Request {
        Request::of(Action::Deactivate)
    }

    #[test]
    fn a_digest_is_of_the_set_and_of_the_act() {
        let digest = digest_of(&kill(), &names(&["b", "a", "c"]));
        assert_eq!(digest.len(), 12);
        for same in [&["a", "b", "c"][..], &["c", "b", "a", "b", "c"]] {
            assert_eq!(digest_of(&kill(), &names(same)), digest, "{same:?}");
        }
        for other in [&["a", "b"][..], &["a", "b", "c", "d"], &["a", "bc"], &["a\nb", "c"], &[]] {
            assert_ne!(digest_of(&kill(), &names(other)), digest, "{other:?}");
        }
        let all = names(&["a", "b", "c"]);
        let restore = Request::of(Action::Restore);
        assert_ne!(digest_of(&restore, &all), digest);
        assert_ne!(digest_of(&Request { override_protection: true, ..kill() }, &all), digest);
        let bound = Request { only_incident: Some("i".to_owned()), ..kill() };
        assert_ne!(digest_of(&bound, &all), digest);
        let told = Request { reason: "stolen".into(), requested_by: "ops".into(), ..kill() };
        assert_eq!(digest_of(&told, &all), digest, "why and who change nothing that is done");
    }

    /// The requests in the runbook's commands: what stands in quotes after these options.
    fn documented() -> Vec<Request> {
        let runbook = include_str!("../../../docs/runbook.md");
        let after = |option: &'static str| runbook.split(option).skip(1);
        let quoted = after("--payload '").chain(after("--event '"));
        let payloads = quoted.map(|rest| rest.split_once('\'').unwrap().0);
        payloads.map(|payload| serde_json::from_str(payload).expect(payload)).collect()
    }

    #[test]
    fn every_request_in_the_runbook_is_one_that_is_taken() {
        let requests = documented();
        for request in &requests {
            assert_eq!(refusal(request), None, "{request:?}");
            if request.sims.len() > CONFIRM_ABOVE && !request.dry_run {
                let digest = digest_of(request, &request.sims);
                assert_eq!(request.confirm.as_ref(), Some(&digest), "{request:?}");
            }
        }
        let any = |of: fn(&Request) -> bool| requests.iter().any(of);
        assert!(any(|request| request.sims.len() == 1), "one SIM");
        assert!(
            any(|request| request.sims.len() > CONFIRM_ABOVE && request.next.is_none()),
            "a list"
        );
        assert!(
            any(|request| request.select.is_some() && request.confirm.is_some()),
            "a selection"
        );
        assert!(any(|request| request.next.is_some()), "going on");
        assert!(any(|request| request.action == Action::Stop), "no SIM");
    }

    #[test]
    fn a_digest_does_not_change_between_versions() {
        let names = names(&["pump-17", "HS0123456789abcdef0123456789abcdef"]);
        assert_eq!(digest_of(&kill(), &names), "58045a87a9d6");
    }

    #[test]
    fn each_sim_is_worked_on_once_in_an_order_that_the_request_does_not_set() {
        let choice = Choice::of(&names(&["pump-2", "pump-1", "pump-2", "8988307000001234567"]));
        assert_eq!(choice.names, ["pump-2", "pump-1", "8988307000001234567"]);
        let order = |next| -> Vec<usize> {
            choice.from(next).into_iter().map(|(_, place)| place).collect()
        };
        assert_eq!(order(None), [2, 1, 0]);
        assert_eq!(order(Some("pump-1")), [1, 0]);
        assert_eq!(order(Some("pump-10")), [0], "a name that is not there stands where it would");
        assert_eq!(order(Some("zzz")), [0_usize; 0]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_reason() {
        let refused = |text: &str| {
            let request: Request = serde_json::from_str(text).unwrap();
            refusal(&request).unwrap_or_default()
        };
        for (request, why) in [
            (r#"{"action": "deactivate"}"#, "no SIM named"),
            (r#"{"action": "restore", "sims": ["a"], "select": {"fleet": "f"}}"#, "together"),
            (r#"{"action": "false_alarm"}"#, "no SIM named"),
            (r#"{"action": "false_alarm", "sims": ["a"], "freeze_hours": 1}"#, "is for deactivate"),
            (r#"{"action": "false_alarm", "sims": ["a"], "reason": "a new modem"}"#, ""),
            (r#"{"action": "deactivate", "select": {}}"#, "nobody means all"),
            (r#"{"action": "deactivate", "select": {"in_last_hours": 24}}"#, "nobody means all"),
            (r#"{"action": "deactivate", "select": {"fleet": " "}}"#, "empty"),
            (
                r#"{"action": "deactivate", "select": {"fleet": "f", "in_last_hours": 24}}"#,
                "goes with",
            ),
            (
                r#"{"action": "stop", "of_fleet": "HF00000000000000000000000000000001"}"#,
                "goes with",
            ),
            (r#"{"action": "stop", "select": {"fleet": "f"}}"#, "stop takes no \"select\""),
            (r#"{"action": "approve", "select": {"fleet": "f"}}"#, "approve takes no"),
            (r#"{"action": "policy_show", "next": "a"}"#, "takes no \"next\""),
            (r#"{"action": "approve", "only_incident": "i"}"#, "goes with one SIM"),
            (
                r#"{"action": "restore", "sims": ["a", "b"], "only_incident": "i"}"#,
                "goes with one SIM",
            ),
            (
                r#"{"action": "protect", "sims": ["a"], "only_incident": "i"}"#,
                "protect takes no \"only_incident\"",
            ),
            (r#"{"action": "approve", "sims": ["a"], "only_incident": "i"}"#, ""),
            (r#"{"action": "deactivate", "sims": ["a"]}"#, ""),
            (r#"{"action": "status"}"#, ""),
            (r#"{"action": "approve"}"#, ""),
            (r#"{"action": "deactivate", "select": {"fleet": "f"}}"#, ""),
            (r#"{"action": "protect", "select": {"used_more_than_mb": 0.5}}"#, ""),
            (r#"{"action": "stop"}"#, ""),
        ] {
            let refusal = refused(request);
            assert!(refusal.contains(why) && refusal.is_empty() == why.is_empty(), "{refusal}");
        }
        for (hours, fine) in [(0, false), (1, true), (720, true), (721, false)] {
            let select = format!(r#"{{"used_more_than_mb": 1, "in_last_hours": {hours}}}"#);
            let request = format!(r#"{{"action": "deactivate", "select": {select}}}"#);
            assert_eq!(refused(&request).is_empty(), fine, "{hours}");
        }
        let many = Request { sims: vec!["a".to_owned(); SIMS_MAX + 1], ..kill() };
        assert!(refusal(&many).unwrap().contains("50001 SIMs named"));
    }

    #[test]
    fn megabytes_have_decimals_and_bounds() {
        let read = |text| serde_json::from_str::<Megabytes>(text);
        assert_eq!(read("50").unwrap(), Megabytes(Bytes(50_000_000)));
        assert_eq!(read("0.25").unwrap(), Megabytes(Bytes(250_000)));
        for wrong in ["-1", "1e10", "\"50\"", "null"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for text in ["50", "0.25", "0"] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
    }
}
