//! How scheduled backups go, for the metrics.

use std::sync::{Mutex, PoisonError};

use acefleet_registry::WallMs;

/// How scheduled backups go.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Figure>);

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// When the place was last seen to have the newest state.
    pub last_success: Option<WallMs>,
    /// Backups that were written.
    pub written: u64,
    /// Bytes of the last one.
    pub last_bytes: u64,
    /// Backups of this node in this cluster that are there.
    pub kept: usize,
    /// Attempts that failed.
    pub failures: u64,
    /// Backups that were deleted before their time, to make room for newer ones.
    pub crowded_out: u64,
    /// Whether there is room for as many as the settings say.
    pub room: Roominess,
    /// Why the last attempt failed; none while it did not.
    pub failing: Option<String>,
}

/// Whether the place has room for as many backups as the settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roominess {
    /// It has, as far as is known.
    #[default]
    Enough,
    /// Older ones went for newer ones, and those that the settings would let go are not there yet.
    Crowded,
    /// Older ones went, and the new one did not fit all the same: somebody else takes the room. None goes until one fits.
    Lost,
}

impl Figures {
    /// As they are now.
    #[must_use]
    pub fn now(&self) -> Figure {
        self.lock().clone()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Figure) -> T) -> T {
        change(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Figure> {
        // Numbers stay consistent, whatever panicked elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
