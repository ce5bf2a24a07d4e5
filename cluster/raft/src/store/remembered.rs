//! Standing of other members in the store.

use std::collections::BTreeMap;
use std::io;

use rocksdb::WriteBatch;

use super::db::Db;
use super::keys::REMEMBERED;
use super::standing::{Standing, StandingRecord};
use crate::util::codec;

/// Format of the value.
const FORMAT: u8 = 1;

impl Db {
    /// What is stored.
    pub fn remembered(&self) -> io::Result<BTreeMap<u64, Standing>> {
        let Some(bytes) = self.get_meta(REMEMBERED)? else { return Ok(BTreeMap::new()) };
        let records: Vec<StandingRecord> = codec::decode_tagged(FORMAT, &bytes)?;
        Ok(records.into_iter().map(Into::into).collect())
    }

    /// Replaces it; durable only after `sync`.
    pub fn remember(&self, members: &BTreeMap<u64, Standing>) -> io::Result<()> {
        let records: Vec<_> = members.iter().map(|(id, told)| StandingRecord::of(*id, told)).collect();
        let mut batch = WriteBatch::default();
        batch.put_cf(self.meta()?, REMEMBERED, codec::encode_tagged(FORMAT, &records)?);
        self.write(batch)
    }
}
