//! A node with TLS from outside: what its settings are told, and how commands reach it.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::key::{node, until};
use crate::support::{dir, listeners, quiet_node, run, stderr, stdout};

/// Writes `ca.pem`, and `cert.pem` with `key.pem` for a host, which an authority of the test has issued.
fn certificates(dir: &Path, host: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &authority).unwrap();
    for (name, text) in
        [("ca.pem", authority.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

const FILES: [(&str, &str); 2] = [("ACEFLEET_TLS_CERT", "cert.pem"), ("ACEFLEET_TLS_KEY", "key.pem")];

#[test]
fn commands_reach_a_node_with_tls() {
    let (dir, at) = (dir(), listeners());
    certificates(dir.path(), &at.host);
    let data = dir.path().join("data");
    let settings = [&quiet_node(&at, data.to_str().unwrap())[..], &FILES].concat();
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let _node = node(dir.path(), &settings, log);
    // On its own host nothing changes.
    until("the node answers", || run(dir.path(), &settings, &["healthcheck"]).status.success().then_some(()));
    let url = format!("https://{}:{}", at.host, at.port);
    let trusting = [("ACEFLEET_URL", url.as_str()), ("SSL_CERT_FILE", "ca.pem")];
    for arguments in [&["members"][..], &["events"], &["status"]] {
        let output = run(dir.path(), &trusting, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    }
    // It says so when all members know what that is.
    until("the cluster knows that the node speaks TLS", || {
        let members = run(dir.path(), &trusting, &["members", "--json"]);
        stdout(&members).contains(&format!("\"url\": \"{url}\"")).then_some(())
    });
    // Who vouches for it has to be known.
    certificates(&dir.path().join("data"), "another");
    for another in [("ACEFLEET_CA", "data/ca.pem"), ("SSL_CERT_FILE", "data/ca.pem")] {
        let foreign = run(dir.path(), &[trusting[0], another], &["members"]);
        let said = stderr(&foreign);
        assert_eq!(foreign.status.code(), Some(75), "{said}");
        assert!(said.contains("invalid peer certificate") && said.contains("with --ca"), "{said}");
    }
    // Whoever names them means no others.
    let named = [trusting[0], ("SSL_CERT_FILE", "data/ca.pem")];
    let output = run(dir.path(), &named, &["members", "--ca", "ca.pem"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (file, why) in [("nowhere.pem", "No such file"), ("key.pem", "no certificate")] {
        let output = run(dir.path(), &trusting, &["members", "--ca", file]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(file) && said.contains(why), "{said}");
    }
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("WARN acefleet::tls"), "{log}");
}

#[test]
fn what_is_wrong_with_the_files_is_said_before_anything_starts() {
    let (dir, at) = (dir(), listeners());
    let data = dir.path().join("data");
    let settings = [&quiet_node(&at, data.to_str().unwrap())[..], &FILES].concat();
    for command in [&["config", "check"][..], &["serve"]] {
        let output = run(dir.path(), &settings, command);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.starts_with("acefleet: ACEFLEET_TLS_CERT=cert.pem: the file does not exist"), "{said}");
        assert!(!data.exists(), "nothing was opened");
    }
    certificates(dir.path(), "node-a.example.org");
    let output = run(dir.path(), &settings, &["config", "check"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "The settings are valid.\n"));
    let said = stderr(&output);
    assert!(said.contains(&format!("warning: the certificate of the API is not for {}", at.host)), "{said}");
}

#[test]
fn https_to_a_node_without_tls_is_told_apart() {
    let (dir, at) = (dir(), listeners());
    let data = dir.path().join("data");
    let settings = quiet_node(&at, data.to_str().unwrap());
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let _node = node(dir.path(), &settings, log);
    until("the node answers", || run(dir.path(), &settings, &["healthcheck"]).status.success().then_some(()));
    certificates(dir.path(), "nobody");
    let url = format!("https://{}:{}", at.host, at.port);
    let environment = [("ACEFLEET_URL", url.as_str()), ("SSL_CERT_FILE", "ca.pem")];
    let output = run(dir.path(), &environment, &["members"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("does not speak TLS") && said.contains("write http://"), "{said}");
}
