//! Waiting for a condition with a deadline, and saying what was seen last when it does not come true.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// Pause between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(40);

/// Asks `probe` until it answers `Ok`; at the deadline, fails with the last error it gave.
///
/// A probe that hangs is cut off at the deadline too.
pub async fn wait_for<T, F>(what: &str, deadline: Duration, mut probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let until = Instant::now() + deadline;
    let mut last = anyhow!("the first look at it did not come back");
    loop {
        match timeout_at(until, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => {
                return Err(last).with_context(|| {
                    format!("waited {deadline:?} for {what}; last seen before the look that hung")
                });
            }
        }
        if Instant::now() >= until {
            return Err(last).with_context(|| format!("waited {deadline:?} for {what}; last seen"));
        }
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_thing_seen_is_in_the_message() {
        let mut looks = 0;
        let outcome: Result<()> = wait_for("a third thing", Duration::from_millis(200), || {
            looks += 1;
            std::future::ready(Err(anyhow!("look {}", looks.min(2))))
        })
        .await;
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(message.contains("a third thing") && message.contains("look 2"), "{message}");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_cut_off() {
        let outcome: Result<()> = wait_for("nothing", Duration::from_millis(50), std::future::pending).await;
        assert!(outcome.is_err());
    }

    #[tokio::test]
    async fn comes_back_with_what_the_probe_found() {
        let mut looks = 0;
        let found = wait_for("three", Duration::from_secs(10), || {
            looks += 1;
            std::future::ready(if looks == 3 { Ok(looks) } else { Err(anyhow!("only {looks}")) })
        })
        .await;
        assert_eq!(found.unwrap(), 3);
    }
}
