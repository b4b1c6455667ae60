//! Creating, replacing, patching and deleting NetworkPolicies.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{
    NETWORK_POLICIES, body,
    edit::{PatchKind, Writer},
    options::Options,
    read::wants_table,
    status::Status,
    table,
};
use crate::{
    api::{App, request::read_body},
    objects::{Object, managed::Manager},
    policies::{Edit, WriteError},
};

/// Longest document or patch: what the API server of Kubernetes takes.
const BODY_BYTES_MAX: usize = 3 << 20;

type Answer = Result<Response<Body>, Status>;

pub(super) async fn create(
    State(app): State<App>,
    Path(namespace): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let options = Options::of(&uri)?;
    let sent = named(read_text(body).await?)?;
    let document = body::policy(&sent, &name_of(&sent))?;
    let name = document.pointer("/metadata/name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let writer = writer(&app, namespace, name, &options, &headers);
    let object = write(&app, &writer, options.dry_run, |live| {
        writer.create(live, document)
    })
    .await?;
    Ok(answer(&app, StatusCode::CREATED, &object, &headers))
}

pub(super) async fn replace(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let options = Options::of(&uri)?;
    let document = body::policy(&read_text(body).await?, &name)?;
    let writer = writer(&app, namespace, name, &options, &headers);
    let object = write(&app, &writer, options.dry_run, |live| {
        writer.replace(live, document)
    })
    .await?;
    Ok(answer(&app, StatusCode::OK, &object, &headers))
}

pub(super) async fn patch(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let options = Options::of(&uri)?;
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let kind = PatchKind::of(content_type);
    let kind = kind.ok_or_else(|| Status::unsupported_media(content_type))?;
    let mut writer = writer(&app, namespace, name, &options, &headers);
    if kind == PatchKind::Apply {
        writer.manager.applies = true;
        if options.manager.is_none() {
            let message = "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: \
                           it says who applies";
            return Err(Status::bad_request(message));
        }
    }
    let sent = read_text(body).await?;
    let mut is_new = false;
    let object = write(&app, &writer, options.dry_run, |live| {
        is_new = live.is_none();
        writer.patch(live, kind, &sent)
    })
    .await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(answer(&app, status, &object, &headers))
}

pub(super) async fn delete(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let options = Options::of(&uri)?;
    let sent = read_text(body).await?;
    let wanted: body::DeleteOptions = if sent.trim().is_empty() {
        body::DeleteOptions::default()
    } else {
        serde_json::from_str(&sent)
            .map_err(|error| Status::bad_request(format!("the delete options: {error}")))?
    };
    let dry_run = options.dry_run || wanted.dry_run.iter().any(|it| it == "All");
    let writer = writer(&app, namespace, name, &options, &headers);
    let object = write(&app, &writer, dry_run, |live| {
        writer.delete(live, &wanted.preconditions)
    })
    .await?;
    let answer = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": object.key.name,
            "group": NETWORK_POLICIES.group,
            "kind": NETWORK_POLICIES.plural,
            "uid": object.uid(),
        },
    });
    Ok(Json(answer).into_response())
}

async fn write(
    app: &App,
    writer: &Writer,
    dry_run: bool,
    edit: impl FnOnce(Option<&Object>) -> Result<Edit, Status>,
) -> Result<Arc<Object>, Status> {
    let Writer {
        namespace, name, ..
    } = writer;
    let written = app.core.write_policy(namespace, name, dry_run, edit).await;
    written.map_err(|error| match error {
        WriteError::Edit(status) => status,
        WriteError::ReadOnly { file } => Status::read_only(&NETWORK_POLICIES, name, &file),
        WriteError::Refused(refusal) => Status::refused(&NETWORK_POLICIES, name, refusal),
    })
}

fn answer(app: &App, status: StatusCode, object: &Object, headers: &HeaderMap) -> Response<Body> {
    let shown = table::shown(app, &NETWORK_POLICIES, object, wants_table(headers));
    (status, shown).into_response()
}

async fn read_text(body: Body) -> Result<String, Status> {
    let bytes = read_body(body, BODY_BYTES_MAX).await?;
    String::from_utf8(bytes.into()).map_err(|_| Status::bad_request("the body is not UTF-8"))
}

/// For a message about a document that may be anything.
fn name_of(sent: &str) -> String {
    let value = serde_json::from_str::<Value>(sent).unwrap_or_default();
    let name = value.pointer("/metadata/name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

/// Gives a document that asks for it (`generateName`) a name of its own.
fn named(sent: String) -> Result<String, Status> {
    let Ok(mut value) = body::strict_json(&sent) else {
        return Ok(sent);
    };
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Ok(sent);
    };
    let has_name = metadata.get("name").is_some_and(|name| name != "");
    let prefix = metadata.get("generateName").and_then(Value::as_str);
    let Some(prefix) = prefix.filter(|prefix| !has_name && !prefix.is_empty()) else {
        return Ok(sent);
    };
    let mut random = [0u8; 5];
    getrandom::fill(&mut random)
        .map_err(|error| Status::internal(format!("no random numbers: {error}")))?;
    let letters = b"bcdfghjklmnpqrstvwxz2456789";
    let ending = random
        .iter()
        .filter_map(|byte| letters.get(usize::from(*byte) % letters.len()))
        .map(|letter| char::from(*letter));
    let name: String = prefix.chars().chain(ending).collect();
    metadata.insert("name".to_owned(), name.into());
    Ok(value.to_string())
}

fn writer(
    app: &App,
    namespace: String,
    name: String,
    options: &Options,
    headers: &HeaderMap,
) -> Writer {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|it| it.to_str().ok());
    let agent = agent.and_then(|agent| agent.split('/').next());
    let manager = options.manager.as_deref().or(agent).unwrap_or("unknown");
    Writer {
        namespace,
        name,
        manager: Manager {
            name: manager.to_owned(),
            applies: false,
            time: app.core.now(),
        },
        force: options.force,
    }
}
