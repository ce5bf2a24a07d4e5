//! The program from outside: arguments, sources on a real disk, exit codes, output.

use std::os::unix::fs::PermissionsExt;

use crate::support::{dir, listeners, quiet_node, run, stderr, stdout};

#[test]
fn check_says_yes_or_names_every_problem() {
    let dir = dir();
    let good = run(dir.path(), &[("API_KEY", "0123456789abcdef")], &["config", "check"]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert_eq!(stdout(&good), "The settings are valid.\n");
    assert_eq!(stderr(&good), "");

    let bad = [
        ("MIN_REPLICAS", "x"),
        ("APP_PORT", "99999"),
        ("API_KEY", "hunter2 hunter2"),
        ("DB_URL", "sqlite://"),
    ];
    for command in [&["config", "check"][..], &["config", "show"], &["serve"]] {
        let output = run(dir.path(), &bad, command);
        assert_eq!(output.status.code(), Some(64), "{command:?}");
        let lines = stderr(&output);
        assert_eq!(lines.lines().count(), 4, "{lines}");
        assert!(lines.lines().all(|line| line.starts_with("acefleet: ")), "{lines}");
        assert!(lines.contains("acefleet: warning: DB_URL (environment) has no effect"), "{lines}");
        assert!(!lines.contains("hunter2") && !stdout(&output).contains("hunter2"), "{lines}");
    }
}

#[test]
fn show_has_values_and_sources_from_real_files() {
    let dir = dir();
    let env_file = "# it's a comment\nexport MIN_FREE_REPLICAS=2\nAPI_KEY='$a b#c'\nOTHER=what ever it is\n\
                    API_KEY='$a-long-key-with-#-in-it'\n";
    std::fs::write(dir.path().join(".env"), format!("\u{feff}{env_file}")).unwrap();
    std::fs::write(dir.path().join("acefleet.toml"), "max_replicas = 12 # twelve\n").unwrap();
    let output = run(dir.path(), &[("MIN_REPLICAS", "1")], &["config", "show"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    let row = |name: &str| {
        let row = shown.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
        row.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("MIN_REPLICAS"), "1 (environment; cluster-wide)");
    assert_eq!(row("MIN_FREE_REPLICAS"), "2 (.env; cluster-wide)");
    assert_eq!(row("MAX_REPLICAS"), "12 (acefleet.toml; cluster-wide)");
    assert_eq!(row("API_KEY"), "(secret) (.env)");
    assert_eq!(row("APP_PORT"), "8000 (default)");
    assert!(!shown.contains("long-key"));
    assert!(shown.contains("`acefleet settings get` shows those in force"), "{shown}");
    let warnings = stderr(&output);
    assert!(warnings.contains(".env line 4 cannot be read and is ignored"), "{warnings}");
    assert!(warnings.contains("API_KEY is there twice in .env: the last one counts"), "{warnings}");
}

#[test]
fn a_line_of_ours_that_cannot_be_read_is_refused_without_being_shown() {
    let dir = dir();
    std::fs::write(dir.path().join(".env"), "MIN_REPLICAS=1\nAPI_KEY=hunter2 hunter2\n").unwrap();
    let output = run(dir.path(), &[], &["config", "check"]);
    assert_eq!(output.status.code(), Some(64));
    let lines = stderr(&output);
    assert!(lines.contains("acefleet: API_KEY (.env line 2): the line cannot be read"), "{lines}");
    assert!(!lines.contains("hunter2"), "{lines}");
}

#[test]
fn a_stray_quote_never_swallows_a_setting() {
    let dir = dir();
    let key = "API_KEY=hunter2hunter2hunter2";
    for (text, expected) in [
        (
            format!("# it's\n\nTITLE=it's mine\n{key}\n"),
            "acefleet: .env line 3: a quote opens there and does not close",
        ),
        (
            format!("TITLE=it's\n{key}\nMOTTO=that's"),
            "acefleet: API_KEY (.env): it is inside the quotes that open after TITLE=",
        ),
        (
            format!("A=1\r\nAPI_KEY='x\r\n{key}\r\n"),
            "acefleet: API_KEY (.env line 2): the line cannot be read",
        ),
    ] {
        std::fs::write(dir.path().join(".env"), text).unwrap();
        let output = run(dir.path(), &[], &["config", "check"]);
        let lines = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{lines}");
        assert!(lines.contains(expected) && !lines.contains("hunter2"), "{lines}");
    }
}

#[test]
fn the_file_is_named_by_argument_then_environment_then_env_file() {
    let dir = dir();
    for (name, replicas) in [("acefleet.toml", 1), ("dotenv.toml", 2), ("env.toml", 3), ("arg.toml", 4)] {
        std::fs::write(dir.path().join(name), format!("MIN_REPLICAS = {replicas}")).unwrap();
    }
    let used = |environment: &[(&str, &str)], arguments: &[&str]| {
        let output = run(dir.path(), environment, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let shown = stdout(&output);
        let row = shown.lines().find(|line| line.starts_with("MIN_REPLICAS ")).unwrap().to_owned();
        row.split(" = ").nth(1).unwrap().to_owned()
    };
    assert_eq!(used(&[], &["config", "show"]), "1  (acefleet.toml; cluster-wide)");
    std::fs::write(dir.path().join(".env"), "ACEFLEET_CONFIG=dotenv.toml\n").unwrap();
    assert_eq!(used(&[], &["config", "show"]), "2  (dotenv.toml; cluster-wide)");
    let environment = [("ACEFLEET_CONFIG", "env.toml")];
    assert_eq!(used(&environment, &["config", "show"]), "3  (env.toml; cluster-wide)");
    assert_eq!(
        used(&environment, &["--config", "arg.toml", "config", "show"]),
        "4  (arg.toml; cluster-wide)"
    );
    assert_eq!(
        used(&environment, &["config", "show", "--config", "arg.toml"]),
        "4  (arg.toml; cluster-wide)"
    );

    let missing = run(dir.path(), &[("ACEFLEET_CONFIG", "none.toml")], &["config", "check"]);
    assert_eq!(missing.status.code(), Some(64));
    let line = "acefleet: ACEFLEET_CONFIG (environment): the file none.toml does not exist\n";
    assert!(stderr(&missing).ends_with(line), "{}", stderr(&missing));
    let folder = run(dir.path(), &[], &["config", "check", "--config", "."]);
    assert_eq!(folder.status.code(), Some(64));
    assert!(stderr(&folder).contains("--config: .: is no regular file"), "{}", stderr(&folder));
}

#[test]
fn usage_errors_are_configuration_errors() {
    let dir = dir();
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--fast"],
        &["config"],
        &["config", "show", "--markdown", "--env-example"],
        &["join"],
        &["recover", "--dry-run", "--yes"],
    ] {
        let output = run(dir.path(), &[], arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_ne!(stderr(&output), "", "{arguments:?}");
    }
}

#[test]
fn help_version_and_documents_go_to_standard_output() {
    let dir = dir();
    let version = format!("acefleet {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["version"][..], &["--version"]] {
        assert_eq!(stdout(&run(dir.path(), &[], arguments)), version);
    }
    // None of these looks at the settings.
    let broken = [("MIN_REPLICAS", "x")];
    for (arguments, part) in [
        (&["--help"][..], "serve"),
        (&["config", "show", "--markdown"], "| `APP_PORT` | `8000` |"),
        (&["config", "show", "--env-example"], "\n#APP_PORT=8000\n"),
        (&["config", "show", "--toml-example"], "\n#app_port = 8000\n"),
        (&["openapi"], "\"openapi\""),
    ] {
        let output = run(dir.path(), &broken, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(stdout(&output).contains(part), "{arguments:?}: {}", stdout(&output));
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
}

#[test]
fn a_directory_is_prepared_once_and_not_for_two_clusters() {
    let dir = dir();
    let (data, at) = (dir.path().join("data"), listeners());
    let mut node = quiet_node(&at, data.to_str().unwrap());
    node.push(("ACEFLEET_CLUSTER_SECRET", "what-all-nodes-of-a-test-share-0123456789"));
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let output = run(dir.path(), &node, arguments);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with("acefleet: ") && line.contains(part), "{arguments:?}: {line}");
    };
    refused(&["recover", "--yes"], 64, "nothing to recover");
    assert!(!data.exists(), "a refused command made a directory");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let without = run(dir.path(), &quiet_node(&at, data.to_str().unwrap()), &["join", &nobody]);
    assert_eq!(without.status.code(), Some(64));
    assert!(stderr(&without).contains("openssl rand -hex 32"), "{}", stderr(&without));
    refused(&["join", &nobody], 75, "no member answers");
    refused(&["join", "nobody"], 64, "is not host:port");
    assert!(!data.join("node.json").exists(), "a join that failed left something behind");

    let begun = run(dir.path(), &node, &["init"]);
    assert_eq!(begun.status.code(), Some(0), "{}", stderr(&begun));
    assert!(stdout(&begun).contains("acefleet token create"), "{}", stdout(&begun));
    for (path, mode) in [(data.clone(), 0o700), (data.join("node.json"), 0o600)] {
        let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{} has mode {found:o}", path.display());
    }
    refused(&["init"], 64, "belongs to cluster");
    refused(&["join", &nobody], 64, "belongs to cluster");
    refused(&["recover"], 64, "no node has run on it");

    let joining: Vec<_> = node.iter().copied().chain([("ACEFLEET_JOIN", nobody.as_str())]).collect();
    let both = run(dir.path(), &joining, &["init"]);
    assert_eq!(both.status.code(), Some(64));
    assert!(stderr(&both).contains("do without `init`"), "{}", stderr(&both));
}

#[test]
fn each_command_has_its_manual_page() {
    let dir = dir();
    for arguments in
        [&["man", "engine", "logs"][..], &["man", "engine-logs"], &["man", "acefleet-engine-logs"]]
    {
        let page = stdout(&run(dir.path(), &[], arguments));
        assert!(
            page.contains("TH acefleet-engine-logs 1") && page.contains("follow"),
            "{arguments:?}: {page}"
        );
    }
    assert!(stdout(&run(dir.path(), &[], &["man"])).contains("TH acefleet 1"));
    let unknown = run(dir.path(), &[], &["man", "fly"]);
    assert_eq!((unknown.status.code(), stdout(&unknown).as_str()), (Some(64), ""));
    assert!(stderr(&unknown).contains("no command fly"), "{}", stderr(&unknown));

    let written = run(dir.path(), &[], &["man", "--dir", "usr/man1"]);
    assert_eq!((written.status.code(), stdout(&written).as_str()), (Some(0), ""), "{}", stderr(&written));
    for (page, part) in [("acefleet.1", "acefleet\\-engine(1)"), ("acefleet-settings-get.1", "NAMES")] {
        let text = std::fs::read_to_string(dir.path().join("usr/man1").join(page)).unwrap();
        assert!(text.contains(part), "{page}: {text}");
    }
    let refused = run(dir.path(), &[], &["man", "--dir", "acefleet.toml/man1"]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(stderr(&refused).contains("acefleet.toml/man1: the pages cannot be written there"));
}
