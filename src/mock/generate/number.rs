//! Numbers within bounds and on a grid of multiples, counted in decimals so that 0.3 is three times 0.1.

use serde_json::{Number, Value as Json};

use super::chance::Chance;

/// What a number has to be.
#[derive(Debug, Default, Clone)]
pub struct Bounds {
    low: Option<Bound>,
    high: Option<Bound>,
    /// Nothing but multiples of each.
    steps: Vec<Decimal>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    at: Decimal,
    /// The bound itself may not be taken.
    exclusive: bool,
}

/// `digits / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Decimal {
    digits: i128,
    scale: u32,
}

/// Whether a fraction may be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Integer,
    Fraction,
}

/// Digits after the point at most.
const FINEST: u32 = 20;

/// Beyond this a double tells integers apart no more.
const FAR: i128 = 1 << 53;

impl Bounds {
    pub fn at_least(&mut self, limit: &Json, exclusive: bool) {
        let Some(at) = Decimal::of(limit) else { return };
        let bound = Bound { at, exclusive };
        let stricter = |known: &Bound| is_less(known.at, at) || known.at == at && exclusive;
        if self.low.as_ref().is_none_or(stricter) {
            self.low = Some(bound);
        }
    }

    pub fn at_most(&mut self, limit: &Json, exclusive: bool) {
        let Some(at) = Decimal::of(limit) else { return };
        let bound = Bound { at, exclusive };
        let stricter = |known: &Bound| is_less(at, known.at) || known.at == at && exclusive;
        if self.high.as_ref().is_none_or(stricter) {
            self.high = Some(bound);
        }
    }

    pub fn multiple_of(&mut self, step: &Json) {
        self.steps.extend(Decimal::of(step).filter(|step| step.digits > 0));
    }

    /// `low` to `high`, where nothing stricter is asked for.
    pub fn usually(&mut self, low: i64, high: i64) {
        self.at_least(&low.into(), false);
        self.at_most(&high.into(), false);
    }

    /// Whether both ends are given, and not far from each other.
    pub fn are_narrow(&self) -> bool {
        let width = self.low.zip(self.high).map(|(low, high)| approximately(high.at) - approximately(low.at));
        width.is_some_and(|width| width < 1e7)
    }

    pub fn allow(&self, number: &Number) -> bool {
        let Some(value) = Decimal::of(&Json::Number(number.clone())) else { return true };
        let low = self.low.is_none_or(|low| is_less(low.at, value) || low.at == value && !low.exclusive);
        let high =
            self.high.is_none_or(|high| is_less(value, high.at) || high.at == value && !high.exclusive);
        low && high && self.steps.iter().all(|step| is_multiple(value, *step))
    }

    /// The number that is nearest to one that is wanted; without one, by chance. None where there is none,
    /// whatever is wanted.
    pub fn nearest(&self, kind: Kind, wanted: Option<f64>, chance: &mut Chance) -> Option<Json> {
        let coarse = match kind {
            Kind::Integer => 0,
            // Two digits, as prices have; one is enough to show that it is no integer.
            Kind::Fraction if chance.is_first() && self.steps.is_empty() => 1,
            Kind::Fraction => 2,
        };
        let finer =
            if kind == Kind::Integer || !self.steps.is_empty() { coarse..=coarse } else { coarse..=FINEST };
        finer.into_iter().find_map(|scale| self.on_grid(kind, scale, wanted, chance))
    }

