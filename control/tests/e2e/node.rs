//! The usual cast: the edge with its daemon, an honest client, an attacker.

use anyhow::{Context, Result, ensure};
use palisade_lab::{Daemon, DaemonOptions, Host, Lab, Place, Samples, eventually};
use std::path::PathBuf;
use std::time::Duration;

/// Within this, what should come comes.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Within this, what should not come would have come.
pub(crate) const MOMENT: Duration = Duration::from_millis(500);

/// An endpoint for the edge's own addresses, which policies can select by `role: web`.
pub(crate) const WEB: &str = r#"
[[endpoint]]
name = "web"
labels = { role = "web" }
addresses = ["192.0.2.10", "2001:db8::10"]
"#;

/// Fields are dropped in this order: what runs inside before the lab.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) daemon: Daemon,
    pub(crate) client: Host,
    pub(crate) attacker: Host,
    pub(crate) lab: Lab,
}

/// The binary of this build.
pub(crate) fn options() -> DaemonOptions {
    DaemonOptions::new(PathBuf::from(env!("CARGO_BIN_EXE_palisade")))
}

impl Node {
    /// With the default configuration.
    pub(crate) fn start() -> Result<Self> {
        Self::with(options())
    }

    /// With an endpoint that policies can select.
    pub(crate) fn with_endpoint() -> Result<Self> {
        Self::with(options().settings(WEB))
    }

    pub(crate) fn with(options: DaemonOptions) -> Result<Self> {
        let mut lab = Lab::new()?;
        let client = lab.add_host("client", Place::Client)?;
        let attacker = lab.add_host("attacker", Place::Attacker)?;
        let daemon = Daemon::start(&lab, options)?;
        Ok(Self {
            daemon,
            client,
            attacker,
            lab,
        })
    }

    pub(crate) fn edge(&self) -> &Host {
        &self.lab.edge
    }

    /// Bans by REST; the answer came after the ban was in force.
    pub(crate) fn ban(&self, prefix: &str) -> Result<()> {
        self.daemon.api().ban(prefix, "")?.expect(201).map(drop)
    }

    /// Places a policy file and waits until it is in force.
    pub(crate) fn apply(&self, name: &str, text: &str) -> Result<()> {
        self.daemon.write_policy(name, text)?;
        self.wait_for_file(name, "in_force")
    }

    /// Waits until the daemon tells a policy file to be in this state.
    pub(crate) fn wait_for_file(&self, name: &str, state: &str) -> Result<()> {
        let mut status = serde_json::Value::Null;
        let reached = eventually(SOON, || {
            status = self.status().unwrap_or_default();
            let files = status
                .pointer("/policy_files")
                .and_then(|files| files.as_array());
            files.into_iter().flatten().any(|file| {
                let text = |key| file.get(key).and_then(serde_json::Value::as_str);
                text("file").is_some_and(|path| path.ends_with(name))
                    && text("state") == Some(state)
            })
        });
        ensure!(reached, "{name} is not {state}: {status:#}");
        Ok(())
    }

    pub(crate) fn status(&self) -> Result<serde_json::Value> {
        self.daemon.api().get("/v1/status")?.expect(200)?.json()
    }

    /// Packets counted so far at a stage under a verdict and a reason.
    pub(crate) fn packets(&self, stage: &str, verdict: &str, reason: &str) -> Result<u64> {
        let labels = [("stage", stage), ("verdict", verdict), ("reason", reason)];
        Ok(self.daemon.metrics()?.packets(&labels))
    }

    /// Waits until a counter has risen by at least `by` since `before`.
    pub(crate) fn wait_for_packets(
        &self,
        labels: (&str, &str, &str),
        before: u64,
        by: u64,
    ) -> Result<u64> {
        let (stage, verdict, reason) = labels;
        let mut risen = 0;
        let enough = eventually(SOON, || {
            risen = self.packets(stage, verdict, reason).unwrap_or_default() - before;
            risen >= by
        });
        ensure!(
            enough,
            "{stage} {verdict} {reason} rose by {risen}, not by {by}"
        );
        Ok(risen)
    }

    /// Waits until the counters add up: what the device gave to XDP is what the first stage
    /// counted, and what it sent to the workers is what they counted.
    pub(crate) fn wait_for_conservation(&self, interface: &str) -> Result<()> {
        let mut ledger = Ledger::default();
        let balanced = eventually(SOON, || {
            let taken = self.daemon.metrics().and_then(|samples| {
                let received = received(self.edge(), interface)?;
                Ok(Ledger::of(&samples, interface, received))
            });
            ledger = taken.unwrap_or_default();
            ledger.received > 0 && ledger.balances()
        });
        ensure!(
            balanced,
            "the counters do not add up: {ledger:?}\n{}",
            self.daemon.log_tail()
        );
        Ok(())
    }
}

/// What must add up.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) received: u64,
    pub(crate) decided: u64,
    pub(crate) inspected: u64,
    pub(crate) judged: u64,
    pub(crate) lost: u64,
}

impl Ledger {
    fn of(samples: &Samples, interface: &str, received: u64) -> Self {
        let packets = |stage, verdict| {
            samples.packets(&[
                ("interface", interface),
                ("stage", stage),
                ("verdict", verdict),
            ])
        };
        Self {
            received,
            decided: packets("xdp", "pass") + packets("xdp", "drop"),
            inspected: packets("xdp", "inspect"),
            judged: packets("worker", "pass") + packets("worker", "drop"),
            lost: packets("worker", "lost"),
        }
    }

    fn balances(&self) -> bool {
        self.received == self.decided + self.inspected && self.inspected == self.judged + self.lost
    }
}

/// How many frames the device has given to the XDP program, as the device counts them.
pub(crate) fn received(edge: &Host, interface: &str) -> Result<u64> {
    Ok(received_by_queue(edge, interface)?.iter().sum())
}

/// The same for each receive queue.
pub(crate) fn received_by_queue(edge: &Host, interface: &str) -> Result<Vec<u64>> {
    let statistics = edge.run(&format!("ethtool -S {interface}"))?;
    let ours = |line: &&str| line.trim().starts_with("rx_queue_") && line.contains("_xdp_packets:");
    statistics
        .lines()
        .filter(ours)
        .map(|line| {
            let number = line
                .rsplit(' ')
                .next()
                .context("a statistic without a number")?;
            Ok(number.parse()?)
        })
        .collect()
}
