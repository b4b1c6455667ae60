//! Every call of the API and its errors, against a real core on a kernel made of maps.

mod access;
mod calls;
mod contract;
mod kube;
mod listen;
mod malformed;

use std::net::IpAddr;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use palisade_config::settings::Settings;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{App, auth::TokenHash, gate::Peer, router};
use crate::{core::Core, testing};

const SETTINGS: &str = "\
[guard]
never_ban = [\"10.9.0.0/16\", \"2001:db8:9::/48\"]
";

/// A core and the API in front of it, without sockets.
struct Rig {
    core: Core,
    router: Router,
    shutdown: CancellationToken,
    dir: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let core = core(&dir).await;
        let shutdown = CancellationToken::new();
        let app = App::new(
            core.clone(),
            &dir.path().join("tokens.toml"),
            shutdown.clone(),
        );
        Self {
            core,
            router: router(app),
            shutdown,
            dir,
        }
    }

    /// Adds a token for each role, whose text is the role's label.
    fn with_tokens(self) -> Self {
        let mut text = String::new();
        for role in ["read", "ban", "admin"] {
            let hash = TokenHash::of(role).to_hex();
            text +=
                &format!("[[token]]\nname = \"{role}\"\nsha256 = \"{hash}\"\nrole = \"{role}\"\n");
        }
        std::fs::write(self.dir.path().join("tokens.toml"), text).unwrap();
        self
    }

    async fn send(&self, peer: Peer, request: Request<Body>) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(peer);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }

    /// A call over the unix socket.
    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Peer::Local, request(method, path, body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::empty()).await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        self.call(Method::PUT, path, body.to_owned()).await
    }
}

async fn core(dir: &TempDir) -> Core {
    let settings = Settings::parse(SETTINGS, std::path::Path::new("palisade.toml")).unwrap();
    testing::core_with(dir.path(), settings).await
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .body(body.into())
        .unwrap()
}

/// The same request with a bearer token.
fn bearing(mut request: Request<Body>, token: &str) -> Request<Body> {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

fn remote(last: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, last])
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn content_type(&self) -> &str {
        self.headers
            .get(header::CONTENT_TYPE)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a problem of the kind, and gives it.
    fn problem(&self, name: &str, status: u16, kind: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{name}: {}", self.text);
        assert_eq!(self.content_type(), "application/problem+json", "{name}");
        let problem = self.json();
        assert_eq!(
            problem["type"],
            format!("urn:palisade:problem:{kind}"),
            "{name}: {problem}"
        );
        assert_eq!(problem["status"], status, "{name}");
        for key in ["title", "detail"] {
            assert!(
                problem[key].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {key}"
            );
        }
        problem
    }
}
