//! What the edge may send under egress policies, on real traffic.

use crate::node::{MOMENT, Node, SOON};
use anyhow::{Result, ensure};
use palisade_lab::{Host, echoes, eventually, require_root};
use std::time::Duration;

/// Isolates the endpoint of the node for egress; `egress` is its list of rules in flow style.
fn policy(egress: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: out, namespace: default}}\n\
         spec:\n  podSelector: {{matchLabels: {{role: web}}}}\n  policyTypes: [Egress]\n  \
         egress: {egress}\n"
    )
}

/// One port of the client's networks, by TCP and UDP.
fn to_client(port: u16) -> String {
    format!(
        "[{{to: [{{ipBlock: {{cidr: 198.51.100.0/24}}}}, {{ipBlock: {{cidr: 2001:db8:51::/48}}}}], \
         ports: [{{protocol: TCP, port: {port}}}, {{protocol: UDP, port: {port}}}]}}]"
    )
}

#[test]
fn only_what_the_rules_allow_gets_out() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let ports = ["tcp/53", "udp/53", "tcp/80", "udp/80"];
    let _client = node.client.serve_echo(&ports)?;
    let _attacker = node.attacker.serve_echo(&ports)?;
    for host in [&node.client, &node.attacker] {
        for address in host.addresses() {
            assert!(
                node.edge().reaches((address, 80), SOON)?,
                "{address} before"
            );
        }
    }
    node.apply("out.yaml", &policy(&to_client(53)))?;
    let denied = node.packets("egress", "drop", "policy_denied")?;
    for address in node.client.addresses() {
        assert!(
            node.edge().reaches((address, 53), SOON)?,
            "tcp to {address}"
        );
        assert!(
            node.edge().reaches_udp((address, 53), SOON)?,
            "DNS to {address}"
        );
        assert!(
            !node.edge().reaches((address, 80), MOMENT)?,
            "tcp/80 to {address}"
        );
        assert!(
            !node.edge().reaches_udp((address, 80), MOMENT)?,
            "udp/80 to {address}"
        );
        assert!(
            !node.edge().pings(address, 1, MOMENT)?,
            "a ping to {address}"
        );
    }
    for address in node.attacker.addresses() {
        assert!(
            !node.edge().reaches((address, 53), MOMENT)?,
            "tcp to {address}"
        );
        assert!(
            !node.edge().reaches_udp((address, 53), MOMENT)?,
            "udp to {address}"
        );
    }
    node.wait_for_packets(("egress", "drop", "policy_denied"), denied, 10)?;
    assert!(node.packets("egress", "pass", "policy_allowed")? > 0);
    assert_eq!(node.packets("worker", "drop", "policy_denied")?, 0);

    let (edge, client) = (node.edge().v4.to_string(), node.client.v4.to_string());
    let target = |port: &str| format!("{client}:{port}/tcp");
    for (port, verdict) in [("53", "policy_allowed"), ("80", "policy_denied")] {
        let explained = node
            .daemon
            .cli(&["explain", &edge, &target(port), "--json"])?;
        let text = String::from_utf8_lossy(&explained.stdout).into_owned();
        assert!(text.contains(verdict), "{port}: {explained:?}");
    }

    node.daemon.remove_policy("out.yaml")?;
    let open = || {
        node.edge()
            .reaches((node.client.v4, 80), MOMENT)
            .unwrap_or(false)
    };
    assert!(eventually(SOON, open), "shut although the policy is gone");
    Ok(())
}

#[test]
fn answers_to_strangers_get_out_under_default_deny() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _servers = node.edge().serve_echo(&["tcp/22", "tcp/80", "udp/80"])?;
    let mut before = node.client.connect((node.edge().v4, 80), SOON)?;
    node.apply("out.yaml", &policy("[]"))?;
    for address in node.edge().addresses() {
        assert!(
            node.client.reaches((address, 80), SOON)?,
            "tcp to {address}"
        );
        assert!(
            node.client.reaches_udp((address, 80), SOON)?,
            "udp to {address}"
        );
        assert!(
            node.attacker.reaches((address, 22), SOON)?,
            "ssh to {address}"
        );
        assert!(node.client.pings(address, 2, SOON)?, "ping of {address}");
        // Its answer is an error about what the client has sent.
        assert!(
            refuses(&node.client, address)?,
            "a closed port of {address}"
        );
    }
    assert!(
        stays_open(&mut before),
        "a connection from before the policy"
    );
    assert!(node.packets("egress", "pass", "reply")? > 0);
    Ok(())
}

