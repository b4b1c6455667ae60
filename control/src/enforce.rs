//! The kernel as the control plane needs it.
//!
//! A trait, because this is an edge: the daemon plugs the real tables in, the tests a fake that
//! fails on demand. Nothing is decided here.

use std::{fmt, net::IpAddr};

use palisade_abi::{FlowKey, FlowVerdict, LearnedFlow, Reason, Stage, Verdict};
use palisade_config::{
    policy::Image,
    types::{PortProtocol, Prefix, Protocol},
};
use palisade_xdp::{BanEffect, BanEntry, Kernel, PolicyStamp, Row, TableError};

use crate::{
    core::{CellFigures, Family, InterfaceFigures},
    desired::Effect,
};

/// The kernel's tables.
pub trait Enforcer: Send + Sync + fmt::Debug {
    /// Writes entries of the ban tables; `None` deletes.
    fn apply_bans(&self, entries: &[(Prefix, Option<Effect>)]) -> Result<(), TableError>;
    /// Hands out every entry of a ban table, in no particular order.
    fn each_ban(
        &self,
        family: Family,
        take: &mut dyn FnMut(Prefix, Effect),
    ) -> Result<(), TableError>;
    /// What the kernel does with a source.
    fn ban_of(&self, source: IpAddr) -> Result<Option<Effect>, TableError>;
    fn ban_capacity(&self, family: Family) -> u64;

    /// Puts a policy image in force: what endpoints send is judged by it.
    fn publish_policy(&self, image: &Image, generation: u32) -> Result<(), TableError>;
    /// The image that is in force, if this process has put it there.
    fn policy_stamp(&self) -> Result<Option<PolicyStamp>, TableError>;

    /// Makes the endpoint table hold exactly these.
    fn replace_endpoints(&self, endpoints: &[(IpAddr, u32)]) -> Result<(), TableError>;
    fn endpoints(&self) -> Result<Vec<(IpAddr, u32)>, TableError>;
    fn endpoint(&self, address: IpAddr) -> Result<Option<u32>, TableError>;
    /// Whether packets are judged by more than bans, on every interface.
    fn set_judge(&self, judge: bool) -> Result<(), TableError>;

    fn replace_always_open(&self, ports: &[PortProtocol]);
    fn always_open(&self) -> Vec<PortProtocol>;

    fn generation(&self) -> u32;
    fn set_generation(&self, generation: u32);

    fn flow(&self, key: &FlowKey) -> Result<Option<FlowVerdict>, TableError>;
    fn learned(&self, key: &FlowKey) -> Result<Option<LearnedFlow>, TableError>;
    /// Walks the table.
    fn count_flows(&self) -> Result<u64, TableError>;
    fn interface_figures(&self) -> Result<Vec<InterfaceFigures>, TableError>;
    fn events_lost(&self) -> Result<u64, TableError>;
}

fn xdp_family(family: Family) -> palisade_xdp::Family {
    match family {
        Family::V4 => palisade_xdp::Family::V4,
        Family::V6 => palisade_xdp::Family::V6,
    }
}

fn xdp_effect(effect: Effect) -> BanEffect {
    match effect {
        Effect::Exempt => BanEffect::Exempt,
        Effect::Banned => BanEffect::Banned,
    }
}

fn effect(effect: BanEffect) -> Effect {
    match effect {
        BanEffect::Exempt => Effect::Exempt,
        BanEffect::Banned => Effect::Banned,
    }
}

fn xdp_protocol(protocol: Protocol) -> palisade_xdp::PortProtocol {
    match protocol {
        Protocol::Tcp => palisade_xdp::PortProtocol::Tcp,
        Protocol::Udp => palisade_xdp::PortProtocol::Udp,
        Protocol::Sctp => palisade_xdp::PortProtocol::Sctp,
    }
}

fn protocol(protocol: palisade_xdp::PortProtocol) -> Protocol {
    match protocol {
        palisade_xdp::PortProtocol::Tcp => Protocol::Tcp,
        palisade_xdp::PortProtocol::Udp => Protocol::Udp,
        palisade_xdp::PortProtocol::Sctp => Protocol::Sctp,
    }
}

