//! `acefleet man`: the manual pages, one for each command.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::exit_code::{CONFIGURATION, INTERNAL};
use super::{Cli, output};

#[derive(Args)]
pub struct Manual {
    /// The command whose page is printed, as in `acefleet man engine logs | man -l -`; else that of the program.
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    commands: Vec<String>,
    /// Write the pages of all commands into this directory, which is made if it is missing, as packages need them.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints a page, or writes all.
pub fn manual(args: &Manual) -> u8 {
    match &args.dir {
        Some(dir) => write(dir),
        None => print(&args.commands),
    }
}

/// The program with all its commands, each of which knows its full name.
fn program() -> Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

fn write(dir: &Path) -> u8 {
    match std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(program(), dir)) {
        Ok(()) => 0,
        Err(error) => {
            output::complain(&format!("{}: the pages cannot be written there: {error}", dir.display()));
            CONFIGURATION
        }
    }
}

fn print(words: &[String]) -> u8 {
    // Pages name each other with hyphens: `acefleet-engine-logs`.
    let path = words.join("-");
    let program = program();
    let Some(command) = find(&program, path.strip_prefix("acefleet-").unwrap_or(&path)) else {
        output::complain(&format!(
            "there is no command {}: --help lists those that there are",
            words.join(" ")
        ));
        return CONFIGURATION;
    };
    let mut page = Vec::new();
    match Man::new(command.clone()).render(&mut page) {
        Ok(()) => output::print(&String::from_utf8_lossy(&page)),
        Err(error) => {
            output::complain(&format!("the manual page cannot be made: {error}"));
            INTERNAL
        }
    }
}

/// The command at this path of names with hyphens between.
fn find<'a>(command: &'a Command, path: &str) -> Option<&'a Command> {
    if path.is_empty() {
        return Some(command);
    }
    let below = |command: &'a Command, name: &str| {
        let rest = path.strip_prefix(name)?;
        if rest.is_empty() { Some(command) } else { find(command, rest.strip_prefix('-')?) }
    };
    command.get_subcommands().find_map(|command| {
        std::iter::once(command.get_name())
            .chain(command.get_all_aliases())
            .find_map(|name| below(command, name))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_under_its_name() {
        let program = program();
        for (path, expected) in [
            ("", Some("acefleet")),
            ("engine", Some("acefleet-engine")),
            ("engine-logs", Some("acefleet-engine-logs")),
            ("settings-get", Some("acefleet-settings-get")),
            ("engine-fly", None),
            ("enginelogs", None),
            ("engines-ls", Some("acefleet-engine-ls")),
            ("fly", None),
        ] {
            let found = find(&program, path);
            let found = found.map(|command| command.get_display_name().unwrap_or(command.get_name()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
