//! NetworkPolicies against real traffic.

use crate::node::{MOMENT, Node, SOON, WEB, options};
use anyhow::{Context, Result};
use palisade_lab::packet::{SYN, ethernet, fragments, icmp_echo, icmp_too_big, tcp, udp};
use palisade_lab::{Host, echoes, eventually, require_root};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Selects the endpoint of the node; `ingress` is its list of rules in flow style.
fn policy(name: &str, ingress: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec:\n  podSelector: {{matchLabels: {{role: web}}}}\n  policyTypes: [Ingress]\n  \
         ingress: {ingress}\n"
    )
}

/// TCP 80 from the clients' networks.
const WEB_FOR_CLIENTS: &str = "[{from: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: 2001:db8:51::/48}}], \
     ports: [{protocol: TCP, port: 80}]}]";

#[test]
fn a_policy_lets_in_what_it_names_and_nothing_else() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _servers = node
        .edge()
        .serve_echo(&["tcp/22", "tcp/80", "tcp/81", "udp/80"])?;
    for address in node.edge().addresses() {
        assert!(
            node.attacker.reaches((address, 80), SOON)?,
            "{address} before the policy"
        );
    }
    node.apply("web.yaml", &policy("web", WEB_FOR_CLIENTS))?;
    let denied = node.packets("worker", "drop", "policy_denied")?;
    let guarded = node.packets("xdp", "pass", "guarded")?;
    for address in node.edge().addresses() {
        assert!(
            node.client.reaches((address, 80), SOON)?,
            "the client to {address}"
        );
        assert!(
            !node.attacker.reaches((address, 80), MOMENT)?,
            "the attacker to {address}"
        );
        assert!(
            !node.client.reaches((address, 81), MOMENT)?,
            "another port of {address}"
        );
        assert!(
            !node.client.reaches_udp((address, 80), MOMENT)?,
            "another protocol of {address}"
        );
        assert!(
            !node.client.pings(address, 1, MOMENT)?,
            "a ping to {address}"
        );
        assert!(
            node.attacker.reaches((address, 22), SOON)?,
            "the guarded port of {address}"
        );
    }
    node.wait_for_packets(("worker", "drop", "policy_denied"), denied, 8)?;
    node.wait_for_packets(("xdp", "pass", "guarded"), guarded, 2)?;
    assert!(node.packets("worker", "pass", "policy_allowed")? > 0);
    assert!(node.packets("xdp", "pass", "flow_established")? > 0);
    node.wait_for_conservation("up0")?;

    node.daemon.remove_policy("web.yaml")?;
    let open = || {
        node.attacker
            .reaches((node.edge().v4, 81), MOMENT)
            .unwrap_or(false)
    };
    assert!(eventually(SOON, open), "closed although the policy is gone");
    Ok(())
}

#[test]
fn policies_come_over_the_api_too() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _servers = node.edge().serve_echo(&["tcp/80", "tcp/81"])?;
    let api = node.daemon.api();
    let (web, more) = ((node.edge().v4, 80), (node.edge().v4, 81));
    let apply = |text: &str| api.call("POST", "/v1/policies", "application/yaml", text.as_bytes());
    apply(&policy("web", WEB_FOR_CLIENTS))?.expect(200)?;
    assert!(node.client.reaches(web, SOON)? && !node.attacker.reaches(web, MOMENT)?);
    assert!(!node.client.reaches(more, MOMENT)?);

    // Policies add up.
    let file = node.lab.folder.join("more.yaml");
    std::fs::write(
        &file,
        policy(
            "more",
            "[{ports: [{protocol: TCP, port: 81, endPort: 90}]}]",
        ),
    )?;
    let file = file.to_str().context("a path of text")?;
    let applied = node.daemon.cli(&["policy", "apply", file])?;
    assert!(applied.status.success(), "{applied:?}");
    assert!(node.attacker.reaches(more, SOON)? && node.client.reaches(web, SOON)?);

    // All or nothing.
    let bad = policy("bad", "[{from: [{ipBlock: {cidr: 10.0.0.1/8}}]}]");
    let both = format!("{}---\n{bad}", policy("more", "[]"));
    let refused = apply(&both)?.expect(400)?;
    assert!(refused.body.contains("cidr"), "{}", refused.body);
    assert!(
        node.attacker.reaches(more, SOON)?,
        "half of a refused set is in force"
    );

    let deleted = node.daemon.cli(&["policy", "delete", "more"])?;
    assert!(deleted.status.success(), "{deleted:?}");
    assert!(
        !node.attacker.reaches(more, MOMENT)?,
        "open although its policy is gone"
    );
    api.delete("/v1/policies/default/web")?.expect(204)?;
    assert!(node.attacker.reaches(web, SOON)?);
    assert_eq!(api.delete("/v1/policies/default/web")?.status, 404);
    Ok(())
}

