//! Why a data directory cannot be used, and what to do. System errors name neither a foreign owner nor a network share.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, getegid, geteuid};

use super::{ROCKS_DIR, SNAPSHOT_DIR};
use crate::errors::StartError;

/// The failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Making, reading or writing files.
    Use,
    /// Locking a file.
    Lock,
    /// Making files and names durable.
    Sync,
}

/// Message to the operator about a failure at this path.
pub(crate) fn unusable(path: &Path, act: Act, error: &io::Error) -> StartError {
    let place = path.display();
    let errno = error.raw_os_error().map(Errno::from_raw);
    if let Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EMFILE | Errno::ENFILE) = errno {
        return StartError::Temporary(format!(
            "the data directory {place} cannot be written: {error}. Make room on its disk, or raise the limit of open files, and start \
             the node again"
        ));
    }
    StartError::Config(match (act, errno) {
        (Act::Use, Some(Errno::EACCES | Errno::EPERM)) => foreign(path, error),
        (Act::Use, Some(Errno::EROFS)) => {
            format!(
                "the data directory {place} is on a file system that is mounted read-only: mount it writable"
            )
        }
        (Act::Lock, Some(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL)) => format!(
            "the data directory {place} is on a file system that locks no files ({error}), as network shares may be: two \
             nodes could use it at once. Choose a directory on a disk of this host"
        ),
        (Act::Sync, Some(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EIO | Errno::EBADF)) => {
            format!(
                "the data directory {place} is on a file system that does not keep what it is told to ({error}), as network \
             shares may be, or its disk is broken. Choose a directory on a sound disk of this host"
            )
        }
        _ => format!(
            "the data directory {place} is not usable: {error}. Create it and give this user write access"
        ),
    })
}

/// Names the owner, this user, and the command that helps.
fn foreign(path: &Path, error: &io::Error) -> String {
    let (uid, gid) = (geteuid(), getegid());
    // The nearest existing directory decides.
    let owned = path.ancestors().find_map(|place| Some((place, fs::symlink_metadata(place).ok()?)));
    let Some((place, owner)) = owned else {
        return format!("the data directory {} is not usable: {error}", path.display());
    };
    let (owned, mode) = (format!("uid {} and gid {}", owner.uid(), owner.gid()), owner.mode() & 0o7777);
    let found = format!(
        "{} belongs to {owned} (mode {mode:o}), this process runs with uid {uid} and gid {gid}: {error}",
        place.display()
    );
    if place != path {
        let path = path.display();
        return format!(
            "the data directory {path} cannot be made: {found}. Make it for this user: mkdir -p {path} && chown \
             {uid}:{gid} {path}"
        );
    }
    // One foreign file is seldom the only one.
    let all = if owner.is_dir() { place } else { place.parent().unwrap_or(place) };
    let all = all.display();
    if owner.uid() == uid.as_raw() {
        return format!(
            "the data directory cannot be used: {found}. Give its owner the right to use it: chmod -R u+rwX {all}"
        );
    }
    format!("the data directory cannot be used: {found}. Give it to this user: chown -R {uid}:{gid} {all}")
}

/// Checks access to everything in the directory. RocksDB would report damage.
pub(crate) fn check_access(dir: &Path) -> Result<(), StartError> {
    let own = ["", ROCKS_DIR, SNAPSHOT_DIR];
    for below in own.map(|name| dir.join(name)).iter().filter(|below| below.exists()) {
        access(below.as_path(), AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK)
            .map_err(|errno| unusable(below, Act::Use, &errno.into()))?;
        let listed = fs::read_dir(below).map_err(|error| unusable(below, Act::Use, &error))?;
        for entry in listed {
            let path = entry.map_err(|error| unusable(below, Act::Use, &error))?.path();
            if path.file_name().is_some_and(|name| name == "lost+found") {
                continue;
            }
            let found = access(&path, AccessFlags::R_OK | AccessFlags::W_OK);
            if let Err(errno) = found
                && errno != Errno::ENOENT
            {
                return Err(unusable(&path, Act::Use, &errno.into()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::super::header::DirLock;
    use super::*;

    const CHILD: &str = "store::usable::tests::child";
    const NOBODY: u32 = 65_534;

    fn told(act: Act, errno: Errno) -> String {
        let refused = unusable(Path::new("/"), act, &errno.into());
        assert_eq!(refused.exit_code(), 64);
        refused.to_string()
    }

    #[test]
    fn a_file_system_that_cannot_lock_or_sync_is_named_as_such() {
        for errno in [Errno::ENOLCK, Errno::EOPNOTSUPP, Errno::ENOSYS] {
            let told = told(Act::Lock, errno);
            assert!(told.contains("locks no files") && told.contains("a disk of this host"), "{told}");
        }
        for errno in [Errno::EINVAL, Errno::EIO, Errno::EOPNOTSUPP] {
            let told = told(Act::Sync, errno);
            assert!(told.contains("network shares") && told.contains("disk of this host"), "{told}");
        }
        assert!(told(Act::Use, Errno::EROFS).contains("read-only"));
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EMFILE] {
            let refused = unusable(Path::new("/"), Act::Sync, &errno.into());
            assert_eq!(refused.exit_code(), 75, "it may pass");
            assert!(refused.to_string().contains("Make room"), "{refused}");
        }
        assert!(told(Act::Use, Errno::ELOOP).contains("is not usable"));
    }

    #[test]
    #[ignore = "another test runs it as another user"]
    fn child() {
        let Some(dir) = std::env::var_os("USABLE_DIR") else { return };
        let refused = DirLock::acquire(Path::new(&dir)).unwrap_err();
        eprintln!("{} {refused}", refused.exit_code());
    }

    /// Message to another user about a directory. Needs root, which no mode stops.
    fn message_to_nobody(dir: &Path) -> String {
        // Where that user may run it from.
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = place.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let run = Command::new(program)
            .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
            .env("USABLE_DIR", dir)
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap();
        String::from_utf8_lossy(&run.stderr).into_owned()
    }

    #[test]
    fn a_foreign_owner_is_named_with_the_command_that_mends_it() {
        if !geteuid().is_root() {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
            let refused = DirLock::acquire(dir.path()).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("uid {}", geteuid())) && refused.contains("chmod"),
                "{refused}"
            );
            return;
        }
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let dir = place.path().join("data");
        let absent = message_to_nobody(&dir);
        assert!(absent.contains("64 the data directory") && absent.contains("mkdir -p"), "{absent}");
        drop(DirLock::acquire(&dir).unwrap());
        let told = message_to_nobody(&dir);
        let expected = ["uid 0 and gid 0", "uid 65534 and gid 65534", "chown -R 65534:65534"];
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
        // One file that root left behind in a directory of that user.
        nix::unistd::chown(&dir, Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
        let told = message_to_nobody(&dir);
        assert!(told.contains("LOCK belongs to uid 0"), "{told}");
    }
}
