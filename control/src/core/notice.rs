//! What subscribers of `/v1/events` hear.

use std::{net::IpAddr, sync::Arc};

use palisade_config::types::Prefix;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Ban, Origin};
use crate::clock::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    BanAdded {
        ban: Ban,
    },
    BanChanged {
        ban: Ban,
    },
    BanLifted {
        ban: Ban,
    },
    BanExpired {
        ban: Ban,
    },
    Imported {
        #[schema(value_type = String)]
        origin: Origin,
        added: u64,
        removed: u64,
    },
    /// New tables are in force.
    Generation {
        generation: u32,
        policies: u64,
        endpoints: u64,
    },
    PolicyFileBroken {
        file: String,
        problem: String,
    },
    PolicyFileInForce {
        file: String,
    },
    WorkerDied {
        interface: String,
        queue: u32,
        problem: String,
    },
    WorkerStarted {
        interface: String,
        queue: u32,
    },
    InterfaceLost {
        interface: String,
    },
    InterfaceAttached {
        interface: String,
        mode: String,
    },
    /// The kernel did not hold what was wanted; it does now.
    Repaired {
        entries: u64,
        #[schema(value_type = Vec<String>)]
        prefixes: Vec<Prefix>,
    },
    Packet(PacketNotice),
}

/// A sampled packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PacketNotice {
    pub interface: String,
    #[schema(value_type = String)]
    pub from: IpAddr,
    #[schema(value_type = String)]
    pub to: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub port: u16,
    pub length: u16,
    pub stage: String,
    pub verdict: String,
    pub reason: String,
    /// `namespace/name` and field of the rule that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `namespace/name` of the policies that select the destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// Notices are shared among all subscribers.
pub type SharedNotice = Arc<Notice>;
