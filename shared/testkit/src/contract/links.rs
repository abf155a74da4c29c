//! That a signed link is used once.

use jiff::Timestamp;
use simfuse_domain::port::{Claim, LINK_ASKED_MAX, LinkClaims, LinkUse};
use simfuse_domain::signed_link::{LinkAct, SignedLink};

use super::{at, sim};

/// A link in the n-th alert of an incident.
fn link(alert: u32) -> SignedLink {
    SignedLink {
        act: LinkAct::Restore,
        sim: sim(1),
        opened_at: at(0),
        alert,
        findings: 1,
        expires_at: at(86_400),
        name: "pump-17".to_owned(),
    }
}

/// The first call takes a link, for itself alone and as often as it asks.
pub async fn a_link_is_taken_by_one_call(table: &impl LinkClaims) {
    let claim = async |alert, call: &str, now: Timestamp| {
        table.claim(&link(alert), call, now).await.unwrap()
    };
    assert_eq!(claim(1, "first", at(5)).await, Claim::Taken);
    assert_eq!(claim(1, "second", at(6)).await, Claim::Others(LinkUse::Asked(at(5))));
    assert_eq!(claim(1, "first", at(7)).await, Claim::Taken, "an answer may have been lost");
    assert_eq!(claim(2, "second", at(8)).await, Claim::Taken, "another link");
}

/// What a call gives back another may take; what another took it cannot give back.
pub async fn a_link_is_given_back_by_the_call_that_took_it(table: &impl LinkClaims) {
    table.give_back(&link(1), "first").await.unwrap();
    let claim = async |call: &str, seconds| table.claim(&link(1), call, at(seconds)).await.unwrap();
    assert_eq!(claim("first", 5).await, Claim::Taken);
    table.give_back(&link(1), "second").await.unwrap();
    assert_eq!(claim("second", 6).await, Claim::Others(LinkUse::Asked(at(5))));
    table.give_back(&link(1), "first").await.unwrap();
    assert_eq!(claim("second", 7).await, Claim::Taken);
    assert_eq!(claim("first", 8).await, Claim::Others(LinkUse::Asked(at(7))));
}

/// Of calls at the same time one takes it.
pub async fn of_concurrent_calls_one_takes_a_link(table: &impl LinkClaims) {
    let calls: Vec<String> = (0..10).map(|number| format!("call-{number}")).collect();
    let link = link(1);
    let claims = calls.iter().map(|call| table.claim(&link, call, at(5)));
    let claims = futures::future::try_join_all(claims).await.unwrap();
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Taken).count(), 1, "{claims:?}");
}

/// What is used up nobody takes or gives back, and only the call that took it uses it up.
pub async fn a_link_is_used_up_by_the_call_that_took_it(table: &impl LinkClaims) {
    let link = &link(1);
    let claim = async |call: &str, seconds| table.claim(link, call, at(seconds)).await.unwrap();
    table.use_up(link, "first", at(4)).await.unwrap();
    assert_eq!(table.link_use(link).await.unwrap(), None, "it was not taken");
    assert_eq!(claim("first", 5).await, Claim::Taken);
    table.use_up(link, "second", at(6)).await.unwrap();
    assert_eq!(table.link_use(link).await.unwrap(), Some(LinkUse::Asked(at(5))));
    table.use_up(link, "first", at(7)).await.unwrap();
    table.use_up(link, "first", at(8)).await.unwrap();
    table.give_back(link, "first").await.unwrap();
    assert_eq!(table.link_use(link).await.unwrap(), Some(LinkUse::Used(at(7))));
    let later = 8 + 2 * LINK_ASKED_MAX.as_secs();
    assert_eq!(claim("second", later).await, Claim::Others(LinkUse::Used(at(7))));
}

/// A call that died with a link is waited for, and then one other call takes it; the dead one has it no
/// more.
pub async fn a_link_whose_call_died_is_taken_by_another(table: &impl LinkClaims) {
    let link = &link(1);
    let over = LINK_ASKED_MAX.as_secs();
    let claim = async |call: &str, seconds| table.claim(link, call, at(seconds)).await.unwrap();
    assert_eq!(claim("dead", 5).await, Claim::Taken);
    assert_eq!(claim("second", 5 + over).await, Claim::Others(LinkUse::Asked(at(5))));
    let now = at(6 + over);
    let (one, other) = futures::future::try_join(
        table.claim(link, "second", now),
        table.claim(link, "third", now),
    )
    .await
    .unwrap();
    let won = if one == Claim::Taken { "second" } else { "third" };
    let lost = if one == Claim::Taken { other } else { one };
    assert!(one == Claim::Taken || other == Claim::Taken);
    assert_eq!(lost, Claim::Others(LinkUse::Asked(now)));
    table.use_up(link, "dead", now).await.unwrap();
    table.give_back(link, "dead").await.unwrap();
    assert_eq!(table.link_use(link).await.unwrap(), Some(LinkUse::Asked(now)));
    table.use_up(link, won, now).await.unwrap();
    assert_eq!(table.link_use(link).await.unwrap(), Some(LinkUse::Used(now)));
}
