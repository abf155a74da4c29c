use proptest::prelude::*;

use super::*;
use crate::alert::AlertKind;
use crate::detector::fixture::{fleet, sim, time};

fn key() -> LinkKey {
    LinkKey::new(&[7; KEY_BYTES_MIN]).unwrap()
}

fn link(act: LinkAct) -> SignedLink {
    let incident = Incident::open(sim(), "pump-17".to_owned(), Some(fleet()), time("01T14:06:05"));
    let pending = PendingAlert {
        number: 2,
        kind: AlertKind::Killed,
        at: time("01T14:06:07"),
        fleet: None,
        by_human: false,
        is_protected: false,
    };
    SignedLink::of(act, &incident, &pending)
}

const ACTS: [LinkAct; 4] =
    [LinkAct::Deactivate, LinkAct::Approve, LinkAct::Restore, LinkAct::FalseAlarm];

#[test]
fn a_link_says_what_it_was_made_of_until_its_time_is_over() {
    for act in ACTS {
        let token = key().sign(&link(act));
        assert_eq!(key().verify(&token, time("01T14:06:07")), Ok(link(act)));
        assert_eq!(key().verify(&token, time("02T14:06:06")), Ok(link(act)));
        let at = time("02T14:06:07");
        assert_eq!(key().verify(&token, at), Err(LinkRefusal::Expired { at }), "24 hours");
    }
    let link = link(LinkAct::Restore);
    assert_eq!(link.incident(), format!("{}-1772373965000", sim()));
    assert_eq!(link.alert_id(), format!("{}-1772373965000-2", sim()));
}

#[test]
fn a_token_does_not_change_between_versions() {
    let token = key().sign(&link(LinkAct::Restore));
    insta::assert_snapshot!(token, @"AQMBAQEBAQEBAQEBAQEBAQEBAAABnKm4eMgAAAACAAAAAAAAAABppZlPcHVtcC0xN6IDoClilReSqoyCHZk8F84BgDDZ4HlfSAJKSc1cZazt");
    let hint = key().sign_hint(sim(), time("02T14:00"));
    insta::assert_snapshot!(hint, @"AQEBAQEBAQEBAQEBAQEBAQEAAAAAaaWX4JwWaWzKcJ6OESuezyX8Ty2Iqbnjcz5pt5vmKXHaGv1L");
}

#[test]
fn another_key_and_another_use_of_the_key_make_no_link() {
    let now = time("01T15:00");
    let other = LinkKey::new(&[8; KEY_BYTES_MIN]).unwrap();
    let token = other.sign(&link(LinkAct::Restore));
    assert_eq!(key().verify(&token, now), Err(LinkRefusal::NotOurs));
    let mut undomained = link(LinkAct::Restore).content();
    let mut mac = key().present;
    mac.update(&undomained);
    undomained.extend(mac.finalize().into_bytes());
    let token = URL_SAFE_NO_PAD.encode(undomained);
    assert_eq!(key().verify(&token, now), Err(LinkRefusal::NotOurs));
}

#[test]
fn after_a_rotation_links_of_both_keys_hold_and_new_ones_are_the_present_keys() {
    let (now, link) = (time("01T15:00"), link(LinkAct::Restore));
    let rotated = LinkKey::new(&[9; KEY_BYTES_MIN]).unwrap();
    assert_eq!(rotated.verify(&key().sign(&link), now), Err(LinkRefusal::NotOurs));
    let alone = rotated.sign(&link);
    let rotated = rotated.after(&[7; KEY_BYTES_MIN]).unwrap();
    assert_eq!(rotated.verify(&key().sign(&link), now), Ok(link.clone()));
    assert_eq!(rotated.sign(&link), alone);
    assert_eq!(rotated.verify(&alone, now), Ok(link.clone()));
    let foreign = LinkKey::new(&[8; KEY_BYTES_MIN]).unwrap().sign(&link);
    assert_eq!(rotated.verify(&foreign, now), Err(LinkRefusal::NotOurs));
    assert_eq!(rotated.after(&[7; 31]).unwrap_err(), ShortKey { found: 31 });
}

#[test]
fn links_differ_by_all_that_they_say() {
    let first = link(LinkAct::Restore);
    let others = [
        link(LinkAct::Deactivate),
        SignedLink { sim: SimSid::from_bytes([9; 16]), ..first.clone() },
        SignedLink { opened_at: time("01T14:06:06"), ..first.clone() },
        SignedLink { alert: 3, ..first.clone() },
        SignedLink { findings: 3, ..first.clone() },
        SignedLink { expires_at: time("09T00:00"), ..first.clone() },
    ];
    for other in others {
        assert_ne!(other.id(), first.id(), "{other:?}");
        assert_ne!(key().sign(&other), key().sign(&first), "{other:?}");
    }
}

