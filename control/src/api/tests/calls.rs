//! What good requests get, and what a good request that must be refused gets.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Method, Request, header},
};
use futures_util::{StreamExt, stream};
use palisade_config::types::Prefix;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Rig, request};
use crate::api::{CALLER_HEADER, gate::Peer};

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_is_new_then_changed_then_lifted_then_gone() {
    let rig = Rig::new().await;
    let path = "/v1/bans/192.0.2.0%2F24";
    let answer = rig
        .put(path, r#"{"ttl":"1h","reason":"scan","origin":"noc"}"#)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let ban = answer.json();
    assert_eq!(ban["prefix"], "192.0.2.0/24");
    assert_eq!(ban["origin"], "noc");
    assert_eq!(ban["reason"], "scan");
    assert_eq!(ban["exempted"], json!([]));
    let second = |value: &Value| {
        value
            .as_str()
            .unwrap()
            .parse::<crate::clock::Timestamp>()
            .unwrap()
    };
    let length = second(&ban["created"]).until(second(&ban["expires"]));
    assert_eq!(length, Duration::from_secs(3600));

    let answer = rig.put(path, r#"{"origin":"noc"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.json().get("expires"),
        None,
        "no ttl: until it is lifted"
    );
    assert_eq!(
        rig.put(path, "").await.status,
        201,
        "another origin's ban is another ban"
    );

    let listed = rig.get("/v1/bans").await.json();
    let bans = listed["bans"].as_array().unwrap();
    let mut origins: Vec<_> = bans
        .iter()
        .map(|ban| ban["origin"].as_str().unwrap())
        .collect();
    origins.sort_unstable();
    assert_eq!(origins, ["api", "noc"]);
    assert_eq!(listed.get("next"), None);

    let lift = |path: &'static str| rig.call(Method::DELETE, path, Body::empty());
    assert_eq!(lift("/v1/bans/192.0.2.0%2F24?origin=noc").await.status, 204);
    lift("/v1/bans/192.0.2.0%2F24?origin=noc")
        .await
        .problem("again", 404, "not-found");
    assert_eq!(lift("/v1/bans/192.0.2.0%2F24").await.status, 204);
    lift("/v1/bans/192.0.2.0%2F24")
        .await
        .problem("gone", 404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_understood_however_the_path_is_written() {
    let rig = Rig::new().await;
    let spellings = [
        ("/v1/bans/192.0.2.1", "192.0.2.1/32"),
        ("/v1/bans/192.0.2.0/24", "192.0.2.0/24"),
        ("/v1/bans/2001:db8::/32", "2001:db8::/32"),
        ("/v1/bans/2001%3ADB8%3A%3A1", "2001:db8::1/128"),
        ("/v1/bans/%3A%3Affff%3A192.0.2.7", "192.0.2.7/32"),
    ];
    for (path, prefix) in spellings {
        let answer = rig.put(path, "{}").await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text);
        let got: Prefix = answer.json()["prefix"].as_str().unwrap().parse().unwrap();
        assert_eq!(got, prefix.parse().unwrap(), "{path}");
    }
    let answer = rig
        .call(Method::POST, "/v1/bans", r#"{"prefix":"192.0.2.0/24"}"#)
        .await;
    assert_eq!(answer.status, 200, "the same ban by POST: {}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_whether_insisting_helps() {
    let rig = Rig::new().await;
    let answer = rig.put("/v1/bans/10.9.1.0%2F24", "").await;
    let problem = answer.problem("inside a guard", 409, "guarded");
    assert_eq!(problem["force"], false);
    assert_eq!(problem["pointer"], "/prefix");
    rig.put("/v1/bans/10.9.1.0%2F24", r#"{"force":true}"#)
        .await
        .problem("forced", 409, "guarded");

    for wide in [
        "/v1/bans/0.0.0.0%2F0",
        "/v1/bans/10.0.0.0%2F7",
        "/v1/bans/2000::%2F15",
    ] {
        let answer = rig.put(wide, "").await;
        let problem = answer.problem(wide, 409, "too-short");
        assert_eq!(problem["force"], true, "{wide}");
    }
    let answer = rig.put("/v1/bans/10.0.0.0%2F8", "").await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["exempted"], json!(["10.9.0.0/16"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_bans_himself_by_accident() {
    let rig = Rig::new().await;
    let ban = |caller: &'static str, body: &'static str| {
        let mut request = request(Method::PUT, "/v1/bans/203.0.113.0%2F24", body);
        request
            .headers_mut()
            .insert(CALLER_HEADER, HeaderValue::from_static(caller));
        request
    };
    let answer = rig.send(Peer::Local, ban("203.0.113.7", "")).await;
    let problem = answer.problem("own", 409, "own-address");
    assert_eq!(problem["force"], true);
    let answer = rig.send(Peer::Local, ban("::ffff:203.0.113.7", "")).await;
    answer.problem("own, mapped", 409, "own-address");
    rig.send(Peer::Local, ban("somewhere", ""))
        .await
        .problem("no address", 400, "malformed");
    let answer = rig
        .send(Peer::Local, ban("203.0.113.7", r#"{"force":true}"#))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_filters_hold() {
    let rig = Rig::new().await;
    for last in 0..5 {
        rig.put(&format!("/v1/bans/192.0.2.{last}"), "").await;
    }
    rig.put("/v1/bans/192.0.2.0%2F29", r#"{"origin":"noc"}"#)
        .await;
    rig.put("/v1/bans/2001:db8::/64", "").await;

    let mut prefixes = Vec::new();
    let mut after = String::new();
    for _ in 0..10 {
        let page = rig.get(&format!("/v1/bans?limit=3{after}")).await.json();
        let bans = page["bans"].as_array().unwrap().clone();
        assert!(bans.len() <= 3);
        prefixes.extend(
            bans.iter()
                .map(|ban| ban["prefix"].as_str().unwrap().to_owned()),
        );
        match page.get("next").and_then(Value::as_str) {
            Some(next) => {
                after = format!("&after={}", next.replace('/', "%2F").replace(':', "%3A"))
            }
            None => break,
        }
    }
    let mut unique = prefixes.clone();
    unique.dedup();
    assert_eq!((prefixes.len(), unique.len()), (7, 7), "{prefixes:?}");

    let count = |answer: super::Answer| answer.json()["bans"].as_array().unwrap().len();
    assert_eq!(count(rig.get("/v1/bans?origin=noc").await), 1);
    assert_eq!(count(rig.get("/v1/bans?origin=nobody").await), 0);
    assert_eq!(count(rig.get("/v1/bans?covers=192.0.2.4").await), 2);
    assert_eq!(count(rig.get("/v1/bans?covers=2001:db8::9").await), 1);
    assert_eq!(
        count(rig.get("/v1/bans?covers=192.0.2.4&origin=noc").await),
        1
    );
}

fn import(query: &str, list: impl Into<Body>) -> Request<Body> {
    let mut request = request(Method::POST, &format!("/v1/bans/import{query}"), list);
    let value = HeaderValue::from_static("text/plain; charset=utf-8");
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_counts_what_it_did() {
    let rig = Rig::new().await;
    let list = "# ours\n192.0.2.1\n192.0.2.2 # second\n{\"prefix\":\"2001:db8::/48\",\"ttl\":\"1h\"}\n10.9.0.1\n";
    let answer = rig.send(Peer::Local, import("?origin=feed", list)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let want = json!({"added": 3, "unchanged": 0, "removed": 0, "exempted": ["10.9.0.1/32"]});
    let got = answer.json();
    assert_eq!(
        (&got["added"], &got["removed"]),
        (&want["added"], &want["removed"]),
        "{got}"
    );
    assert_eq!(got["exempted"].as_array().unwrap().len(), 1, "{got}");

    rig.put("/v1/bans/192.0.2.77", "").await;
    let list = "192.0.2.2\n192.0.2.3\n";
    let got = rig
        .send(Peer::Local, import("?origin=feed&mode=replace", list))
        .await
        .json();
    let numbers = ["added", "unchanged", "removed"].map(|key| got[key].as_u64().unwrap());
    assert_eq!(numbers, [1, 1, 2], "{got}");
    let left = rig.get("/v1/bans").await.json();
    assert_eq!(
        left["bans"].as_array().unwrap().len(),
        3,
        "the API's own ban stays: {left}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_breaks_off_changes_nothing() {
    let rig = Rig::new().await;
    let pieces: [Result<Bytes, std::io::Error>; 2] = [
        Ok(Bytes::from_static(b"192.0.2.1\n192.0.2.2\n")),
        Err(std::io::Error::other("gone")),
    ];
    let body = Body::from_stream(stream::iter(pieces));
    rig.send(Peer::Local, import("", body))
        .await
        .problem("broken", 400, "malformed");
    assert_eq!(rig.get("/v1/bans").await.json()["bans"], json!([]));

    let mut request = import("", "192.0.2.1\n");
    let value = HeaderValue::from_static("multipart/form-data; boundary=x");
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    rig.send(Peer::Local, request)
        .await
        .problem("form", 400, "malformed");
}

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec:
  podSelector: {}
  ingress:
  - from:
    - ipBlock: {cidr: 192.0.2.0/24}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_tried_applied_read_and_removed() {
    let rig = Rig::new().await;
    let path = "/v1/policies/default/web";
    let answer = rig
        .call(Method::POST, "/v1/policies?dry_run=true", POLICY)
        .await;
    assert_eq!(
        answer.json()["created"],
        json!(["default/web"]),
        "{}",
        answer.text
    );
    rig.get(path).await.problem("not yet", 404, "not-found");

    let answer = rig.call(Method::POST, "/v1/policies", POLICY).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let again = rig.call(Method::POST, "/v1/policies", POLICY).await.json();
    assert_eq!(again["unchanged"], json!(["default/web"]), "{again}");
    let one = rig.get(path).await.json();
    assert_eq!(one["source"], "api");
    assert!(
        one["document"].as_str().unwrap().contains("192.0.2.0/24"),
        "{one}"
    );
    assert_eq!(
        rig.get("/v1/policies").await.json()["policies"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    assert_eq!(
        rig.call(Method::DELETE, path, Body::empty()).await.status,
        204
    );
    rig.call(Method::DELETE, path, Body::empty())
        .await
        .problem("again", 404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_answer_with_their_types() {
    let rig = Rig::new().await;
    rig.put("/v1/bans/192.0.2.9", r#"{"reason":"scan"}"#).await;
    let query = "/v1/explain?from=192.0.2.9&to=203.0.113.1&port=443";
    let explanation: crate::core::Explanation =
        serde_json::from_value(rig.get(query).await.json()).unwrap();
    assert_eq!(
        (explanation.verdict.as_str(), explanation.reason.as_str()),
        ("drop", "banned")
    );

    let status: crate::api::StatusAnswer =
        serde_json::from_value(rig.get("/v1/status").await.json()).unwrap();
    assert_eq!(status.status.bans, 1);

    let health = rig.get("/healthz").await;
    assert_eq!(
        (health.status.as_u16(), health.text.as_str()),
        (200, "ok\n")
    );
    let ready = rig.get("/readyz").await;
    assert_eq!(
        ready.status == 200,
        rig.core.readiness().ready,
        "{}",
        ready.text
    );

    let metrics = rig.get("/metrics").await;
    assert_eq!(metrics.content_type(), crate::metrics::CONTENT_TYPE);
    assert!(
        metrics
            .text
            .contains(r#"palisade_bans{family="ipv4",origin="api"} 1"#),
        "{}",
        metrics.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_a_ban_and_end_with_the_daemon() {
    let rig = Rig::new().await;
    let mut request = request(Method::GET, "/v1/events", Body::empty());
    request.extensions_mut().insert(Peer::Local);
    let response = rig.router.clone().oneshot(request).await.unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut stream = response.into_body().into_data_stream();
    let hello = stream.next().await.unwrap().unwrap();
    assert!(hello.starts_with(b":"), "{hello:?}");

    rig.put("/v1/bans/192.0.2.9", "").await;
    let deadline = Duration::from_secs(10);
    let event = tokio::time::timeout(deadline, async {
        loop {
            let event = stream.next().await.unwrap().unwrap();
            let event = String::from_utf8(event.to_vec()).unwrap();
            if event.contains("192.0.2.9") {
                return event;
            }
        }
    });
    let event = event.await.expect("the ban is told");
    assert!(event.starts_with("event: ban_added\n"), "{event}");

    rig.shutdown.cancel();
    let end = tokio::time::timeout(deadline, stream.next())
        .await
        .expect("the stream ends");
    assert!(end.is_none(), "{end:?}");
}
