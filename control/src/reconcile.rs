//! What the kernel holds against what it should hold.
//!
//! The kernel's tables are a cache: somebody else may empty them, an update may be lost with a
//! crash. A scan reads them, compares entry by entry and has the writer put right what differs.
//! Changes made while a scan reads are no drift: the writer knows them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use palisade_config::types::Prefix;
use palisade_xdp::TableError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    bans::{Bans, Drift, SharedDesired, Surroundings},
    clock::Stopwatch,
    core::{Family, ReconcileStatus, Refusal, What},
    desired::Effect,
    enforce::Enforcer,
    policies::Policies,
};

/// Shortest time between two scans.
const INTERVAL: Duration = Duration::from_secs(10);

/// A scan may take at most one part in so many of the time.
const SHARE: u32 = 20;

/// Entries that are compared under one hold of the lock.
const PAGE: usize = 8192;

/// Prefixes that one notice names.
const NAMED_MAX: usize = 20;

/// Compares and repairs, in the background and on demand.
#[derive(Debug)]
pub struct Reconciler {
    bans: Bans,
    policies: Arc<Policies>,
    surroundings: Surroundings,
    status: Mutex<ReconcileStatus>,
    /// One scan at a time.
    running: tokio::sync::Mutex<()>,
}

/// Whether differences are drift, or what a start has to do anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    Start,
    Check,
}

impl Reconciler {
    pub fn new(bans: Bans, policies: Arc<Policies>, surroundings: Surroundings) -> Self {
        Self {
            bans,
            policies,
            surroundings,
            status: Mutex::default(),
            running: tokio::sync::Mutex::new(()),
        }
    }

    pub fn status(&self) -> ReconcileStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Compares everything once and repairs; returns how many entries differed.
    pub async fn run_once(&self, occasion: Occasion) -> Result<u64, Refusal> {
        let _one = self.running.lock().await;
        let outcome = self.scan(occasion).await;
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.runs += 1;
        status.last = Some(self.surroundings.clock.now());
        status.problem = outcome.as_ref().err().map(ToString::to_string);
        if let Ok(repaired) = outcome
            && occasion == Occasion::Check
        {
            status.drift_repaired += repaired;
        }
        outcome
    }

    /// Runs until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut pause = INTERVAL;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let scan = Stopwatch::start();
            if let Err(error) = self.run_once(Occasion::Check).await {
                warn!(%error, "the kernel's tables could not be compared");
            }
            pause = INTERVAL.max(scan.elapsed() * SHARE);
        }
    }

    async fn scan(&self, occasion: Occasion) -> Result<u64, Refusal> {
        self.bans.begin_scan().await?;
        let desired = self.bans.desired().clone();
        let enforcer = Arc::clone(&self.surroundings.enforcer);
        let compared = tokio::task::spawn_blocking(move || compare(&desired, &*enforcer)).await;
        let drift = compared
            .map_err(|error| error.to_string())
            .and_then(|drift| drift.map_err(|error| error.to_string()))
            .map_err(|message| Refusal::Unavailable { message })?;
        let repaired = self.bans.repair(drift).await?;
        let mut entries = u64::try_from(repaired.len()).unwrap_or(u64::MAX);
        if occasion == Occasion::Check {
            entries += self.policies.reconcile().await?;
        }
        if entries > 0 {
            self.tell(occasion, entries, &repaired);
        }
        Ok(entries)
    }

    fn tell(&self, occasion: Occasion, entries: u64, repaired: &[Prefix]) {
        match occasion {
            Occasion::Start => info!(entries, "the kernel's ban tables brought up to date"),
            Occasion::Check => {
                warn!(
                    entries,
                    "the kernel's tables had drifted and have been repaired"
                );
                let prefixes = repaired.iter().take(NAMED_MAX).copied().collect();
                self.surroundings
                    .notify(What::Repaired { entries, prefixes });
            }
        }
    }
}

