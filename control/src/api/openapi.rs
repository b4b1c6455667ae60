//! The OpenAPI document, generated from the handlers.

use axum::Json;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{bans, documents, events, explain, import, policies, status};

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "palisade",
        description = "Bans, policies and state of one palisade node. The unix socket needs no \
                       token; over TCP every call but `/healthz` and `/readyz` does. Errors are \
                       RFC 9457 problems.",
    ),
    paths(
        bans::list,
        bans::create,
        bans::put,
        bans::lift,
        import::import,
        explain::explain,
        status::status,
        events::events,
        policies::list,
        policies::apply,
        policies::one,
        policies::delete,
        documents::documents,
        status::healthz,
        status::readyz,
        status::metrics,
        document,
    ),
    tags(
        (name = "bans", description = "Sources that lose all their traffic"),
        (name = "policies", description = "NetworkPolicy documents"),
        (name = "state", description = "What is, what would be and what happens"),
    ),
    security(("token" = [])),
    modifiers(&Token),
)]
pub(crate) struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", scheme);
    }
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "state",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
