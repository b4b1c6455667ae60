//! The workers: what they judge comes back whole, what they lose is counted, and what happens
//! without them is what the interface says.

use crate::node::{MOMENT, Node, SOON, WEB, options, received_by_queue};
use anyhow::{Context, Result, ensure};
use palisade_lab::packet::{Tag, ethernet, put, udp};
use palisade_lab::{
    Daemon, DaemonOptions, Host, Lab, Place, echoes, eventually, require_root, run,
};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};

const TRANSFER_BYTES: usize = 8 << 20;

/// TCP 80 and 9000 from the clients, nothing else.
const CLIENTS_ONLY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: clients, namespace: default}
spec:
  podSelector: {matchLabels: {role: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: '2001:db8:51::/48'}}]
    ports: [{protocol: TCP, port: 80}, {protocol: TCP, port: 9000}, {protocol: UDP, port: 9}]
";

fn node(interface: &str) -> Result<Node> {
    let node = Node::with(options().interface(interface).settings(WEB))?;
    node.apply("clients.yaml", CLIENTS_ONLY)?;
    Ok(node)
}

/// Sends noise to port 9000 of the edge and compares what arrives.
fn transfer(lab: &Lab, from: &Host, to: IpAddr) -> Result<()> {
    let source = lab.folder.join(format!("noise-{}", from.name));
    let target = lab.folder.join(format!("received-{}", from.name));
    let mut noise = vec![0; TRANSFER_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut noise)?;
    std::fs::write(&source, &noise)?;
    let server = lab.edge.receive("tcp/9000", &target)?;
    let mut command = from.command("socat");
    command.arg("-u").arg(format!("OPEN:{}", source.display()));
    run(command.arg(format!("TCP:{}", SocketAddr::new(to, 9000))))?;
    let whole = eventually(SOON, || {
        std::fs::read(&target).is_ok_and(|got| got == noise)
    });
    drop(server);
    ensure!(
        whole,
        "what came from {} over {to} is not what was sent",
        from.name
    );
    Ok(())
}

#[test]
fn transfers_judged_by_workers_arrive_whole_in_every_mode() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    for mode in ["native", "generic"] {
        let node = node(&format!("mode = \"{mode}\""))?;
        let attached = node.status()?.pointer("/interfaces/0/mode").cloned();
        assert_eq!(attached, Some(mode.into()));
        for address in node.edge().addresses() {
            transfer(&node.lab, &node.client, address).with_context(|| mode.to_owned())?;
        }
        assert!(
            node.packets("worker", "pass", "policy_allowed")? >= 2,
            "{mode}"
        );
        let samples = node.daemon.metrics()?;
        assert_eq!(samples.packets(&[("verdict", "lost")]), 0, "{mode}");
        let inspected = samples.packets(&[("stage", "xdp"), ("verdict", "inspect")]);
        let judged = samples.packets(&[("stage", "worker")]);
        assert_eq!(
            inspected, judged,
            "{mode}: a packet was counted twice or not at all"
        );
    }
    Ok(())
}

/// Both ways, on the port that the policy opens. The receiver stops counting when the sender is
/// done, so what was in flight at that moment is missing from its sum.
#[test]
fn iperf3_transfers_both_ways() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = node("mode = \"native\"")?;
    for (address, direction) in node.edge().addresses().into_iter().zip(["", "--reverse"]) {
        let server = node.edge().spawn("iperf3 --server --one-off --port 9000")?;
        let line = format!("iperf3 --client {address} --port 9000 --bytes 64M --json {direction}");
        let mut sums = None;
        // Until the server listens, the client's report is an error without sums.
        eventually(SOON, || {
            let report = node.client.run(&line).unwrap_or_default();
            let report: serde_json::Value = serde_json::from_str(&report).unwrap_or_default();
            let sum = |name: &str| report.pointer(name).and_then(serde_json::Value::as_u64);
            sums = sum("/end/sum_sent/bytes").zip(sum("/end/sum_received/bytes"));
            sums.is_some()
        });
        let (sent, received) = sums.with_context(|| server.log())?;
        assert!(sent >= 64 << 20, "{address} {direction}: {sent}");
        assert!(received >= 32 << 20, "{address} {direction}: {received}");
    }
    assert!(node.packets("worker", "pass", "policy_allowed")? >= 4);
    Ok(())
}

