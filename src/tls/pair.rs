//! A certificate with its key, as two PEM files have them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest, Sha256};
use x509_parser::parse_x509_certificate;

use crate::config::TlsFiles;
use crate::config::sources::read_file;

/// Which of the two files is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate and its chain.
    Certificate,
    /// The private key.
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "ACEFLEET_TLS_CERT",
            Self::Key => "ACEFLEET_TLS_KEY",
        })
    }
}

/// What a file has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A certificate.
    Certificate,
    /// A private key.
    Key,
    /// A private key that nobody has to open with a passphrase.
    OpenKey,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => {
                "the file has no certificate in PEM form (-----BEGIN CERTIFICATE-----): convert it with `openssl x509 -inform der`"
            }
            Self::Key => {
                "the file has no private key in PEM form (-----BEGIN PRIVATE KEY-----): convert it with `openssl pkey -inform der`"
            }
            Self::OpenKey => {
                "the key has a passphrase, which nobody could enter: remove it with `openssl pkey -in FILE -out NEW`"
            }
        })
    }
}

/// Why two files give no pair. The operator has to change a file; then the next attempt succeeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// A file cannot be read.
    #[error("{part}={path}: the file {why}: name a file that the user of the node can read")]
    Unreadable {
        /// Which.
        part: Part,
        /// Its name.
        path: String,
        /// What stands behind the word "file".
        why: String,
    },
    /// A file has nothing of what belongs into it, or something that is no PEM.
    #[error("{part}={path}: {lack}")]
    NotPem {
        /// Which.
        part: Part,
        /// Its name.
        path: String,
        /// What is missing.
        lack: Lack,
    },
    /// The first certificate cannot be understood.
    #[error("ACEFLEET_TLS_CERT={path}: the first certificate is damaged ({why}): have it issued again")]
    BadCertificate {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// No handshake can be made with this key.
    #[error(
        "ACEFLEET_TLS_KEY={path}: the key cannot be used ({why}): use an RSA key of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519"
    )]
    BadKey {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The key is that of another certificate.
    #[error(
        "ACEFLEET_TLS_KEY={key} is not the key of the first certificate in ACEFLEET_TLS_CERT={cert}: name the key with which it was \
         requested; the certificate of the node stands first, those of its authorities behind it"
    )]
    Mismatch {
        /// The file of the certificate.
        cert: String,
        /// That of the key.
        key: String,
    },
}

/// What two files hold, before it is understood.
pub struct Contents {
    files: TlsFiles,
    cert: Result<String, String>,
    key: Result<String, String>,
}

impl Contents {
    /// Reads both files. Blocks.
    #[must_use]
    pub fn read(files: &TlsFiles) -> Self {
        let read = |path: &Path| read_file(path)?.ok_or_else(|| "does not exist".to_owned());
        Self { files: files.clone(), cert: read(&files.cert), key: read(&files.key) }
    }

    /// The same for the same contents.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for part in [&self.cert, &self.key] {
            let (is_read, text) = match part {
                Ok(text) => (1u8, text),
                Err(why) => (0, why),
            };
            all.update([is_read]);
            all.update(text.len().to_le_bytes());
            all.update(text);
        }
        all.finalize().into()
    }

    /// The pair in them.
    ///
    /// # Errors
    /// See [`PairError`].
    pub fn pair(&self) -> Result<Pair, PairError> {
        let [cert, key] = [&self.files.cert, &self.files.key].map(|path| path.display().to_string());
        let text = text_of(Part::Certificate, &cert, &self.cert)?;
        let no_cert =
            || PairError::NotPem { part: Part::Certificate, path: cert.clone(), lack: Lack::Certificate };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| no_cert())?;
        let first = chain.first().ok_or_else(no_cert)?;
        let damaged = |why: String| PairError::BadCertificate { path: cert.clone(), why };
        let (_, parsed) = parse_x509_certificate(first).map_err(|error| damaged(error.to_string()))?;
        let (from, until) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        let of_authority = parsed.is_ca();
        let text = text_of(Part::Key, &key, &self.key)?;
        let lack = if text.contains("ENCRYPTED") { Lack::OpenKey } else { Lack::Key };
        let no_key = |_| PairError::NotPem { part: Part::Key, path: key.clone(), lack };
        let private = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(no_key)?;
        let provider = default_provider();
        // The key is tried first: what is wrong with it must not be taken for a fault of the certificate.
        provider
            .key_provider
            .load_private_key(private.clone_key())
            .map_err(|error| PairError::BadKey { path: key.clone(), why: error.to_string() })?;
        let certified = CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                PairError::Mismatch { cert: cert.clone(), key: key.clone() }
            }
            other => damaged(other.to_string()),
        })?;
        Ok(Pair { certified: Arc::new(certified), from, until, of_authority })
    }
}

fn text_of<'a>(part: Part, path: &str, read: &'a Result<String, String>) -> Result<&'a str, PairError> {
    read.as_deref().map_err(|why| PairError::Unreadable { part, path: path.to_owned(), why: why.clone() })
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// Seconds since 1970 from which on it counts.
    pub from: i64,
    /// Seconds since 1970 until which it counts.
    pub until: i64,
    /// It says that it is that of an authority.
    pub of_authority: bool,
}

impl Pair {
    /// Reads and checks it. Blocks.
    ///
    /// # Errors
    /// See [`PairError`].
    pub fn read(files: &TlsFiles) -> Result<Self, PairError> {
        Contents::read(files).pair()
    }

    /// Whether clients that call this host by this name or address take the certificate for that of the host. `true` for what is no name.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let Ok(name) = ServerName::try_from(host.to_owned()) else { return true };
        let Some(first) = self.certified.cert.first() else { return false };
        ParsedCertificate::try_from(first)
            .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, &name).is_ok())
    }
}
