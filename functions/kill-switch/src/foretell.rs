//! What a dry run of a kill or a quarantine says.

use std::sync::PoisonError;

use simfuse_domain::device::Imei14;
use simfuse_domain::id::FleetSid;
use simfuse_domain::incident::Quarantine;
use simfuse_domain::port::{
    Alerts, Campaigns, Case, Cases, Clock, Fleets, Heartbeat, Policies, ProviderError, Sim,
    SuperSim,
};

use crate::bulk::Course;
use crate::engine::KillSwitch;
use crate::error::Chain;
use crate::request::Request;

impl<T, P, A, C> KillSwitch<T, P, A, C>
where
    T: Campaigns + Cases + Policies + Heartbeat,
    P: SuperSim + Fleets,
    A: Alerts,
    C: Clock,
{
    /// Why a SIM that is to go to quarantine would only be switched off, by what the provider says of
    /// that fleet; `None` where it would go there. Of one request the provider is asked once.
    pub(crate) async fn kept_out(
        &self,
        course: &Course<'_>,
        quarantine: Option<Quarantine>,
    ) -> Option<String> {
        let fleet = quarantine?.fleet;
        let known = || course.quarantines.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().get(&fleet).cloned();
        if let Some(said) = before {
            return said;
        }
        let said = self.said_of(fleet).await;
        known().insert(fleet, said.clone());
        said
    }

    async fn said_of(&self, fleet: FleetSid) -> Option<String> {
        match self.provider.fetch_fleet(&fleet.to_string()).await {
            Ok(found) if found.is_quarantine() => None,
            Ok(_) => Some(format!(
                "it would be off and stay so: {fleet}, which policy names for quarantine, is \
                     none, it has more than 1 MB of data"
            )),
            Err(ProviderError::NotFound) => Some(format!(
                "it would be off and stay so: the provider knows no fleet {fleet}, which policy \
                     names for quarantine"
            )),
            Err(error) => Some(format!(
                "would be off; whether {fleet} is a quarantine to move it to is not known: {}",
                Chain(&error)
            )),
        }
    }
}

/// What a kill would do now, and why: what policy asks most for, of all that nobody judged.
pub(crate) fn would_be(
    course: &Course<'_>,
    sim: &Sim,
    case: &Case,
    quarantine: Option<Quarantine>,
) -> String {
    let Course { request, policy, .. } = course;
    let desired = &case.desired.0;
    let open = case.incident.as_ref().map(|(incident, _)| incident);
    let found = open.into_iter().flat_map(|incident| &incident.findings);
    let rules = policy.rules_for(sim.fleet, sim.sid);
    let why = rules.worst_of(found.filter(|finding| !desired.is_settled(finding)));
    let why = why.map(|finding| format!(": {finding}")).unwrap_or_default();
    let what = match (quarantine, request.freeze_hours) {
        (Some(kept), _) => format!("deactivated, moved to {} and made active there", kept.fleet),
        (None, Some(hours)) => format!("deactivated for {hours} hours"),
        (None, None) => "deactivated".to_owned(),
    };
    format!("would be {what}, it is {}{why}", sim.status)
}

/// The devices that a request takes away from what is allowed for the SIM, in words.
pub(crate) fn disallowed(request: &Request, case: &Case, quarantine: Option<Quarantine>) -> String {
    let allowed = &case.desired.0.allowed_devices;
    if !is_theft(request, quarantine) || allowed.is_empty() {
        return String::new();
    }
    let devices: Vec<String> = allowed.iter().map(Imei14::to_string).collect();
    format!("; {}, which a false alarm allowed, would be allowed no more", devices.join(", "))
}

/// Whether a kill says that the SIM is stolen: a freeze and quarantine say only that something is
/// wrong.
pub(crate) const fn is_theft(request: &Request, quarantine: Option<Quarantine>) -> bool {
    quarantine.is_none() && request.freeze_hours.is_none()
}
