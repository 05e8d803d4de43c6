//! What the tests are written with: a Standin to ask, an upstream behind it, a receiver for its
//! callbacks, an HTTP client that sends the bytes it is told to, and waiting.

mod h2;
mod http;
mod metrics;
mod server;
mod standin;
mod text;
mod tls;
mod wait;

pub use h2::{Ends, Exchange, Http2, read_answer, write_body, write_piece};
pub use http::{Request, Response, Wire, delete, get, head, post, request};
pub use metrics::Metrics;
pub use server::{ClosedPort, Gate, RawUpstream, Received, Receiver, Reply, Speaks, Upstream};
pub use standin::{Builder, Standin};
pub use text::{dedent, document, operation};
pub use tls::Authority;
pub use wait::{eventually, holds_for, within};

use std::time::Duration;

/// For everything that should happen at once; long, since the machine may be busy.
pub const SOON: Duration = Duration::from_secs(15);

/// A config for tests of callbacks: the chain's pace is not what they are about.
pub const FAST: &str = "callbacks: {delay: 20ms}\n";
