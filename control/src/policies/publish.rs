//! New tables for workers and kernel, in an order that leaves no packet between two policies.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use palisade_abi::{ENDPOINT_EGRESS_ISOLATED, ENDPOINT_INGRESS_ISOLATED};
use palisade_config::{
    policy::{Compiled, Dialect, EndpointState, Inventory, PolicySet},
    types::PortProtocol,
};
use palisade_fastpath::Tables;
use palisade_xdp::TableError;
use tracing::warn;

use super::book::{Assembled, Name};
use crate::{
    clock::Stopwatch,
    core::{PolicySource, Refusal},
    enforce::Enforcer,
};

/// How long the workers have to take up new tables. One that does not has stopped beating: its
/// packets follow the interface's miss action.
const ADOPTION_TIMEOUT: Duration = Duration::from_secs(2);
const ADOPTION_POLL: Duration = Duration::from_millis(1);

/// How often a write to the kernel is tried.
const KERNEL_TRIES: u32 = 3;

/// The workers, as far as publishing needs them.
pub trait Adoption: Send + Sync + fmt::Debug {
    /// The oldest generation that a live worker still judges by; `None` without workers.
    fn oldest(&self) -> Option<u32>;
}

/// No workers at all.
#[derive(Clone, Copy, Debug)]
pub struct NoWorkers;

impl Adoption for NoWorkers {
    fn oldest(&self) -> Option<u32> {
        None
    }
}

/// What is in force.
#[derive(Debug, Default)]
pub struct Published {
    pub generation: u32,
    pub dialect: Dialect,
    pub inventory: Inventory,
    pub policies: PolicySet,
    pub sources: BTreeMap<Name, PolicySource>,
    pub compiled: Compiled,
    /// What the kernel's endpoint table should hold.
    pub endpoints: BTreeMap<IpAddr, u32>,
}

/// Tables that the workers have and the kernel has not.
#[derive(Debug)]
pub struct Staged {
    new: Published,
    old_tables: Arc<Tables>,
}

impl Staged {
    /// Whether packets to any endpoint will be judged.
    pub fn judges(&self) -> bool {
        !self.new.endpoints.is_empty()
    }
}

/// Publishes tables, one after the other.
#[derive(Debug)]
pub struct Publisher {
    tables: Arc<ArcSwap<Tables>>,
    adoption: Arc<dyn Adoption>,
    always_open: Vec<PortProtocol>,
    dialect: Dialect,
    published: ArcSwap<Published>,
    /// The last number given out. One that failed is not used again: workers may have written
    /// verdicts under it.
    last_generation: AtomicU32,
}

impl Publisher {
    /// `last_generation`: the highest that the kernel or the store has seen.
    pub fn new(
        tables: Arc<ArcSwap<Tables>>,
        adoption: Arc<dyn Adoption>,
        mut always_open: Vec<PortProtocol>,
        dialect: Dialect,
        last_generation: u32,
    ) -> Self {
        always_open.sort_unstable();
        always_open.dedup();
        Self {
            tables,
            adoption,
            always_open,
            dialect,
            published: ArcSwap::default(),
            last_generation: AtomicU32::new(last_generation),
        }
    }

    pub fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    pub fn always_open(&self) -> &[PortProtocol] {
        &self.always_open
    }

