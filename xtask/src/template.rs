//! `cargo xtask template`: what can be known of `template.yaml` without an account.
//!
//! `sam validate --lint` looks at the template as it is written, cfn-lint at the CloudFormation that
//! SAM makes of it, and the rules here at what both of them miss. Each rule comes with breaches:
//! ways to spoil the template that it has to see, or the run fails. So no rule can rot into one that
//! always passes.

mod alarms;
mod functions;
mod roles;
mod schedules;
mod streams;
mod table;

use std::fs;

use serde_json::Value;

use crate::run::{say, step, target};
use crate::tools::{self, text};

/// One rule, and what it has to see.
struct Rule {
    /// What holds, in one sentence.
    name: &'static str,
    /// What is wrong, one line each.
    check: fn(&Template) -> Vec<String>,
    /// Each makes the template break the rule.
    breaches: &'static [Breach],
}

/// One change of the template that breaks a rule. Places begin at the resources; `Role#3` is the
/// role's statement 3, counted from 0; a value for a place in a list is added to the list.
enum Breach {
    /// Another value at this place, as JSON; what is not there is made.
    Set(&'static str, &'static str),
    /// Nothing at this place.
    Remove(&'static str),
}

/// The translated template.
struct Template(Value);

/// Lints the template.
pub(crate) fn lint() -> Result<(), String> {
    let sam = tools::sam()?;
    let mut validate = sam.command("sam")?;
    validate.args(["validate", "--lint"]);
    step("sam validate --lint", validate)?;
    let translated = target().join("template.json");
    let mut translate = sam.command("python")?;
    translate.args(["infra/lint/translate.py", "template.yaml"]).arg(&translated);
    step("translating the template", translate)?;
    let mut lint = sam.command("cfn-lint")?;
    lint.arg(text(&translated));
    step("cfn-lint on the translated template", lint)?;
    let json = fs::read(&translated).map_err(|error| format!("the template: {error}"))?;
    let json = serde_json::from_slice(&json).map_err(|error| format!("the template: {error}"))?;
    hold_to_the_rules(&Template(json))
}

fn hold_to_the_rules(template: &Template) -> Result<(), String> {
    let rules = [
        functions::RULES,
        roles::RULES,
        table::RULES,
        streams::RULES,
        schedules::RULES,
        alarms::RULES,
    ];
    let rules: Vec<&Rule> = rules.into_iter().flatten().collect();
    let mut wrong = Vec::new();
    let mut breaches = 0_usize;
    for rule in &rules {
        let broken = (rule.check)(template);
        wrong.extend(broken.into_iter().map(|what| format!("{}: {what}", rule.name)));
        for breach in rule.breaches {
            breaches = breaches.saturating_add(1);
            if (rule.check)(&breach.of(template)?).is_empty() {
                wrong.push(format!("{}: the rule does not see {breach}", rule.name));
            }
        }
        if rule.breaches.is_empty() {
            wrong.push(format!("{}: nothing shows that the rule can fail", rule.name));
        }
    }
    if wrong.is_empty() {
        let rules = rules.len();
        say(&format!("── template: {rules} rules hold, {breaches} breaches of them are seen"));
        return Ok(());
    }
    for line in &wrong {
        say(line);
    }
    Err(format!("template: {} things are wrong", wrong.len()))
}

impl Breach {
    fn of(&self, template: &Template) -> Result<Template, String> {
        let mut spoiled = template.0.clone();
        let (Self::Set(place, _) | Self::Remove(place)) = self;
        let outdated = || format!("{self}: there is no such place");
        let place = place.replace('#', "/Properties/Policies/0/PolicyDocument/Statement/");
        let place = format!("/Resources/{place}");
        let (parent, last) = place.rsplit_once('/').ok_or_else(outdated)?;
        let parent = spoiled.pointer_mut(parent).ok_or_else(outdated)?;
        match (self, parent) {
            (Self::Set(_, value), Value::Object(map)) => {
                let value = serde_json::from_str(value).map_err(|error| error.to_string())?;
                map.insert(last.replace("~1", "/"), value);
            }
            (Self::Set(_, value), Value::Array(list)) => {
                let value = serde_json::from_str(value).map_err(|error| error.to_string())?;
                list.push(value);
            }
            (Self::Remove(_), Value::Object(map)) => {
                map.remove(&last.replace("~1", "/")).ok_or_else(outdated)?;
            }
            (Self::Remove(_), Value::Array(list)) => {
                let index = last.parse().ok().filter(|index| *index < list.len());
                list.remove(index.ok_or_else(outdated)?);
            }
            _ => return Err(outdated()),
        }
        Ok(Template(spoiled))
    }
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set(place, value) => write!(f, "{value} at {place}"),
            Self::Remove(place) => write!(f, "nothing at {place}"),
        }
    }
}

impl Template {
    /// What is at this place of the resources; null where nothing is.
    fn at(&self, place: &str) -> &Value {
        let null = const { &Value::Null };
        self.0.pointer(&format!("/Resources/{place}")).unwrap_or(null)
    }

    /// The resources of this type: names and properties.
    fn all(&self, kind: &str) -> Vec<(&str, &Value)> {
        let resources = self.0.get("Resources").and_then(Value::as_object);
        let resources = resources.into_iter().flatten();
        let of_kind = resources
            .filter(|(_, resource)| resource.get("Type").and_then(Value::as_str) == Some(kind));
        let null = const { &Value::Null };
        let all = of_kind
            .map(|(name, resource)| (name.as_str(), resource.get("Properties").unwrap_or(null)));
        all.collect()
    }

    /// What is wrong at these places, which should hold these values, given as JSON.
    fn expect(&self, places: &[(&str, &str)]) -> Vec<String> {
        let differs = places.iter().filter_map(|(place, expected)| {
            let found = self.at(place);
            let is_so = serde_json::from_str::<Value>(expected).is_ok_and(|value| value == *found);
            (!is_so).then(|| format!("{place} is {found}, not {expected}"))
        });
        differs.collect()
    }
}

/// A value, or each of the values of a list: IAM takes either.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// The same as texts; what is no text is named by its JSON.
fn each_text(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    each(value).into_iter().map(text).collect()
}
