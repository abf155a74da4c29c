//! The functions: their environment, limits and logs, and who is open to the internet.

use serde_json::Value;

use super::Breach::{Remove, Set};
use super::{Rule, Template, each};

// `simfuse --stack NAME` finds the kill-switch by its name in the template, `KillSwitch`
// (`cli/src/stack.rs`); the checks of the deployed stack use it.

/// The environment of a function: each variable, and the parameter or resource that it names, or
/// else its value as JSON.
type Environment = &'static [(&'static str, &'static str)];

const WEBHOOK: Environment = &[
    ("TABLE_NAME", "Table"),
    ("PROVIDER", "Provider"),
    ("WEBHOOK_SECRET_ARN", "WebhookSecretArn"),
    ("PUBLIC_WEBHOOK_URL", "PublicWebhookUrl"),
];

const USAGE_AGGREGATOR: Environment = &[
    ("TABLE_NAME", "Table"),
    ("PROVIDER", "Provider"),
    ("API_SECRET_ARN", "ApiSecretArn"),
    ("SUPERSIM_API_BASE", "SupersimApiBase"),
    ("SUPERSIM_TOKEN_URL", "SupersimTokenUrl"),
    ("ALERT_TOPIC_ARN", "Topic"),
    ("STACK_NAME", "AWS::StackName"),
];

const KILL_SWITCH: Environment = &[
    ("TABLE_NAME", "Table"),
    ("PROVIDER", "Provider"),
    ("API_SECRET_ARN", "ApiSecretArn"),
    ("SUPERSIM_API_BASE", "SupersimApiBase"),
    ("SUPERSIM_TOKEN_URL", "SupersimTokenUrl"),
    ("ALERT_TOPIC_ARN", "Topic"),
    ("STACK_NAME", "AWS::StackName"),
    ("ESCALATION_TOPIC_ARN", "EscalationTopic"),
    ("ENFORCEMENT_MODE", "EnforcementMode"),
    ("LINK_SECRET_ARN", LINK_SECRET),
    ("CONSOLE_URL", r#"{"Fn::GetAtt": ["ConsoleUrl", "FunctionUrl"]}"#),
];

const CONSOLE: Environment = &[
    ("TABLE_NAME", "Table"),
    ("LINK_SECRET_ARN", LINK_SECRET),
    ("KILL_SWITCH_FUNCTION", KILL_SWITCH_NAME),
];

/// The kill-switch's name, by which the console knows it without a reference.
const KILL_SWITCH_NAME: &str = r#"{"Fn::Sub": "${AWS::StackName}-kill-switch"}"#;

/// The ARN of the secret that the stack makes for itself.
pub(super) const LINK_SECRET: &str = r#"{"Fn::GetAtt": ["LinkSecret", "Id"]}"#;

const FUNCTION: &str = "AWS::Lambda::Function";

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "a function has the environment that it reads, and no other variable",
        check: environment,
        breaches: &[
            Remove("KillSwitch/Properties/Environment/Variables/ALERT_TOPIC_ARN"),
            Set("Webhook/Properties/Environment/Variables/API_SECRET_ARN", "\"arn\""),
            Set(
                "Webhook/Properties/Environment/Variables/WEBHOOK_SECRET_ARN",
                r#"{"Ref": "ApiSecretArn"}"#,
            ),
            Set("UsageAggregator/Properties/Environment/Variables/PROVIDER", "\"kore\""),
            Set("Console/Properties/Environment/Variables/API_SECRET_ARN", "\"arn\""),
            Set("Console/Properties/Environment/Variables/KILL_SWITCH_FUNCTION", "\"other\""),
            Remove("KillSwitch/Properties/Environment/Variables/CONSOLE_URL"),
            Set("Another", r#"{"Type": "AWS::Lambda::Function", "Properties": {}}"#),
        ],
    },
    Rule {
        name: "a function runs within Lambda's limits, on the runtime that it is built for",
        check: limits,
        breaches: &[
            Set("UsageAggregator/Properties/Timeout", "901"),
            Remove("Webhook/Properties/Timeout"),
            Set("Webhook/Properties/Runtime", "\"provided.al2\""),
            Set("KillSwitch/Properties/Architectures", "[\"arm64\"]"),
        ],
    },
    Rule {
        name: "a function logs JSON to a group of its own, for a bounded time",
        check: logs,
        breaches: &[
            Remove("WebhookLogs/Properties/RetentionInDays"),
            Remove("KillSwitch/Properties/LoggingConfig"),
            Set("KillSwitch/Properties/LoggingConfig/LogFormat", "\"Text\""),
        ],
    },
    Rule {
        name: "the key of links is made by Secrets Manager, and long enough; one console asks the \
               kill-switch by its name",
        check: links,
        breaches: &[
            Set("LinkSecret/Properties/GenerateSecretString/PasswordLength", "16"),
            Set("LinkSecret/Properties/SecretString", "\"{}\""),
            Set("LinkSecret/Properties/GenerateSecretString/GenerateStringKey", "\"secret\""),
            Remove("KillSwitch/Properties/FunctionName"),
        ],
    },
    Rule {
        name: "who reads what others write is updated before them",
        check: order,
        breaches: &[Remove("Webhook/DependsOn"), Remove("UsageAggregator/DependsOn")],
    },
    Rule {
        name: "webhook and console alone have a URL, and through it alone are they public",
        check: urls,
        breaches: &[
            Set(
                "Another",
                r#"{"Type": "AWS::Lambda::Url", "Properties":
                    {"AuthType": "NONE", "TargetFunctionArn": {"Ref": "KillSwitch"}}}"#,
            ),
            Set("WebhookUrl/Properties/AuthType", "\"AWS_IAM\""),
            Set("ConsoleUrl/Properties/TargetFunctionArn", r#"{"Ref": "KillSwitch"}"#),
            Remove("ConsoleUrlPublicPermissions"),
            Remove("ConsoleURLInvokeAllowPublicAccess/Properties/InvokedViaFunctionUrl"),
            Remove("WebhookUrlPublicPermissions/Properties/FunctionUrlAuthType"),
            Remove("WebhookURLInvokeAllowPublicAccess"),
            Remove("WebhookURLInvokeAllowPublicAccess/Properties/InvokedViaFunctionUrl"),
            Set(
                "Another",
                r#"{"Type": "AWS::Lambda::Permission", "Properties":
                    {"Action": "lambda:InvokeFunction", "Principal": "*"}}"#,
            ),
        ],
    },
];

