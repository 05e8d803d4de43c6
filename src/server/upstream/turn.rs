//! Whose turn it is, and how a place is: values without a clock.
//!
//! Times are milliseconds of the upstream's own clock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A place that took no connection gets no turn for so long, if others are there.
pub const REST: u64 = 10_000;

/// Checks in a row that have to fail before a place counts as unhealthy. One that is passed suffices
/// for the way back.
pub const UNHEALTHY_AFTER: u32 = 2;

/// How a place is, by what requests meet there and by the checks.
#[derive(Debug, Default)]
pub struct Health {
    /// Until when it rests; 0: its last connection was made.
    rests: AtomicU64,
    /// How many checks in a row have failed, up to [`UNHEALTHY_AFTER`].
    failures: AtomicU32,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Passed,
    Failed,
}

/// How a place changed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Better,
    Worse,
}

impl Health {
    /// Whether it gets turns.
    pub fn is_good(&self, now: u64) -> bool {
        self.rests.load(Ordering::Relaxed) <= now && self.failures.load(Ordering::Relaxed) < UNHEALTHY_AFTER
    }

    /// Takes a turn. After a rest the first request finds out whether the place takes connections
    /// again, and the others are told to go on elsewhere.
    pub fn take(&self, now: u64) -> bool {
        let rests = self.rests.load(Ordering::Relaxed);
        let tried =
            || self.rests.compare_exchange(rests, now + REST, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        rests == 0 || (rests <= now && tried())
    }

    /// It took no connection.
    pub fn refused(&self, now: u64) -> Option<Change> {
        let before = self.rests.swap(now + REST, Ordering::Relaxed);
        (before == 0).then_some(Change::Worse)
    }

    /// It answered.
    pub fn answered(&self) -> Option<Change> {
        // Read first: nearly always there is nothing to write.
        let rested = self.rests.load(Ordering::Relaxed) != 0;
        (rested && self.rests.swap(0, Ordering::Relaxed) != 0).then_some(Change::Better)
    }

    /// A check ended. One at a time: only the task that checks calls this.
    pub fn checked(&self, check: Check) -> Option<Change> {
        let failures = self.failures.load(Ordering::Relaxed);
        let (next, change) = match check {
            Check::Passed if failures >= UNHEALTHY_AFTER => (0, Some(Change::Better)),
            Check::Passed => (0, None),
            Check::Failed if failures + 1 == UNHEALTHY_AFTER => (UNHEALTHY_AFTER, Some(Change::Worse)),
            Check::Failed => ((failures + 1).min(UNHEALTHY_AFTER), None),
        };
        self.failures.store(next, Ordering::Relaxed);
        change
    }
}

/// The place whose turn it is, of those whose bit is set; none if none is.
pub fn choose(turn: usize, places: u64) -> Option<usize> {
    let skipped = turn.checked_rem(places.count_ones() as usize)?;
    // Takes off the lowest bit, so many times.
    let rest = (0..skipped).fold(places, |places, _| places & places.wrapping_sub(1));
    Some(rest.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_over_those_that_are_there() {
        let turns = |places| (0..6).map(|turn| choose(turn, places)).collect::<Vec<_>>();
        assert_eq!(turns(0b111), [0, 1, 2, 0, 1, 2].map(Some));
        assert_eq!(turns(0b1010), [1, 3, 1, 3, 1, 3].map(Some));
        assert_eq!(turns(1 << 63), [63; 6].map(Some));
        assert_eq!(turns(0), [None; 6]);
        assert_eq!(choose(usize::MAX, 0b11), Some(1));
    }

    #[test]
    fn a_place_that_took_no_connection_rests_and_then_one_request_looks() {
        let health = Health::default();
        assert!(health.is_good(0) && health.take(0) && health.take(0));
        assert_eq!(health.refused(0), Some(Change::Worse));
        assert_eq!(health.refused(5), None, "told once");
        assert!(!health.is_good(REST + 4));
        assert!(health.is_good(REST + 5), "the rest is over");
        assert!(health.take(REST + 5), "the first looks");
        assert!(!health.take(REST + 5), "the others don't");
        assert!(!health.is_good(REST + 6));
        assert_eq!(health.answered(), Some(Change::Better));
        assert_eq!(health.answered(), None, "told once");
        assert!(health.is_good(REST + 6) && health.take(REST + 6) && health.take(REST + 6));
    }

    #[test]
    fn two_failed_checks_turn_a_place_over_and_one_passed_turns_it_back() {
        use Check::{Failed, Passed};
        let health = Health::default();
        let told: Vec<_> = [Failed, Passed, Failed, Failed, Failed, Passed, Passed, Failed]
            .map(|check| (health.checked(check), health.is_good(0)))
            .into();
        let (worse, better) = (Some(Change::Worse), Some(Change::Better));
        assert_eq!(
            told,
            [
                (None, true),
                (None, true),
                (None, true),
                (worse, false),
                (None, false),
                (better, true),
                (None, true),
                (None, true),
            ]
        );
    }

    #[test]
    fn an_answer_does_not_overrule_the_checks() {
        let health = Health::default();
        health.checked(Check::Failed);
        health.checked(Check::Failed);
        assert_eq!(health.answered(), None);
        assert!(!health.is_good(0));
    }
}
