#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../tests/properties/mod.rs"]
mod properties;

fuzz_target!(|text: &str| properties::body::holds(text));
