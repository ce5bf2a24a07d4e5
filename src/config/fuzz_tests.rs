//! Files of settings, by fuzz targets that are ordinary tests, too.

use super::dotenv;
use super::layer::{Layer, Source};
use super::report::Findings;
use super::sources::{Host, Sources};
use super::{resolve, toml_file};
use crate::edited::edited;

const DOTENV: &[u8] = b"# engines\nexport MIN_REPLICAS=2\nAPI_KEY='some long key of the cluster'\nACEFLEET_PEERS=a=http://10.0.0.1:8001,b=http://10.0.0.2:8001\n\
    ACEFLEET_NODE_NAME=\"a\"\nACEFLEET_DATA_DIR=/d\nPORT_RANGE_HOST=19000-19999\nENGINE_CONF=\"--a\n--b\"\nACEFLEET_CLUSTER_SECRET=0123456789abcdef0123456789abcdef0123\n";
const TOML: &[u8] = b"min_replicas = 2\nACEFLEET_PEERS = [\"a=http://10.0.0.1:8001\"]\napi_key = 'k'\nstartup_timeout_s = 1_0.5\nauto_delete = true\nd = 2026-01-01\n[x]\ny = '''\na'''\n";
const WORDS: &[&[u8]] = &[
    b"\n",
    b"=",
    b"'",
    b"\"",
    b"${HOME}",
    b"$",
    b"\\",
    b"#",
    b"\r\n",
    b"\0",
    b"ACEFLEET_",
    b"MAX_REPLICAS=",
    b"-1",
    b"99999999999999999999",
    b"nan",
    b"1e400",
    b"[[x]]",
    b"\"\"\"",
    "é".as_bytes(),
    b"0.0.0.0/0",
    b"*",
];

/// What both readers make of a text, and what all settings make of that.
fn read(text: &str) -> Findings {
    let mut findings = Findings::default();
    let needed = [("ACEFLEET_NODE_NAME", "a"), ("ACEFLEET_DATA_DIR", "/d")];
    let needed = needed.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut layers = vec![Layer { source: Source::Environment, values: needed }];
    layers.push(dotenv::layer(".env".into(), text, &mut findings));
    layers.extend(toml_file::layer("acefleet.toml".into(), text, &mut findings));
    let sources = Sources { layers, findings, host: Host::default() };
    match resolve(sources) {
        Ok(loaded) => Findings { warnings: loaded.warnings, ..Findings::default() },
        Err(errors) => Findings { problems: errors.problems, warnings: errors.warnings },
    }
}

#[test]
fn fuzz_files_of_settings() {
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(&[DOTENV, TOML], WORDS, plan);
        let text = String::from_utf8_lossy(&bytes);
        let lines = |findings: Findings| {
            let all = findings.problems.into_iter().chain(findings.warnings);
            all.map(|finding| finding.line).collect::<Vec<_>>()
        };
        let found = lines(read(&text));
        assert!(
            found.iter().all(|line| !line.is_empty() && line.len() < 2 * text.len() + 2_000),
            "{found:#?}"
        );
        assert_eq!(lines(read(&text)), found, "the same file says the same");
    });
}
