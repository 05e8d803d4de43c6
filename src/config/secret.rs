//! What calls are signed with (Standard Webhooks, "Signature scheme").

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::problem::Problem;

/// A symmetric key of 24 to 64 bytes. It is in no message, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    pub fn key(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Problem;

    /// `whsec_` and the key in base64.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let wrong = |message: &str| {
            Err(Problem::value(message)
                .hint("write `whsec_` and 24 to 64 bytes in base64, as `openssl rand -base64 32` makes them"))
        };
        let Some(encoded) = text.strip_prefix("whsec_") else {
            return wrong("a secret that does not begin with `whsec_`");
        };
        match STANDARD.decode(encoded) {
            Ok(key) if (24..=64).contains(&key.len()) => Ok(Secret(key.into())),
            Ok(key) => wrong(&format!("a secret of {} bytes", key.len())),
            Err(_) => wrong("a secret that is not base64"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
