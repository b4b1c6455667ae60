//! Flows: who speaks to whom, and whether both ends let them.

use std::net::IpAddr;

use serde::Deserialize;

use crate::{
    policy::{Direction, Inventory, PolicyVerdict, Traffic},
    types::Protocol,
};

/// A question to the policies.
#[derive(Clone, Debug, Deserialize)]
pub struct Flow {
    /// `namespace/pod` or an address.
    pub from: String,
    pub to: String,
    pub protocol: String,
    /// Destination port.
    pub port: Option<u16>,
    /// Source port; policies do not look at it.
    pub sport: Option<u16>,
    /// 4 or 6; an address says it itself.
    pub family: Option<u8>,
    /// Absent or null: new.
    pub packet: Option<FlowPacket>,
}

/// Which packet of a connection the question is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowPacket {
    /// The first of a new connection.
    #[default]
    New,
    /// The answer to that connection.
    Reply,
    /// What looks like an answer and belongs to no connection.
    Unsolicited,
}

/// The connection that a question comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub traffic: Traffic,
}

impl Flow {
    /// A new connection.
    pub fn new(from: &str, to: &str, protocol: &str, port: Option<u16>) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            protocol: protocol.to_owned(),
            port,
            sport: None,
            family: None,
            packet: None,
        }
    }

    /// Finds the addresses, and who opens the connection.
    pub fn connection(&self, inventory: &Inventory) -> Result<Connection, FlowError> {
        let family = family(self)?;
        let from = address(inventory, "from", &self.from, family)?;
        let to = address(inventory, "to", &self.to, family)?;
        let traffic = |port| traffic(&self.protocol, port, family);
        Ok(match self.packet.unwrap_or_default() {
            FlowPacket::New | FlowPacket::Reply => Connection {
                source: from,
                destination: to,
                traffic: traffic(self.port)?,
            },
            FlowPacket::Unsolicited => Connection {
                source: to,
                destination: from,
                traffic: traffic(Some(self.sport.unwrap_or(EPHEMERAL_PORT)))?,
            },
        })
    }
}

/// Why a flow cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    #[error("'{text}' is no address and no pod of the cluster")]
    Unknown { field: &'static str, text: String },
    #[error("'{text}' has no IPv{family} address")]
    NoAddress {
        field: &'static str,
        text: String,
        family: u8,
    },
    #[error("'{from}' and '{to}' are not of one family")]
    Families { from: String, to: String },
    #[error("{family} is no family; write 4 or 6")]
    Family { family: u8 },
    #[error("'{text}' is no protocol; write TCP, UDP, SCTP or ICMP")]
    Protocol { text: String },
    #[error("a {protocol} flow needs a port")]
    NoPort { protocol: Protocol },
}

impl FlowError {
    /// The field of the flow that is at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Unknown { field, .. } | Self::NoAddress { field, .. } => field,
            Self::Families { .. } => "to",
            Self::Family { .. } => "family",
            Self::Protocol { .. } => "protocol",
            Self::NoPort { .. } => "port",
        }
    }
}

/// Whoever can judge one end of a connection: the compiled form or the oracle.
pub trait Judge {
    fn decide(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
        traffic: Traffic,
    ) -> PolicyVerdict;
}

/// The source port of an unsolicited packet for which none is given.
const EPHEMERAL_PORT: u16 = 40_000;

/// Whether `flow` gets through: its source must be allowed to open the
/// connection and its destination to accept it.
///
/// A reply passes exactly when the connection it answers was allowed. An
/// unsolicited packet is a new connection the other way round.
pub fn judge(flow: &Flow, inventory: &Inventory, judge: &impl Judge) -> Result<bool, FlowError> {
    let Connection {
        source,
        destination,
        traffic,
    } = flow.connection(inventory)?;
    let out = judge.decide(Direction::Egress, source, destination, traffic);
    let into = judge.decide(Direction::Ingress, destination, source, traffic);
    Ok(out != PolicyVerdict::Denied && into != PolicyVerdict::Denied)
}

fn family(flow: &Flow) -> Result<u8, FlowError> {
    let of = |text: &str| {
        let address = text.parse::<IpAddr>().ok()?;
        Some(if address.to_canonical().is_ipv4() {
            4
        } else {
            6
        })
    };
    match (of(&flow.from), of(&flow.to), flow.family) {
        (Some(from), Some(to), _) if from != to => Err(FlowError::Families {
            from: flow.from.clone(),
            to: flow.to.clone(),
        }),
        (Some(family), ..) | (None, Some(family), _) => Ok(family),
        (None, None, None) => Ok(4),
        (None, None, Some(family @ (4 | 6))) => Ok(family),
        (None, None, Some(family)) => Err(FlowError::Family { family }),
    }
}

fn address(
    inventory: &Inventory,
    field: &'static str,
    text: &str,
    family: u8,
) -> Result<IpAddr, FlowError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical());
    }
    let pod = text
        .split_once('/')
        .and_then(|(namespace, name)| inventory.pod(namespace, name));
    let pod = pod.ok_or_else(|| FlowError::Unknown {
        field,
        text: text.to_owned(),
    })?;
    // A host-network pod speaks with its node's address.
    let node = pod.node.as_deref().filter(|_| pod.host_network);
    let node = node.and_then(|node| inventory.node(node));
    let addresses = pod
        .addresses
        .iter()
        .chain(node.into_iter().flat_map(|node| &node.addresses));
    let mut of_family = addresses.filter(|address| address.is_ipv4() == (family == 4));
    let found = of_family.next().copied();
    found.ok_or_else(|| FlowError::NoAddress {
        field,
        text: text.to_owned(),
        family,
    })
}

fn traffic(protocol: &str, port: Option<u16>, family: u8) -> Result<Traffic, FlowError> {
    if protocol.eq_ignore_ascii_case("icmp") {
        return Ok(Traffic::Other(if family == 4 { 1 } else { 58 }));
    }
    let protocol: Protocol = protocol.parse().map_err(|_| FlowError::Protocol {
        text: protocol.to_owned(),
    })?;
    Ok(Traffic::Port(
        protocol,
        port.ok_or(FlowError::NoPort { protocol })?,
    ))
}
