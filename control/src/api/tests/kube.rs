//! What kubectl does not ask for, and what only a client on the wire sees.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Answer, Rig, bearing, remote, request};
use crate::api::gate::Peer;

const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";

fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": {"role": name}},
        "spec": {"podSelector": {}},
    })
}

impl Rig {
    async fn create(&self, name: &str) -> Value {
        let answer = self
            .call(Method::POST, POLICIES, policy(name).to_string())
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    async fn patch(&self, name: &str, kind: &str, query: &str, patch: &Value) -> Answer {
        let path = format!("{POLICIES}/{name}{query}");
        let mut request = request(Method::PATCH, &path, patch.to_string());
        let kind = kind.parse().unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.send(Peer::Local, request).await
    }

    /// The lines of a watch that ends after `seconds`.
    async fn watch(&self, query: &str, seconds: u64) -> Vec<Value> {
        let path = format!("{POLICIES}?watch=true&timeoutSeconds={seconds}&{query}");
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let lines = answer.text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

/// Type and name of each event.
fn told(events: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tell = |event: &Value| {
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    };
    events.iter().map(tell).collect()
}

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

/// Asserts that an answer is a `Status`, and gives it.
fn status(name: &str, answer: &Answer, code: u16, reason: &str) -> Value {
    assert_eq!(answer.status.as_u16(), code, "{name}: {}", answer.text);
    assert_eq!(answer.content_type(), "application/json", "{name}");
    let status = answer.json();
    assert_eq!(status["kind"], "Status", "{name}: {status}");
    assert_eq!(status["status"], "Failure", "{name}: {status}");
    assert_eq!(
        (&status["reason"], &status["code"]),
        (&json!(reason), &json!(code)),
        "{name}"
    );
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_from_a_version() {
    let rig = Rig::new().await;
    let first = rig.create("a").await;
    rig.create("b").await;
    rig.call(Method::DELETE, &format!("{POLICIES}/a"), Body::empty())
        .await;
    let from = format!("resourceVersion={}", version(&first));
    let events = rig.watch(&from, 0).await;
    assert_eq!(told(&events), [event("ADDED", "b"), event("DELETED", "a")]);
    let last = version(&events[1]["object"]).parse::<u64>().unwrap();
    assert_eq!(last, version(&first).parse::<u64>().unwrap() + 2);

    let everything = rig
        .watch("sendInitialEvents=true&allowWatchBookmarks=true", 0)
        .await;
    assert_eq!(
        told(&everything),
        [event("ADDED", "b"), event("BOOKMARK", "")]
    );
    let bookmark = &everything[1]["object"]["metadata"];
    assert_eq!(bookmark["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["resourceVersion"], last.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_objects_come_into_and_leave_its_selection() {
    let rig = Rig::new().await;
    let first = rig.create("a").await;
    let label = |value: &str| json!({"metadata": {"labels": {"role": value}}});
    for value in ["x", "x", "y"] {
        rig.patch("a", "application/merge-patch+json", "", &label(value))
            .await;
    }
    let from = format!("resourceVersion={}", version(&first));
    let events = rig
        .watch(&format!("{from}&labelSelector=role%3Dx"), 0)
        .await;
    assert_eq!(told(&events), [event("ADDED", "a"), event("DELETED", "a")]);
    let named = rig
        .watch(&format!("{from}&fieldSelector=metadata.name%3Db"), 0)
        .await;
    assert!(named.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_waits_is_woken() {
    let rig = Rig::new().await;
    let path = format!("{POLICIES}?watch=true&timeoutSeconds=20");
    let mut asked = request(Method::GET, &path, Body::empty());
    asked.extensions_mut().insert(Peer::Local);
    let answer = rig.router.clone().oneshot(asked).await.unwrap();
    let mut body = answer.into_body();
    rig.create("a").await;
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await;
    let line = frame.expect("woken").unwrap().unwrap().into_data().unwrap();
    let line: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(told(&[line]), [event("ADDED", "a")]);
    rig.shutdown.cancel();
    let end = tokio::time::timeout(Duration::from_secs(10), body.frame()).await;
    assert!(end.expect("ended").is_none(), "a stop ends the watch");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_are_not_kept_are_gone() {
    let rig = Rig::new().await;
    rig.create("a").await;
    for version in ["4000000", "99999999999"] {
        let answer = rig
            .get(&format!("{POLICIES}?watch=1&resourceVersion={version}"))
            .await;
        status(version, &answer, 410, "Expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_status() {
    let rig = Rig::new().await.with_tokens();
    let made = rig.create("a").await;
    let path = format!("{POLICIES}/a");
    let merge = "application/merge-patch+json";
    let meta = |key: &str, value: &str| json!({"metadata": {key: value}});
    #[rustfmt::skip]
    let cases = [
        ("no such path",      rig.get("/apis/apps/v1/deployments").await,                                   404, "NotFound"),
        ("no such policy",    rig.get(&format!("{POLICIES}/b")).await,                                      404, "NotFound"),
        ("read only",         rig.call(Method::DELETE, "/api/v1/namespaces/default", "").await,             405, "MethodNotAllowed"),
        ("there already",     rig.call(Method::POST, POLICIES, policy("a").to_string()).await,              409, "AlreadyExists"),
        ("bad option",        rig.get(&format!("{POLICIES}?labelSelector=a%20in")).await,                   400, "BadRequest"),
        ("bad dry run",       rig.call(Method::DELETE, &format!("{path}?dryRun=Some"), "").await,           400, "BadRequest"),
        ("no JSON",           rig.call(Method::PUT, &path, "{").await,                                      422, "Invalid"),
        ("a key twice",       rig.call(Method::PUT, &path, policy("a").to_string().replacen("{", "{\"kind\": \"x\",", 1)).await, 422, "Invalid"),
        ("another name",      rig.call(Method::PUT, &path, policy("b").to_string()).await,                  400, "BadRequest"),
        ("another uid",       rig.patch("a", merge, "", &meta("uid", "x")).await,                           409, "Conflict"),
        ("old version",       rig.patch("a", merge, "", &meta("resourceVersion", "7")).await,               409, "Conflict"),
        ("renamed",           rig.patch("a", merge, "", &meta("name", "b")).await,                          400, "BadRequest"),
        ("unknown key",       rig.patch("a", merge, "", &json!({"spec": {"x": 1}})).await,                  422, "Invalid"),
        ("unknown patch",     rig.patch("a", "application/json", "", &json!({})).await,                     415, "UnsupportedMediaType"),
        ("nobody applies",    rig.patch("a", "application/apply-patch+yaml", "", &policy("a")).await,       400, "BadRequest"),
        ("not the one meant", rig.call(Method::DELETE, &path, r#"{"preconditions":{"uid":"x"}}"#).await,    409, "Conflict"),
        ("no token",          rig.send(Peer::Tls(remote(1)), request(Method::GET, &path, "")).await,        401, "Unauthorized"),
        ("a reader",          rig.send(Peer::Tls(remote(1)), bearing(request(Method::DELETE, &path, ""), "ban")).await, 403, "Forbidden"),
    ];
    for (name, answer, code, reason) in cases {
        status(name, &answer, code, reason);
    }
    assert_eq!(rig.get(&path).await.json(), made, "nothing has changed");

    let both = json!({"spec": {"x": 1, "policyTypes": ["Sideways"]}});
    let answer = rig.patch("a", merge, "", &both).await;
    let status = status("causes", &answer, 422, "Invalid");
    let causes = status["details"]["causes"].as_array().unwrap().iter();
    let mut fields: Vec<&str> = causes.map(|it| it["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["spec.policyTypes[0]", "spec.x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_invents_no_version() {
    let rig = Rig::new().await;
    let path = format!("{POLICIES}?dryRun=All");
    let answer = rig.call(Method::POST, &path, policy("a").to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["metadata"]["resourceVersion"], Value::Null);
    assert_eq!(rig.get(&format!("{POLICIES}/a")).await.status, 404);

    let made = rig.create("a").await;
    let patch = json!({"spec": {"policyTypes": ["Egress", "Ingress"], "ingress": [{}]}});
    let patch = json!({"spec": {"ingress": patch["spec"]["ingress"]}});
    let answer = rig
        .patch("a", "application/merge-patch+json", "?dryRun=All", &patch)
        .await;
    let shown = answer.json();
    assert_eq!(shown["spec"]["ingress"], json!([{}]), "{shown}");
    assert_eq!(version(&shown), version(&made));
    let answer = rig
        .call(Method::DELETE, &format!("{POLICIES}/a?dryRun=All"), "")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(rig.get(&format!("{POLICIES}/a")).await.json(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_is_taken_where_json_is() {
    let rig = Rig::new().await;
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                metadata: {name: a}\nspec: {podSelector: {}}\n";
    let answer = rig.call(Method::POST, POLICIES, text).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let mut applied = request(
        Method::PATCH,
        &format!("{POLICIES}/b?fieldManager=x"),
        text.replace("name: a", "name: b"),
    );
    let kind = "application/apply-patch+yaml".parse().unwrap();
    applied.headers_mut().insert(header::CONTENT_TYPE, kind);
    let answer = rig.send(Peer::Local, applied).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_the_other_way_in_are_the_same_objects() {
    let rig = Rig::new().await;
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                metadata: {name: a}\nspec: {podSelector: {}}\n";
    let answer = rig.call(Method::POST, "/v1/policies", text).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let shown = rig.get(&format!("{POLICIES}/a")).await.json();
    assert_eq!(shown["metadata"]["managedFields"][0]["manager"], "palisade");
    rig.create("b").await;
    let list = rig.get("/v1/policies").await.json();
    let names: Vec<&str> = list["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let answer = rig.call(Method::DELETE, "/v1/policies/default/b", "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(rig.get(&format!("{POLICIES}/b")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_who_read_the_same_do_not_both_write() {
    let rig = Rig::new().await;
    let made = rig.create("a").await;
    let mut one = made.clone();
    one["metadata"]["labels"] = json!({"by": "one"});
    let path = format!("{POLICIES}/a");
    let request = |body: &Value| -> Request<Body> { request(Method::PUT, &path, body.to_string()) };
    let (first, second) = tokio::join!(
        rig.send(Peer::Local, request(&one)),
        rig.send(Peer::Local, request(&one)),
    );
    let mut codes = [first.status.as_u16(), second.status.as_u16()];
    codes.sort_unstable();
    assert_eq!(codes, [200, 409]);
}
