//! Opens RocksDB with the column families and options this store relies on.

use std::io;
use std::path::Path;

use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options, WriteBatch};

use super::keys::{CF_LOG, CF_META, CF_OUTBOX};

/// The database of one node. Log and vote live in one write-ahead log, so their order on disk is
/// the order in which they were written.
pub(crate) struct Db {
    rocks: rocksdb::DB,
}

impl Db {
    /// Opens or creates the database.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // Writes stay in a buffer until the flusher syncs many of them at once.
        options.set_manual_wal_flush(true);
        options.set_max_total_wal_size(32 << 20);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(1 << 20);
        options.set_log_level(LogLevel::Warn);
        options.set_max_background_jobs(2);
        options.set_max_open_files(256);
        let families = [
            ColumnFamilyDescriptor::new(CF_LOG, family(2 << 20)),
            ColumnFamilyDescriptor::new(CF_META, family(1 << 20)),
            ColumnFamilyDescriptor::new(CF_OUTBOX, family(1 << 20)),
        ];
        let rocks = rocksdb::DB::open_cf_descriptors(&options, path, families).map_err(io::Error::other)?;
        Ok(Self { rocks })
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

    /// Writes to the memtable and the log buffer; durable only after `sync`.
    pub fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.rocks.write(batch).map_err(io::Error::other)
    }

    pub fn get_meta(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.rocks.get_cf(self.meta()?, key).map_err(io::Error::other)
    }

    /// Hands buffered writes to the operating system: they survive the end of the process.
    pub fn flush_buffer(&self) -> io::Result<()> {
        self.rocks.flush_wal(false).map_err(io::Error::other)
    }

    /// Everything written so far is on the disk when this returns. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        self.rocks.flush_wal(true).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("path", &self.rocks.path()).finish()
    }
}

fn family(memtable: usize) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(memtable);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}
