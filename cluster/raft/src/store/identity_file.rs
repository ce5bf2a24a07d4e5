//! The identity of this node on disk: `node.json`, readable by people, written atomically.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::identity::{FORMAT, Identity, MemberRecord, Renewal, random_node_id};
use super::mark::MARK_FILE;
use super::usable::{Act, unusable};
use super::{ROCKS_DIR, SNAPSHOT_DIR};
use crate::errors::StartError;
use crate::util::files;

/// Name of the file in the data directory.
pub(crate) const NODE_FILE: &str = "node.json";

/// The identity in memory and on disk.
#[derive(Debug)]
pub(crate) struct IdentityFile {
    path: PathBuf,
    current: ArcSwap<Identity>,
}

impl IdentityFile {
    /// Reads the identity, or gives a fresh directory a random one.
    pub fn open(dir: &Path, node_name: &str) -> Result<Self, StartError> {
        let file = Self::peek(dir, node_name)?;
        if !file.path.exists() {
            write(&file.path, &file.load()).map_err(|error| unusable(&file.path, Act::Sync, &error))?;
        }
        Ok(file)
    }

    /// The same, but leaves a fresh directory untouched until something is stored.
    pub fn peek(dir: &Path, node_name: &str) -> Result<Self, StartError> {
        let path = dir.join(NODE_FILE);
        let identity = match fs::read(&path) {
            Ok(bytes) => parse(&path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if [ROCKS_DIR, SNAPSHOT_DIR, MARK_FILE].iter().any(|name| dir.join(name).exists()) {
                    return Err(StartError::Internal(format!(
                        "{} is missing although the directory was in use: restore the file, or empty the directory and re-add the node",
                        path.display()
                    )));
                }
                Identity::fresh(node_name)
            }
            Err(error) => {
                return Err(StartError::Internal(format!("{} cannot be read: {error}", path.display())));
            }
        };
        if let Some(why) = identity.removed {
            return Err(StartError::Removed(why));
        }
        if let Some(why) = identity.distrusted {
            return Err(StartError::Internal(why));
        }
        if identity.node_name != node_name {
            return Err(StartError::Config(format!(
                "the data directory belongs to node {}, but this node is named {node_name}: correct the name, or use another directory",
                identity.node_name
            )));
        }
        Ok(Self { path, current: ArcSwap::from_pointee(identity) })
    }

    /// That of a node which is not there yet: nothing is stored. Its name is `Identity::node_name`.
    pub fn foretold(dir: &Path, identity: Identity) -> Self {
        Self { path: dir.join(NODE_FILE), current: ArcSwap::from_pointee(identity) }
    }

    /// Stores what was foretold. Blocks.
    pub fn begin(&self) -> io::Result<()> {
        write(&self.path, &self.load())
    }

    pub fn load(&self) -> Arc<Identity> {
        self.current.load_full()
    }

    /// Binds the node to a cluster, durably. Binding again to the same cluster replaces the
    /// founders; binding to another one is refused. Blocks.
    pub fn bind(&self, cluster_id: &str, founders: Vec<MemberRecord>) -> io::Result<()> {
        let mut next = Identity::clone(&self.load());
        if let Some(bound) = next.cluster_id.as_deref().filter(|bound| *bound != cluster_id) {
            return Err(io::Error::other(format!("this node already belongs to cluster {bound}")));
        }
        next.cluster_id = Some(cluster_id.to_owned());
        next.founders = founders;
        self.store(next)
    }

    /// Notes the store that belongs to this node. Blocks.
    pub fn bind_store(&self, store: &str) -> io::Result<()> {
        self.store(Identity { store: Some(store.to_owned()), ..Identity::clone(&self.load()) })
    }

    /// Binds a node to a running cluster with these members. Blocks.
    pub fn prepare_join(&self, cluster_id: &str, join: Vec<String>) -> io::Result<()> {
        let cluster_id = Some(cluster_id.to_owned());
        self.store(Identity { cluster_id, join, founders: Vec::new(), ..Identity::clone(&self.load()) })
    }

    /// Binds this node alone to a new cluster id. Blocks.
    pub fn recover(&self, cluster_id: &str) -> io::Result<()> {
        let mut next = Identity::clone(&self.load());
        next.former.extend(next.cluster_id.replace(cluster_id.to_owned()));
        (next.founders, next.join) = (Vec::new(), Vec::new());
        // Plans with lost members are void.
        (next.renewal, next.replaces) = (None, None);
        self.store(next)
    }

    /// Notes that the next start makes a new member of this node. Blocks.
    pub fn plan_renewal(&self, join: Vec<String>) -> io::Result<()> {
        let store = uuid::Uuid::new_v4().to_string();
        let renewal = Some(Renewal { node_id: random_node_id(), store, join });
        self.store(Identity { renewal, ..Identity::clone(&self.load()) })
    }

    /// Carries out the plan. Blocks.
    pub fn renew(&self) -> io::Result<()> {
        let own = Identity::clone(&self.load());
        let Some(Renewal { node_id, store, join }) = own.renewal else { return Ok(()) };
        let (store, replaces) = (Some(store), Some(own.node_id));
        self.store(Identity { node_id, store, join, replaces, renewal: None, founders: Vec::new(), ..own })
    }

