//! Links in alerts that act: each says one act on one SIM, and is signed, so that nobody else makes
//! one.
//!
//! A token is `content ‖ HMAC-SHA256(key, domain ‖ content)` in base64url without padding, and the
//! content
//!
//! ```text
//! version 1 · act 1 · SIM 16 · incident opened at 8 (ms) · alert 4 · findings 4 · expires at 8 (s) · name 0 … 48
//! ```
//!
//! in bytes, numbers most significant first. A hint (see [`LinkKey::sign_hint`]) is signed under
//! another domain and says a SIM and a time only. Incident and alert make one link differ from another,
//! so it needs no nonce; and the same alert, published again, has the same links.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::alert::PendingAlert;
use crate::id::SimSid;
use crate::incident::Incident;

/// How long a link works, from the time of its alert.
pub const LINK_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Bytes of a key, at least: as many as the signature has.
pub const KEY_BYTES_MIN: usize = 32;

/// Bytes of a SIM's name in a link: so that whoever follows it sees which SIM is meant.
const NAME_BYTES_MAX: usize = 48;

/// No token is longer: 4 characters for 3 bytes.
const TOKEN_CHARS_MAX: usize = 168;

/// What is signed begins so: the key's signature of anything else is none of a link.
const DOMAIN: &[u8] = b"simfuse signed link 1\0";

/// The same for hints: no hint passes for a link, nor the other way round.
const HINT_DOMAIN: &[u8] = b"simfuse hint 1\0";

/// How long the provider may call back. A change that takes longer is found by the sweep alone.
pub const HINT_LIFE: SignedDuration = SignedDuration::from_hours(24);

const VERSION: u8 = 1;

type Signature = [u8; 32];

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkAct {
    /// Switches a SIM off that a human was told about.
    Deactivate,
    /// Carries out what a guard holds.
    Approve,
    /// Switches a SIM on again.
    Restore,
    /// Says that what was found of a SIM was no theft.
    FalseAlarm,
}

impl LinkAct {
    /// What a human reads on the link and on its button.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Deactivate => "Switch it off",
            Self::Approve => "Approve: carry it out",
            Self::Restore => "Switch it on again",
            Self::FalseAlarm => "It was a false alarm",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Deactivate => 1,
            Self::Approve => 2,
            Self::Restore => 3,
            Self::FalseAlarm => 4,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Deactivate,
            2 => Self::Approve,
            3 => Self::Restore,
            4 => Self::FalseAlarm,
            _ => return None,
        })
    }
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLink {
    /// What it does.
    pub act: LinkAct,
    /// To which SIM.
    pub sim: SimSid,
    /// When the incident was opened that it is about, in whole milliseconds.
    pub opened_at: Timestamp,
    /// Which of the incident's alerts it stands in.
    pub alert: u32,
    /// How many findings the incident held when the alert was written.
    pub findings: u32,
    /// From then on it does nothing, in whole seconds.
    pub expires_at: Timestamp,
    /// What the SIM was called in the alert, shortened; only to be shown.
    pub name: String,
}