    fn on_grid(&self, kind: Kind, scale: u32, wanted: Option<f64>, chance: &mut Chance) -> Option<Json> {
        // Everything below is counted in units of `1 / 10^scale`.
        let scale = self.steps.iter().map(|step| step.scale).fold(scale, u32::max).min(FINEST);
        let one = 10_i128.checked_pow(scale)?;
        let whole = if kind == Kind::Integer { one } else { 1 };
        let mut step = if self.steps.is_empty() || kind == Kind::Integer { whole } else { 1 };
        for other in &self.steps {
            step = least_common(step, other.at_scale(scale)?)?;
        }
        let wanted = wanted.map(|wanted| (wanted * one as f64) as i128);
        let low = self.low.map(|low| low.first_on(scale, step).ok_or(())).transpose().ok()?;
        let high = self.high.map(|high| high.last_on(scale, step).ok_or(())).transpose().ok()?;
        let far = FAR.max(step);
        let (low, high) = (
            low.unwrap_or(high.unwrap_or(0).min(0) - far),
            high.unwrap_or((low.unwrap_or(0).max(0) + far).min(i128::from(u64::MAX).checked_mul(one)?)),
        );
        let (low, high) = (div_up(low, step), high.div_euclid(step));
        if low > high {
            return None;
        }
        let number = match wanted {
            Some(wanted) => div_up(wanted, step).clamp(low, high),
            None => chance.between(low, high),
        };
        to_json(number.checked_mul(step)?, scale)
    }
}

impl Bound {
    /// The first number from the bound up, in units of a scale.
    fn first_on(self, scale: u32, step: i128) -> Option<i128> {
        let (at, rest) = self.at.split_at_scale(scale)?;
        let first = at + i128::from(rest);
        let excluded = self.exclusive && !rest && first.rem_euclid(step) == 0;
        Some(first + i128::from(excluded))
    }

    fn last_on(self, scale: u32, step: i128) -> Option<i128> {
        let (at, rest) = self.at.split_at_scale(scale)?;
        let excluded = self.exclusive && !rest && at.rem_euclid(step) == 0;
        Some(at - i128::from(excluded))
    }
}

impl Decimal {
    /// None of what is no number, or too large or too fine to count with.
    fn of(json: &Json) -> Option<Decimal> {
        let Json::Number(number) = json else { return None };
        if let Some(digits) = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)) {
            return Some(Decimal { digits, scale: 0 });
        }
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let after = after.trim_end_matches('0');
        let mut digits: i128 = format!("{before}{after}").parse().ok()?;
        let scale = i32::try_from(after.len()).ok()? - exponent.parse::<i32>().ok()?;
        if scale < 0 {
            digits = digits.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?;
        }
        let scale = u32::try_from(scale).unwrap_or(0);
        (digits == 0 || scale <= FINEST && digits.unsigned_abs() < 1 << 90)
            .then_some(Decimal { digits, scale: if digits == 0 { 0 } else { scale } })
    }

    fn at_scale(self, scale: u32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    /// Rounded down, and whether something was left.
    fn split_at_scale(self, scale: u32) -> Option<(i128, bool)> {
        if scale >= self.scale {
            return Some((self.at_scale(scale)?, false));
        }
        let unit = 10_i128.checked_pow(self.scale - scale)?;
        Some((self.digits.div_euclid(unit), self.digits.rem_euclid(unit) != 0))
    }
}

/// Where they can't be brought to one scale, by what they are nearly.
fn is_less(one: Decimal, other: Decimal) -> bool {
    let scale = one.scale.max(other.scale);
    match (one.at_scale(scale), other.at_scale(scale)) {
        (Some(one), Some(other)) => one < other,
        _ => approximately(one) < approximately(other),
    }
}

fn approximately(decimal: Decimal) -> f64 {
    decimal.digits as f64 / 10_f64.powi(decimal.scale as i32)
}

fn is_multiple(value: Decimal, step: Decimal) -> bool {
    let scale = value.scale.max(step.scale);
    match (value.at_scale(scale), step.at_scale(scale)) {
        (Some(value), Some(step)) => value % step == 0,
        _ => true,
    }
}

fn div_up(number: i128, by: i128) -> i128 {
    number.div_euclid(by) + i128::from(number.rem_euclid(by) != 0)
}

fn least_common(one: i128, other: i128) -> Option<i128> {
    let (mut a, mut b) = (one, other);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    one.checked_div(a)?.checked_mul(other)
}

