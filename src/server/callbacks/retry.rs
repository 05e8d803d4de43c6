//! Whether a call is tried again, and when. No IO, no clock.

use std::time::Duration;

use super::record::Code;

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// The receiver does not want it, and would not later.
    Final,
    /// It may go better later.
    Again,
}

/// 2xx is success. 3xx is never followed; of 4xx only the receiver's being late or busy passes
/// (408, 425, 429). 5xx and what had no answer may pass.
pub(super) fn verdict(code: Code) -> Verdict {
    match code {
        Code::Status(200..=299) => Verdict::Delivered,
        Code::Status(408 | 425 | 429 | 500..=599) | Code::Word(_) => Verdict::Again,
        Code::Status(_) => Verdict::Final,
    }
}

/// `Retry-After` may ask for more than the schedule says, but for no more than this or twice as much,
/// whichever is greater.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait after the attempt of this number, counted from 1; none: it was the last one.
///
/// `asked` is the receiver's `Retry-After`. `chance`, from 0 to 1, adds up to a fifth, so that calls that
/// failed together do not come back together.
pub(super) fn wait(
    schedule: &[Duration],
    attempt: usize,
    asked: Option<Duration>,
    chance: f64,
) -> Option<Duration> {
    let wait = *schedule.get(attempt.checked_sub(1)?)?;
    let asked = asked.unwrap_or_default().min((wait * 2).max(PATIENCE));
    Some(wait.max(asked).mul_f64(1.0 + chance.clamp(0.0, 1.0) / 5.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(codes: &[u16], expected: Verdict) {
        for code in codes {
            assert_eq!(verdict(Code::Status(*code)), expected, "{code}");
        }
    }

    #[test]
    fn success_is_2xx() {
        check(&[200, 202, 204, 299], Verdict::Delivered);
    }

    #[test]
    fn redirects_and_most_refusals_are_final() {
        check(&[100, 301, 307, 400, 404, 407, 409, 410, 426, 428, 430, 600, 999], Verdict::Final);
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        check(&[408, 425, 429, 500, 503, 599], Verdict::Again);
        assert_eq!(verdict(Code::Word("reset")), Verdict::Again);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_follow_the_schedule_to_its_end() {
        let schedule = [SECOND, 5 * SECOND];
        let waits: Vec<_> = (0..4).map(|attempt| wait(&schedule, attempt, None, 0.0)).collect();
        assert_eq!(waits, [None, Some(SECOND), Some(5 * SECOND), None]);
        assert_eq!(wait(&[], 1, Some(SECOND), 0.0), None);
    }

    #[test]
    fn chance_adds_up_to_a_fifth() {
        assert_eq!(wait(&[10 * SECOND], 1, None, 1.0), Some(12 * SECOND));
        assert_eq!(wait(&[10 * SECOND], 1, None, 0.5), Some(11 * SECOND));
    }

    #[test]
    fn what_the_receiver_asks_for_is_heard_within_bounds() {
        let after = |schedule: u32, asked: u32| {
            wait(&[schedule * SECOND], 1, Some(asked * SECOND), 0.0).map(|wait| wait.as_secs())
        };
        assert_eq!(after(5, 1), Some(5));
        assert_eq!(after(5, 20), Some(20));
        assert_eq!(after(5, 3600), Some(60));
        assert_eq!(after(120, 3600), Some(240));
        assert_eq!(wait(&[SECOND], 1, Some(Duration::MAX), 1.0), Some(72 * SECOND));
    }
}
