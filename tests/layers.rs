//! Each module of the node imports modules of lower layers only. This reads the sources, so that an arrow upwards is named by
//! its file and line.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom. Modules of one layer do not know each other.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["node"],
    &["http"],
    &["fleet", "migrate"],
    &["agent", "backups", "relay"],
    &["access", "op_id", "peers", "sockets", "tls"],
    &["config", "counted", "own_log", "whole_file"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The lines that are compiled into the program, with their numbers: no comments, no tests.
fn program(source: &str) -> Vec<(usize, &str)> {
    let mut lines = source.lines().enumerate();
    let mut kept = Vec::new();
    while let Some((index, line)) = lines.next() {
        let text = line.trim_start();
        if text == "#[cfg(test)]" {
            let indent = &line[..line.len() - text.len()];
            let Some((_, item)) = lines.find(|(_, line)| !line.trim_start().starts_with("#[")) else { break };
            if item.ends_with('{') {
                lines.find(|(_, line)| line.strip_prefix(indent) == Some("}"));
            }
        } else if !text.starts_with("//") {
            kept.push((index + 1, line));
        }
    }
    kept
}

/// Modules at the top of the crate that a source names, with the lines where it does.
fn imports(source: &str) -> Vec<(usize, String)> {
    let lines = program(source);
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        for root in ["crate::", "acefleet::"] {
            for (start, _) in line.match_indices(root) {
                let is_root = !line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                let mut path = line[start + root.len()..].to_owned();
                if !is_root {
                    continue;
                }
                if path.starts_with('{') {
                    path.extend(lines[at + 1..].iter().map(|(_, line)| *line));
                }
                found.extend(heads(&path).into_iter().map(|head| (*number, head)));
            }
        }
    }
    found
}

/// The first segment of a path, or of each path in its braces.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.push(word(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads.into_iter().filter(|head| !head.is_empty()).collect()
}

fn word(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// What a file of the module `module` must not import, one line each.
fn arrows_up(module: &str, file: &str, source: &str) -> Vec<String> {
    let own = layer(module);
    let is_wrong = |to: &str| to != module && (own.is_none() || layer(to).is_none_or(|to| Some(to) <= own));
    let wrong = imports(source).into_iter().filter(|(_, to)| is_wrong(to));
    wrong.map(|(line, to)| format!("{file}:{line}: {module} must not know {to}")).collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.to_str().is_some_and(|name| name.ends_with(".rs") && !name.ends_with("_tests.rs")) {
            found.push(path);
        }
    }
}

#[test]
fn modules_know_lower_layers_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        // They name every module and are named by none.
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let name = format!("src/{}", inside.display());
        wrong.extend(arrows_up(module, &name, &fs::read_to_string(&file).unwrap()));
    }
    assert!(wrong.is_empty(), "arrows upwards:\n{}", wrong.join("\n"));
}

#[test]
fn an_arrow_upwards_is_named_by_file_and_line() {
    let source = "\
//! See [`crate::http`].
use crate::config::Config;
use crate::{
    agent::plan,
    fleet::{Fleet, crate_of},
};

fn one() {
    crate::relay::run();
}

#[cfg(test)]
mod tests {
    use crate::node::run;
}

use crate::cli::main;
";
    let wrong = arrows_up("agent", "src/agent/x.rs", source);
    assert_eq!(
        wrong,
        [
            "src/agent/x.rs:3: agent must not know fleet",
            "src/agent/x.rs:9: agent must not know relay",
            "src/agent/x.rs:17: agent must not know cli"
        ]
    );
    assert_eq!(arrows_up("new", "src/new.rs", "use crate::config::Config;").len(), 1, "it has no layer");
}
