//! NetworkPolicies of the running daemon.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, Uri},
};
use palisade_config::policy::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App,
    problem::{Kind, Problem, ProblemItem},
    request::{Parameters, read_body},
};
use crate::core::{Applied, PolicyRefusal, StoredPolicy};

/// Longest set of documents in one call: what the Kubernetes API server takes.
const DOCUMENTS_BYTES_MAX: usize = 3 << 20;

/// Every policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyList {
    pub policies: Vec<StoredPolicy>,
}

/// Put NetworkPolicy documents in force: all of them or none
#[utoipa::path(
    post,
    path = "/v1/policies",
    tag = "policies",
    params(("dry_run" = Option<bool>, Query, description = "Check, and change nothing")),
    request_body(content((String = "application/yaml"))),
    responses(
        (status = 200, body = Applied, description = "Durable and in force"),
        (status = 400, body = Problem, description = "`errors` names every fault with its place"),
        (status = 409, body = Problem),
        (status = 413, body = Problem),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn apply(
    State(app): State<App>,
    uri: Uri,
    body: Body,
) -> Result<Json<Applied>, Problem> {
    let dry_run = Parameters::of(&uri, &["dry_run"])?
        .parsed("dry_run")?
        .unwrap_or(false);
    let text = read_body(body, DOCUMENTS_BYTES_MAX).await?;
    let text = String::from_utf8(text.into()).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Problem::new(
            Kind::Malformed,
            format!("the documents are not UTF-8 at byte {place}"),
        )
    })?;
    Ok(Json(app.core.apply_policies(text, dry_run).await?))
}

/// Every policy in force
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "policies",
    responses((status = 200, body = PolicyList), (status = 400, body = Problem))
)]
pub(crate) async fn list(State(app): State<App>, uri: Uri) -> Result<Json<PolicyList>, Problem> {
    Parameters::of(&uri, &[])?;
    Ok(Json(PolicyList {
        policies: app.core.policies(),
    }))
}

/// One policy
#[utoipa::path(
    get,
    path = "/v1/policies/{namespace}/{name}",
    tag = "policies",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = StoredPolicy), (status = 404, body = Problem))
)]
pub(crate) async fn one(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<StoredPolicy>, Problem> {
    let mut policies = app.core.policies().into_iter();
    let found = policies.find(|policy| policy.namespace == namespace && policy.name == name);
    found.map(Json).ok_or_else(|| {
        Problem::new(
            Kind::NotFound,
            format!("there is no policy {namespace}/{name}"),
        )
    })
}

/// Remove a policy that came through the API
#[utoipa::path(
    delete,
    path = "/v1/policies/{namespace}/{name}",
    tag = "policies",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It comes from a file"),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.core.delete_policy(&namespace, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<PolicyRefusal> for Problem {
    fn from(refusal: PolicyRefusal) -> Self {
        let faults = match refusal {
            PolicyRefusal::Refused(refusal) => return refusal.into(),
            PolicyRefusal::Faults(faults) => faults,
        };
        let detail = match faults.as_slice() {
            [fault] => format!("{}: {}", fault.field, fault.message),
            faults => format!(
                "{} faults in the documents, nothing was applied",
                faults.len()
            ),
        };
        let errors = faults.into_iter().map(item).collect();
        Self {
            errors,
            ..Self::new(Kind::Malformed, detail)
        }
    }
}

fn item(fault: Fault) -> ProblemItem {
    let place = |number: usize| u64::try_from(number).ok().filter(|number| *number > 0);
    ProblemItem {
        message: fault.message,
        line: place(fault.line),
        column: place(fault.column),
        document: u64::try_from(fault.document).ok(),
        field: Some(fault.field).filter(|field| !field.is_empty()),
        hint: fault.hint,
    }
}
