//! The service's answers: Sims and errors.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use simfuse_domain::port::SimStatus;

use super::sim::SimRecord;

/// HTTP status and JSON body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// The key of the list that the body is a page of.
    pub(super) list: Option<String>,
    /// The methods that there are, where the one that was used is not.
    allow: Option<&'static str>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, list: None, allow: None }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub(super) fn page(key: &str, body: Value) -> Self {
        Self { list: Some(key.to_owned()), ..Self::ok(body) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let allow = self.allow.map(|methods| [(header::ALLOW, methods)]);
        (self.status, allow, Json(self.body)).into_response()
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let body = json!({
            "code": error.code,
            "message": error.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", error.code),
            "status": error.status.as_u16(),
        });
        Self { allow: error.allow, ..Self::new(error.status, body) }
    }
}

/// A refusal in the provider's form: `{code, message, more_info, status}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
    allow: Option<&'static str>,
}

impl ApiError {
    fn bad_request(code: u32, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), allow: None }
    }

    pub(super) fn not_found(path: &str) -> Self {
        let message = format!("The requested resource {path} was not found");
        Self { status: StatusCode::NOT_FOUND, code: 20404, message, allow: None }
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let message = "Method not allowed".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: 20004, message, allow: Some(allow) }
    }

    pub(super) fn unauthorized() -> Self {
        let message = "Authenticate".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, code: 20003, message, allow: None }
    }

    pub(super) fn bad_parameter(name: &str) -> Self {
        Self::bad_request(20001, format!("Invalid value for parameter {name}"))
    }

    pub(super) fn fleet_unknown() -> Self {
        Self::bad_request(83006, "The Fleet does not exist")
    }

    pub(super) fn fleet_needed() -> Self {
        Self::bad_request(83007, "The Sim must be assigned to a Fleet")
    }

    pub(super) fn fleet_kept() -> Self {
        Self::bad_request(83008, "The Sim must keep its Fleet while it is ready or active")
    }

    pub(super) fn fleet_fixed_while_scheduled() -> Self {
        Self::bad_request(83009, "The Fleet cannot be changed while an update is scheduled")
    }

    pub(super) fn transition_not_allowed(from: SimStatus, to: SimStatus) -> Self {
        Self::bad_request(83010, format!("Status transition from {from} to {to} is not allowed"))
    }

    pub(super) fn unique_name_taken() -> Self {
        Self::bad_request(83011, "The unique name is taken")
    }

    /// A query of usage that is refused: 83600 a wrong value, 83601 and 83602 times that are not
    /// at midnight or on the hour, 83603 and 83604 too long a time, 83605 too long ago.
    pub(super) fn usage(code: u32) -> Self {
        let message = match code {
            83601 => "StartTime and EndTime must be at midnight UTC",
            83602 => "StartTime and EndTime must be on the hour",
            83603 => "Usage by Sim spans at most 31 days",
            83604 => "The time is too long for this granularity",
            83605 => "StartTime is more than 18 months ago",
            _ => "Invalid usage parameter",
        };
        Self::bad_request(code, message)
    }

    /// An injected refusal.
    pub(super) fn refused(code: u32) -> Self {
        Self::bad_request(code, "Refused by the simulated service")
    }

    /// An injected status, with the provider's code for it.
    pub(super) fn injected(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = match status.as_u16() {
            401 => 20003,
            other => 20_000_u32.saturating_add(other.into()),
        };
        Self { status, code, message: "Injected by the simulated service".to_owned(), allow: None }
    }
}

/// A Sim as the OpenAPI description shapes it.
pub(super) fn sim_json(record: &SimRecord, account_sid: &str, origin: &str) -> Value {
    let sid = record.sim.sid.to_string();
    let url = format!("{origin}/v1/Sims/{sid}");
    json!({
        "sid": sid,
        "unique_name": record.sim.unique_name,
        "account_sid": account_sid,
        "iccid": record.sim.iccid,
        "status": record.sim.status,
        "fleet_sid": record.sim.fleet,
        "date_created": instant(record.created),
        "date_updated": instant(record.updated),
        "url": url,
        "links": {
            "billing_periods": format!("{url}/BillingPeriods"),
            "sim_ip_addresses": format!("{url}/IpAddresses"),
        },
    })
}

/// A time as the API writes it: UTC, whole seconds.
pub(super) fn instant(time: Timestamp) -> String {
    format!("{time:.0}")
}
