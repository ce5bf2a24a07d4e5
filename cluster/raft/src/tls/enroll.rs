//! How a node with a join token enters: it proves the key of the token, and the member proves the key of the secret that the token names.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use acefleet_registry::join_token::PublicKey;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::join_token::JoinToken;
use super::keys::{Named, certificate, key_of, key_pair, no_tls12, pkcs8};
use super::node_key::{NodeKey, OwnKey};
use super::{explained, within};

/// What a node signs with its own key, so that nobody else comes again in its place.
const PROOF: &[u8] = b"acefleet enroll v1\0";

/// Which join tokens the cluster has.
pub(crate) trait Tokens: Send + Sync {
    /// Whether one has this public key, be it ended or used up: the answer to who uses it says so.
    fn knows(&self, token: &PublicKey) -> bool;
}

/// None: for programs that let nobody in.
pub(crate) struct NoTokens;

impl Tokens for NoTokens {
    fn knows(&self, _token: &PublicKey) -> bool {
        false
    }
}

/// Makes connections with a token.
#[derive(Clone)]
pub(crate) struct Entry(TlsConnector);

impl Entry {
    /// With this token.
    ///
    /// # Errors
    /// When a library does not do what it is for.
    pub fn with(token: &JoinToken) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let der = pkcs8(&*token.key_seed().map_err(|_| "no seed can be derived")?);
        let own = certificate(&key_pair(&der)?, Named::Key)?;
        let member = Arc::new(Member { name: token.member, provider: Arc::clone(&provider) });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(member)
            .with_client_auth_cert(vec![own], PrivateKeyDer::Pkcs8(der))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config).into()))
    }

    /// Proves to the member at the other end to have the token, if it is one.
    ///
    /// # Errors
    /// A [`super::Unauthenticated`], with the kind of what happened.
    pub async fn enter(&self, member: TcpStream) -> io::Result<BufReader<TlsStream<TcpStream>>> {
        let name = ServerName::from(member.peer_addr()?.ip());
        let entered = within(async {
            let mut stream = BufReader::new(self.0.connect(name, member).await?);
            // A server speaks first in HTTP/2. One that does not know the token says that here, after the handshake of this side.
            match stream.fill_buf().await? {
                [] => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(stream),
            }
        });
        entered.await.map_err(explained)
    }
}

/// Takes the key of this name alone. A member shows that of its secret to who names none.
#[derive(Debug)]
struct Member {
    name: [u8; super::join_token::NAME_BYTES],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Member {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = NodeKey::of_der(&key_of(end_entity)?);
        match key.is_some_and(|key| name_of(key.bytes()) == self.name) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
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
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// What a token calls a public key of 32 bytes.
pub(super) fn name_of(key: &[u8]) -> [u8; super::join_token::NAME_BYTES] {
    let mut name = [0; super::join_token::NAME_BYTES];
    name.iter_mut().zip(Sha256::digest(key)).for_each(|(to, byte)| *to = byte);
    name
}

fn proved(token: &PublicKey, node: &[u8]) -> Vec<u8> {
    [PROOF, &token.0, node].concat()
}

impl OwnKey {
    /// Says that the node with this key uses a token: its public half, and the signature. None for a key that cannot sign, of which there is none.
    pub fn prove(&self, token: &PublicKey) -> Option<(NodeKey, Vec<u8>)> {
        let (pair, key) = (Ed25519KeyPair::from_pkcs8(&self.0).ok()?, self.public()?);
        Some((key, pair.sign(&proved(token, key.bytes())).as_ref().to_vec()))
    }
}

/// The key of a node that has said so, for the registry.
pub(crate) fn prover(token: &PublicKey, node: &[u8], signature: &[u8]) -> Option<PublicKey> {
    let key = PublicKey(node.try_into().ok()?);
    UnparsedPublicKey::new(&ED25519, node).verify(&proved(token, node), signature).ok().map(|()| key)
}
