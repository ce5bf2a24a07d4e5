//! Whether the data directory outlives the container of this node.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Files that container engines put into their containers.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// Warns if the data directory is lost with the container of this node.
pub fn warn(data_dir: &Path) {
    if !MARKS.iter().any(|mark| Path::new(mark).exists()) {
        return;
    }
    match look(data_dir) {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            data = %data_dir.display(),
            "the data directory is no volume: when this container is removed, the node's name, its place in the cluster and \
             what it stored are lost, and the next one does not know its engines; mount a volume there"
        ),
        Err(error) => tracing::debug!(
            error = format!("{error:#}"),
            "cannot tell whether the data directory is a volume"
        ),
    }
}

fn look(data_dir: &Path) -> anyhow::Result<bool> {
    let real = data_dir.canonicalize().context("data directory")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    Ok(is_mounted(&mounts, &real))
}

/// Whether a path is on another file system than the root, according to `mountinfo`.
fn is_mounted(mounts: &str, path: &Path) -> bool {
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescaped)
        .any(|point| point != "/" && path.starts_with(&point))
}

/// Replaces octal escapes of white space and backslashes.
fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(point.to_owned(), |point, (escape, meaning)| point.replace(escape, meaning))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
569 422 0:52 / / rw,relatime master:261 - overlay overlay rw,lowerdir=/x
570 569 0:55 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
580 569 8:1 /var/lib/docker/volumes/data/_data /var/lib/acefleet rw,relatime - ext4 /dev/sda1 rw
581 569 8:1 /srv/my\\040data /my\\040data rw,relatime - ext4 /dev/sda1 rw
";

    #[test]
    fn a_directory_on_the_root_of_a_container_is_no_volume() {
        for (path, volume) in [
            ("/var/lib/acefleet", true),
            ("/var/lib/acefleet/node", true),
            ("/my data/x", true),
            ("/var/lib", false),
            ("/var/lib/acefleet-2", false),
            ("/", false),
        ] {
            assert_eq!(is_mounted(MOUNTS, Path::new(path)), volume, "{path}");
        }
        assert!(look(Path::new("/proc")).unwrap());
    }
}
