//! `acefleet migrate` over files as installations of the orchestrator of before have them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{dir, run, stderr, stdout};

/// A place without a Docker daemon, and with these files under these names.
fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = dir();
    for (name, from) in files {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/before").join(from);
        std::fs::copy(from, dir.path().join(name)).unwrap();
    }
    dir
}

/// Arguments behind `migrate`, in the words of a shell.
fn migrate(dir: &Path, arguments: &str) -> Output {
    let arguments: Vec<&str> = std::iter::once("migrate").chain(arguments.split_whitespace()).collect();
    run(dir, &[("HOME", dir.to_str().unwrap())], &arguments)
}

/// The report, and the verdict of each setting that counts.
fn report(dir: &Path, arguments: &str) -> (Option<i32>, Value, BTreeMap<String, String>) {
    let output = migrate(dir, &format!("{arguments} --json"));
    let report: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let mut verdicts = BTreeMap::new();
    for line in report["settings"].as_array().unwrap() {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        verdicts.entry(text("setting")).or_insert_with(|| text("verdict"));
    }
    (output.status.code(), report, verdicts)
}

fn of<'a>(verdicts: &'a BTreeMap<String, String>, verdict: &str) -> Vec<&'a str> {
    verdicts.iter().filter(|(_, v)| *v == verdict).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_env_file_of_the_first_months_is_taken() {
    let dir = place(&[("first.env", "first.env")]);
    let (code, report, verdicts) = report(dir.path(), "--env first.env");
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["would_start"], true);
    assert_eq!(verdicts.len(), 35, "each line has its verdict");
    assert_eq!(of(&verdicts, "refused"), Vec::<&str>::new());
    let without = ["ACE_HTTP_RANGE", "AUTOSCALE_INTERVAL_S", "DB_URL", "HEALTH_REPLACEMENT_COOLDOWN_S"];
    assert_eq!(of(&verdicts, "no_effect"), without);
    for name in ["APP_PORT", "MAX_REPLICAS", "MAX_CONCURRENT_PROVISIONS", "API_KEY"] {
        assert_eq!(verdicts[name], "differs", "{name}");
    }
    for name in ["DOCKER_NETWORK", "TARGET_IMAGE", "PORT_RANGE_HOST", "AUTO_DELETE"] {
        assert_eq!(verdicts[name], "taken", "{name}");
    }
    let text = stdout(&migrate(dir.path(), "--env first.env"));
    assert!(!text.contains("b1946ac9") && !report.to_string().contains("b1946ac9"), "the key is hidden");
    assert!(
        text.contains("Docker was not asked") || text.contains("Engines") || text.contains("No engine"),
        "{text}"
    );
    assert!(text.contains("orchestrator.managed=acestream") && text.contains("taken as it is"), "{text}");
}

#[test]
fn the_compose_file_of_the_first_months_names_the_rest() {
    let dir = place(&[("first.env", "first.env"), ("docker-compose.yml", "first.compose.yml")]);
    let (code, report, verdicts) = report(dir.path(), "--compose docker-compose.yml");
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["read"], json!(["docker-compose.yml (service orchestrator)", "first.env"]));
    assert_eq!((verdicts.len(), verdicts["DOCKER_HOST"].as_str()), (36, "differs"));
    assert!(report["docker_error"].is_string(), "that daemon is known inside its project alone: {report:#}");
    // What is in the working directory is found without arguments.
    let found = migrate(dir.path(), "");
    assert!(stdout(&found).contains("docker-compose.yml (service orchestrator)"), "{}", stderr(&found));
}

#[test]
fn files_of_the_end_of_2025_are_taken_with_their_two_vpns() {
    let dir = place(&[("second.env", "second.env"), ("compose.yml", "second.compose.yml")]);
    let (code, report, verdicts) = report(dir.path(), "--compose compose.yml");
    assert_eq!(code, Some(0), "{report:#}");
    let value = |name: &str| {
        let lines = report["settings"].as_array().unwrap();
        lines.iter().find(|line| line["setting"] == name).unwrap()["value"].clone()
    };
    assert_eq!((value("MIN_REPLICAS"), value("API_KEY")), ("4".into(), "(hidden)".into()));
    for name in ["VPN_MODE", "GLUETUN_CONTAINER_NAME_2", "GLUETUN_PORT_RANGE_2", "ENGINE_VARIANT"] {
        assert_eq!(verdicts[name], "taken", "{name}");
    }
    for name in ["ENGINE_MEMORY_LIMIT", "GLUETUN_CONTAINER_NAME", "MIN_FREE_REPLICAS", "DEBUG_MODE"] {
        assert_eq!(verdicts[name], "differs", "{name}");
    }
    for name in ["ACEXY_URL", "INACTIVE_LOW_SPEED_THRESHOLD_KB", "DEBUG_LOG_DIR", "TZ"] {
        assert_eq!(verdicts[name], "no_effect", "{name}");
    }
    assert_eq!(of(&verdicts, "refused"), Vec::<&str>::new());
}

