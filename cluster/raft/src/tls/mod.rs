//! Who may speak on the cluster port: nodes with the secret of the cluster. Both sides of each connection prove that they have it, and a key
//! of their own, by a certificate that the secret has signed. What they say is encrypted.

pub(crate) mod enroll;
#[cfg(test)]
mod fuzz_tests;
pub mod join_token;
pub(crate) mod kept;
mod keys;
pub(crate) mod node_key;
pub(crate) mod secret;
pub(crate) mod signing;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::either::Either;

use crate::errors::StartError;
use crate::options::{Options, Plain};
use enroll::Tokens;
use join_token::JoinToken;
use keys::Keys;
pub(crate) use keys::Shown;
use node_key::{NodeKey, OwnKey};
use secret::ClusterSecret;
use signing::Signing;

/// A handshake is a round trip and a millisecond of each side.
const HANDSHAKE_WITHIN: Duration = Duration::from_millis(1_000);
/// First byte of each TLS connection (RFC 8446, section 5.1). One without TLS begins with `P`, of `PRI` (RFC 9113, section 3.4).
const HANDSHAKE: u8 = 0x16;

/// A connection: encrypted, or plain where that is allowed.
pub(crate) type Stream = Either<TlsStream<TcpStream>, TcpStream>;

/// Makes connections safe, on both sides.
#[derive(Clone)]
pub(crate) struct Door {
    accepts: TlsAcceptor,
    connects: TlsConnector,
    keys: Arc<Keys>,
    own: NodeKey,
    /// The newest secret, for nodes that join with a token.
    secret: ClusterSecret,
    /// By what callers of the API are known again.
    signing: Signing,
    /// Whether connections without TLS are taken and made.
    plain: Arc<AtomicBool>,
}

impl Door {
    /// The door of a node with these settings and this key. `has_others`: there are others to speak to, whatever its settings say of them; asked of a
    /// node without a secret alone. `tokens`: with which nodes may ask for the secret. Blocks.
    ///
    /// # Errors
    /// [`StartError::Config`] when it has no secret, [`StartError::Internal`] when the key cannot be made.
    pub fn of(
        options: &Options,
        own: &OwnKey,
        has_others: impl FnOnce() -> Result<bool, StartError>,
        tokens: Arc<dyn Tokens>,
    ) -> Result<Self, StartError> {
        let secret = kept::secret(options, has_others)?;
        Self::made(own, &secret, options.secret_before.as_ref(), options.plain, tokens).map_err(|error| {
            StartError::Internal(format!(
                "the key of the cluster port cannot be made from its secret: {error}"
            ))
        })
    }