#[test]
fn every_queue_has_its_worker_and_the_counters_add_up() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = node("mode = \"native\"")?;
    let _servers = node.edge().serve_echo(&["tcp/80", "tcp/81"])?;
    node.ban(&node.attacker.v4.to_string())?;
    for _ in 0..20 {
        assert!(node.client.reaches((node.edge().v4, 80), SOON)?);
        assert!(node.client.reaches((node.edge().v6, 80), SOON)?);
    }
    assert!(!node.client.reaches((node.edge().v4, 81), MOMENT)?);
    assert!(!node.attacker.reaches((node.edge().v4, 80), MOMENT)?);
    assert!(!node.attacker.reaches((node.edge().v6, 80), MOMENT)?);
    let injector = node.client.injector()?;
    for port in 1..=200 {
        let from = SocketAddr::new(node.client.v4.into(), 10_000 + port);
        let mut packet = udp(
            from,
            SocketAddr::new(node.edge().v4.into(), port),
            b"spread",
        );
        if port % 5 == 0 {
            put(&mut packet, 0, [0x44]);
        }
        injector.send(&ethernet(node.edge().mac, node.client.mac, &[], &packet))?;
    }
    let queues = received_by_queue(node.edge(), "up0")?;
    assert_eq!(queues.len(), 2);
    assert!(
        queues.iter().all(|frames| *frames > 0),
        "a queue got nothing: {queues:?}"
    );
    let alive = node
        .daemon
        .metrics()?
        .sum("palisade_workers_alive", &[("interface", "up0")]);
    assert!(
        (alive - 2.0).abs() < f64::EPSILON,
        "{alive} workers are alive"
    );
    node.wait_for_packets(("xdp", "drop", "malformed"), 0, 40)?;
    node.wait_for_conservation("up0")
}

#[test]
fn without_workers_the_interface_decides() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    for action in ["pass", "drop"] {
        let mut node = node(&format!("when_workers_fail = \"{action}\""))?;
        let _servers = node.edge().serve_echo(&["tcp/80"])?;
        let to = (node.edge().v4, 80);
        node.ban("203.0.113.0/24")?;
        let mut old = node.client.connect(to, SOON)?;
        echoes(&mut old)?;
        let before = node.packets("xdp", action, "no_worker")?;
        node.daemon.kill()?;

        // Once the heartbeat is stale, and not before.
        let wanted = action == "pass";
        let reached = || {
            node.client
                .reaches(to, MOMENT)
                .is_ok_and(|reached| reached == wanted)
        };
        assert!(eventually(SOON * 2, reached), "{action}: a new connection");
        echoes(&mut old).with_context(|| format!("{action}: a remembered flow"))?;
        assert!(
            !node.attacker.reaches(to, MOMENT)?,
            "{action}: a ban does not hold"
        );

        node.daemon.start_again()?;
        assert!(
            node.client.reaches(to, SOON)?,
            "{action}: after the restart"
        );
        echoes(&mut old).with_context(|| format!("{action}: a flow over the restart"))?;
        node.wait_for_packets(("xdp", action, "no_worker"), before, 1)?;
        node.wait_for_conservation("up0")
            .with_context(|| action.to_owned())?;
    }
    Ok(())
}

/// A worker that hangs is not a worker that is gone: its socket is still there.
#[test]
fn a_stopped_daemon_counts_what_it_loses() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut node = node("when_workers_fail = \"drop\"")?;
    let injector = node.client.injector()?;
    let frame = |number: u16| {
        let from = SocketAddr::new(node.client.v4.into(), number);
        let packet = udp(from, SocketAddr::new(node.edge().v4.into(), 9), b"too many");
        ethernet(node.edge().mac, node.client.mac, &[], &packet)
    };
    let frames: Vec<_> = (1..60_000).map(frame).collect();
    node.daemon
        .process()?
        .signal(rustix::process::Signal::STOP)?;
    for frame in &frames {
        injector.send(frame)?;
    }
    node.daemon
        .process()?
        .signal(rustix::process::Signal::CONT)?;
    node.wait_for_packets(("worker", "lost", "worker_full"), 0, 1)?;
    node.wait_for_conservation("up0")?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    assert!(
        node.client.reaches((node.edge().v4, 80), SOON)?,
        "not well again"
    );
    Ok(())
}

