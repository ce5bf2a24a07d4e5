//! Backups that this node makes by itself: of the same bytes as `GET /cluster/backup`, whenever the state has changed.
//!
//! - [`place`]: where they are kept: a [`folder`], or a [`bucket`], which is called through the [`connector`]
//! - [`name`]: their names; [`keep`]: which of them are kept, and which make room
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
use acefleet_raft::backup::{BackupError, Made};
use acefleet_registry::WallMs;
use tokio_util::sync::CancellationToken;

use crate::config::{BackupPlan, Config};

pub use figures::{Figure, Figures, Roominess};
pub use keep::{Keep, Kept, Room};
pub use name::{Name, Owner};
pub use place::{Place, Unkept, Unwritten};

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
        self.note_found(&found, now.owner);
        let has_it = |kept: &Kept| kept.name.owner == *now.owner && kept.name.revision >= now.revision;
        if !found.iter().any(has_it) {
            let made = match cluster.backup(false).await {
                Err(BackupError::NotFormed) => return Ok(Looked::TooEarly),
                made => made.map_err(|error| Unkept(error.to_string()))?,
            };
            let (name, bytes) = (Name::of(&made.header, now.owner), made.bytes);
            self.write(&name, made, &mut found).await?;
            tracing::debug!(%name, bytes, "a backup was written");
            self.figures.change(|figures| {
                figures.written += 1;
                figures.last_bytes = bytes;
            });
            found.retain(|other| other.name != name);
            found.push(Kept { name, bytes });
        }
        // Only behind a backup that is there.
        let surplus = self.keep.surplus(&found, now.owner, name::moment(now.wall));
        for name in &surplus {
            self.place.remove(name).await?;
        }
        if !surplus.is_empty() {
            // The settings say how many there are, and not the room.
            self.note_room(Roominess::Enough);
        }
        found.retain(|kept| !surplus.contains(&kept.name));
        self.note_found(&found, now.owner);
        Ok(Looked::Kept)
    }

    /// Says in figures what is there. Of earlier runs of this node nothing else tells when the place had the newest state, so at least when the newest
    /// backup was made.
    fn note_found(&self, found: &[Kept], owner: &Owner) {
        let own = keep::newest_first(found, owner);
        self.figures.change(|figures| {
            figures.kept = own.len();
            if let Some(newest) = own.first()
                && figures.last_success.is_none()
            {
                figures.last_success = Some(newest.name.wall());
                figures.last_bytes = newest.bytes;
            }
        });
    }

    /// Writes a backup. Where the place is full, older ones go first, one at a time, and are taken out of `found`.
    async fn write(&self, name: &Name, mut made: Made, found: &mut Vec<Kept>) -> Result<(), Unkept> {
        let mut room = None;
        let mut has_made_room = false;
        loop {
            let why = match self.place.write(name, &name.owner, made).await {
                Ok(()) => {
                    if self.figures.now().room == Roominess::Lost {
                        self.note_room(Roominess::Crowded);
                    }
                    return Ok(());
                }
                Err(Unwritten::Other(why)) => return Err(why),
                Err(Unwritten::Full(back, why)) => {
                    made = *back;
                    why
                }
            };
            if room.is_none() {
                room = self.room(found, &name.owner, made.bytes).await;
            }
            let Some(oldest) = room.as_mut().and_then(Iterator::next) else {
                if has_made_room {
                    self.note_room(Roominess::Lost);
                }
                return Err(why);
            };
            self.note_room(Roominess::Crowded);
            self.place.remove(&oldest).await?;
            tracing::debug!(name = %oldest, "a backup went before its time");
            found.retain(|kept| kept.name != oldest);
            has_made_room = true;
            self.figures.change(|figures| {
                figures.crowded_out += 1;
                figures.kept = figures.kept.saturating_sub(1);
            });
        }
    }

    /// What may go for a backup of so many bytes. Nothing does as long as the room of those that went before was taken by somebody else, or without a
    /// newest one that is whole.
    async fn room(&self, found: &[Kept], owner: &Owner, bytes: u64) -> Option<Room> {
        if self.figures.now().room == Roominess::Lost {
            return None;
        }
        let own = keep::newest_first(found, owner).into_iter().map(|kept| kept.name.clone());
        let (whole, free) = self.place.whole(own.collect()).await?;
        Some(Room::new(found, &whole, bytes, free))
    }

    /// Logs once that old backups go for new ones, and once that the settings decide again.
    fn note_room(&self, room: Roominess) {
        let before = self.figures.change(|figures| std::mem::replace(&mut figures.room, room));
        match (before, room) {
            (before, after) if before == after => {}
            // That backups are kept again is told anyway.
            (Roominess::Lost, Roominess::Crowded) => {}
            (_, Roominess::Crowded) => {
                tracing::warn!(
                    "the place of the backups is full: the oldest go before their time, so that the newest state is kept; give it more room, or keep fewer"
                );
            }
            (_, Roominess::Lost) => {
                tracing::warn!(
                    "the place of the backups is full: the oldest went before their time, and others took the room; no more go until a backup fits"
                );
            }
            (_, Roominess::Enough) => {
                tracing::info!("the place of the backups has room again for as many as the settings say");
            }
        }
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