#[test]
fn a_long_name_is_cut_between_characters_and_the_longest_token_is_read() {
    let mut incident = Incident::open(sim(), "\u{1f6b0}".repeat(40), None, time("01T14:06:05"));
    let pending = PendingAlert {
        number: u32::MAX,
        kind: AlertKind::Killed,
        at: time("01T14:06"),
        fleet: None,
        by_human: false,
        is_protected: false,
    };
    let read = |incident: &Incident| {
        let token = key().sign(&SignedLink::of(LinkAct::Restore, incident, &pending));
        (key().verify(&token, pending.at).unwrap().name, token.len())
    };
    assert_eq!(read(&incident), ("\u{1f6b0}".repeat(12), 163));
    incident.name = format!("x{}", incident.name);
    assert_eq!(read(&incident).0.len(), 45);
}

#[test]
fn a_key_that_can_be_guessed_is_refused_and_none_is_shown() {
    assert_eq!(LinkKey::new(&[7; 31]).unwrap_err(), ShortKey { found: 31 });
    assert_eq!(format!("{:?}", key()), "LinkKey(..)");
}

#[test]
fn the_console_is_an_https_origin_or_on_loopback() {
    let url = |origin: &str| {
        let origin: ConsoleOrigin = origin.parse().ok()?;
        let url = Links::new(origin, key()).url(&link(LinkAct::Restore));
        Some(url.split_once("/link/").unwrap().0.to_owned())
    };
    for (text, origin) in [
        ("https://abc.lambda-url.us-east-1.on.aws/", "https://abc.lambda-url.us-east-1.on.aws"),
        ("https://example.com", "https://example.com"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
    ] {
        assert_eq!(url(text).as_deref(), Some(origin));
    }
    for wrong in [
        "",
        "https://",
        "example.com",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "https://example.com/console",
        "https://example.com?a=b",
        "https://user@example.com",
        "https://example.com//",
    ] {
        assert_eq!(url(wrong), None, "{wrong}");
    }
}

#[test]
fn a_hint_is_about_a_sim_for_a_day_and_is_no_link() {
    let (now, day_after) = (time("01T15:00"), time("02T15:00"));
    let url = Links::new("https://example.com".parse().unwrap(), key()).hint_url(sim(), now);
    let hint = url.strip_prefix("https://example.com/hint/").unwrap();
    assert!(!hint.contains(['?', '&', '#']), "KORE hands on one parameter of a query");
    assert_eq!(key().verify_hint(hint, now), Ok(sim()));
    let expired = Err(LinkRefusal::Expired { at: day_after });
    assert_eq!(key().verify_hint(hint, day_after), expired);
    assert_eq!(key().verify(hint, now), Err(LinkRefusal::NotOurs));
    let link = key().sign(&link(LinkAct::Restore));
    assert_eq!(key().verify_hint(&link, now), Err(LinkRefusal::NotOurs));
}

proptest! {
    #[test]
    fn a_token_with_any_byte_changed_is_refused(
        index in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let token = key().sign(&link(LinkAct::Restore));
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let place = index.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        let changed = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(key().verify(&changed, time("01T15:00")), Err(LinkRefusal::NotOurs));
        let token = key().sign_hint(sim(), time("02T14:00"));
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let place = index.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        let changed = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(key().verify_hint(&changed, time("01T15:00")), Err(LinkRefusal::NotOurs));
    }

    #[test]
    fn a_token_with_any_character_changed_or_left_out_is_refused(
        place in any::<prop::sample::Index>(),
        other in "[A-Za-z0-9_-]",
    ) {
        let token = key().sign(&link(LinkAct::Restore));
        let place = place.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(place..=place, &other);
        prop_assume!(changed != token);
        let mut shorter = token.clone();
        shorter.remove(place);
        for wrong in [changed, shorter, token[..place].to_owned(), format!("{token}{other}")] {
            prop_assert_eq!(key().verify(&wrong, time("01T15:00")), Err(LinkRefusal::NotOurs));
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in ".{0,400}") {
        prop_assert_eq!(key().verify(&text, time("01T15:00")), Err(LinkRefusal::NotOurs));
        prop_assert_eq!(key().verify_hint(&text, time("01T15:00")), Err(LinkRefusal::NotOurs));
    }

    #[test]
    fn whatever_is_signed_is_read_back(
        sim in any::<[u8; 16]>(),
        opened_ms in -1_000_000_000_000_i64..4_000_000_000_000,
        alert in any::<u32>(),
        findings in any::<u32>(),
        name in ".{0,12}",
    ) {
        let link = SignedLink {
            act: LinkAct::Deactivate,
            sim: SimSid::from_bytes(sim),
            opened_at: Timestamp::from_millisecond(opened_ms).unwrap(),
            alert,
            findings,
            expires_at: time("02T14:00"),
            name,
        };
        prop_assert_eq!(key().verify(&key().sign(&link), time("01T15:00")), Ok(link));
    }
}
