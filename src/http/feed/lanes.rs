//! Wakes readers a few at a time. Woken all at once, they would stand in a row before the calls that come in that moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Readers are spread over so many lanes, which are woken one after the other.
const LANES: usize = 32;
/// Time for the readers of a lane before the next one is woken. All lanes together take less than the time between two batches.
const TURN: Duration = Duration::from_millis(2);

/// The number of the newest batch, as the readers of each lane know it.
pub(super) struct Lanes {
    lanes: [watch::Sender<u64>; LANES],
    next: AtomicUsize,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { lanes: std::array::from_fn(|_| watch::Sender::new(0)), next: AtomicUsize::new(0) }
    }
}

impl Lanes {
    /// A place in one of the lanes.
    pub fn join(&self) -> watch::Receiver<u64> {
        self.lanes[self.next.fetch_add(1, Ordering::Relaxed) % LANES].subscribe()
    }

    /// Wakes the readers of one lane after the other.
    pub async fn tell(&self, newest: u64) {
        for lane in &self.lanes {
            if lane.send_if_modified(|known| std::mem::replace(known, newest) != newest)
                && lane.receiver_count() > 0
            {
                tokio::time::sleep(TURN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn readers_are_woken_in_turn_and_none_is_forgotten() {
        let lanes = Lanes::default();
        let mut readers: Vec<_> = (0..2 * LANES).map(|_| lanes.join()).collect();
        let woken = |readers: &[watch::Receiver<u64>]| {
            readers.iter().filter(|reader| reader.has_changed().unwrap()).count()
        };
        let told = lanes.tell(7);
        tokio::pin!(told);
        assert!(futures::poll!(&mut told).is_pending());
        assert_eq!(woken(&readers), 2, "one lane");
        told.await;
        assert_eq!(woken(&readers), 2 * LANES);
        readers.iter_mut().for_each(|reader| reader.mark_unchanged());
        lanes.tell(7).await;
        assert_eq!(woken(&readers), 0, "it is no news");
    }

    #[test]
    fn nobody_is_waited_for_in_an_empty_lane() {
        assert!(Lanes::default().tell(1).now_or_never().is_some());
    }
}
