//! Bans, one at a time.

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, Uri},
};
use palisade_config::types::{Prefix, TtlDuration};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App,
    gate::Caller,
    problem::{Kind, Problem},
    request::{Parameters, origin_or_api, parse_field, read_json},
};
use crate::core::{Ban, BanPage, BanQuery, BanRequest};

/// Bans on a page, unless the caller says how many.
const PAGE_DEFAULT: usize = 1000;

/// What may be said about a ban. All of it is optional.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BanBody {
    /// How long: `90s`, `15m`, `2h`, `7d`. Without it, until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Kept with the ban and shown with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On whose behalf; `api` unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Ban even an own address or a very wide prefix.
    #[serde(default)]
    pub force: bool,
}

/// A ban with its prefix in the body.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BanBodyWithPrefix {
    /// Address or CIDR prefix.
    pub prefix: String,
    /// How long: `90s`, `15m`, `2h`, `7d`. Without it, until it is lifted.
    #[serde(default)]
    pub ttl: Option<String>,
    /// Kept with the ban and shown with it.
    #[serde(default)]
    pub reason: Option<String>,
    /// On whose behalf; `api` unless named.
    #[serde(default)]
    pub origin: Option<String>,
    /// Ban even an own address or a very wide prefix.
    #[serde(default)]
    pub force: bool,
}

/// A ban that is durable and in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanAnswer {
    #[serde(flatten)]
    pub ban: Ban,
    /// Guards inside the prefix: their addresses are not banned.
    #[schema(value_type = Vec<String>)]
    pub exempted: Vec<Prefix>,
}

/// List bans, a page at a time, in the order of their prefixes
#[utoipa::path(
    get,
    path = "/v1/bans",
    tag = "bans",
    params(
        ("limit" = Option<usize>, Query, description = "Most bans on the page, 1 to 10000 [default: 1000]"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("origin" = Option<String>, Query, description = "Only bans of this origin"),
        ("covers" = Option<String>, Query, description = "Only bans on prefixes that hold this address"),
    ),
    responses((status = 200, body = BanPage), (status = 400, body = Problem))
)]
pub(crate) async fn list(State(app): State<App>, uri: Uri) -> Result<Json<BanPage>, Problem> {
    let mut parameters = Parameters::of(&uri, &["limit", "after", "origin", "covers"])?;
    let limit = parameters.parsed("limit")?.unwrap_or(PAGE_DEFAULT);
    if limit == 0 {
        return Err(Problem::field("/limit", "a page holds at least one ban"));
    }
    let query = BanQuery {
        limit,
        after: parameters.text("after"),
        origin: parameters.parsed("origin")?,
        covers: parameters.parsed("covers")?,
    };
    Ok(Json(app.core.bans(&query)?))
}

/// Ban a prefix named in the body
#[utoipa::path(
    post,
    path = "/v1/bans",
    tag = "bans",
    request_body = BanBodyWithPrefix,
    responses(
        (status = 201, body = BanAnswer, description = "New: durable and in force"),
        (status = 200, body = BanAnswer, description = "Changed: durable and in force"),
        (status = 400, body = Problem),
        (status = 409, body = Problem, description = "Guarded, own address, too short, or a conflict"),
        (status = 413, body = Problem),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<(StatusCode, Json<BanAnswer>), Problem> {
    let BanBodyWithPrefix {
        prefix,
        ttl,
        reason,
        origin,
        force,
    } = read_json(body).await?;
    ban(
        &app,
        caller,
        &prefix,
        BanBody {
            ttl,
            reason,
            origin,
            force,
        },
    )
    .await
}

/// Ban a prefix, or change the ban that its origin has on it
#[utoipa::path(
    put,
    path = "/v1/bans/{prefix}",
    tag = "bans",
    params(("prefix" = String, Path, description = "Address or CIDR prefix, percent-encoded")),
    request_body(content = BanBody, description = "May be left out"),
    responses(
        (status = 201, body = BanAnswer, description = "New: durable and in force"),
        (status = 200, body = BanAnswer, description = "Changed: durable and in force"),
        (status = 400, body = Problem),
        (status = 409, body = Problem, description = "Guarded, own address, too short, or a conflict"),
        (status = 413, body = Problem),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn put(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    prefix: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<(StatusCode, Json<BanAnswer>), Problem> {
    let prefix = path_text(prefix)?;
    let body = read_json(body).await?;
    ban(&app, caller, &prefix, body).await
}

/// Lift a ban
#[utoipa::path(
    delete,
    path = "/v1/bans/{prefix}",
    tag = "bans",
    params(
        ("prefix" = String, Path, description = "Address or CIDR prefix, percent-encoded"),
        ("origin" = Option<String>, Query, description = "Only this origin's ban [default: all origins']"),
    ),
    responses(
        (status = 204, description = "Lifted"),
        (status = 400, body = Problem),
        (status = 404, body = Problem),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn lift(
    State(app): State<App>,
    prefix: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    let prefix = parse_field("/prefix", &path_text(prefix)?)?;
    let origin = Parameters::of(&uri, &["origin"])?.parsed("origin")?;
    app.core.unban(prefix, origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ban(
    app: &App,
    Caller(caller): Caller,
    prefix: &str,
    body: BanBody,
) -> Result<(StatusCode, Json<BanAnswer>), Problem> {
    let BanBody {
        ttl,
        reason,
        origin,
        force,
    } = body;
    let ttl = ttl
        .map(|ttl| parse_field::<TtlDuration>("/ttl", &ttl))
        .transpose()?;
    let request = BanRequest {
        prefix: parse_field("/prefix", prefix)?,
        ttl: ttl.map(TtlDuration::get),
        reason,
        origin: origin_or_api(origin)?,
        force,
        caller,
    };
    let outcome = app.core.ban(request).await?;
    let status = if outcome.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((
        status,
        Json(BanAnswer {
            ban: outcome.ban,
            exempted: outcome.exempted,
        }),
    ))
}

fn path_text(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    match path {
        Ok(Path(text)) => Ok(text),
        Err(rejection) => Err(Problem {
            pointer: Some("/prefix".to_owned()),
            ..Problem::new(Kind::Malformed, rejection.body_text())
        }),
    }
}
