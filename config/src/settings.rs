//! The TOML settings: what was written, and what is valid.
//!
//! ```text
//! text -> table (what was written, with places) -> read -> Settings
//! ```
//!
//! `Settings` has no other way in, so whoever holds one need not check again.
//! Every key has a default; an unknown key is an error that names the nearest
//! known one; every error says file, line, column and dotted key.

mod defaults;
mod endpoint;
mod error;
mod example;
mod read;
mod table;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
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

/// Whether a packet that a setting speaks of goes on to the host.
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
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    pub trusted: Vec<Prefix>,
}

/// More than any settings file needs; keeps a wrong path from filling memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Settings {
    /// Reads and validates the file at `path`, or at [`DEFAULT_PATH`].
    ///
    /// Without a `path` a missing default file means all defaults: the daemon
    /// starts with `--interface` and nothing else.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        match read_text(file) {
            Ok(text) => Self::parse(&text, file),
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Self::parse("", file)
            }
            Err(error) => Err(SettingsError::unreadable(file, &error)),
        }
    }

    /// Validates `text`; `file` is for the messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, SettingsError> {
        read::settings(text, file)
    }

    /// The same settings with interface `name` among them, with default keys
    /// unless the file has it already.
    pub fn with_interface(mut self, name: &str) -> Result<Self, SettingsError> {
        if let Err(problem) = read::interface_name(name) {
            return Err(SettingsError::of_argument("--interface", problem));
        }
        if !self
            .interfaces
            .iter()
            .any(|interface| interface.name == name)
        {
            self.interfaces.push(defaults::interface(name));
        }
        Ok(self)
    }
}

fn read_text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = fs::File::open(file)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if length as u64 > FILE_BYTES_MAX {
        let problem = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
