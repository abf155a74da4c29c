//! The alarms and the topic: what has to reach a human.

use serde_json::json;

use super::Breach::{Remove, Set};
use super::{Rule, Template, each};

/// The alarms: metric, whose it is, and what counts as too much.
const ALARMS: [(&str, &str, &str, u64); 13] = [
    ("DeadLettersAlarm", "ApproximateNumberOfMessagesVisible", "Failures", 0),
    ("KillFailuresAlarm", "Errors", "KillSwitch", 0),
    ("StreamAgeAlarm", "IteratorAge", "KillSwitch", 60_000),
    ("EventStreamAgeAlarm", "IteratorAge", "Webhook", 300_000),
    ("NoEventsAlarm", "Invocations", "Webhook", 1),
    ("WebhookRefusesAlarm", "Url5xxCount", "Webhook", 0),
    ("WebhookErrorsAlarm", "Errors", "Webhook", 0),
    ("WebhookThrottledAlarm", "Throttles", "Webhook", 0),
    ("ConsoleFailsAlarm", "Url5xxCount", "Console", 0),
    ("KillSwitchThrottledAlarm", "Throttles", "KillSwitch", 0),
    ("SweepStoppedAlarm", "Invocations", "KillSwitch", 1),
    ("AggregatorStoppedAlarm", "Invocations", "UsageAggregator", 1),
    ("AggregatorErrorsAlarm", "Errors", "UsageAggregator", 0),
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "each fault of the stack itself has an alarm, which goes to the topic",
        check: alarms,
        breaches: &[
            Remove("KillFailuresAlarm"),
            Remove("DeadLettersAlarm/Properties/AlarmActions"),
            Set("StreamAgeAlarm/Properties/AlarmActions/0", "\"arn\""),
            Set("StreamAgeAlarm/Properties/Threshold", "60"),
            Set("NoEventsAlarm/Properties/TreatMissingData", "\"notBreaching\""),
            Set("NoEventsAlarm/Properties/ComparisonOperator", "\"GreaterThanThreshold\""),
            Set("WebhookErrorsAlarm/Properties/MetricName", "\"Error\""),
            Set(
                "WebhookRefusesAlarm/Properties/Dimensions",
                r#"[{"Name": "FunctionName", "Value": {"Ref": "KillSwitch"}}]"#,
            ),
            Set("AggregatorErrorsAlarm/Properties/ActionsEnabled", "false"),
            Remove("WebhookThrottledAlarm"),
            Set("SweepStoppedAlarm/Properties/TreatMissingData", "\"missing\""),
            Set("Another", r#"{"Type": "AWS::CloudWatch::Alarm", "Properties": {}}"#),
        ],
    },
    Rule {
        name: "the topic takes alarms, and an SMS is sent only for what cannot wait",
        check: topic,
        breaches: &[
            Set("Topic/Properties/KmsMasterKeyId", "\"alias/aws/sns\""),
            Remove("PhoneSubscription/Properties/FilterPolicy"),
            Set("PhoneSubscription/Properties/FilterPolicyScope", "\"MessageBody\""),
            Remove("PhoneSubscription/Condition"),
            Remove("EmailSubscription/Condition"),
            Set("EscalationPhoneSubscription/Properties/TopicArn", r#"{"Ref": "Topic"}"#),
            Remove("EscalationEmailSubscription/Condition"),
            Set("EmailSubscription/Properties/FilterPolicy", r#"{"sms": ["yes"]}"#),
        ],
    },
];

fn alarms(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, metric, of, threshold) in ALARMS {
        let (namespace, dimension, whose) = if of == "Failures" {
            ("AWS/SQS", "QueueName", json!({ "Fn::GetAtt": [of, "QueueName"] }))
        } else {
            ("AWS/Lambda", "FunctionName", json!({ "Ref": of }))
        };
        let is_silence = metric == "Invocations";
        let (comparison, missing) = if is_silence {
            ("LessThanThreshold", "breaching")
        } else {
            ("GreaterThanThreshold", "notBreaching")
        };
        let properties = template.at(&format!("{name}/Properties"));
        for (property, expected) in [
            ("Namespace", json!(namespace)),
            ("MetricName", json!(metric)),
            ("Dimensions", json!([{ "Name": dimension, "Value": whose }])),
            ("ComparisonOperator", json!(comparison)),
            ("TreatMissingData", json!(missing)),
            ("AlarmActions", json!([{ "Ref": "Topic" }])),
        ] {
            if properties[property] != expected {
                wrong.push(format!("{name}: {property} is not {expected}"));
            }
        }
        if properties["Threshold"] != threshold {
            wrong.push(format!("{name}: its threshold is not {threshold}"));
        }
        if properties["ActionsEnabled"] == false {
            wrong.push(format!("{name}: it is switched off"));
        }
    }
    let all = template.all("AWS::CloudWatch::Alarm").into_iter();
    let unknown = all.filter(|(name, _)| !ALARMS.iter().any(|(known, ..)| known == name));
    wrong.extend(unknown.map(|(name, _)| format!("{name}: an alarm that this rule does not know")));
    wrong
}

fn topic(template: &Template) -> Vec<String> {
    let mut wrong = template.expect(&[
        // CloudWatch may not use the key that SNS manages.
        ("Topic/Properties/KmsMasterKeyId", "null"),
        ("EmailSubscription/Condition", "\"HasAlertEmail\""),
        ("PhoneSubscription/Condition", "\"HasAlertPhone\""),
        ("PhoneSubscription/Properties/FilterPolicy", r#"{"sms": ["yes"]}"#),
        ("PhoneSubscription/Properties/FilterPolicyScope", "null"),
        ("EmailSubscription/Properties/FilterPolicy", "null"),
        ("EscalationEmailSubscription/Condition", "\"HasEscalationEmail\""),
        ("EscalationPhoneSubscription/Condition", "\"HasEscalationPhone\""),
    ]);
    for (subscription, wanted) in [
        ("EmailSubscription", "Topic"),
        ("PhoneSubscription", "Topic"),
        ("EscalationEmailSubscription", "EscalationTopic"),
        ("EscalationPhoneSubscription", "EscalationTopic"),
    ] {
        let topic = template.at(&format!("{subscription}/Properties/TopicArn"));
        if each(topic) != [&json!({ "Ref": wanted })] {
            wrong.push(format!("{subscription}: another topic"));
        }
    }
    wrong
}
