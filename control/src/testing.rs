//! A kernel made of maps, for tests of everything above it. No part of the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use palisade_abi::{FlowKey, FlowVerdict, LearnedFlow};
use palisade_config::{
    policy::Image,
    types::{PortProtocol, Prefix},
};
use palisade_xdp::{PolicyStamp, TableError};

use crate::{
    clock::{Clock, Timestamp},
    core::{Family, InterfaceFigures},
    desired::{Effect, family},
    enforce::Enforcer,
};

/// Tables in memory that fail when told to.
#[derive(Debug, Default)]
pub struct FakeKernel {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bans: BTreeMap<Prefix, Effect>,
    endpoints: BTreeMap<IpAddr, u32>,
    policy: Option<PolicyStamp>,
    always_open: BTreeSet<PortProtocol>,
    generation: u32,
    judge: bool,
    failures: u32,
    panics: bool,
    capacity: Option<u64>,
    /// Every batch of ban entries in the order of its arrival.
    batches: Vec<Vec<(Prefix, Option<Effect>)>>,
}

impl FakeKernel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next `times` writes of bans or endpoints fail.
    pub fn fail(&self, times: u32) {
        self.state().failures = times;
    }

    /// Lets the next write of bans panic, as a bug of ours would.
    pub fn panic(&self) {
        self.state().panics = true;
    }

    pub fn set_capacity(&self, capacity: u64) {
        self.state().capacity = Some(capacity);
    }

    pub fn bans(&self) -> BTreeMap<Prefix, Effect> {
        self.state().bans.clone()
    }

    /// Changes the ban table behind the daemon's back.
    pub fn tamper(&self, change: impl FnOnce(&mut BTreeMap<Prefix, Effect>)) {
        change(&mut self.state().bans);
    }

    pub fn batches(&self) -> Vec<Vec<(Prefix, Option<Effect>)>> {
        self.state().batches.clone()
    }

    /// Takes the policy image away behind the daemon's back.
    pub fn lose_policy(&self) {
        self.state().policy = None;
    }

    pub fn judges(&self) -> bool {
        self.state().judge
    }
}

fn failing(state: &mut State, table: &'static str) -> Result<(), TableError> {
    if state.failures == 0 {
        return Ok(());
    }
    state.failures -= 1;
    Err(TableError::Kernel {
        table,
        operation: "update",
        source: std::io::ErrorKind::OutOfMemory.into(),
    })
}

impl Enforcer for FakeKernel {
    fn apply_bans(&self, entries: &[(Prefix, Option<Effect>)]) -> Result<(), TableError> {
        let mut state = self.state();
        assert!(!std::mem::take(&mut state.panics), "as the test asked for");
        failing(&mut state, "bans")?;
        state.batches.push(entries.to_vec());
        for (prefix, effect) in entries {
            match effect {
                Some(effect) => state.bans.insert(*prefix, *effect),
                None => state.bans.remove(prefix),
            };
        }
        Ok(())
    }

    fn each_ban(
        &self,
        wanted: Family,
        take: &mut dyn FnMut(Prefix, Effect),
    ) -> Result<(), TableError> {
        for (prefix, effect) in self.bans() {
            if family(&prefix) == wanted {
                take(prefix, effect);
            }
        }
        Ok(())
    }

    fn ban_of(&self, source: IpAddr) -> Result<Option<Effect>, TableError> {
        let bans = self.bans();
        let holding = bans
            .iter()
            .filter(|(prefix, _)| prefix.contains_addr(source));
        Ok(holding
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, effect)| *effect))
    }

    fn ban_capacity(&self, _family: Family) -> u64 {
        self.state().capacity.unwrap_or(1 << 24)
    }

    fn publish_policy(&self, image: &Image, generation: u32) -> Result<(), TableError> {
        let mut state = self.state();
        failing(&mut state, "policy")?;
        state.policy = Some(PolicyStamp {
            generation,
            digest: image.digest(),
            lines: u32::try_from(image.lines().len()).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    fn policy_stamp(&self) -> Result<Option<PolicyStamp>, TableError> {
        Ok(self.state().policy)
    }

    fn replace_endpoints(&self, endpoints: &[(IpAddr, u32)]) -> Result<(), TableError> {
        let mut state = self.state();
        failing(&mut state, "endpoints")?;
        state.endpoints = endpoints.iter().copied().collect();
        Ok(())
    }

    fn endpoints(&self) -> Result<Vec<(IpAddr, u32)>, TableError> {
        Ok(self
            .state()
            .endpoints
            .iter()
            .map(|(address, flags)| (*address, *flags))
            .collect())
    }

    fn endpoint(&self, address: IpAddr) -> Result<Option<u32>, TableError> {
        Ok(self.state().endpoints.get(&address).copied())
    }

    fn set_judge(&self, judge: bool) -> Result<(), TableError> {
        self.state().judge = judge;
        Ok(())
    }

    fn replace_always_open(&self, ports: &[PortProtocol]) {
        self.state().always_open = ports.iter().copied().collect();
    }

    fn always_open(&self) -> Vec<PortProtocol> {
        self.state().always_open.iter().copied().collect()
    }

    fn generation(&self) -> u32 {
        self.state().generation
    }

    fn set_generation(&self, generation: u32) {
        self.state().generation = generation;
    }

    fn flow(&self, _key: &FlowKey) -> Result<Option<FlowVerdict>, TableError> {
        Ok(None)
    }

    fn learned(&self, _key: &FlowKey) -> Result<Option<LearnedFlow>, TableError> {
        Ok(None)
    }

    fn count_flows(&self) -> Result<u64, TableError> {
        Ok(0)
    }

    fn interface_figures(&self) -> Result<Vec<InterfaceFigures>, TableError> {
        Ok(Vec::new())
    }

    fn events_lost(&self) -> Result<u64, TableError> {
        Ok(0)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    pub fn at(time: Timestamp) -> Self {
        Self(Mutex::new(time))
    }

    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.plus(by);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A whole core on a fake kernel, with its store and an empty policy directory under `directory`.
///
/// # Panics
///
/// When the store cannot be made: a test without it has nothing to test.
pub async fn core_with(
    directory: &std::path::Path,
    settings: palisade_config::settings::Settings,
) -> crate::core::Core {
    let kernel = std::sync::Arc::new(FakeKernel::default());
    core_on(directory, settings, kernel).await
}

/// As [`core_with`], on a kernel that the test keeps a hand on.
///
/// # Panics
///
/// As [`core_with`].
#[expect(
    clippy::expect_used,
    reason = "a fixture: without it the test cannot go on"
)]
pub async fn core_on(
    directory: &std::path::Path,
    mut settings: palisade_config::settings::Settings,
    kernel: std::sync::Arc<FakeKernel>,
) -> crate::core::Core {
    settings.policy.directory = directory.join("policies.d");
    let assembly = crate::assemble::assemble(
        &settings,
        directory,
        kernel,
        std::sync::Arc::new(crate::clock::SystemClock),
        std::sync::Arc::new(crate::policies::NoWorkers),
        Vec::new(),
    )
    .await
    .expect("a core on a fake kernel");
    let staged = assembly.policies.prepare().await.expect("policies");
    assembly
        .policies
        .publish_first(staged)
        .await
        .expect("first tables");
    assembly
        .board
        .started
        .store(true, std::sync::atomic::Ordering::Release);
    assembly.core
}
