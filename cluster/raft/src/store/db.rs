//! Opens RocksDB with the column families and options this store relies on.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode,
    IteratorMode, LogLevel, Options, WriteBatch,
};

use super::entry;
use super::keys::{
    CF_LOG, CF_META, CF_OUTBOX, COMMITTED, LAST_PURGED, OUTBOX_LAST, STORE, VOTE, log_index, log_key,
};
use super::position::{Position, Positions};
use crate::types::LogId;

/// Block cache of all families, in bytes. Little is read again: the newest entries are in memory.
const BLOCK_CACHE: usize = 4 << 20;

/// Bytes of a table: small, as tables of dropped entries are removed whole, without a rewrite.
const TABLE: u64 = 4 << 20;
/// Bytes of the table list before it begins anew.
const MANIFEST: usize = 4 << 20;

/// The database of one node. Log and vote share one write-ahead log, so their order on disk is the order of the writes.
pub(crate) struct Db {
    rocks: rocksdb::DB,
    positions: Arc<Positions>,
    /// Held while the outbox takes a record, so that numbers only grow.
    outbox_order: Mutex<()>,
}

impl Db {
    /// Opens a database that exists.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with(&options(), path)
    }

    /// Creates the database, or its missing parts.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = options();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        Self::with(&options, path)
    }

    fn with(options: &Options, path: &Path) -> io::Result<Self> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE);
        let families = [
            ColumnFamilyDescriptor::new(CF_LOG, family(2 << 20, &cache)),
            ColumnFamilyDescriptor::new(CF_META, family(1 << 20, &cache)),
            ColumnFamilyDescriptor::new(CF_OUTBOX, family(1 << 20, &cache)),
        ];
        let rocks = rocksdb::DB::open_cf_descriptors(options, path, families).map_err(io::Error::other)?;
        // On opening, RocksDB has written its log to tables and synced them.
        let positions = Arc::new(Positions::new(Position::default()));
        let mut db = Self { rocks, positions, outbox_order: Mutex::new(()) };
        db.positions = Arc::new(Positions::new(db.stored_position()?));
        Ok(db)
    }

    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    fn stored_position(&self) -> io::Result<Position> {
        let id = |key| self.get_meta(key)?.as_deref().map(entry::decode_log_id).transpose();
        let purged = id(LAST_PURGED)?;
        Ok(Position {
            vote: self.get_meta(VOTE)?.as_deref().map(entry::decode_vote).transpose()?,
            last: self.last_entry()?.or(purged),
            purged,
            committed: id(COMMITTED)?,
            outbox: self.get_meta(OUTBOX_LAST)?.map_or(Ok(0), |key| number(&key))?,
        })
    }

    /// The random id of this store; `None` while it is being made.
    pub fn store_id(&self) -> io::Result<Option<String>> {
        self.get_meta(STORE)?.map(|id| String::from_utf8(id).map_err(io::Error::other)).transpose()
    }

    /// Gives the store its id, durably. Blocks.
    pub fn set_store_id(&self, id: &str) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.meta()?, STORE, id);
        self.write(batch)?;
        self.sync()
    }

    /// Id of the newest entry of the log.
    pub fn last_entry(&self) -> io::Result<Option<LogId>> {
        let newest = self.rocks.iterator_cf(self.log()?, IteratorMode::End).next();
        let newest = newest.transpose().map_err(io::Error::other)?;
        newest.map(|(_, value)| entry::decode_entry(&value).map(|entry| entry.log_id)).transpose()
    }

    pub fn outbox_order(&self) -> MutexGuard<'_, ()> {
        self.outbox_order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn log(&self) -> io::Result<&ColumnFamily> {
        self.family(CF_LOG)
    }

    pub fn meta(&self) -> io::Result<&ColumnFamily> {
        self.family(CF_META)
    }

    pub fn outbox(&self) -> io::Result<&ColumnFamily> {
        self.family(CF_OUTBOX)
    }

    fn family(&self, name: &str) -> io::Result<&ColumnFamily> {
        self.rocks.cf_handle(name).ok_or_else(|| io::Error::other(format!("column family {name} is missing")))
    }

    pub fn rocks(&self) -> &rocksdb::DB {
        &self.rocks
    }

    /// Durable only after `sync`.
    pub fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.rocks.write(batch).map_err(io::Error::other)
    }

    pub fn get_meta(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.rocks.get_cf(self.meta()?, key).map_err(io::Error::other)
    }

    /// Passes buffered writes to the operating system: they survive the end of the process.
    pub fn flush_buffer(&self) -> io::Result<()> {
        self.rocks.flush_wal(false).map_err(io::Error::other)
    }

    /// Removes tables with only entries up to this one, at once on disk: the entries must be dropped durably before. Blocks.
    pub fn remove_tables(&self, upto: u64) -> io::Result<()> {
        self.rocks.delete_file_in_range_cf(self.log()?, log_key(0), log_key(upto)).map_err(io::Error::other)
    }

    /// Makes all writes so far durable. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        let covered = self.positions.before_sync();
        self.rocks.flush_wal(true).map_err(io::Error::other)?;
        self.positions.synced(covered);
        Ok(())
    }
}

fn number(bytes: &[u8]) -> io::Result<u64> {
    log_index(bytes).ok_or_else(|| io::Error::other("a number in the store has another length"))
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("path", &self.rocks.path()).finish()
    }
}

fn options() -> Options {
    let mut options = Options::default();
    // A torn last record is no damage; anything else is.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // Notices synced log files that are missing or short.
    options.set_track_and_verify_wals_in_manifest(true);
    // Writes wait in a buffer for the flusher, which syncs many at once.
    options.set_manual_wal_flush(true);
    options.set_max_total_wal_size(16 << 20);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_max_manifest_file_size(MANIFEST);
    options.set_log_level(LogLevel::Warn);
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options
}

fn family(memtable: usize, cache: &Cache) -> Options {
    let mut options = Options::default();
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    options.set_block_based_table_factory(&tables);
    options.set_write_buffer_size(memtable);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_target_file_size_base(TABLE);
    // One level below the first: removing a table then uncovers nothing older.
    options.set_max_bytes_for_level_base(1 << 30);
    options
}
