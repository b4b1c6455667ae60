//! Why a connection would pass or not.

use axum::{Json, extract::State, http::Uri};
use palisade_config::types::Protocol;

use super::{
    App,
    problem::Problem,
    request::{Parameters, parse_field},
};
use crate::core::{Explanation, Question};

/// The chain of tables, prefixes, policies and rules that decides about a new connection
#[utoipa::path(
    get,
    path = "/v1/explain",
    tag = "state",
    params(
        ("from" = String, Query, description = "Source address"),
        ("to" = String, Query, description = "Destination address"),
        ("protocol" = Option<String>, Query, description = "`tcp`, `udp` or `sctp` [default: tcp]"),
        ("port" = u16, Query, description = "Destination port"),
    ),
    responses((status = 200, body = Explanation), (status = 400, body = Problem))
)]
pub(crate) async fn explain(
    State(app): State<App>,
    uri: Uri,
) -> Result<Json<Explanation>, Problem> {
    let mut parameters = Parameters::of(&uri, &["from", "to", "protocol", "port"])?;
    let protocol = parameters
        .text("protocol")
        .unwrap_or_else(|| "tcp".to_owned());
    let question = Question {
        from: parameters.required("from")?,
        to: parameters.required("to")?,
        protocol: parse_field::<Protocol>("/protocol", &protocol.to_ascii_lowercase())?,
        port: parameters.required("port")?,
    };
    if question.port == 0 {
        return Err(Problem::field("/port", "ports are numbers from 1 to 65535"));
    }
    Ok(Json(app.core.explain(&question)?))
}
