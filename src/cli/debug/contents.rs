//! What is in a bundle, and what was left out of it.

use std::fmt::Write as _;
use std::io;

use acefleet::counted::counted;
use acefleet_registry::WallMs;
use tar::{Builder, Header};

use crate::cli::words::shown;

/// Bytes of one part. The longest, a full registry's events, has a tenth of that.
pub(super) const PART_MAX: usize = 16 << 20;
/// Bytes of all parts.
pub(super) const ALL_MAX: usize = 64 << 20;
/// Anything shorter is in many words.
const SHORTEST_SECRET: usize = 6;
const MASK: &str = "(secret)";

/// What a bundle holds.
pub(super) struct Contents {
    parts: Vec<(String, String)>,
    left_out: Vec<(String, String)>,
    /// Texts that must not be in it.
    secrets: Vec<String>,
    /// Parts in which one of them was.
    masked: Vec<String>,
}

impl Contents {
    /// One without anything, in which none of these texts will ever be.
    pub fn new(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // One may begin with another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { parts: Vec::new(), left_out: Vec::new(), secrets, masked: Vec::new() }
    }

    /// Adds a part. Nothing of what a node says should have a secret in it; one that has is masked, and that is told.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) {
        let (path, mut text) = (path.into(), text.into());
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
                self.masked.push(path.clone());
            }
        }
        self.parts.push((path, text));
    }

    /// Notes what is not in it, and why.
    pub fn leave_out(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.left_out.push((path.into(), why.into()));
    }

    /// What it holds and what not, for people.
    pub fn summary(&self, packed: usize) -> String {
        let mut text = format!("{} in {packed} bytes\n", counted(self.parts.len() as u64 + 1, "part"));
        // Writing to a string cannot fail.
        for (path, part) in &self.parts {
            let _ = writeln!(text, "  {}  {} bytes", shown(path), part.len());
        }
        text.push_str(&self.lacks());
        text
    }

    fn lacks(&self) -> String {
        let mut text = String::new();
        for (path, why) in &self.left_out {
            let _ = writeln!(text, "left out: {}: {}", shown(path), shown(why));
        }
        for path in &self.masked {
            let _ = writeln!(
                text,
                "a secret was masked in {}: it should not have been there, please report that",
                shown(path)
            );
        }
        text.push_str(LOGS);
        text
    }

    fn readme(&self) -> String {
        let mut text = format!("{ABOUT}\nParts:\n");
        for (path, part) in &self.parts {
            let _ = writeln!(text, "  {}  {} bytes", shown(path), part.len());
        }
        format!("{text}\n{}", self.lacks())
    }

    /// The file.
    ///
    /// # Errors
    /// Never on a machine with memory.
    pub fn pack(&self, name: &str, at: WallMs) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(zstd::Encoder::new(Vec::new(), 0)?);
        let readme = ("README.txt".to_owned(), self.readme());
        for (path, text) in std::iter::once(&readme).chain(&self.parts) {
            let mut header = Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(at.0 / 1_000);
            tar.append_data(&mut header, format!("{name}/{path}"), text.as_bytes())?;
        }
        tar.into_inner()?.finish()
    }
}

const ABOUT: &str = "What `acefleet debug bundle` saved to find a fault of Acefleet.

settings.txt   settings of the host on which it was made, without secrets
versions.json  of the program there and of the nodes
nodes/NAME     what that node says: cluster.json and metrics.txt have the state of Raft as it sees it, node.log its newest log lines

There is no key, password or secret in it. Names and addresses of hosts are, and events name callers by their addresses.
";

const LOGS: &str = "Nodes keep their newest log lines alone, since their last start. Add those of the time in question, if it was before, from \
    `journalctl -u acefleet` or `docker logs`.\n";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_secret_in_any_part_is_masked_and_told() {
        let mut contents = Contents::new(vec!["hunter2".into(), "hunter2hunter2".into(), "a".into()]);
        contents.add("a.txt", "x=hunter2hunter2 y=hunter2 a");
        contents.add("b.txt", "nothing");
        contents.leave_out("nodes/c", "it is \u{1b}[31maway");
        let packed = contents.pack("name", WallMs(5_000)).unwrap();
        let mut tar = tar::Archive::new(zstd::Decoder::new(&packed[..]).unwrap());
        let mut texts = std::collections::BTreeMap::new();
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o600);
            let (path, mut text) = (entry.path().unwrap().display().to_string(), String::new());
            entry.read_to_string(&mut text).unwrap();
            texts.insert(path, text);
        }
        assert_eq!(texts["name/a.txt"], "x=(secret) y=(secret) a");
        let readme = &texts["name/README.txt"];
        for part in
            ["masked in a.txt", "nodes/c: it is \\u{1b}[31maway", "b.txt  7 bytes", "newest log lines alone"]
        {
            assert!(readme.contains(part), "{part} is not in {readme}");
        }
        assert!(!readme.contains("masked in b.txt"));
    }
}
