//! Where the binaries and images under test are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Building the simulator's image from nothing, on a slow machine.
const IMAGE_BUILD: Duration = Duration::from_secs(900);
/// The image that the simulated engines run.
pub const ENGINE_IMAGE: &str = "acefleet/engine-sim:dev";

/// The program with this name in the directory of the running program, or one above (where cargo puts binaries of a package
/// relative to its tests).
pub fn beside(name: &str) -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let dir = exe.parent()?;
    [Some(dir), dir.parent()].into_iter().flatten().map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The `acefleet` binary: the given one, else `NODE_BIN`, else the one that was built beside the running program.
pub fn acefleet(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given.map(Path::to_path_buf).or_else(|| std::env::var_os("NODE_BIN").map(PathBuf::from)) {
        Some(path) => path,
        None => beside("acefleet")
            .context("no `acefleet` binary beside this program; build it (`cargo build -p acefleet`, same profile) or name it in NODE_BIN")?,
    };
    let path = std::path::absolute(&path)?;
    ensure!(path.is_file(), "no acefleet binary at {}; build it, or see NODE_BIN", path.display());
    Ok(path)
}

/// The tar of the engine simulator's image: `TEST_ENGINE_SIM_TAR`, else what `scripts/images.sh` builds (once per process).
pub async fn engine_image() -> Result<PathBuf> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    if let Some(path) = std::env::var_os("TEST_ENGINE_SIM_TAR") {
        let path = std::path::absolute(&path)?;
        ensure!(path.is_file(), "{} is not a file (see TEST_ENGINE_SIM_TAR)", path.display());
        return Ok(path);
    }
    BUILT.get_or_try_init(build_engine_image).await.cloned()
}

async fn build_engine_image() -> Result<PathBuf> {
    build("engine-sim", None).await
}

/// The tar of another image that `scripts/images.sh` makes: from the directory `TEST_IMAGES` if it is there, else built
/// now, `acefleet` out of the binary under test and `acexy-sim` out of the one beside the running program.
pub async fn image(name: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("TEST_IMAGES") {
        let tar = std::path::absolute(Path::new(&dir).join(format!("{name}.tar")))?;
        if tar.is_file() {
            return Ok(tar);
        }
    }
    let bin = match name {
        "acefleet" => Some(("NODE_BIN", acefleet(None)?)),
        "acexy-sim" => beside(name).map(|bin| ("ACEXY_SIM_BIN", bin)),
        _ => None,
    };
    build(name, bin).await
}

async fn build(name: &str, bin: Option<(&str, PathBuf)>) -> Result<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = repository.join("scripts/images.sh");
    let exe = std::env::current_exe()?;
    let dir = exe.parent().context("the running program has no directory")?.join("images");
    let mut command = Command::new(&script);
    command
        .arg(name)
        .current_dir(&repository)
        .envs(bin)
        .env("IMAGE_TAR", &dir)
        .env("IMAGE_LOAD", "0")
        .kill_on_drop(true);
    let output = timeout(IMAGE_BUILD, command.output())
        .await
        .with_context(|| format!("{} did not end within {IMAGE_BUILD:?}", script.display()))?
        .with_context(|| format!("cannot run {}; or name a tar in TEST_ENGINE_SIM_TAR", script.display()))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed ({}): {error}", script.display(), output.status);
    let tar = dir.join(format!("{name}.tar"));
    ensure!(tar.is_file(), "{} left no {}", script.display(), tar.display());
    Ok(tar)
}
