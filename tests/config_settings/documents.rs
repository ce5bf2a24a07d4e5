//! Documents and examples say what the table says. `UPDATE_DOCS=1 cargo test --test config_settings`
//! writes them anew.

use std::path::PathBuf;

use acefleet::config::table::{RETIRED, SETTINGS};
use acefleet::config::{Sources, resolve, show};
use acefleet::migrate;

use super::host;

fn current(path: &str, make: impl Fn(&str) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = make(&found);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        found == expected,
        "{} is not current: run UPDATE_DOCS=1 cargo test --test config_settings",
        path.display()
    );
}

#[test]
fn config_md_is_current() {
    const BEGIN: &str = "<!-- settings:begin -->\n";
    const END: &str = "<!-- settings:end -->";
    current("docs/CONFIG.md", |found| {
        let (before, rest) = found.split_once(BEGIN).expect("the marker before the tables");
        let (_, after) = rest.split_once(END).expect("the marker after the tables");
        format!("{before}{BEGIN}\n{}\n{END}{after}", show::markdown().trim_end())
    });
}

#[test]
fn migration_md_is_current() {
    const BEGIN: &str = "<!-- old settings:begin -->\n";
    const END: &str = "<!-- old settings:end -->";
    current("docs/MIGRATION.md", |found| {
        let (before, rest) = found.split_once(BEGIN).expect("the marker before the tables");
        let (_, after) = rest.split_once(END).expect("the marker after the tables");
        format!("{before}{BEGIN}\n{}\n\n{END}{after}", migrate::guide::markdown().trim_end())
    });
}

#[test]
fn every_setting_without_effect_is_one_of_the_orchestrator_or_of_a_container() {
    // Those that containers and clients of Docker have.
    const OTHERS: [&str; 6] = ["PUID", "PGID", "UMASK", "DOCKER_TLS", "DOCKER_CONTEXT", "DOCKER_API_VERSION"];
    let forgotten = RETIRED
        .iter()
        .filter(|retired| migrate::old::find(retired.name).is_none() && !OTHERS.contains(&retired.name));
    assert_eq!(forgotten.map(|retired| retired.name).collect::<Vec<_>>(), Vec::<&str>::new());
    for old in migrate::old::OLD {
        let verdict = migrate::judge::of_name(old.name);
        let words = verdict.words();
        assert!(!words.contains("no setting of the orchestrator"), "{}: {words}", old.name);
        assert!(!words.ends_with('.') && !words.contains('|'), "{}: {words}", old.name);
        assert!(old.differs.is_empty() || verdict.title() == "taken, differs", "{}", old.name);
    }
}

#[test]
fn examples_are_current() {
    current(".env.example", |_| show::env_example());
    current("deploy/acefleet.toml.example", |_| show::toml_example());
}

#[test]
fn the_toml_example_is_valid_as_it_is_and_with_every_line_in_use() {
    let text = show::toml_example();
    resolve(Sources::from_maps(&[], &[], &text, host())).unwrap();
    let used: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    // A node forms a cluster or joins one: these two lines alone exclude each other.
    let errors = resolve(Sources::from_maps(&[], &[], &used, host())).unwrap_err();
    let problems: Vec<&str> = errors.problems.iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(problems, ["ACEFLEET_JOIN"]);
    let without = |name: &str| -> String {
        used.lines().filter(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect()
    };
    let forming = resolve(Sources::from_maps(&[], &[], &without("acefleet_join"), host())).unwrap();
    assert_eq!((forming.config.peers.len(), forming.config.join.len()), (3, 0));
    let joining = resolve(Sources::from_maps(&[], &[], &without("acefleet_peers"), host())).unwrap();
    assert_eq!((joining.config.peers.len(), joining.config.join.len()), (0, 2));
    assert_eq!(
        used.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count(),
        SETTINGS.len()
    );
}

#[test]
fn every_example_of_env_is_the_one_of_the_table() {
    let text = show::env_example();
    for setting in SETTINGS {
        let line = format!("#{}={}", setting.name, setting.example);
        assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line}");
    }
}
