//! Requests read strictly: unknown keys, doubled keys and bodies past their limit are refused with
//! the place of the fault.

use std::{fmt::Display, str::FromStr};

use axum::{
    body::{Body, Bytes},
    extract::Query,
    http::Uri,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};
use crate::core::{ORIGINS_MAX, Origin, Refusal};

/// Longest JSON body.
pub(crate) const JSON_BYTES_MAX: usize = 64 << 10;

/// The whole body, if it is not longer than `limit`.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            Kind::TooLarge,
            format!("the body is longer than {limit} bytes"),
        )),
        Err(error) => Err(Problem::new(
            Kind::Malformed,
            format!("the body broke off: {error}"),
        )),
    }
}

/// A JSON body. An empty one is the empty object, where the type allows that.
pub(crate) async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = read_body(body, JSON_BYTES_MAX).await?;
    let text = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}".as_slice()
    } else {
        &bytes
    };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer_of(error.path());
        Problem {
            pointer,
            ..Problem::new(Kind::Malformed, error.inner().to_string())
        }
    })?;
    let end = deserializer.end();
    end.map_err(|error| Problem::new(Kind::Malformed, error.to_string()))?;
    Ok(value)
}

/// The JSON pointer to a field; `None` for the whole document.
fn pointer_of(path: &serde_path_to_error::Path) -> Option<String> {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// The parameters of a query, each taken once.
#[derive(Debug)]
pub(crate) struct Parameters {
    left: Vec<(String, String)>,
}

impl Parameters {
    /// Refuses names that are not in `known`, and names that come twice.
    pub(crate) fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(left) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::new(Kind::Malformed, error.to_string()))?;
        for (index, (name, _)) in left.iter().enumerate() {
            let pointer = || format!("/{name}");
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                let detail = format!("unknown parameter `{name}`; known here: {known}");
                return Err(Problem::field(pointer(), detail));
            }
            if left.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(Problem::field(
                    pointer(),
                    format!("`{name}` is given twice"),
                ));
            }
        }
        Ok(Self { left })
    }

    /// The parameter's text; an empty one counts as not given.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let index = self.left.iter().position(|(key, _)| key == name)?;
        Some(self.left.swap_remove(index).1).filter(|text| !text.is_empty())
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| parse_field(&format!("/{name}"), &text))
            .transpose()
    }

    pub(crate) fn required<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<T, Problem> {
        let missing = || Problem::field(format!("/{name}"), format!("`{name}` is missing"));
        self.parsed(name)?.ok_or_else(missing)
    }
}

/// Parses one field; the error names it.
pub(crate) fn parse_field<T: FromStr<Err: Display>>(
    pointer: &str,
    text: &str,
) -> Result<T, Problem> {
    text.parse()
        .map_err(|error: T::Err| Problem::field(pointer, error.to_string()))
}

/// The origin that a request names, or the API's own.
pub(crate) fn origin_or_api(text: Option<String>) -> Result<Origin, Problem> {
    parse_field("/origin", text.as_deref().unwrap_or("api"))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::Guarded { .. } => Kind::Guarded,
            Refusal::OwnAddress { .. } => Kind::OwnAddress,
            Refusal::TooShort { .. } => Kind::TooShort,
            Refusal::NotFound { .. } => Kind::NotFound,
            Refusal::Conflict { .. } => Kind::Conflict,
            Refusal::Full { .. } => Kind::Full,
            Refusal::Invalid { .. } => Kind::Malformed,
            Refusal::Unavailable { .. } => Kind::Unavailable,
        };
        let (pointer, force) = match &refusal {
            Refusal::Guarded { .. } => (Some("/prefix".to_owned()), Some(false)),
            Refusal::OwnAddress { .. } | Refusal::TooShort { .. } => {
                (Some("/prefix".to_owned()), Some(true))
            }
            Refusal::Invalid { pointer, .. } => (Some(pointer.clone()), None),
            _ => (None, None),
        };
        let detail = match &refusal {
            Refusal::Full { .. } => format!("{refusal}; at most {ORIGINS_MAX} origins share it"),
            _ => refusal.to_string(),
        };
        Self {
            pointer,
            force,
            ..Self::new(kind, detail)
        }
    }
}
