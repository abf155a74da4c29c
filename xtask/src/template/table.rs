//! The table, of which an emulator applies neither expiry nor recovery.

use super::Breach::{Remove, Set};
use super::{Rule, Template};

pub(super) const RULES: &[Rule] = &[Rule {
    name: "the table is as docs/architecture.md says, and outlives the stack",
    check: table,
    breaches: &[
        Set("Table/Properties/TimeToLiveSpecification/AttributeName", "\"ttl\""),
        Set("Table/Properties/TimeToLiveSpecification/Enabled", "false"),
        Remove("Table/Properties/PointInTimeRecoverySpecification"),
        Set("Table/Properties/StreamSpecification/StreamViewType", "\"KEYS_ONLY\""),
        Set("Table/Properties/BillingMode", "\"PROVISIONED\""),
        Set("Table/Properties/GlobalSecondaryIndexes/0", "{}"),
        Set("Table/Properties/KeySchema", "[]"),
        Remove("Table/DeletionPolicy"),
        Set("Table/UpdateReplacePolicy", "\"Delete\""),
    ],
}];

fn table(template: &Template) -> Vec<String> {
    template.expect(&[
        ("Table/DeletionPolicy", "\"Retain\""),
        ("Table/UpdateReplacePolicy", "\"Retain\""),
        ("Table/Properties/BillingMode", "\"PAY_PER_REQUEST\""),
        (
            "Table/Properties/KeySchema",
            r#"[{"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"}]"#,
        ),
        (
            "Table/Properties/GlobalSecondaryIndexes",
            r#"[{"IndexName": "index", "Projection": {"ProjectionType": "ALL"},
                 "KeySchema": [{"AttributeName": "ipk", "KeyType": "HASH"},
                               {"AttributeName": "isk", "KeyType": "RANGE"}]}]"#,
        ),
        ("Table/Properties/StreamSpecification/StreamViewType", "\"NEW_AND_OLD_IMAGES\""),
        (
            "Table/Properties/TimeToLiveSpecification",
            r#"{"AttributeName": "expires_at", "Enabled": true}"#,
        ),
        (
            "Table/Properties/PointInTimeRecoverySpecification",
            r#"{"PointInTimeRecoveryEnabled": true}"#,
        ),
    ])
}
