//! What `https` servers are met with: read from files, and checked so that no request meets a surprise.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::catch_unwind;
use std::sync::{Arc, OnceLock};

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{self, Config, Scheme};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::server::named::File;

/// `upstreams.NAME.tls.verify` is off.
pub const UNVERIFIED: Code = Code("SI0022");

/// A certificate that signs nothing, and whose key nobody has.
const NOBODY: &[u8] = include_bytes!("nobody.pem");

/// The certificates of one upstream. Two are equal if their files had the same bytes.
#[derive(Clone, Default)]
pub struct Tls {
    /// Instead of the system's authorities.
    pub ca: Option<Arc<CaType>>,
    pub client: Option<Arc<CertKey>>,
    /// What was read, to compare: CA, certificate, key.
    texts: [Vec<u8>; 3],
}

/// Without its texts: one is a private key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

/// Of every upstream by its name, what its files say or what is wrong with them. Blocks.
pub fn read(config: &Config) -> BTreeMap<String, Result<Tls, Box<Diagnostic>>> {
    config.upstreams.iter().map(|(name, upstream)| (name.clone(), Tls::read(name, &upstream.tls))).collect()
}

/// What `standin check` says of the upstreams. Blocks.
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let broken = read(config).into_values().filter_map(Result::err).map(|problem| *problem);
    broken.chain(config.upstreams.iter().filter_map(|(name, upstream)| unverified(name, upstream))).collect()
}

/// The warning about an upstream whose certificates nobody looks at.
pub fn unverified(name: &str, upstream: &config::Upstream) -> Option<Diagnostic> {
    let secure = upstream.servers.iter().any(|server| server.scheme == Scheme::Https);
    let message =
        || format!("`upstreams.{name}.tls.verify`: the certificates of its servers are not checked");
    let warning = || {
        Diagnostic::new(Severity::Warning, UNVERIFIED, message())
            .hint("name the authority that signs them with `tls.ca`, and take `verify: false` out")
    };
    (secure && !upstream.tls.verify).then(warning)
}

/// A file without certificates, where those of the system can't all be read: pingora would panic on
/// them, even for upstreams that need none.
pub fn instead_of_the_system_s() -> Option<String> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    FOUND.get_or_init(look_for_the_system_s).clone()
}

fn look_for_the_system_s() -> Option<String> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (_, unreadable) = store.add_parsable_certificates(found.certs);
    if found.errors.is_empty() && unreadable == 0 {
        return None;
    }
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    let reason = errors.join("; ");
    tracing::info!(unreadable, reason, "no certificates of the system: https upstreams need `tls.ca`");
    Some("/dev/null".to_owned())
}

impl Tls {
    /// `name` is the upstream's, for the diagnostic.
    pub fn read(name: &str, config: &config::UpstreamTls) -> Result<Tls, Box<Diagnostic>> {
        let mut tls = Tls::default();
        if let Some(path) = &config.ca {
            let file = File::read(format!("upstreams.{name}.tls.ca"), path)?;
            tls.ca = Some(authorities(&file)?);
            tls.texts[0] = file.bytes;
        } else if !config.verify {
            // pingora wants an authority even where none is asked, and the system may have none.
            tls.ca = of_der(certificates(NOBODY)).map(Arc::from);
        }
        if let Some(pair) = &config.client {
            let cert = File::read(format!("upstreams.{name}.tls.cert"), &pair.cert)?;
            let key = File::read(format!("upstreams.{name}.tls.key"), &pair.key)?;
            tls.client = Some(client(&cert, &key)?);
            tls.texts[1] = cert.bytes;
            tls.texts[2] = key.bytes;
        }
        Ok(tls)
    }
}

const PEM: &str = "PEM has `-----BEGIN CERTIFICATE-----` or `-----BEGIN PRIVATE KEY-----`";

fn authorities(file: &File<'_>) -> Result<Arc<CaType>, Box<Diagnostic>> {
    let found = certificates(&file.bytes);
    let mut store = RootCertStore::empty();
    let readable = found.iter().all(|certificate| store.add(certificate.clone()).is_ok());
    match of_der(found) {
        Some(authorities) if readable => Ok(authorities.into()),
        _ => Err(file.unusable("has no certificate of an authority that can be read", PEM)),
    }
}

