//! The HTTP API: what it answers, to whom, and where it listens.
//!
//! ```text
//! listen (unix, tcp + tls) -> gate (who, may they, how long) -> handler -> Core
//!                                                                      \-> Problem
//! ```
//!
//! Handlers only translate: every rule about bans and policies lives in [`crate::core`]. The
//! OpenAPI document is generated from the handlers, and a test holds it against the routes.

pub mod auth;
mod bans;
mod documents;
mod events;
mod explain;
mod gate;
mod import;
mod kube;
mod listen;
mod openapi;
mod policies;
pub mod problem;
mod request;
mod status;
#[cfg(test)]
mod tests;
mod tls;

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    http::Method,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, get, post, put},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::{
    auth::{Failures, Role, Tokens},
    problem::{Kind, Problem},
};
pub use self::{
    bans::{BanAnswer, BanBody, BanBodyWithPrefix},
    documents::InForce,
    listen::{Listening, ServeError, Served, serve},
    policies::PolicyList,
    status::{PacketCount, StatusAnswer},
    tls::TlsError,
};
pub(crate) use self::{listen::group_id, tls::certificate_file};
use crate::{clock::Stopwatch, core::Core};

/// On the unix socket: the address from which the person at the terminal came, so that nobody
/// bans himself by accident. Over TCP the address of the connection counts, and nothing else.
pub const CALLER_HEADER: &str = "palisade-caller";

/// Most event streams at once.
const EVENT_STREAMS_MAX: usize = 64;

/// Most watches of the Kubernetes API at once.
const WATCHES_MAX: usize = 64;

/// Most imports at once: each holds its list in memory.
const IMPORTS_MAX: usize = 2;

/// What every handler can reach.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Core,
    pub(crate) tokens: Tokens,
    pub(crate) failures: Failures,
    pub(crate) running: Stopwatch,
    pub(crate) event_streams: Arc<Semaphore>,
    pub(crate) imports: Arc<Semaphore>,
    pub(crate) watches: Arc<Semaphore>,
    pub(crate) drops: kube::Drops,
    pub(crate) shutdown: CancellationToken,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    fn new(core: Core, tokens: &Path, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            drops: kube::Drops::count(&core, shutdown.clone()),
            core,
            tokens: Tokens::new(tokens),
            failures: Failures::default(),
            running: Stopwatch::start(),
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            imports: Arc::new(Semaphore::new(IMPORTS_MAX)),
            shutdown,
        }))
    }
}

/// Every path and what serves it.
fn routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/v1/bans", get(bans::list).post(bans::create)),
        ("/v1/bans/import", post(import::import)),
        // A wildcard, so that a prefix whose slash was not encoded is understood too.
        ("/v1/bans/{*prefix}", put(bans::put).delete(bans::lift)),
        ("/v1/explain", get(explain::explain)),
        ("/v1/status", get(status::status)),
        ("/v1/events", get(events::events)),
        ("/v1/policies", get(policies::list).post(policies::apply)),
        (
            "/v1/policies/{namespace}/{name}",
            get(policies::one).delete(policies::delete),
        ),
        ("/v1/documents", get(documents::documents)),
        ("/healthz", get(status::healthz)),
        ("/readyz", get(status::readyz)),
        ("/metrics", get(status::metrics)),
        ("/openapi.json", get(openapi::document)),
    ]
}

/// What a caller must be allowed in order to use a path; `None`: nothing at all.
fn needed_role(method: &Method, path: &str) -> Option<Role> {
    match path {
        "/healthz" | "/readyz" => None,
        _ if *method == Method::GET || *method == Method::HEAD => Some(Role::Read),
        _ if path == "/v1/bans" || path.starts_with("/v1/bans/") => Some(Role::Ban),
        _ => Some(Role::Admin),
    }
}

/// The whole API behind its gate.
pub(crate) fn router(app: App) -> Router {
    let router = routes()
        .into_iter()
        .chain(kube::routes())
        .fold(Router::new(), |router, (path, method)| {
            router.route(path, method)
        });
    router
        .fallback(|| async { Problem::new(Kind::NotFound, "no such path; see /openapi.json") })
        .method_not_allowed_fallback(|method: Method| async move {
            Problem::new(
                Kind::MethodNotAllowed,
                format!("{method} is not served here"),
            )
        })
        .layer(from_fn_with_state(app.clone(), gate::gate))
        .layer(from_fn(kube::problems_as_statuses))
        .with_state(app)
}
