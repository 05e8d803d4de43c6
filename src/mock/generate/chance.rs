//! Where a value may be one or another: always the first, or by a seed.

/// Picks what has no reason to be one or another.
#[derive(Debug, Clone)]
pub enum Chance {
    /// The first each time.
    First,
    Seeded(fastrand::Rng),
}

impl Chance {
    pub fn seeded(seed: u64) -> Self {
        Chance::Seeded(fastrand::Rng::with_seed(seed))
    }

    /// A number below `count`; 0 if there is none.
    pub fn pick(&mut self, count: usize) -> usize {
        match self {
            Chance::Seeded(rng) if count > 1 => rng.usize(..count),
            _ => 0,
        }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i128, high: i128) -> i128 {
        match self {
            Chance::Seeded(rng) if low < high => {
                let width = high.abs_diff(low);
                let offset = if width == u128::MAX { rng.u128(..) } else { rng.u128(..=width) };
                low.wrapping_add_unsigned(offset)
            }
            _ => low,
        }
    }

    pub fn is_first(&self) -> bool {
        matches!(self, Chance::First)
    }
}

/// Mixes a number into a seed, so that each place has chance of its own and keeps it from round to round.
/// (The finalizer of MurmurHash3 by A. Appleby, which is in the public domain.)
pub fn mix(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.rotate_left(23) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

/// A text as a number to mix.
pub fn number_of(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