fn client(cert: &File<'_>, key: &File<'_>) -> Result<Arc<CertKey>, Box<Diagnostic>> {
    let chain = certificates(&cert.bytes);
    let whole = of_der(chain.clone()).is_some();
    if !whole {
        return Err(cert.unusable("has no certificate that can be read", PEM));
    }
    let no_key = || key.unusable("has no private key that can be read", PEM);
    let private = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|_| no_key())?;
    let der = private.secret_der().to_vec();
    // Of its bytes alone pingora tells again what kind of key it is.
    let again = PrivateKeyDer::try_from(der.clone()).map_err(|_| no_key())?;
    let taken = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(RootCertStore::empty()))
        .and_then(|builder| builder.with_client_auth_cert(chain.clone(), again));
    taken
        .map_err(|error| key.unusable(&format!("does not go with {}: {error}", cert.path.display()), PEM))?;
    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, der)))
}

/// None of them if one can't be read.
fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default()
}

/// As pingora wants them; none if there are none, or if its reader panics on one.
fn of_der(certificates: Vec<CertificateDer<'static>>) -> Option<Vec<WrappedX509>> {
    let wrap = || -> Vec<WrappedX509> {
        certificates.iter().map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509)).collect()
    };
    catch_unwind(wrap).ok().filter(|wrapped| !wrapped.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;
    use crate::config::{KeyPair, UpstreamTls};

    #[test]
    fn certificates_are_read_from_files_or_told_what_is_wrong_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = generate_simple_self_signed(["b.test".to_owned()]).unwrap();
        write("a.pem", &cert.pem());
        write("a.key", &signing_key.serialize_pem());
        write("b.key", &other.signing_key.serialize_pem());
        write("no.pem", "no PEM");
        write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let check = |ca: &str, cert: &str, key: &str, expected: &str| {
            let path = |name: &str| folder.path().join(name);
            let client = (!cert.is_empty()).then(|| KeyPair { cert: path(cert), key: path(key) });
            let ca = (!ca.is_empty()).then(|| path(ca));
            let read = Tls::read("x", &UpstreamTls { ca, client, ..UpstreamTls::default() });
            let said = match read {
                Ok(tls) => format!("ca {}, client {}", tls.ca.is_some(), tls.client.is_some()),
                Err(diagnostic) => format!("{} {}", diagnostic.code.0, diagnostic.message),
            };
            let said = said.replace(&format!("{}/", folder.path().display()), "");
            assert_eq!(said.split(" (os error").next(), Some(expected));
        };
        check("", "", "", "ca false, client false");
        check("a.pem", "a.pem", "a.key", "ca true, client true");
        let gone = "SI0020 `upstreams.x.tls.ca`: gone.pem can't be read: No such file or directory";
        check("gone.pem", "", "", gone);
        check(".", "", "", "SI0020 `upstreams.x.tls.ca`: . can't be read: it is no file");
        let no_ca = "has no certificate of an authority that can be read";
        check("no.pem", "", "", &format!("SI0021 `upstreams.x.tls.ca`: no.pem {no_ca}"));
        check("bad.pem", "", "", &format!("SI0021 `upstreams.x.tls.ca`: bad.pem {no_ca}"));
        let no_cert = "has no certificate that can be read";
        check("", "bad.pem", "a.key", &format!("SI0021 `upstreams.x.tls.cert`: bad.pem {no_cert}"));
        let no_key = "has no private key that can be read";
        check("", "a.pem", "no.pem", &format!("SI0021 `upstreams.x.tls.key`: no.pem {no_key}"));
        let unfit = "SI0021 `upstreams.x.tls.key`: b.key does not go with a.pem: keys may not be consistent: KeyMismatch";
        check("", "a.pem", "b.key", unfit);
    }

    #[test]
    fn equal_are_those_whose_files_had_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let config = UpstreamTls { ca: Some(path.clone()), ..UpstreamTls::default() };
        let read = || Tls::read("x", &config).unwrap();
        let write = |name: &str| {
            let made = generate_simple_self_signed([name.to_owned()]).unwrap();
            std::fs::write(&path, made.cert.pem()).unwrap();
        };
        write("a.test");
        let first = read();
        assert!(first == read());
        write("a.test");
        assert!(first != read());
    }

    #[test]
    fn only_an_unchecked_certificate_is_warned_of() {
        let check = |server: &str, verify: bool, warned: bool| {
            let server = config::server(server, Path::new("/")).unwrap();
            let mut upstream = config::Upstream::new(vec![server]);
            upstream.tls.verify = verify;
            assert_eq!(unverified("x", &upstream).is_some(), warned);
        };
        check("https://a", false, true);
        check("https://a", true, false);
        check("http://a", false, false);
    }

    #[test]
    fn the_authority_that_signs_nothing_can_be_read() {
        let config = UpstreamTls { verify: false, ..UpstreamTls::default() };
        assert!(Tls::read("x", &config).unwrap().ca.is_some());
    }
}