fn order(template: &Template) -> Vec<String> {
    template.expect(&[
        ("Webhook/DependsOn", r#"["KillSwitch", "UsageAggregator"]"#),
        ("UsageAggregator/DependsOn", "\"KillSwitch\""),
    ])
}

fn environment(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, properties) in template.all(FUNCTION) {
        let expected = match name {
            "Webhook" => WEBHOOK,
            "KillSwitch" => KILL_SWITCH,
            "UsageAggregator" => USAGE_AGGREGATOR,
            "Console" => CONSOLE,
            _ => {
                wrong.push(format!("{name}: a function that this rule does not know"));
                continue;
            }
        };
        let variables = properties.pointer("/Environment/Variables");
        let mut found: Vec<_> =
            variables.and_then(Value::as_object).into_iter().flatten().collect();
        for (variable, source) in expected {
            let place = found.iter().position(|(name, _)| name == variable);
            match place.map(|place| found.swap_remove(place)) {
                None => wrong.push(format!("{name} lacks {variable}")),
                Some((_, value)) if *value == value_of(source) => {}
                Some((_, value)) => {
                    wrong.push(format!("{name}: {variable} is {value}, not {source}"));
                }
            }
        }
        wrong.extend(found.iter().map(|(variable, _)| format!("{name} does not read {variable}")));
    }
    wrong
}

