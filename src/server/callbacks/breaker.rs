//! Whether a receiver rests. No IO, no clock.

use std::time::Duration;

use tokio::time::Instant;

/// How one receiver has been doing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Breaker {
    /// Attempts in a row that failed.
    failures: u32,
    /// The last attempt was answered.
    answers: bool,
    rests: Option<Rest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// When the first began of those that followed each other.
    pub since: Instant,
    pub until: Instant,
    length: Duration,
}

/// In a row: then a receiver rests.
const FAILURES: u32 = 10;

/// The first rest; each that follows at once is twice as long.
const REST: Duration = Duration::from_secs(10);

const LONGEST: Duration = Duration::from_secs(120);

impl Breaker {
    /// Nothing is known of it.
    pub fn is_new(&self) -> bool {
        self.failures == 0 && !self.answers
    }

    pub fn answers(&self) -> bool {
        self.answers
    }

    /// How many calls may be in flight now, of `per_host`: after a rest one, to see how it does.
    pub fn room(&self, now: Instant, per_host: usize) -> usize {
        match self.rests {
            None => per_host,
            Some(rest) if now < rest.until => 0,
            Some(_) => 1,
        }
    }

    /// Until when it rests.
    pub fn rests(&self, now: Instant) -> Option<Instant> {
        self.rests.map(|rest| rest.until).filter(|until| now < *until)
    }

    /// Somebody wants to know how it does now.
    pub fn wake(&mut self, now: Instant) {
        if let Some(rest) = &mut self.rests {
            rest.until = rest.until.min(now);
        }
    }

    /// It answered, whatever it said.
    pub fn answered(&mut self) {
        *self = Breaker { answers: true, ..Breaker::default() };
    }

    /// An attempt failed. Says how it rests from now on, if that is new.
    pub fn failed(&mut self, now: Instant) -> Option<Rest> {
        self.failures = self.failures.saturating_add(1);
        self.answers = false;
        let (since, length) = match self.rests {
            // One that was in flight when the rest began.
            Some(rest) if now < rest.until => return None,
            Some(rest) => (rest.since, (rest.length * 2).min(LONGEST)),
            None if self.failures < FAILURES => return None,
            None => (now, REST),
        };
        self.rests = Some(Rest { since, until: now + length, length });
        self.rests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_in_a_row_are_a_rest() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..9 {
            assert_eq!(breaker.failed(now), None);
        }
        breaker.answered();
        assert!(breaker.answers());
        for _ in 0..9 {
            assert_eq!(breaker.failed(now), None);
        }
        assert_eq!(breaker.room(now, 4), 4);
        assert_eq!(breaker.failed(now), Some(Rest { since: now, until: now + REST, length: REST }));
        assert_eq!(breaker.room(now, 4), 0);
    }

    #[test]
    fn after_a_rest_one_call_shows_how_it_does() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            breaker.failed(now);
        }
        // What was in flight changes nothing.
        assert_eq!(breaker.failed(now + REST / 2), None);
        let mut then = now + REST;
        assert_eq!(breaker.room(then, 4), 1);
        for seconds in [20, 40, 80, 120, 120] {
            let length = Duration::from_secs(seconds);
            let rest = Rest { since: now, until: then + length, length };
            assert_eq!(breaker.failed(then), Some(rest));
            then = rest.until;
        }
        breaker.answered();
        assert_eq!(breaker.room(then, 4), 4);
    }
}
