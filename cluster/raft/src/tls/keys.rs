//! The keys that a node derives from its secrets. It shows a certificate of one of them and takes certificates of these keys alone, whatever
//! they say. Each side names the keys that it takes, so nodes meet while their secret is changed.

use std::error::Error as StdError;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName as CertificateName, DnType, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::secret::ClusterSecret;

/// DER of a private Ed25519 key (RFC 8410) up to its seed.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Bytes of the hash of a public key by which both sides name it.
const NAME_BYTES: usize = 16;

/// One key.
#[derive(Debug)]
struct Shared {
    /// DER of the public key.
    public: Vec<u8>,
    shown: Arc<CertifiedKey>,
}

/// The keys of a node, that of its newest secret first.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Shared>,
    /// Names of the keys, in the same order.
    names: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// PKCS #8 of the private key that this secret gives.
pub(super) fn private_key(
    secret: &ClusterSecret,
) -> Result<PrivatePkcs8KeyDer<'static>, ring::error::Unspecified> {
    let seed = secret.seed()?;
    let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_ED25519.len() + seed.len()));
    der.extend_from_slice(&PKCS8_ED25519);
    der.extend_from_slice(&*seed);
    Ok(PrivatePkcs8KeyDer::from(der.to_vec()))
}

/// A certificate of this key, which names it and says nothing else that counts.
pub(super) fn certificate(key: &KeyPair) -> Result<CertificateDer<'static>, rcgen::Error> {
    let hash = Sha256::digest(key.public_key_raw());
    let name: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = CertificateName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params.self_signed(key)?.der().clone())
}

impl Keys {
    /// The keys of these secrets.
    ///
    /// # Errors
    /// When a library does not do what it is for.
    pub fn of(secrets: &[&ClusterSecret], provider: &Arc<CryptoProvider>) -> Result<Self, Box<dyn StdError>> {
        let (mut keys, mut roots) = (Vec::new(), RootCertStore::empty());
        for secret in secrets {
            let der = private_key(secret).map_err(|_| "no seed can be derived")?;
            let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)?;
            let certificate = certificate(&key)?;
            roots.add(certificate.clone())?;
            let public = key_of(&certificate)?;
            let shown = CertifiedKey::from_der(vec![certificate], PrivateKeyDer::Pkcs8(der), provider)?;
            keys.push(Shared { public, shown: Arc::new(shown) });
        }
        Ok(Self { keys, names: roots.subjects(), algorithms: provider.signature_verification_algorithms })
    }

    /// The certificate that the other side takes, if it named one of these; else the newest, which it will refuse.
    fn shown_to(&self, takes: impl Fn(&[u8]) -> bool) -> Option<Arc<CertifiedKey>> {
        let taken = self.names.iter().position(|name| takes(name.as_ref())).unwrap_or(0);
        self.keys.get(taken).map(|key| Arc::clone(&key.shown))
    }

    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let shown = key_of(certificate)?;
        match self.keys.iter().any(|key| key.public == shown) {
            true => Ok(()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Error> {
    Ok(ParsedCertificate::try_from(certificate)?.subject_public_key_info().to_vec())
}

fn no_tls12<T>() -> Result<T, Error> {
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
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
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
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
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
