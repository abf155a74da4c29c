//! Where requests go: checked once, so that credentials are never sent in the clear.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

use crate::provider::Provider;

/// Why a text is not an address to send credentials to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL.
    #[error("not a URL")]
    NotAUrl,
    /// Credentials would be sent in the clear.
    #[error("not https (http only for a loopback address)")]
    NotHttps,
    /// It holds more than scheme, host and port.
    #[error("an origin has no path, query, fragment or user: leave out /v1")]
    NotAnOrigin,
    /// It holds a user, a query or a fragment.
    #[error("a token URL has no user, query or fragment")]
    NotAnEndpoint,
}

/// Why the address of a page is not followed: credentials are sent to the API's own origin only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    #[error("it is not a URL")]
    NotAUrl,
    #[error("it has another scheme than the API")]
    Scheme,
    #[error("it is on another host than the API")]
    Host,
    #[error("it is on another port than the API")]
    Port,
    #[error("its path is not under /v1/")]
    Path,
    #[error("it names a user")]
    User,
}

/// Scheme, host and port of the REST API; the paths, with `/v1`, are the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiOrigin(Url);

/// The OAuth2 token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUrl(Url);

impl ApiOrigin {
    /// The provider's own API.
    ///
    /// # Errors
    /// Never: the compiled-in address is one.
    pub fn default_of(provider: Provider) -> Result<Self, UrlError> {
        provider.default_api_origin().parse()
    }

    /// `/v1/Sims`
    pub(super) fn sims(&self) -> Url {
        self.list("/v1/Sims")
    }

    /// `/v1/Sims/{name}`, or `None` for a name that cannot be part of a path.
    pub(super) fn sim(&self, name: &str) -> Option<Url> {
        with_segments(self.sims(), &[name])
    }

    /// `/v1/Sims/{sim}/BillingPeriods`
    pub(super) fn billing_periods(&self, sim: &str) -> Option<Url> {
        with_segments(self.sims(), &[sim, "BillingPeriods"])
    }

    /// `/v1/Fleets`
    pub(super) fn fleets(&self) -> Url {
        self.list("/v1/Fleets")
    }

    /// `/v1/Fleets/{name}`, or `None` for a name that cannot be part of a path.
    pub(super) fn fleet(&self, name: &str) -> Option<Url> {
        with_segments(self.fleets(), &[name])
    }

    /// `/v1/Networks`
    pub(super) fn networks(&self) -> Url {
        self.list("/v1/Networks")
    }

    /// `/v1/UsageRecords`
    pub(super) fn usage_records(&self) -> Url {
        self.list("/v1/UsageRecords")
    }

    /// The address of a page, if it may be given credentials: only the API's own may.
    pub(super) fn page(&self, link: &str) -> Result<Url, LinkError> {
        let url: Url = link.parse().map_err(|_syntax| LinkError::NotAUrl)?;
        if url.scheme() != self.0.scheme() {
            Err(LinkError::Scheme)
        } else if url.host() != self.0.host() {
            Err(LinkError::Host)
        } else if url.port_or_known_default() != self.0.port_or_known_default() {
            Err(LinkError::Port)
        } else if !url.path().starts_with("/v1/") {
            Err(LinkError::Path)
        } else if !url.username().is_empty() || url.password().is_some() {
            Err(LinkError::User)
        } else {
            Ok(url)
        }
    }

    fn list(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
}

/// Appends to a path; `None` where one of the names cannot be part of it: the list, or another
/// resource, would answer in its place.
fn with_segments(mut url: Url, names: &[&str]) -> Option<Url> {
    if names.iter().any(|name| matches!(*name, "" | "." | "..")) {
        return None;
    }
    url.path_segments_mut().ok()?.extend(names);
    Some(url)
}

impl TokenUrl {
    /// KORE's own endpoint; Twilio's clients take it too, and never call it.
    ///
    /// # Errors
    /// Never: the compiled-in address is one.
    pub fn default_of(provider: Provider) -> Result<Self, UrlError> {
        let kores = Provider::Kore.default_token_url();
        provider.default_token_url().or(kores).ok_or(UrlError::NotAUrl)?.parse()
    }

    pub(super) const fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for ApiOrigin {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url = safe_url(text)?;
        if url.path() == "/" && is_plain(&url) { Ok(Self(url)) } else { Err(UrlError::NotAnOrigin) }
    }
}

impl FromStr for TokenUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url = safe_url(text)?;
        if is_plain(&url) { Ok(Self(url)) } else { Err(UrlError::NotAnEndpoint) }
    }
}

