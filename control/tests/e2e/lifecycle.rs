//! Start, stop, repair and the end of enforcement.

use crate::node::{MOMENT, Node, SOON, options};
use anyhow::{Context, Result};
use palisade_lab::{Daemon, Lab, eventually, require_root, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longer than the daemon lets pass between two comparisons with the kernel.
const REPAIRED_WITHIN: Duration = Duration::from_secs(60);

/// Lets nobody in.
const DENY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress]}
";

/// The pin of a table, whatever version of the layout it is of.
fn pin(daemon: &Daemon, table: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir(&daemon.paths.pins)?;
    let pins = versions.flatten().map(|version| version.path().join(table));
    pins.into_iter()
        .find(|pin| pin.exists())
        .with_context(|| format!("no pin of {table}"))
}

/// Takes every entry out of a table, by another program than ours; how many there were.
fn empty(pin: &Path) -> Result<usize> {
    let dump = run(Command::new("bpftool")
        .args(["-j", "map", "dump", "pinned"])
        .arg(pin))?;
    let entries: Vec<Value> = serde_json::from_str(&dump)?;
    for entry in &entries {
        let key = entry
            .get("key")
            .and_then(|key| key.as_array())
            .context("an entry without key")?;
        let bytes: Vec<_> = key.iter().filter_map(|byte| byte.as_str()).collect();
        let mut delete = Command::new("bpftool");
        delete
            .args(["map", "delete", "pinned"])
            .arg(pin)
            .args(["key", "hex"]);
        run(delete.args(bytes.iter().map(|byte| byte.trim_start_matches("0x"))))?;
    }
    Ok(entries.len())
}

#[test]
fn what_is_emptied_behind_our_back_is_repaired() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    node.ban("203.0.113.0/24")?;
    node.ban("2001:db8:bad::/48")?;
    node.apply("deny.yaml", DENY)?;
    let drift = |node: &Node| -> Result<u64> {
        let status = node.status()?;
        status
            .pointer("/reconcile/drift_repaired")
            .and_then(Value::as_u64)
            .context("no drift")
    };
    let before = drift(&node)?;
    let mut removed = 0;
    for table in ["bans_v4", "bans_v6", "endpoints"] {
        removed += empty(&pin(&node.daemon, table)?)?;
    }
    assert_eq!(removed, 4, "two bans, two addresses of an endpoint");
    let repaired = || drift(&node).is_ok_and(|drift| drift >= before + 4);
    assert!(
        eventually(REPAIRED_WITHIN, repaired),
        "{:#}",
        node.status()?
    );
    for address in node.edge().addresses() {
        assert!(
            !node.client.reaches((address, 80), MOMENT)?,
            "the policy on {address} is gone"
        );
    }
    node.daemon.remove_policy("deny.yaml")?;
    let open = || {
        node.client
            .reaches((node.edge().v4, 80), MOMENT)
            .unwrap_or(false)
    };
    assert!(eventually(SOON, open));
    for address in node.edge().addresses() {
        assert!(
            !node.attacker.reaches((address, 80), MOMENT)?,
            "{address} is open"
        );
    }
    Ok(())
}

#[test]
fn a_stopped_daemon_still_protects_and_unload_ends_it() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut node = Node::start()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let to = (node.edge().v4, 80);
    node.ban("203.0.113.0/24")?;
    let refused = node.daemon.cli(&["unload"])?;
    assert_eq!(
        refused.status.code(),
        Some(5),
        "unloaded under a running daemon: {refused:?}"
    );
    node.daemon.stop()?;
    assert!(
        !node.attacker.reaches(to, MOMENT)?,
        "open without the daemon"
    );
    let unreachable = node.daemon.cli(&["bans"])?;
    assert_eq!(unreachable.status.code(), Some(4), "{unreachable:?}");
    let unloaded = node.daemon.cli(&["unload"])?;
    assert!(unloaded.status.success(), "{unloaded:?}");
    assert!(node.attacker.reaches(to, SOON)?, "something is left behind");
    let links = node.edge().run("ip -d link show")?;
    assert!(!links.contains("xdp"), "{links}");
    let left = pin(&node.daemon, "bans_v4");
    assert!(left.is_err(), "{left:?}");

    // What was wanted is not forgotten.
    node.daemon.start_again()?;
    assert!(!node.attacker.reaches(to, MOMENT)?, "the ban is forgotten");
    Ok(())
}

