//! Signatures of webhook requests: verification, and signing for replays and tests.
//!
//! Everything works on the URL's text as it is: a URL library normalises host, port and escapes,
//! and each of these changes what was signed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::provider::Provider;

/// Twilio's header: base64 of HMAC-SHA1.
pub const TWILIO_SIGNATURE_HEADER: &str = "x-twilio-signature";

/// KORE's header: SHA-256 in hexadecimal; empty when the account has no secret.
pub const KORE_SIGNATURE_HEADER: &str = "kore-signature";

/// The query parameter in which Twilio puts the SHA-256 of a JSON body. Without it the signature
/// would say nothing about the body.
const BODY_HASH_PARAMETER: &str = "bodySHA256";

/// Base64 of the 20 bytes of HMAC-SHA1.
const TWILIO_SIGNATURE_LENGTH: usize = 28;

/// The parts of a webhook request that its signature covers.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// HTTP method, in upper case as it came.
    pub method: &'a str,
    /// The full public URL that the provider called, with the raw query string.
    pub url: &'a str,
    /// The value of the provider's signature header.
    pub signature: Option<&'a str>,
    /// The body as it came, before anything is parsed.
    pub body: &'a [u8],
}

/// Why a request is not to be trusted. All but `NoSecret` are answered alike, so that a caller
/// learns nothing from the difference; it is for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no secret, or only empty ones: nothing can be verified.
    #[error("no signing secret is known")]
    NoSecret,
    /// The header is absent or empty.
    #[error("the request carries no signature")]
    Absent,
    /// Twilio: the query holds no hash of the body.
    #[error("the query holds no bodySHA256")]
    BodyHashAbsent,
    /// Twilio: the URL is rightly signed, but belongs to another body.
    #[error("bodySHA256 is not the hash of the body")]
    BodyHashWrong,
    /// No secret gives this signature.
    #[error("the signature does not match")]
    Mismatch,
}

/// Verifies webhook requests of one provider against one secret, or two while they are rotated.
pub struct Verifier {
    keys: Keys,
}

/// The secrets as hash states that have already taken them in: each request only clones them.
enum Keys {
    Twilio(Vec<Hmac<Sha1>>),
    Kore(Vec<Sha256>),
}

/// Shows how many secrets there are, and nothing of them.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (provider, secrets) = match &self.keys {
            Keys::Twilio(keys) => (Provider::Twilio, keys.len()),
            Keys::Kore(keys) => (Provider::Kore, keys.len()),
        };
        f.debug_struct("Verifier").field("provider", &provider).field("secrets", &secrets).finish()
    }
}

impl Verifier {
    /// A verifier that accepts a signature by any of the secrets, which may have any length. An
    /// empty secret is left out: it would let everyone sign.
    #[must_use]
    pub fn new(provider: Provider, secrets: Vec<SecretString>) -> Self {
        let secrets = secrets.iter().filter(|secret| !secret.expose_secret().is_empty());
        let keys = match provider {
            Provider::Twilio => Keys::Twilio(secrets.map(twilio_key).collect()),
            Provider::Kore => Keys::Kore(secrets.map(kore_key).collect()),
        };
        Self { keys }
    }

    /// Checks that the provider signed this request.
    ///
    /// # Errors
    /// [`SignatureError`] when it is not proven that it did.
    pub fn verify(&self, request: &SignedRequest<'_>) -> Result<(), SignatureError> {
        let no_secret = match &self.keys {
            Keys::Twilio(keys) => keys.is_empty(),
            Keys::Kore(keys) => keys.is_empty(),
        };
        if no_secret {
            return Err(SignatureError::NoSecret);
        }
        let signature =
            request.signature.filter(|text| !text.is_empty()).ok_or(SignatureError::Absent)?;
        match &self.keys {
            Keys::Twilio(keys) => verify_twilio(keys, request, signature),
            Keys::Kore(keys) => verify_kore(keys, request, signature),
        }
    }
}

/// The cheap checks come first: a body of a forger is not hashed at all, any other once.
fn verify_twilio(
    keys: &[Hmac<Sha1>],
    request: &SignedRequest<'_>,
    signature: &str,
) -> Result<(), SignatureError> {
    if body_hashes(request.url).next().is_none() {
        return Err(SignatureError::BodyHashAbsent);
    }
    let as_sent = Some([request.url, "", ""]);
    let urls = [as_sent, toggle_default_port(request.url)];
    let signed = keys.iter().any(|key| {
        urls.iter().flatten().any(|url| {
            let expected = twilio_signature(key, url);
            expected.ct_eq(signature.as_bytes()).into()
        })
    });
    if !signed {
        return Err(SignatureError::Mismatch);
    }
    let body_hash = Sha256::digest(request.body);
    let hash_is_right = |text: &str| {
        let mut claimed = [0; 32];
        hex::decode_to_slice(text, &mut claimed).is_ok()
            && bool::from(claimed.ct_eq(body_hash.as_slice()))
    };
    if body_hashes(request.url).all(hash_is_right) {
        Ok(())
    } else {
        Err(SignatureError::BodyHashWrong)
    }
}

