//! Bans against real connections.

use crate::node::{MOMENT, Node, SOON, options};
use anyhow::{Context, Result};
use palisade_lab::load::Flood;
use palisade_lab::packet::{self, SYN};
use palisade_lab::{echoes, eventually, pause, require_root};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};

#[test]
fn a_banned_source_gets_nothing_and_others_everything() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let _servers = node.edge().serve_echo(&["tcp/80", "udp/53"])?;
    for address in node.edge().addresses() {
        assert!(
            node.attacker.reaches((address, 80), SOON)?,
            "{address} before the ban"
        );
    }
    let wide = ["203.0.113.0/24", "2001:db8:bad::/48"];
    let exact = node.attacker.addresses().map(|address| address.to_string());
    for prefixes in [wide.map(str::to_owned), exact] {
        for prefix in &prefixes {
            node.ban(prefix)?;
        }
        for address in node.edge().addresses() {
            assert!(
                !node.attacker.reaches((address, 80), MOMENT)?,
                "tcp to {address}"
            );
            assert!(
                !node.attacker.reaches_udp((address, 53), MOMENT)?,
                "udp to {address}"
            );
            assert!(
                !node.attacker.pings(address, 1, MOMENT)?,
                "ping to {address}"
            );
            assert!(
                node.client.reaches((address, 80), SOON)?,
                "the client to {address}"
            );
            assert!(
                node.client.reaches_udp((address, 53), SOON)?,
                "the client to {address}"
            );
            assert!(
                node.client.pings(address, 1, SOON)?,
                "the client to {address}"
            );
        }
        for prefix in &prefixes {
            node.daemon.api().unban(prefix)?.expect(204)?;
        }
        for address in node.edge().addresses() {
            assert!(
                node.attacker.reaches((address, 80), SOON)?,
                "{address} after the ban"
            );
        }
    }
    Ok(())
}

#[test]
fn a_ban_cuts_an_established_connection_and_its_end_restores_it() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    for (address, banned) in node
        .edge()
        .addresses()
        .into_iter()
        .zip(node.attacker.addresses())
    {
        let mut stream = node.attacker.connect((address, 80), SOON)?;
        echoes(&mut stream)?;
        node.ban(&banned.to_string())?;
        stream.set_read_timeout(Some(MOMENT))?;
        stream.write_all(b"cut?")?;
        let mut back = [0; 4];
        assert!(
            stream.read_exact(&mut back).is_err(),
            "{address} still answers"
        );
        node.daemon.api().unban(&banned.to_string())?.expect(204)?;
        stream.set_read_timeout(Some(SOON))?;
        stream
            .read_exact(&mut back)
            .with_context(|| format!("{address} is not restored"))?;
        assert_eq!(&back, b"cut?");
    }
    Ok(())
}

/// A ban is hard: it also cuts off the answers to what the edge asked itself.
#[test]
fn answers_of_a_banned_source_are_dropped_too() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let _servers = node.attacker.serve_echo(&["tcp/80"])?;
    assert!(node.edge().reaches((node.attacker.v4, 80), SOON)?);
    node.ban(&node.attacker.v4.to_string())?;
    assert!(!node.edge().reaches((node.attacker.v4, 80), MOMENT)?);
    assert!(
        node.edge().reaches((node.attacker.v6, 80), SOON)?,
        "the other family is not banned"
    );
    Ok(())
}

