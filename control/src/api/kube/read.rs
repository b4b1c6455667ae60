//! Lists and single objects, as JSON or as the table that `kubectl get` prints.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Response, Uri, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{
    NAMESPACES, NETWORK_POLICIES, PODS, Resource,
    options::Options,
    status::Status,
    table::{self, Tables},
    watch,
};
use crate::{api::App, objects::Key};

type Answer = Result<Response<Body>, Status>;

pub(super) async fn namespaces(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Answer {
    list(&app, &NAMESPACES, None, &uri, &headers)
}

pub(super) async fn pods(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Answer {
    list(&app, &PODS, None, &uri, &headers)
}

pub(super) async fn policies(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Answer {
    list(&app, &NETWORK_POLICIES, None, &uri, &headers)
}

pub(super) async fn pods_of(
    State(app): State<App>,
    Path(namespace): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    list(&app, &PODS, Some(&namespace), &uri, &headers)
}

pub(super) async fn policies_of(
    State(app): State<App>,
    Path(namespace): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    list(&app, &NETWORK_POLICIES, Some(&namespace), &uri, &headers)
}

pub(super) async fn namespace(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    one(&app, &NAMESPACES, "", &name, &headers)
}

pub(super) async fn pod(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    one(&app, &PODS, &namespace, &name, &headers)
}

pub(super) async fn policy(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    one(&app, &NETWORK_POLICIES, &namespace, &name, &headers)
}

pub(super) async fn no_events(State(app): State<App>) -> Json<Value> {
    let (revision, _) = app.core.objects().list(PODS.kind, Some("-"));
    Json(json!({
        "kind": "EventList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": revision.to_string()},
        "items": [],
    }))
}

/// A list, or a watch of it. The list is whole: `limit` is not taken up, which clients allow for.
fn list(
    app: &App,
    resource: &Resource,
    namespace: Option<&str>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Answer {
    let options = Options::of(uri)?;
    let tables = wants_table(headers).then(|| Tables::new(app, resource));
    if options.watch {
        return watch::watch(app, resource, namespace, options, tables.is_some());
    }
    let (revision, mut objects) = app.core.objects().list(resource.kind, namespace);
    objects
        .retain(|object| options.labels.matches(&object.value) && options.fields.matches(object));
    let metadata = json!({"resourceVersion": revision.to_string()});
    let value = match tables {
        Some(tables) => tables.table(objects.iter().map(|it| &**it), &metadata),
        None => json!({
            "kind": format!("{}List", resource.name),
            "apiVersion": resource.version,
            "metadata": metadata,
            "items": objects.iter().map(|it| &it.value).collect::<Vec<_>>(),
        }),
    };
    Ok(Json(value).into_response())
}

fn one(app: &App, resource: &Resource, namespace: &str, name: &str, headers: &HeaderMap) -> Answer {
    let key = Key::new(resource.kind, namespace, name);
    let object = app.core.objects().get(&key);
    let object = object.ok_or_else(|| Status::not_found(resource, name))?;
    Ok(table::shown(app, resource, &object, wants_table(headers)).into_response())
}

/// Whether the caller would rather have a table: it says so first.
pub(super) fn wants_table(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let first = accept.and_then(|accept| accept.split(',').next());
    first.is_some_and(|first| first.contains("as=Table"))
}
