//! That a signed link is used once.

use jiff::Timestamp;
use simfuse_domain::port::{Claim, LinkClaims};
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
    assert_eq!(claim(1, "second", at(6)).await, Claim::Used(at(5)));
    assert_eq!(claim(1, "first", at(7)).await, Claim::Taken, "an answer may have been lost");
    assert_eq!(claim(2, "second", at(8)).await, Claim::Taken, "another link");
}

/// What a call gives back another may take; what another took it cannot give back.
pub async fn a_link_is_given_back_by_the_call_that_took_it(table: &impl LinkClaims) {
    table.give_back(&link(1), "first").await.unwrap();
    let claim = async |call: &str, seconds| table.claim(&link(1), call, at(seconds)).await.unwrap();
    assert_eq!(claim("first", 5).await, Claim::Taken);
    table.give_back(&link(1), "second").await.unwrap();
    assert_eq!(claim("second", 6).await, Claim::Used(at(5)));
    table.give_back(&link(1), "first").await.unwrap();
    assert_eq!(claim("second", 7).await, Claim::Taken);
    assert_eq!(claim("first", 8).await, Claim::Used(at(7)));
}

/// Of calls at the same time one takes it.
pub async fn of_concurrent_calls_one_takes_a_link(table: &impl LinkClaims) {
    let calls: Vec<String> = (0..10).map(|number| format!("call-{number}")).collect();
    let link = link(1);
    let claims = calls.iter().map(|call| table.claim(&link, call, at(5)));
    let claims = futures::future::try_join_all(claims).await.unwrap();
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Taken).count(), 1, "{claims:?}");
}
