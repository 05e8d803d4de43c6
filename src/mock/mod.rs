//! Decides: a request to an answer. Data in, data out; time and chance come in as arguments.

pub mod callback;

pub mod template;

pub mod message;
