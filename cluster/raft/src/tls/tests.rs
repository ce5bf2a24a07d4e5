//! Who is let in, and what both sides say of it.

use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{self, SECRET};

const OTHER: &str = "what-the-nodes-of-another-cluster-share-01";

/// Both ends of a connection: who accepted it, and who made it.
async fn ends() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    (accepted.unwrap().0, connected.unwrap())
}

/// What both sides get of each other.
async fn meet(accepts: Door, connects: Door) -> (io::Result<(Stream, Shown)>, io::Result<Stream>) {
    let (accepted, connected) = ends().await;
    let again = async { Err(io::Error::other("it would connect without TLS")) };
    tokio::join!(accepts.admit(accepted), connects.enter(connected, again, None))
}

fn door(secret: &str) -> Door {
    testing::door(secret, Plain::Refused)
}

fn why<T>(refused: io::Result<T>) -> Option<Unauthenticated> {
    Unauthenticated::of(&refused.err().expect("it was let in"))
}

/// A program that speaks TLS and is no node, with this certificate or none.
async fn program(own: Option<&(CertificateDer<'static>, KeyPair)>, stream: TcpStream) -> io::Result<usize> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusting = Arc::new(Trusting(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty());
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let provider = rustls::crypto::ring::default_provider();
            let key =
                provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(key.serialize_der().into()));
            let shown = CertifiedKey::new(vec![certificate.clone()], key.unwrap());
            builder.with_client_cert_resolver(Arc::new(Shows(Arc::new(shown))))
        }
    };
    config.dangerous().set_certificate_verifier(trusting);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("node").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    stream.read(&mut [0; 64]).await
}

