//! The `[[endpoint]]` tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    Endpoint, SettingsError, defaults,
    table::{Table, Value},
};
use crate::types::{self, NameError, PortProtocol, Protocol};

pub(super) const KEYS: &[&str] = &[
    "name",
    "namespace",
    "labels",
    "addresses",
    "ports",
    "proxy_protocol",
];

pub(super) fn endpoints(tables: &[Table<'_>]) -> Result<Vec<Endpoint>, SettingsError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut taken = BTreeSet::new();
    for table in tables {
        let endpoint = endpoint(table, &mut taken)?;
        let same =
            |other: &Endpoint| other.name == endpoint.name && other.namespace == endpoint.namespace;
        if endpoints.iter().any(same) {
            let problem = format!(
                "endpoint '{}/{}' is there twice",
                endpoint.namespace, endpoint.name
            );
            return Err(table.require("name")?.fault(problem));
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn endpoint(table: &Table<'_>, taken: &mut BTreeSet<IpAddr>) -> Result<Endpoint, SettingsError> {
    let namespace = match table.get("namespace") {
        None => defaults::NAMESPACE.to_owned(),
        Some(value) => named(&value, types::label_name)?.to_owned(),
    };
    proxy_ports(table)?;
    Ok(Endpoint {
        name: named(&table.require("name")?, types::subdomain)?.to_owned(),
        namespace,
        labels: labels(table)?,
        addresses: addresses(table, taken)?,
        ports: ports(table)?,
    })
}

fn named<'a>(
    value: &Value<'a>,
    check: fn(&str) -> Result<(), NameError>,
) -> Result<&'a str, SettingsError> {
    let name = value.text()?;
    check(name).map_err(|error| value.fault(format!("'{name}' {error}")))?;
    Ok(name)
}

fn labels(table: &Table<'_>) -> Result<BTreeMap<String, String>, SettingsError> {
    let entries = table
        .get("labels")
        .map_or(Ok(Vec::new()), |value| value.entries())?;
    let mut labels = BTreeMap::new();
    for (key, value) in entries {
        types::label_key(key).map_err(|error| value.fault(format!("label key '{key}' {error}")))?;
        labels.insert(
            key.to_owned(),
            named(&value, types::label_value)?.to_owned(),
        );
    }
    Ok(labels)
}

fn addresses(
    table: &Table<'_>,
    taken: &mut BTreeSet<IpAddr>,
) -> Result<Vec<IpAddr>, SettingsError> {
    let values = table
        .get("addresses")
        .map_or(Ok(Vec::new()), |value| value.items())?;
    let mut addresses = Vec::new();
    for value in values {
        let text = value.text()?;
        let address: IpAddr = text
            .parse::<IpAddr>()
            .map_err(|_| value.fault(format!("'{text}' is no address")))?
            .to_canonical();
        if address.is_unspecified() || address.is_multicast() {
            return Err(value.fault(format!("'{text}' cannot be the address of an endpoint")));
        }
        if !taken.insert(address) {
            return Err(value.fault(format!("address {address} is there twice")));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn ports(table: &Table<'_>) -> Result<BTreeMap<String, PortProtocol>, SettingsError> {
    let entries = table
        .get("ports")
        .map_or(Ok(Vec::new()), |value| value.entries())?;
    let mut ports = BTreeMap::new();
    for (name, value) in entries {
        types::port_name(name)
            .map_err(|error| value.fault(format!("port name '{name}' {error}")))?;
        ports.insert(name.to_owned(), value.parse()?);
    }
    Ok(ports)
}

/// Checked, and then refused: a port that opened without its PROXY header being read would be open
/// to everybody who forges one.
fn proxy_ports(table: &Table<'_>) -> Result<(), SettingsError> {
    let values = table
        .get("proxy_protocol")
        .map_or(Ok(Vec::new()), |value| value.items())?;
    let Some(value) = values.first() else {
        return Ok(());
    };
    let port: PortProtocol = value.parse()?;
    Err(value.fault(if port.protocol == Protocol::Tcp {
        format!(
            "'{port}': this version does not read the PROXY protocol; leave the list empty and \
             let a policy say who may connect"
        )
    } else {
        format!("'{port}' is not TCP, which the PROXY protocol needs")
    }))
}
