//! The streams: what the functions are given, how often, and where goes what they cannot take.
//!
//! An emulator reads a stream whether or not the role may, so that is held here.

use serde_json::{Value, json};

use super::Breach::{Remove, Set};
use super::{Rule, Template, each, each_text};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "the kill-switch gets new findings and news, and never blocks a shard",
        check: table_stream,
        breaches: &[
            Set(
                "KillSwitchStream/Properties/FilterCriteria",
                r#"{"Filters": [{"Pattern": "{\"eventName\": [\"INSERT\"]}"}]}"#,
            ),
            Set("KillSwitchStream/Properties/FilterCriteria/Filters/-", "{}"),
            Set("KillSwitchStream/Properties/FunctionResponseTypes", "[]"),
            Set("KillSwitchStream/Properties/BisectBatchOnFunctionError", "false"),
            Set("KillSwitchStream/Properties/MaximumRetryAttempts", "-1"),
            Remove("KillSwitchStream/Properties/MaximumRecordAgeInSeconds"),
            Set("KillSwitchStream/Properties/MaximumBatchingWindowInSeconds", "5"),
            Remove("KillSwitchStream/Properties/DestinationConfig"),
            Set("KillSwitchStream/Properties/StartingPosition", "\"LATEST\""),
            Set("KillSwitchStream/Properties/FunctionName", r#"{"Ref": "Webhook"}"#),
        ],
    },
    Rule {
        name: "the webhook gets the event stream, where there is one, until a record is stored",
        check: event_stream,
        breaches: &[
            Remove("WebhookEventStream/Condition"),
            Remove("WebhookStreamPolicy/Condition"),
            Remove("WebhookEventStream/DependsOn"),
            Set("WebhookEventStream/Properties/FunctionResponseTypes", "[]"),
            Remove("WebhookEventStream/Properties/DestinationConfig"),
            Set("WebhookEventStream/Properties/BisectBatchOnFunctionError", "false"),
            Set("WebhookEventStream/Properties/MaximumRecordAgeInSeconds", "-1"),
        ],
    },
    Rule {
        name: "whoever reads a stream may, and may set aside what it cannot take",
        check: rights,
        breaches: &[
            Remove("KillSwitchRole#6"),
            Remove("KillSwitchRole#8"),
            Remove("WebhookStreamPolicy/Properties/PolicyDocument/Statement/0"),
            Remove("WebhookStreamPolicy/Properties/PolicyDocument/Statement/1"),
            Remove("ScheduleRole#1"),
        ],
    },
    Rule {
        name: "what cannot be delivered is kept, encrypted, for the two weeks that SQS can",
        check: failures,
        breaches: &[
            Set("Failures/Properties/SqsManagedSseEnabled", "false"),
            Set("Failures/Properties/MessageRetentionPeriod", "345600"),
            Remove("KillSwitchEventInvokeConfig/Properties/DestinationConfig"),
        ],
    },
];

const FAILURES: &str = r#"{"Fn::GetAtt": ["Failures", "Arn"]}"#;

