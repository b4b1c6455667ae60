//! What operators read: status, doctor, events, metrics.

use crate::node::{MOMENT, Node, SOON};
use anyhow::{Context, Result};
use palisade_lab::{Process, eventually, require_root};
use serde_json::Value;

/// Name and value.
type Label = (&'static str, &'static str);

#[test]
fn every_read_answers_in_text_and_in_json() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    node.ban(&node.attacker.v4.to_string())?;
    #[rustfmt::skip]
    let cases: [(&[&str], &str); 6] = [
        (&["status"],                                    "up0"),
        (&["doctor", "up0"],                             "up0"),
        (&["bans"],                                      "203.0.113."),
        (&["bans", "list", "--covers", "203.0.113.2"],   "203.0.113.2"),
        (&["explain", "203.0.113.2", "192.0.2.10:80"],   "banned"),
        (&["policy", "get"],                             ""),
    ];
    for (arguments, mention) in cases {
        let text = node.daemon.cli(arguments)?;
        assert!(text.status.success(), "{arguments:?}: {text:?}");
        let printed = String::from_utf8(text.stdout)?;
        assert!(printed.contains(mention), "{arguments:?}: {printed}");
        assert!(!printed.contains('\x1b'), "{arguments:?} colours a pipe");
        let json = node.daemon.cli(&[arguments, &["--json"]].concat())?;
        assert!(json.status.success(), "{arguments:?} --json: {json:?}");
        serde_json::from_slice::<Value>(&json.stdout)
            .with_context(|| format!("{arguments:?}: {}", String::from_utf8_lossy(&json.stdout)))?;
    }
    Ok(())
}

#[test]
fn events_tell_of_bans_and_of_what_they_drop() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    let log = node.lab.folder.join("events.log");
    let follower = Process::start(node.daemon.command(&["events", "--follow", "--json"]), &log)?;
    let banned = node.attacker.v4.to_string();
    let tells = |words: &[&str]| {
        eventually(SOON, || {
            let log = follower.log();
            log.lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        })
    };
    // It may not have subscribed yet: ban until it tells.
    let told = eventually(SOON, || {
        let _ = node.daemon.api().unban(&banned);
        let banned = node.ban(&banned);
        banned.is_ok() && follower.log().contains("203.0.113.")
    });
    assert!(told, "{}", follower.log());
    assert!(!node.attacker.pings(node.edge().v4.into(), 3, MOMENT)?);
    assert!(
        tells(&[&banned, "192.0.2.10", "banned"]),
        "{}",
        follower.log()
    );
    for line in follower.log().lines() {
        serde_json::from_str::<Value>(line).with_context(|| line.to_owned())?;
    }
    Ok(())
}

#[test]
fn metrics_count_bans_by_family_and_origin_and_name_no_address() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::with_endpoint()?;
    let api = node.daemon.api();
    for (prefix, origin) in [
        ("203.0.113.7", "noc"),
        ("203.0.113.7", "api"),
        ("2001:db8:bad::/48", "noc"),
    ] {
        api.ban(prefix, &format!(r#"{{"origin":"{origin}"}}"#))?;
    }
    let samples = node.daemon.metrics()?;
    #[rustfmt::skip]
    let cases: [(&str, &[Label], f64); 5] = [
        ("palisade_bans",          &[],                                   3.0),
        ("palisade_bans",          &[("origin", "noc")],                  2.0),
        ("palisade_bans",          &[("origin", "noc"), ("family", "ipv6")], 1.0),
        ("palisade_build_info",    &[],                                   1.0),
        ("palisade_workers_alive", &[("interface", "up0")],               2.0),
    ];
    for (name, labels, want) in cases {
        let got = samples.sum(name, labels);
        assert!(
            (got - want).abs() < f64::EPSILON,
            "{name} {labels:?}: {got}"
        );
    }
    let text = api.get("/metrics")?.expect(200)?.body;
    for address in ["203.0.113", "192.0.2", "2001:db8"] {
        assert!(!text.contains(address), "{address} in the metrics");
    }
    Ok(())
}
