//! What a failure of the upstream is called.

use pingora::ErrorSource;
use pingora::prelude::{Error, ErrorType};

use crate::config::Missing;
use crate::mock::problem;

/// Why the upstream gave no answer.
pub struct Failure {
    pub problem: problem::Kind,
    /// The metric's label.
    pub reason: &'static str,
    pub detail: &'static str,
}

impl Failure {
    pub fn of(error: &Error) -> Failure {
        use ErrorType::{
            ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed, InvalidCert,
            InvalidHTTPHeader, ReadError, ReadTimedout, TLSHandshakeFailure, TLSHandshakeTimedout,
            WriteError, WriteTimedout,
        };
        let failure = |problem, reason, detail| Failure { problem, reason, detail };
        match error.etype() {
            ConnectTimedout | TLSHandshakeTimedout => failure(
                problem::UPSTREAM_TIMEOUT,
                "connect_timeout",
                "no connection within `connect_timeout`",
            ),
            ConnectRefused => failure(problem::UPSTREAM_CONNECT, "connect", "it refuses connections"),
            ConnectNoRoute | ConnectError | ErrorType::BindError | ErrorType::SocketError => {
                failure(problem::UPSTREAM_CONNECT, "connect", "it can't be reached")
            }
            TLSHandshakeFailure | InvalidCert | ErrorType::TLSWantX509Lookup => {
                failure(problem::UPSTREAM_CONNECT, "tls", "the TLS handshake failed")
            }
            ReadTimedout | WriteTimedout => {
                failure(problem::UPSTREAM_TIMEOUT, "timeout", "no answer within `response_timeout`")
            }
            ReadError | WriteError | ConnectionClosed | ErrorType::H1Error => failure(
                problem::UPSTREAM_PROTOCOL,
                "reset",
                "it closed the connection before its answer was whole",
            ),
            InvalidHTTPHeader | ErrorType::InvalidH2 | ErrorType::H2Error | ErrorType::H2Downgrade => {
                failure(problem::UPSTREAM_PROTOCOL, "protocol", "its answer is no HTTP that can be read")
            }
            _ if *error.esource() == ErrorSource::Upstream => {
                failure(problem::UPSTREAM_PROTOCOL, "protocol", "its answer can't be passed on")
            }
            _ => failure(problem::INTERNAL, "internal", "Standin failed; its log says more"),
        }
    }

    /// Whether the mode `fallback` takes it for "has not got it".
    pub fn is_missing(&self, missing: &Missing) -> bool {
        match self.reason {
            "connect" | "tls" => missing.connect,
            "connect_timeout" => missing.connect || missing.timeout,
            "timeout" => missing.timeout,
            "reset" | "protocol" => missing.reset,
            _ => false,
        }
    }
}
