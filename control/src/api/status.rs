//! How the daemon is: for people, probes and Prometheus.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, Uri, header},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App,
    problem::{Kind, Problem},
    request::Parameters,
};
use crate::{
    core::{Readiness, Status},
    metrics,
};

/// Everything about the daemon in one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusAnswer {
    #[serde(flatten)]
    pub status: Status,
    /// The packet counters that are not zero.
    pub packets: Vec<PacketCount>,
}

/// One packet counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketCount {
    pub interface: String,
    /// Where it was judged: `xdp` or `worker`.
    pub stage: String,
    /// `pass`, `drop`, `inspect` (handed to the worker stage) or `lost`.
    pub verdict: String,
    pub reason: String,
    pub packets: u64,
    pub bytes: u64,
}

/// Interfaces, workers, counters and policy files
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "state",
    responses((status = 200, body = StatusAnswer), (status = 400, body = Problem))
)]
pub(crate) async fn status(
    State(app): State<App>,
    uri: Uri,
) -> Result<Json<StatusAnswer>, Problem> {
    Parameters::of(&uri, &[])?;
    let mut packets = Vec::new();
    for interface in app.core.figures().interfaces {
        for cell in interface.cells {
            packets.push(PacketCount {
                interface: interface.name.clone(),
                stage: cell.stage.label().to_owned(),
                verdict: cell.verdict.label().to_owned(),
                reason: cell.reason.label().to_owned(),
                packets: cell.packets,
                bytes: cell.bytes,
            });
        }
    }
    Ok(Json(StatusAnswer {
        status: app.core.status(),
        packets,
    }))
}

/// Whether the daemon answers at all; needs no token
#[utoipa::path(get, path = "/healthz", tag = "state", responses((status = 200, body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether everything that is wanted is in force; needs no token
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "state",
    responses((status = 200, body = Readiness), (status = 503, body = Problem))
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    let readiness = app.core.readiness();
    if readiness.ready {
        Ok(Json(readiness))
    } else {
        Err(Problem::new(
            Kind::Unavailable,
            readiness.problems.join("; "),
        ))
    }
}

/// Prometheus metrics
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "state",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(
    State(app): State<App>,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    let content_type = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    let page = metrics::render(&app.core.figures())
        .map_err(|error| Problem::new(Kind::Unavailable, error.to_string()))?;
    Ok((content_type, page))
}
