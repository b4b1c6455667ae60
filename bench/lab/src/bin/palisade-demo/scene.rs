//! Who takes part: the edge with its server and its daemon, honest clients, an attacker.

use crate::narrator::Narrator;
use anyhow::{Context, Result, ensure};
use palisade_lab::load::Requests;
use palisade_lab::packet::{self, SYN};
use palisade_lab::{Daemon, DaemonOptions, Host, Lab, LabOptions, Place, Process, run};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

/// The port that everybody wants.
pub(crate) const WEB: u16 = 80;
/// The attacker's network.
pub(crate) const BAD_V4: &str = "203.0.113.0/24";
pub(crate) const BAD_V6: &str = "2001:db8:bad::/48";

const SETTINGS: &str = r#"
[guard]
never_ban = ["198.51.100.0/24"]

[[endpoint]]
name = "web"
labels = { role = "web" }
addresses = ["192.0.2.10", "2001:db8::10"]
"#;

/// Fields are dropped in this order: what runs inside before the lab.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Requests that honest clients make all the time.
    pub(crate) honest: Vec<(String, Requests)>,
    pub(crate) daemon: Daemon,
    /// Logs every connection it accepts.
    pub(crate) web: Process,
    pub(crate) client: Host,
    pub(crate) office: Host,
    pub(crate) attacker: Host,
    pub(crate) lab: Lab,
}

impl Scene {
    pub(crate) fn set(program: &Path, keep: bool, narrator: &mut Narrator) -> Result<Self> {
        narrator.step("A lab of network namespaces");
        let mut lab = Lab::with_options(LabOptions {
            keep,
            ..LabOptions::default()
        })?;
        let client = lab.add_host("client", Place::Client)?;
        let office = lab.add_host("office", Place::Client)?;
        let proxy = lab.add_host("proxy", Place::Proxy)?;
        let attacker = lab.add_host("attacker", Place::Attacker)?;
        for host in [&lab.edge, &client, &office, &proxy, &attacker] {
            narrator.does(format_args!("{:<9} {:<15} {}", host.name, host.v4, host.v6));
        }
        let web = lab.edge.serve(&format!("tcp/{WEB}"), "EXEC:cat")?;
        narrator.measured(format_args!(
            "a server on port {WEB} of the edge, on both families"
        ));

        narrator.step("The daemon, with its embedded store and no further set-up");
        let options = DaemonOptions::new(program).settings(SETTINGS);
        let daemon = Daemon::start(&lab, options)?;
        narrator.does(format_args!(
            "palisade run --config {}",
            daemon.paths.config.display()
        ));
        narrator.measured(attachment(&daemon)?);

        let honest = vec![
            (
                "client".to_owned(),
                Requests::start(&client, (lab.edge.v4, WEB))?,
            ),
            (
                "office".to_owned(),
                Requests::start(&office, (lab.edge.v6, WEB))?,
            ),
            (
                "proxy".to_owned(),
                Requests::start(&proxy, (lab.edge.v4, WEB))?,
            ),
        ];
        Ok(Self {
            honest,
            daemon,
            web,
            client,
            office,
            attacker,
            lab,
        })
    }

    /// A REST call by curl, shown as a person would type it; its body.
    pub(crate) fn rest(
        &self,
        narrator: &Narrator,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<String> {
        let url = format!("http://palisade{path}");
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--unix-socket",
        ]);
        curl.arg(&self.daemon.paths.socket)
            .args(["-X", method, &url]);
        let mut shown = format!("curl --unix-socket palisade.sock -X {method} {url}");
        if !body.is_empty() {
            curl.args(["-H", "content-type: application/json", "-d", body]);
            shown.push_str(&format!(" -d '{body}'"));
        }
        narrator.does(shown);
        run(&mut curl)
    }

    pub(crate) fn ban(&self, narrator: &Narrator, prefix: &str) -> Result<()> {
        let path = format!("/v1/bans/{}", prefix.replace('/', "%2F"));
        self.rest(narrator, "PUT", &path, r#"{"ttl":"1h","reason":"demo"}"#)
            .map(drop)
    }

    pub(crate) fn unban(&self, narrator: &Narrator, prefix: &str) -> Result<()> {
        let path = format!("/v1/bans/{}", prefix.replace('/', "%2F"));
        self.rest(narrator, "DELETE", &path, "").map(drop)
    }

    /// SYNs to the web port from all over the attacker's networks.
    pub(crate) fn attack(&self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        for number in 1..=250_u16 {
            for (source, to) in [
                (
                    format!("203.0.113.{number}"),
                    IpAddr::from(self.lab.edge.v4),
                ),
                (
                    format!("2001:db8:bad::{number:x}"),
                    IpAddr::from(self.lab.edge.v6),
                ),
            ] {
                let from = SocketAddr::new(source.parse()?, 1024 + number);
                let syn = packet::tcp(from, SocketAddr::new(to, WEB), SYN, 7, &[]);
                frames.push(packet::ethernet(
                    self.lab.edge.mac,
                    self.attacker.mac,
                    &[],
                    &syn,
                ));
            }
        }
        Ok(frames)
    }

    /// How many connections the server has logged from the attacker's networks.
    pub(crate) fn attackers_in_server_log(&self) -> usize {
        let accepted = |line: &&str| line.contains("accepting connection from");
        let log = self.web.log();
        let lines = log.lines().filter(accepted);
        lines
            .filter(|line| line.contains("203.0.113.") || line.contains("2001:0db8:0bad"))
            .count()
    }

    /// Packets counted so far under a verdict and a reason.
    pub(crate) fn packets(&self, verdict: &str, reason: &str) -> Result<u64> {
        Ok(self
            .daemon
            .metrics()?
            .packets(&[("verdict", verdict), ("reason", reason)]))
    }

    /// Checks that no honest client noticed anything since the last call.
    pub(crate) fn honest_are_undisturbed(&self, narrator: &Narrator) -> Result<()> {
        let mut said = Vec::new();
        for (name, requests) in &self.honest {
            let seen = requests.take()?;
            ensure!(seen.requests > 0, "{name} made no request");
            ensure!(
                seen.failures.is_empty(),
                "{name} was disturbed: {:?}",
                seen.failures
            );
            said.push(format!(
                "{name} {} (slowest {:.0?})",
                seen.requests, seen.slowest
            ));
        }
        narrator.measured(format_args!(
            "honest requests, all answered: {}",
            said.join(", ")
        ));
        Ok(())
    }

    pub(crate) fn instructions(&self) -> String {
        format!(
            "ask:    {} --socket {} status\n{}",
            "palisade",
            self.daemon.paths.socket.display(),
            self.lab.instructions()
        )
    }
}

/// How the program is attached, as the daemon tells it.
fn attachment(daemon: &Daemon) -> Result<String> {
    let status = daemon.api().get("/v1/status")?.expect(200)?.json()?;
    let interface = status
        .pointer("/interfaces/0")
        .with_context(|| format!("no interface in the status: {status}"))?;
    let text = |key| interface.get(key).and_then(Value::as_str).unwrap_or("?");
    let workers = interface
        .get("workers_alive")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    Ok(format!(
        "ready: {} in {} mode, {workers} workers",
        text("name"),
        text("mode")
    ))
}
