//! A disk that holds only what was synced. Preloaded into a process (`LD_PRELOAD=…/liblossy_fs.so`), it takes the place of
//! `fsync` and `fdatasync` and copies what they are asked for to a second directory, which stands for the disk:
//!
//! - a sync of a file makes its content durable, under whatever names are durable;
//! - a sync of a directory makes the names in it durable, as they are at that moment; a name whose file was never synced
//!   leads to an empty file.
//!
//! A power cut is a SIGKILL of the process; what the machine would find afterwards is the tree at `<disk>/root`, to be
//! copied with its links followed. This is the least that POSIX promises: real file systems mostly keep more.
//!
//! | variable | meaning |
//! |---|---|
//! | `LOSSY_FS_ROOT` | directory whose content is on the disk; exists, absolute; without it nothing is changed |
//! | `LOSSY_FS_DISK` | empty directory on the same file system that becomes the disk |
//! | `LOSSY_FS_DELAY_MS` | how long each sync takes before anything is durable; 0 unless set |
//! | `LOSSY_FS_CUT_AT` | the power goes (SIGKILL) before the sync of this number, counted from one, takes effect |
//!
//! Writes through `mmap` and files opened with `O_SYNC` are not seen; the store uses neither. Log and manifest files of
//! RocksDB only grow, and only their growth is copied.

use std::ffi::{c_int, c_long};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

#[cfg(target_arch = "x86_64")]
mod number {
    pub const FSYNC: std::ffi::c_long = 74;
    pub const FDATASYNC: std::ffi::c_long = 75;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const FSYNC: std::ffi::c_long = 82;
    pub const FDATASYNC: std::ffi::c_long = 83;
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
    fn getpid() -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

const SIGKILL: c_int = 9;
const EIO: c_int = 5;

/// Takes the place of the C library's function of this name.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, number::FSYNC)
}

/// Takes the place of the C library's function of this name.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, number::FDATASYNC)
}

fn sync(fd: c_int, number: c_long) -> c_int {
    let disk = disk().as_ref().and_then(|disk| Some((disk, disk.holds(fd)?)));
    let Some((disk, path)) = disk else {
        // SAFETY: the system call takes any number for a descriptor and answers with an error.
        return unsafe { syscall(number, fd) } as c_int;
    };
    match disk.sync(&path) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("lossy-fs: {}: {error}", path.display());
            // SAFETY: the C library gives each thread a valid place for its error number.
            unsafe { *__errno_location() = EIO };
            -1
        }
    }
}

/// The stand-in for the disk.
struct Disk {
    root: PathBuf,
    place: PathBuf,
    delay: Duration,
    cut_at: Option<u64>,
    syncs: AtomicU64,
    order: Mutex<()>,
}

fn disk() -> &'static Option<Disk> {
    static DISK: OnceLock<Option<Disk>> = OnceLock::new();
    DISK.get_or_init(|| {
        let root = fs::canonicalize(std::env::var_os("LOSSY_FS_ROOT")?).ok()?;
        let place = fs::canonicalize(std::env::var_os("LOSSY_FS_DISK")?).ok()?;
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let disk = Disk {
            delay: Duration::from_millis(number("LOSSY_FS_DELAY_MS").unwrap_or(0)),
            cut_at: number("LOSSY_FS_CUT_AT"),
            syncs: AtomicU64::new(0),
            order: Mutex::new(()),
            root,
            place,
        };
        disk.begin().expect("LOSSY_FS_DISK cannot be used");
        Some(disk)
    })
}

impl Disk {
    fn begin(&self) -> io::Result<()> {
        fs::create_dir_all(self.place.join("files"))?;
        let root = self.directory(&fs::metadata(&self.root)?)?;
        let link = self.place.join("root");
        if !link.exists() {
            symlink(root, link)?;
        }
        Ok(())
    }

    /// The path of a descriptor, if it is on this disk.
    fn holds(&self, fd: c_int) -> Option<PathBuf> {
        fs::read_link(format!("/proc/self/fd/{fd}")).ok().filter(|path| path.starts_with(&self.root))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let number = self.syncs.fetch_add(1, Ordering::SeqCst) + 1;
        if self.cut_at.is_some_and(|at| number >= at) {
            // SAFETY: both calls take plain numbers; the process ends here.
            unsafe { kill(getpid(), SIGKILL) };
            std::thread::sleep(Duration::from_secs(60));
        }
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            // Removed meanwhile: no durable name will lead to it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if meta.is_dir() { self.sync_names(path, &meta) } else { self.sync_content(path, &meta) }
    }

    /// What stands for a file on the disk; inode numbers are used again, so the time of birth belongs to it.
    fn key(meta: &fs::Metadata) -> io::Result<String> {
        let born = meta.created()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        Ok(format!("{}-{}", meta.ino(), born.as_nanos()))
    }

    /// The durable names of a directory.
    fn directory(&self, meta: &fs::Metadata) -> io::Result<PathBuf> {
        let path = self.place.join("names").join(Self::key(meta)?);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The durable content of a file; empty if it was never synced.
    fn content(&self, meta: &fs::Metadata) -> io::Result<PathBuf> {
        let path = self.place.join("files").join(Self::key(meta)?);
        File::options().create(true).append(true).open(&path)?;
        Ok(path)
    }

    fn sync_content(&self, path: &Path, meta: &fs::Metadata) -> io::Result<()> {
        let durable = self.content(meta)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let grows = name.starts_with("MANIFEST-") || name.ends_with(".log");
        let mut from = File::open(path)?;
        let length = from.metadata()?.len();
        let mut to = File::options().write(true).open(&durable)?;
        let kept = if grows { to.metadata()?.len().min(length) } else { 0 };
        to.set_len(kept)?;
        from.seek(SeekFrom::Start(kept))?;
        to.seek(SeekFrom::Start(kept))?;
        // In one piece, so that the power goes before or after it.
        let mut fresh = Vec::new();
        from.take(length - kept).read_to_end(&mut fresh)?;
        to.write_all(&fresh)
    }

    fn sync_names(&self, path: &Path, meta: &fs::Metadata) -> io::Result<()> {
        let durable = self.directory(meta)?;
        let mut present = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let meta = match fs::symlink_metadata(entry.path()) {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let target = durable.join(entry.file_name());
            let beside = self.place.join("link");
            if meta.is_dir() {
                symlink(self.directory(&meta)?, &beside)?;
            } else {
                fs::hard_link(self.content(&meta)?, &beside)?;
            }
            // Two names of one file: the rename does nothing.
            fs::rename(&beside, &target)?;
            let _ = fs::remove_file(&beside);
            present.push(entry.file_name());
        }
        for entry in fs::read_dir(&durable)? {
            let entry = entry?;
            if !present.contains(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