/// The prefixes about which the kernel's ban tables and the desired state differ.
fn compare(desired: &SharedDesired, enforcer: &dyn Enforcer) -> Result<Drift, TableError> {
    let mut banned: Vec<Prefix> = Vec::new();
    let mut exempt: BTreeSet<Prefix> = BTreeSet::new();
    for family in [Family::V4, Family::V6] {
        enforcer.each_ban(family, &mut |prefix, effect| match effect {
            Effect::Banned => banned.push(prefix),
            Effect::Exempt => {
                exempt.insert(prefix);
            }
        })?;
    }
    banned.sort_unstable();
    let mut drift = Drift::default();
    let wanted_exempt: BTreeSet<Prefix> = desired.read().wanted_exemptions().into_iter().collect();
    drift
        .prefixes
        .extend(wanted_exempt.symmetric_difference(&exempt).copied());

    let mut held = banned.into_iter().peekable();
    let mut last = None;
    loop {
        let page = desired.read().wanted_bans(last.as_ref(), PAGE);
        let Some(end) = page.last().copied() else {
            break;
        };
        last = Some(end);
        for wanted in page {
            while let Some(extra) = held.next_if(|prefix| *prefix < wanted) {
                drift.prefixes.insert(extra);
            }
            if held.next_if(|prefix| *prefix == wanted).is_none() {
                drift.prefixes.insert(wanted);
            }
        }
    }
    drift.prefixes.extend(held);
    Ok(drift)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use palisade_config::types::Prefix;

    use super::compare;
    use crate::{
        bans::SharedDesired,
        clock::Timestamp,
        core::Ban,
        desired::{Desired, Effect, Guards},
        enforce::Enforcer,
        testing::FakeKernel,
    };

    #[test]
    fn every_difference_is_found() {
        let prefix = |text: &str| -> Prefix { text.parse().unwrap() };
        let mut desired = Desired::new(Guards::new([prefix("10.1.0.0/16")]));
        for text in ["10.0.0.0/8", "192.0.2.1", "203.0.113.0/24", "2001:db8::/32"] {
            desired.insert(&Ban {
                prefix: prefix(text),
                origin: "api".parse().unwrap(),
                reason: None,
                created: Timestamp::from_millis(0),
                expires: None,
            });
        }
        let desired = SharedDesired::new(desired);
        let kernel = Arc::new(FakeKernel::default());
        let all = compare(&desired, &*kernel).unwrap();
        let entries: Vec<_> = all
            .prefixes
            .iter()
            .map(|prefix| (*prefix, desired.read().wanted(prefix)))
            .collect();
        kernel.apply_bans(&entries).unwrap();
        assert!(compare(&desired, &*kernel).unwrap().prefixes.is_empty());

        type Tamper = fn(&mut std::collections::BTreeMap<Prefix, Effect>);
        #[rustfmt::skip]
        let cases: [(&str, Tamper, &[&str]); 6] = [
            ("one is missing",       |t| { t.remove(&"192.0.2.1".parse().unwrap()); },                    &["192.0.2.1/32"]),
            ("the last is missing",  |t| { t.remove(&"2001:db8::/32".parse().unwrap()); },                &["2001:db8::/32"]),
            ("one is too many",      |t| { t.insert("192.0.2.2".parse().unwrap(), Effect::Banned); },     &["192.0.2.2/32"]),
            ("one has turned",       |t| { t.insert("192.0.2.1".parse().unwrap(), Effect::Exempt); },     &["192.0.2.1/32"]),
            ("exemption is missing", |t| { t.remove(&"10.1.0.0/16".parse().unwrap()); },                  &["10.1.0.0/16"]),
            ("all is gone",          |t| t.clear(),
                &["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "203.0.113.0/24", "2001:db8::/32"]),
        ];
        for (name, tamper, want) in cases {
            kernel.tamper(tamper);
            let drift = compare(&desired, &*kernel).unwrap();
            let found: Vec<String> = drift.prefixes.iter().map(ToString::to_string).collect();
            assert_eq!(found, want, "{name}");
            let wanted = drift
                .prefixes
                .iter()
                .map(|p| (*p, desired.read().wanted(p)));
            kernel.apply_bans(&wanted.collect::<Vec<_>>()).unwrap();
            assert!(
                compare(&desired, &*kernel).unwrap().prefixes.is_empty(),
                "{name}"
            );
        }
    }
}
