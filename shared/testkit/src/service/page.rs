//! Lists, page by page: which page is asked for, and the envelope that it comes in.

use std::fmt;

use serde_json::{Value, json};

use super::answer::{Answer, ApiError};
use super::http::Call;

/// Elements on a page where the request does not say, and at most (OpenAPI description).
const PAGE_SIZE: usize = 50;
pub(super) const PAGE_SIZE_MAX: usize = 1000;

/// What tokens begin with; the rest is the list's own.
const TOKEN_PREFIX: &str = "PA";

/// Which page of a list is wanted.
#[derive(Debug)]
pub(super) struct Asked {
    number: usize,
    pub(super) size: usize,
    /// Where the page begins, in the list's own words; a number alone counts pages from the first.
    pub(super) token: Option<String>,
}

/// What stands on a page, and where the next one begins.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) items: Vec<Value>,
    pub(super) next: Option<String>,
}

impl Slice {
    /// The page after the last.
    pub(super) fn empty() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

impl Asked {
    pub(super) fn read(call: &Call, size_max: usize) -> Result<Self, ApiError> {
        let number = |name, default| match call.field(name).map(str::parse::<usize>) {
            None => Ok(default),
            Some(Ok(number)) => Ok(number),
            Some(Err(_)) => Err(ApiError::bad_parameter(name)),
        };
        let token = call.field("PageToken").map(|token| {
            let rest = token.strip_prefix(TOKEN_PREFIX).map(str::to_owned);
            rest.ok_or_else(|| ApiError::bad_parameter("PageToken"))
        });
        let (number, size) = (number("Page", 0)?, number("PageSize", PAGE_SIZE)?);
        if (1..=size_max).contains(&size) {
            Ok(Self { number, size, token: token.transpose()? })
        } else {
            Err(ApiError::bad_parameter("PageSize"))
        }
    }

    /// Elements before the page, by its number.
    pub(super) fn skipped(&self) -> usize {
        self.number.saturating_mul(self.size)
    }

    /// Pages before this one.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The page of a short list, which is at hand as a whole.
    pub(super) fn of_all(&self, all: Vec<Value>) -> Result<Slice, ApiError> {
        let first = match &self.token {
            None => self.skipped(),
            Some(token) => token.parse().map_err(|_| ApiError::bad_parameter("PageToken"))?,
        };
        let after = first.saturating_add(self.size);
        let next = (after < all.len()).then(|| after.to_string());
        let items = all.into_iter().skip(first).take(self.size).collect();
        Ok(Slice { items, next })
    }

    /// The page in the documented envelope. Its links keep the request's filters as they were
    /// written.
    pub(super) fn answer(&self, call: &Call, key: &str, slice: Slice) -> Answer {
        let filters: String = call
            .query
            .split('&')
            .filter(|part| !part.is_empty() && !part.starts_with("Page"))
            .flat_map(|part| [part, "&"])
            .collect();
        let base = format!("{}{}", call.origin, call.path);
        let url = |number: usize, token: Option<&dyn fmt::Display>| {
            let token = token.map(|token| format!("&PageToken={TOKEN_PREFIX}{token}"));
            let token = token.unwrap_or_default();
            format!("{base}?{filters}PageSize={}&Page={number}{token}", self.size)
        };
        let own = self.token.as_ref().map(|token| token as &dyn fmt::Display);
        let next = slice.next.map(|token| url(self.number.saturating_add(1), Some(&token)));
        Answer::page(
            key,
            json!({
                key: slice.items,
                "meta": {
                    "key": key,
                    "page": self.number,
                    "page_size": self.size,
                    "first_page_url": url(0, None),
                    "previous_page_url": self.number.checked_sub(1).map(|before| url(before, None)),
                    "url": url(self.number, own),
                    "next_page_url": next,
                },
            }),
        )
    }
}
