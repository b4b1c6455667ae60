//! Sockets, certificates and the end of it all.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use palisade_config::settings::Settings;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tokio_util::sync::CancellationToken;

use super::core;
use crate::{
    api::{Listening, ServeError, Served, auth::TokenHash, serve},
    core::Core,
};

struct Site {
    dir: TempDir,
    core: Core,
    shutdown: CancellationToken,
}

impl Site {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let core = core(&dir).await;
        Self {
            dir,
            core,
            shutdown: CancellationToken::new(),
        }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("run/palisade.sock")
    }

    async fn serve(&self, more: &str) -> Result<Listening, ServeError> {
        let (socket, tokens) = (self.socket(), self.dir.path().join("tokens.toml"));
        let text = format!(
            "[api]\nunix = \"{}\"\ntokens = \"{}\"\n{more}\n",
            socket.display(),
            tokens.display()
        );
        let settings = Settings::parse(&text, std::path::Path::new("palisade.toml")).unwrap();
        let served = Served {
            core: self.core.clone(),
            api: settings.api,
            state_directory: self.dir.path().join("state"),
        };
        serve(served, self.shutdown.clone()).await
    }

    async fn stop(&self, listening: Listening) {
        self.shutdown.cancel();
        let end = tokio::time::timeout(Duration::from_secs(10), listening.finished());
        end.await.expect("the API ends");
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str) -> String {
    let request = format!("{head}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A peer that closes without a farewell has still answered.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost";

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_ours_alone_and_goes_when_we_go() {
    let site = Site::new().await;
    let listening = site.serve("").await.unwrap();
    let mode = fs::metadata(site.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let answer = ask(UnixStream::connect(site.socket()).await.unwrap(), HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // An idle connection does not hold the stop up.
    let _idle = UnixStream::connect(site.socket()).await.unwrap();
    site.stop(listening).await;
    assert!(!site.socket().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let site = Site::new().await;
    fs::create_dir_all(site.socket().parent().unwrap()).unwrap();
    drop(UnixListener::bind(site.socket()).unwrap());
    assert!(site.socket().exists(), "left by a crash");
    let listening = site.serve("").await.unwrap();

    let second = Site::new().await;
    let text = format!("[api]\nunix = \"{}\"\n", site.socket().display());
    let settings = Settings::parse(&text, std::path::Path::new("palisade.toml")).unwrap();
    let served = Served {
        core: second.core.clone(),
        api: settings.api,
        state_directory: second.dir.path().to_owned(),
    };
    let refused = serve(served, second.shutdown.clone()).await;
    assert!(
        matches!(refused, Err(ServeError::AlreadyServed { .. })),
        "{refused:?}"
    );
    let answer = ask(UnixStream::connect(site.socket()).await.unwrap(), HEALTH).await;
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "the first still serves: {answer}"
    );
    site.stop(listening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_socket_is_left_alone() {
    let site = Site::new().await;
    fs::create_dir_all(site.socket().parent().unwrap()).unwrap();
    fs::write(site.socket(), "precious").unwrap();
    let refused = site.serve("").await;
    assert!(
        matches!(refused, Err(ServeError::NotASocket { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(site.socket()).unwrap(), "precious");
}

fn connector(certificate: &std::path::Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn ask_tls(address: SocketAddr, connector: &TlsConnector, name: &str, head: &str) -> String {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    ask(connector.connect(name, stream).await.unwrap(), head).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_has_tls_with_a_certificate_that_stays() {
    let site = Site::new().await;
    let hash = TokenHash::of("secret").to_hex();
    let token = format!("[[token]]\nname = \"t\"\nsha256 = \"{hash}\"\nrole = \"read\"\n");
    fs::write(site.dir.path().join("tokens.toml"), token).unwrap();
    let listening = site.serve("tcp = \"127.0.0.1:0\"").await.unwrap();
    let address = listening.tcp().unwrap();

    let state = site.dir.path().join("state/tls");
    let certificate = state.join("certificate.pem");
    let first = fs::read(&certificate).unwrap();
    let mode = fs::metadata(state.join("key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let tls = connector(&certificate);
    for name in ["localhost", "127.0.0.1"] {
        let head = "GET /v1/status HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer secret";
        let answer = ask_tls(address, &tls, name, head).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
    }
    let head = "GET /v1/status HTTP/1.1\r\nHost: edge";
    let answer = ask_tls(address, &tls, "localhost", head).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let wrong = ServerName::try_from("attacker.example").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    assert!(
        tls.connect(wrong, stream).await.is_err(),
        "a foreign name fails at the certificate"
    );
    let answer = ask(TcpStream::connect(address).await.unwrap(), HEALTH).await;
    assert!(
        !answer.contains("200 OK"),
        "no plain HTTP on the TLS port: {answer}"
    );
    site.stop(listening).await;

    let again = Site {
        shutdown: CancellationToken::new(),
        ..site
    };
    let listening = again.serve("tcp = \"127.0.0.1:0\"").await.unwrap();
    assert_eq!(
        fs::read(&certificate).unwrap(),
        first,
        "a restart keeps the certificate"
    );
    again.stop(listening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_may_do_without_tls_but_not_without_tokens() {
    let site = Site::new().await;
    let listening = site
        .serve("tcp = \"127.0.0.1:0\"\ntls = \"off\"")
        .await
        .unwrap();
    let address = listening.tcp().unwrap();
    let answer = ask(TcpStream::connect(address).await.unwrap(), HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = "GET /v1/bans HTTP/1.1\r\nHost: localhost";
    let answer = ask(TcpStream::connect(address).await.unwrap(), head).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    site.stop(listening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_ends_the_start() {
    let site = Site::new().await;
    let (cert, key) = (site.dir.path().join("c.pem"), site.dir.path().join("k.pem"));
    fs::write(&cert, "nothing").unwrap();
    fs::write(&key, "nothing").unwrap();
    let more = format!(
        "tcp = \"127.0.0.1:0\"\ntls_cert = \"{}\"\ntls_key = \"{}\"",
        cert.display(),
        key.display()
    );
    let refused = site
        .serve(&more)
        .await
        .expect_err("no certificate")
        .to_string();
    assert!(
        refused.contains("api.tls_cert") && refused.contains("c.pem"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_comes_later_does_not_stop_the_start() {
    for address in ["192.0.2.77:0", "[2001:db8::77]:0"] {
        let site = Site::new().await;
        let listening = site.serve(&format!("tcp = \"{address}\"")).await.unwrap();
        assert!(listening.tcp().is_some(), "{address}");
        site.stop(listening).await;
    }
}
