//! What the API offers, for clients that ask before they do anything.
//!
//! The plain form (APIVersions, APIGroupList, APIResourceList) is answered to those who ask for the
//! aggregated one as well; every kubectl reads both.

use axum::Json;
use serde_json::{Value, json};

use super::{GROUP, NAMESPACES, NETWORK_POLICIES, PODS, Resource};

/// The version of the Kubernetes API whose behaviour this follows.
const MINOR: &str = "32";

pub(super) async fn version() -> Json<Value> {
    Json(json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": format!("v1.{MINOR}.0+palisade-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    }))
}

pub(super) async fn core_versions() -> Json<Value> {
    Json(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
}

fn networking() -> Value {
    let version = json!({"groupVersion": NETWORK_POLICIES.version, "version": "v1"});
    json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": [version],
        "preferredVersion": version,
    })
}

pub(super) async fn groups() -> Json<Value> {
    Json(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [networking()]}))
}

pub(super) async fn group() -> Json<Value> {
    Json(networking())
}

pub(super) async fn core_resources() -> Json<Value> {
    let read = ["get", "list", "watch"];
    Json(json!({
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            resource(&NAMESPACES, "namespace", "ns", &read),
            resource(&PODS, "pod", "po", &read),
        ],
    }))
}

pub(super) async fn resources() -> Json<Value> {
    let all = [
        "create", "delete", "get", "list", "patch", "update", "watch",
    ];
    Json(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": NETWORK_POLICIES.version,
        "resources": [resource(&NETWORK_POLICIES, "networkpolicy", "netpol", &all)],
    }))
}

fn resource(resource: &Resource, singular: &str, short: &str, verbs: &[&str]) -> Value {
    json!({
        "name": resource.plural,
        "singularName": singular,
        "namespaced": resource.kind != NAMESPACES.kind,
        "kind": resource.name,
        "verbs": verbs,
        "shortNames": [short],
    })
}
