//! The command line. It parses arguments, turns failures into one line and an exit code, and decides
//! nothing else.

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A write makes many small allocations on several threads, where this one is faster than the system's and keeps less memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
