//! `labelSelector` and `fieldSelector` of lists and watches.

use std::str::FromStr;

use serde_json::Value;

use crate::objects::Object;

/// Requirements on labels, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl LabelSelector {
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |key: &str| labels?.get(key)?.as_str();
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
            Requirement::In(key, values) => {
                label(key).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Requirement::NotIn(key, values) => {
                !label(key).is_some_and(|found| values.iter().any(|value| value == found))
            }
        })
    }
}

impl FromStr for LabelSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = split_outside_brackets(text).into_iter();
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(parts.map(requirement).collect::<Result<_, _>>()?))
    }
}

/// At commas, except those between brackets.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0u32;
    text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .collect()
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let failed = || format!("unable to parse the label selector at `{text}`");
    let key = |key: &str| {
        let key = key.trim();
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        let good = !key.is_empty() && key.chars().all(is_plain);
        good.then(|| key.to_owned()).ok_or_else(failed)
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((name, value)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, one(value)));
    }
    if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(key(name)?, one(value)));
    }
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::Missing(key(name)?));
    }
    let Some((before, list)) = text.split_once('(') else {
        return Ok(Requirement::Exists(key(text)?));
    };
    let list = list.trim_end().strip_suffix(')').ok_or_else(failed)?;
    let values = list.split(',').map(|it| it.trim().to_owned()).collect();
    let (name, operator) = before
        .trim_end()
        .rsplit_once(char::is_whitespace)
        .ok_or_else(failed)?;
    match operator {
        "in" => Ok(Requirement::In(key(name)?, values)),
        "notin" => Ok(Requirement::NotIn(key(name)?, values)),
        _ => Err(failed()),
    }
}

/// Requirements on name and namespace, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSelector(Vec<(Field, bool, String)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

impl FieldSelector {
    pub(super) fn matches(&self, object: &Object) -> bool {
        self.0.iter().all(|(field, equal, value)| {
            let found = match field {
                Field::Name => &object.key.name,
                Field::Namespace => &object.key.namespace,
            };
            (found == value) == *equal
        })
    }
}

impl FromStr for FieldSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let requirements = parts.map(|part| {
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else {
                part.split_once("==")
                    .or_else(|| part.split_once('='))
                    .map(|(field, value)| (field, true, value))
                    .ok_or_else(|| format!("unable to parse the field selector at `{part}`"))?
            };
            let field = match field {
                "metadata.name" => Field::Name,
                "metadata.namespace" => Field::Namespace,
                other => {
                    return Err(format!(
                        "field label not supported: {other}; metadata.name and \
                         metadata.namespace are"
                    ));
                }
            };
            Ok((field, equal, value.to_owned()))
        });
        Ok(Self(requirements.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FieldSelector, LabelSelector};

    #[test]
    fn label_selectors() {
        let object = json!({"metadata": {"labels": {"role": "web", "a.b/tier": "1"}}});
        #[rustfmt::skip]
        let cases = [
            ("",                         Some(true)),
            ("role=web",                 Some(true)),
            ("role==web, a.b/tier=1",    Some(true)),
            ("role=db",                  Some(false)),
            ("role!=db",                 Some(true)),
            ("other!=db",                Some(true)),
            ("role",                     Some(true)),
            ("other",                    Some(false)),
            ("!other",                   Some(true)),
            ("!role",                    Some(false)),
            ("role in (db,web)",         Some(true)),
            ("role in (db),!other",      Some(false)),
            ("role notin (db, cache)",   Some(true)),
            ("role notin (web)",         Some(false)),
            ("role in db",               None),
            ("role in (db",              None),
            ("role near (db)",           None),
            ("=web",                     None),
        ];
        for (text, want) in cases {
            let got = text.parse::<LabelSelector>();
            assert_eq!(got.ok().map(|it| it.matches(&object)), want, "{text}");
        }
    }

    #[test]
    fn fields_that_are_not_known_are_refused() {
        assert!(
            "metadata.name=a,metadata.namespace!=b"
                .parse::<FieldSelector>()
                .is_ok()
        );
        assert!("spec.nodeName=a".parse::<FieldSelector>().is_err());
        assert!("metadata.name".parse::<FieldSelector>().is_err());
    }
}
