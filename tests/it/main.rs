//! The product from outside: the real binary, real sockets, the contract.
//!
//! Nothing here knows how Standin is built. A test's name is the rule it keeps; it waits for
//! conditions with a deadline, and every port is a free one.

mod harness;

mod walk;

mod admin;
mod answer;
mod architecture;
mod bodies;
mod browser;
mod callbacks;
mod cli;
mod compare;
mod delays;
mod drift;
mod fallback;
mod faults;
mod grpc;
mod hostile;
mod journal;
mod kept;
mod library;
mod listeners;
mod pass;
mod prism;
mod protocols;
mod reload;
mod route;
mod send;
mod sources;
mod stop;
mod upstreams;