/// An integer has no point.
fn to_json(digits: i128, scale: u32) -> Option<Json> {
    let one = 10_i128.checked_pow(scale)?;
    if digits % one == 0 {
        let whole = digits / one;
        return i64::try_from(whole).map(Json::from).or_else(|_| u64::try_from(whole).map(Json::from)).ok();
    }
    let sign = if digits < 0 { "-" } else { "" };
    let (whole, rest) =
        (digits.unsigned_abs() / one.unsigned_abs(), digits.unsigned_abs() % one.unsigned_abs());
    let text = format!("{sign}{whole}.{rest:0width$}", width = scale as usize);
    Number::from_f64(text.parse().ok()?).map(Json::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bounds(schema: &Json) -> Bounds {
        let mut bounds = Bounds::default();
        for (keyword, limit) in schema.as_object().into_iter().flatten() {
            match keyword.as_str() {
                "minimum" => bounds.at_least(limit, false),
                "exclusiveMinimum" => bounds.at_least(limit, true),
                "maximum" => bounds.at_most(limit, false),
                "exclusiveMaximum" => bounds.at_most(limit, true),
                _ => bounds.multiple_of(limit),
            }
        }
        bounds
    }

    /// What is nearest to 1, and that all by chance is allowed.
    #[track_caller]
    fn check(kind: Kind, schema: Json, expected: Json) {
        let bounds = bounds(&schema);
        let nearest = bounds.nearest(kind, Some(1.0), &mut Chance::First);
        assert_eq!(nearest.unwrap_or_default(), expected);
        for seed in 0..100 {
            let drawn = bounds.nearest(kind, None, &mut Chance::seeded(seed));
            let Some(Json::Number(drawn)) = drawn else {
                assert_eq!((drawn, &expected), (None, &Json::Null));
                continue;
            };
            assert!(bounds.allow(&drawn), "{drawn}");
            assert!(kind == Kind::Fraction || !drawn.is_f64(), "{drawn}");
        }
    }

    #[test]
    fn integers_stay_integers_within_their_bounds() {
        check(Kind::Integer, json!({}), json!(1));
        check(Kind::Integer, json!({"minimum": 5}), json!(5));
        check(Kind::Integer, json!({"minimum": 0.5, "maximum": 1.5}), json!(1));
        check(Kind::Integer, json!({"exclusiveMinimum": 1}), json!(2));
        check(Kind::Integer, json!({"exclusiveMaximum": 1}), json!(0));
        check(Kind::Integer, json!({"exclusiveMinimum": 1.5, "multipleOf": 4}), json!(4));
        check(Kind::Integer, json!({"maximum": -1.5}), json!(-2));
        check(Kind::Integer, json!({"minimum": 1, "a": 6, "b": 4}), json!(12));
        check(Kind::Integer, json!({"minimum": 1, "a": 0.75}), json!(3));
        check(Kind::Integer, json!({"minimum": 18446744073709551615_u64}), json!(18446744073709551615_u64));
        check(Kind::Integer, json!({"minimum": 0.1, "maximum": 0.9}), Json::Null);
        check(Kind::Integer, json!({"minimum": 2, "maximum": 1}), Json::Null);
    }

    #[test]
    fn decimals_are_on_their_grid() {
        check(Kind::Fraction, json!({}), json!(1));
        check(Kind::Fraction, json!({"minimum": 1.25, "multipleOf": 0.01}), json!(1.25));
        check(Kind::Fraction, json!({"exclusiveMinimum": 0, "exclusiveMaximum": 0.001}), json!(0.0009));
        check(Kind::Fraction, json!({"multipleOf": 0.3}), json!(1.2));
        check(Kind::Fraction, json!({"minimum": 1e-7, "maximum": 2e-7}), json!(2e-7));
        check(Kind::Fraction, json!({"minimum": -0.5, "maximum": 0.5}), json!(0.5));
    }
}
