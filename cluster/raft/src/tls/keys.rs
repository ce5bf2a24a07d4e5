//! The keys that a node derives from its secrets. Each signs a certificate of the node's own key, and a node takes certificates alone that one
//! of its secrets has signed, whatever else they say. Each side names what it takes, so nodes meet while their secret is changed, and while
//! some of them know no keys of nodes yet: those take the key of the secret itself.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use acefleet_registry::join_token::PublicKey;
use rcgen::{CertificateParams, DistinguishedName as CertificateName, DnType, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use zeroize::Zeroizing;

use super::enroll::{Tokens, name_of};
use super::node_key::{NodeKey, OwnKey};
use super::secret::ClusterSecret;

/// DER of a private Ed25519 key (RFC 8410) up to its seed.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// At this time all certificates of nodes are valid (RFC 5280, section 4.1.2.5): they do not end, and no clock is asked.
const ANY_TIME: Duration = Duration::from_secs(1_700_000_000);

/// What the other side of a connection has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// That it has the secret, and this key of its own.
    Node(NodeKey),
    /// That it has the secret: a version without keys of nodes.
    Secret,
    /// That it has this join token, and nothing else of the cluster.
    Token(PublicKey),
    /// Nothing: it speaks without TLS, where that is allowed.
    Nothing,
}

/// What one secret gives.
#[derive(Debug)]
struct Shared {
    /// DER of the public key.
    public: Vec<u8>,
    /// A certificate of the node's own key, signed by this one.
    own: Arc<CertifiedKey>,
    /// A certificate of this key itself.
    bare: Arc<CertifiedKey>,
}

/// The keys of a node, that of its newest secret first.
pub(super) struct Keys {
    keys: Vec<Shared>,
    roots: RootCertStore,
    /// Names of what this node takes, two for each key: certificates that it has signed, and those of itself.
    names: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
    /// Who may ask for the secret.
    tokens: Arc<dyn Tokens>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// PKCS #8 of the private key that this secret gives.
pub(super) fn private_key(
    secret: &ClusterSecret,
) -> Result<PrivatePkcs8KeyDer<'static>, ring::error::Unspecified> {
    Ok(pkcs8(&*secret.seed()?))
}

/// PKCS #8 of the private key of this seed.
pub(super) fn pkcs8(seed: &[u8; 32]) -> PrivatePkcs8KeyDer<'static> {
    let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_ED25519.len() + seed.len()));
    der.extend_from_slice(&PKCS8_ED25519);
    der.extend_from_slice(seed);
    PrivatePkcs8KeyDer::from(der.to_vec())
}

/// What a certificate is called that concerns a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// The key itself.
    Key,
    /// Another key, which this one has signed.
    SignedBy,
}

fn params(key: &KeyPair, named: Named) -> CertificateParams {
    let name: String = name_of(key.public_key_raw()).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = CertificateName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if named == Named::SignedBy {
        params.distinguished_name.push(DnType::OrganizationalUnitName, "node");
    }
    params
}

/// A certificate of this key, which names it and says nothing else that counts.
pub(super) fn certificate(key: &KeyPair, named: Named) -> Result<CertificateDer<'static>, rcgen::Error> {
    Ok(params(key, named).self_signed(key)?.der().clone())
}

/// A certificate of the key of a node, signed by the key of a secret.
pub(super) fn signed(own: &KeyPair, by: &KeyPair) -> Result<CertificateDer<'static>, rcgen::Error> {
    let issuer = Issuer::new(params(by, Named::Key), by);
    Ok(params(own, Named::Key).signed_by(own, &issuer)?.der().clone())
}

pub(super) fn key_pair(der: &PrivatePkcs8KeyDer<'_>) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_pkcs8_der_and_sign_algo(der, &rcgen::PKCS_ED25519)
}

impl Keys {
    /// What a node with this key and these secrets shows and takes.
    ///
    /// # Errors
    /// When a library does not do what it is for.
    pub fn of(
        own: &OwnKey,
        secrets: &[&ClusterSecret],
        provider: Arc<CryptoProvider>,
        tokens: Arc<dyn Tokens>,
    ) -> Result<Self, Box<dyn StdError>> {
        let own_der = || PrivatePkcs8KeyDer::from(own.0.to_vec());
        let own = key_pair(&own_der())?;
        let shown = |certificate, der| {
            let key = CertifiedKey::from_der(vec![certificate], PrivateKeyDer::Pkcs8(der), &provider);
            key.map(Arc::new)
        };
        let (mut keys, mut roots, mut named) = (Vec::new(), RootCertStore::empty(), RootCertStore::empty());
        for secret in secrets {
            let der = private_key(secret).map_err(|_| "no seed can be derived")?;
            let key = key_pair(&der)?;
            let certificate = certificate(&key, Named::Key)?;
            named.add(self::certificate(&key, Named::SignedBy)?)?;
            named.add(certificate.clone())?;
            roots.add(certificate.clone())?;
            keys.push(Shared {
                public: key_of(&certificate)?,
                own: shown(signed(&own, &key)?, own_der())?,
                bare: shown(certificate, der)?,
            });
        }
        Ok(Self { keys, roots, names: named.subjects(), provider, tokens })
    }