/// Shows this certificate, whatever is taken.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Trusts whoever answers.
#[derive(Debug)]
struct Trusting(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn nodes_with_the_secret_speak_to_each_other_alone() {
    let (accepted, connected) = meet(door(SECRET), door(SECRET)).await;
    let ((mut accepted, shown), mut connected) = (accepted.unwrap(), connected.unwrap());
    assert!(matches!(shown, Shown::Node(_)));
    connected.write_all(b"hello").await.unwrap();
    connected.flush().await.unwrap();
    let mut read = [0; 5];
    accepted.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");

    let (accepted, connected) = meet(door(SECRET), door(OTHER)).await;
    assert_eq!(
        (why(accepted), why(connected)),
        (Some(Unauthenticated::OtherSecret), Some(Unauthenticated::OtherSecret))
    );
}

#[tokio::test]
async fn a_program_with_no_certificate_or_one_of_its_own_is_refused() {
    let own = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let own = (keys::certificate(&own, keys::Named::Key).unwrap(), own);
    for (certificate, outsider) in
        [(None, Unauthenticated::NoCertificate), (Some(&own), Unauthenticated::OtherSecret)]
    {
        let (accepted, connected) = ends().await;
        let door = door(SECRET);
        let (admitted, got) = tokio::join!(door.admit(accepted), program(certificate, connected));
        assert_eq!(why(admitted), Some(outsider));
        assert!(!matches!(got, Ok(1..)), "it was answered: {got:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_shows_the_key_without_having_it_is_refused() {
    // What a listener sees of a node, signed anew by somebody with another key.
    let der = keys::private_key(&ClusterSecret::parse(SECRET).unwrap()).unwrap();
    let real = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).unwrap();
    let thief = (
        keys::certificate(&real, keys::Named::Key).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
    );
    let (accepted, connected) = ends().await;
    let door = door(SECRET);
    let (admitted, got) = tokio::join!(door.admit(accepted), async {
        tokio::spawn(async move { program(Some(&thief), connected).await }).await
    });
    assert!(admitted.is_err());
    assert!(!matches!(got, Ok(Ok(1..))), "it was answered");
}

#[tokio::test]
async fn plain_connections_are_taken_and_made_in_the_transition_alone() {
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (plain, refused) in [(Plain::Refused, Some(Unauthenticated::NoTls)), (Plain::Accepted, None)] {
        let (accepted, mut connected) = ends().await;
        connected.write_all(greeting).await.unwrap();
        let admitted = testing::door(SECRET, plain).admit(accepted).await;
        match refused {
            Some(_) => assert_eq!(why(admitted), refused),
            None => {
                let mut read = vec![0; greeting.len()];
                let (mut stream, shown) = admitted.unwrap();
                assert_eq!(shown, Shown::Nothing);
                stream.read_exact(&mut read).await.unwrap();
                assert_eq!(read, greeting, "nothing of it may be lost");
            }
        }

        // A node of an earlier version sends its settings at once, and ends at what it cannot read.
        let (mut accepted, connected) = ends().await;
        accepted.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        let dialled = std::sync::atomic::AtomicBool::new(false);
        let again = async {
            dialled.store(true, std::sync::atomic::Ordering::Relaxed);
            Ok(ends().await.1)
        };
        let entered = testing::door(SECRET, plain).enter(connected, again, None).await;
        assert_eq!(entered.is_ok(), refused.is_none());
        assert_eq!(dialled.into_inner(), refused.is_none());
    }
}

#[tokio::test]
async fn another_secret_is_no_reason_to_speak_without_one() {
    let lenient = |secret| testing::door(secret, Plain::Accepted);
    let (accepted, connected) = meet(lenient(SECRET), lenient(OTHER)).await;
    assert_eq!(
        (why(accepted), why(connected)),
        (Some(Unauthenticated::OtherSecret), Some(Unauthenticated::OtherSecret))
    );
}

#[tokio::test]
async fn one_who_says_nothing_is_waited_for_a_second_only() {
    for plain in [Plain::Refused, Plain::Accepted] {
        let (accepted, _silent) = ends().await;
        let late = testing::door(SECRET, plain).admit(accepted).await.err().unwrap();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn nodes_meet_while_their_secret_is_changed() {
    let with = |secret: &str, before: Option<&str>| testing::door_before(secret, before, Plain::Refused);
    let old = || with(SECRET, None);
    let both = || with(OTHER, Some(SECRET));
    let new = || with(OTHER, None);
    for (accepts, connects) in
        [(old(), both()), (both(), old()), (both(), both()), (both(), new()), (new(), both())]
    {
        let (accepted, connected) = meet(accepts, connects).await;
        assert!(accepted.is_ok() && connected.is_ok(), "{:?} {:?}", accepted.err(), connected.err());
    }
    for (accepts, connects) in [(old(), new()), (new(), old())] {
        let (accepted, connected) = meet(accepts, connects).await;
        assert_eq!(
            (why(accepted), why(connected)),
            (Some(Unauthenticated::OtherSecret), Some(Unauthenticated::OtherSecret))
        );
    }
}

/// A door of a version that knows the secret alone: it shows its key, and takes nothing else.
async fn earlier(secret: &str, accepted: TcpStream) -> io::Result<usize> {
    let der = keys::private_key(&ClusterSecret::parse(secret).unwrap()).unwrap();
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).unwrap();
    let certificate = keys::certificate(&key, keys::Named::Key).unwrap();
    program(Some(&(certificate, key)), accepted).await
}

#[tokio::test]
async fn a_node_of_a_version_without_keys_of_nodes_is_known_by_the_secret_alone() {
    let (accepted, connected) = ends().await;
    let door = door(SECRET);
    let (admitted, _) = tokio::join!(door.admit(accepted), async {
        // It waits for an answer that does not come.
        tokio::time::timeout(Duration::from_millis(300), earlier(SECRET, connected)).await
    });
    assert_eq!(admitted.unwrap().1, Shown::Secret);
}

#[tokio::test]
async fn each_node_shows_its_own_key_and_the_expected_one_is_asked_for() {
    let (one, other) = (door(SECRET), door(SECRET));
    assert_ne!(one.own(), other.own());
    for (known, met) in [(None, true), (Some(one.own()), true), (Some(other.own()), false)] {
        let (accepted, connected) = ends().await;
        let again = std::future::pending();
        let (admitted, entered) = tokio::join!(one.admit(accepted), other.enter(connected, again, known));
        assert_eq!(admitted.unwrap().1, Shown::Node(other.own()));
        match met {
            true => drop(entered.unwrap()),
            false => assert_eq!(why(entered), Some(Unauthenticated::OtherKey)),
        }
    }
    // One that speaks without TLS proves nothing.
    let (mut accepted, connected) = ends().await;
    accepted.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let lenient = testing::door(SECRET, Plain::Accepted);
    let again = async { Ok(ends().await.1) };
    assert_eq!(why(lenient.enter(connected, again, Some(one.own())).await), Some(Unauthenticated::OtherKey));
}

#[tokio::test]
async fn a_key_that_another_secret_has_signed_is_refused() {
    let own = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let by = keys::private_key(&ClusterSecret::parse(OTHER).unwrap()).unwrap();
    let by = KeyPair::from_pkcs8_der_and_sign_algo(&by, &rcgen::PKCS_ED25519).unwrap();
    let certificate = keys::signed(&own, &by).unwrap();
    let (accepted, connected) = ends().await;
    let door = door(SECRET);
    let shown = (certificate, own);
    let (admitted, got) = tokio::join!(door.admit(accepted), program(Some(&shown), connected));
    assert_eq!(why(admitted), Some(Unauthenticated::OtherSecret));
    assert!(!matches!(got, Ok(1..)), "it was answered: {got:?}");
}

/// A node of an earlier version that accepts: it names these keys, and keeps the certificate that it is shown.
#[derive(Debug)]
struct Earlier {
    named: Vec<rustls::DistinguishedName>,
    shown: std::sync::Mutex<Vec<u8>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl rustls::server::danger::ClientCertVerifier for Earlier {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &self.named
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        *self.shown.lock().unwrap() = end_entity.to_vec();
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ED25519]
    }
}

#[tokio::test]
async fn a_node_shows_earlier_versions_the_key_of_the_secret_and_later_ones_its_own() {
    let der = keys::private_key(&ClusterSecret::parse(SECRET).unwrap()).unwrap();
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).unwrap();
    let bare = keys::certificate(&key, keys::Named::Key).unwrap();
    let names = |named: &[keys::Named]| {
        let mut roots = RootCertStore::empty();
        named.iter().for_each(|named| roots.add(keys::certificate(&key, *named).unwrap()).unwrap());
        roots.subjects()
    };
    use keys::Named::{Key, SignedBy};
    for (named, is_own) in [(vec![], false), (vec![Key], false), (vec![SignedBy, Key], true)] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let earlier = Arc::new(Earlier {
            named: names(&named),
            shown: std::sync::Mutex::default(),
            provider: Arc::clone(&provider),
        });
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::clone(&earlier) as _)
            .with_single_cert(vec![bare.clone()], PrivateKeyDer::Pkcs8(der.clone_key()))
            .unwrap();
        let (accepted, connected) = ends().await;
        let node = door(SECRET);
        let again = std::future::pending();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (admitted, entered) = tokio::join!(acceptor.accept(accepted), node.enter(connected, again, None));
        assert!(admitted.is_ok() && entered.is_ok(), "{:?} {:?}", admitted.err(), entered.err());
        let shown = earlier.shown.lock().unwrap().clone();
        assert_eq!(shown == bare.to_vec(), !is_own, "{}", named.len());
    }
}
