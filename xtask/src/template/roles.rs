//! What each role may do: an emulator shows that it suffices, these rules that it is no more.

use serde_json::{Value, json};

use super::Breach::{Remove, Set};
use super::functions::{LINK_SECRET, value_of};
use super::{Rule, Template, each, each_text};

/// What a role may do at most.
struct Allowed {
    role: &'static str,
    actions: &'static [&'static str],
    /// Beginnings of the partition keys that it may write.
    writes: &'static [&'static str],
    /// The secrets that it may read.
    secrets: &'static [&'static str],
    /// Whether it may read every item of the table.
    reads_all: bool,
}

const WEBHOOK: Allowed = Allowed {
    role: "WebhookRole",
    actions: &[
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        // The event stream's, where there is one.
        "kinesis:DescribeStream",
        "kinesis:DescribeStreamSummary",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "sqs:SendMessage",
    ],
    writes: &["EV#", "FIND#", "NEWS#", "DEADLETTER#"],
    secrets: &["WebhookSecretArn"],
    reads_all: false,
};

const KILL_SWITCH: Allowed = Allowed {
    role: "KillSwitchRole",
    actions: &[
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
        "sns:Publish",
        "sqs:SendMessage",
    ],
    writes: &["KS#", "FIND#", "POLICY"],
    secrets: &["ApiSecretArn", LINK_SECRET],
    reads_all: true,
};

const USAGE_AGGREGATOR: Allowed = Allowed {
    role: "UsageAggregatorRole",
    actions: &[
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:BatchWriteItem",
        "sns:Publish",
    ],
    writes: &["US#", "FLEET#", "FIND#"],
    secrets: &["ApiSecretArn"],
    reads_all: false,
};

/// It faces the internet and reaches the kill-switch: nothing else, and no item but its own.
const CONSOLE: Allowed = Allowed {
    role: "ConsoleRole",
    actions: &[
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:DeleteItem",
        "lambda:InvokeFunction",
    ],
    writes: &["LINK#"],
    secrets: &[LINK_SECRET],
    reads_all: false,
};

const SCHEDULE: Allowed = Allowed {
    role: "ScheduleRole",
    actions: &["lambda:InvokeFunction", "sqs:SendMessage"],
    writes: &[],
    secrets: &[],
    reads_all: false,
};

const ALL: [Allowed; 5] = [WEBHOOK, KILL_SWITCH, USAGE_AGGREGATOR, CONSOLE, SCHEDULE];

/// The kill-switch by its name: `functions.rs` holds it to it.
const KILL_SWITCH_ARN: &str = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:\
                               function:${AWS::StackName}-kill-switch";

/// Condition keys are not checked by anyone else: a misspelt one never matches.
const CONDITION_KEYS: [&str; 2] = ["dynamodb:LeadingKeys", "aws:SourceAccount"];

const OPERATORS: [&str; 3] =
    ["ForAllValues:StringLike", "ForAllValues:StringEquals", "StringEquals"];

const READS: [&str; 3] = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"];