    /// The certificate that the other side takes, by what it names. One that names nothing of this takes the newest secret, or nothing.
    fn shown_to(&self, takes: impl Fn(&[u8]) -> bool) -> Option<Arc<CertifiedKey>> {
        let named = self.names.iter().position(|name| takes(name.as_ref()));
        match named {
            Some(name) if name % 2 == 0 => self.keys.get(name / 2).map(|key| Arc::clone(&key.own)),
            name => self.keys.get(name.unwrap_or(0) / 2).map(|key| Arc::clone(&key.bare)),
        }
    }

    /// Fingerprints of the keys of its secrets, the newest first.
    pub fn secrets(&self) -> Vec<String> {
        let keys = self.keys.iter().filter_map(|key| NodeKey::of_der(&key.public));
        keys.map(|key| key.to_string()).collect()
    }

    /// The name of the key of its newest secret.
    pub fn newest(&self) -> Option<[u8; super::join_token::NAME_BYTES]> {
        let key = self.keys.first().and_then(|key| NodeKey::of_der(&key.public))?;
        Some(name_of(key.bytes()))
    }

    /// The same of a caller, who may also have a join token.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn check_caller(&self, certificate: &CertificateDer<'_>) -> Result<Shown, Error> {
        let token = NodeKey::of_der(&key_of(certificate)?).map(|key| key.public());
        match token.filter(|token| self.tokens.knows(token)) {
            Some(token) => Ok(Shown::Token(token)),
            None => self.check(certificate),
        }
    }

    /// What a certificate shows that was taken.
    ///
    /// # Errors
    /// [`CertificateError::UnknownIssuer`] for one that no secret of this node has signed.
    pub fn check(&self, certificate: &CertificateDer<'_>) -> Result<Shown, Error> {
        let der = key_of(certificate)?;
        if self.keys.iter().any(|key| key.public == der) {
            return Ok(Shown::Secret);
        }
        let unknown = || Error::from(CertificateError::UnknownIssuer);
        let key = NodeKey::of_der(&der).ok_or_else(unknown)?;
        let certificate = ParsedCertificate::try_from(certificate)?;
        let (any_time, algorithms) =
            (UnixTime::since_unix_epoch(ANY_TIME), self.provider.signature_verification_algorithms.all);
        // Its name is of no account: the same is asked of both sides.
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, &[], any_time, algorithms)
            .map_err(|_| unknown())?;
        Ok(Shown::Node(key))
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
}

pub(super) fn key_of(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Error> {
    Ok(ParsedCertificate::try_from(certificate)?.subject_public_key_info().to_vec())
}

pub(super) fn no_tls12<T>() -> Result<T, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let taken = hello.certificate_authorities().unwrap_or_default();
        self.shown_to(|name| taken.iter().any(|one| one.as_ref() == name))
    }
}

impl ResolvesClientCert for Keys {
    fn resolve(&self, taken: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.shown_to(|name| taken.contains(&name))
    }

    fn has_certs(&self) -> bool {
        !self.keys.is_empty()
    }
}

impl ServerCertVerifier for Keys {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.names)
    }
}

impl ClientCertVerifier for Keys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check_caller(end_entity).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::join_token::JoinToken;

    struct All;

    impl Tokens for All {
        fn knows(&self, _token: &PublicKey) -> bool {
            true
        }
    }

    #[test]
    fn who_answers_with_the_key_of_a_token_is_no_node() {
        let secret = ClusterSecret::parse(crate::testing::SECRET).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = OwnKey::any().unwrap();
        let keys = Keys::of(&own, &[&secret], provider, Arc::new(All)).unwrap();
        let token = JoinToken::new(keys.newest().unwrap()).unwrap();
        let key = key_pair(&pkcs8(&token.key_seed().unwrap())).unwrap();
        let shown = certificate(&key, Named::Key).unwrap();
        assert_eq!(keys.check_caller(&shown), Ok(Shown::Token(token.public().unwrap())));
        assert_eq!(keys.check(&shown), Err(CertificateError::UnknownIssuer.into()));
    }
}