impl fmt::Display for ApiOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

fn is_plain(url: &Url) -> bool {
    url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

fn safe_url(text: &str) -> Result<Url, UrlError> {
    let url: Url = text.parse().map_err(|_syntax| UrlError::NotAUrl)?;
    let host = url.host_str().ok_or(UrlError::NotAUrl)?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(UrlError::NotHttps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_on_this_machine() {
        for (text, expected) in [
            ("https://supersim.twilio.com", Ok("https://supersim.twilio.com")),
            ("https://h.example:8443/", Ok("https://h.example:8443")),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("http://localhost:1", Ok("http://localhost:1")),
            ("http://h.example", Err(UrlError::NotHttps)),
            ("http://127.0.0.1.h.example", Err(UrlError::NotHttps)),
            ("ftp://h.example", Err(UrlError::NotHttps)),
            ("https://h.example/v1", Err(UrlError::NotAnOrigin)),
            ("https://h.example?a", Err(UrlError::NotAnOrigin)),
            ("https://u@h.example", Err(UrlError::NotAnOrigin)),
            ("h.example", Err(UrlError::NotAUrl)),
            ("", Err(UrlError::NotAUrl)),
        ] {
            let origin = text.parse::<ApiOrigin>().map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), expected.as_ref().copied(), "{text}");
        }
        assert_eq!("http://h.example/t".parse::<TokenUrl>(), Err(UrlError::NotHttps));
        assert_eq!("https://h.example/t?a".parse::<TokenUrl>(), Err(UrlError::NotAnEndpoint));
    }

    #[test]
    fn the_defaults_are_what_they_are_said_to_be() {
        for provider in [Provider::Twilio, Provider::Kore] {
            let origin = ApiOrigin::default_of(provider).unwrap();
            assert_eq!(origin.to_string(), provider.default_api_origin());
            let token_url = TokenUrl::default_of(provider).unwrap();
            assert_eq!(Some(&*token_url.to_string()), Provider::Kore.default_token_url());
        }
    }

    #[test]
    fn a_name_is_one_segment_of_the_path() {
        let origin: ApiOrigin = "https://h.example".parse().unwrap();
        for (name, path) in [
            ("pump-17", Some("/v1/Sims/pump-17")),
            ("a/../b?c#d", Some("/v1/Sims/a%2F..%2Fb%3Fc%23d")),
            ("%2e%2e", Some("/v1/Sims/%252e%252e")),
            ("größe 1", Some("/v1/Sims/gr%C3%B6%C3%9Fe%201")),
            ("..", None),
            (".", None),
            ("", None),
        ] {
            let url = origin.sim(name);
            assert_eq!(url.as_ref().map(Url::path), path, "{name}");
            assert_eq!(url.as_ref().and_then(Url::query), None);
        }
    }

    #[test]
    fn a_page_is_on_the_api_s_own_origin_under_v1() {
        for (origin, link, expected) in [
            ("https://h.example", "https://h.example/v1/Sims?Page=1", Ok(())),
            ("https://h.example", "https://h.example:443/v1/Sims", Ok(())),
            ("https://h.example", "https://H.EXAMPLE/v1/Sims", Ok(())),
            ("http://127.0.0.1:81", "http://127.0.0.1:81/v1/Sims", Ok(())),
            ("https://h.example", "http://h.example/v1/Sims", Err(LinkError::Scheme)),
            ("https://h.example", "https://h.example.org/v1/Sims", Err(LinkError::Host)),
            ("https://h.example", "https://h.example@other.example/v1/", Err(LinkError::Host)),
            ("https://h.example", "https://h.example:444/v1/Sims", Err(LinkError::Port)),
            ("http://127.0.0.1:81", "http://127.0.0.1/v1/Sims", Err(LinkError::Port)),
            ("https://h.example", "https://h.example/v2/Sims", Err(LinkError::Path)),
            ("https://h.example", "https://h.example/v1", Err(LinkError::Path)),
            ("https://h.example", "https://h.example/v1/../Sims", Err(LinkError::Path)),
            ("https://h.example", "https://h.example/v1/%2e%2e/Sims", Err(LinkError::Path)),
            ("https://h.example", "https://u:p@h.example/v1/Sims", Err(LinkError::User)),
            ("https://h.example", "/v1/Sims?Page=1", Err(LinkError::NotAUrl)),
            ("https://h.example", "", Err(LinkError::NotAUrl)),
        ] {
            let origin: ApiOrigin = origin.parse().unwrap();
            assert_eq!(origin.page(link).map(drop), expected, "{link}");
        }
    }
}
