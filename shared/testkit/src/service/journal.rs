//! What the service was asked, and what it answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;
use simfuse_domain::id::SimSid;

/// Requests kept; the oldest go first, so that a service which runs for days does not grow.
pub const REQUESTS_MAX: usize = 100_000;

/// One request, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Virtual time of arrival.
    pub at: Timestamp,
    /// Real time of arrival, for measuring how fast a deactivation was.
    pub arrived: Instant,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The SIM that the request names, whether by SID, by unique name or by `Iccid`.
    pub sim: Option<SimSid>,
    /// Fields of the form, or of the query of a GET; the value of `client_secret` is left out.
    pub form: BTreeMap<String, String>,
    /// HTTP status of the answer; `None` while there is none, and for ever after a
    /// [`Hang`](super::Fault::Hang).
    pub answer: Option<u16>,
}

impl Request {
    /// The status that the request asked for, when it asked for one.
    #[must_use]
    pub fn status_wanted(&self) -> Option<&str> {
        let status = self.form.get("Status").map(String::as_str);
        status.filter(|_| self.method == "POST")
    }
}

/// The requests so far, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Journal {
    requests: VecDeque<Request>,
    forgotten: u64,
}

/// Which request an answer belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId(u64);

impl Journal {
    pub(super) fn arrived(&mut self, mut request: Request) -> RequestId {
        if let Some(secret) = request.form.get_mut("client_secret") {
            secret.clear();
        }
        self.requests.push_back(request);
        if self.requests.len() > REQUESTS_MAX {
            self.requests.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
        let kept = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        RequestId(self.forgotten.saturating_add(kept).saturating_sub(1))
    }

    pub(super) fn answered(&mut self, id: RequestId, status: u16) {
        let index = id.0.checked_sub(self.forgotten).and_then(|index| usize::try_from(index).ok());
        if let Some(request) = index.and_then(|index| self.requests.get_mut(index)) {
            request.answer = Some(status);
        }
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: String) -> Request {
        Request {
            at: Timestamp::UNIX_EPOCH,
            arrived: Instant::now(),
            method: "GET".to_owned(),
            path,
            sim: None,
            form: BTreeMap::from([("client_secret".to_owned(), "hush".to_owned())]),
            answer: None,
        }
    }

    #[test]
    fn forgets_the_oldest_and_still_files_answers_rightly() {
        let mut journal = Journal::default();
        let first = journal.arrived(request("first".to_owned()));
        let mut last = first;
        for n in 0..REQUESTS_MAX {
            last = journal.arrived(request(n.to_string()));
        }
        journal.answered(first, 500);
        journal.answered(last, 200);
        assert_eq!(journal.requests().count(), REQUESTS_MAX);
        let answered: Vec<_> = journal.requests().filter(|asked| asked.answer.is_some()).collect();
        assert_eq!(answered.len(), 1, "the answer to a forgotten request goes nowhere");
        assert_eq!(answered[0].path, (REQUESTS_MAX - 1).to_string());
        assert_eq!(answered[0].form["client_secret"], "", "no secret is kept");
    }
}