/// Puts another text in the place of the node's policy and waits until it is in force.
fn change(node: &Node, text: &str) -> Result<()> {
    let generation = || Ok::<_, anyhow::Error>(node.status()?.pointer("/generation").cloned());
    let before = generation()?;
    node.daemon.write_policy("out.yaml", text)?;
    let changed = || generation().is_ok_and(|now| now != before);
    ensure!(eventually(SOON, changed), "the change is not in force");
    Ok(())
}

/// Whether a datagram to a closed port is answered by an ICMP error.
fn refuses(from: &Host, address: std::net::IpAddr) -> Result<bool> {
    let outcome = from.enter(|| -> std::io::Result<()> {
        let own = if address.is_ipv4() { "0.0.0.0" } else { "::" };
        let socket = std::net::UdpSocket::bind((own, 0))?;
        socket.connect((address, 9))?;
        socket.set_read_timeout(Some(SOON))?;
        socket.send(b"anybody there")?;
        socket.recv(&mut [0; 8]).map(drop)
    })?;
    Ok(outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused))
}

fn stays_open(stream: &mut std::net::TcpStream) -> bool {
    stream.set_read_timeout(Some(SOON)).is_ok() && echoes(stream).is_ok()
}

#[test]
fn a_change_of_policy_cuts_open_connections() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _client = node.client.serve_echo(&["tcp/53"])?;
    let _edge = node.edge().serve_echo(&["tcp/80"])?;
    node.apply("out.yaml", &policy(&to_client(53)))?;
    let mut outward = node.edge().connect((node.client.v4, 53), SOON)?;
    let mut inward = node.client.connect((node.edge().v4, 80), SOON)?;
    assert!(stays_open(&mut outward) && stays_open(&mut inward));

    change(&node, &policy(&to_client(54)))?;
    let denied = node.packets("egress", "drop", "policy_denied")?;
    outward.set_read_timeout(Some(MOMENT))?;
    assert!(echoes(&mut outward).is_err(), "an open connection goes on");
    node.wait_for_packets(("egress", "drop", "policy_denied"), denied, 1)?;
    assert!(stays_open(&mut inward), "an answer is no matter of egress");

    // Now strangers are not let in, so nobody is answered.
    let both = policy(&to_client(53)).replace("[Egress]", "[Ingress, Egress]");
    change(&node, &both)?;
    inward.set_read_timeout(Some(Duration::from_secs(1)))?;
    assert!(
        echoes(&mut inward).is_err(),
        "a stranger's connection goes on"
    );
    let again = || {
        node.edge()
            .reaches((node.client.v4, 53), MOMENT)
            .unwrap_or(false)
    };
    assert!(eventually(SOON, again), "shut although allowed again");
    Ok(())
}

#[test]
fn large_datagrams_follow_their_first_fragment() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    node.apply("out.yaml", &policy(&to_client(53)))?;
    let datagram = vec![7; 4_000];
    for (own, address) in [
        ("0.0.0.0", node.client.addresses()),
        ("::", node.client.addresses()),
    ] {
        for address in address {
            if address.is_ipv6() != (own == "::") {
                continue;
            }
            for (port, arrives) in [(53, true), (80, false)] {
                let receiver = node
                    .client
                    .enter(|| std::net::UdpSocket::bind((address, port)))??;
                receiver.set_read_timeout(Some(if arrives { SOON } else { MOMENT }))?;
                let sent = node.edge().enter(|| {
                    std::net::UdpSocket::bind((own, 0))?.send_to(&datagram, (address, port))
                })?;
                assert!(sent.is_ok() || !arrives, "{sent:?}");
                let mut buffer = vec![0; 8_000];
                let got = receiver.recv(&mut buffer).ok();
                assert_eq!(got, arrives.then_some(datagram.len()), "{address} {port}");
            }
        }
    }
    Ok(())
}
