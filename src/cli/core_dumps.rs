//! Keeps secrets out of core dumps: the memory of this process is not written to disk when it crashes, and no other process of its user reads it.

/// Makes this process undumpable (prctl(2), `PR_SET_DUMPABLE`).
///
/// # Errors
/// When the kernel refuses.
pub fn forbid() -> nix::Result<()> {
    nix::sys::prctl::set_dumpable(false)
}
