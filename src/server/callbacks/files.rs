//! What files say that calls are sent with: secrets, and authorities of receivers.

use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{self, Secret};
use crate::diagnostic::Diagnostic;
use crate::server::named::File;

/// The secrets of the config and of its files.
#[derive(Clone, Default, PartialEq)]
pub struct Files {
    pub(super) secrets: Vec<Secret>,
    /// Besides the system's authorities.
    pub(super) authorities: Vec<CertificateDer<'static>>,
}

const PEM: &str = "an authority is PEM with `-----BEGIN CERTIFICATE-----`";
const LINES: &str = "write a secret a line, each `whsec_` and 24 to 64 bytes in base64, as `openssl rand -base64 32` makes them";

impl Files {
    /// Blocks.
    ///
    /// # Errors
    ///
    /// The file that can't be used. No secret is in the message.
    pub fn read(config: &config::Callbacks) -> Result<Files, Box<Diagnostic>> {
        let mut files = Files { secrets: config.secrets.clone(), authorities: Vec::new() };
        if let Some(path) = &config.secret_file {
            let file = File::read("callbacks.secret_file".to_owned(), path)?;
            let text = String::from_utf8_lossy(&file.bytes);
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            for (number, line) in lines.enumerate() {
                let secret = Secret::from_str(line).map_err(|problem| {
                    file.unusable(&format!("has {} ({}.)", problem.message, number + 1), LINES)
                })?;
                files.secrets.push(secret);
            }
            if files.secrets.len() == config.secrets.len() {
                return Err(file.unusable("has no secret", LINES));
            }
        }
        if let Some(path) = &config.ca {
            let file = File::read("callbacks.ca".to_owned(), path)?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
            let mut store = rustls::RootCertStore::empty();
            let usable = found.ok().filter(|found| !found.is_empty());
            let usable = usable.filter(|found| found.iter().all(|one| store.add(one.clone()).is_ok()));
            files.authorities = usable
                .ok_or_else(|| file.unusable("has no certificate of an authority that can be read", PEM))?;
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secrets: &str, ca: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            (!text.is_empty()).then(|| folder.path().join(name))
        };
        let (secret_file, ca) = (path("secrets", secrets), path("ca.pem", ca));
        let config = config::Callbacks { secret_file, ca, ..config::Callbacks::default() };
        let said = match Files::read(&config) {
            Ok(files) => format!("{} {}", files.secrets.len(), files.authorities.len()),
            Err(problem) => format!("{} {}", problem.code.0, problem.message),
        };
        assert_eq!(said.replace(&format!("{}/", folder.path().display()), ""), expected);
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn secrets_stand_a_line_each() {
        check("", "", "0 0");
        check(&format!("{SECRET}\n\n {SECRET}\r\n"), "", "2 0");
        let wrong = "SI0021 `callbacks.secret_file`: secrets has ";
        check("\n", "", &format!("{wrong}no secret"));
        let second = format!("{wrong}a secret that does not begin with `whsec_` (2.)");
        check(&format!("{SECRET}\nhunter2"), "", &second);
    }

    #[test]
    fn authorities_are_certificates() {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        check("", &made.cert.pem(), "0 1");
        let wrong = "SI0021 `callbacks.ca`: ca.pem has no certificate of an authority that can be read";
        check("", "no PEM", wrong);
    }
}