#[test]
fn what_is_refused_says_what_to_write_and_ends_with_64() {
    let dir = place(&[(".env", "third.env")]);
    let (code, report, verdicts) = report(dir.path(), "");
    assert_eq!((code, &report["would_start"]), (Some(64), &Value::Bool(false)));
    assert_eq!(of(&verdicts, "refused"), ["API_KEY", "ENGINE_VARIANT", "VPN_PROVIDER"]);
    for name in ["PROXY_BUFFER_SIZE", "PROTON_USERNAME", "REDIS_HOST", "MAX_STREAMS_PER_ENGINE"] {
        assert_eq!(verdicts[name], "no_effect", "{name}");
    }
    let all = report.to_string();
    assert!(all.contains("openssl rand -hex 24") && all.contains("jopsis-amd64"), "{report:#}");
    assert!(!all.contains("changeme") && !all.contains("someone"), "{report:#}");
    assert!(report["steps"][0].as_str().unwrap().starts_with("Correct what is refused"), "{report:#}");
    let text = stdout(&migrate(dir.path(), ""));
    assert!(text.ends_with("No node would start with these settings.\n"), "{text}");
}

#[test]
fn a_missing_or_hostile_file_is_named() {
    let dir = dir();
    let fails = |arguments: &str, words: &str| {
        let output = migrate(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments}");
        assert!(stderr(&output).contains(words), "{arguments}: {}", stderr(&output));
        assert!(!stderr(&output).contains('\u{1b}') && !stdout(&output).contains('\u{1b}'));
    };
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    fails("", "neither a .env nor a compose file");
    fails("--env nothing.env", "nothing.env does not exist");
    fails("--compose nothing.yml", "nothing.yml does not exist");
    write("web.yml", "services: {web: {image: nginx}}");
    fails("--compose web.yml", "no service in it looks like the orchestrator");
    write("bad.yml", "services: [hunter2");
    fails("--compose bad.yml", "cannot be read as a compose file");
    assert!(!stderr(&migrate(dir.path(), "--compose bad.yml")).contains("hunter2"));
    write("large.yml", &"#".repeat(2 * 1024 * 1024));
    fails("--compose large.yml", "longer than 1 MiB");
    // Control characters are written out.
    write("steers.env", "MIN_REPLICAS=1\nTARGET_IMAGE='a\u{1b}]0;x\u{7}'\nODD\u{9b}=1\n");
    let output = migrate(dir.path(), "--env steers.env");
    for text in [stdout(&output), stderr(&output)] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{text:?}");
    }
}

#[test]
fn settings_of_this_shell_do_not_count() {
    let dir = place(&[]);
    std::fs::write(dir.path().join("old.env"), "MIN_REPLICAS=1\n").unwrap();
    let environment = [("MIN_REPLICAS", "x"), ("HOME", dir.path().to_str().unwrap())];
    let output = run(dir.path(), &environment, &["migrate", "--env", "old.env"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(
        stdout(&output).contains("There is no API_KEY") || stdout(&output).contains("where Docker answers")
    );
}

/// A daemon with the orchestrator of before and two of its engines, and without networks. Returns its port.
fn daemon() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let engine = |name: &str, port: &str| {
        let labels =
            json!({"ondemand.app": "myservice", "acestream.http_port": port, "host.http_port": port});
        json!({"Id": name, "Names": [format!("/{name}")], "Image": "engine", "State": "running", "Labels": labels})
    };
    let image = "krinkuto11/acestream-orchestrator:latest";
    let all = json!([
        engine("acestream-1", "19000"),
        engine("acestream-2", "19001"),
        {"Id": "o", "Names": ["/old\u{1b}[2J"], "Image": image, "State": "running", "Labels": {}},
        {"Id": "w", "Names": ["/web"], "Image": "nginx", "State": "running", "Labels": {},
            "Ports": [{"PrivatePort": 80, "PublicPort": 19002, "Type": "tcp"}]},
    ]);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
                    _ => break,
                }
            }
            let asked = String::from_utf8_lossy(&request).into_owned();
            let (status, body) = match asked.split_whitespace().nth(1).unwrap_or_default() {
                path if path.contains("/version") => {
                    ("200 OK", json!({"ApiVersion": "1.43", "Version": "24.0"}))
                }
                path if path.contains("/containers/json") => ("200 OK", all.clone()),
                _ => ("404 Not Found", json!({"message": "no such thing"})),
            };
            let body = body.to_string();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

#[test]
fn what_runs_on_the_host_is_listed_with_the_steps_that_keep_it() {
    let dir = place(&[]);
    let settings = format!("DOCKER_HOST=http://127.0.0.1:{}\nDOCKER_NETWORK=orchestrator\n", daemon());
    std::fs::write(dir.path().join(".env"), settings).unwrap();
    let (code, report, _) = report(dir.path(), "");
    assert_eq!(code, Some(0), "{report:#}");
    let docker = &report["docker"];
    let names: Vec<_> = docker["engines"].as_array().unwrap().iter().map(|found| &found["name"]).collect();
    assert_eq!(names, ["acestream-1", "acestream-2"]);
    assert_eq!(docker["engines"][1]["host_port"], 19_001);
    assert_eq!(docker["network"], json!({"name": "orchestrator", "exists": false}));
    assert_eq!(docker["taken"], json!([{"port": 19_002, "container": "web"}]));
    let text = stdout(&migrate(dir.path(), ""));
    for words in [
        "acestream-2  19001      engine  unknown",
        "The network orchestrator (DOCKER_NETWORK) does not exist.",
        "Port 19002 of PORT_RANGE_HOST is taken by the container web.",
        "docker kill -s KILL old",
        "There is no API_KEY",
        "acefleet adopt --force",
        "A node would start with these settings.",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains("`docker stop"), "{text}");
}

