//! A hundred real documents, of every odd form there is: each is read, each operation found, and each
//! example served or explained. `make corpus` asks the same of all there are; see docs/corpus.md.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::read::GzDecoder;

#[path = "corpus/mod.rs"]
mod corpus;

use corpus::{Outcome, judge};

const SAMPLE: &[u8] = include_bytes!("corpus/sample.tar.gz");

#[test]
fn every_document_of_the_sample_is_served_as_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut wrong = Vec::new();
    let mut total = Outcome::default();
    let mut documents = 0;
    for entry in tar::Archive::new(GzDecoder::new(SAMPLE)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_string_lossy().into_owned();
        let file = folder.path().join(&name);
        entry.unpack(&file).expect("a file");
        documents += 1;
        let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| judge(&file))) else {
            wrong.push(format!("{name}: panics"));
            continue;
        };
        wrong.extend(outcome.refused.map(|reason| format!("{name}: {reason}")));
        wrong.extend(outcome.findings.iter().map(|finding| format!("{name}: {finding}")));
        total.operations += outcome.operations;
        total.routed += outcome.routed;
        total.examples += outcome.examples;
        total.served += outcome.served;
    }
    assert_eq!(wrong, Vec::<String>::new());
    // Else the walk that knows what there is has lost its way. The rest of the examples is odd, and explained.
    assert_eq!((documents, total.operations > 1_000, total.examples > 1_000), (100, true, true), "{total:?}");
    assert!(total.routed * 100 > total.operations * 95, "{total:?}");
    assert!(total.served * 2 > total.examples, "{total:?}");
}
