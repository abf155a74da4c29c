//! From the SDK's errors to the port's: what may succeed later, and what will not.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use simfuse_domain::port::TableError;

/// Codes of answers that say nothing against the request itself (DynamoDB developer guide, "Error
/// handling"). Answers with a status of 500 and above count as well, whatever their code.
const UNAVAILABLE_CODES: [&str; 7] = [
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// The port's error for a failed call.
pub(super) fn table_error<E>(doing: &str, error: SdkError<E, HttpResponse>) -> TableError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let doing = doing.to_owned();
    if is_unavailable(&error) {
        return TableError::Unavailable { doing, source: Some(Box::new(error)) };
    }
    let reason = match error.as_service_error() {
        Some(answer) => answer.code().unwrap_or("an answer without a code").to_owned(),
        None => "the request could not be made".to_owned(),
    };
    TableError::Fault { doing, reason, source: Some(Box::new(error)) }
}

fn is_unavailable<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    if let SdkError::ServiceError(answer) = error {
        let code = answer.err().code().unwrap_or_default();
        let status = answer.raw().status();
        // A success that cannot be read, a proxy's page or half an answer, says nothing either.
        return status.is_success()
            || status.is_server_error()
            || UNAVAILABLE_CODES.contains(&code);
    }
    !matches!(error, SdkError::ConstructionFailure(_))
}

/// Something is wrong with a request or an item.
pub(super) fn fault(doing: &str, reason: impl Into<String>) -> TableError {
    TableError::Fault { doing: doing.to_owned(), reason: reason.into(), source: None }
}

/// Something is wrong with a request or an item, and another error says what.
pub(super) fn fault_from(
    doing: &str,
    reason: &str,
    source: impl Error + Send + Sync + 'static,
) -> TableError {
    TableError::Fault {
        doing: doing.to_owned(),
        reason: reason.to_owned(),
        source: Some(Box::new(source)),
    }
}