#[test]
fn a_broken_file_changes_nothing_and_is_named() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let to = (node.edge().v4, 80);
    node.apply("web.yaml", &policy("web", WEB_FOR_CLIENTS))?;
    let generation = node.status()?.pointer("/generation").cloned();

    let broken = policy(
        "web",
        "\n  - from:\n    - ipBlock: {cidr: 198.51.100.77/24}\n",
    );
    node.daemon.write_policy("web.yaml", &broken)?;
    node.wait_for_file("web.yaml", "broken_last_good_in_force")?;
    node.daemon.write_policy("new.yaml", "kind: [")?;
    node.wait_for_file("new.yaml", "broken")?;
    let status = node.status()?;
    let files = status
        .pointer("/policy_files")
        .and_then(Value::as_array)
        .context("no files")?;
    let web = files
        .iter()
        .find(|file| file.to_string().contains("web.yaml"))
        .context("no web")?;
    assert_eq!(web.pointer("/faults/0/line"), Some(&9.into()), "{web:#}");
    let field = web
        .pointer("/faults/0/field")
        .and_then(Value::as_str)
        .unwrap_or_default();
    assert_eq!(field, "spec.ingress[0].from[0].ipBlock.cidr");
    assert!(
        node.daemon.log().contains("web.yaml"),
        "the log does not name the file"
    );
    assert_eq!(node.status()?.pointer("/generation").cloned(), generation);
    assert!(node.client.reaches(to, SOON)? && !node.attacker.reaches(to, MOMENT)?);

    node.apply("web.yaml", &policy("web", "[{}]"))?;
    assert!(
        node.attacker.reaches(to, SOON)?,
        "the mended file is not in force"
    );
    Ok(())
}

#[test]
fn answers_to_what_the_edge_starts_pass_under_default_deny() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _edge_servers = node.edge().serve_echo(&["udp/53"])?;
    node.apply("deny.yaml", &policy("deny", "[]"))?;
    let _servers = node.client.serve_echo(&["tcp/80", "udp/53"])?;
    let replies = node.packets("xdp", "pass", "reply")?;
    for address in node.client.addresses() {
        assert!(
            node.edge().reaches((address, 80), SOON)?,
            "tcp to {address}"
        );
        assert!(
            node.edge().reaches_udp((address, 53), SOON)?,
            "udp to {address}"
        );
        assert!(node.edge().pings(address, 2, SOON)?, "ping to {address}");
    }
    for address in node.edge().addresses() {
        assert!(!node.client.pings(address, 1, MOMENT)?, "ping of {address}");
        assert!(
            !node.client.reaches_udp((address, 53), MOMENT)?,
            "udp to {address}"
        );
    }
    node.wait_for_packets(("xdp", "pass", "reply"), replies, 10)?;

    // A port that the edge has spoken from is open to that peer alone.
    let socket = node.edge().enter(|| UdpSocket::bind(("0.0.0.0", 5353)))??;
    socket.set_read_timeout(Some(MOMENT))?;
    socket.send_to(b"hello", (node.client.v4, 53))?;
    let mut buffer = [0; 64];
    socket
        .recv(&mut buffer)
        .context("the answer to a datagram")?;
    let send = |host: &Host| {
        let to = SocketAddr::new(node.edge().v4.into(), 5353);
        host.enter(|| UdpSocket::bind(("0.0.0.0", 1053))?.send_to(b"forged", to))?
            .context("sending")
    };
    send(&node.attacker)?;
    send(&node.client)?;
    assert!(
        socket.recv(&mut buffer).is_err(),
        "somebody else's datagram got in"
    );
    Ok(())
}

#[test]
fn a_changed_policy_ends_what_it_no_longer_allows() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    node.apply("web.yaml", &policy("web", WEB_FOR_CLIENTS))?;
    let mut stream = node.client.connect((node.edge().v4, 80), SOON)?;
    echoes(&mut stream)?;
    // The edge's own connection must not suffer.
    let _outside = node.attacker.serve_echo(&["tcp/80"])?;
    let mut own = node.edge().connect((node.attacker.v4, 80), SOON)?;
    echoes(&mut own)?;

    let other = "[{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{protocol: TCP, port: 80}]}]";
    node.daemon
        .write_policy("web.yaml", &policy("web", other))?;
    let open = || {
        node.attacker
            .reaches((node.edge().v4, 80), MOMENT)
            .unwrap_or(false)
    };
    assert!(eventually(SOON, open), "the new policy is not in force");
    stream.set_read_timeout(Some(MOMENT))?;
    assert!(
        echoes(&mut stream).is_err(),
        "an old verdict outlives its policy"
    );
    echoes(&mut own).context("the edge's own connection")
}

