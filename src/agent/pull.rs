//! Fetching missing images: one pull for each image, however many engines wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::lock::unpoisoned;
use crate::agent::runtime::ContainerRuntime;

/// Time limit of a pull.
const LONGEST: Duration = Duration::from_secs(900);

type Pull = Shared<BoxFuture<'static, Result<(), String>>>;

/// Result of waiting for a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// The image is there.
    Done,
    /// The registry or the daemon refused; the text says why.
    Failed(String),
    /// Not done in time; it goes on in the background.
    Late,
}

/// Pulls under way.
#[derive(Clone)]
pub(super) struct Pulls {
    runtime: Arc<dyn ContainerRuntime>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<HashMap<String, Pull>>>,
}

impl Pulls {
    pub(super) fn new(
        runtime: Arc<dyn ContainerRuntime>,
        cancel: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        Self { runtime, cancel, tracker, running: Arc::default() }
    }

    /// Joins the pull of `image` or begins it, and waits for it until `deadline`.
    pub(super) async fn fetch(&self, image: &str, deadline: Instant) -> Pulled {
        match tokio::time::timeout_at(deadline, self.join(image)).await {
            Ok(Ok(())) => Pulled::Done,
            Ok(Err(reason)) => Pulled::Failed(reason),
            Err(_) => Pulled::Late,
        }
    }

    fn join(&self, image: &str) -> Pull {
        let mut running = unpoisoned(&self.running);
        if let Some(pull) = running.get(image) {
            return pull.clone();
        }
        let task = self.tracker.spawn(self.clone().work(image.to_owned()));
        let pull = task.map(|joined| joined.unwrap_or_else(|e| Err(e.to_string()))).boxed().shared();
        running.insert(image.to_owned(), pull.clone());
        pull
    }

    async fn work(self, image: String) -> Result<(), String> {
        tracing::info!(image, "pulling the image");
        let pull = tokio::time::timeout(LONGEST, self.runtime.pull(&image));
        let result = match self.cancel.run_until_cancelled(pull).await {
            None => Err("the node is stopping".to_owned()),
            Some(Err(_)) => Err(format!("the pull took longer than {} s", LONGEST.as_secs())),
            Some(Ok(Err(error))) => Err(error.to_string()),
            Some(Ok(Ok(()))) => Ok(()),
        };
        unpoisoned(&self.running).remove(&image);
        match &result {
            Ok(()) => tracing::info!(image, "the image was pulled"),
            Err(reason) => tracing::warn!(image, reason, "the image could not be pulled"),
        }
        result
    }
}
