//! The lab itself: that its wires carry what they should, and that nothing stays behind.

use anyhow::{Context, Result};
use palisade_lab::packet::{self, Tag};
use palisade_lab::{Lab, LabOptions, Place, eventually, require_root, run, sweep_leftovers};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn hosts_reach_the_edge_on_both_families() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    let client = lab.add_host("client", Place::Client)?;
    let attacker = lab.add_host("attacker", Place::Attacker)?;
    let _servers = lab.edge.serve_echo(&["tcp/80", "udp/53"])?;
    for host in [&client, &attacker] {
        for address in lab.edge.addresses() {
            assert!(
                host.pings(address, 2, SOON)?,
                "{} pings {address}",
                host.name
            );
            assert!(
                host.reaches((address, 80), SOON)?,
                "{} to tcp {address}",
                host.name
            );
            assert!(
                host.reaches_udp((address, 53), SOON)?,
                "{} to udp {address}",
                host.name
            );
        }
    }
    assert!(
        !client.reaches((lab.edge.v4, 81), SOON)?,
        "nothing listens on port 81"
    );
    Ok(())
}

#[test]
fn a_second_uplink_reaches_its_own_hosts() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    assert_eq!(lab.add_uplink()?, "up1");
    let near = lab.add_host_on(1, "near", Place::Client)?;
    for address in lab.edge.addresses() {
        assert!(near.pings(address, 2, SOON)?, "{address}");
    }
    assert!(lab.add_host_on(2, "nowhere", Place::Client).is_err());
    Ok(())
}

#[test]
fn frames_arrive_as_they_were_sent() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    let attacker = lab.add_host("attacker", Place::Attacker)?;
    let injector = attacker.injector()?;
    let mut capture = lab.edge.capture("up0")?;
    let to = SocketAddr::new(lab.edge.v4.into(), 9);
    let mut sent = 0;
    for tags in [
        &[][..],
        &[Tag::Customer(5)],
        &[Tag::Service(6), Tag::Customer(7)],
    ] {
        let payload = format!("frame {sent} with a mark");
        let packet = packet::udp(
            SocketAddr::new(attacker.v4.into(), 9),
            to,
            payload.as_bytes(),
        );
        injector.send(&packet::ethernet(lab.edge.mac, attacker.mac, tags, &packet))?;
        sent += 1;
    }
    let mut seen = 0;
    eventually(SOON, || {
        seen = capture.count(b" with a mark").unwrap_or_default();
        seen == sent
    });
    assert_eq!(seen, sent);
    assert_eq!(capture.count(b"never sent")?, 0);
    Ok(())
}

#[test]
fn the_uplink_has_the_queues_that_were_asked_for() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    for queues in [1, 4] {
        let lab = Lab::with_options(LabOptions {
            queues,
            keep: false,
        })?;
        let listing = lab.edge.run("ls /sys/class/net/up0/queues")?;
        let receiving = listing
            .lines()
            .filter(|name| name.starts_with("rx-"))
            .count();
        assert_eq!(receiving, usize::try_from(queues)?, "{listing}");
    }
    Ok(())
}

/// Namespaces and folders whose names begin with `name`.
fn traces(name: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in ["/run/netns", "/tmp"] {
        for entry in std::fs::read_dir(folder).with_context(|| folder.to_owned())? {
            let entry = entry?.file_name().to_string_lossy().into_owned();
            if entry.starts_with(name) {
                found.push(entry);
            }
        }
    }
    Ok(found)
}

#[test]
fn a_panic_leaves_nothing_behind() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let outcome = std::thread::spawn(move || {
        let mut lab = Lab::new().expect("a lab");
        let client = lab.add_host("client", Place::Client).expect("a client");
        let server = client.serve("tcp/80", "EXEC:cat").expect("a server");
        sender
            .send((lab.name.clone(), server.pid()))
            .expect("the test listens");
        std::mem::forget(server);
        panic!("on purpose");
    })
    .join();
    assert!(outcome.is_err());
    let (name, server) = receiver.recv()?;
    assert_eq!(traces(&name)?, Vec::<String>::new());
    // The test is its parent, so it stays as a zombie: it runs no more, that is what counts.
    let status = std::fs::read_to_string(format!("/proc/{server}/status")).unwrap_or_default();
    assert!(
        status.is_empty() || status.contains("State:\tZ"),
        "{status}"
    );
    Ok(())
}

#[test]
fn what_a_killed_run_left_behind_is_swept() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    // The owner lives while its lab is made: others sweep too.
    let mut owner = Command::new("sleep").arg("60").spawn()?;
    let name = format!("palisade-lab-{}-0", owner.id());
    run(Command::new("ip").args(["netns", "add", &format!("{name}-edge")]))?;
    std::fs::create_dir_all(format!("/tmp/{name}/bpf/palisade"))?;
    sweep_leftovers();
    assert_eq!(traces(&name)?.len(), 2, "swept under a living owner");
    owner.kill()?;
    owner.wait()?;
    sweep_leftovers();
    // Another process's lab may have begun to sweep it first.
    assert!(eventually(SOON, || traces(&name).is_ok_and(|traces| traces.is_empty())));
    Ok(())
}
