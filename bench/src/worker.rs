//! What one AF_XDP worker judges, on a core of its own.
//!
//! The generator floods an isolated endpoint from unknown sources; every packet is redirected to
//! the real worker loop, which denies it by policy. Counted is what the worker has judged, not what
//! was sent: the rest is lost in full rings, as it would be on a busy node.

use std::{
    net::IpAddr,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use arc_swap::ArcSwap;
use palisade_abi::{ENDPOINT_INGRESS_ISOLATED, FlowKey, FlowVerdict, Reason, Verdict};
use palisade_config::{
    policy::{self, Dialect, Document, Inventory, Limits, PolicySet},
    settings::ZeroCopy,
};
use palisade_fastpath::{
    NoReplies, Ports, Tables, VerdictSink, Worker, WorkerCells, WorkerSettings,
    fragments::FragmentTable,
};
use palisade_xdp::{Action, FlowTable, HeartbeatCell, InterfaceSpec, Kernel, Mode, WorkerRow};

use crate::{namespace::Pair, timer, traffic::Traffic};

const GENERATION: u32 = 1;
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);
/// Fewer judged packets than this in a round measure nothing.
const JUDGED_MIN: u64 = 1000;

/// A running worker and the pair that it serves.
#[derive(Debug)]
pub(crate) struct WorkerBench {
    pair: Pair,
    sources: Vec<IpAddr>,
    destination: IpAddr,
    kernel: Kernel,
    slot: u16,
    _worker: Worker,
    _give_back: Pair,
}

struct Flows(FlowTable);

impl VerdictSink for Flows {
    fn write(&mut self, batch: &[(FlowKey, FlowVerdict)]) -> usize {
        self.0.write(batch).unwrap_or(0)
    }
}

struct Cells {
    row: WorkerRow,
    heartbeat: HeartbeatCell,
}

impl WorkerCells for Cells {
    fn add(&self, cell: usize, packets: u64, bytes: u64) {
        self.row.add(cell, packets, bytes);
    }

    fn beat(&self, now_ns: u64) {
        self.heartbeat.beat(now_ns);
    }
}

impl WorkerBench {
    pub(crate) fn start(pair: Pair, sources: Vec<IpAddr>, destination: IpAddr) -> Result<Self> {
        let give_back = Pair::create("giveback")?;
        let kernel = Kernel::open(format!("/sys/fs/bpf/{}", pair.far).as_ref())?;
        let attached = kernel.attach(&InterfaceSpec {
            name: pair.far.clone(),
            mode: Mode::Native,
            when_workers_fail: Action::Drop,
            encapsulated: Action::Drop,
            judge: true,
            give_back_far_ifindex: Some(give_back.far_index),
            queues: 1,
            frame_bytes_max: 3500,
        })?;
        kernel
            .endpoints()
            .apply(&[(destination, Some(ENDPOINT_INGRESS_ISOLATED))])?;
        kernel.state().set_generation(GENERATION);
        kernel.state().set_heartbeat_timeout(HEARTBEAT_TIMEOUT);

        let slot = attached.slot;
        let sockets = kernel.sockets().clone();
        let (events, _) = sync_channel(1);
        let ports = Ports {
            verdicts: Box::new(Flows(kernel.flows().clone())),
            cells: Arc::new(Cells {
                row: kernel.worker_counters().cells(slot, 0)?,
                heartbeat: kernel.heartbeats().cell(slot, 0)?,
            }),
            events,
            fragments: Arc::new(FragmentTable::new()),
            replies: Box::new(NoReplies),
            register: Box::new(move |socket| {
                sockets.set(slot, 0, socket).map_err(std::io::Error::other)
            }),
        };
        let settings = WorkerSettings {
            interface: pair.far.clone(),
            ifindex: pair.far_index,
            slot,
            queue: 0,
            cpu: Some(timer::WORKER_CPU),
            zero_copy: ZeroCopy::Off,
            give_back: give_back.near.clone(),
            give_back_queue: 0,
            shim: attached.shim_token,
            frame_count: 4096,
            frame_bytes: 4096,
        };
        let tables = Arc::new(ArcSwap::from_pointee(deny_all(destination)?));
        let worker = palisade_fastpath::spawn(settings, tables, ports)?;
        Ok(Self {
            pair,
            sources,
            destination,
            kernel,
            slot,
            _worker: worker,
            _give_back: give_back,
        })
    }

    /// Nanoseconds for each packet that the worker has judged.
    pub(crate) fn run(&self, traffic: &Traffic, packets: u32) -> Result<f64> {
        let aimed = traffic.aim(&self.pair.target(self.destination, &self.sources))?;
        self.kernel.flows().clear()?;
        let before = self.judged()?;
        let elapsed = timer::wall_time(|| aimed.send(packets))?;
        let judged = self.judged()? - before;
        ensure!(
            judged >= JUDGED_MIN,
            "the worker judged {judged} of {packets} packets"
        );
        #[expect(
            clippy::cast_precision_loss,
            reason = "packets of one round are far below 2^53"
        )]
        let judged = judged as f64;
        Ok(elapsed.as_secs_f64() * 1e9 / judged)
    }

    fn judged(&self) -> Result<u64> {
        let row = self.kernel.worker_counters().row(self.slot)?;
        Ok(row.get(Verdict::Drop, Reason::PolicyDenied).packets)
    }
}

/// A policy that isolates the endpoint and allows one prefix that never sends.
fn deny_all(destination: IpAddr) -> Result<Tables> {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: target, namespace: default}}\n\
         status: {{podIP: {destination}, podIPs: [{{ip: {destination}}}], phase: Running}}\n\
         ---\n\
         apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: one-prefix, namespace: default}}\n\
         spec:\n  podSelector: {{}}\n  policyTypes: [Ingress]\n  ingress:\n  \
         - from: [{{ipBlock: {{cidr: 198.51.100.0/24}}}}]\n    ports: [{{port: 443}}]\n"
    );
    let documents = match policy::parse_documents(&text, &Limits::default()) {
        Ok(documents) => documents,
        Err(faults) => bail!("the benchmark's policy: {faults:?}"),
    };
    let mut inventory = Inventory::default();
    let mut policies = PolicySet::default();
    for document in documents {
        match document {
            Document::NetworkPolicy(policy) => drop(policies.insert(policy)),
            other => inventory.add_document(&other),
        }
    }
    let policy = policy::compile(&inventory, &policies, Dialect::Kubernetes)?;
    Ok(Tables {
        generation: GENERATION,
        policy,
        ..Tables::default()
    })
}
