//! A deployed stack: its kill-switch is found through CloudFormation and invoked through Lambda, and
//! its table is found and read, with the credentials and the region of the environment. Nothing else
//! in this program uses them.

use std::error::Error;
use std::time::Duration;

use aws_sdk_cloudformation as cloudformation;
use aws_sdk_dynamodb as dynamodb;
use aws_sdk_lambda as lambda;
use aws_sdk_sts as sts;
use dynamodb::config::retry::RetryConfig;
use lambda::config::ProvideCredentials as _;
use lambda::error::{ProvideErrorMetadata, SdkError};
use lambda::primitives::Blob;
use serde::Deserialize;
use simfuse_aws::{SdkConfig, Table};
use simfuse_domain::chain::Chain;
use simfuse_kill_switch::request::{Action, Answer, Request};

use crate::error::CliError;
use crate::output::note;

/// The kill-switch's name in the template.
const KILL_SWITCH: &str = "KillSwitch";

/// The table's name in the template.
const TABLE: &str = "Table";

/// What a role has to be allowed on the table, to read all of it.
pub(crate) const TABLE_RIGHTS: &str =
    "dynamodb:DescribeTable, Scan, Query, GetItem and BatchGetItem on the table";

/// How often a page is asked for before all that was read is given up.
const READ_TRIES_MAX: u32 = 10;

/// A page of a table takes far less.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// The deployed function's own time limit is three minutes; this is a little more.
const INVOKE_WITHIN: Duration = Duration::from_secs(185);

/// What is only said about a stack is asked for this long: a kill must not wait for it.
const SAY_WITHIN: Duration = Duration::from_secs(3);

/// The kill-switch of a deployed stack.
pub(crate) struct Stack {
    client: lambda::Client,
    function: String,
    account: String,
    region: String,
}

impl Stack {
    /// Finds the kill-switch of the stack of this name.
    pub(crate) async fn find(name: &str) -> Result<Self, CliError> {
        let account = Account::of_environment(INVOKE_WITHIN, "lambda:InvokeFunction").await?;
        let function = account.resource(name, KILL_SWITCH).await?;
        let Account { config, id, region } = account;
        Ok(Self { client: lambda::Client::new(&config), function, account: id, region })
    }

    /// Says on standard error where a request is about to go, and in which mode that place is. A
    /// mode that cannot be learnt soon stops nobody: a human's kill may be needed all the more.
    pub(crate) async fn announce(&self) {
        let status = Request::of(Action::Status);
        let asked = tokio::time::timeout(SAY_WITHIN, Box::pin(self.invoke(&status))).await;
        let late = || Err(CliError::Remote("it did not answer in time".to_owned()));
        let mode = match asked.unwrap_or_else(|_elapsed| late()) {
            Ok(Answer { status: Some(status), .. }) => {
                let stopped = if status.stopped.is_some() { ", stopped" } else { "" };
                format!("policy {}, function {}{stopped}", status.policy_mode, status.armed)
            }
            Ok(_) => "unknown (it did not say)".to_owned(),
            Err(error) => format!("unknown ({})", crate::error::sentence(&error)),
        };
        let Self { account, region, function, .. } = self;
        note(&format!("account {account}, region {region}, function {function}, mode: {mode}"));
    }

    /// Lambda's Invoke call.
    pub(crate) async fn invoke(&self, request: &Request) -> Result<Answer, CliError> {
        let doing = format!("invoking {}", self.function);
        let fault = CliError::local(&doing);
        let payload = serde_json::to_vec(request).map_err(|error| fault(error.into()))?;
        let call = self.client.invoke().function_name(&self.function).payload(Blob::new(payload));
        let answer = call.send().await.map_err(|error| failed(&doing, error))?;
        let body = answer.payload.unwrap_or_else(|| Blob::new(Vec::new())).into_inner();
        match answer.function_error {
            Some(kind) => Err(function_failed(&self.function, &kind, &body)),
            None => serde_json::from_slice(&body).map_err(|error| fault(error.into())),
        }
    }
}

