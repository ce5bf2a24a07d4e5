//! What has let a caller in. Answers without an end keep it, and end when it lets nobody in any more.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::http::app::App;
use crate::http::request::shown::Shown;
use crate::http::roles::Needs;

/// How often it is looked at. It costs a comparison with each key, which is the same for each of thousands of readers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What has let a caller in where a key is needed.
#[derive(Clone)]
pub(crate) struct Pass {
    app: App,
    needs: Needs,
    shown: Vec<Shown>,
}

impl Pass {
    /// Of a caller that has shown this, for an operation that needs this.
    pub fn new(app: App, needs: Needs, shown: Vec<Shown>) -> Self {
        Self { app, needs, shown }
    }

    /// Returns when it lets nobody in any more: the key was revoked or replaced, or it or the session has ended.
    pub async fn over(&self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let refused = self.app.key().admits(self.needs, &self.shown).err();
            // A node that knows no key at the moment says nothing about this one.
            if refused.is_some_and(|refused| refused.reason().is_some()) {
                return;
            }
        }
    }
}