/// What the name of a parameter or resource, or else a value, stands for in the template.
pub(super) fn value_of(source: &str) -> Value {
    serde_json::from_str(source).unwrap_or_else(|_name| serde_json::json!({ "Ref": source }))
}

fn links(template: &Template) -> Vec<String> {
    template.expect(&[
        ("LinkSecret/Type", "\"AWS::SecretsManager::Secret\""),
        ("LinkSecret/Properties/SecretString", "null"),
        ("LinkSecret/Properties/GenerateSecretString/SecretStringTemplate", "\"{}\""),
        ("LinkSecret/Properties/GenerateSecretString/GenerateStringKey", "\"key\""),
        ("LinkSecret/Properties/GenerateSecretString/PasswordLength", "64"),
        ("KillSwitch/Properties/FunctionName", KILL_SWITCH_NAME),
    ])
}

fn limits(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, properties) in template.all(FUNCTION) {
        let seconds = properties.get("Timeout").and_then(Value::as_u64);
        if !seconds.is_some_and(|seconds| (1..=900).contains(&seconds)) {
            wrong.push(format!("{name}: a time limit of {seconds:?} s"));
        }
        for (property, expected) in [
            ("Runtime", serde_json::json!("provided.al2023")),
            ("Architectures", serde_json::json!([{ "Ref": "Architecture" }])),
        ] {
            if properties.get(property) != Some(&expected) {
                wrong.push(format!("{name}: {property} is not {expected}"));
            }
        }
    }
    wrong
}

fn logs(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, properties) in template.all(FUNCTION) {
        let group = properties.pointer("/LoggingConfig/LogGroup/Ref").and_then(Value::as_str);
        let kept = group.map(|group| template.at(&format!("{group}/Properties/RetentionInDays")));
        if group != Some(&format!("{name}Logs")) || kept.is_none_or(Value::is_null) {
            wrong.push(format!("{name}: its logs are kept for ever, or not its own"));
        }
        if properties.pointer("/LoggingConfig/LogFormat") != Some(&"JSON".into()) {
            wrong.push(format!("{name}: its logs are not JSON"));
        }
    }
    wrong
}

fn urls(template: &Template) -> Vec<String> {
    const PUBLIC: [&str; 2] = ["Webhook", "Console"];
    let mut wrong = template.expect(&[
        ("WebhookUrl/Properties/TargetFunctionArn", r#"{"Ref": "Webhook"}"#),
        ("WebhookUrl/Properties/AuthType", "\"NONE\""),
        ("ConsoleUrl/Properties/TargetFunctionArn", r#"{"Ref": "Console"}"#),
        ("ConsoleUrl/Properties/AuthType", "\"NONE\""),
    ]);
    let urls = template.all("AWS::Lambda::Url");
    let others = urls.iter().filter(|(name, _)| !["WebhookUrl", "ConsoleUrl"].contains(name));
    wrong.extend(others.map(|(name, _)| format!("{name}: another URL")));
    // AWS wants two permissions for a public URL; without the conditions anyone could invoke.
    let conditions = [
        ("lambda:InvokeFunctionUrl", "FunctionUrlAuthType", Value::from("NONE")),
        ("lambda:InvokeFunction", "InvokedViaFunctionUrl", Value::from(true)),
    ];
    let permissions = template.all("AWS::Lambda::Permission");
    let is_of = |permission: &Value, function: &str| {
        each(&permission["FunctionName"]) == [&serde_json::json!({ "Ref": function })]
    };
    for (action, condition, expected) in &conditions {
        let granted: Vec<_> =
            permissions.iter().filter(|(_, of)| of["Action"] == **action).collect();
        for function in PUBLIC {
            if !granted.iter().any(|(_, of)| is_of(of, function)) {
                wrong.push(format!("nobody may {action} of {function}"));
            }
        }
        for (name, of) in granted {
            let is_public = PUBLIC.iter().any(|function| is_of(of, function));
            if !is_public || of[*condition] != *expected {
                wrong.push(format!("{name}: {action} is granted too widely"));
            }
        }
    }
    wrong
}
