//! What a state proves is never more than what was used, and all that its events pin down.

use proptest::prelude::*;
use simfuse_domain::state::SimState;
use simfuse_domain::time::Hour;

use crate::history::{Fate, History, Resets, SPOILT, begin_ms, plans, sim, time, windows};

fn fold(history: &History) -> SimState {
    let mut state = SimState::new(sim());
    for event in &history.events {
        state.fold(event);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_window_holds_more_than_was_used_in_it(plan in plans(SPOILT, Resets::Some, 1..6)) {
        let history = plan.play();
        let state = fold(&history);
        for window in windows() {
            let (proven, used) = (state.bytes_in(&window).0, history.used_in(&window));
            prop_assert!(proven <= used, "{window:?}: proven {proven}, used {used}");
        }
    }

    #[test]
    fn no_more_is_counted_after_a_time_than_was_used_after_it(
        plan in plans(SPOILT, Resets::Some, 1..6),
        times_ms in proptest::collection::vec(0..26 * 3_600_000_i64, 8),
    ) {
        let history = plan.play();
        let state = fold(&history);
        for time_ms in times_ms {
            let after = begin_ms() + time_ms;
            for window in windows() {
                let proven = state.bytes_after(time(after), &window).0;
                let used = history.used_after(after, &window);
                prop_assert!(proven <= used, "{window:?}: proven {proven}, used {used}");
            }
        }
    }

    #[test]
    fn no_window_holds_more_than_the_bound_that_spares_a_closer_look(
        plan in plans(SPOILT, Resets::Some, 1..6),
        times_ms in proptest::collection::vec(0..26 * 3_600_000_i64, 8),
    ) {
        let state = fold(&plan.play());
        let bound = state.bytes_at_most();
        for window in windows() {
            prop_assert!(state.bytes_in(&window) <= bound, "{window:?}");
            for time_ms in &times_ms {
                let after = time(begin_ms() + time_ms);
                prop_assert!(state.bytes_after(after, &window) <= bound, "{window:?} after {after}");
            }
        }
    }

    #[test]
    fn a_session_counts_no_more_than_it_used(plan in plans(SPOILT, Resets::Some, 1..6)) {
        let history = plan.play();
        let state = fold(&history);
        for (sid, uses) in &history.uses {
            let used: u64 = uses.iter().map(|(_, bytes)| bytes).sum();
            let session = state.sessions().iter().find(|session| session.sid == *sid);
            let proven = session.map_or(0, |session| session.bytes().0);
            prop_assert!(proven <= used, "{sid}: proven {proven}, used {used}");
        }
    }

    #[test]
    fn what_counters_pin_down_is_counted_whatever_is_lost(
        plan in plans(&[Fate::Full, Fate::Lost, Fate::CumulativeOnly], Resets::Never, 1..6),
    ) {
        let history = plan.play();
        let state = fold(&history);
        for window in windows() {
            prop_assert_eq!(state.bytes_in(&window).0, history.pinned_in(&window), "{:?}", window);
        }
    }

    #[test]
    fn without_loss_all_is_counted_where_all_of_it_lies(
        plan in plans(&[Fate::Full], Resets::Never, 1..6),
    ) {
        let mut plan = plan;
        plan.sessions.iter_mut().for_each(|session| session.open_for = None);
        let history = plan.play();
        let state = fold(&history);
        let first = Hour::of(time(begin_ms()));
        let last = Hour::of(state.now()).after();
        prop_assert_eq!(state.bytes_in(&(first..last)).0, history.used_in(&(first..last)));
    }
}