/// A place with these files.
fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = dir();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

const SERVICE: &str = "services:\n  orchestrator:\n    image: krinkuto11/acestream-orchestrator\n";

#[test]
fn what_only_compose_puts_together_is_refused() {
    let beside = "services: {orchestrator: {environment: {GLUETUN_CONTAINER_NAME: gluetun}}}";
    let extended = format!("{SERVICE}    extends: {{file: common.yml, service: base}}\n");
    let included = format!("include: [other.yml]\n{SERVICE}");
    for files in [
        vec![("docker-compose.yml", SERVICE), ("docker-compose.override.yml", beside)],
        vec![("docker-compose.yml", extended.as_str())],
        vec![("docker-compose.yml", included.as_str())],
    ] {
        let dir = written(&files);
        let output = migrate(dir.path(), "");
        assert_eq!(output.status.code(), Some(64), "{files:?}");
        assert!(stderr(&output).contains("docker compose config"), "{}", stderr(&output));
    }
}

#[test]
fn variables_in_env_files_have_defaults_and_an_unset_one_is_refused() {
    let dir = written(&[
        ("a.env", "GLUETUN_CONTAINER_NAME=${VPN:-gluetun}\n"),
        ("b.env", "API_KEY=abcdefghijklmnopqrst$uvwxyz\n"),
    ]);
    let (_, report, _) = report(dir.path(), "--env a.env");
    assert_eq!(report["settings"][0]["value"], "gluetun", "{report:#}");
    let output = migrate(dir.path(), "--env b.env");
    assert_eq!(output.status.code(), Some(64));
    let said = stdout(&output);
    assert!(
        said.contains("no line above it sets uvwxyz") && !said.contains("abcdefghijklmnopqrst"),
        "{said}"
    );
}

#[test]
fn an_env_file_that_doubles_itself_ends_soon() {
    let doubled: String = (1..64).map(|n| format!("A{n}=$A{}$A{}\n", n - 1, n - 1)).collect();
    let many =
        format!("B={}\n{}", "x".repeat(60_000), (0..1_900).map(|n| format!("C{n}=$B\n")).collect::<String>());
    let lines: String = (0..5_000).map(|n| format!("D{n}=1\n")).collect();
    for text in [format!("A0=xxxxxxxxxx\n{doubled}"), many, lines] {
        let dir = written(&[("a.env", text.as_str())]);
        assert_eq!(migrate(dir.path(), "--env a.env").status.code(), Some(64));
        assert!(stdout(&migrate(dir.path(), "--env a.env")).len() < 4 << 20);
    }
}

#[test]
fn a_variant_of_2026_is_told_by_its_name_here() {
    let dir = written(&[("a.env", "ENGINE_VARIANT=AceServe-arm64\n")]);
    assert!(stdout(&migrate(dir.path(), "--env a.env")).contains("here it is called jopsis-arm64"));
}

#[test]
fn switches_that_were_off_and_defaults_that_differ_are_named() {
    let dir = written(&[("a.env", "AUTO_DELETE=yes\nACE_MAP_HTTPS=true\n")]);
    let (_, report, verdicts) = report(dir.path(), "--env a.env");
    assert_eq!((verdicts["AUTO_DELETE"].as_str(), verdicts["ACE_MAP_HTTPS"].as_str()), ("differs", "taken"));
    let known = report["warnings"].to_string();
    assert!(known.contains("MIN_FREE_REPLICAS is not set: here it is 0"), "{known}");
}

#[test]
fn the_value_that_counts_is_marked_and_all_are_printed_as_one_file() {
    let compose = format!(
        "{SERVICE}    env_file: [b.env, .env]\n    environment: {{MIN_REPLICAS: '4', GLUETUN_CONTAINER_NAME: ''}}\n"
    );
    let env = "GLUETUN_CONTAINER_NAME=gluetun\nMIN_REPLICAS=2\nMAX_REPLICAS=9\nAPI_KEY='it costs 5 $'\n";
    let files = [("compose.yaml", compose.as_str()), (".env", env), ("b.env", "MAX_REPLICAS=7\n")];
    let dir = written(&files);
    let (_, report, verdicts) = report(dir.path(), "");
    assert_eq!(verdicts["GLUETUN_CONTAINER_NAME"], "differs", "it was off: {report:#}");
    let printed = stdout(&migrate(dir.path(), "--print-env"));
    let expected = "API_KEY='it costs 5 $'\nGLUETUN_CONTAINER_NAME=gluetun\nMAX_REPLICAS=9\nMIN_REPLICAS=4\n";
    assert_eq!(printed, expected, "the last env_file is the strongest of them");
}
