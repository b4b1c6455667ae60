//! What is measured: one veth pair and one attached program for each case.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{Link, TcHook};
use palisade_xdp::{Action, BanEffect, BanEntry, InterfaceSpec, Kernel, Mode};

use crate::{
    lists::{self, Draw},
    namespace::Pair,
    report::Series,
    timer,
    traffic::{SOURCES_MAX, Traffic},
    worker::WorkerBench,
};

const DESTINATION_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const DESTINATION_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// A case whose packets do not arrive measures nothing.
const ARRIVED_PERCENT_MIN: u64 = 99;

/// What keeps a program attached.
#[derive(Debug)]
enum Attachment {
    Bare { _link: Link },
    Palisade { _kernel: Kernel },
}

#[derive(Debug)]
struct Case {
    name: String,
    baseline: Option<usize>,
    pair: Pair,
    sources: Vec<IpAddr>,
    destination: IpAddr,
    /// Ends passed packets before the IP stack.
    _end: Option<TcHook>,
    _attachment: Attachment,
}

/// All cases of a run.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    traffic: &'a Traffic,
    cases: Vec<Case>,
    worker: Option<WorkerBench>,
    draw: Draw,
}

/// A case before its program is attached.
struct Plan {
    name: String,
    baseline: Option<usize>,
    sources: Vec<IpAddr>,
    destination: IpAddr,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(traffic: &'a Traffic) -> Self {
        Self {
            traffic,
            cases: Vec::new(),
            worker: None,
            draw: Draw::new(0x7061_6c69),
        }
    }

    /// Makes the pairs, loads the tables and attaches the programs.
    pub(crate) fn build(&mut self, sizes: &[usize]) -> Result<()> {
        let outsiders = lists::outsiders4(SOURCES_MAX, &mut self.draw);
        let everyone = [(IpAddr::V4(Ipv4Addr::new(128, 0, 0, 0)), 2)];
        let plan = |name: &str, baseline, sources: &[IpAddr]| Plan {
            name: name.to_owned(),
            baseline,
            sources: sources.to_vec(),
            destination: DESTINATION_V4,
        };

        let drop = self.bare("bare_drop", plan("bare XDP_DROP", None, &outsiders))?;
        self.palisade(
            &everyone,
            plan("drop, 1 ban (a /2)", Some(drop), &outsiders),
        )?;
        let mut largest = Vec::new();
        for &size in sizes {
            let list = lists::uniform4(size, &mut self.draw);
            let sources = lists::sources_in(&list, SOURCES_MAX, &mut self.draw);
            let name = format!("drop, {size} IPv4 bans, random sources");
            self.palisade(&list, plan(&name, Some(drop), &sources))?;
            largest = list;
        }
        let list = lists::realistic6(100_000, &mut self.draw);
        let mut sources = plan("drop, 100000 IPv6 bans, random sources", Some(drop), &[]);
        sources.sources = lists::sources_in(&list, SOURCES_MAX, &mut self.draw);
        sources.destination = DESTINATION_V6;
        self.palisade(&list, sources)?;

        let pass = self.bare("bare_pass", plan("bare XDP_PASS", None, &outsiders))?;
        self.palisade(&[], plan("pass, no ban", Some(pass), &outsiders))?;
        let name = format!("pass, {} IPv4 bans", largest.len());
        self.palisade(&largest, plan(&name, Some(pass), &outsiders))?;

        let pair = Pair::create("worker")?;
        self.worker = Some(WorkerBench::start(pair, outsiders, DESTINATION_V4)?);
        Ok(())
    }

    /// Empty series, in the order of the cases.
    pub(crate) fn series(&self) -> Vec<Series> {
        let mut series: Vec<Series> = self
            .cases
            .iter()
            .map(|case| Series {
                name: case.name.clone(),
                baseline: case.baseline,
                times: Vec::new(),
            })
            .collect();
        if self.worker.is_some() {
            series.push(Series {
                name: "AF_XDP worker, policy drop, second core".to_owned(),
                baseline: Some(0),
                times: Vec::new(),
            });
        }
        series
    }

    /// Runs every case once; the order rotates with the round.
    pub(crate) fn round(&self, round: usize, packets: u32, series: &mut [Series]) -> Result<()> {
        let count = series.len();
        for position in 0..count {
            let index = (round + position) % count;
            let time = match (self.cases.get(index), &self.worker) {
                (Some(case), _) => case.run(self.traffic, packets),
                (None, Some(worker)) => worker.run(self.traffic, packets),
                (None, None) => continue,
            };
            if let Some(series) = series.get_mut(index) {
                let time = time.with_context(|| format!("case {}", series.name))?;
                series.times.push(time);
            }
        }
        Ok(())
    }

    fn bare(&mut self, program: &str, plan: Plan) -> Result<usize> {
        let pair = self.pair()?;
        let link = self.traffic.attach_bare(program, pair.far_index)?;
        let passes = program == "bare_pass";
        self.push(plan, pair, passes, Attachment::Bare { _link: link })
    }

    fn palisade(&mut self, bans: &[(IpAddr, u8)], plan: Plan) -> Result<usize> {
        let pair = self.pair()?;
        let kernel = Kernel::open(format!("/sys/fs/bpf/{}", pair.far).as_ref())?;
        kernel.attach(&InterfaceSpec {
            name: pair.far.clone(),
            mode: Mode::Native,
            when_workers_fail: Action::Drop,
            encapsulated: Action::Drop,
            judge: false,
            give_back_far_ifindex: None,
            queues: 1,
            frame_bytes_max: 3500,
        })?;
        let entries: Vec<BanEntry> = bans
            .iter()
            .map(|&prefix| BanEntry {
                prefix,
                effect: Some(BanEffect::Banned),
            })
            .collect();
        kernel.bans().apply(&entries)?;
        let passes = plan.name.starts_with("pass");
        self.push(plan, pair, passes, Attachment::Palisade { _kernel: kernel })
    }

    fn pair(&self) -> Result<Pair> {
        Pair::create(&format!("case{}", self.cases.len()))
    }

    fn push(
        &mut self,
        plan: Plan,
        pair: Pair,
        passes: bool,
        attachment: Attachment,
    ) -> Result<usize> {
        let end = passes
            .then(|| self.traffic.end_path(pair.far_index))
            .transpose()?;
        let Plan {
            name,
            baseline,
            sources,
            destination,
        } = plan;
        self.cases.push(Case {
            name,
            baseline,
            pair,
            sources,
            destination,
            _end: end,
            _attachment: attachment,
        });
        Ok(self.cases.len() - 1)
    }
}

impl Case {
    /// Nanoseconds for each packet.
    fn run(&self, traffic: &Traffic, packets: u32) -> Result<f64> {
        let aimed = traffic.aim(&self.pair.target(self.destination, &self.sources))?;
        aimed.send(packets / 10)?;
        let before = self.pair.received()?;
        let elapsed = timer::cpu_time(|| aimed.send(packets))?;
        let arrived = self.pair.received()? - before;
        ensure!(
            arrived * 100 >= u64::from(packets) * ARRIVED_PERCENT_MIN,
            "{arrived} of {packets} packets arrived"
        );
        Ok(elapsed.as_secs_f64() * 1e9 / f64::from(packets))
    }
}
