//! Who may speak on the cluster port: nodes with the secret of the cluster. Both sides of each connection prove that they have it, by a key
//! that is derived from it, and what they say is encrypted.

pub(crate) mod kept;
mod same_key;
pub(crate) mod secret;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::either::Either;

use crate::errors::StartError;
use crate::options::{Options, Plain};
use same_key::SameKey;
use secret::ClusterSecret;

/// A handshake is a round trip and a millisecond of each side.
const HANDSHAKE_WITHIN: Duration = Duration::from_millis(1_000);
/// What certificates are made for. It names no node.
const NAME: &str = "acefleet.cluster";
/// DER of a private Ed25519 key (RFC 8410) up to its seed.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// First byte of each TLS connection (RFC 8446, section 5.1). One without TLS begins with `P`, of `PRI` (RFC 9113, section 3.4).
const HANDSHAKE: u8 = 0x16;

/// A connection: encrypted, or plain where that is allowed.
pub(crate) type Stream = Either<TlsStream<TcpStream>, TcpStream>;

/// Makes connections safe, on both sides.
#[derive(Clone)]
pub(crate) struct Door {
    accepts: TlsAcceptor,
    connects: TlsConnector,
    plain: Plain,
}

impl Door {
    /// The door of a node with these settings. `has_others`: there are others to speak to, whatever its settings say of them; asked of a
    /// node without a secret alone. Blocks.
    ///
    /// # Errors
    /// [`StartError::Config`] when it has no secret, [`StartError::Internal`] when the key cannot be made.
    pub fn of(
        options: &Options,
        has_others: impl FnOnce() -> Result<bool, StartError>,
    ) -> Result<Self, StartError> {
        let secret = kept::secret(options, has_others)?;
        Self::made(&secret, options.plain).map_err(|error| {
            StartError::Internal(format!(
                "the key of the cluster port cannot be made from its secret: {error}"
            ))
        })
    }

    fn made(secret: &ClusterSecret, plain: Plain) -> Result<Self, Box<dyn Error>> {
        let seed = secret.seed().map_err(|_| "no seed can be derived")?;
        let der = PrivatePkcs8KeyDer::from([&PKCS8_ED25519[..], &*seed].concat());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519)?;
        let certificate = CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let same = Arc::new(SameKey::of(&certificate, &provider)?);
        let key = PrivateKeyDer::Pkcs8(der);
        let mut accepts = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::clone(&same) as _)
            .with_single_cert(vec![certificate.clone()], key.clone_key())?;
        let mut connects = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(same)
            .with_client_auth_cert(vec![certificate], key)?;
        for protocols in [&mut accepts.alpn_protocols, &mut connects.alpn_protocols] {
            *protocols = vec![b"h2".to_vec()];
        }
        Ok(Self { accepts: Arc::new(accepts).into(), connects: Arc::new(connects).into(), plain })
    }

    /// Lets a caller in who has the secret.
    ///
    /// # Errors
    /// Why not; a [`Stranger`] inside when it is none of this cluster.
    pub async fn admit(&self, caller: TcpStream) -> io::Result<Stream> {
        let admitted = within(async {
            let mut first = [0];
            if self.plain == Plain::Accepted && caller.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                return Ok(Either::Right(caller));
            }
            Ok(Either::Left(self.accepts.accept(caller).await?.into()))
        });
        admitted.await.map_err(explained)
    }

    /// Shows the node at the other end that this one has the secret, if it has it, too. `again` connects once more, for a node that
    /// speaks without TLS.
    ///
    /// # Errors
    /// Why not; a [`Stranger`] inside when it is none of this cluster.
    pub async fn enter(
        &self,
        node: TcpStream,
        again: impl Future<Output = io::Result<TcpStream>>,
    ) -> io::Result<Stream> {
        // Sessions are kept by name, and resumed where they were begun.
        let name = ServerName::from(node.peer_addr()?.ip());
        match within(async { Ok(self.connects.connect(name, node).await?.into()) }).await {
            Ok(stream) => Ok(Either::Left(stream)),
            Err(error) if self.plain == Plain::Accepted && is_plain(&error) => again.await.map(Either::Right),
            Err(error) => Err(explained(error)),
        }
    }
}

/// Who is at the other end, if not a node of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stranger {
    /// A node of another cluster, or one whose secret was changed.
    #[error("it has another ACEFLEET_CLUSTER_SECRET than this node")]
    OtherSecret,
    /// A program that tries.
    #[error("it shows no certificate, so it is no node of this cluster")]
    NoCertificate,
    /// Another program, or a node of an earlier version.
    #[error("it speaks without TLS: it is no node, or one of an earlier version")]
    NoTls,
}

impl Stranger {
    /// Who made this handshake fail.
    fn of_handshake(error: &io::Error) -> Option<Self> {
        match tls_error(error)? {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
            | rustls::Error::AlertReceived(AlertDescription::UnknownCA) => Some(Self::OtherSecret),
            rustls::Error::NoCertificatesPresented => Some(Self::NoCertificate),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::NoTls),
            _ => None,
        }
    }

    /// Who is the cause of an error of [`Door::admit`] or [`Door::enter`].
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

async fn within<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time");
    tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await.map_err(late)?
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the other end took the first message of TLS for something else.
fn is_plain(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    match tls_error(error) {
        Some(_) => Stranger::of_handshake(error) == Some(Stranger::NoTls),
        None => matches!(error.kind(), ConnectionAborted | ConnectionReset | UnexpectedEof),
    }
}

/// With words that say what people can do about it.
fn explained(error: io::Error) -> io::Error {
    match Stranger::of_handshake(&error) {
        Some(stranger) => io::Error::new(error.kind(), stranger),
        None => error,
    }
}
