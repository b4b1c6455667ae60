//! The parts of the daemon that need no interface, put together.
//!
//! The daemon does it on the real kernel, tests on one made of maps; from here up they are the
//! same.

use std::{net::IpAddr, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use palisade_config::settings::Settings;
use palisade_fastpath::Tables;
use tokio::sync::broadcast;
use tracing::info;

use crate::{
    bans::{self, Bans, Surroundings, WriterThread},
    clock::{Clock, Timestamp},
    core::{Board, Core, Parts},
    desired::{Desired, Guards},
    enforce::Enforcer,
    policies::{Adoption, Policies, Publisher},
    reconcile::{Occasion, Reconciler},
    store::{Change, Store},
};

/// Notices that a slow subscriber may be behind.
const NOTICES_HELD: usize = 1024;

/// The parts, before anything is published.
#[derive(Debug)]
pub struct Assembly {
    pub core: Core,
    pub bans: Bans,
    pub policies: Arc<Policies>,
    pub reconciler: Arc<Reconciler>,
    pub surroundings: Surroundings,
    pub board: Arc<Board>,
    pub tables: Arc<ArcSwap<Tables>>,
    pub writer: WriterThread,
}

/// Reads the store and brings the kernel's bans up to date: those that ended meanwhile go, those
/// that the kernel lacks come.
pub async fn assemble(
    settings: &Settings,
    state_directory: &Path,
    enforcer: Arc<dyn Enforcer>,
    clock: Arc<dyn Clock>,
    adoption: Arc<dyn Adoption>,
    node_addresses: Vec<IpAddr>,
) -> anyhow::Result<Assembly> {
    let started = clock.now();
    let store = Store::open(state_directory)?;
    let desired = read_bans(settings, &store, started)?;
    let stored = store.load_policies()?;
    info!(
        bans = desired.len(),
        policies = stored.policies.len(),
        "state read"
    );

    let surroundings = Surroundings {
        enforcer: Arc::clone(&enforcer),
        clock,
        notices: broadcast::channel(NOTICES_HELD).0,
        apply_durations: Arc::default(),
        node_addresses: Arc::new(ArcSwap::from_pointee(node_addresses)),
    };
    let last_generation = enforcer.generation().max(stored.generation);
    let (bans, writer) = Bans::start(store, desired, surroundings.clone())?;
    let tables = Arc::new(ArcSwap::from_pointee(Tables::default()));
    let publisher = Publisher::new(
        Arc::clone(&tables),
        adoption,
        settings.guard.always_open.clone(),
        settings.policy.dialect,
        last_generation,
    );
    let policies = Arc::new(Policies::new(
        &settings.policy,
        &settings.endpoints,
        stored,
        bans.clone(),
        surroundings.clone(),
        publisher,
    ));
    let reconciler = Arc::new(Reconciler::new(
        bans.clone(),
        Arc::clone(&policies),
        surroundings.clone(),
    ));
    reconciler.run_once(Occasion::Start).await?;
    let board = Arc::new(Board::default());
    let core = Core::new(Parts {
        bans: bans.clone(),
        policies: Arc::clone(&policies),
        reconciler: Arc::clone(&reconciler),
        surroundings: surroundings.clone(),
        board: Arc::clone(&board),
        started,
    });
    Ok(Assembly {
        core,
        bans,
        policies,
        reconciler,
        surroundings,
        board,
        tables,
        writer,
    })
}

/// The bans of the store; those that ended while the daemon was away leave it.
fn read_bans(settings: &Settings, store: &Store, now: Timestamp) -> anyhow::Result<Desired> {
    let mut desired = Desired::new(Guards::new(settings.guard.never_ban.iter().copied()));
    let expired = bans::load(store, &mut desired, now)?;
    if !expired.is_empty() {
        let ended = expired.len();
        store.commit(
            expired
                .into_iter()
                .map(|(prefix, origin)| Change::Delete(prefix, origin)),
        )?;
        info!(bans = ended, "bans expired while the daemon was away");
    }
    Ok(desired)
}