impl SignedLink {
    /// The link for an act, as it stands in one of an incident's alerts.
    #[must_use]
    pub fn of(act: LinkAct, incident: &Incident, pending: &PendingAlert) -> Self {
        let whole = |milliseconds| Timestamp::from_millisecond(milliseconds);
        let expires_at = pending.at.saturating_add(LINK_LIFE).unwrap_or(Timestamp::MAX);
        let mut name = incident.name.clone();
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        Self {
            act,
            sim: incident.sim,
            opened_at: whole(incident.opened_at.as_millisecond()).unwrap_or(incident.opened_at),
            alert: pending.number,
            findings: u32::try_from(incident.findings.len()).unwrap_or(u32::MAX),
            expires_at: Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at),
            name,
        }
    }

    /// The incident's id.
    #[must_use]
    pub fn incident(&self) -> String {
        Incident::id_of(self.sim, self.opened_at)
    }

    /// The alert's id.
    #[must_use]
    pub fn alert_id(&self) -> String {
        format!("{}-{}", self.incident(), self.alert)
    }

    /// What tells this link from all others: the SHA-256 of what it says, in hexadecimal. Who knows
    /// it cannot make the link.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(Sha256::digest(self.content()))
    }

    fn content(&self) -> Vec<u8> {
        let mut content = vec![VERSION, self.act.code()];
        content.extend(self.sim.as_bytes());
        content.extend(self.opened_at.as_millisecond().to_be_bytes());
        content.extend(self.alert.to_be_bytes());
        content.extend(self.findings.to_be_bytes());
        content.extend(self.expires_at.as_second().to_be_bytes());
        content.extend(self.name.as_bytes());
        content
    }

    fn of_content(content: &[u8]) -> Option<Self> {
        let ([version, act], rest) = content.split_first_chunk()?;
        let (sim, rest) = rest.split_first_chunk()?;
        let (opened_at, rest) = rest.split_first_chunk()?;
        let (alert, rest) = rest.split_first_chunk()?;
        let (findings, rest) = rest.split_first_chunk()?;
        let (expires_at, name) = rest.split_first_chunk()?;
        if *version != VERSION {
            return None;
        }
        Some(Self {
            act: LinkAct::of_code(*act)?,
            sim: SimSid::from_bytes(*sim),
            opened_at: Timestamp::from_millisecond(i64::from_be_bytes(*opened_at)).ok()?,
            alert: u32::from_be_bytes(*alert),
            findings: u32::from_be_bytes(*findings),
            expires_at: Timestamp::from_second(i64::from_be_bytes(*expires_at)).ok()?,
            name: String::from_utf8(name.to_vec()).ok()?,
        })
    }
}

/// Why a link does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefusal {
    /// It was not made with this key, or was changed or cut off on its way.
    #[error("not a link of ours: it was changed or cut off on its way, or made by someone else")]
    NotOurs,
    /// Its time is over.
    #[error("the link expired at {at}")]
    Expired {
        /// Since when.
        at: Timestamp,
    },
}

/// The key that links are signed with, and the one before it, whose links hold until they expire.
#[derive(Clone)]
pub struct LinkKey {
    present: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

/// The key is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of {found} bytes, and fewer than {KEY_BYTES_MIN} can be guessed")]
pub struct ShortKey {
    found: usize,
}

impl LinkKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`ShortKey`] for fewer than [`KEY_BYTES_MIN`].
    pub fn new(key: &[u8]) -> Result<Self, ShortKey> {
        Ok(Self { present: hmac(key)?, previous: None })
    }

    /// The same key after this one: what was signed with that holds as well.
    ///
    /// # Errors
    /// [`ShortKey`].
    pub fn after(self, previous: &[u8]) -> Result<Self, ShortKey> {
        Ok(Self { previous: Some(hmac(previous)?), ..self })
    }

    /// The token that says so.
    #[must_use]
    pub fn sign(&self, link: &SignedLink) -> String {
        self.signed(DOMAIN, link.content())
    }

    /// A token by which the provider may hint that a SIM has changed. It only makes us look, so it may
    /// be used as often as one likes until its time is over.
    #[must_use]
    pub fn sign_hint(&self, sim: SimSid, expires_at: Timestamp) -> String {
        let mut content = vec![VERSION];
        content.extend(sim.as_bytes());
        content.extend(expires_at.as_second().to_be_bytes());
        self.signed(HINT_DOMAIN, content)
    }

    /// About which SIM a hint is, if it is ours and its time is not over.
    ///
    /// # Errors
    /// [`LinkRefusal`].
    pub fn verify_hint(&self, token: &str, now: Timestamp) -> Result<SimSid, LinkRefusal> {
        let (sim, expires_at) = self.read_hint(token).ok_or(LinkRefusal::NotOurs)?;
        if expires_at <= now {
            return Err(LinkRefusal::Expired { at: expires_at });
        }
        Ok(sim)
    }

    fn read_hint(&self, token: &str) -> Option<(SimSid, Timestamp)> {
        let content = self.verified(HINT_DOMAIN, token)?;
        let ([version], rest) = content.split_first_chunk()?;
        let (sim, expires_at) = rest.split_first_chunk()?;
        let expires_at = i64::from_be_bytes(expires_at.try_into().ok()?);
        let expires_at = Timestamp::from_second(expires_at).ok()?;
        (*version == VERSION).then(|| (SimSid::from_bytes(*sim), expires_at))
    }

    fn signed(&self, domain: &[u8], mut content: Vec<u8>) -> String {
        let signature = over(&self.present, domain, &content).finalize().into_bytes();
        content.extend(signature);
        URL_SAFE_NO_PAD.encode(content)
    }

    /// What a token says, if it is ours and its time is not over. The signature is compared in
    /// constant time.
    ///
    /// # Errors
    /// [`LinkRefusal`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<SignedLink, LinkRefusal> {
        let content = self.verified(DOMAIN, token);
        let link = content.and_then(|content| SignedLink::of_content(&content));
        let link = link.ok_or(LinkRefusal::NotOurs)?;
        if link.expires_at <= now {
            return Err(LinkRefusal::Expired { at: link.expires_at });
        }
        Ok(link)
    }

    /// What was signed in this domain.
    fn verified(&self, domain: &[u8], token: &str) -> Option<Vec<u8>> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, signature): (_, &Signature) = bytes.split_last_chunk()?;
        let mut keys = [Some(&self.present), self.previous.as_ref()].into_iter().flatten();
        let is_by = |key| over(key, domain, content).verify_slice(signature).is_ok();
        keys.any(is_by).then(|| content.to_vec())
    }
}

