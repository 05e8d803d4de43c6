//! Whether a request has the credentials that its operation asks for. Only their presence and form are
//! looked at, never whose they are.

use std::sync::Arc;

use http::HeaderValue;

use super::message::Request;
use super::violation::Violation;
use crate::spec::document::Operation;

/// What an operation asks for.
#[derive(Debug)]
pub struct Security {}

/// What a request has not got.
#[derive(Debug)]
pub struct Unauthorized {
    pub violation: Violation,
    /// A `www-authenticate` for each alternative (RFC 9110, 11.6.1).
    pub challenges: Vec<HeaderValue>,
}

impl Security {
    /// None where nothing is asked for.
    pub fn of(_operation: &Operation<'_>) -> Option<Arc<Security>> {
        None
    }

    /// # Errors
    ///
    /// None of the alternatives is there whole.
    pub fn check(&self, _request: &Request<'_>) -> Result<(), Unauthorized> {
        Ok(())
    }
}