/// These always carry a partition key. For an action that carries none, as a scan, `ForAllValues`
/// would let everything through.
const WRITES: [&str; 5] = [
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "a role may do what its function does, and nothing more",
        check: breadth,
        breaches: &[
            Set("WebhookRole#3/Action", "\"dynamodb:*\""),
            Set("WebhookRole#3/Action", "\"*\""),
            Set("WebhookRole#2/Action/-", "\"dynamodb:Scan\""),
            Set("WebhookRole#0/Action/-", "\"sns:Publish\""),
            Set("WebhookRole#0/Action/-", "\"lambda:InvokeFunction\""),
            Set(
                "WebhookStreamPolicy/Properties/PolicyDocument/Statement/0/Action/-",
                "\"kinesis:PutRecord\"",
            ),
            Set("KillSwitchRole#2/Resource", "\"*\""),
            Set(
                "KillSwitchRole#2/Resource",
                r#"{"Fn::Sub": "arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*"}"#,
            ),
            Set(
                "KillSwitchRole/Properties/ManagedPolicyArns",
                r#"["arn:aws:iam::aws:policy/ReadOnlyAccess"]"#,
            ),
            Set("ScheduleRole#0/NotAction", "\"iam:PassRole\""),
            Set("Another", r#"{"Type": "AWS::IAM::Role", "Properties": {}}"#),
        ],
    },
    Rule {
        name: "a function writes items of its own only, and reads what it has to",
        check: leading_keys,
        breaches: &[
            Remove("WebhookRole#2/Condition"),
            Remove("WebhookRole#3/Condition"),
            Remove("KillSwitchRole#4/Condition"),
            Set(
                "WebhookRole#3/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys/-",
                "\"KS#*\"",
            ),
            Set("WebhookRole#3/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys/-", "\"*\""),
            Set(
                "WebhookRole#3/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys/-",
                "\"POLICY\"",
            ),
            Set(
                "UsageAggregatorRole#3/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys/-",
                "\"EV#*\"",
            ),
            Set(
                "UsageAggregatorRole#3/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys",
                "[]",
            ),
            Set(
                "ConsoleRole#2/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys/-",
                "\"KS#*\"",
            ),
            Remove("ConsoleRole#2/Condition"),
        ],
    },
    Rule {
        name: "condition keys and operators are spelt as AWS spells them",
        check: spelling,
        breaches: &[
            Set(
                "WebhookRole#3/Condition",
                r#"{"ForAllValues:StringLike": {"dynamodb:LeadingKey": ["EV#*"]}}"#,
            ),
            Set(
                "WebhookRole#3/Condition",
                r#"{"ForAllValue:StringLike": {"dynamodb:LeadingKeys": ["EV#*"]}}"#,
            ),
            Set(
                "ScheduleRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition",
                r#"{"StringEquals": {"aws:SourceAcount": {"Ref": "AWS::AccountId"}}}"#,
            ),
        ],
    },
    Rule {
        name: "a function reads its own secrets, the console invokes the kill-switch alone, and only \
               its service takes a role",
        check: secrets_and_trust,
        breaches: &[
            Set("WebhookRole#1/Resource", r#"{"Ref": "ApiSecretArn"}"#),
            Set("KillSwitchRole#1/Resource", r#"{"Ref": "WebhookSecretArn"}"#),
            Set("KillSwitchRole#1/Resource/-", r#"{"Ref": "WebhookSecretArn"}"#),
            Set("ConsoleRole#1/Resource", r#"{"Ref": "ApiSecretArn"}"#),
            Set(
                "ConsoleRole#3/Resource",
                r#"[{"Fn::GetAtt": ["KillSwitch", "Arn"]}, {"Fn::GetAtt": ["Webhook", "Arn"]}]"#,
            ),
            Set(
                "KillSwitchRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal",
                r#"{"AWS": "*"}"#,
            ),
            Remove("ScheduleRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition"),
            Set("UsageAggregator/Properties/Role", r#"{"Fn::GetAtt": ["KillSwitchRole", "Arn"]}"#),
        ],
    },
];

/// The statements of a role, those of its policies elsewhere included.
fn statements<'t>(template: &'t Template, role: &str) -> Vec<&'t Value> {
    let inline = each(template.at(&format!("{role}/Properties/Policies")));
    let reference = json!({ "Ref": role });
    let elsewhere = template.all("AWS::IAM::Policy");
    let elsewhere = elsewhere.into_iter().map(|(_, policy)| policy);
    let elsewhere = elsewhere.filter(|policy| each(&policy["Roles"]).contains(&&reference));
    let policies = inline.into_iter().chain(elsewhere);
    let statements = policies.filter_map(|policy| policy.pointer("/PolicyDocument/Statement"));
    statements.flat_map(each).collect()
}

fn breadth(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, properties) in template.all("AWS::IAM::Role") {
        let Some(allowed) = ALL.iter().find(|allowed| allowed.role == name) else {
            wrong.push(format!("{name}: a role that this rule does not know"));
            continue;
        };
        if !each(&properties["ManagedPolicyArns"]).is_empty() {
            wrong.push(format!("{name}: policies of others"));
        }
        for statement in statements(template, name) {
            for part in ["NotAction", "NotResource"] {
                if !statement[part].is_null() {
                    wrong.push(format!("{name}: {part}"));
                }
            }
            let actions = each_text(&statement["Action"]);
            let actions = actions.iter().filter(|action| !allowed.actions.contains(&&***action));
            wrong.extend(actions.map(|action| format!("{name} may {action}")));
            let resources = each_text(&statement["Resource"]);
            let wide = resources.iter().filter(|resource| resource.contains('*'));
            wrong.extend(wide.map(|resource| format!("{name} may do it to {resource}")));
            if resources.is_empty() {
                wrong.push(format!("{name}: a statement about nothing"));
            }
        }
    }
    wrong
}

fn leading_keys(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for allowed in &ALL {
        for statement in statements(template, allowed.role) {
            let actions = each_text(&statement["Action"]);
            let does = |list: &[&str]| actions.iter().any(|action| list.contains(&&**action));
            let (reads, writes) = (does(&READS), does(&WRITES));
            if !writes && (!reads || allowed.reads_all) {
                continue;
            }
            let conditions = statement["Condition"].as_object().into_iter().flatten();
            let keys = conditions.flat_map(|(_, of)| each_text(&of["dynamodb:LeadingKeys"]));
            let keys: Vec<String> = keys.collect();
            let (role, about) = (allowed.role, &statement["Sid"]);
            if keys.is_empty() {
                wrong.push(format!("{role} {about}: items of every key"));
            }
            let foreign = keys.iter().filter(|key| {
                let own = |prefix: &&str| key.starts_with(*prefix) && key.as_str() != "*";
                writes && !allowed.writes.iter().any(own)
            });
            wrong.extend(foreign.map(|key| format!("{role} {about}: writes {key}")));
            if keys.iter().any(|key| key.starts_with('*')) {
                wrong.push(format!("{role} {about}: items of every key"));
            }
        }
    }
    wrong
}

fn spelling(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for allowed in &ALL {
        let trust = template.at(&format!("{}/Properties/AssumeRolePolicyDocument", allowed.role));
        let trust = each(&trust["Statement"]);
        for statement in statements(template, allowed.role).into_iter().chain(trust) {
            for (operator, of) in statement["Condition"].as_object().into_iter().flatten() {
                if !OPERATORS.contains(&operator.as_str()) {
                    wrong.push(format!("{}: {operator}", allowed.role));
                }
                let keys = of.as_object().into_iter().flatten().map(|(key, _)| key);
                let unknown = keys.filter(|key| !CONDITION_KEYS.contains(&key.as_str()));
                wrong.extend(unknown.map(|key| format!("{}: {key}", allowed.role)));
            }
        }
    }
    wrong
}

fn secrets_and_trust(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for allowed in &ALL {
        let role = allowed.role;
        for statement in statements(template, role) {
            let secrets = allowed.secrets.iter().map(|secret| value_of(secret));
            let secrets: Vec<Value> = secrets.collect();
            let reads = each_text(&statement["Action"])
                .iter()
                .any(|action| action.starts_with("secretsmanager:"));
            if reads && each(&statement["Resource"]) != secrets.iter().collect::<Vec<_>>() {
                wrong.push(format!("{role} reads other secrets than {:?}", allowed.secrets));
            }
            let invokes =
                role == "ConsoleRole" && statement["Action"] == json!("lambda:InvokeFunction");
            if invokes && statement["Resource"] != json!({ "Fn::Sub": KILL_SWITCH_ARN }) {
                wrong.push(format!("{role} invokes another function"));
            }
        }
    }
    let lambda = json!([{ "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" },
                          "Action": "sts:AssumeRole" }]);
    let scheduler = json!([{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "Service": "scheduler.amazonaws.com" },
        "Condition": { "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } } }]);
    for (role, function, trust) in [
        ("WebhookRole", Some("Webhook"), &lambda),
        ("KillSwitchRole", Some("KillSwitch"), &lambda),
        ("UsageAggregatorRole", Some("UsageAggregator"), &lambda),
        ("ConsoleRole", Some("Console"), &lambda),
        ("ScheduleRole", None, &scheduler),
    ] {
        let place = format!("{role}/Properties/AssumeRolePolicyDocument/Statement");
        if template.at(&place) != trust {
            wrong.push(format!("{role} may be taken by others"));
        }
        let its = function.map(|function| template.at(&format!("{function}/Properties/Role")));
        if its.is_some_and(|its| *its != json!({ "Fn::GetAtt": [role, "Arn"] })) {
            wrong.push(format!("{role} is not its function's"));
        }
    }
    wrong
}
