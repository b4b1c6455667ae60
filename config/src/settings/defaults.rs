//! The value of every key that is left out.
//!
//! Fixed by the contract with users: scripts rely on them.

use std::path::PathBuf;

use super::{Action, Api, Guard, Interface, Mode, PolicySettings, Tls, ZeroCopy};
use crate::{
    policy::Dialect,
    types::{PortProtocol, Protocol},
};

pub(super) const NAMESPACE: &str = "default";

pub(super) fn state_directory() -> PathBuf {
    "/var/lib/palisade".into()
}

pub(super) fn pin_directory() -> PathBuf {
    "/sys/fs/bpf/palisade".into()
}

pub(super) fn api() -> Api {
    Api {
        unix: "/run/palisade/palisade.sock".into(),
        tcp: None,
        tls: Tls::On,
        certificate: None,
        tokens: "/etc/palisade/tokens.toml".into(),
    }
}

pub(super) fn interface(name: &str) -> Interface {
    Interface {
        name: name.to_owned(),
        mode: Mode::Auto,
        zero_copy: ZeroCopy::Auto,
        when_workers_fail: Action::Pass,
        encapsulated: Action::Drop,
    }
}

/// The way in by which a mistaken policy is repaired stays open.
pub(super) fn guard() -> Guard {
    let ssh = PortProtocol {
        protocol: Protocol::Tcp,
        port: 22,
    };
    Guard {
        never_ban: Vec::new(),
        always_open: vec![ssh],
    }
}

pub(super) fn policy() -> PolicySettings {
    PolicySettings {
        directory: "/etc/palisade/policies.d".into(),
        dialect: Dialect::Kubernetes,
    }
}
