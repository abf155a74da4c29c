//! Lists, page by page.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use simfuse_domain::port::{Page, PageLink, ProviderError};

use super::SuperSimClient;
use super::answer::{unavailable, unreadable};
use super::url::{ApiOrigin, LinkError};

/// Elements asked for on a page: the most that either provider gives.
pub const PAGE_SIZE: usize = 1000;

/// The same for usage records, where KORE gives fewer.
pub const USAGE_PAGE_SIZE: usize = 249;

/// The longest page that is read: 1,000 SIMs take some 600 kB, and names may be long.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Meta {
    next_page_url: Option<String>,
}

impl SuperSimClient {
    /// Reads the first page of a list, or the one that is linked to. `read` makes what stands on it
    /// of an element, or says that it cannot be read.
    pub(super) async fn page<A: DeserializeOwned, T>(
        &self,
        first: Url,
        link: Option<&PageLink>,
        key: &str,
        read: impl Fn(A) -> Option<T>,
    ) -> Result<Page<T>, ProviderError> {
        let url = match link {
            None => first,
            Some(PageLink(link)) => self.origin.page(link).map_err(foreign)?,
        };
        page_of(&self.read(&url).await?, key, &self.origin, read)
    }
}

/// Asks for pages of this size.
pub(super) fn with_page_size(mut url: Url, size: usize) -> Url {
    url.query_pairs_mut().append_pair("PageSize", &size.to_string());
    url
}

/// A list or a link that is absent altogether is no list: taken as empty, or as the end, it would
/// make SIMs disappear.
fn page_of<A: DeserializeOwned, T>(
    body: &[u8],
    key: &str,
    origin: &ApiOrigin,
    read: impl Fn(A) -> Option<T>,
) -> Result<Page<T>, ProviderError> {
    let parts: BTreeMap<String, &RawValue> = serde_json::from_slice(body).map_err(unreadable)?;
    let part = |name| {
        let missing = || unavailable(format!("the page has no {name:?}"));
        parts.get(name).ok_or_else(missing)
    };
    let elements: Vec<&RawValue> = serde_json::from_str(part(key)?.get()).map_err(unreadable)?;
    let meta: Meta = serde_json::from_str(part("meta")?.get()).map_err(unreadable)?;
    let count = elements.len();
    let element = |raw: &RawValue| read(serde_json::from_str(raw.get()).ok()?);
    let items: Vec<T> = elements.into_iter().filter_map(element).collect();
    let unreadable = count.saturating_sub(items.len());
    let next = meta.next_page_url.map(|link| origin.page(&link).map(|_own| PageLink(link)));
    Ok(Page { items, unreadable, next: next.transpose().map_err(foreign)? })
}

fn foreign(error: LinkError) -> ProviderError {
    let reason = "the address of a page is not the API's own".to_owned();
    ProviderError::Unavailable { reason, source: Some(error.into()) }
}