#[test]
fn a_second_daemon_does_not_start() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let second = node.daemon.cli(&["run"])?;
    assert!(!second.status.success(), "{second:?}");
    assert_eq!(
        node.daemon.api().get("/readyz")?.status,
        200,
        "the first one suffers"
    );
    Ok(())
}

#[test]
fn a_faulty_configuration_is_refused_with_its_place() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let lab = Lab::new()?;
    #[rustfmt::skip]
    let cases: [(&str, &str, &[&str]); 3] = [
        ("an unknown key", "zero_kopy = \"on\"",  &["zero_kopy", "zero_copy", "palisade.toml"]),
        ("a bad value",    "mode = \"fast\"",     &["mode", "native", "palisade.toml"]),
        ("no TOML",        "mode = ",             &["palisade.toml"]),
    ];
    for (name, lines, mentions) in cases {
        let mut daemon = Daemon::prepare(&lab, options().interface(lines))?;
        daemon.launch()?;
        let mut status = None;
        eventually(SOON, || {
            status = daemon
                .process()
                .and_then(|process| process.ended())
                .ok()
                .flatten();
            status.is_some()
        });
        let status = status.with_context(|| format!("{name} does not end it"))?;
        assert_eq!(status.code(), Some(1), "{name}: {}", daemon.log());
        for mention in mentions {
            assert!(
                daemon.log().contains(mention),
                "{name}, {mention}: {}",
                daemon.log()
            );
        }
    }
    Ok(())
}

#[test]
fn an_interface_that_comes_late_is_taken_when_it_comes() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let lab = Lab::new()?;
    let mut options = options();
    options.interfaces.push(("up7".to_owned(), String::new()));
    let mut daemon = Daemon::prepare(&lab, options)?;
    daemon.launch()?;
    let api = daemon.api();
    let says = || {
        api.get("/readyz")
            .is_ok_and(|answer| answer.body.contains("up7"))
    };
    assert!(
        eventually(SOON, says),
        "readiness does not name what is missing: {}",
        daemon.log()
    );
    assert_eq!(api.get("/readyz")?.status, 503);
    assert!(daemon.log().contains("up7"), "{}", daemon.log());
    let add = || {
        let veth = "numtxqueues 2 numrxqueues 2";
        lab.edge.ip(&format!(
            "link add up7 {veth} type veth peer name peer7 {veth}\n\
             link set peer7 up\nlink set up7 up\n"
        ))
    };
    add()?;
    let ready = || api.get("/readyz").is_ok_and(|answer| answer.status == 200);
    assert!(eventually(SOON, ready), "{}", daemon.log());

    // Given up when it goes, without harm to the other one, and taken again.
    lab.edge.ip("link del up7\n")?;
    assert!(eventually(SOON, || !ready()), "ready without its interface");
    let status = api.get("/v1/status")?.expect(200)?.json()?;
    assert_eq!(
        status.pointer("/interfaces/0/workers_alive"),
        Some(&2.into()),
        "{status:#}"
    );
    add()?;
    assert!(eventually(SOON, ready), "{}", daemon.log());
    Ok(())
}

#[test]
fn a_restart_takes_over_without_a_gap_for_established_connections() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut node = Node::with_endpoint()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let policy = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{ports: [{protocol: TCP, port: 80}]}]
";
    node.apply("web.yaml", policy)?;
    let to = (node.edge().v4, 80);
    let mut stream = node.client.connect(to, SOON)?;
    palisade_lab::echoes(&mut stream)?;
    let requests = palisade_lab::load::Requests::start(&node.client, to)?;
    for _ in 0..2 {
        node.daemon.stop()?;
        node.daemon.start_again()?;
        palisade_lab::echoes(&mut stream).context("a connection over a restart")?;
    }
    let seen = requests.finish()?;
    assert!(seen.requests > 0 && seen.failures.is_empty(), "{seen:?}");
    Ok(())
}
