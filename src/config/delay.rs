//! How long an answer waits.

use std::time::Duration;

use super::problem::Problem;

/// A wait before an answer, or chance within bounds; never more than [`Delay::LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    Fixed(Duration),
    /// Each as likely as the other.
    Between {
        min: Duration,
        max: Duration,
    },
    /// As answers of real services are: half take less than the median, one in a hundred more than
    /// the 99th percentile.
    LogNormal {
        median: Duration,
        p99: Duration,
    },
}

/// The 99th percentile of the normal distribution, in standard deviations.
const Z99: f64 = 2.326_347_874_040_841;

/// No wait is longer than the 99th percentile this many times.
const FARTHEST: f64 = 10.0;

impl Delay {
    /// What waits longer holds a connection, and maybe a body, for nobody.
    pub const LONGEST: Duration = Duration::from_secs(60 * 60);

    pub fn fixed(wait: Duration) -> Result<Self, Problem> {
        match wait > Delay::LONGEST {
            true => Err(Problem::value("no answer waits for more than an hour")),
            false => Ok(Delay::Fixed(wait)),
        }
    }

    /// From its bounds: `min` and `max`, or `median` and `p99`.
    pub fn of_chance(
        min: Option<Duration>,
        max: Option<Duration>,
        median: Option<Duration>,
        p99: Option<Duration>,
    ) -> Result<Self, Problem> {
        let delay = match (min, max, median, p99) {
            (Some(min), Some(max), None, None) if min <= max => Delay::Between { min, max },
            (None, None, Some(median), Some(p99)) if !median.is_zero() && median <= p99 => {
                Delay::LogNormal { median, p99 }
            }
            _ => {
                return Err(Problem::value("a delay of chance has two bounds, the lower one first")
                    .hint("write `{min: 50ms, max: 200ms}` or `{median: 80ms, p99: 400ms}`"));
            }
        };
        Delay::fixed(max.or(p99).unwrap_or_default()).map(|_| delay)
    }

    /// The wait that `seed` picks.
    pub fn pick(&self, seed: u64) -> Duration {
        match *self {
            Delay::Fixed(wait) => wait,
            Delay::Between { min, max } => {
                let share = fastrand::Rng::with_seed(seed).f64();
                min + max.saturating_sub(min).mul_f64(share)
            }
            Delay::LogNormal { median, p99 } => {
                let sigma = (p99.as_secs_f64() / median.as_secs_f64()).ln() / Z99;
                let wait = median.as_secs_f64() * (sigma * normal(seed)).exp();
                let longest = (p99.as_secs_f64() * FARTHEST).min(Delay::LONGEST.as_secs_f64());
                Duration::from_secs_f64(wait.min(longest))
            }
        }
    }
}

/// A standard normal number (Box and Muller).
fn normal(seed: u64) -> f64 {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (radius, angle) = (1.0 - chance.f64(), chance.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn sorted(delay: Delay) -> Vec<Duration> {
        let mut waits: Vec<_> = (0..10_000).map(|seed| delay.pick(seed)).collect();
        waits.sort_unstable();
        waits
    }

    #[test]
    fn between_two_bounds_all_are_as_likely() {
        let waits = sorted(Delay::Between { min: ms(100), max: ms(200) });
        assert!(waits[0] >= ms(100) && waits[9_999] <= ms(200));
        assert!(waits[2_500] > ms(120) && waits[2_500] < ms(130), "{:?}", waits[2_500]);
    }

    #[test]
    fn the_percentiles_are_those_that_were_asked_for() {
        let waits = sorted(Delay::LogNormal { median: ms(100), p99: ms(1000) });
        assert!(waits[5_000] > ms(93) && waits[5_000] < ms(107), "{:?}", waits[5_000]);
        assert!(waits[9_900] > ms(850) && waits[9_900] < ms(1150), "{:?}", waits[9_900]);
        assert!(waits[9_999] <= ms(10_000));
    }

    #[test]
    fn no_wait_is_longer_than_an_hour() {
        let (hour, more) = (Delay::LONGEST, Delay::LONGEST + ms(1));
        assert!(Delay::fixed(hour).is_ok() && Delay::fixed(more).is_err());
        assert!(Delay::of_chance(Some(ms(1)), Some(more), None, None).is_err());
        assert!(Delay::of_chance(None, None, Some(ms(1)), Some(more)).is_err());
        let farthest = Delay::of_chance(None, None, Some(ms(1)), Some(hour)).map(sorted);
        assert_eq!(farthest.map(|waits| waits[9_999]), Ok(hour));
    }

    #[test]
    fn one_seed_picks_one_wait() {
        let delay = Delay::Between { min: ms(1), max: ms(1000) };
        assert_eq!(delay.pick(7), delay.pick(7));
        assert_ne!(delay.pick(7), delay.pick(8));
    }
}
