//! Figures that users are promised. Run alone on the machine; printed, and bounded loosely enough
//! for a debug build on a busy one. `make bench` is the place for exact ones.

use crate::node::{MOMENT, Node};
use anyhow::{Context, Result};
use palisade_lab::packet::{ethernet, udp};
use palisade_lab::{now, require_root};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A release build must keep the promises themselves.
const SLACK: u32 = if cfg!(debug_assertions) { 5 } else { 1 };

const LATENCY_P99: Duration = Duration::from_millis(10);
const BANS: u32 = 300;
const IMPORT_WITHIN: Duration = Duration::from_secs(10);
const IMPORT_LINES: u32 = 1_000_000;
const RESIDENT_BYTES: u64 = 300 << 20;

/// From the call to the first packet that does not get in: a packet is sent as soon as the call is
/// answered, and none of these may be seen behind XDP.
#[test]
fn measured_latency_of_a_ban() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let injector = node.attacker.injector()?;
    let mut capture = node.edge().capture("up0")?;
    let api = node.daemon.api();
    let frame = |source: Ipv4Addr, payload: &[u8]| {
        let to = SocketAddr::new(node.edge().v4.into(), 9);
        let packet = udp(SocketAddr::new(IpAddr::V4(source), 9), to, payload);
        ethernet(node.edge().mac, node.attacker.mac, &[], &packet)
    };
    let mut taken = Vec::new();
    for number in 0..BANS {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 9, 0, 0)) + number);
        injector.send(&frame(source, b"sent before the ban"))?;
        let start = now();
        api.ban(&source.to_string(), "")?.expect(201)?;
        injector.send(&frame(source, b"sent after the ban"))?;
        taken.push(start.elapsed());
    }
    node.wait_for_packets(("xdp", "drop", "banned"), 0, BANS.into())?;
    assert_eq!(capture.count(b"sent before the ban")?, BANS as usize);
    assert_eq!(
        capture.count(b"sent after the ban")?,
        0,
        "answered before it was in force"
    );
    taken.sort_unstable();
    let at = |percent: usize| taken[(taken.len() - 1) * percent / 100];
    println!(
        "ban over REST to first dropped packet: p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    assert!(at(99) < LATENCY_P99 * SLACK, "p99 is {:?}", at(99));
    Ok(())
}

#[test]
fn measured_import_of_a_million() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut node = Node::start()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let mut list = String::new();
    for number in 0..IMPORT_LINES - 1 {
        // Spread over the address space, without repetition: an odd factor permutes 24 bits.
        let spread = number.wrapping_mul(0x9e_3779) & 0xff_ffff;
        writeln!(list, "{}", Ipv4Addr::from(0x0b00_0000 + spread))?;
    }
    writeln!(list, "{}", node.attacker.v4)?;
    let resident = node.daemon.resident_bytes()?;
    let start = now();
    let path = "/v1/bans/import?origin=million";
    let answer = node
        .daemon
        .api()
        .call("POST", path, "text/plain", list.as_bytes())?;
    let taken = start.elapsed();
    let answer = answer.expect(200)?.json()?;
    assert_eq!(answer.pointer("/added"), Some(&IMPORT_LINES.into()));
    assert!(
        !node.attacker.reaches((node.edge().v4, 80), MOMENT)?,
        "not in force"
    );
    let after = node.daemon.resident_bytes()?;
    println!(
        "import of {IMPORT_LINES} prefixes: {taken:.2?}, resident {} MiB (before: {} MiB)",
        after >> 20,
        resident >> 20
    );
    node.daemon.kill()?;
    let start = now();
    node.daemon.start_again()?;
    let resident = node.daemon.resident_bytes()?;
    println!(
        "restart with them: {:.2?}, resident {} MiB",
        start.elapsed(),
        resident >> 20
    );
    assert!(
        !node.attacker.reaches((node.edge().v4, 80), MOMENT)?,
        "not in force any more"
    );
    assert!(taken < IMPORT_WITHIN * SLACK, "the import took {taken:?}");
    assert!(
        after.max(resident) < RESIDENT_BYTES,
        "{after} bytes resident"
    );
    node.daemon.stop().context("stopping with a million bans")
}
