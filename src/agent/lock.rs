//! Locks that go on after a panic of another holder.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic of another holder is no reason to fail: it leaves sets and maps that are still consistent.
pub(super) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
