//! `/openapi/v3`: what `kubectl explain` shows, and what tells `kubectl apply` that the server
//! validates by itself (`fieldValidation` among the parameters of PATCH).

use axum::Json;
use serde_json::{Map, Value, json};

use super::{NAMESPACES, NETWORK_POLICIES, PODS, Resource};

/// Schemas of the objects, with descriptions.
const NETWORKING: &str = include_str!("openapi/networking.json");
const CORE: &str = include_str!("openapi/core.json");

pub(super) async fn index() -> Json<Value> {
    let path = |path: &str| {
        let hash = env!("CARGO_PKG_VERSION");
        json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})
    };
    Json(json!({"paths": {
        "api/v1": path("api/v1"),
        "apis/networking.k8s.io/v1": path("apis/networking.k8s.io/v1"),
    }}))
}

pub(super) async fn networking() -> Json<Value> {
    let mut paths = Map::new();
    let all = ["get", "post", "put", "patch", "delete"];
    add_paths(&mut paths, &NETWORK_POLICIES, &all);
    Json(document(paths, NETWORKING))
}

pub(super) async fn core() -> Json<Value> {
    let mut paths = Map::new();
    add_paths(&mut paths, &NAMESPACES, &["get"]);
    add_paths(&mut paths, &PODS, &["get"]);
    Json(document(paths, CORE))
}

fn document(paths: Map<String, Value>, schemas: &str) -> Value {
    let schemas: Value = serde_json::from_str(schemas).unwrap_or_default();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "palisade", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn add_paths(paths: &mut Map<String, Value>, resource: &Resource, methods: &[&str]) {
    let Resource {
        plural, version, ..
    } = resource;
    let root = if resource.group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{version}")
    };
    let everywhere = format!("{root}/{plural}");
    let collection = if resource.kind == NAMESPACES.kind {
        everywhere.clone()
    } else {
        format!("{root}/namespaces/{{namespace}}/{plural}")
    };
    let mut add = |path: String, methods: &[&str], action: &str| {
        let operations: Map<String, Value> = methods
            .iter()
            .map(|method| ((*method).to_owned(), operation(resource, method, action)))
            .collect();
        paths.insert(path, Value::Object(operations));
    };
    let of_all: Vec<&str> = methods
        .iter()
        .copied()
        .filter(|it| ["get", "post"].contains(it))
        .collect();
    let of_one: Vec<&str> = methods.iter().copied().filter(|it| *it != "post").collect();
    add(everywhere, &["get"], "list");
    add(collection.clone(), &of_all, "list");
    add(format!("{collection}/{{name}}"), &of_one, "get");
}

fn operation(resource: &Resource, method: &str, action: &str) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let parameters: Vec<Value> = match method {
        "get" => vec![],
        "delete" => vec![parameter("dryRun")],
        _ => ["dryRun", "fieldManager", "fieldValidation"]
            .map(parameter)
            .to_vec(),
    };
    let action = match method {
        "get" => action,
        other => other,
    };
    json!({
        "operationId": format!("{action}{}", resource.name),
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind":
            {"group": resource.group, "version": "v1", "kind": resource.name},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{CORE, NETWORKING};

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.insert(target.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_schemas_refer_to_nothing_that_is_missing() {
        for text in [NETWORKING, CORE] {
            let schemas: Value = serde_json::from_str(text).unwrap();
            let mut found = BTreeSet::new();
            references(&schemas, &mut found);
            assert!(!found.is_empty());
            for target in found {
                let name = target.strip_prefix("#/components/schemas/").expect(&target);
                assert!(schemas.get(name).is_some(), "{name}");
            }
        }
    }
}
