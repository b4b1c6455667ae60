//! Errors as the API answers them: RFC 9457 problems with a pointer to the field at fault.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for a program (`type`, `pointer`, `errors`) and for a person (`title`, `detail`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:palisade:problem:` and a name of the kind.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    #[schema(value_type = String)]
    pub title: Box<str>,
    pub status: u16,
    /// What exactly, and what to do about it.
    pub detail: String,
    /// JSON pointer to the field, query parameter or path segment at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Whether `"force": true` would be accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// Every fault, where a request can have several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
}

/// One fault of several: a line of an import, or a field of a policy document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemItem {
    pub message: String,
    /// Counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Counted from 0, where a text holds several documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<u64>,
    /// Dotted path of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The kinds of problem: a closed list that scripts can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Malformed,
    Unauthenticated,
    Forbidden,
    WrongHost,
    NotFound,
    MethodNotAllowed,
    Guarded,
    OwnAddress,
    TooShort,
    Conflict,
    Full,
    TooLarge,
    TooManyFailures,
    Unavailable,
    TimedOut,
    Internal,
}

impl Kind {
    pub const ALL: [Self; 16] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::WrongHost,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Guarded,
        Self::OwnAddress,
        Self::TooShort,
        Self::Conflict,
        Self::Full,
        Self::TooLarge,
        Self::TooManyFailures,
        Self::Unavailable,
        Self::TimedOut,
        Self::Internal,
    ];

    /// Name, title and status.
    pub fn describe(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::Malformed => (
                "malformed",
                "the request is malformed",
                StatusCode::BAD_REQUEST,
            ),
            Self::Unauthenticated => (
                "unauthenticated",
                "a valid token is needed",
                StatusCode::UNAUTHORIZED,
            ),
            Self::Forbidden => (
                "forbidden",
                "the token's role does not allow this",
                StatusCode::FORBIDDEN,
            ),
            Self::WrongHost => (
                "wrong-host",
                "this host name is not served here",
                StatusCode::FORBIDDEN,
            ),
            Self::NotFound => ("not-found", "there is no such thing", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                "this path does not take this method",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            Self::Guarded => ("guarded", "the prefix is guarded", StatusCode::CONFLICT),
            Self::OwnAddress => (
                "own-address",
                "the prefix covers your own address",
                StatusCode::CONFLICT,
            ),
            Self::TooShort => ("too-short", "the prefix is very wide", StatusCode::CONFLICT),
            Self::Conflict => (
                "conflict",
                "the state does not allow this",
                StatusCode::CONFLICT,
            ),
            Self::Full => ("full", "a table is full", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooLarge => (
                "too-large",
                "the request is too large",
                StatusCode::PAYLOAD_TOO_LARGE,
            ),
            Self::TooManyFailures => (
                "too-many-failures",
                "too many failed attempts",
                StatusCode::TOO_MANY_REQUESTS,
            ),
            Self::Unavailable => (
                "unavailable",
                "this cannot be done now",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::TimedOut => (
                "timed-out",
                "the request took too long",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Internal => (
                "internal",
                "a fault of palisade",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        }
    }
}

const KIND_PREFIX: &str = "urn:palisade:problem:";

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (name, title, status) = kind.describe();
        Self {
            kind: format!("{KIND_PREFIX}{name}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            pointer: None,
            force: None,
            errors: Vec::new(),
        }
    }

    /// A malformed field; `pointer` is its JSON pointer.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            ..Self::new(Kind::Malformed, detail)
        }
    }

    pub fn is(&self, kind: Kind) -> bool {
        self.kind.strip_prefix(KIND_PREFIX) == Some(kind.describe().0)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.is(Kind::Unauthenticated) {
            let challenge = HeaderValue::from_static("Bearer realm=\"palisade\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.is(Kind::TooManyFailures) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_has_its_own_name_and_an_error_status() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.describe().0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let (name, _, status) = kind.describe();
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{name}"
            );
        }
    }
}
