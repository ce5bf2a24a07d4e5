//! Backups that this node makes by itself: of the same bytes as `GET /cluster/backup`, whenever the state has changed.
//!
//! - [`place`]: where they are kept: a [`folder`], or a [`bucket`], which is called through the [`connector`]
//! - [`name`]: their names; [`keep`]: which of them are kept
//! - [`figures`]: how it goes, for the metrics

mod bucket;
mod connector;
mod figures;
mod folder;
mod keep;
mod name;
mod place;

use std::sync::Arc;
use std::time::Duration;

use acefleet_raft::Cluster;
use acefleet_raft::backup::BackupError;
use acefleet_registry::WallMs;
use tokio_util::sync::CancellationToken;

use crate::config::{BackupPlan, Config};

pub use figures::{Figure, Figures};
pub use keep::Keep;
pub use name::{Name, Owner};
pub use place::{Place, Unkept};

/// How often a node looks whether its cluster has formed.
const FORMED_EVERY: Duration = Duration::from_secs(1);

/// Keeps backups until it is cancelled, if the settings name a place.
pub async fn run(cluster: Cluster, config: Arc<Config>, figures: Arc<Figures>, cancel: CancellationToken) {
    let Some(plan) = &config.backups else { return };
    let place = match Place::of(&plan.to) {
        Ok(place) => place,
        Err(why) => {
            tracing::error!(%why, "this node makes no backups until its settings are corrected and it is restarted");
            figures.change(|figures| figures.failing = Some(why.0));
            return;
        }
    };
    let backups = Backups {
        place,
        keep: Keep { most: plan.keep, within: plan.keep_for },
        figures,
        node: config.node_name.clone(),
    };
    let BackupPlan { to, every, .. } = plan;
    tracing::info!(%to, every_s = every.as_secs_f64(), "this node makes backups when the state has changed");
    cancel.run_until_cancelled(backups.keep_making(&cluster, *every)).await;
}

/// Backups of one node.
struct Backups {
    place: Place,
    keep: Keep,
    figures: Arc<Figures>,
    node: String,
}

/// What a look came to.
enum Looked {
    /// The place has the newest state.
    Kept,
    /// There is nothing to keep yet.
    TooEarly,
}

/// The state as it is now.
struct Now<'a> {
    owner: &'a Owner,
    revision: u64,
    wall: WallMs,
}

impl Backups {
    async fn keep_making(&self, cluster: &Cluster, every: Duration) {
        loop {
            let Some(id) = cluster.cluster_id() else {
                tokio::time::sleep(FORMED_EVERY).await;
                continue;
            };
            let owner = Owner::new(&id, &self.node);
            let now = Now { owner: &owner, revision: cluster.view().revision, wall: cluster.wall_now() };
            let pause = match self.look(&now, cluster).await {
                Ok(Looked::TooEarly) => FORMED_EVERY,
                Ok(Looked::Kept) => {
                    self.note(&now, None);
                    every
                }
                Err(why) => {
                    self.note(&now, Some(why));
                    every
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes a backup if the place has none of this state, and removes those that are not kept.
    async fn look(&self, now: &Now<'_>, cluster: &Cluster) -> Result<Looked, Unkept> {
        let mut found = self.place.list().await?;
        if !found.iter().any(|name| name.owner == *now.owner && name.revision >= now.revision) {
            let made = match cluster.backup(false).await {
                Err(BackupError::NotFormed) => return Ok(Looked::TooEarly),
                made => made.map_err(|error| Unkept(error.to_string()))?,
            };
            let (name, bytes) = (Name::of(&made.header, now.owner), made.bytes);
            self.place.write(&name, now.owner, made).await?;
            tracing::debug!(%name, bytes, "a backup was written");
            self.figures.change(|figures| {
                figures.written += 1;
                figures.last_bytes = bytes;
            });
            found.retain(|other| *other != name);
            found.push(name);
        }
        // Only behind a backup that is there.
        let surplus = self.keep.surplus(&found, now.owner, name::moment(now.wall));
        for name in &surplus {
            self.place.remove(name).await?;
        }
        let kept = found.iter().filter(|name| name.owner == *now.owner).count() - surplus.len();
        self.figures.change(|figures| figures.kept = kept);
        Ok(Looked::Kept)
    }

    /// Logs a failure once for each reason, and the end of it.
    fn note(&self, now: &Now<'_>, failed: Option<Unkept>) {
        let failed = failed.map(|why| why.0);
        let before = self.figures.change(|figures| {
            match failed {
                Some(_) => figures.failures += 1,
                None => figures.last_success = Some(now.wall),
            }
            std::mem::replace(&mut figures.failing, failed.clone())
        });
        match (before, failed) {
            (before, Some(why)) if before.as_ref() != Some(&why) => {
                tracing::warn!(why, "no backup could be kept; it is tried again");
            }
            (Some(_), None) => tracing::info!("backups are kept again"),
            _ => {}
        }
    }
}
