//! What every request passes before a handler sees it: who is it, may they, and how long.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, Uri, header},
    middleware::Next,
    response::IntoResponse,
};
use tracing::{info, warn};

use super::{
    App, CALLER_HEADER,
    auth::Role,
    kube, needed_role,
    problem::{Kind, Problem},
};

/// Longest time an answer may take that is not a stream.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// Paths whose requests or answers are streams, and watch over their own time.
const STREAMS: [&str; 2] = ["/v1/bans/import", "/v1/events"];

/// The other end of the connection, as the listener saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The unix socket: whoever may open it may do everything.
    Local,
    Plain(IpAddr),
    Tls(IpAddr),
}

/// From which address the wish came, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller(pub(crate) Option<IpAddr>);

/// Lets a request through to its handler, or answers it here.
pub(crate) async fn gate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let caller = match admit(&app, &request) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(caller);
    if STREAMS.contains(&request.uri().path()) || kube::is_watch(request.uri()) {
        return next.run(request).await;
    }
    match tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let limit = HANDLER_TIMEOUT.as_secs();
            let detail = format!("no answer within {limit} s; what was asked may still happen");
            Problem::new(Kind::TimedOut, detail).into_response()
        }
    }
}

fn admit(app: &App, request: &Request) -> Result<Caller, Problem> {
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return Err(Problem::new(Kind::Internal, "a connection without a peer"));
    };
    let source = match peer {
        Peer::Local => return local_caller(request.headers()).map(Caller),
        Peer::Plain(source) => {
            check_host(request.uri(), request.headers())?;
            source
        }
        // A name that a browser was tricked into fails at the certificate.
        Peer::Tls(source) => source,
    };
    if let Some(needed) = needed_role(request.method(), request.uri().path()) {
        let (name, role) = authenticate(app, source, request.headers())?;
        if role < needed {
            warn!(token = name, %source, role = role.label(), needed = needed.label(), "forbidden");
            return Err(forbidden(role, needed));
        }
        if needed > Role::Read {
            info!(token = name, %source, method = %request.method(), path = request.uri().path(), "admitted");
        }
    }
    Ok(Caller(Some(source.to_canonical())))
}

fn forbidden(role: Role, needed: Role) -> Problem {
    let (role, needed) = (role.label(), needed.label());
    Problem::new(
        Kind::Forbidden,
        format!("the token's role is `{role}`; this needs `{needed}`"),
    )
}

/// A valid token always gets in. Only those who fail are slowed down, so that a stranger on a
/// shared address cannot lock the others out.
fn authenticate(app: &App, source: IpAddr, headers: &HeaderMap) -> Result<(String, Role), Problem> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    if let Some(found) = presented.and_then(|token| app.tokens.find(token)) {
        return Ok(found);
    }
    let now = app.running.elapsed();
    if app.failures.is_blocked(source, now) {
        let detail = "too many attempts without a valid token from this address; wait a minute";
        return Err(Problem::new(Kind::TooManyFailures, detail));
    }
    app.failures.record(source, now);
    let detail = match presented {
        Some(_) => {
            warn!(%source, "invalid token");
            "the token is not valid"
        }
        None => {
            "send `Authorization: Bearer TOKEN`; `palisade token create NAME --role ROLE` makes one"
        }
    };
    Err(Problem::new(Kind::Unauthenticated, detail))
}

fn local_caller(headers: &HeaderMap) -> Result<Option<IpAddr>, Problem> {
    let Some(value) = headers.get(CALLER_HEADER) else {
        return Ok(None);
    };
    let address = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<IpAddr>().ok());
    match address {
        Some(address) => Ok(Some(address.to_canonical())),
        None => {
            let detail = format!("the header {CALLER_HEADER} holds no IP address");
            Err(Problem::field(format!("/{CALLER_HEADER}"), detail))
        }
    }
}

/// Refuses names that are not this machine's own loopback. Without TLS only loopback addresses
/// are served, so any other name means that a browser was sent here by a foreign page.
fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let authority = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok()),
    };
    let host = authority.map(without_port);
    let is_loopback = host.is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
            || host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
                .is_some_and(|host| {
                    host.parse()
                        .is_ok_and(|address: Ipv6Addr| address.is_loopback())
                })
    });
    if is_loopback {
        Ok(())
    } else {
        Err(Problem::new(
            Kind::WrongHost,
            "without TLS only loopback host names are served",
        ))
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Uri, header};

    use super::check_host;

    #[test]
    fn only_loopback_hosts_are_served_without_tls() {
        let cases = [
            ("localhost", true),
            ("LOCALHOST:9475", true),
            ("127.0.0.1:9475", true),
            ("127.8.9.1", true),
            ("[::1]:9475", true),
            ("[::1]", true),
            ("", false),
            ("::1", false),
            ("192.0.2.1:9475", false),
            ("[2001:db8::1]:9475", false),
            ("attacker.example:9475", false),
            ("localhost.attacker.example", false),
            ("127.0.0.1.attacker.example", false),
            ("localhost:80@attacker.example", false),
        ];
        for (host, served) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            let got = check_host(&Uri::from_static("/v1/status"), &headers);
            assert_eq!(got.is_ok(), served, "{host}");
        }
        assert!(
            check_host(&Uri::from_static("/"), &HeaderMap::new()).is_err(),
            "no host"
        );
        let absolute = Uri::from_static("http://attacker.example/");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        assert!(
            check_host(&absolute, &headers).is_err(),
            "the absolute form counts first"
        );
    }
}
