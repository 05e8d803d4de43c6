//! Waiting for conditions. The only sleep of the suite is in here, between two looks.

use std::future::Future;
use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What `look` finds, as soon as it finds something; panics after `deadline`.
#[track_caller]
pub fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(begun.elapsed() < deadline, "{caller}: not within {deadline:?}: {what}");
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Panics as soon as `holds` is false, and returns after `span`.
#[track_caller]
pub fn holds_for(span: Duration, what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        while begun.elapsed() < span {
            assert!(holds(), "{caller}: after {:?} no longer: {what}", begun.elapsed());
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// The future's output, or a panic in place of a test that hangs.
#[track_caller]
pub fn within<T>(deadline: Duration, what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(deadline, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: not within {deadline:?}: {what}"),
        }
    }
}
