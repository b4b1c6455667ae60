//! Rules, peers and ports of a NetworkPolicy.

use super::selector::selector;
use crate::{
    policy::{Direction, IpBlock, Peer, PortRule, PortSpec, Rule, yaml::fields::Field},
    types::{self, Prefix, Protocol},
};

const INGRESS_ADVICE: &[(&str, &str)] = &[
    ("to", "an ingress rule says 'from'"),
    ("toPorts", "write 'ports'; toPorts is Cilium's"),
];
const EGRESS_ADVICE: &[(&str, &str)] = &[
    ("from", "an egress rule says 'to'"),
    ("toPorts", "write 'ports'; toPorts is Cilium's"),
];
const PEER_ADVICE: &[(&str, &str)] = &[
    ("except", "except belongs inside ipBlock, beside cidr"),
    ("cidr", "cidr belongs inside ipBlock"),
    (
        "ports",
        "ports belong beside the list of peers, not inside a peer",
    ),
];

pub(super) fn rule(field: &Field<'_>, direction: Direction) -> Option<Rule> {
    if field.is_null() {
        // Kubernetes reads a forgotten line as "allow everything".
        field.fault_with_hint(
            "the rule is empty".to_owned(),
            "write {} for a rule that allows everything".to_owned(),
        );
        return None;
    }
    let advice = match direction {
        Direction::Ingress => INGRESS_ADVICE,
        Direction::Egress => EGRESS_ADVICE,
    };
    let object = field.object(&[direction.peers_name(), "ports"], advice)?;
    let peers: Vec<_> = object
        .items(direction.peers_name())
        .iter()
        .map(peer)
        .collect();
    let ports: Vec<_> = object.items("ports").iter().map(port_rule).collect();
    Some(Rule {
        peers: peers.into_iter().collect::<Option<_>>()?,
        ports: ports.into_iter().collect::<Option<_>>()?,
        place: field.place(),
    })
}

fn peer(field: &Field<'_>) -> Option<Peer> {
    const NO_PEER: &str = "a peer needs ipBlock, podSelector or namespaceSelector";
    if field.is_null() {
        field.fault(NO_PEER);
        return None;
    }
    let object = field.object(
        &["ipBlock", "podSelector", "namespaceSelector"],
        PEER_ADVICE,
    )?;
    let block = object.get("ipBlock");
    let pods = object.get("podSelector");
    let namespaces = object.get("namespaceSelector");
    match (block, pods, namespaces) {
        (None, None, None) => {
            field.fault(NO_PEER);
            None
        }
        (Some(block), None, None) => ip_block(&block).map(Peer::Block),
        (Some(_), ..) => {
            field.fault_with_hint(
                "ipBlock cannot stand beside a selector in one peer".to_owned(),
                "start a new list item with a dash".to_owned(),
            );
            None
        }
        (None, pods, namespaces) => {
            let pods = pods.map(|field| selector(&field));
            let namespaces = namespaces.map(|field| selector(&field));
            Some(Peer::Pods {
                namespaces: namespaces.map_or(Some(None), |found| found.map(Some))?,
                pods: pods.map_or(Some(None), |found| found.map(Some))?,
                place: field.place(),
            })
        }
    }
}

fn ip_block(field: &Field<'_>) -> Option<IpBlock> {
    let object = field.object(&["cidr", "except"], &[])?;
    let cidr = object.require("cidr").and_then(|field| cidr(&field));
    let except: Vec<_> = object
        .items("except")
        .iter()
        .map(|field| Some((field.clone(), self::cidr(field)?)))
        .collect();
    let (cidr, except) = (cidr?, except.into_iter().collect::<Option<Vec<_>>>()?);
    for (field, except) in &except {
        if !cidr.contains(except) || *except == cidr {
            let written = field.text().unwrap_or_default();
            field.fault(format!("{written} must lie inside {cidr} and be smaller"));
        }
    }
    let except = except.into_iter().map(|(_, except)| except).collect();
    Some(IpBlock {
        cidr,
        except,
        place: field.place(),
    })
}

fn cidr(field: &Field<'_>) -> Option<Prefix> {
    let text = field.text()?;
    if text.is_empty() {
        field.fault("a CIDR is required, such as 192.0.2.0/24");
        return None;
    }
    if let Some(prefix) = text.parse::<Prefix>().ok().filter(|_| !text.contains('/')) {
        field.fault_with_hint(
            format!("'{text}' has no prefix length"),
            format!("write {prefix} for the single address"),
        );
        return None;
    }
    match text.parse::<Prefix>() {
        // An IPv4-mapped block would be IPv6 for one reader and IPv4 for another.
        Ok(prefix) if prefix.is_v4() && text.contains(':') => {
            field.fault_with_hint(
                format!("'{text}' is an IPv4-mapped IPv6 block"),
                format!("write {prefix}"),
            );
            None
        }
        Ok(prefix) => Some(prefix),
        Err(error) => {
            field.fault(error.to_string());
            None
        }
    }
}

fn port_rule(field: &Field<'_>) -> Option<PortRule> {
    if field.is_null() {
        field.fault_with_hint(
            "the port is empty".to_owned(),
            "write {} for every TCP port".to_owned(),
        );
        return None;
    }
    let object = field.object(&["protocol", "port", "endPort"], &[])?;
    let protocol = object
        .get("protocol")
        .map_or(Some(Protocol::Tcp), |field| protocol(&field));
    let port = object
        .get("port")
        .map_or(Some(PortSpec::All), |field| port(&field));
    let end = object.get("endPort").map(|field| (field.integer(), field));
    let (protocol, port) = (protocol?, port?);
    let port = match (port, end) {
        (port, None) => port,
        (_, Some((None, _))) => return None,
        (PortSpec::Range(first, _), Some((Some(end), field))) => {
            let last = number(&field, end)?;
            if last < first {
                field.fault(format!("{last} is below port {first}"));
            }
            PortSpec::Range(first, last)
        }
        (PortSpec::All, Some((Some(_), field))) => {
            field.fault("endPort needs a port to start from");
            return None;
        }
        (PortSpec::Named(name), Some((Some(_), field))) => {
            field.fault(format!(
                "endPort needs a numeric port, not the name '{name}'"
            ));
            return None;
        }
    };
    Some(PortRule { protocol, port })
}

fn protocol(field: &Field<'_>) -> Option<Protocol> {
    let text = field.text()?;
    let found = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.name() == text);
    if found.is_none() {
        field.fault(format!(
            "'{text}' is no protocol here; write TCP, UDP or SCTP"
        ));
    }
    found
}

fn port(field: &Field<'_>) -> Option<PortSpec> {
    match field.text_or_integer()? {
        Err(value) => number(field, value).map(|port| PortSpec::Range(port, port)),
        Ok(name) => match types::port_name(name) {
            Ok(()) => Some(PortSpec::Named(name.to_owned())),
            Err(error) => {
                let message = format!("'{name}' is no port name: it {error}");
                match name.parse::<u16>() {
                    Ok(_) => {
                        field.fault_with_hint(message, "write the number without quotes".to_owned())
                    }
                    Err(_) if name.contains('-') => {
                        field.fault_with_hint(message, "a range is port and endPort".to_owned());
                    }
                    Err(_) => field.fault(message),
                }
                None
            }
        },
    }
}

fn number(field: &Field<'_>, value: i64) -> Option<u16> {
    let port = u16::try_from(value).ok().filter(|port| *port != 0);
    if port.is_none() {
        field.fault(format!("{value} is not between 1 and 65535"));
    }
    port
}
