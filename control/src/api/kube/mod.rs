//! As much of the Kubernetes API as an unmodified `kubectl` needs for NetworkPolicies.
//!
//! ```text
//! discovery, openapi -> what there is
//! read  -> list, get, watch -> JSON or Table
//! write -> body, patch or applied document -> Core::write_policy -> object
//! ```
//!
//! Errors on these paths are `Status` objects, those of the gate in front included. Validation is
//! always strict, whatever `fieldValidation` asks for: a misspelt key of a policy is a hole in it.

mod body;
mod discovery;
mod drops;
mod edit;
mod openapi;
mod options;
mod patch;
mod read;
mod selector;
mod status;
mod table;
mod watch;
mod write;

use axum::{
    body::Body,
    extract::Request,
    http::{Response, Uri, header},
    middleware::Next,
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use http_body_util::BodyExt;

pub(super) use self::drops::Drops;
use self::status::Status;
use super::{App, problem::Problem};
use crate::objects::Kind;

const GROUP: &str = "networking.k8s.io";

/// A kind as the API names it.
#[derive(Clone, Copy, Debug)]
struct Resource {
    kind: Kind,
    /// Empty for the core group.
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    name: &'static str,
}

const NETWORK_POLICIES: Resource = Resource {
    kind: Kind::NetworkPolicy,
    group: GROUP,
    version: "networking.k8s.io/v1",
    plural: "networkpolicies",
    name: "NetworkPolicy",
};
const NAMESPACES: Resource = Resource {
    kind: Kind::Namespace,
    group: "",
    version: "v1",
    plural: "namespaces",
    name: "Namespace",
};
const PODS: Resource = Resource {
    kind: Kind::Pod,
    group: "",
    version: "v1",
    plural: "pods",
    name: "Pod",
};

impl Resource {
    /// `networkpolicies.networking.k8s.io`, for messages.
    fn full_name(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// Every path of the Kubernetes API and what serves it.
pub(super) fn routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/version", get(discovery::version)),
        ("/api", get(discovery::core_versions)),
        ("/apis", get(discovery::groups)),
        ("/apis/networking.k8s.io", get(discovery::group)),
        ("/api/v1", get(discovery::core_resources)),
        ("/apis/networking.k8s.io/v1", get(discovery::resources)),
        ("/openapi/v3", get(openapi::index)),
        ("/openapi/v3/api/v1", get(openapi::core)),
        (
            "/openapi/v3/apis/networking.k8s.io/v1",
            get(openapi::networking),
        ),
        ("/api/v1/namespaces", get(read::namespaces)),
        ("/api/v1/namespaces/{name}", get(read::namespace)),
        ("/api/v1/pods", get(read::pods)),
        ("/api/v1/namespaces/{namespace}/pods", get(read::pods_of)),
        ("/api/v1/namespaces/{namespace}/pods/{name}", get(read::pod)),
        // `describe` asks for events of what it shows; there are none.
        ("/api/v1/events", get(read::no_events)),
        (
            "/api/v1/namespaces/{namespace}/events",
            get(read::no_events),
        ),
        (
            "/apis/networking.k8s.io/v1/networkpolicies",
            get(read::policies),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
            get(read::policies_of).post(write::create),
        ),
        (
            "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}",
            get(read::policy)
                .put(write::replace)
                .patch(write::patch)
                .delete(write::delete),
        ),
    ]
}

fn is_kube(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    matches!(first, "api" | "apis" | "openapi" | "version")
}

/// Whether the answer is a stream without an end of its own.
pub(super) fn is_watch(uri: &Uri) -> bool {
    is_kube(uri.path()) && options::Options::of(uri).is_ok_and(|options| options.watch)
}

/// Turns problems on Kubernetes paths into what clients of Kubernetes read.
pub(super) async fn problems_as_statuses(request: Request, next: Next) -> Response<Body> {
    let is_kube = is_kube(request.uri().path());
    let response = next.run(request).await;
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if !is_kube || content_type.is_none_or(|it| it != "application/problem+json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let problem = match body.collect().await {
        Ok(body) => serde_json::from_slice::<Problem>(&body.to_bytes()),
        Err(error) => Err(serde_json::Error::io(std::io::Error::other(error))),
    };
    let mut response = match problem {
        Ok(problem) => Status::from(problem),
        Err(error) => Status::internal(error.to_string()),
    }
    .into_response();
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
