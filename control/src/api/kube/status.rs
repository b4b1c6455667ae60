//! Errors as clients of Kubernetes read them: `Status` objects with a reason and causes.

use axum::{
    Json,
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use palisade_config::policy::Fault;
use serde_json::{Value, json};

use super::Resource;
use crate::{
    api::problem::Problem,
    core::{PolicyRefusal, Refusal},
    objects::managed::Conflict,
};

/// A failure, ready to be answered.
#[derive(Clone, Debug)]
pub(super) struct Status {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Status {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    fn about(resource: &Resource, name: &str) -> Value {
        let mut details = json!({"kind": resource.plural});
        for (key, value) in [("name", name), ("group", resource.group)] {
            if !value.is_empty() {
                set(&mut details, key, value.into());
            }
        }
        details
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    pub(super) fn too_many_watches() -> Self {
        let message = "too many watches are open";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
    }

    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.full_name());
        Self {
            details: Self::about(resource, name),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    pub(super) fn already_exists(resource: &Resource, name: &str, source: Option<&str>) -> Self {
        let mut message = format!("{} \"{name}\" already exists", resource.full_name());
        if let Some(file) = source {
            message += &format!(" in file {file} of the policy directory");
        }
        Self {
            details: Self::about(resource, name),
            ..Self::new(StatusCode::CONFLICT, "AlreadyExists", message)
        }
    }

    /// What was read is not what is there any more.
    pub(super) fn outdated(resource: &Resource, name: &str, what: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; \
             please apply your changes to the latest version and try again ({what})",
            resource.full_name()
        );
        Self {
            details: Self::about(resource, name),
            ..Self::new(StatusCode::CONFLICT, "Conflict", message)
        }
    }

    pub(super) fn read_only(resource: &Resource, name: &str, file: &str) -> Self {
        let message = format!(
            "{} \"{name}\" is forbidden: it stands in file {file} of the policy directory; \
             change it there",
            resource.full_name()
        );
        Self {
            details: Self::about(resource, name),
            ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
        }
    }

    pub(super) fn expired(error: &crate::objects::Expired) -> Self {
        let message = format!("too old resource version: {error}; list again");
        Self::new(StatusCode::GONE, "Expired", message)
    }

    pub(super) fn unsupported_media(found: &str) -> Self {
        let message = format!(
            "the content type `{found}` is not taken here; patches are \
             application/json-patch+json, application/merge-patch+json, \
             application/strategic-merge-patch+json or application/apply-patch+yaml"
        );
        let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(code, "UnsupportedMediaType", message)
    }

    /// Fields that others manage, which a server-side apply would have changed.
    pub(super) fn apply_conflicts(conflicts: &[Conflict]) -> Self {
        let field = |conflict: &Conflict| {
            let names: String = conflict.field.iter().map(|it| format!(".{it}")).collect();
            names
        };
        let message = match conflicts {
            [one] => format!(
                "Apply failed with 1 conflict: conflict with \"{}\" using {}: {}",
                one.manager,
                one.operation,
                field(one)
            ),
            many => {
                let mut message = format!("Apply failed with {} conflicts:", many.len());
                for conflict in many {
                    message += &format!(
                        "\nconflict with \"{}\" using {}: {}",
                        conflict.manager,
                        conflict.operation,
                        field(conflict)
                    );
                }
                message
            }
        };
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|conflict| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with \"{}\" using {}", conflict.manager, conflict.operation),
                    "field": field(conflict),
                })
            })
            .collect();
        Self {
            details: json!({"causes": causes}),
            ..Self::new(StatusCode::CONFLICT, "Conflict", message)
        }
    }

    /// Faults of a document, each a cause.
    pub(super) fn invalid(resource: &Resource, name: &str, faults: &[Fault]) -> Self {
        let says = |fault: &Fault| match &fault.hint {
            Some(hint) => format!("{}; {hint}", fault.message),
            None => fault.message.clone(),
        };
        let line = |fault: &Fault| match fault.field.as_str() {
            "" => says(fault),
            field => format!("{field}: {}", says(fault)),
        };
        let lines: Vec<String> = faults.iter().map(line).collect();
        let list = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!(
            "{}.{} \"{name}\" is invalid: {list}",
            resource.name, resource.group
        );
        let causes: Vec<Value> = faults
            .iter()
            .map(|fault| {
                json!({
                    "reason": "FieldValueInvalid",
                    "message": says(fault),
                    "field": fault.field,
                })
            })
            .collect();
        let mut details = Self::about(resource, name);
        set(&mut details, "kind", resource.name.into());
        set(&mut details, "causes", causes.into());
        Self {
            details,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
        }
    }

    pub(super) fn refused(resource: &Resource, name: &str, refusal: PolicyRefusal) -> Self {
        match refusal {
            PolicyRefusal::Faults(faults) => Self::invalid(resource, name, &faults),
            PolicyRefusal::Refused(Refusal::NotFound { .. }) => Self::not_found(resource, name),
            PolicyRefusal::Refused(refusal) => Problem::from(refusal).into(),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code.as_u16(),
        });
        if !self.details.is_null() {
            set(&mut value, "details", self.details.clone());
        }
        value
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let code = StatusCode::from_u16(problem.status);
        let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reason = match code {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
            StatusCode::CONFLICT => "Conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            _ => "InternalError",
        };
        Self::new(code, reason, problem.detail)
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response<Body> {
        (self.code, Json(self.to_value())).into_response()
    }
}