    /// A generation that no verdict bears. Zero is left out: it marks a fresh kernel.
    pub(super) fn next_generation(&self) -> u32 {
        let next = |last: u32| last.wrapping_add(1).max(1);
        let last = self
            .last_generation
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)));
        last.map_or(1, next)
    }

    /// Gives the workers the tables of `assembled`. The kernel still works with the old ones, and
    /// honours no verdict of the new generation before [`Self::publish`].
    pub(super) fn stage(&self, assembled: Assembled, generation: u32) -> Staged {
        let Assembled {
            inventory,
            policies,
            sources,
            compiled,
        } = assembled;
        let new = Published {
            generation,
            dialect: self.dialect,
            endpoints: endpoints(&compiled),
            inventory,
            policies,
            sources,
            compiled,
        };
        let old_tables = self.tables.load_full();
        self.tables.store(Arc::new(Tables {
            generation,
            policy: new.compiled.clone(),
            always_open: self.always_open.iter().copied().collect(),
        }));
        Staged { new, old_tables }
    }

    /// Puts what was staged in force, or leaves everything as it was.
    pub(super) async fn publish(
        &self,
        enforcer: &dyn Enforcer,
        staged: Staged,
    ) -> Result<(), Refusal> {
        let Staged { new, old_tables } = staged;
        let old = self.published.load_full();
        self.adopted(new.generation).await;
        if let Err(error) = write(enforcer, &new, &self.always_open) {
            self.tables.store(old_tables);
            if let Err(error) = write(enforcer, &old, &self.always_open) {
                warn!(%error, "endpoints could not be put back; the next comparison does");
            }
            return Err(refusal(error));
        }
        enforcer.set_generation(new.generation);
        self.published.store(Arc::new(new));
        // Held until here, so that freeing them did not fall to a worker.
        drop(old_tables);
        Ok(())
    }

    /// Waits until every live worker judges by `generation`.
    async fn adopted(&self, generation: u32) {
        let waiting = Stopwatch::start();
        while self
            .adoption
            .oldest()
            .is_some_and(|oldest| oldest != generation)
        {
            if waiting.elapsed() > ADOPTION_TIMEOUT {
                warn!(generation, "a worker has not taken up the new tables");
                return;
            }
            tokio::time::sleep(ADOPTION_POLL).await;
        }
    }

    /// Writes again what differs from what was published; returns how many entries did.
    pub(super) fn reconcile(&self, enforcer: &dyn Enforcer) -> Result<u64, Refusal> {
        let published = self.published.load();
        let found: BTreeMap<IpAddr, u32> =
            enforcer.endpoints().map_err(refusal)?.into_iter().collect();
        let wrong = |(address, flags): &(&IpAddr, &u32)| found.get(*address) != Some(*flags);
        let missing = published.endpoints.iter().filter(wrong).count();
        let extra = found
            .keys()
            .filter(|address| !published.endpoints.contains_key(*address));
        let mut differences = missing + extra.count();
        let mut open = enforcer.always_open();
        open.sort_unstable();
        differences += usize::from(open != self.always_open);
        differences += usize::from(!holds_image(enforcer, &published)?);
        if differences > 0 {
            write(enforcer, &published, &self.always_open).map_err(refusal)?;
        }
        if enforcer.generation() != published.generation {
            enforcer.set_generation(published.generation);
            differences += 1;
        }
        Ok(u64::try_from(differences).unwrap_or(u64::MAX))
    }
}

fn endpoints(compiled: &Compiled) -> BTreeMap<IpAddr, u32> {
    let flag = |isolated, flag| if isolated { flag } else { 0 };
    let flags = |state: EndpointState| {
        flag(state.ingress_isolated, ENDPOINT_INGRESS_ISOLATED)
            | flag(state.egress_isolated, ENDPOINT_EGRESS_ISOLATED)
    };
    compiled
        .endpoints()
        .map(|(address, state)| (address, flags(state)))
        .collect()
}

/// Whether the kernel judges by the image that was published.
fn holds_image(enforcer: &dyn Enforcer, published: &Published) -> Result<bool, Refusal> {
    let stamp = enforcer.policy_stamp().map_err(refusal)?;
    let digest = published.compiled.image().digest();
    Ok(stamp
        .is_some_and(|stamp| stamp.generation == published.generation && stamp.digest == digest))
}

/// The image goes first: an endpoint that is marked as isolated finds the policies that say so.
fn write(
    enforcer: &dyn Enforcer,
    published: &Published,
    always_open: &[PortProtocol],
) -> Result<(), TableError> {
    let entries: Vec<(IpAddr, u32)> = published
        .endpoints
        .iter()
        .map(|(address, flags)| (*address, *flags))
        .collect();
    let once = || {
        enforcer.replace_always_open(always_open);
        enforcer.publish_policy(published.compiled.image(), published.generation)?;
        enforcer.replace_endpoints(&entries)?;
        enforcer.set_judge(!entries.is_empty())
    };
    let mut result = once();
    for _ in 1..KERNEL_TRIES {
        if result.is_ok() {
            break;
        }
        result = once();
    }
    result
}

fn refusal(error: TableError) -> Refusal {
    match error {
        TableError::Full {
            table,
            capacity,
            held,
            wanted,
        } => Refusal::Full {
            table,
            used: held,
            needed: wanted,
            capacity,
        },
        error => Refusal::Unavailable {
            message: format!("the kernel refused the new tables: {error}; the old ones stay"),
        },
    }
}
