//! Pauses between repeats: doubling, bounded, with jitter so that nodes do not act in step.

use std::time::Duration;

/// Pauses that double from `first` to `longest`.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, next: first, longest }
    }

    /// The next pause without jitter.
    pub(super) fn step(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Waits for the next pause, longer by up to a quarter.
    pub(super) async fn pause(&mut self) {
        let pause = self.step();
        // Any unpredictable bits do; a random UUID has them without another dependency.
        let spread = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        tokio::time::sleep(pause + pause * spread / 1024).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        let steps: Vec<Duration> = (0..4).map(|_| backoff.step()).collect();
        assert_eq!(steps, [ms(100), ms(200), ms(350), ms(350)]);
        backoff.reset();
        assert_eq!(backoff.step(), ms(100));
    }
}