/// Finds the table of the stack of this name, to be read, and says on standard error which it is.
pub(crate) async fn table_of(name: &str) -> Result<Table, CliError> {
    let account = Account::of_environment(READ_WITHIN, TABLE_RIGHTS).await?;
    let table = account.resource(name, TABLE).await?;
    let Account { config, id, region } = account;
    note(&format!("account {id}, region {region}, table {table}, which is only read"));
    // Nobody waits for it, and what the functions read comes first.
    let retries = RetryConfig::adaptive().with_max_attempts(READ_TRIES_MAX);
    let config = dynamodb::config::Builder::from(&config).retry_config(retries).build();
    Ok(Table::new(dynamodb::Client::from_conf(config), table))
}

/// The account that the environment's credentials are of.
struct Account {
    config: SdkConfig,
    id: String,
    region: String,
}

impl Account {
    /// Calls may take this long; what a role needs beside finding a resource is told to whoever has no
    /// credentials.
    async fn of_environment(call_within: Duration, rights: &str) -> Result<Self, CliError> {
        let config = simfuse_aws::client::operator_config(call_within).await;
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            CliError::Remote(
                "no AWS region: set AWS_REGION, or AWS_PROFILE to one that has it".into(),
            )
        })?;
        let no_credentials = |why: &str| {
            CliError::Remote(format!(
                "no AWS credentials ({why}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                 AWS_PROFILE; a role needs cloudformation:DescribeStackResource and {rights}"
            ))
        };
        let provider = config.credentials_provider();
        let provider = provider.ok_or_else(|| no_credentials("none are configured"))?;
        let usable = provider.provide_credentials().await;
        usable.map_err(|error| no_credentials(&Chain(&error).to_string()))?;
        // Only said: a kill does not wait for it, and does without it.
        let caller = sts::Client::new(&config).get_caller_identity().send();
        let caller = tokio::time::timeout(SAY_WITHIN, Box::pin(caller)).await;
        let id = caller.ok().and_then(|caller| caller.ok()?.account);
        Ok(Self { config, id: id.unwrap_or_else(|| "unknown".to_owned()), region })
    }

    /// What a resource of the template is called in the stack of this name.
    async fn resource(&self, stack: &str, logical_id: &str) -> Result<String, CliError> {
        let resource = cloudformation::Client::new(&self.config)
            .describe_stack_resource()
            .stack_name(stack)
            .logical_resource_id(logical_id)
            .send()
            .await;
        let Self { id, region, .. } = self;
        let doing = format!("finding {logical_id} of stack {stack} in account {id}, {region}");
        let resource = resource.map_err(|error| failed(&doing, error))?.stack_resource_detail;
        let physical_id = resource.and_then(|resource| resource.physical_resource_id);
        physical_id.filter(|id| !id.is_empty()).ok_or_else(|| {
            CliError::Remote(format!("{doing}: it has no physical name, so it is not deployed yet"))
        })
    }
}

/// What a service or the way to it says, in one sentence.
fn failed<E, R>(doing: &str, error: SdkError<E, R>) -> CliError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let said = error.as_service_error().map(|answer| {
        let message = answer.message().unwrap_or("no reason given");
        format!("{message} ({})", answer.code().unwrap_or("no code"))
    });
    CliError::Remote(format!("{doing}: {}", said.unwrap_or_else(|| Chain(&error).to_string())))
}

/// An answer with a FunctionError: the function failed, not the call.
fn function_failed(function: &str, kind: &str, body: &[u8]) -> CliError {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure {
        error_type: Option<String>,
        error_message: Option<String>,
    }
    let said = match serde_json::from_slice(body) {
        Ok(Failure { error_type: Some(what), error_message: Some(message) }) => {
            format!("{message} ({what})")
        }
        Ok(Failure { error_message: Some(message), .. }) => message,
        Ok(_) | Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    CliError::Remote(format!("{function} failed ({kind}): {said}"))
}
