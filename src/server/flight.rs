//! Our own count of what is in flight, so that a stop waits for exactly that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts what has begun and not ended.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    count: AtomicUsize,
    ended: Notify,
}

/// One thing in flight, until it is dropped.
#[derive(Debug)]
pub struct Flight(Arc<Counter>);

impl InFlight {
    pub fn begin(&self) -> Flight {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Flight(self.0.clone())
    }

    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Returns once nothing is in flight.
    pub async fn none(&self) {
        loop {
            // Registered before the count is read, so that the last end is not missed.
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_last_flight() {
        let in_flight = InFlight::default();
        let (first, second) = (in_flight.begin(), in_flight.begin());
        let waiting = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.none().await }
        });
        drop(first);
        assert_eq!(in_flight.count(), 1);
        drop(second);
        waiting.await.unwrap();
        assert_eq!(in_flight.count(), 0);
    }
}
