//! Certificates that listeners show: read from their files at the start, and again at each reload.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::live::Cell;
use super::load::{Stamp, stamp};
use crate::config::{KeyPair, Listen};
use crate::diagnostic::{Code, Diagnostic, Severity};

const UNREADABLE: Code = Code("SI0015");
const UNUSABLE: Code = Code("SI0016");

/// Bytes of a PEM file. A chain of ten has some 20 KiB.
const LIMIT: u64 = 1 << 20;

/// What one listener shows. Handshakes that have begun keep what they were shown.
#[derive(Debug)]
pub struct Certificate {
    /// The listener's address, as the config has it.
    listener: String,
    files: KeyPair,
    shown: Cell<Shown>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    /// Of the files as they were before they were read the last time, the certificate's first.
    stamps: [Stamp; 2],
}

/// The certificate of each listener; none where it has no TLS.
///
/// # Errors
///
/// What is wrong with any of them.
pub fn read(listeners: &[Listen]) -> Result<Vec<Option<Arc<Certificate>>>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut certificates = Vec::new();
    for listen in listeners {
        match listen.tls.as_ref().map(|files| Certificate::read(listen, files)).transpose() {
            Ok(certificate) => certificates.push(certificate.map(Arc::new)),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(certificates) } else { Err(problems) }
}

impl Certificate {
    fn read(listen: &Listen, files: &KeyPair) -> Result<Self, Box<Diagnostic>> {
        let listener = listen.address.to_string();
        let stamps = stamps(files);
        let key = Arc::new(certified(&listener, files)?);
        let shown = Cell::new(Shown { key, stamps });
        Ok(Certificate { listener, files: files.clone(), shown })
    }

    /// Shows what the files have now. What is wrong with them changes nothing.
    pub fn reread(&self) -> Result<(), Box<Diagnostic>> {
        let before = self.shown.current().key.clone();
        let stamps = stamps(&self.files);
        let read = certified(&self.listener, &self.files).map(Arc::new);
        if read.as_ref().is_ok_and(|key| key.cert != before.cert) {
            tracing::info!(listener = self.listener, "it shows another certificate now");
        }
        let key = read.as_ref().unwrap_or(&before).clone();
        self.shown.swap(Shown { key, stamps });
        read.map(|_| ())
    }

    /// The files, as they were before they were read the last time.
    pub fn watched(&self) -> [(PathBuf, Stamp); 2] {
        let [cert, key] = self.shown.current().stamps;
        [(self.files.cert.clone(), cert), (self.files.key.clone(), key)]
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.current().key.clone())
    }
}

fn stamps(files: &KeyPair) -> [Stamp; 2] {
    [stamp(&files.cert), stamp(&files.key)]
}

/// The chain with its key, which is checked to fit.
fn certified(listener: &str, files: &KeyPair) -> Result<CertifiedKey, Box<Diagnostic>> {
    let problem = |code, key: &str, file: &Path, reason: String| {
        let message = format!("`{key}` of the listener `{listener}`: `{}` {reason}", file.display());
        Diagnostic::new(Severity::Error, code, message)
    };
    let cert = |code, reason| {
        let hint = "name a PEM file with the certificate first, then those that signed it";
        Box::new(problem(code, "tls.cert", &files.cert, reason).hint(hint))
    };
    let private = |code, reason| {
        let hint = "name a PEM file with the private key of the certificate, without a passphrase";
        Box::new(problem(code, "tls.key", &files.key, reason).hint(hint))
    };
    let read = bytes(&files.cert).and_then(|text| chain(&text));
    let chain = read.map_err(|reason| cert(UNREADABLE, reason))?;
    let read = bytes(&files.key).and_then(|text| key(&text));
    let key = read.map_err(|reason| private(UNREADABLE, reason))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            private(UNUSABLE, format!("is not the key of the certificate in `{}`", files.cert.display()))
        }
        Error::InvalidCertificate(error) => {
            cert(UNUSABLE, format!("has no certificate that can be read: {error}"))
        }
        error => private(UNUSABLE, format!("has no key that can be used: {error}")),
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let reason = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "can't be read: there is no such file".to_owned(),
        _ => format!("can't be read: {error}"),
    };
    // To open a pipe could take for ever.
    if !path.metadata().map_err(reason)?.is_file() {
        return Err("can't be read: it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes)).map_err(reason)?;
    match u64::try_from(read) {
        Ok(0..=LIMIT) => Ok(bytes),
        _ => Err(format!("can't be read: it is larger than {LIMIT} bytes")),
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("has no certificate in it".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("is no PEM file: {error}")),
    }
}

fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => "has no private key in it".to_owned(),
        error => format!("is no PEM file: {error}"),
    })
}
