//! Standin: a reverse proxy that stands in for the endpoints an API has not built yet.
//!
//! Read downwards: a module uses only modules declared below it. [`server`] runs (sockets,
//! clock, disk, tasks), [`mock`] decides (a request to an answer), [`spec`] reads (texts to
//! documents). Only `server` does IO; everything below it is data in, data out.
//!
//! [`Interceptor`] puts the same decision into a pingora proxy of one's own.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

pub use server::intercept::Ctx;
pub use server::plug::Interceptor;

pub mod server;

pub mod mock;

pub mod spec;

pub mod config;

pub mod tree;

pub mod diagnostic;
