//! Which source wins, and what each of them looks like.

use acefleet::config::{ConfigErrors, Loaded, Source, Sources, resolve};

use super::host;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn from(environment: Pairs, dotenv: Pairs, toml: &str) -> Result<Loaded, ConfigErrors> {
    resolve(Sources::from_maps(environment, dotenv, toml, host()))
}

fn source_of(loaded: &Loaded, name: &str) -> (String, Source) {
    let row = loaded.shown.iter().find(|row| row.name == name).unwrap();
    (row.value.clone(), row.source.clone())
}

#[test]
fn the_strongest_source_wins_for_each_setting() {
    let loaded = from(
        &[("MIN_REPLICAS", "1")],
        &[("MIN_REPLICAS", "2"), ("MIN_FREE_REPLICAS", "2")],
        "MIN_REPLICAS = 3\nmin_free_replicas = 3\nMax_Replicas = 33\n",
    )
    .unwrap();
    let policy = &loaded.config.policy;
    assert_eq!((policy.min_replicas, policy.min_free_replicas, policy.max_replicas), (1, 2, 33));
    assert_eq!(source_of(&loaded, "MIN_REPLICAS"), ("1".into(), Source::Environment));
    assert_eq!(source_of(&loaded, "MIN_FREE_REPLICAS"), ("2".into(), Source::DotEnv(".env".into())));
    assert_eq!(source_of(&loaded, "MAX_REPLICAS"), ("33".into(), Source::Toml("acefleet.toml".into())));
    assert_eq!(source_of(&loaded, "APP_PORT"), ("8000".into(), Source::Default));
}

#[test]
fn a_wrong_value_is_not_replaced_by_a_weaker_source() {
    let errors = from(&[("MIN_REPLICAS", "x")], &[], "MIN_REPLICAS = 3").unwrap_err();
    assert!(errors.to_string().starts_with("MIN_REPLICAS=\"x\" (environment): "), "{errors}");
}

#[test]
fn empty_counts_as_not_set_and_is_said() {
    let loaded = from(&[("MIN_REPLICAS", " ")], &[], "MIN_REPLICAS = 3").unwrap();
    assert_eq!(loaded.config.policy.min_replicas, 3);
    let line = loaded.warnings.iter().find(|warning| warning.setting == "MIN_REPLICAS").unwrap();
    assert_eq!(
        line.line,
        "MIN_REPLICAS (environment) is empty and counts as not set: the value from acefleet.toml is used"
    );
    let loaded = from(&[("MAX_REPLICAS", ""), ("DOCKER_NETWORK", "")], &[], "").unwrap();
    assert_eq!((loaded.config.policy.max_replicas, loaded.config.docker_network), (20, None));
    let warned: Vec<_> = loaded.warnings.iter().map(|warning| warning.setting.as_str()).collect();
    assert!(warned.contains(&"MAX_REPLICAS") && !warned.contains(&"DOCKER_NETWORK"), "{warned:?}");
}

#[test]
fn toml_has_numbers_flags_texts_and_a_list_of_peers() {
    let toml = r#"
        auto_delete = true
        min_provision_interval_s = 0.5
        app_port = "8080"
        acefleet_node_name = "a"
        acefleet_peers = ["a=10.0.0.1:8001", "b=10.0.0.2:8001", "c=10.0.0.3:8001"]
    "#;
    let config = from(&[], &[], toml).unwrap().config;
    assert!(config.policy.auto_delete);
    assert_eq!(config.min_provision_interval.as_millis(), 500);
    assert_eq!(config.http_bind.port(), 8080);
    assert_eq!(config.peers.len(), 3);
    assert_eq!(config.advertise_host, "10.0.0.1", "the host of this node's own entry");
}

#[test]
fn toml_mistakes_have_one_line_each_without_the_text() {
    let cases = [
        ("api_key = \"hunter2", "acefleet.toml line 1: not valid TOML"),
        ("a = 1\nb = \nc = 3", "acefleet.toml line 2: not valid TOML"),
        ("[engines]\nmin_replicas = 1", "engines (acefleet.toml): a section"),
        ("min_replicas = [1]", "MIN_REPLICAS (acefleet.toml): array is not accepted"),
        ("min_replicas = 1979-05-27", "MIN_REPLICAS (acefleet.toml): datetime is not accepted"),
        ("min_replicas = 1\nMIN_REPLICAS = 1", "MIN_REPLICAS is there twice in acefleet.toml"),
        ("min_replicas = 1.5", "MIN_REPLICAS=\"1.5\" (acefleet.toml): not a whole number"),
        ("acefleet_config = \"x\"", "ACEFLEET_CONFIG (acefleet.toml): a file cannot name itself"),
        ("replicas = 1", "REPLICAS (acefleet.toml): there is no such setting"),
    ];
    for (toml, expected) in cases {
        let errors = from(&[], &[], toml).unwrap_err();
        assert_eq!(errors.problems.len(), 1, "{errors}");
        assert!(errors.to_string().starts_with(expected), "{errors}");
        assert!(!errors.to_string().contains('\n') && !errors.to_string().contains("hunter2"), "{errors}");
    }
}

#[test]
fn a_pipe_is_no_file_of_a_secret_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let errors = from(&[("API_KEY_FILE", pipe.to_str().unwrap())], &[], "").unwrap_err().to_string();
    assert!(errors.contains("API_KEY_FILE") && errors.contains("is no regular file"), "{errors}");
}

#[test]
fn a_token_file_may_be_gone_when_it_was_used() {
    let loaded = from(&[("ACEFLEET_JOIN_TOKEN_FILE", "/does/not/exist")], &[], "").unwrap();
    assert!(loaded.config.join_token.is_none());
    let said: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(
        said.iter().any(|line| line.contains("ACEFLEET_JOIN_TOKEN_FILE") && line.contains("no effect")),
        "{said:?}"
    );
}

#[test]
fn a_secret_comes_from_a_file_or_directly_but_not_both() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "\n  k3y-in-a-file-of-its-own \n").unwrap();
    let loaded = from(&[("API_KEY_FILE", file)], &[], "").unwrap();
    assert_eq!(loaded.config.api_key.as_ref().unwrap().exposed(), "k3y-in-a-file-of-its-own");
    assert_eq!(source_of(&loaded, "API_KEY"), ("(secret)".into(), Source::SecretFile(path.clone())));

    let both = from(&[("API_KEY_FILE", file)], &[], "api_key = 'an0ther-key-elsewhere'").unwrap_err();
    let expected = "API_KEY (acefleet.toml) and API_KEY_FILE (environment) are both set: keep one of them";
    assert_eq!(both.to_string(), expected);

    std::fs::write(&path, "two words").unwrap();
    let spaced = from(&[("API_KEY_FILE", file)], &[], "").unwrap_err().to_string();
    assert!(
        spaced.contains("white space") && spaced.contains(file) && !spaced.contains("two words"),
        "{spaced}"
    );

    for (content, expected) in
        [(&b"  \n"[..], "is empty"), (b"\xff\xfe", "is not UTF-8"), (&[b'a'; 1 << 21], "1 MiB")]
    {
        std::fs::write(&path, content).unwrap();
        let errors = from(&[("API_KEY_FILE", file)], &[], "").unwrap_err();
        assert!(errors.to_string().contains(expected), "{errors}");
    }
    for (missing, expected) in [
        ("/does/not/exist", "does not exist"),
        ("/", "is no regular file"),
        ("/dev/null", "is no regular file"),
    ] {
        let errors = from(&[("API_KEY_FILE", missing)], &[], "").unwrap_err();
        assert!(errors.to_string().contains(expected), "{errors}");
    }
}