fn table_stream(template: &Template) -> Vec<String> {
    let place = |property: &str| format!("KillSwitchStream/Properties/{property}");
    let mut wrong = Vec::new();
    for (property, expected) in [
        ("FunctionName", r#"{"Ref": "KillSwitch"}"#),
        ("EventSourceArn", r#"{"Fn::GetAtt": ["Table", "StreamArn"]}"#),
        ("StartingPosition", "\"TRIM_HORIZON\""),
        ("BatchSize", "100"),
        ("MaximumBatchingWindowInSeconds", "0"),
        ("BisectBatchOnFunctionError", "true"),
        ("FunctionResponseTypes", r#"["ReportBatchItemFailures"]"#),
        ("MaximumRetryAttempts", "3"),
        ("MaximumRecordAgeInSeconds", "3600"),
        ("DestinationConfig/OnFailure/Destination", FAILURES),
    ] {
        wrong.extend(template.expect(&[(&place(property), expected)]));
    }
    let expected = json!({
        "eventName": ["INSERT"],
        "dynamodb": { "Keys": { "pk": { "S": [{ "prefix": "FIND#" }, { "prefix": "NEWS#" }] } } },
    });
    let filters = each(template.at(&place("FilterCriteria/Filters")));
    let patterns = filters.iter().map(|filter| filter["Pattern"].as_str().unwrap_or_default());
    let patterns: Vec<Option<Value>> =
        patterns.map(|pattern| serde_json::from_str(pattern).ok()).collect();
    if patterns != [Some(expected)] {
        wrong.push("it is not given the inserts of findings and news, and these only".to_owned());
    }
    wrong
}

fn event_stream(template: &Template) -> Vec<String> {
    template.expect(&[
        ("WebhookEventStream/Condition", "\"HasEventStream\""),
        ("WebhookEventStream/DependsOn", "\"WebhookStreamPolicy\""),
        ("WebhookStreamPolicy/Condition", "\"HasEventStream\""),
        ("WebhookEventStream/Properties/FunctionName", r#"{"Ref": "Webhook"}"#),
        ("WebhookEventStream/Properties/EventSourceArn", r#"{"Ref": "EventStreamArn"}"#),
        ("WebhookEventStream/Properties/StartingPosition", "\"TRIM_HORIZON\""),
        ("WebhookEventStream/Properties/BisectBatchOnFunctionError", "true"),
        ("WebhookEventStream/Properties/FunctionResponseTypes", r#"["ReportBatchItemFailures"]"#),
        ("WebhookEventStream/Properties/MaximumRecordAgeInSeconds", "14400"),
        ("WebhookEventStream/Properties/DestinationConfig/OnFailure/Destination", FAILURES),
    ])
}

/// The actions that one policy allows on this resource.
fn allowed(template: &Template, statements: &str, resource: &str) -> Vec<String> {
    let resource: Value = serde_json::from_str(resource).unwrap_or_default();
    let statements = each(template.at(statements)).into_iter();
    let about = statements.filter(|statement| each(&statement["Resource"]).contains(&&resource));
    about.flat_map(|statement| each_text(&statement["Action"])).collect()
}

fn rights(template: &Template) -> Vec<String> {
    const KILL_SWITCH: &str = "KillSwitchRole/Properties/Policies/0/PolicyDocument/Statement";
    const WEBHOOK: &str = "WebhookStreamPolicy/Properties/PolicyDocument/Statement";
    const SCHEDULE: &str = "ScheduleRole/Properties/Policies/0/PolicyDocument/Statement";
    let mut wrong = Vec::new();
    for (statements, resource, needed) in [
        (
            KILL_SWITCH,
            r#"{"Fn::GetAtt": ["Table", "StreamArn"]}"#,
            &[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ][..],
        ),
        (KILL_SWITCH, FAILURES, &["sqs:SendMessage"]),
        (
            WEBHOOK,
            r#"{"Ref": "EventStreamArn"}"#,
            &[
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
            ],
        ),
        (WEBHOOK, FAILURES, &["sqs:SendMessage"]),
        (SCHEDULE, FAILURES, &["sqs:SendMessage"]),
    ] {
        let allowed = allowed(template, statements, resource);
        let missing = needed.iter().filter(|action| !allowed.iter().any(|has| has == *action));
        wrong.extend(missing.map(|action| format!("{statements} lacks {action}")));
    }
    wrong
}

fn failures(template: &Template) -> Vec<String> {
    template.expect(&[
        ("Failures/Properties/SqsManagedSseEnabled", "true"),
        ("Failures/Properties/MessageRetentionPeriod", "1209600"),
        (
            "KillSwitchEventInvokeConfig/Properties/DestinationConfig/OnFailure/Destination",
            FAILURES,
        ),
    ])
}
