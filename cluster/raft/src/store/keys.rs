//! Names of column families and keys.

pub(super) const CF_LOG: &str = "log";
pub(super) const CF_META: &str = "meta";
pub(super) const CF_OUTBOX: &str = "outbox";

pub(super) const VOTE: &[u8] = b"vote";
pub(super) const COMMITTED: &[u8] = b"committed";
/// Number of the newest record; it may be gone.
pub(super) const OUTBOX_LAST: &[u8] = b"outbox_last";
/// Random id of the store.
pub(super) const STORE: &[u8] = b"store";
/// Standing of other members.
pub(super) const REMEMBERED: &[u8] = b"remembered";
pub(super) const LAST_PURGED: &[u8] = b"last_purged";

/// Big-endian, so that the order of keys is the order of the log.
pub(super) fn log_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index in a key of the log; `None` for a key that this program did not write.
pub(super) fn log_index(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}
