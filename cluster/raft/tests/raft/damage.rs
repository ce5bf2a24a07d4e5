//! A store that was damaged while no node ran on it: the node starts with everything that its mark says, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Fleet, Node, copy_dir, marks, soon, until};
use futures::future::join_all;

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One byte is another, at so many hundredths of the length.
    Flip(usize),
    Half,
    Empty,
    Removed,
    /// What it was some hundred writes before.
    Old,
}

const KINDS: [Kind; 7] =
    [Kind::Flip(0), Kind::Flip(50), Kind::Flip(99), Kind::Half, Kind::Empty, Kind::Removed, Kind::Old];

/// A directory with acknowledged writes, as a kill would leave it, and as it was when half of them were there.
struct Stock {
    place: tempfile::TempDir,
    expected: BTreeSet<u64>,
}

impl Stock {
    fn now(&self) -> PathBuf {
        self.place.path().join("now")
    }

    fn old(&self) -> PathBuf {
        self.place.path().join("old")
    }

    /// Writes, restarts, so that half of it is in tables, and writes again.
    async fn new(fleet: &mut Fleet) -> Self {
        let place = tempfile::tempdir().unwrap();
        let node = &mut fleet.nodes[0];
        node.snapshot.entries = 400;
        node.start().await;
        let mut expected = write(node, 700).await;
        node.stop().await;
        copy_dir(node.dir(), &place.path().join("old"));
        node.start().await;
        expected.extend(write(node, 800).await);
        let revision = node.cluster().view().revision;
        until("the mark has come close", || marked(node.dir()) >= revision).await;
        copy_dir(node.dir(), &place.path().join("now"));
        node.kill();
        assert_eq!(expected.len(), 1_500);
        Self { place, expected }
    }

    /// Puts the directory as it was in the place where the node looks for it.
    fn restore(&self, node: &Node) {
        fs::remove_dir_all(node.dir()).unwrap();
        copy_dir(&self.now(), node.dir());
    }
}

async fn write(node: &Node, count: usize) -> BTreeSet<u64> {
    let mut written = BTreeSet::new();
    while written.len() < count {
        written.extend(join_all((0..50).map(|_| node.must_write())).await);
    }
    written
}

/// Index of the newest entry that the mark of a directory promises.
fn marked(dir: &Path) -> u64 {
    let text = fs::read_to_string(dir.join("mark")).unwrap();
    let json: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    json["last"]["index"].as_u64().unwrap_or(0)
}

fn damage(file: &Path, kind: Kind, old: &Path) -> bool {
    let bytes = fs::read(file).unwrap();
    match kind {
        Kind::Flip(at) if !bytes.is_empty() => {
            let mut bytes = bytes;
            let at = (bytes.len() * at / 100).min(bytes.len() - 1);
            bytes[at] ^= 0x55;
            fs::write(file, bytes).unwrap();
        }
        Kind::Half => fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
        Kind::Empty => fs::write(file, b"").unwrap(),
        Kind::Removed => fs::remove_file(file).unwrap(),
        Kind::Old if old.exists() => drop(fs::copy(old, file).unwrap()),
        Kind::Old | Kind::Flip(_) => return false,
    }
    true
}

/// Names below a directory that begin and end like this.
fn files(dir: &Path, below: &str, begin: &str, end: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.join(below))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(begin) && name.ends_with(end))
        .map(|name| Path::new(below).join(name).to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{below}/{begin}*{end}: there is none");
    names
}

/// What became of the node.
async fn outcome(node: &mut Node, expected: &BTreeSet<u64>) -> Result<String, String> {
    match node.try_start().await {
        Err(refused) if refused.exit_code() == 70 => Ok(format!("refused: {refused}")),
        Err(refused) => Err(format!("exit code {}: {refused}", refused.exit_code())),
        Ok(()) => {
            node.cluster().read_barrier(soon()).await.unwrap();
            let lost = expected.difference(&marks(node.cluster())).count();
            node.stop().await;
            if lost == 0 {
                Ok("nothing lost".into())
            } else {
                Err(format!("ready, and {lost} writes are gone"))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_never_taken_for_a_short_one() {
    crate::support::logs();
    let mut fleet = Fleet::new(1);
    let stock = Stock::new(&mut fleet).await;
    let node = &mut fleet.nodes[0];
    let mut targets = Vec::new();
    for (below, begin, end) in [
        ("rocks", "", ".log"),
        ("rocks", "", ".sst"),
        ("rocks", "MANIFEST", ""),
        ("rocks", "CURRENT", ""),
        ("snapshots", "", ".snap"),
        ("", "mark", ""),
        ("", "node.json", ""),
        ("", "VERSION", ""),
    ] {
        targets.extend(files(&stock.now(), below, begin, end));
    }
    let mut wrong = Vec::new();
    let mut refused = 0;
    for target in targets {
        for kind in KINDS {
            stock.restore(node);
            if !damage(&node.dir().join(&target), kind, &stock.old().join(&target)) {
                continue;
            }
            let outcome = outcome(node, &stock.expected).await;
            eprintln!("{target} {kind:?}: {outcome:?}");
            match outcome {
                Ok(fate) => refused += usize::from(fate.starts_with("refused")),
                Err(fate) => wrong.push(format!("{target} {kind:?}: {fate}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 20, "hardly anything was damaged: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_are_gone_old_or_of_another_node_are_refused() {
    let mut fleet = Fleet::new(1);
    let stock = Stock::new(&mut fleet).await;
    let mut other = Fleet::formed(1).await;
    other.nodes[0].stop().await;
    let other = other.nodes[0].dir().to_owned();
    let node = &mut fleet.nodes[0];
    for name in ["rocks", "snapshots"] {
        for source in [None, Some(stock.old()), Some(other.clone())] {
            stock.restore(node);
            fs::remove_dir_all(node.dir().join(name)).unwrap();
            if let Some(source) = &source {
                copy_dir(&source.join(name), &node.dir().join(name));
            }
            let outcome = outcome(node, &stock.expected).await.unwrap();
            eprintln!("{name} from {source:?}: {outcome}");
            assert!(
                outcome.starts_with("refused") || name == "snapshots",
                "{name} from {source:?}: {outcome}"
            );
        }
    }
    stock.restore(node);
    node.start().await;
    assert!(marks(node.cluster()).is_superset(&stock.expected), "the copy itself is whole");
    node.stop().await;
}
