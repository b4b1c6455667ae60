//! Who may do what.

use axum::{
    body::Body,
    http::{HeaderValue, Method, header},
};

use super::{Rig, bearing, remote, request};
use crate::api::{
    auth::{FAILURES_MAX, Role},
    gate::Peer,
    needed_role, routes,
};

#[tokio::test(flavor = "multi_thread")]
async fn roles_open_what_they_should_and_no_more() {
    let rig = Rig::new().await.with_tokens();
    let (get, put, post, delete) = (Method::GET, Method::PUT, Method::POST, Method::DELETE);
    #[rustfmt::skip]
    let cases = [
        (get.clone(),    "/v1/bans",                  Some(Role::Read)),
        (get.clone(),    "/v1/status",                Some(Role::Read)),
        (get.clone(),    "/v1/documents",             Some(Role::Read)),
        (get.clone(),    "/v1/policies",              Some(Role::Read)),
        (get.clone(),    "/v1/explain",               Some(Role::Read)),
        (get.clone(),    "/metrics",                  Some(Role::Read)),
        (get.clone(),    "/openapi.json",             Some(Role::Read)),
        (get.clone(),    "/v1/unknown",               Some(Role::Read)),
        (put,            "/v1/bans/192.0.2.0%2F25",   Some(Role::Ban)),
        (post.clone(),   "/v1/bans",                  Some(Role::Ban)),
        (post.clone(),   "/v1/bans/import",           Some(Role::Ban)),
        (delete.clone(), "/v1/bans/192.0.2.0%2F26",   Some(Role::Ban)),
        (post.clone(),   "/v1/policies",              Some(Role::Admin)),
        (delete,         "/v1/policies/default/web",  Some(Role::Admin)),
        (post,           "/v1/unknown",               Some(Role::Admin)),
        (get.clone(),    "/healthz",                  None),
        (get,            "/readyz",                   None),
    ];
    let mut source = 0;
    for (method, path, needed) in cases {
        let name = format!("{method} {path}");
        source += 1;
        let peer = Peer::Tls(remote(source));
        let plain = || request(method.clone(), path, Body::empty());
        let answer = rig.send(peer, plain()).await;
        assert_eq!(
            answer.status != 401,
            needed.is_none(),
            "{name} without a token"
        );
        if needed.is_some() {
            answer.problem(&name, 401, "unauthenticated");
            assert!(
                answer.headers.contains_key(header::WWW_AUTHENTICATE),
                "{name}"
            );
        }
        let answer = rig.send(peer, bearing(plain(), "wrong")).await;
        assert_eq!(
            answer.status == 401,
            needed.is_some(),
            "{name} with a wrong token"
        );
        for role in Role::ALL {
            let answer = rig.send(peer, bearing(plain(), role.label())).await;
            let forbidden = needed.is_some_and(|needed| role < needed);
            assert_eq!(
                answer.status == 403,
                forbidden,
                "{name} as {role:?}: {}",
                answer.text
            );
            assert_ne!(answer.status, 401, "{name} as {role:?}");
        }
        let answer = rig.send(Peer::Local, plain()).await;
        assert!(
            answer.status != 401 && answer.status != 403,
            "{name} over the unix socket"
        );
    }
}

#[test]
fn every_route_that_changes_something_needs_more_than_reading() {
    for (path, _) in routes() {
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
            assert!(
                needed_role(&method, path) > Some(Role::Read) || path.ends_with("z"),
                "{path}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_valid_tokens_still_get_in() {
    let rig = Rig::new().await.with_tokens();
    let status = || request(Method::GET, "/v1/status", Body::empty());
    let peer = Peer::Tls(remote(1));
    for _ in 0..FAILURES_MAX {
        rig.send(peer, bearing(status(), "guess"))
            .await
            .problem("guess", 401, "unauthenticated");
    }
    let answer = rig.send(peer, bearing(status(), "guess")).await;
    answer.problem("one too many", 429, "too-many-failures");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(
        rig.send(peer, bearing(status(), "read")).await.status,
        200,
        "a valid token"
    );
    let other = Peer::Tls(remote(2));
    let answer = rig.send(other, bearing(status(), "guess")).await;
    answer.problem("another source", 401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_only_loopback_names_are_served() {
    let rig = Rig::new().await.with_tokens();
    let peer = Peer::Plain([127, 0, 0, 1].into());
    let mut rebound = bearing(request(Method::GET, "/v1/status", Body::empty()), "admin");
    rebound
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_static("attacker.example"));
    rig.send(peer, rebound)
        .await
        .problem("rebound", 403, "wrong-host");
    let local = bearing(request(Method::GET, "/v1/status", Body::empty()), "admin");
    assert_eq!(rig.send(peer, local).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_the_connection_says_who_calls() {
    let rig = Rig::new().await.with_tokens();
    let own = || {
        bearing(
            request(Method::PUT, "/v1/bans/198.51.100.0%2F24", Body::empty()),
            "ban",
        )
    };
    rig.send(Peer::Tls(remote(9)), own())
        .await
        .problem("own", 409, "own-address");
    // What a caller says about himself is not believed over TCP.
    let mut lying = own();
    let elsewhere = HeaderValue::from_static("203.0.113.1");
    lying
        .headers_mut()
        .insert(crate::api::CALLER_HEADER, elsewhere);
    rig.send(Peer::Tls(remote(9)), lying)
        .await
        .problem("lying", 409, "own-address");
    let answer = rig.send(Peer::Tls([203, 0, 113, 5].into()), own()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}