fn cells(stage: Stage, row: &Row) -> impl Iterator<Item = CellFigures> {
    let pairs = Verdict::ALL
        .into_iter()
        .flat_map(|verdict| Reason::ALL.into_iter().map(move |reason| (verdict, reason)));
    pairs.filter_map(move |(verdict, reason)| {
        let counter = row.get(verdict, reason);
        let cell = CellFigures {
            stage,
            verdict,
            reason,
            packets: counter.packets,
            bytes: counter.bytes,
        };
        (counter.packets > 0).then_some(cell)
    })
}

impl Enforcer for Kernel {
    fn apply_bans(&self, entries: &[(Prefix, Option<Effect>)]) -> Result<(), TableError> {
        let entries: Vec<BanEntry> = entries
            .iter()
            .map(|(prefix, effect)| BanEntry {
                prefix: (prefix.addr(), prefix.len()),
                effect: effect.map(xdp_effect),
            })
            .collect();
        self.bans().apply(&entries)
    }

    fn each_ban(
        &self,
        family: Family,
        take: &mut dyn FnMut(Prefix, Effect),
    ) -> Result<(), TableError> {
        for entry in self.bans().entries(xdp_family(family)) {
            let ((address, length), found) = entry?;
            if let Some(prefix) = Prefix::around(address, length) {
                take(prefix, effect(found));
            }
        }
        Ok(())
    }

    fn ban_of(&self, source: IpAddr) -> Result<Option<Effect>, TableError> {
        Ok(self.bans().lookup(source)?.map(effect))
    }

    fn ban_capacity(&self, family: Family) -> u64 {
        self.bans().capacity(xdp_family(family))
    }

    fn publish_policy(&self, image: &Image, generation: u32) -> Result<(), TableError> {
        self.policy().publish(image.lines(), generation)
    }

    fn policy_stamp(&self) -> Result<Option<PolicyStamp>, TableError> {
        self.policy().stamp()
    }

    fn replace_endpoints(&self, endpoints: &[(IpAddr, u32)]) -> Result<(), TableError> {
        self.endpoints().replace(endpoints)
    }

    fn endpoints(&self) -> Result<Vec<(IpAddr, u32)>, TableError> {
        self.endpoints().entries()
    }

    fn endpoint(&self, address: IpAddr) -> Result<Option<u32>, TableError> {
        self.endpoints().get(address)
    }

    fn set_judge(&self, judge: bool) -> Result<(), TableError> {
        for slot in self.interfaces()? {
            if slot.judge != judge {
                self.set_judge(slot.slot, judge)?;
            }
        }
        Ok(())
    }

    fn replace_always_open(&self, ports: &[PortProtocol]) {
        let ports: Vec<_> = ports
            .iter()
            .map(|open| (xdp_protocol(open.protocol), open.port))
            .collect();
        self.always_open().replace(&ports);
    }

    fn always_open(&self) -> Vec<PortProtocol> {
        let open = |(found, port)| PortProtocol {
            protocol: protocol(found),
            port,
        };
        self.always_open().ports().into_iter().map(open).collect()
    }

    fn generation(&self) -> u32 {
        self.state().generation()
    }

    fn set_generation(&self, generation: u32) {
        self.state().set_generation(generation);
    }

    fn flow(&self, key: &FlowKey) -> Result<Option<FlowVerdict>, TableError> {
        self.flows().get(key)
    }

    fn learned(&self, key: &FlowKey) -> Result<Option<LearnedFlow>, TableError> {
        self.learned().get(key)
    }

    fn count_flows(&self) -> Result<u64, TableError> {
        self.flows().count()
    }

    fn interface_figures(&self) -> Result<Vec<InterfaceFigures>, TableError> {
        self.interfaces()?
            .into_iter()
            .map(|slot| {
                let kernel = self.counters().row(slot.slot)?;
                let workers = self.worker_counters().row(slot.slot)?;
                let egress = self.egress_counters().row(slot.slot)?;
                let cells = cells(Stage::Xdp, &kernel)
                    .chain(cells(Stage::Worker, &workers))
                    .chain(cells(Stage::Egress, &egress))
                    .collect();
                Ok(InterfaceFigures {
                    name: slot.name,
                    cells,
                    workers_alive: 0,
                })
            })
            .collect()
    }

    fn events_lost(&self) -> Result<u64, TableError> {
        self.events_lost()
    }
}
