//! Who calls are, and that they are ours: ids, signatures, traces.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::config::Secret;

/// Names the chains of one process, so that none has the name of another's.
pub(super) struct Run {
    name: Arc<str>,
    numbered: AtomicU64,
}

/// A chain's name: 22 letters and digits, those of one run in their order. Written when it is asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id {
    run: Arc<str>,
    number: u64,
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Flags of a trace; the second is of level 2.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

const RUN: usize = 14;
const NUMBER: usize = 8;
const CALL: usize = 4;

impl Run {
    pub fn new() -> Self {
        let name: String = std::iter::repeat_with(fastrand::alphanumeric).take(RUN).collect();
        Run { name: name.into(), numbered: AtomicU64::new(0) }
    }

    pub fn next(&self) -> Id {
        Id { run: self.name.clone(), number: self.numbered.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Id {
    /// A name that was kept; none if it is no chain's.
    pub fn parse(name: &str) -> Option<Id> {
        let fits = name.len() == RUN + NUMBER && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (run, number) = name.split_at_checked(RUN).filter(|_| fits)?;
        Some(Id { run: run.into(), number: number_of(number)? })
    }

    fn put(&self, out: &mut String) {
        out.push_str(&self.run);
        digits(self.number, NUMBER, out);
    }

    /// As the admin port shows it.
    pub fn chain(&self) -> String {
        format!("chain_{self}")
    }

    /// Which call of this chain has this id.
    pub fn index_of(&self, call: &str) -> Option<usize> {
        let rest = call.strip_prefix("msg_")?.strip_prefix(&*self.run)?;
        let (chain, index) = rest.split_at_checked(NUMBER)?;
        if index.len() != CALL || number_of(chain)? != self.number {
            return None;
        }
        number_of(index).and_then(|index| usize::try_from(index).ok())
    }

    /// A call's `webhook-id`, the same for all its attempts, in every run; also its name at the admin port.
    pub fn call(&self, index: usize) -> String {
        let mut id = String::from("msg_");
        self.put(&mut id);
        digits(index as u64, CALL, &mut id);
        id
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        self.put(&mut name);
        f.write_str(&name)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of such digits, if they are some and it is one of 64 bits.
fn number_of(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        number.checked_mul(DIGITS.len() as u64)?.checked_add(digit as u64)
    })
}

/// The lowest digits of a number, to the base of 62.
fn digits(number: u64, count: usize, out: &mut String) {
    for place in (0..count as u32).rev() {
        let digit = number / 62_u64.pow(place) % 62;
        out.push(char::from(DIGITS[digit as usize]));
    }
}

/// The signatures of a call by all secrets, the first one first, so that a receiver may know the old one or
/// the new one (Standard Webhooks, "Signature scheme"). None without a secret.
pub(super) fn signatures(secrets: &[Secret], id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let sign = |secret: &Secret| {
        let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.key()));
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            signed.update(part);
        }
        format!("v1,{}", STANDARD.encode(signed.sign()))
    };
    let signatures: Vec<String> = secrets.iter().map(sign).collect();
    (!signatures.is_empty()).then(|| signatures.join(" "))
}

/// An attempt's `traceparent`: a new span of the client's trace, else of one that is its chain's own, of
/// the chain's chance (W3C Trace Context, 3.2). Flags that version 00 does not know are zero (3.2.2.5).
pub(super) fn traceparent(of_client: Option<&str>, chance: u64) -> String {
    let span = fastrand::u64(1..);
    match of_client.and_then(trace) {
        Some((trace, flags)) => {
            let flags = u8::from_str_radix(flags, 16).unwrap_or(0) & (SAMPLED | RANDOM);
            format!("00-{trace}-{span:016x}-{flags:02x}")
        }
        None => {
            let trace = fastrand::Rng::with_seed(!chance).u128(1..);
            format!("00-{trace:032x}-{span:016x}-{SAMPLED:02x}")
        }
    }
}

/// The trace's id and the flags. A version that is not known is read as far as it is (3.2.2.5, 4.3).
fn trace(field: &str) -> Option<(&str, &str)> {
    let mut parts = field.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let ends = parts.next().is_none() || version != "00";
    let formed = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (formed && ends && version != "ff" && !zero(trace) && !zero(span)).then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the official libraries.
        let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let other: Secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        let sign = |secrets: &[Secret]| {
            signatures(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(std::slice::from_ref(&secret)).as_deref(), Some(expected));
        let both = sign(&[other, secret]).unwrap();
        let both: Vec<_> = both.split(' ').collect();
        assert_eq!((both.len(), both[1]), (2, expected));
        assert_eq!(sign(&[]), None);
    }

    #[track_caller]
    fn check_trace(field: &str, expected: Option<(&str, &str)>) {
        assert_eq!(trace(field), expected);
    }

    #[test]
    fn the_trace_of_the_client_goes_on() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        check_trace(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some((TRACE, "00")));
        check_trace(&format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes"), Some((TRACE, "01")));
        for wrong in [
            "",
            "00-0-0-01",
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
        ] {
            check_trace(wrong, None);
        }
        for (flags, expected) in [("00", "-00"), ("01", "-01"), ("ff", "-03")] {
            let sent = traceparent(Some(&format!("00-{TRACE}-00f067aa0ba902b7-{flags}")), 7);
            assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with(expected), "{sent}");
            assert!(!sent.contains("00f067aa0ba902b7"));
        }
        // Without one, attempts of a chain are of one trace.
        let own = [7, 7, 8].map(|chance| traceparent(None, chance));
        let own: Vec<Vec<_>> = own.iter().map(|field| field.split('-').collect()).collect();
        assert_eq!(own[0].iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert!(own[0][1] == own[1][1] && own[0][1] != own[2][1] && own[0][2] != own[1][2], "{own:?}");
    }

    #[test]
    fn ids_are_letters_and_digits_in_order() {
        let run = Run::new();
        let ids: Vec<_> = std::iter::repeat_with(|| run.next()).take(200).collect();
        assert!(ids.is_sorted_by(|a, b| a.chain() < b.chain()));
        let calls: Vec<_> = (0..200).map(|call| ids[0].call(call)).collect();
        assert!(calls.is_sorted_by(|a, b| a < b));
        assert_eq!(calls.iter().position(|call| ids[0].index_of(call) == Some(99)), Some(99));
        assert_eq!((ids[1].index_of(&calls[0]), ids[0].index_of("msg_é")), (None, None));
        for call in &calls {
            let rest = call.strip_prefix("msg_").unwrap();
            assert!(rest.len() == 26 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{call}");
        }
        assert_ne!(Run::new().next(), ids[0]);
    }
}
