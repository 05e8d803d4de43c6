//! A request or a response against its operation.
//!
//! What the document says is compiled when the first request asks, schema by schema, and kept by
//! [`Schemas`]; an operation that says nothing of its requests has no [`Contract`] at all.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::message::Request;
use super::schema::Schemas;
use super::violation::Violation;
use crate::config::Config;
use crate::spec::document::Operation;
use crate::spec::kept::Texts;

/// What an operation says of its requests and responses.
#[derive(Debug)]
pub struct Contract {}

impl Contract {
    /// None where there is nothing to hold a message against, at the levels of the config.
    pub fn of(_operation: &Operation<'_>, _texts: &Arc<Texts>, _config: &Config) -> Option<Arc<Contract>> {
        None
    }

    /// Whether a request's body is looked at.
    pub fn needs_request_body(&self) -> bool {
        false
    }

    /// What of a request is not as the document says; security is another matter.
    pub fn request(&self, _request: &Request<'_>, _schemas: &Schemas) -> Vec<Violation> {
        Vec::new()
    }

    /// Whether the body of a response with this head is looked at.
    pub fn needs_response_body(&self, _status: StatusCode, _headers: &HeaderMap) -> bool {
        false
    }

    /// What of a response is not as the document says. `body` is none where it was not kept whole.
    pub fn response(
        &self,
        _status: StatusCode,
        _headers: &HeaderMap,
        _body: Option<&Bytes>,
        _schemas: &Schemas,
    ) -> Vec<Violation> {
        Vec::new()
    }
}
