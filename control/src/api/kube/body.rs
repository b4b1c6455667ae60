//! Bodies of writes, read strictly: a key that stands twice in a JSON text is a fault.

use std::fmt;

use palisade_config::policy::{Document, Limits, parse_documents};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{NETWORK_POLICIES, status::Status};

/// A JSON text in which every key stands once.
pub(super) fn strict_json(text: &str) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// One NetworkPolicy, in JSON or YAML, without a fault.
///
/// JSON comes back as it was written; `name` is for the message.
pub(super) fn policy(text: &str, name: &str) -> Result<Value, Status> {
    let resource = &NETWORK_POLICIES;
    let documents = parse_documents(text, &Limits::default())
        .map_err(|faults| Status::invalid(resource, name, &faults))?;
    match documents.as_slice() {
        [Document::NetworkPolicy(policy)] => {
            let is_json = text.trim_start().starts_with('{');
            let written = is_json.then(|| strict_json(text).ok()).flatten();
            Ok(written.unwrap_or_else(|| policy.manifest()))
        }
        _ => Err(Status::bad_request("the body is one NetworkPolicy")),
    }
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key '{key}' is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// What is used of DeleteOptions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeleteOptions {
    pub(super) preconditions: Preconditions,
    pub(super) dry_run: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Preconditions {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::strict_json;

    #[test]
    fn a_key_stands_once() {
        assert!(strict_json(r#"{"a": [{"b": 1, "c": null}, 1.5, -2, "x", true]}"#).is_ok());
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"b": {"a": 1, "a": 2}}]"#,
            "{} {}",
            "{",
        ] {
            assert!(strict_json(text).is_err(), "{text}");
        }
    }
}
