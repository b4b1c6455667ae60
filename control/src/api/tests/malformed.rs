//! What bad requests get: a located problem, and nothing changed.

use axum::{body::Body, http::Method};
use serde_json::Value;

use super::Rig;

/// Name, method, path, body, pointer, and what the detail must say.
type Case = (
    &'static str,
    Method,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let (get, put, post, delete) = (Method::GET, Method::PUT, Method::POST, Method::DELETE);
    vec![
        ("no prefix",              put.clone(),  "/v1/bans/nonsense",                       "",                        "/prefix",   "nonsense"),
        ("host bits",              put.clone(),  "/v1/bans/192.0.2.9%2F24",                 "",                        "/prefix",   "192.0.2.0/24"),
        ("v6 host bits",           put.clone(),  "/v1/bans/2001%3Adb8%3A%3A1%2F64",         "",                        "/prefix",   "2001:db8::/64"),
        ("length too long",        put.clone(),  "/v1/bans/192.0.2.0%2F33",                 "",                        "/prefix",   "33"),
        ("not UTF-8",              put.clone(),  "/v1/bans/%ff",                            "",                        "/prefix",   "UTF-8"),
        ("broken JSON",            put.clone(),  "/v1/bans/192.0.2.9",                      "{",                       "",          "line 1"),
        ("two values",             put.clone(),  "/v1/bans/192.0.2.9",                      "{} {}",                   "",          "trailing"),
        ("no object",              put.clone(),  "/v1/bans/192.0.2.9",                      "7",                       "",          "invalid type"),
        ("unknown key",            put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"colour":"red"}"#,     "/colour",   "unknown field `colour`"),
        ("doubled key",            put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"ttl":"1h","ttl":"2h"}"#, "",       "duplicate field `ttl`"),
        ("ttl is a number",        put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"ttl":60}"#,           "/ttl",      "invalid type"),
        ("ttl without unit",       put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"ttl":"60"}"#,         "/ttl",      "90s"),
        ("ttl of nothing",         put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"ttl":"0s"}"#,         "/ttl",      "0s"),
        ("force is a text",        put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"force":"yes"}"#,      "/force",    "invalid type"),
        ("origin of odd letters",  put.clone(),  "/v1/bans/192.0.2.9",                      r#"{"origin":"A b"}"#,     "/origin",   "A b"),
        ("prefix missing",         post.clone(), "/v1/bans",                                "{}",                      "",          "missing field `prefix`"),
        ("prefix in the body",     post.clone(), "/v1/bans",                                r#"{"prefix":"192.0.2.9/24"}"#, "/prefix", "192.0.2.0/24"),
        ("delete with host bits",  delete.clone(), "/v1/bans/192.0.2.9%2F24",               "",                        "/prefix",   "192.0.2.0/24"),
        ("delete, odd parameter",  delete,       "/v1/bans/192.0.2.9?colour=red",           "",                        "/colour",   "known here: origin"),
        ("limit of nothing",       get.clone(),  "/v1/bans?limit=0",                        "",                        "/limit",    "at least one"),
        ("limit is no number",     get.clone(),  "/v1/bans?limit=many",                     "",                        "/limit",    "invalid digit"),
        ("limit twice",            get.clone(),  "/v1/bans?limit=1&limit=2",                "",                        "/limit",    "twice"),
        ("unknown parameter",      get.clone(),  "/v1/bans?colour=red",                     "",                        "/colour",   "limit, after, origin, covers"),
        ("after of no page",       get.clone(),  "/v1/bans?after=%21%21",                   "",                        "/after",    ""),
        ("covers is a prefix",     get.clone(),  "/v1/bans?covers=192.0.2.0%2F24",          "",                        "/covers",   "IP address"),
        ("unknown mode",           post.clone(), "/v1/bans/import?mode=merge",              "192.0.2.9\n",             "/mode",     "replace"),
        ("force is no boolean",    post.clone(), "/v1/bans/import?force=maybe",             "192.0.2.9\n",             "/force",    "true"),
        ("explain without from",   get.clone(),  "/v1/explain?to=192.0.2.1&port=80",        "",                        "/from",     "missing"),
        ("explain without port",   get.clone(),  "/v1/explain?from=192.0.2.2&to=192.0.2.1", "",                        "/port",     "missing"),
        ("explain port 0",         get.clone(),  "/v1/explain?from=192.0.2.2&to=192.0.2.1&port=0",     "",             "/port",     "65535"),
        ("explain port 65536",     get.clone(),  "/v1/explain?from=192.0.2.2&to=192.0.2.1&port=65536", "",             "/port",     "too large"),
        ("explain icmp",           get.clone(),  "/v1/explain?from=192.0.2.2&to=192.0.2.1&port=1&protocol=icmp", "",   "/protocol", ""),
        ("status with parameter",  get,          "/v1/status?verbose=1",                    "",                        "/verbose",  "unknown parameter"),
        ("dry_run is no boolean",  post,         "/v1/policies?dry_run=perhaps",            "",                        "/dry_run",  "true"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_name_the_field_and_change_nothing() {
    let rig = Rig::new().await;
    for (name, method, path, body, pointer, says) in cases() {
        let answer = rig.call(method, path, body).await;
        let problem = answer.problem(name, 400, "malformed");
        let got = problem.get("pointer").and_then(Value::as_str).unwrap_or("");
        assert_eq!(got, pointer, "{name}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{name}: {detail}");
    }
    assert_eq!(
        rig.get("/v1/bans").await.json()["bans"],
        serde_json::json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_past_their_limit_are_413() {
    let rig = Rig::new().await;
    let long = format!(
        r#"{{"reason":"{}"}}"#,
        "x".repeat(super::super::request::JSON_BYTES_MAX)
    );
    rig.put("/v1/bans/192.0.2.9", &long)
        .await
        .problem("ban", 413, "too-large");
    let long = "#".repeat((3 << 20) + 1);
    let answer = rig.call(Method::POST, "/v1/policies", long).await;
    answer.problem("policies", 413, "too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems_too() {
    let rig = Rig::new().await;
    for path in [
        "/",
        "/v1",
        "/v2/bans",
        "/v1/bans/",
        "/v1/policies/x",
        "/healthz/x",
    ] {
        let answer = rig.get(path).await;
        let status = answer.status.as_u16();
        assert!(status == 404 || status == 405, "{path}: {status}");
        assert_eq!(answer.content_type(), "application/problem+json", "{path}");
    }
    let methods = [
        (Method::DELETE, "/v1/bans"),
        (Method::GET, "/v1/bans/import"),
        (Method::POST, "/v1/status"),
        (Method::PATCH, "/v1/bans/192.0.2.9"),
        (Method::OPTIONS, "/v1/bans"),
    ];
    for (method, path) in methods {
        let answer = rig.call(method.clone(), path, Body::empty()).await;
        answer.problem(&format!("{method} {path}"), 405, "method-not-allowed");
        assert!(
            answer.headers.get("access-control-allow-origin").is_none(),
            "no CORS"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_bad_lines_is_refused_whole_and_each_line_named() {
    let rig = Rig::new().await;
    let list = "# comment\n192.0.2.1\n\nnonsense\n192.0.2.9/24\n{\"prefix\":\"192.0.2.3\",\"ttl\":\"soon\"}\n";
    let answer = rig.call(Method::POST, "/v1/bans/import", list).await;
    let problem = answer.problem("import", 400, "malformed");
    let errors = problem["errors"].as_array().unwrap();
    let lines: Vec<_> = errors
        .iter()
        .map(|error| error["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [4, 5, 6], "{problem}");
    assert!(
        errors[1]["message"]
            .as_str()
            .unwrap()
            .contains("192.0.2.0/24"),
        "{problem}"
    );
    assert_eq!(
        rig.get("/v1/bans").await.json()["bans"],
        serde_json::json!([])
    );

    let many = "bad\n".repeat(250);
    let problem = rig.call(Method::POST, "/v1/bans/import", many).await;
    let problem = problem.problem("many", 400, "malformed");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("250 bad lines"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_policies_name_every_fault_and_change_nothing() {
    let rig = Rig::new().await;
    let text = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec:
  podSelector: {}
  ingress:
  - from:
    - ipBlock: {cidr: 192.0.2.9/33}
    ports:
    - {protocol: TCP, port: 99999}
";
    let answer = rig.call(Method::POST, "/v1/policies", text).await;
    let problem = answer.problem("apply", 400, "malformed");
    let errors = problem["errors"].as_array().unwrap();
    let fields: Vec<_> = errors
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "spec.ingress[0].from[0].ipBlock.cidr",
            "spec.ingress[0].ports[0].port"
        ]
    );
    assert_eq!(errors[0]["line"], 8, "{problem}");
    assert_eq!(
        rig.get("/v1/policies").await.json()["policies"],
        serde_json::json!([])
    );

    let answer = rig
        .call(Method::POST, "/v1/policies", vec![b'a', 0xff])
        .await;
    let problem = answer.problem("not UTF-8", 400, "malformed");
    assert!(
        problem["detail"].as_str().unwrap().contains("byte 1"),
        "{problem}"
    );
}
