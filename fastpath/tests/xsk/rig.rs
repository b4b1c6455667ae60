//! An edge with the kernel's programs, a give-back pair and a worker for each queue.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use arc_swap::ArcSwap;
use palisade_abi::{ENDPOINT_INGRESS_ISOLATED, FlowKey, FlowVerdict, Reason, Verdict};
use palisade_config::settings::ZeroCopy;
use palisade_fastpath::{
    Ports, Replies, SpawnError, Tables, VerdictSink, Worker, WorkerCells, WorkerSettings,
    clock::Now, fragments::FragmentTable, spawn,
};
use palisade_lab::{Host, Lab, Place};
use palisade_xdp::{
    Action, Attached, HeartbeatCell, InterfaceSpec, Kernel, LearnedTable, Mode, WorkerRow,
};

use crate::support::case::tables;

pub(crate) const QUEUES: u32 = 2;
pub(crate) const FRAME_BYTES: u32 = 4096;

/// TCP and UDP port 443 for the honest network, and nothing else.
const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: \"2001:db8:51::/48\"}}]
    ports: [{protocol: TCP, port: 443}, {protocol: UDP, port: 443}]
";

const GENERATION: u32 = 7;

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

struct Flows(Kernel);

impl VerdictSink for Flows {
    fn write(&mut self, batch: &[(FlowKey, FlowVerdict)]) -> usize {
        self.0.flows().write(batch).unwrap_or(0)
    }
}

struct Learned(LearnedTable);

impl Replies for Learned {
    fn expects(&self, flow: &FlowKey, _now: Now) -> bool {
        self.0.get(flow).ok().flatten().is_some()
    }
}

/// Packets of one interface, summed over its queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) inspected: u64,
    pub(crate) passed: u64,
    pub(crate) dropped: u64,
    pub(crate) lost: u64,
}

pub(crate) struct Rig {
    pub(crate) workers: Vec<Worker>,
    pub(crate) kernel: Kernel,
    pub(crate) attached: Attached,
    pub(crate) client: Host,
    pub(crate) attacker: Host,
    tables: Arc<ArcSwap<Tables>>,
    fragments: Arc<FragmentTable>,
    pins: Pins,
    pub(crate) lab: Lab,
}

/// Takes the programs off the interface and the pins away.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = palisade_xdp::unload(&self.0);
    }
}

impl Rig {
    pub(crate) fn new(mode: Mode) -> Self {
        let mut lab = Lab::new().unwrap();
        let client = lab.add_host("client", Place::Client).unwrap();
        let attacker = lab.add_host("attacker", Place::Attacker).unwrap();
        let queues = format!("numtxqueues {QUEUES} numrxqueues {QUEUES}");
        lab.edge
            .ip(&format!(
                "link add gb0 {queues} type veth peer name gb1 {queues}\n\
                 link set gb0 up\nlink set gb1 up\n"
            ))
            .unwrap();
        let pins = Pins(lab.folder.join("bpf/palisade"));
        let web = [lab.edge.v4.into(), lab.edge.v6.into()];
        let (kernel, attached) = lab
            .edge
            .enter(|| {
                let kernel = Kernel::open(&pins.0).unwrap();
                let isolated = web.map(|address| (address, Some(ENDPOINT_INGRESS_ISOLATED)));
                kernel.endpoints().apply(&isolated).unwrap();
                kernel.state().set_heartbeat_timeout(Duration::from_secs(2));
                kernel.state().set_generation(GENERATION);
                let attached = kernel
                    .attach(&InterfaceSpec {
                        name: "up0".to_owned(),
                        mode,
                        when_workers_fail: Action::Drop,
                        encapsulated: Action::Drop,
                        judge: true,
                        give_back_far_ifindex: Some(ifindex("gb1")),
                        queues: QUEUES,
                        frame_bytes_max: WorkerSettings::packet_bytes_max(FRAME_BYTES),
                    })
                    .unwrap();
                (kernel, attached)
            })
            .unwrap();
        let mut rig = Self {
            workers: Vec::new(),
            kernel,
            attached,
            client,
            attacker,
            tables: Arc::new(ArcSwap::from_pointee(tables(POLICY, GENERATION))),
            fragments: Arc::new(FragmentTable::new()),
            pins,
            lab,
        };
        rig.start_workers();
        rig
    }

