//! The provider's Sims: the simulated service through the real client, and the one in memory.

use jiff::SignedDuration;
use simfuse_domain::id::{FleetSid, SimSid};
use simfuse_domain::port::{ProviderError, Sim, SimName, SimStatus, SuperSim, TargetStatus};

use super::sim;
use crate::service::Behaviour;

/// What a clause may do to the world behind the port.
pub trait Account {
    /// Adds a SIM whose changes of status are done at once.
    fn add(&self, sim: Sim);
    /// Sets what a change of status does to a SIM.
    fn set_behaviour(&self, sim: SimSid, behaviour: Behaviour);
    /// Changes a SIM's status behind the client's back.
    fn set_status_elsewhere(&self, sim: SimSid, status: SimStatus);
    /// Lets time pass.
    fn pass(&self, by: SignedDuration);
}

/// A SIM in this status, with all its names.
fn known(number: u16, status: SimStatus) -> Sim {
    Sim {
        sid: sim(number),
        iccid: format!("8988307{number:012}").parse().ok(),
        unique_name: Some(format!("pump-{number}")),
        status,
        fleet: Some(FleetSid::from_bytes([9; 16])),
    }
}

async fn status(port: &impl SuperSim, number: u16) -> SimStatus {
    port.fetch(&SimName::Sid(sim(number))).await.unwrap().status
}

/// A SIM is found by each of its names, and no other is found in its place.
pub async fn a_sim_is_found_by_each_of_its_names(port: &impl SuperSim, account: &impl Account) {
    let (one, two) = (known(1, SimStatus::Active), known(2, SimStatus::Inactive));
    account.add(one.clone());
    account.add(two.clone());
    for sim in [one, two] {
        let names = [
            SimName::Sid(sim.sid),
            SimName::Iccid(sim.iccid.unwrap()),
            SimName::UniqueName(sim.unique_name.clone().unwrap()),
        ];
        for name in names {
            assert_eq!(port.fetch(&name).await.unwrap(), sim, "{name}");
        }
    }
    let strangers = [
        SimName::Sid(sim(3)),
        SimName::Iccid("8988307000000000003".parse().unwrap()),
        SimName::UniqueName("pump-3".to_owned()),
    ];
    for name in strangers {
        let answer = port.fetch(&name).await;
        assert!(matches!(answer, Err(ProviderError::NotFound)), "{name}: {answer:?}");
    }
    let answer = port.set_status(sim(3), TargetStatus::Inactive).await;
    assert!(matches!(answer, Err(ProviderError::NotFound)), "{answer:?}");
}

/// A change is answered with the SIM as it is then, and is there for the next fetch.
pub async fn a_change_is_done_at_once(port: &impl SuperSim, account: &impl Account) {
    account.add(known(1, SimStatus::Active));
    for target in [TargetStatus::Inactive, TargetStatus::Active] {
        let answer = port.set_status(sim(1), target).await.unwrap();
        assert_eq!(answer, known(1, target.status()));
        assert_eq!(status(port, 1).await, target.status());
    }
}

/// Which changes are taken; every other is refused as 83010, and changes nothing.
pub async fn only_some_changes_are_allowed(port: &impl SuperSim, account: &impl Account) {
    use SimStatus::{Active, Inactive, New, Ready, Scheduled};
    let allowed = [
        (New, TargetStatus::Active),
        (New, TargetStatus::Inactive),
        (Ready, TargetStatus::Active),
        (Ready, TargetStatus::Inactive),
        (Active, TargetStatus::Inactive),
        (Inactive, TargetStatus::Active),
    ];
    for from in [New, Ready, Active, Inactive, Scheduled] {
        for target in [TargetStatus::Active, TargetStatus::Inactive] {
            account.add(known(1, from));
            let answer = port.set_status(sim(1), target).await;
            if allowed.contains(&(from, target)) {
                assert_eq!(answer.unwrap().status, target.status(), "{from}");
                continue;
            }
            let refused = matches!(answer, Err(ProviderError::TransitionNotAllowed));
            assert!(refused, "{from} to {target:?}: {answer:?}");
            assert_eq!(status(port, 1).await, from);
        }
    }
}

/// What the provider schedules is neither done nor repeated until its time has come.
pub async fn a_scheduled_change_is_done_later(port: &impl SuperSim, account: &impl Account) {
    account.add(known(1, SimStatus::Active));
    let after = SignedDuration::from_mins(5);
    account.set_behaviour(sim(1), Behaviour::Scheduled { after });
    let answer = port.set_status(sim(1), TargetStatus::Inactive).await.unwrap();
    assert_eq!(answer.status, SimStatus::Scheduled);
    let again = port.set_status(sim(1), TargetStatus::Inactive).await;
    assert!(matches!(again, Err(ProviderError::TransitionNotAllowed)), "{again:?}");
    account.pass(SignedDuration::from_secs(299));
    assert_eq!(status(port, 1).await, SimStatus::Scheduled);
    account.pass(SignedDuration::from_secs(1));
    assert_eq!(status(port, 1).await, SimStatus::Inactive);
}

/// A change that someone else makes is seen, and drops what was scheduled.
pub async fn a_change_made_elsewhere_is_seen(port: &impl SuperSim, account: &impl Account) {
    account.add(known(1, SimStatus::Active));
    let after = SignedDuration::from_mins(5);
    account.set_behaviour(sim(1), Behaviour::Scheduled { after });
    let answer = port.set_status(sim(1), TargetStatus::Inactive).await.unwrap();
    assert_eq!(answer.status, SimStatus::Scheduled);
    account.set_status_elsewhere(sim(1), SimStatus::Active);
    account.pass(SignedDuration::from_mins(6));
    assert_eq!(status(port, 1).await, SimStatus::Active);
}

/// A SIM changes its fleet while it may not connect, and no change of its status is under way.
pub async fn a_sim_moves_only_while_it_is_off(port: &impl SuperSim, account: &impl Account) {
    let (home, away) = (FleetSid::from_bytes([9; 16]), FleetSid::from_bytes([7; 16]));
    for (from, code) in [
        (SimStatus::Ready, Some(83_008)),
        (SimStatus::Active, Some(83_008)),
        (SimStatus::Scheduled, Some(83_009)),
        (SimStatus::New, None),
        (SimStatus::Inactive, None),
    ] {
        account.add(known(1, from));
        let answer = port.set_fleet(sim(1), away).await;
        let fleet = match code {
            None => answer.unwrap().fleet.unwrap(),
            Some(_) => {
                let refused = |error: &_| matches!(error, ProviderError::Refused { code: found, .. } if *found == code);
                assert!(answer.as_ref().is_err_and(refused), "{from}: {answer:?}");
                home
            }
        };
        assert_eq!(fleet, if code.is_some() { home } else { away }, "{from}");
        let after = port.fetch(&SimName::Sid(sim(1))).await.unwrap();
        assert_eq!((after.fleet, after.status), (Some(fleet), from));
    }
    let stranger = port.set_fleet(sim(3), away).await;
    assert!(matches!(stranger, Err(ProviderError::NotFound)), "{stranger:?}");
}