fn hmac(key: &[u8]) -> Result<Hmac<Sha256>, ShortKey> {
    let short = ShortKey { found: key.len() };
    if key.len() < KEY_BYTES_MIN {
        return Err(short);
    }
    // A key of any length will do for an HMAC.
    Hmac::new_from_slice(key).map_err(|_length| short)
}

fn over(key: &Hmac<Sha256>, domain: &[u8], content: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(domain);
    mac.update(content);
    mac
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

/// Where the console is reached: an URL without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleOrigin(String);

/// The text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an https URL without a path (http is for loopback)")]
pub struct NotAnOrigin;

impl FromStr for ConsoleOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let origin = text.strip_suffix('/').unwrap_or(text);
        let host = origin.strip_prefix("https://").or_else(|| {
            let host = origin.strip_prefix("http://")?;
            let local = ["127.0.0.1:", "localhost:", "[::1]:"];
            local.iter().any(|local| host.starts_with(local)).then_some(host)
        });
        let is_host = |char: char| char.is_ascii_alphanumeric() || ".-:[]".contains(char);
        match host {
            Some(host) if !host.is_empty() && host.chars().all(is_host) => {
                Ok(Self(origin.to_owned()))
            }
            _ => Err(NotAnOrigin),
        }
    }
}

/// Where the path of a link begins.
pub const LINK_PATH: &str = "/link/";

/// Where the path of a hint begins.
pub const HINT_PATH: &str = "/hint/";

/// Writes links that act, and those by which the provider hints.
#[derive(Debug, Clone)]
pub struct Links {
    origin: ConsoleOrigin,
    key: LinkKey,
}

impl Links {
    /// Links to the console there, signed with this key.
    #[must_use]
    pub const fn new(origin: ConsoleOrigin, key: LinkKey) -> Self {
        Self { origin, key }
    }

    /// The URL that says so.
    #[must_use]
    pub fn url(&self, link: &SignedLink) -> String {
        format!("{}{LINK_PATH}{}", self.origin.0, self.key.sign(link))
    }

    /// The URL that the provider may call once it has changed this SIM. It has no query, of which KORE
    /// hands on one parameter only.
    #[must_use]
    pub fn hint_url(&self, sim: SimSid, now: Timestamp) -> String {
        let expires_at = now.saturating_add(HINT_LIFE).unwrap_or(Timestamp::MAX);
        format!("{}{HINT_PATH}{}", self.origin.0, self.key.sign_hint(sim, expires_at))
    }
}

#[cfg(test)]
mod tests;