#[test]
fn fragments_follow_their_first() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let allowed = "[{from: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: 2001:db8:51::/48}}], \
                   ports: [{protocol: UDP, port: 53}]}]";
    node.apply("dns.yaml", &policy("dns", allowed))?;
    let _server = node.edge().serve_echo(&["udp/53"])?;
    for address in node.edge().addresses() {
        // Longer than the link allows: real fragments, both ways.
        let sent = vec![7; 4000];
        let answer = node.client.enter(|| -> std::io::Result<Vec<u8>> {
            let local = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let socket = UdpSocket::bind(local)?;
            socket.set_read_timeout(Some(SOON))?;
            socket.send_to(&sent, (address, 53))?;
            let mut buffer = vec![0; 65_536];
            let bytes = socket.recv(&mut buffer)?;
            buffer.truncate(bytes);
            Ok(buffer)
        })?;
        let answer = answer.with_context(|| format!("no answer from {address}"))?;
        assert_eq!(answer, sent, "{address}");
    }
    let mut capture = node.edge().capture("up0")?;
    let injector = node.client.injector()?;
    let frame = |packet: &[u8]| ethernet(node.edge().mac, node.client.mac, &[], packet);
    let payload = b"a fragment that nobody asked for".repeat(8);
    for (to, from) in node
        .edge()
        .addresses()
        .into_iter()
        .zip(node.client.addresses())
    {
        let (from, to) = (SocketAddr::new(from, 40_000), |port| {
            SocketAddr::new(to, port)
        });
        let datagram = |port, id| fragments(&udp(from, to(port), &payload), 64, id);
        let segment = |id| fragments(&tcp(from, to(53), SYN, 1, &payload), 8, id);
        #[rustfmt::skip]
        let cases = [
            ("an orphan",                         vec![datagram(53, 1)[1].clone()],   "fragment_denied", 1),
            ("behind a denied first",             datagram(99, 2)[..3].to_vec(),      "policy_denied",   3),
            ("a first without the whole header",  vec![segment(3)[0].clone()],        "fragment_denied", 1),
            ("a later one that rewrites headers", vec![segment(4)[1].clone()],        "fragment_denied", 1),
        ];
        for (name, pieces, reason, denied) in cases {
            let before = node.packets("worker", "drop", reason)?;
            for piece in pieces {
                injector.send(&frame(&piece))?;
            }
            node.wait_for_packets(("worker", "drop", reason), before, denied)
                .with_context(|| format!("{name} to {}", to(0)))?;
        }
    }
    assert_eq!(capture.count(b"nobody asked for")?, 0);
    node.wait_for_conservation("up0")
}

#[test]
fn errors_about_our_own_packets_pass_and_others_do_not() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    node.apply("deny.yaml", &policy("deny", "[]"))?;
    let mut capture = node.edge().capture("up0")?;
    // A router on the way: neither end of the connection.
    let router = &node.attacker;
    let injector = router.injector()?;
    for (own, peer) in node
        .edge()
        .addresses()
        .into_iter()
        .zip(node.client.addresses())
    {
        let via = router.address_like(own);
        let port = |address: IpAddr| SocketAddr::new(address, 443);
        let ours = udp(port(own), port(peer), b"what the edge sent");
        let theirs = udp(port(peer), port(via), b"what somebody sent");
        for packet in [&ours, &theirs] {
            let error = icmp_too_big(via, own, 1300, packet);
            injector.send(&ethernet(node.edge().mac, router.mac, &[], &error))?;
        }
        let unasked = icmp_echo(via, own, 1, b"an unasked ping");
        injector.send(&ethernet(node.edge().mac, router.mac, &[], &unasked))?;
    }
    let passed = || {
        capture
            .count(b"what the edge sent")
            .is_ok_and(|count| count == 2)
    };
    assert!(
        eventually(SOON, passed),
        "an error about our own packet is dropped"
    );
    node.wait_for_packets(("worker", "drop", "policy_denied"), 0, 4)?;
    assert_eq!(capture.count(b"what somebody sent")?, 0);
    assert_eq!(capture.count(b"an unasked ping")?, 0);
    Ok(())
}

#[test]
fn an_except_carves_only_its_own_block() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with(options().settings(WEB))?;
    let _servers = node.edge().serve_echo(&["tcp/80", "tcp/81"])?;
    let client = node.client.v4;
    let rules = format!(
        "[{{from: [{{ipBlock: {{cidr: 198.51.0.0/16, except: [{client}/32]}}}}], \
         ports: [{{protocol: TCP, port: 80}}, {{protocol: TCP, port: 81}}]}}, \
         {{from: [{{ipBlock: {{cidr: {client}/32}}}}], ports: [{{protocol: TCP, port: 81}}]}}]"
    );
    node.apply("web.yaml", &policy("web", &rules))?;
    assert!(
        !node.client.reaches((node.edge().v4, 80), MOMENT)?,
        "excepted from the first rule"
    );
    assert!(
        node.client.reaches((node.edge().v4, 81), SOON)?,
        "let in by the second"
    );
    Ok(())
}
