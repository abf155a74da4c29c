//! Healthy SIMs.

use super::*;

#[test]
fn a_plain_sensor_wakes_every_hour_attaches_and_closes_its_session() {
    let emitted = all(&plain(20, 3, 1));
    let mut kinds: HashMap<EventKind, usize> = HashMap::new();
    events(&emitted).for_each(|event| *kinds.entry(event.kind).or_default() += 1);
    let (accepted, ended) =
        (kinds[&EventKind::AttachmentAccepted], kinds[&EventKind::SessionEnded]);
    assert!((1_420..=1_440).contains(&accepted), "{kinds:?}");
    assert!(accepted - ended <= 20);
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let bytes: Vec<u64> = events(&emitted)
        .filter(|event| event.kind == EventKind::SessionEnded)
        .map(bytes_of)
        .collect();
    let mean = bytes.iter().sum::<u64>() / u64::try_from(bytes.len()).unwrap();
    assert!((20_000..200_000).contains(&mean), "{mean}");
    assert_eq!(labels(&emitted).count(), 0);
}
