//! The command line. It parses arguments, turns failures into one line and an exit code, and decides
//! nothing else.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
