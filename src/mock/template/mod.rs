//! `{{ }}`: parsed at load, rendered later.
