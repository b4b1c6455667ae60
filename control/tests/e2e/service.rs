//! As the service manager runs it: with the unit's user and capabilities, and its notifications.

use crate::node::{MOMENT, Node, SOON, WEB, options};
use anyhow::{Context, Result, ensure};
use palisade_lab::{Daemon, Lab, LabOptions, Place, eventually, require_root};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const UNIT: &str = include_str!("../../../systemd/palisade.service");

/// Somebody without rights of their own.
const NOBODY: u32 = 65_534;

/// The value of a setting in the unit.
fn setting(key: &str) -> Result<&'static str> {
    let lines = UNIT.lines().filter_map(|line| line.split_once('='));
    let found = lines.into_iter().find(|(name, _)| *name == key);
    found
        .map(|(_, value)| value)
        .with_context(|| format!("no {key} in the unit"))
}

/// A command that takes on the unit's user and capabilities, and no more.
fn confined() -> Result<Vec<String>> {
    let bounding = setting("CapabilityBoundingSet")?;
    ensure!(
        bounding == setting("AmbientCapabilities")?,
        "two sets of capabilities"
    );
    let capabilities: Vec<_> = bounding
        .split(' ')
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_ascii_lowercase()))
        .collect();
    let capabilities = capabilities.join(",");
    Ok(vec![
        "setpriv".to_owned(),
        format!("--reuid={NOBODY}"),
        format!("--regid={NOBODY}"),
        "--clear-groups".to_owned(),
        "--no-new-privs".to_owned(),
        format!("--inh-caps=-all,{capabilities}"),
        format!("--ambient-caps=-all,{capabilities}"),
        format!("--bounding-set=-all,{capabilities}"),
    ])
}

fn give_away(path: &Path) -> Result<()> {
    chown(path, Some(NOBODY), Some(NOBODY)).with_context(|| format!("giving {}", path.display()))
}

#[test]
fn the_units_user_and_capabilities_suffice() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    // One worker, and no try of zero-copy: the usual limit on locked memory, which the unit lifts
    // and a test may not be able to, has room for no more.
    let mut lab = Lab::with_options(LabOptions {
        queues: 1,
        keep: false,
    })?;
    let client = lab.add_host("client", Place::Client)?;
    let attacker = lab.add_host("attacker", Place::Attacker)?;
    let mut options = options().interface("zero_copy = \"off\"").settings(WEB);
    options.wrapper = confined()?;
    // A program of another user's folder may be out of the confined one's reach.
    let program = lab.folder.join("program");
    std::fs::copy(&options.program, &program)?;
    options.program = program;
    let mut daemon = Daemon::prepare(&lab, options)?;
    for path in [&lab.folder, &daemon.paths.state, &daemon.paths.policies] {
        give_away(path)?;
    }
    std::fs::create_dir(&daemon.paths.pins)?;
    give_away(&daemon.paths.pins)?;
    daemon.start_again()?;
    let pid = daemon.process()?.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(status.contains(&format!("Uid:\t{NOBODY}")), "{status}");

    let mut node = Node {
        daemon,
        client,
        attacker,
        lab,
    };
    let _servers = node.edge().serve_echo(&["tcp/80", "tcp/81"])?;
    let policy = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: TCP, port: 80}]}]}
";
    node.apply("web.yaml", policy)?;
    node.ban(&node.attacker.v4.to_string())?;
    for address in node.edge().addresses() {
        assert!(node.client.reaches((address, 80), SOON)?, "{address}");
        assert!(!node.client.reaches((address, 81), MOMENT)?, "{address}");
    }
    assert!(!node.attacker.reaches((node.edge().v4, 80), MOMENT)?);
    let alive = node.daemon.metrics()?.sum("palisade_workers_alive", &[]);
    assert!((alive - 1.0).abs() < f64::EPSILON, "{alive} workers");
    // Taking over pins is another way through the loader than making them.
    node.daemon.stop()?;
    node.daemon.start_again()?;
    assert!(node.client.reaches((node.edge().v4, 80), SOON)?);
    node.daemon.stop()
}

#[test]
fn the_service_manager_hears_of_readiness_life_and_end() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let lab = Lab::new()?;
    let path = lab.folder.join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_nonblocking(true)?;
    let mut options = options();
    options.environment = vec![
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "1000000".to_owned()),
    ];
    let mut daemon = Daemon::start(&lab, options)?;
    let mut heard = String::new();
    let mut hears = |word: &str, times: usize| {
        eventually(SOON, || {
            let mut buffer = [0; 4096];
            while let Ok(bytes) = socket.recv(&mut buffer) {
                heard.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
                heard.push('\n');
            }
            heard.matches(word).count() >= times
        })
    };
    assert!(hears("READY=1", 1), "no readiness");
    assert!(hears("WATCHDOG=1", 3), "no sign of life");
    daemon.stop()?;
    assert!(hears("STOPPING=1", 1), "no word of the end");
    Ok(())
}
