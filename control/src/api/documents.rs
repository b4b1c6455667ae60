//! Everything that policies are judged by, as documents: what `palisade policy explain`, `diff`
//! and `draw` ask for when no file is named.

use axum::{Json, extract::State, http::Uri};
use palisade_config::policy::{Dialect, list};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{App, problem::Problem, request::Parameters};

/// The documents in force and how they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InForce {
    pub generation: u32,
    #[schema(value_type = String)]
    pub dialect: Dialect,
    /// A List of Namespaces, Nodes, Pods and NetworkPolicies.
    #[schema(value_type = Object)]
    pub documents: serde_json::Value,
}

/// Inventory and policies in force
#[utoipa::path(
    get,
    path = "/v1/documents",
    tag = "policies",
    responses((status = 200, body = InForce), (status = 400, body = Problem))
)]
pub(crate) async fn documents(State(app): State<App>, uri: Uri) -> Result<Json<InForce>, Problem> {
    Parameters::of(&uri, &[])?;
    let published = app.core.in_force();
    Ok(Json(InForce {
        generation: published.generation,
        dialect: published.dialect,
        documents: list(&published.inventory, &published.policies),
    }))
}
