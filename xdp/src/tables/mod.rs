//! The tables that packets are judged by: written here, read by the kernel programs.
//!
//! Each is a cache of what the daemon wants. Writers of one table are expected to take turns;
//! readers need not.

mod address;
mod always_open;
mod bans;
mod endpoints;
mod flows;
mod policy;
mod state;

pub use self::{
    always_open::{AlwaysOpen, PortProtocol},
    bans::{BanEffect, BanEntry, BanTable, Bans, Family},
    endpoints::EndpointTable,
    flows::{FlowTable, LearnedTable},
    policy::{PolicySlot, PolicyStamp},
    state::StateCell,
};
