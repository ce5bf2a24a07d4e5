//! Commands that documents, alerts and messages name are commands of this program.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Cli;

/// Files with these names below these places name commands.
const PLACES: [&str; 7] =
    ["README.md", "CONTRIBUTING.md", "docs", "deploy", "src", "cluster/raft/src", "cluster/registry/src"];
const ENDINGS: [&str; 6] = ["md", "yml", "json", "rs", "service", "toml"];

fn files(place: PathBuf, found: &mut Vec<PathBuf>) {
    if place.is_dir() {
        let entries = fs::read_dir(&place).unwrap();
        entries.for_each(|entry| files(entry.unwrap().path(), found));
    } else if place.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
        found.push(place);
    }
}

/// What stands between backticks behind the name of the program, and lines of shells.
fn commands(text: &str) -> Vec<String> {
    // Texts of the program go on in the next line behind a backslash, those of documents without one.
    let joined = text.replace("\\\n", " ");
    let quoted = joined.split('`').skip(1).step_by(2);
    let quoted = quoted.filter_map(|code| code.strip_prefix("acefleet ")).map(str::to_owned);
    let lines = text.lines().map(|line| line.trim_start_matches("$ ").trim_start_matches("sudo "));
    let lines = lines.filter_map(|line| line.strip_prefix("acefleet ")).map(str::to_owned);
    quoted.chain(lines).collect()
}

/// Arguments for what stands for them.
fn arguments(words: &str) -> Vec<String> {
    let is_ours = |word: &&str| !["#", "|", "||", "&&", ">", "2>&1", ";"].contains(word);
    let words = words.split_whitespace().take_while(is_ours).map(|word| word.trim_end_matches(['…', ',']));
    let given = words.filter(|word| !word.is_empty()).map(|word| match word {
        "SHELL" => "bash",
        "SECONDS" | "N" => "4",
        "NAME=VALUE" => "MAX_REPLICAS=30",
        word => word,
    });
    given.map(str::to_owned).collect()
}

/// A command without what is in brackets, and with each of these.
fn variants(command: &str) -> Vec<Vec<String>> {
    let mut parts = command.split('[');
    let alone = arguments(parts.next().unwrap_or_default());
    let optional = parts.map(|part| arguments(part.split(']').next().unwrap_or_default()));
    let with = |more: Vec<String>| [alone.clone(), more].concat();
    std::iter::once(Vec::new()).chain(optional).map(with).collect()
}

/// Why this is no command. A name alone stands for a command with whatever it needs.
fn fault(arguments: Vec<String>) -> Option<ErrorKind> {
    let parsed = Cli::try_parse_from(std::iter::once("acefleet".to_owned()).chain(arguments));
    let is_incomplete = |fault: &ErrorKind| {
        use ErrorKind::{
            DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand,
        };
        [DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand].contains(fault)
    };
    parsed.err().map(|error| error.kind()).filter(|fault| !is_incomplete(fault))
}

#[test]
fn each_command_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    PLACES.iter().for_each(|place| files(root.join(place), &mut all));
    let (mut count, mut wrong) = (0, Vec::new());
    for file in all {
        for command in commands(&fs::read_to_string(&file).unwrap()) {
            count += 1;
            for fault in variants(&command).into_iter().filter_map(fault) {
                wrong.push(format!("{}: {command}: {fault:?}", file.display()));
            }
        }
    }
    assert!(count > 100, "{count} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
