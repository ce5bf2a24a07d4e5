//! What holds for every service of every compose file.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All compose files that users are given.
fn files() -> Vec<PathBuf> {
    let in_place = |dir: &Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let all = in_place(&root()).into_iter().chain(in_place(&root().join("deploy")));
    all.filter(|path| path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml")).collect()
}

/// The blocks of a text whose first lines are keys at this depth, with the lines below each.
fn blocks(lines: &[&str], depth: usize) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || line.trim_start().starts_with('#') || indent < depth {
            continue;
        }
        match found.last_mut() {
            Some((_, below)) if indent > depth => below.push((*line).to_owned()),
            _ => found.push((line.trim().to_owned(), Vec::new())),
        }
    }
    found
}

fn anchored<'b>(top: &'b [(String, Vec<String>)], name: &str) -> &'b [String] {
    let anchor = format!("&{name}");
    let found = top.iter().find(|(key, _)| key.ends_with(&anchor));
    &found.unwrap_or_else(|| panic!("there is no {anchor}")).1
}

/// Whether a block, or one that it takes in, says how Docker keeps the log, within bounds.
fn is_bounded(top: &[(String, Vec<String>)], block: &[String]) -> bool {
    let bounds = |lines: &[String]| {
        ["driver: json-file", "max-size: ", "max-file: "]
            .iter()
            .all(|wanted| lines.iter().any(|line| line.trim().starts_with(wanted)))
    };
    block.iter().any(|line| match line.trim().split_once(": *") {
        Some(("logging", name)) => bounds(anchored(top, name)),
        Some(("<<", name)) => is_bounded(top, anchored(top, name)),
        _ => false,
    })
}

#[test]
fn docker_keeps_a_bounded_log_of_every_service() {
    let files = files();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let top = blocks(&lines, 0);
        let (_, services) = top.iter().find(|(key, _)| key == "services:").unwrap();
        let services = blocks(&services.iter().map(String::as_str).collect::<Vec<_>>(), 2);
        assert!(!services.is_empty(), "{}", file.display());
        for (service, block) in services {
            assert!(is_bounded(&top, &block), "{}: the log of {service} grows for ever", file.display());
        }
    }
}