#[test]
fn a_ban_ends_when_its_time_is_over_and_each_origin_has_its_own() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let to = (node.edge().v4, 80);
    let banned = node.attacker.v4.to_string();
    let api = node.daemon.api();
    api.ban(&banned, r#"{"ttl":"1s","origin":"short"}"#)?
        .expect(201)?;
    api.ban(&banned, r#"{"ttl":"4s","origin":"long"}"#)?
        .expect(201)?;
    let origins = || -> Result<Vec<String>> {
        let page = api
            .get(&format!("/v1/bans?covers={banned}"))?
            .expect(200)?
            .json()?;
        let bans = page
            .pointer("/bans")
            .and_then(|bans| bans.as_array())
            .cloned();
        let origin = |ban: &serde_json::Value| ban.get("origin")?.as_str().map(str::to_owned);
        Ok(bans.unwrap_or_default().iter().filter_map(origin).collect())
    };
    assert!(eventually(SOON, || origins().is_ok_and(|origins| origins == ["long"])));
    assert!(
        !node.attacker.reaches(to, MOMENT)?,
        "free although one origin's ban goes on"
    );
    assert!(eventually(SOON * 2, || node
        .attacker
        .reaches(to, MOMENT)
        .unwrap_or(false)));
    assert_eq!(origins()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_guard_is_never_cut_off() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let guard = "[guard]\nnever_ban = [\"198.51.100.0/24\", \"2001:db8:51::/48\"]\n";
    let node = Node::with(options().settings(guard))?;
    let _servers = node.edge().serve_echo(&["tcp/80"])?;
    let api = node.daemon.api();
    let refused = api.ban(&node.client.v4.to_string(), "")?.expect(409)?;
    assert_eq!(
        refused.json()?.pointer("/status"),
        Some(&409.into()),
        "{}",
        refused.body
    );
    let refused = node.daemon.cli(&["ban", &node.client.v6.to_string()])?;
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");

    // Wider than the guard: in force around it.
    for prefix in [
        "198.51.0.0/16",
        "2001:db8:50::/44",
        "203.0.113.0/24",
        "2001:db8:bad::/48",
    ] {
        let answer = api.ban(prefix, "")?.expect(201)?;
        let guarded = ["198.51.0.0/16", "2001:db8:50::/44"].contains(&prefix);
        let exempted = answer
            .json()?
            .pointer("/exempted")
            .cloned()
            .unwrap_or_default();
        let exempted = exempted.as_array().map(Vec::len);
        assert_eq!(exempted, Some(usize::from(guarded)), "{}", answer.body);
    }
    for address in node.edge().addresses() {
        assert!(
            node.client.reaches((address, 80), SOON)?,
            "the guarded client to {address}"
        );
        assert!(
            !node.attacker.reaches((address, 80), MOMENT)?,
            "the attacker to {address}"
        );
    }
    Ok(())
}

#[test]
fn bans_hold_while_the_daemon_restarts_crashes_and_is_away() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut node = Node::start()?;
    let prefixes = ["203.0.113.0/24", "2001:db8:bad::/48"];
    for prefix in prefixes {
        node.ban(prefix)?;
    }
    let mut capture = node.edge().capture("up0")?;
    let dropped = node.packets("xdp", "drop", "banned")?;
    let flood = Flood::start(&node.attacker, flood_frames(&node)?)?;
    node.daemon.stop()?;
    pause(MOMENT);
    node.daemon.start_again()?;
    pause(MOMENT);
    node.daemon.kill()?;
    pause(MOMENT);
    node.daemon.start_again()?;
    let sent = flood.finish()?;
    node.wait_for_packets(("xdp", "drop", "banned"), dropped, sent)?;
    for mark in [&[203, 0, 113][..], &[0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad]] {
        let got_in = capture
            .count_where(|frame| packet::holds(frame, mark) && !packet::is_discovery(frame))?;
        assert_eq!(got_in, 0, "of {sent} packets");
    }
    let listed = node.daemon.api().get("/v1/bans")?.expect(200)?.body;
    for prefix in prefixes {
        assert!(listed.contains(prefix), "{prefix} in {listed}");
    }
    node.wait_for_conservation("up0")
}

fn flood_frames(node: &Node) -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for number in 1..200_u16 {
        for (source, to) in [
            (format!("203.0.113.{number}"), IpAddr::from(node.edge().v4)),
            (
                format!("2001:db8:bad::{number:x}"),
                IpAddr::from(node.edge().v6),
            ),
        ] {
            let from = SocketAddr::new(source.parse()?, number);
            let syn = packet::tcp(from, SocketAddr::new(to, 80), SYN, 1, &[]);
            frames.push(packet::ethernet(
                node.edge().mac,
                node.attacker.mac,
                &[],
                &syn,
            ));
        }
    }
    Ok(frames)
}

#[test]
fn malformed_bans_change_nothing() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let api = node.daemon.api();
    #[rustfmt::skip]
    let cases = [
        ("host bits",          "203.0.113.9/24", "",                      400, "203.0.113.0/24"),
        ("no prefix",          "example",        "",                      400, "example"),
        ("too long",           "203.0.113.9/33", "",                      400, "33"),
        ("a bad duration",     "203.0.113.9",    r#"{"ttl":"soon"}"#,     400, "ttl"),
        ("an unknown key",     "203.0.113.9",    r#"{"tll":"1h"}"#,       400, "tll"),
        ("broken JSON",        "203.0.113.9",    r#"{"ttl":"#,            400, ""),
        ("too short",          "0.0.0.0/0",      "",                      409, "force"),
    ];
    for (name, prefix, body, status, mention) in cases {
        let answer = api.ban(prefix, body)?;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(answer.body.contains(mention), "{name}: {}", answer.body);
    }
    let page = api.get("/v1/bans")?.expect(200)?.json()?;
    assert_eq!(page.pointer("/bans"), Some(&serde_json::json!([])));
    assert_eq!(api.unban("203.0.113.9")?.status, 404);
    let missing = node.daemon.cli(&["unban", "203.0.113.9"])?;
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    let malformed = node.daemon.cli(&["ban", "203.0.113.9/24"])?;
    assert_eq!(malformed.status.code(), Some(2), "{malformed:?}");
    assert!(node.attacker.pings(node.edge().v4.into(), 1, SOON)?);
    Ok(())
}
