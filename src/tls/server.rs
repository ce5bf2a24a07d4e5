//! What a node says in handshakes.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::{Keeper, Pair};
use crate::config::TlsPlain;

/// HTTP/2, as clients name it in a handshake.
pub const PROTOCOL_H2: &[u8] = b"h2";
const PROTOCOL_HTTP1: &[u8] = b"http/1.1";

/// TLS of the API of this node. Clones share it.
#[derive(Clone)]
pub struct Tls {
    /// Makes handshakes.
    pub acceptor: TlsAcceptor,
    /// The certificate in use.
    pub keeper: Arc<Keeper>,
    /// What callers from other hosts get without it.
    pub plain: TlsPlain,
    /// Whether callers on this host are answered without it. Not in tests, all of whose callers are here.
    pub trusts_own_host: bool,
}

impl Tls {
    /// TLS 1.3, and 1.2 for older clients; HTTP/2 is offered before HTTP/1.1. Anybody is a client: who may do what, keys say.
    ///
    /// # Errors
    /// None in this version of the library.
    pub fn new(pair: Pair, plain: TlsPlain) -> Result<Self, Error> {
        let keeper = Keeper::new(pair);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&keeper) as _);
        config.alpn_protocols = vec![PROTOCOL_H2.to_vec(), PROTOCOL_HTTP1.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), keeper, plain, trusts_own_host: true })
    }
}
