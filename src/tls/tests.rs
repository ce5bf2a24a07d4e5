use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ED25519};

use super::pair::{Contents, Part};
use super::remark::of_time;
use super::watch::{Found, Seen, takes_over};
use super::*;
use crate::config::TlsFiles;

fn certificate(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    (CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn files(dir: &Path, cert: &str, key: &str) -> TlsFiles {
    let files = TlsFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    fs::write(&files.cert, cert).unwrap();
    fs::write(&files.key, key).unwrap();
    files
}

#[test]
fn what_is_wrong_with_files_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(&["a.example.org"]);
    let (_, other) = certificate(&["b.example.org"]);
    let sound = files(dir.path(), &cert, &key);
    let pair = Pair::read(&sound).unwrap();
    assert!(pair.from < pair.until && pair.is_for("a.example.org") && !pair.is_for("b.example.org"));
    // Both in one file, and other sections around them.
    let all = format!("some words\n{key}\n{cert}");
    assert!(Pair::read(&files(dir.path(), &all, &all)).is_ok());
    let refused = |cert: &str, key: &str| Pair::read(&files(dir.path(), cert, key)).unwrap_err();
    let lacks =
        |error: PairError, wanted: Part| matches!(error, PairError::NotPem { part, .. } if part == wanted);
    assert!(lacks(refused("", &key), Part::Certificate));
    assert!(lacks(refused(&key, &key), Part::Certificate));
    assert!(lacks(refused(&cert, "no key"), Part::Key));
    assert!(lacks(refused(&cert, &cert), Part::Key));
    let cut = cert.replace("-----END CERTIFICATE-----", "");
    assert!(lacks(refused(&cut, &key), Part::Certificate));
    let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert!(refused(&cert, &locked).to_string().contains("passphrase"));
    assert!(matches!(refused(&cert, &other), PairError::Mismatch { .. }));
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refused(nonsense, &key), PairError::BadCertificate { .. }));
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(refused(&cert, nonsense), PairError::BadKey { .. }));
    let missing = TlsFiles { cert: dir.path().join("nowhere"), ..sound };
    let said = Pair::read(&missing).unwrap_err().to_string();
    assert!(said.starts_with("ACEFLEET_TLS_CERT=") && said.contains("does not exist"), "{said}");
    let pipe = TlsFiles { cert: "/dev/zero".into(), ..missing };
    assert!(matches!(Pair::read(&pipe), Err(PairError::Unreadable { part: Part::Certificate, .. })));
}

#[test]
fn a_certificate_of_an_authority_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
    for (is_ca, told) in
        [(IsCa::NoCa, false), (IsCa::ExplicitNoCa, false), (IsCa::Ca(BasicConstraints::Unconstrained), true)]
    {
        params.is_ca = is_ca;
        let cert = params.self_signed(&key).unwrap();
        let pair = Pair::read(&files(dir.path(), &cert.pem(), &key.serialize_pem())).unwrap();
        assert_eq!(remarks(&pair, "a", pair.from).contains(&Remark::OfAuthority), told, "{:?}", params.is_ca);
    }
}

#[test]
fn other_kinds_of_keys_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let cert = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    assert!(Pair::read(&files(dir.path(), &cert.pem(), &key.serialize_pem())).is_ok());
}

#[test]
fn files_that_change_are_taken_and_broken_ones_are_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let ((cert, key), (new_cert, new_key)) = (certificate(&["a"]), certificate(&["a"]));
    let old = files(dir.path(), &cert, &key);
    let mut seen = Seen::new(Contents::read(&old).digest());
    let mut look = |cert: &str, key: &str| seen.look(&Contents::read(&files(dir.path(), cert, key)));
    assert!(matches!(look(&cert, &key), Found::Same));
    // Between two writes of a program that renews both.
    assert!(matches!(look(&new_cert, &key), Found::Same));
    assert!(matches!(look(&new_cert, &new_key), Found::New(_)));
    assert!(matches!(look(&new_cert, &new_key), Found::Same));
    assert!(matches!(look("broken", &new_key), Found::Same));
    assert!(matches!(look("broken", &new_key), Found::Broken(_)));
    assert!(matches!(look("broken", &new_key), Found::Same), "it was told");
    assert!(matches!(look("broken otherwise", &new_key), Found::Same));
    assert!(matches!(look("broken otherwise", &new_key), Found::Broken(_)));
    assert!(matches!(look(&new_cert, &new_key), Found::Same), "as it was");
    assert!(matches!(look(&cert, &key), Found::New(_)));
}

#[test]
fn a_certificate_that_clients_take_is_not_given_up_for_one_that_they_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(&["a"]);
    let any = Pair::read(&files(dir.path(), &cert, &key)).unwrap();
    let pair = |from: i64, until: i64| Pair { from, until, ..any.clone() };
    let (good, ended, early) = (pair(0, 1_000), pair(0, 99), pair(101, 2_000));
    let takes = |new: &Pair, old: &Pair| takes_over(new, old, 100);
    assert_eq!(takes(&pair(50, 101), &good), Ok(()), "one that ends soon is taken");
    assert!(takes(&ended, &good).unwrap_err().starts_with("has ended (1970-01-01T00:01:39Z)"));
    assert!(takes(&early, &good).unwrap_err().contains("from then on"));
    // Nobody takes the one in use either.
    assert_eq!(
        (takes(&early, &ended), takes(&ended, &ended), takes(&good, &early)),
        (Ok(()), Ok(()), Ok(()))
    );
    assert_eq!(takes_over(&early, &good, 101), Ok(()), "it counts by now");
}

#[test]
fn a_certificate_that_ends_is_told_two_weeks_before() {
    const DAY: i64 = 86_400;
    let end = 100 * DAY;
    assert_eq!(of_time(0, end, end - 14 * DAY), None);
    assert_eq!(of_time(0, end, end - 14 * DAY + 1), Some(Remark::EndsSoon { until: end, days: 13 }));
    assert_eq!(of_time(0, end, end), Some(Remark::EndsSoon { until: end, days: 0 }));
    assert_eq!(of_time(0, end, end + 1), Some(Remark::Ended { until: end }));
    assert_eq!(of_time(5, end, 4), Some(Remark::NotYet { from: 5 }));
}