/// The pair by which packets go back into the stack is deleted, by mistake or in malice.
#[test]
fn a_lost_way_back_is_rebuilt_and_its_cost_is_counted() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = node("")?;
    let links = node.edge().run("ip -o link show type veth")?;
    let mut names = links
        .lines()
        .filter_map(|line| line.split([' ', '@', ':']).nth(2));
    let near = names
        .find(|name| name.ends_with('n'))
        .context("no way back")?;
    let injector = node.client.injector()?;
    let send = |number: u16| {
        let from = SocketAddr::new(node.client.v4.into(), number);
        let packet = udp(
            from,
            SocketAddr::new(node.edge().v4.into(), 9),
            b"on its way",
        );
        injector.send(&ethernet(node.edge().mac, node.client.mac, &[], &packet))
    };
    for number in 1..2000 {
        if number == 500 {
            node.edge().ip(&format!("link del {near}\n"))?;
        }
        send(number)?;
    }
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let well = || {
        node.client
            .reaches((node.edge().v4, 80), MOMENT)
            .unwrap_or(false)
    };
    assert!(eventually(SOON, well), "not well again");
    node.wait_for_conservation("up0")
}

#[test]
fn tagged_frames_come_back_as_they_were() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = node("")?;
    let mut capture = node.edge().capture("up0")?;
    let injector = node.client.injector()?;
    let ends = node
        .client
        .addresses()
        .into_iter()
        .zip(node.edge().addresses());
    let mut sent = 0;
    for (from, to) in ends {
        for tags in [
            &[Tag::Customer(5)][..],
            &[Tag::Service(6), Tag::Customer(7)],
        ] {
            sent += 1;
            let from = SocketAddr::new(from, 1000 + sent);
            let packet = udp(from, SocketAddr::new(to, 9), b"tagged and allowed");
            injector.send(&ethernet(node.edge().mac, node.client.mac, tags, &packet))?;
            let denied = udp(from, SocketAddr::new(to, 10), b"tagged and denied");
            injector.send(&ethernet(node.edge().mac, node.client.mac, tags, &denied))?;
        }
    }
    let all = usize::from(sent);
    assert!(eventually(SOON, || capture
        .count(b"tagged and allowed")
        .is_ok_and(|got| got == all)));
    node.wait_for_packets(("worker", "drop", "policy_denied"), 0, sent.into())?;
    assert_eq!(capture.count(b"tagged and denied")?, 0);
    // The stack takes the outer tag off; the inner one must still be in its place.
    let inner = [0x81, 0x00, 0x00, 0x07];
    let stacked = capture.count_where(|frame| frame.get(12..16) == Some(&inner))?;
    assert_eq!(stacked, 2, "of two frames in two VLANs");
    Ok(())
}

#[test]
fn interfaces_have_modes_and_counters_of_their_own() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    let second = lab.add_uplink()?;
    let first_client = lab.add_host("first", Place::Client)?;
    let second_client = lab.add_host_on(1, "second", Place::Client)?;
    let mut options = DaemonOptions::new(options().program).settings(WEB);
    options
        .interfaces
        .push((second, "mode = \"generic\"\n".to_owned()));
    let daemon = Daemon::start(&lab, options)?;
    let node = Node {
        daemon,
        client: first_client,
        attacker: second_client,
        lab,
    };
    node.apply("clients.yaml", CLIENTS_ONLY)?;
    for (host, interface, other) in [(&node.client, "up0", "up1"), (&node.attacker, "up1", "up0")] {
        let count = |interface: &str, verdict: &str| -> Result<u64> {
            let labels = [
                ("interface", interface),
                ("stage", "worker"),
                ("verdict", verdict),
            ];
            Ok(node.daemon.metrics()?.packets(&labels))
        };
        let (own, others) = (count(interface, "pass")?, count(other, "pass")?);
        transfer(&node.lab, host, node.edge().v4.into())?;
        transfer(&node.lab, host, node.edge().v6.into())?;
        assert!(
            count(interface, "pass")? > own,
            "{interface} judged nothing"
        );
        assert_eq!(
            count(other, "pass")?,
            others,
            "{other} counted what {interface} judged"
        );
    }
    let banned = node.attacker.v4.to_string();
    node.ban(&banned)?;
    assert!(!node.attacker.pings(node.edge().v4.into(), 1, MOMENT)?);
    let labels = [("interface", "up1"), ("reason", "banned")];
    assert!(node.daemon.metrics()?.packets(&labels) > 0);
    let statuses = node.status()?;
    let modes: Vec<_> = ["/interfaces/0", "/interfaces/1"]
        .iter()
        .filter_map(|place| statuses.pointer(place)?.get("mode")?.as_str())
        .collect();
    assert_eq!(modes, ["native", "generic"], "{statuses:#}");
    Ok(())
}
