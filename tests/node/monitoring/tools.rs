//! Programs of Prometheus. `scripts/bootstrap.sh test` fetches them, and `scripts/test.sh` insists on them.

use std::path::{Path, PathBuf};

/// The program, installed or fetched. `None` where a developer runs tests without it.
///
/// # Panics
/// When `TEST_TOOLS` names the folder that must have it, and it has not.
pub fn program(name: &str) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("TEST_TOOLS") {
        let program = Path::new(&dir).join(name);
        assert!(
            program.is_file(),
            "{} is not there: scripts/bootstrap.sh test fetches it",
            program.display()
        );
        return Some(program);
    }
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/acefleet/tools/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        home.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join(name)).find(|p| p.is_file());
    if found.is_none() {
        eprintln!("{name} is not there, so nothing is tested: scripts/bootstrap.sh test fetches it");
    }
    found
}
