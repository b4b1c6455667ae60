//! Where the API listens, and how long it is patient with a connection.
//!
//! Everything is bound before [`serve`] returns, so that a fault of the configuration ends the
//! start and not the first call. After the shutdown token is cancelled nothing new is accepted,
//! and open requests get [`PATIENCE_AT_STOP`] to end.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use palisade_config::settings::{Api, Tls};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, info, warn};

use super::{App, gate::Peer, tls};
use crate::core::Core;

/// Connections at once; more wait in the backlog.
const LOCAL_CONNECTIONS_MAX: usize = 512;
const TCP_CONNECTIONS_MAX: usize = 256;
const BACKLOG: u32 = 256;

/// Longest time for the head of a request, which bounds idle connections too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long open requests may go on after a stop was asked for.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(5);

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The group that may use the socket.
const GROUP: &str = "palisade";

/// What is served, and the settings that say where.
#[derive(Debug)]
pub struct Served {
    pub core: Core,
    pub api: Api,
    pub state_directory: PathBuf,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("api.unix: cannot listen on {}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("api.unix: {} exists and is not a socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("api.unix: another daemon answers on {}", path.display())]
    AlreadyServed { path: PathBuf },
    #[error("api.tcp: cannot listen on {address}: {source}")]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// The API, being served.
#[derive(Debug)]
pub struct Listening {
    tasks: TaskTracker,
    socket: PathBuf,
    socket_inode: Option<u64>,
    tcp: Option<SocketAddr>,
}

impl Listening {
    /// The TCP address in use.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Waits until every connection has ended; that is after the shutdown token is cancelled.
    pub async fn finished(self) {
        self.tasks.close();
        self.tasks.wait().await;
        // A successor may have put its own socket there.
        if self.socket_inode.is_some()
            && inode(&self.socket) == self.socket_inode
            && let Err(error) = fs::remove_file(&self.socket)
        {
            debug!(%error, "socket not removed");
        }
    }
}

/// Binds what the settings name, and serves it until `shutdown` is cancelled.
pub async fn serve(served: Served, shutdown: CancellationToken) -> Result<Listening, ServeError> {
    let Served {
        core,
        api,
        state_directory,
    } = served;
    let tcp = match api.tcp {
        Some(address) => Some(bind_tcp(&api, address, &state_directory)?),
        None => None,
    };
    let local = bind_unix(&api.unix).await?;
    let address = tcp.as_ref().map(|tcp| tcp.address);
    let app = App::new(core, &api.tokens, shutdown.clone());
    let tasks = TaskTracker::new();
    let door = Door {
        router: super::router(app),
        shutdown,
        tasks: tasks.clone(),
    };

    tasks.spawn(door.clone().accept_local(local));
    info!(socket = %api.unix.display(), "API listens");
    if let Some(Tcp {
        listener,
        address,
        acceptor,
    }) = tcp
    {
        info!(%address, tls = acceptor.is_some(), "API listens");
        tasks.spawn(door.accept_tcp(listener, acceptor));
    }
    let socket_inode = inode(&api.unix);
    Ok(Listening {
        tasks,
        socket: api.unix,
        socket_inode,
        tcp: address,
    })
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path)
        .ok()
        .map(|metadata| metadata.ino())
}

async fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |source| ServeError::Unix {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(ServeError::NotASocket {
                path: path.to_owned(),
            });
        }
        match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)?;
            }
            Ok(_) => {
                return Err(ServeError::AlreadyServed {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(failed(error)),
        }
    }
    // Nobody else may connect before the permissions are set.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(failed)?;
    if let Some(group) = group_id(GROUP)
        && let Err(error) = chown(path, None, Some(group))
    {
        warn!(%error, group = GROUP, "the socket stays with our own group");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// The number of a group, from the local database.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let line = groups
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The TCP side, bound.
struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
}

fn bind_tcp(api: &Api, address: SocketAddr, state_directory: &Path) -> Result<Tcp, ServeError> {
    let acceptor = match api.tls {
        Tls::On => Some(tls::acceptor(
            api.certificate.as_ref(),
            address,
            state_directory,
        )?),
        Tls::Off => None,
    };
    let failed = |source| ServeError::Tcp { address, source };
    let listener = listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    match super::auth::read_tokens(&api.tokens) {
        Ok(tokens) if tokens.is_empty() => {
            warn!(tokens = %api.tokens.display(), "no tokens: nobody can use the API over TCP yet");
        }
        Ok(_) => {}
        Err(fault) => warn!(%fault, "no token is valid until the file is repaired"),
    }
    Ok(Tcp {
        listener,
        address,
        acceptor,
    })
}

/// Listens on an address that the machine may not have yet: enforcement starts before the network
/// does, and must not wait for it.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        let socket = TcpSocket::new_v4()?;
        sockopt::set_ip_freebind(&socket, true)?;
        socket
    } else {
        let socket = TcpSocket::new_v6()?;
        sockopt::set_ipv6_freebind(&socket, true)?;
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What every connection gets.
#[derive(Clone)]
struct Door {
    router: Router,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Door {
    async fn accept_local(self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(LOCAL_CONNECTIONS_MAX));
        while let Some((stream, place)) = self.next(&places, || listener.accept()).await {
            let door = self.clone();
            self.tasks.spawn(async move {
                door.converse(stream.0, Peer::Local).await;
                drop(place);
            });
        }
    }

    async fn accept_tcp(self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        let places = Arc::new(Semaphore::new(TCP_CONNECTIONS_MAX));
        while let Some(((stream, source), place)) = self.next(&places, || listener.accept()).await {
            let door = self.clone();
            let acceptor = acceptor.clone();
            self.tasks.spawn(async move {
                door.greet(stream, source, acceptor).await;
                drop(place);
            });
        }
    }

    /// The next connection and its place, or `None` once a stop is asked for.
    async fn next<T, F: Future<Output = io::Result<T>>>(
        &self,
        places: &Arc<Semaphore>,
        accept: impl Fn() -> F,
    ) -> Option<(T, OwnedSemaphorePermit)> {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            loop {
                match accept().await {
                    Ok(connection) => return Some((connection, place)),
                    Err(error) => {
                        warn!(%error, "accept failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => None,
            next = next => next,
        }
    }

    async fn greet(self, stream: TcpStream, source: SocketAddr, acceptor: Option<TlsAcceptor>) {
        let address = source.ip();
        let Some(acceptor) = acceptor else {
            return self.converse(stream, Peer::Plain(address)).await;
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.converse(stream, Peer::Tls(address)).await,
            Ok(Err(error)) => debug!(%source, %error, "TLS handshake failed"),
            Err(_) => debug!(%source, "TLS handshake took too long"),
        }
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, peer: Peer) {
        let router = self.router;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(PATIENCE_AT_STOP, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(?peer, %error, "connection ended early");
        }
    }
}