    /// Copies the identity, without the plan, to another directory. Blocks.
    pub fn copy_to(&self, dir: &Path) -> io::Result<()> {
        write(&dir.join(NODE_FILE), &Identity { renewal: None, ..Identity::clone(&self.load()) })
    }

    /// Notes that the node is no member any more. Blocks.
    pub fn expel(&self, why: &str) -> io::Result<()> {
        self.store(Identity { removed: Some(why.to_owned()), ..Identity::clone(&self.load()) })
    }

    /// Notes that the data must not be used any more. Blocks.
    pub fn distrust(&self, why: &str) -> io::Result<()> {
        self.store(Identity { distrusted: Some(why.to_owned()), ..Identity::clone(&self.load()) })
    }

    fn store(&self, next: Identity) -> io::Result<()> {
        if *self.load() != next {
            write(&self.path, &next)?;
            self.current.store(Arc::new(next));
        }
        Ok(())
    }
}

/// Name of the node in a data directory; absent when unreadable. The start of the node reports why.
#[must_use]
pub fn recorded_name(dir: &Path) -> Option<String> {
    let path = dir.join(NODE_FILE);
    Some(parse(&path, &fs::read(&path).ok()?).ok()?.node_name)
}

/// The file: the identity with a checksum, as a flipped bit in an id makes another node.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    identity: Identity,
    /// SHA-256, in hex, of the JSON of the rest without spaces.
    sha256: String,
}

impl Stored {
    fn sum(identity: &Identity) -> serde_json::Result<String> {
        let text = serde_json::to_vec(identity)?;
        Ok(Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Identity, StartError> {
    let damaged = |why: String| {
        StartError::Internal(format!(
            "{} is damaged: {why}. Restore it, or empty the directory and let the node join again as a new node",
            path.display()
        ))
    };
    let Stored { identity, sha256 } =
        serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if identity.format > FORMAT {
        return Err(StartError::Config(format!(
            "{} has format {}, this program knows {FORMAT}: run the newer version again",
            path.display(),
            identity.format
        )));
    }
    if Stored::sum(&identity).ok() != Some(sha256) {
        return Err(damaged("its checksum differs".into()));
    }
    Ok(identity)
}

fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    let sha256 = Stored::sum(identity).map_err(io::Error::other)?;
    let stored = Stored { identity: identity.clone(), sha256 };
    let mut text = serde_json::to_vec_pretty(&stored).map_err(io::Error::other)?;
    text.push(b'\n');
    files::write_atomically(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_survives_and_names_do_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let first = IdentityFile::open(dir.path(), "a").unwrap().load();
        assert!(first.node_id > 0 && first.node_id < 1 << 53);
        let again = IdentityFile::open(dir.path(), "a").unwrap();
        assert_eq!(again.load(), first);
        let renamed = IdentityFile::open(dir.path(), "b").unwrap_err();
        assert_eq!(renamed.exit_code(), 64);
        assert_eq!(recorded_name(dir.path()).as_deref(), Some("a"));
        assert_eq!(recorded_name(&dir.path().join("none")), None);

        again.bind("cluster-1", Vec::new()).unwrap();
        assert!(again.bind("cluster-2", Vec::new()).is_err());
        let reopened = IdentityFile::open(dir.path(), "a").unwrap().load();
        assert_eq!(reopened.cluster_id.as_deref(), Some("cluster-1"));

        again.recover("cluster-2").unwrap();
        again.recover("cluster-3").unwrap();
        let recovered = IdentityFile::open(dir.path(), "a").unwrap().load();
        assert_eq!(recovered.cluster_id.as_deref(), Some("cluster-3"));
        assert_eq!(recovered.former, ["cluster-1", "cluster-2"]);
        assert_eq!(recovered.node_id, first.node_id);
    }

    #[test]
    fn a_look_at_an_empty_directory_leaves_it_empty() {
        let dir = tempfile::tempdir().unwrap();
        let looked = IdentityFile::peek(dir.path(), "a").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        looked.prepare_join("cluster-1", vec!["b:1".into()]).unwrap();
        let stored = IdentityFile::open(dir.path(), "a").unwrap().load();
        assert_eq!(stored, looked.load());
        assert_eq!(stored.join, ["b:1"]);
    }

    #[test]
    fn a_removed_node_stays_away() {
        let dir = tempfile::tempdir().unwrap();
        IdentityFile::open(dir.path(), "a").unwrap().expel("voted out").unwrap();
        let error = IdentityFile::open(dir.path(), "a").unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().as_str()), (77, "voted out"));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = IdentityFile::open(dir.path(), "a").unwrap();
        file.bind("cluster-1", Vec::new()).unwrap();
        let whole = fs::read(&file.path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                fs::write(&file.path, &damaged).unwrap();
                // Spaces between the fields may change: they mean nothing.
                match IdentityFile::open(dir.path(), "a") {
                    Ok(read) => assert_eq!(read.load(), file.load(), "byte {at}, bit {bit}"),
                    Err(error) => assert!([64, 70].contains(&error.exit_code()), "{error}"),
                }
            }
        }
    }

    #[test]
    fn a_used_directory_without_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(ROCKS_DIR)).unwrap();
        let error = IdentityFile::open(dir.path(), "a").unwrap_err();
        assert_eq!(error.exit_code(), 70);
    }
}