    fn made(
        own: &OwnKey,
        secret: &ClusterSecret,
        before: Option<&ClusterSecret>,
        plain: Plain,
        tokens: Arc<dyn Tokens>,
    ) -> Result<Self, Box<dyn Error>> {
        let secrets: Vec<_> = [secret].into_iter().chain(before).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let keys = Arc::new(Keys::of(own, &secrets, Arc::clone(&provider), tokens)?);
        let mut accepts = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::clone(&keys) as _)
            .with_cert_resolver(Arc::clone(&keys) as _);
        let mut connects = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&keys) as _)
            .with_client_cert_resolver(Arc::clone(&keys) as _);
        // Connections are few and long. A resumed one would not prove again that its key still counts.
        accepts.send_tls13_tickets = 0;
        connects.resumption = Resumption::disabled();
        for protocols in [&mut accepts.alpn_protocols, &mut connects.alpn_protocols] {
            *protocols = vec![b"h2".to_vec()];
        }
        let signing = Signing::of(secret, before)?;
        let own = own.public().ok_or("its own key has no public half")?;
        let (accepts, connects) = (Arc::new(accepts).into(), Arc::new(connects).into());
        let plain = Arc::new(AtomicBool::new(plain == Plain::Accepted));
        Ok(Self { accepts, connects, keys, own, secret: secret.clone(), signing, plain })
    }

    /// The key that this node shows.
    pub fn own(&self) -> NodeKey {
        self.own
    }

    /// The secret, for a node that has a join token.
    pub fn secret(&self) -> &ClusterSecret {
        &self.secret
    }

    /// Signs what callers of the API show again.
    pub fn signing(&self) -> &Signing {
        &self.signing
    }

    /// Fingerprints of the keys of its secrets, the newest first: 16 hexadecimal digits each.
    pub fn secrets(&self) -> Vec<String> {
        self.keys.secrets()
    }

    /// A new join token, by which this node is known as a member.
    ///
    /// # Errors
    /// [`StartError::Internal`] when this host gives no random numbers.
    pub fn new_token(&self) -> Result<JoinToken, StartError> {
        let name =
            self.keys.newest().ok_or_else(|| StartError::Internal("this node has no secret".to_owned()))?;
        JoinToken::new(name)
    }

    fn takes_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    /// From now on nothing is said without TLS; returns whether it was before.
    pub fn end_plain(&self) -> bool {
        self.plain.swap(false, Ordering::Relaxed)
    }

    /// Lets a caller in who has the secret, or a join token, and says what it has shown.
    ///
    /// # Errors
    /// A [`Unauthenticated`], with the kind of what happened.
    pub async fn admit(&self, caller: TcpStream) -> io::Result<(Stream, Shown)> {
        let admitted = within(async {
            let mut first = [0];
            if self.takes_plain() && caller.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                return Ok((Either::Right(caller), Shown::Nothing));
            }
            let stream = TlsStream::from(self.accepts.accept(caller).await?);
            let shown = proved(&stream, |certificate| self.keys.check_caller(certificate))?;
            Ok((Either::Left(stream), shown))
        });
        admitted.await.map_err(explained)
    }

    /// Shows the node at the other end that this one has the secret, if it has it, too, and the key that the cluster knows of it, if any.
    /// `again` connects once more, for a node that speaks without TLS.
    ///
    /// # Errors
    /// A [`Unauthenticated`], with the kind of what happened.
    pub async fn enter(
        &self,
        node: TcpStream,
        again: impl Future<Output = io::Result<TcpStream>>,
        known: Option<NodeKey>,
    ) -> io::Result<Stream> {
        // Nodes have no names in certificates.
        let name = ServerName::from(node.peer_addr()?.ip());
        let entered = within(async { Ok(TlsStream::from(self.connects.connect(name, node).await?)) }).await;
        let other = || io::Error::other(Unauthenticated::OtherKey);
        match entered {
            Ok(stream) => {
                let shown = proved(&stream, |certificate| self.keys.check(certificate))?;
                match known.is_none_or(|known| shown == Shown::Node(known)) {
                    true => Ok(Either::Left(stream)),
                    false => Err(other()),
                }
            }
            Err(error) if self.takes_plain() && is_plain(&error) => match known {
                None => again.await.map(Either::Right),
                Some(_) => Err(other()),
            },
            Err(error) => Err(explained(error)),
        }
    }
}

/// Who is at the other end of a connection, if not a node that has proved to be one of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unauthenticated {
    /// A node of another cluster, or one whose secret was changed.
    #[error("it has another ACEFLEET_CLUSTER_SECRET than this node")]
    OtherSecret,
    /// Another node with the secret of the cluster.
    #[error("it has another key than the cluster knows of this node")]
    OtherKey,
    /// A program that tries.
    #[error("it shows no certificate, so it is no node of this cluster")]
    NoCertificate,
    /// Another program, or a node of an earlier version.
    #[error("it speaks without TLS: it is no node, or one of an earlier version")]
    NoTls,
    /// Anybody: a node that is busy, too.
    #[error("it has taken the connection, and did not complete the handshake")]
    NoHandshake,
}

impl Unauthenticated {
    /// Who made this handshake fail.
    fn of_handshake(error: &io::Error) -> Self {
        match tls_error(error) {
            Some(
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
                | rustls::Error::AlertReceived(AlertDescription::UnknownCA),
            ) => Self::OtherSecret,
            Some(rustls::Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Self::NoTls,
            _ => Self::NoHandshake,
        }
    }

    /// Who is the cause of an error of [`Door::admit`] or [`Door::enter`].
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// What the other side of a connection has proved.
fn proved(
    stream: &TlsStream<TcpStream>,
    check: impl FnOnce(&CertificateDer<'_>) -> Result<Shown, rustls::Error>,
) -> io::Result<Shown> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = certificates.first().ok_or(rustls::Error::NoCertificatesPresented);
    certificate.and_then(check).map_err(io::Error::other)
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
        Some(_) => Unauthenticated::of_handshake(error) == Unauthenticated::NoTls,
        None => matches!(error.kind(), ConnectionAborted | ConnectionReset | UnexpectedEof),
    }
}

/// With words that say what people can do about it.
fn explained(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Unauthenticated::of_handshake(&error))
}
