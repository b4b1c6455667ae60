//! Label selectors.

use std::collections::BTreeMap;

use super::metadata::labels;
use crate::{
    policy::{Expression, Operator, Selector, yaml::fields::Field},
    types,
};

const FORGOTTEN: &str = "labels belong under matchLabels";

pub(super) fn selector(field: &Field<'_>) -> Option<Selector> {
    let object = field.object(&["matchLabels", "matchExpressions"], &[("*", FORGOTTEN)])?;
    let labels = object
        .get("matchLabels")
        .map_or(Some(BTreeMap::new()), |field| labels(&field));
    let expressions: Vec<_> = object
        .items("matchExpressions")
        .iter()
        .map(expression)
        .collect();
    Some(Selector {
        labels: labels?,
        expressions: expressions.into_iter().collect::<Option<_>>()?,
    })
}

fn expression(field: &Field<'_>) -> Option<Expression> {
    let object = field.object(&["key", "operator", "values"], &[])?;
    let key = object.require("key").and_then(|field| {
        let key = field.text()?;
        if let Err(error) = types::label_key(key) {
            field.fault(format!("label key '{key}' {error}"));
        }
        Some(key.to_owned())
    });
    let operator = object
        .require("operator")
        .and_then(|field| operator(&field));
    let values: Option<Vec<_>> = object.items("values").iter().map(value).collect();
    let (operator, values) = (operator?, values?);
    let takes_values = matches!(operator, Operator::In | Operator::NotIn);
    match object.get("values") {
        _ if takes_values && values.is_empty() => {
            object.missing(
                "values",
                format!("{} needs at least one value", operator.name()),
            );
        }
        Some(field) if !takes_values && !values.is_empty() => {
            field.fault(format!("{} takes no values", operator.name()));
        }
        _ => {}
    }
    Some(Expression {
        key: key?,
        operator,
        values,
    })
}

fn operator(field: &Field<'_>) -> Option<Operator> {
    let text = field.text()?;
    let found = Operator::ALL
        .into_iter()
        .find(|operator| operator.name() == text);
    if found.is_none() {
        field.fault(format!(
            "'{text}' is no operator; write In, NotIn, Exists or DoesNotExist"
        ));
    }
    found
}

fn value(field: &Field<'_>) -> Option<String> {
    let value = field.text()?;
    if let Err(error) = types::label_value(value) {
        field.fault(format!("label value '{value}' {error}"));
    }
    Some(value.to_owned())
}
