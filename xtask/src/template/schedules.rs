//! The schedules. Neither linter reads an expression, and an emulator takes any.

use serde_json::{Value, json};

use super::Breach::{Remove, Set};
use super::{Rule, Template};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "a schedule's expression is one that EventBridge understands",
        check: expressions,
        breaches: &[
            Set("SweepSchedule/Properties/ScheduleExpression", "\"every minute\""),
            Set("SweepSchedule/Properties/ScheduleExpression", "\"rate(1 minutes)\""),
            Set("SweepSchedule/Properties/ScheduleExpression", "\"rate(10 minute)\""),
            Set("SweepSchedule/Properties/ScheduleExpression", "\"rate(0 minutes)\""),
            Set("SweepSchedule/Properties/ScheduleExpression", "\"cron(* * * * *)\""),
            Set("SweepSchedule/Properties/ScheduleExpression", "\"cron(* * * * * *)\""),
        ],
    },
    Rule {
        name: "the kill-switch sweeps every minute, the aggregator runs every ten",
        check: targets,
        breaches: &[
            Set("SweepSchedule/Properties/Target/Input", r#""{\"swep\": true}""#),
            Set("AggregateSchedule/Properties/Target/Input", "\"run\""),
            Set(
                "AggregateSchedule/Properties/Target/Arn",
                r#"{"Fn::GetAtt": ["KillSwitch", "Arn"]}"#,
            ),
            Set("SweepSchedule/Properties/ScheduleExpression", "\"rate(5 minutes)\""),
            Remove("SweepSchedule/Properties/Target/DeadLetterConfig"),
            Remove("AggregateSchedule/Properties/Target/RetryPolicy"),
            Set("SweepSchedule/Properties/State", "\"DISABLED\""),
            Remove("ScheduleRole#0"),
        ],
    },
];

fn expressions(template: &Template) -> Vec<String> {
    let schedules = template.all("AWS::Scheduler::Schedule").into_iter();
    let wrong = schedules.filter_map(|(name, properties)| {
        let expression = properties["ScheduleExpression"].as_str().unwrap_or_default();
        (!is_expression(expression)).then(|| format!("{name}: {expression}"))
    });
    wrong.collect()
}

/// `rate(1 minute)`, `rate(5 minutes)`, or `cron` of six fields, of which either the day of the
/// month or that of the week is `?`.
fn is_expression(expression: &str) -> bool {
    let Some((kind, rest)) = expression.split_once('(') else { return false };
    let Some(inner) = rest.strip_suffix(')') else { return false };
    let fields: Vec<&str> = inner.split(' ').collect();
    match (kind, fields.as_slice()) {
        ("rate", [number, unit]) => match number.parse::<u32>() {
            Ok(1) => matches!(*unit, "minute" | "hour" | "day"),
            Ok(2..) => matches!(*unit, "minutes" | "hours" | "days"),
            _ => false,
        },
        ("cron", [_, _, day_of_month, _, day_of_week, _]) => {
            let is_field = |field: &&str| {
                !field.is_empty()
                    && field.chars().all(|of| of.is_ascii_alphanumeric() || "*,-/?L#W".contains(of))
            };
            fields.iter().all(is_field) && (*day_of_month == "?") != (*day_of_week == "?")
        }
        _ => false,
    }
}

fn targets(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (schedule, function, expression, input) in [
        ("SweepSchedule", "KillSwitch", "rate(1 minute)", json!({ "sweep": true })),
        ("AggregateSchedule", "UsageAggregator", "rate(10 minutes)", json!({ "run": true })),
    ] {
        let properties = template.at(&format!("{schedule}/Properties"));
        let target = &properties["Target"];
        let arn = json!({ "Fn::GetAtt": [function, "Arn"] });
        let given = target["Input"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let retries =
            target.pointer("/RetryPolicy/MaximumEventAgeInSeconds").and_then(Value::as_u64);
        let failures = json!({ "Fn::GetAtt": ["Failures", "Arn"] });
        for (what, is_so) in [
            ("its expression", properties["ScheduleExpression"] == expression),
            ("its state", matches!(properties["State"].as_str(), None | Some("ENABLED"))),
            ("its target", target["Arn"] == arn),
            ("its input", given == Some(input)),
            ("its retries", retries.is_some_and(|seconds| seconds <= 600)),
            ("its dead letters", target.pointer("/DeadLetterConfig/Arn") == Some(&failures)),
            ("its role", target["RoleArn"] == json!({ "Fn::GetAtt": ["ScheduleRole", "Arn"] })),
            ("its right to invoke", may_invoke(template, &arn)),
        ] {
            if !is_so {
                wrong.push(format!("{schedule}: {what}"));
            }
        }
    }
    wrong
}

fn may_invoke(template: &Template, function: &Value) -> bool {
    let statements = template.at("ScheduleRole/Properties/Policies/0/PolicyDocument/Statement");
    super::each(statements).into_iter().any(|statement| {
        statement["Action"] == "lambda:InvokeFunction"
            && super::each(&statement["Resource"]).contains(&function)
    })
}

#[cfg(test)]
mod tests {
    use super::is_expression;

    #[test]
    fn expressions_are_told_from_what_merely_looks_like_one() {
        for good in ["rate(1 minute)", "rate(10 minutes)", "rate(1 day)", "cron(0 8 ? * MON-FRI *)"]
        {
            assert!(is_expression(good), "{good}");
        }
        for bad in [
            "rate(1 minutes)",
            "rate(2 minute)",
            "rate(-1 minutes)",
            "rate(1)",
            "rate 1 minute",
            "cron(0 8 * * *)",
            "cron(0 8 * * MON *)",
            "cron(0 8  * ? *)",
            "every minute",
        ] {
            assert!(!is_expression(bad), "{bad}");
        }
    }
}
