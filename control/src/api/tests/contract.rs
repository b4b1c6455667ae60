//! The OpenAPI document and the routes are one and the same.

use std::collections::BTreeSet;

use axum::{body::Body, http::Method};
use serde_json::Value;
use utoipa::OpenApi;

use super::Rig;
use crate::api::{openapi::Document, routes};

const METHODS: [(&str, Method); 5] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("patch", Method::PATCH),
];

fn document() -> Value {
    serde_json::to_value(Document::openapi()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_documented_and_every_documented_call_is_served() {
    let rig = Rig::new().await;
    // What is not answered at once is no call of this test.
    rig.shutdown.cancel();
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<String> = paths.keys().cloned().collect();
    let routed: BTreeSet<String> = routes()
        .into_iter()
        .map(|(path, _)| path.replace("{*", "{"))
        .collect();
    assert_eq!(documented, routed);

    for (path, operations) in paths {
        let concrete = path
            .replace("{prefix}", "192.0.2.1")
            .replace("{namespace}", "default")
            .replace("{name}", "nothing");
        for (name, method) in METHODS {
            let answer = rig.call(method, &concrete, Body::empty()).await;
            let is_served = answer.status != 405;
            // A literal path next to the wildcard of prefixes is not a prefix.
            assert_eq!(is_served, operations.get(name).is_some(), "{name} {path}");
        }
    }
}

#[test]
fn the_document_is_openapi_3_1_and_refers_to_nothing_that_is_missing() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let name = reference
            .strip_prefix("#/components/schemas/")
            .expect(&reference);
        assert!(schemas.contains_key(name), "{name}");
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = format!("{method} {path}");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{id}"
            );
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{id}"
            );
        }
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                references.insert(reference.clone());
            }
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn an_answer_has_the_fields_that_its_schema_says() {
    let document = document();
    let problem = &document["components"]["schemas"]["Problem"]["properties"];
    for field in [
        "type", "title", "status", "detail", "pointer", "errors", "force",
    ] {
        assert!(problem.get(field).is_some(), "{field}");
    }
}
