//! How many sampled packets each policy had a part in dropping.
//!
//! Packets are counted by reason, not by policy: who dropped one is worked out for samples alone.
//! So this is a lower bound that shows which policies drop now, and starts with the daemon.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use palisade_abi::Reason;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::core::{Core, Notice, What};

/// Policies that are counted; more are left out until the daemon starts again.
const POLICIES_MAX: usize = 100_000;

/// Counts by `namespace/name`. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(Arc<Mutex<HashMap<String, u64>>>);

impl Drops {
    /// Counts until `shutdown`.
    pub(crate) fn count(core: &Core, shutdown: CancellationToken) -> Self {
        let drops = Self::default();
        let counting = drops.clone();
        let mut notices = core.subscribe();
        tokio::spawn(async move {
            loop {
                let notice = tokio::select! {
                    () = shutdown.cancelled() => return,
                    notice = notices.recv() => notice,
                };
                match notice {
                    Ok(notice) => counting.take(&notice),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        drops
    }

    fn take(&self, notice: &Notice) {
        let What::Packet(packet) = &notice.what else {
            return;
        };
        if packet.reason != Reason::PolicyDenied.label() {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for policy in &packet.policies {
            if let Some(count) = counts.get_mut(policy) {
                *count += 1;
            } else if counts.len() < POLICIES_MAX {
                counts.insert(policy.clone(), 1);
            }
        }
    }

    pub(super) fn of(&self, namespace: &str, name: &str) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .get(&format!("{namespace}/{name}"))
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::Drops;
    use crate::{
        clock::Timestamp,
        core::{Notice, PacketNotice, What},
    };

    fn packet(reason: &str, policies: &[&str]) -> Notice {
        Notice {
            time: Timestamp::from_millis(0),
            what: What::Packet(PacketNotice {
                interface: "eth0".to_owned(),
                from: Ipv4Addr::new(198, 51, 100, 1).into(),
                to: Ipv4Addr::new(192, 0, 2, 10).into(),
                protocol: 6,
                source_port: 40_000,
                port: 443,
                length: 60,
                stage: "worker".to_owned(),
                verdict: "drop".to_owned(),
                reason: reason.to_owned(),
                rule: None,
                policies: policies.iter().map(|it| (*it).to_owned()).collect(),
            }),
        }
    }

    #[test]
    fn a_drop_counts_for_each_policy_that_selects_its_destination() {
        let drops = Drops::default();
        drops.take(&packet("policy_denied", &["default/a", "default/b"]));
        drops.take(&packet("policy_denied", &["default/a"]));
        drops.take(&packet("policy_allowed", &["default/a"]));
        drops.take(&packet("banned", &[]));
        let counts = ["a", "b", "c"].map(|name| drops.of("default", name));
        assert_eq!(counts, [2, 1, 0]);
    }
}
