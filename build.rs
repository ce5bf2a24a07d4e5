//! Puts the panel's files into the binary: those that `make panel` built, else a page that says how to build them.

use std::path::Path;

fn main() {
    let built = "panel/dist";
    // Watched as a whole: the folder always exists, with nothing but its .gitignore before the first build.
    println!("cargo::rerun-if-changed={built}");
    let is_built = Path::new(built).join("index.html").exists();
    memory_serve::load_directory(if is_built { built } else { "panel/absent" });
}
