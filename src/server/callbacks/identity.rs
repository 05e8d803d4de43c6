//! Who calls are, and that they are ours: ids, signatures, traces.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names the chains of one process, so that none has the name of another's.
pub(super) struct Run {
    name: String,
    numbered: AtomicU64,
}

/// A chain's name: 22 letters and digits, those of one run in their order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Arc<str>);

const RUN: usize = 14;
const NUMBER: usize = 8;
const CALL: usize = 4;

impl Run {
    pub fn new() -> Self {
        let name = std::iter::repeat_with(fastrand::alphanumeric).take(RUN).collect();
        Run { name, numbered: AtomicU64::new(0) }
    }

    pub fn next(&self) -> Id {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed);
        let mut name = self.name.clone();
        digits(number, NUMBER, &mut name);
        Id(name.into())
    }
}

impl Id {
    /// As the store has it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// As the admin port shows it.
    pub fn chain(&self) -> String {
        format!("chain_{}", self.0)
    }

    /// A call's `webhook-id`, the same for all its attempts, in every run; also its name at the admin port.
    pub fn call(&self, index: usize) -> String {
        let mut id = format!("msg_{}", self.0);
        digits(index as u64, CALL, &mut id);
        id
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lowest digits of a number, to the base of 62.
fn digits(number: u64, count: usize, out: &mut String) {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for place in (0..count as u32).rev() {
        let digit = number / 62_u64.pow(place) % 62;
        out.push(char::from(DIGITS[digit as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_letters_and_digits_in_order() {
        let run = Run::new();
        let ids: Vec<_> = std::iter::repeat_with(|| run.next()).take(200).collect();
        assert!(ids.is_sorted_by(|a, b| a.name() < b.name()));
        let calls: Vec<_> = (0..200).map(|call| ids[0].call(call)).collect();
        assert!(calls.is_sorted_by(|a, b| a < b));
        for call in &calls {
            let rest = call.strip_prefix("msg_").unwrap();
            assert!(rest.len() == 26 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{call}");
        }
        assert_ne!(Run::new().next(), ids[0]);
    }
}