    pub(crate) fn start_workers(&mut self) {
        self.workers = (0..QUEUES)
            .map(|queue| self.spawn(queue, ZeroCopy::Auto).unwrap())
            .collect();
    }

    pub(crate) fn spawn(&self, queue: u32, zero_copy: ZeroCopy) -> Result<Worker, SpawnError> {
        let slot = self.attached.slot;
        let settings = WorkerSettings {
            interface: "up0".to_owned(),
            ifindex: self.attached.ifindex,
            slot,
            queue,
            cpu: None,
            zero_copy,
            give_back: "gb0".to_owned(),
            give_back_queue: queue,
            shim: self.attached.shim_token,
            frame_count: 1024,
            frame_bytes: FRAME_BYTES,
        };
        let sockets = self.kernel.clone();
        let ports = Ports {
            verdicts: Box::new(Flows(self.kernel.clone())),
            cells: Arc::new(Cells {
                row: self.kernel.worker_counters().cells(slot, queue).unwrap(),
                heartbeat: self.kernel.heartbeats().cell(slot, queue).unwrap(),
            }),
            events: sync_channel(1024).0,
            fragments: Arc::clone(&self.fragments),
            replies: Box::new(Learned(self.kernel.learned().clone())),
            register: Box::new(move |socket| {
                sockets
                    .sockets()
                    .set(slot, queue, socket)
                    .map_err(io::Error::other)
            }),
        };
        let tables = Arc::clone(&self.tables);
        self.lab
            .edge
            .enter(|| spawn(settings, tables, ports))
            .unwrap()
    }

    /// What the kernel program gave away, and what became of it.
    pub(crate) fn sums(&self) -> Sums {
        let kernel = self.kernel.counters().row(self.attached.slot).unwrap();
        let workers = self
            .kernel
            .worker_counters()
            .row(self.attached.slot)
            .unwrap();
        let sum = |row: &palisade_xdp::Row, verdict| {
            Reason::ALL
                .into_iter()
                .map(|reason| row.get(verdict, reason).packets)
                .sum()
        };
        Sums {
            inspected: sum(&kernel, Verdict::Inspect),
            passed: sum(&workers, Verdict::Pass),
            dropped: sum(&workers, Verdict::Drop),
            lost: sum(&workers, Verdict::Lost),
        }
    }

    pub(crate) fn worker_packets(&self, verdict: Verdict, reason: Reason) -> u64 {
        let row = self
            .kernel
            .worker_counters()
            .row(self.attached.slot)
            .unwrap();
        row.get(verdict, reason).packets
    }

    pub(crate) fn kernel_packets(&self, verdict: Verdict, reason: Reason) -> u64 {
        self.kernel
            .counters()
            .row(self.attached.slot)
            .unwrap()
            .get(verdict, reason)
            .packets
    }

    /// Stops the workers and checks that every inspected packet has ended in one counter.
    #[track_caller]
    pub(crate) fn stop_and_settle(&mut self) -> Sums {
        self.workers.drain(..).for_each(Worker::stop);
        let sums = self.sums();
        assert_eq!(
            sums.inspected,
            sums.passed + sums.dropped + sums.lost,
            "{sums:?}"
        );
        sums
    }

    pub(crate) fn web(&self, port: u16) -> SocketAddr {
        (self.lab.edge.v4, port).into()
    }

    pub(crate) fn web6(&self, port: u16) -> SocketAddr {
        (self.lab.edge.v6, port).into()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Before the namespace: the sockets keep its devices.
        self.workers.clear();
        let _ = &self.pins;
    }
}

/// Index of a device in the namespace of this thread.
fn ifindex(name: &str) -> u32 {
    let socket = UdpSocket::bind("[::]:0").unwrap();
    rustix::net::netdevice::name_to_index(&socket, name).unwrap()
}
