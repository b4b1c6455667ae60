//! From tables as written to valid settings.
//!
//! One function a section. Each destructures nothing and trusts nothing: a key
//! it does not ask for is in no `KEYS` list and therefore refused.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    Action, Api, Certificate, Guard, Interface, Mode, PolicySettings, Proxy, Settings,
    SettingsError, Tls, ZeroCopy, defaults, endpoint,
    table::{Source, Table, Value},
};

const ROOT_KEYS: &[&str] = &[
    "state_directory",
    "pin_directory",
    "api",
    "interface",
    "guard",
    "policy",
    "endpoint",
    "proxy",
];
const API_KEYS: &[&str] = &["unix", "tcp", "tls", "tls_cert", "tls_key", "tokens"];
const INTERFACE_KEYS: &[&str] = &[
    "name",
    "mode",
    "zero_copy",
    "when_workers_fail",
    "encapsulated",
];
const GUARD_KEYS: &[&str] = &["never_ban", "always_open"];
const POLICY_KEYS: &[&str] = &["directory", "dialect"];
const PROXY_KEYS: &[&str] = &["trusted"];

pub(super) const TLS: [(&str, Tls); 2] = [("on", Tls::On), ("off", Tls::Off)];
pub(super) const MODES: [(&str, Mode); 3] = [
    ("native", Mode::Native),
    ("generic", Mode::Generic),
    ("auto", Mode::Auto),
];
pub(super) const ZERO_COPY: [(&str, ZeroCopy); 3] = [
    ("on", ZeroCopy::On),
    ("off", ZeroCopy::Off),
    ("auto", ZeroCopy::Auto),
];
pub(super) const ACTIONS: [(&str, Action); 2] = [("pass", Action::Pass), ("drop", Action::Drop)];

pub(super) fn settings(text: &str, file: &Path) -> Result<Settings, SettingsError> {
    let source = Source { text, file };
    let parsed = DeTable::parse(text).map_err(|error| {
        source.fault(error.span().unwrap_or(0..0), "", error.message().to_owned())
    })?;
    let root = Table::open(source, String::new(), &parsed, ROOT_KEYS)?;
    Ok(Settings {
        state_directory: path(&root, "state_directory", defaults::state_directory())?,
        pin_directory: path(&root, "pin_directory", defaults::pin_directory())?,
        api: api(&root.table("api", API_KEYS)?)?,
        interfaces: interfaces(&root.tables("interface", INTERFACE_KEYS)?)?,
        guard: guard(&root.table("guard", GUARD_KEYS)?)?,
        policy: policy(&root.table("policy", POLICY_KEYS)?)?,
        endpoints: endpoint::endpoints(&root.tables("endpoint", endpoint::KEYS)?)?,
        proxy: proxy(&root.table("proxy", PROXY_KEYS)?)?,
    })
}

fn path(table: &Table<'_>, key: &str, default: PathBuf) -> Result<PathBuf, SettingsError> {
    Ok(optional_path(table, key)?.unwrap_or(default))
}

fn optional_path(table: &Table<'_>, key: &str) -> Result<Option<PathBuf>, SettingsError> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    let path = PathBuf::from(value.text()?);
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err(value.fault(format!("'{}' is not an absolute path", path.display())))
    }
}

fn api(table: &Table<'_>) -> Result<Api, SettingsError> {
    let default = defaults::api();
    let api = Api {
        unix: path(table, "unix", default.unix)?,
        tcp: table
            .get("tcp")
            .map(|value| socket_address(&value))
            .transpose()?,
        tls: table.choice("tls", &TLS, default.tls)?,
        certificate: certificate(table)?,
        tokens: path(table, "tokens", default.tokens)?,
    };
    let public = api
        .tcp
        .is_some_and(|address| !address.ip().to_canonical().is_loopback());
    if let (Tls::Off, true, Some(value)) = (api.tls, public, table.get("tls")) {
        let mut error = value.fault("tokens must not cross a network in the clear".to_owned());
        error.suggestion = Some("\"off\" needs a loopback address in api.tcp".to_owned());
        return Err(error);
    }
    Ok(api)
}

fn socket_address(value: &Value<'_>) -> Result<SocketAddr, SettingsError> {
    let text = value.text()?;
    text.parse().map_err(|_| {
        let mut error = value.fault(format!("'{text}' is no address and port"));
        error.suggestion = Some("write 127.0.0.1:9475 or [::1]:9475".to_owned());
        error
    })
}

fn certificate(table: &Table<'_>) -> Result<Option<Certificate>, SettingsError> {
    match (
        optional_path(table, "tls_cert")?,
        optional_path(table, "tls_key")?,
    ) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(Certificate { cert, key })),
        (Some(_), None) => Err(together(&table.require("tls_cert")?, "api.tls_key")),
        (None, Some(_)) => Err(together(&table.require("tls_key")?, "api.tls_cert")),
    }
}

fn together(value: &Value<'_>, other: &str) -> SettingsError {
    value.fault(format!("is set without {other}; a certificate needs both"))
}

fn interfaces(tables: &[Table<'_>]) -> Result<Vec<Interface>, SettingsError> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for table in tables {
        let value = table.require("name")?;
        let name = value.text()?;
        interface_name(name).map_err(|problem| value.fault(problem))?;
        if interfaces.iter().any(|interface| interface.name == name) {
            return Err(value.fault(format!("interface '{name}' is there twice")));
        }
        let default = defaults::interface(name);
        interfaces.push(Interface {
            mode: table.choice("mode", &MODES, default.mode)?,
            zero_copy: table.choice("zero_copy", &ZERO_COPY, default.zero_copy)?,
            when_workers_fail: table.choice(
                "when_workers_fail",
                &ACTIONS,
                default.when_workers_fail,
            )?,
            encapsulated: table.choice("encapsulated", &ACTIONS, default.encapsulated)?,
            name: default.name,
        });
    }
    Ok(interfaces)
}

/// Whether the kernel would take `name` for an interface.
pub(super) fn interface_name(name: &str) -> Result<(), String> {
    let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 15 {
        Err(format!("'{name}' is no interface name: 1 to 15 bytes"))
    } else if matches!(name, "." | "..") || name.contains(odd) {
        Err(format!(
            "'{name}' is no interface name: no '/', ':' or blanks"
        ))
    } else {
        Ok(())
    }
}

fn guard(table: &Table<'_>) -> Result<Guard, SettingsError> {
    let default = defaults::guard();
    Ok(Guard {
        never_ban: table.parsed_list("never_ban", default.never_ban)?,
        always_open: table.parsed_list("always_open", default.always_open)?,
    })
}

fn policy(table: &Table<'_>) -> Result<PolicySettings, SettingsError> {
    let default = defaults::policy();
    Ok(PolicySettings {
        directory: path(table, "directory", default.directory)?,
        dialect: table.parsed("dialect", default.dialect)?,
    })
}

fn proxy(table: &Table<'_>) -> Result<Proxy, SettingsError> {
    Ok(Proxy {
        trusted: table.parsed_list("trusted", Vec::new())?,
    })
}
