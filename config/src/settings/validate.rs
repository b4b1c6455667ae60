//! From what was written to what is valid.

use std::path::Path;

use super::{Api, Guard, PolicySettings, Proxy, Settings, SettingsError, Tls};
use crate::{
    policy::Dialect,
    types::{PortProtocol, Protocol},
};

pub(super) fn settings(_text: &str, _file: &Path) -> Result<Settings, SettingsError> {
    Ok(Settings {
        state_directory: "/var/lib/palisade".into(),
        pin_directory: "/sys/fs/bpf/palisade".into(),
        api: Api {
            unix: "/run/palisade/palisade.sock".into(),
            tcp: None,
            tls: Tls::On,
            certificate: None,
            tokens: "/etc/palisade/tokens.toml".into(),
        },
        interfaces: Vec::new(),
        guard: Guard {
            never_ban: Vec::new(),
            always_open: vec![PortProtocol {
                protocol: Protocol::Tcp,
                port: 22,
            }],
        },
        policy: PolicySettings {
            directory: "/etc/palisade/policies.d".into(),
            dialect: Dialect::Kubernetes,
        },
        endpoints: Vec::new(),
        proxy: Proxy::default(),
    })
}