/// KORE signs the JSON without insignificant whitespace whatever it sends (documentation, *Validate
/// webhook signatures*), so that form is tried after the raw bytes.
fn verify_kore(
    keys: &[Sha256],
    request: &SignedRequest<'_>,
    signature: &str,
) -> Result<(), SignatureError> {
    let mut claimed = [0; 32];
    hex::decode_to_slice(signature, &mut claimed).map_err(|_not_hex| SignatureError::Mismatch)?;
    let before_body = |key: &Sha256| {
        let hash = key.clone().chain_update(request.method);
        hash.chain_update(without_query(request.url))
    };
    let matches = |hash: Sha256| bool::from(claimed.ct_eq(hash.finalize().as_slice()));

    if keys.iter().any(|key| matches(before_body(key).chain_update(request.body))) {
        return Ok(());
    }
    let minified = |key| {
        let mut hash = before_body(key);
        significant(request.body).for_each(|part| hash.update(part));
        hash
    };
    if keys.iter().any(|key| matches(minified(key))) {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
fn twilio_key(secret: &SecretString) -> Hmac<Sha1> {
    Hmac::new_from_slice(secret.expose_secret().as_bytes()).expect("a key of any length")
}

fn kore_key(secret: &SecretString) -> Sha256 {
    Sha256::new_with_prefix(secret.expose_secret())
}

/// The signature of a text that comes in parts.
fn twilio_signature(key: &Hmac<Sha1>, parts: &[&str]) -> [u8; TWILIO_SIGNATURE_LENGTH] {
    let mut mac = key.clone();
    for part in parts {
        mac.update(part.as_bytes());
    }
    let mut text = [0; TWILIO_SIGNATURE_LENGTH];
    let written = BASE64.encode_slice(mac.finalize().into_bytes(), &mut text);
    debug_assert_eq!(written, Ok(TWILIO_SIGNATURE_LENGTH), "20 bytes are 28 characters");
    text
}

/// The values of every `bodySHA256` in the raw query.
fn body_hashes(url: &str) -> impl Iterator<Item = &str> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let (query, _) = query.split_once('#').unwrap_or((query, ""));
    query
        .split('&')
        .filter_map(|pair| pair.strip_prefix(BODY_HASH_PARAMETER))
        .filter_map(|rest| if rest.is_empty() { Some("") } else { rest.strip_prefix('=') })
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// The same URL with its scheme's default port spelt out, or without it where it was; in three
/// parts, so that nothing is copied. Twilio signs either form, and does not say which (comments in
/// all of its libraries). A URL with another port has no second form.
fn toggle_default_port(url: &str) -> Option<[&str; 3]> {
    let (scheme, rest) = url.split_once("://")?;
    let port = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else if scheme.eq_ignore_ascii_case("http") {
        ":80"
    } else {
        return None;
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    // The colon of a password, and those of an IPv6 address, are not the port's.
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let after_address = host_and_port.rsplit_once(']').map_or(host_and_port, |(_ip, port)| port);
    let authority_end = url.len() - rest.len() + authority.len();
    if !after_address.contains(':') {
        let (before, after) = url.split_at(authority_end);
        Some([before, port, after])
    } else if after_address.ends_with(port) {
        let (before, after) = url.split_at(authority_end);
        Some([before.strip_suffix(port)?, "", after])
    } else {
        None
    }
}

/// The parts of a JSON text between insignificant whitespace.
fn significant(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    #[derive(Clone, Copy)]
    enum Place {
        Outside,
        InString,
        AfterBackslash,
    }
    let mut place = Place::Outside;
    json.split(move |&byte| {
        place = match (place, byte) {
            (Place::Outside, b' ' | b'\t' | b'\n' | b'\r') => return true,
            (Place::Outside, b'"') | (Place::AfterBackslash, _) => Place::InString,
            (Place::InString, b'\\') => Place::AfterBackslash,
            (Place::InString, b'"') => Place::Outside,
            (same, _) => same,
        };
        false
    })
}

/// Signs a JSON body as Twilio does: the URL to call, with `bodySHA256` in its query, and the value
/// of [`TWILIO_SIGNATURE_HEADER`].
#[must_use]
pub fn sign_twilio(secret: &SecretString, url: &str, body: &[u8]) -> (String, String) {
    let separator = if url.contains('?') { '&' } else { '?' };
    let hash = hex::encode(Sha256::digest(body));
    let url = format!("{url}{separator}{BODY_HASH_PARAMETER}={hash}");
    let signature = BASE64.encode({
        let mut mac = twilio_key(secret);
        mac.update(url.as_bytes());
        mac.finalize().into_bytes()
    });
    (url, signature)
}

/// Signs a request as KORE does: the value of [`KORE_SIGNATURE_HEADER`]. The body is signed as it
/// is; KORE itself signs it without insignificant whitespace.
#[must_use]
pub fn sign_kore(secret: &SecretString, method: &str, url: &str, body: &[u8]) -> String {
    let hash = kore_key(secret).chain_update(method).chain_update(without_query(url));
    hex::encode(hash.chain_update(body).finalize())
}

/// Twilio's signature of a form: URL, then each key, in byte order, with its distinct values in
/// order. Event streams never send one; it is here to hold the code against the vectors of Twilio's
/// own libraries.
#[must_use]
pub fn twilio_form_signature(secret: &SecretString, url: &str, form: &[(&str, &str)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in form {
        sorted.entry(key).or_default().insert(value);
    }
    let mut mac = twilio_key(secret);
    mac.update(url.as_bytes());
    for (key, values) in sorted {
        for value in values {
            mac.update(key.as_bytes());
            mac.update(value.as_bytes());
        }
    }
    BASE64.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
