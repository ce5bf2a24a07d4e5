//! What anybody can send to the cluster port, and what people paste, by fuzz targets that are ordinary tests, too.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use acefleet_registry::join_token::PublicKey;
use rustls::pki_types::CertificateDer;

use super::enroll::Tokens;
use super::join_token::JoinToken;
use super::keys::{Keys, Named, Shown, certificate, key_pair, pkcs8, private_key, signed};
use super::node_key::OwnKey;
use super::secret::ClusterSecret;
use crate::testing::SECRET;
use crate::testing::edited::edited;

/// The only token of the cluster.
struct One(PublicKey);

impl Tokens for One {
    fn knows(&self, token: &PublicKey) -> bool {
        *token == self.0
    }
}

#[test]
fn fuzz_certificates_of_callers() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let secret = ClusterSecret::parse(SECRET).unwrap();
    let shared = key_pair(&private_key(&secret).unwrap()).unwrap();
    let own = key_pair(&pkcs8(&[7; 32])).unwrap();
    let token = JoinToken::new([0; super::join_token::NAME_BYTES]).unwrap();
    let of_token = key_pair(&pkcs8(&token.key_seed().unwrap())).unwrap();
    let other = key_pair(&pkcs8(&[8; 32])).unwrap();
    let tokens = Arc::new(One(token.public().unwrap()));
    let keys = Keys::of(&OwnKey::any().unwrap(), &[&secret], provider, tokens).unwrap();

    let samples = [
        certificate(&shared, Named::Key).unwrap(),
        signed(&own, &shared).unwrap(),
        certificate(&of_token, Named::Key).unwrap(),
        signed(&own, &other).unwrap(),
    ];
    let shown: Vec<_> = samples.iter().map(|sample| keys.check_caller(sample).ok()).collect();
    let Some(node @ Shown::Node(_)) = shown[1] else { panic!("{shown:?}") };
    let token = Shown::Token(token.public().unwrap());
    assert_eq!((shown[0], shown[2], shown[3]), (Some(Shown::Secret), Some(token), None));

    let samples: Vec<&[u8]> = samples.iter().map(|sample| sample.as_ref()).collect();
    let words: [&[u8]; 5] = [
        b"\x30\x84\xff\xff\xff\xff",
        b"\x06\x03\x2b\x65\x70",
        b"\x03\x21\x00",
        b"\x05\x00",
        b"\xa3\x02\x30\x00",
    ];
    let keys = AssertUnwindSafe(keys);
    bolero::check!().for_each(|plan: &[u8]| {
        let certificate = CertificateDer::from(edited(&samples, &words, plan));
        let keys: &AssertUnwindSafe<Keys> = &keys;
        // Whoever is taken has to prove that key in the handshake: it is one of those that were given out.
        if let Ok(shown) = keys.check_caller(&certificate) {
            assert!([node, Shown::Secret, token].contains(&shown), "{shown:?}");
        }
    });
}

#[test]
fn fuzz_tokens_and_secrets_that_people_paste() {
    let token = JoinToken::new([7; super::join_token::NAME_BYTES]).unwrap().exposed();
    bolero::check!().for_each(|plan: &[u8]| {
        let bytes = edited(
            &[token.as_bytes(), SECRET.as_bytes()],
            &[b"acefleet-join-", b" ", b"\n", "é".as_bytes()],
            plan,
        );
        let Ok(text) = String::from_utf8(bytes) else { return };
        if let Ok(read) = JoinToken::parse(&text) {
            assert_eq!(*JoinToken::parse(&read.exposed()).unwrap().exposed(), *read.exposed());
        }
        if let Err(why) = ClusterSecret::parse(&text) {
            assert!(
                text.len() < 12 || !why.to_string().contains(&text),
                "the message has what may be a secret"
            );
        }
    });
}
