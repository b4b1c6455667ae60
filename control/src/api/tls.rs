//! TLS for the TCP API: the operator's certificate, or one made here on the first start.
//!
//! The certificate made here is its own root: clients take `tls/certificate.pem` from the state
//! directory as the CA they trust.

use std::{
    fs, io,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use palisade_config::settings::Certificate;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    },
};
use tracing::info;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("api.tls_cert: no certificate in {}: {source}", path.display())]
    Certificate { path: PathBuf, source: pem::Error },
    #[error("api.tls_cert: {} holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("api.tls_key: no key in {}: {source}", path.display())]
    Key { path: PathBuf, source: pem::Error },
    #[error("certificate {} and key {} cannot be used: {source}", cert.display(), key.display())]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// What accepts TLS connections on `address`.
pub(crate) fn acceptor(
    provided: Option<&Certificate>,
    address: SocketAddr,
    state_directory: &Path,
) -> Result<TlsAcceptor, TlsError> {
    let certificate = match provided {
        Some(certificate) => certificate.clone(),
        None => own_certificate(address, state_directory)?,
    };
    let Certificate { cert, key } = certificate;
    let chain = read_chain(&cert)?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|source| TlsError::Key {
        path: key.clone(),
        source,
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|source| TlsError::Pair { cert, key, source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The file with the certificate that clients are shown, which there may not be yet.
pub(crate) fn certificate_file(provided: Option<&Certificate>, state_directory: &Path) -> PathBuf {
    match provided {
        Some(certificate) => certificate.cert.clone(),
        None => state_directory.join("tls/certificate.pem"),
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Certificate {
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

/// The certificate under the state directory, made if there is none.
fn own_certificate(address: SocketAddr, state_directory: &Path) -> Result<Certificate, TlsError> {
    let directory = state_directory.join("tls");
    let cert = certificate_file(None, state_directory);
    let key = directory.join("key.pem");
    if !(cert.exists() && key.exists()) {
        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        if !address.ip().is_unspecified() && !address.ip().is_loopback() {
            names.push(address.ip().to_string());
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        if !host.is_empty() && host != "localhost" {
            names.push(host.to_owned());
        }
        info!(path = %cert.display(), ?names, "making a certificate");
        let made = rcgen::generate_simple_self_signed(names)?;
        let failed = |source| TlsError::Write {
            path: directory.clone(),
            source,
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        write_new(&key, &made.signing_key.serialize_pem(), 0o600)?;
        write_new(&cert, &made.cert.pem(), 0o644)?;
    }
    Ok(Certificate { cert, key })
}

/// Writes a file whole: under another name first, so that a crash leaves no half of it.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let failed = |source| TlsError::Write {
        path: path.to_owned(),
        source,
    };
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&part)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}
