//! Packets written as text, and what is expected of them.
//!
//! ```text
//! tcp 198.51.100.7:40000 -> 192.0.2.10:443           pass policy_allowed
//! udp 198.51.100.7:5 -> 192.0.2.10:53 first=7        drop policy_denied
//! udp 198.51.100.7 -> 192.0.2.10 later=7@1480        drop policy_denied
//! icmp 203.0.113.1 -> 192.0.2.10 type=3 quoting=192.0.2.10>198.51.100.7   pass reply
//! ```
//! Options: `first=ID` and `later=ID@OFFSET` make fragments, `cut=ID` a first one that ends behind the
//! ports, `type=N` and `quoting=FROM>TO` an ICMP message, `sum=bad` a wrong checksum, `vlan=N` a tag,
//! `lead=N` N bytes of extension headers behind the fragment header, `wait=S` lets S seconds pass.

use std::{net::IpAddr, path::Path};

use palisade_config::{
    policy::{
        Dialect, Document, Inventory, Limits, NamedPort, Pod, PolicySet, compile, parse_documents,
    },
    types::PortProtocol,
};
use palisade_fastpath::Tables;
use serde::Deserialize;

use super::frames::{
    DESTINATION_OPTIONS, FRAGMENT, ICMP, ICMPV6, Ip, SCTP, TCP, UDP, VLAN, extension, fragment,
    icmp, sctp, tagged, tcp, udp,
};

/// Addresses of the endpoint `web`, which the policies of the cases select.
pub(crate) const WEB: [&str; 3] = ["192.0.2.10", "2001:db8:b::10", "2001:db8::10"];
/// Addresses of the endpoint `open`, which none selects.
pub(crate) const OPEN: [&str; 2] = ["192.0.2.20", "2001:db8:b::20"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) case: Vec<Case>,
}

/// Packets that arrive one after the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// NetworkPolicy documents.
    pub(crate) policy: String,
    #[serde(default)]
    pub(crate) always_open: Vec<String>,
    /// Flows that the endpoint started, as their replies look: `udp A:p -> B:q`.
    #[serde(default)]
    pub(crate) started: Vec<String>,
    pub(crate) packets: Vec<String>,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty());
        files
            .iter()
            .flat_map(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                let file: File = toml::from_str(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                file.case
            })
            .collect()
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables {
            always_open: self
                .always_open
                .iter()
                .map(|text| text.parse::<PortProtocol>().unwrap())
                .collect(),
            ..tables(&self.policy, 7)
        }
    }
}

/// The policies in `text` over the cluster of the two endpoints.
pub(crate) fn tables(text: &str, generation: u32) -> Tables {
    let mut inventory = Inventory::default();
    for (name, addresses) in [("web", &WEB[..]), ("open", &OPEN[..])] {
        inventory.add_pod(Pod {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            labels: [("app".to_owned(), name.to_owned())].into(),
            addresses: addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect(),
            ports: Vec::<NamedPort>::new(),
            node: None,
            host_network: false,
            finished: false,
        });
    }
    let mut policies = PolicySet::default();
    for document in parse_documents(text, &Limits::default()).unwrap() {
        match document {
            Document::NetworkPolicy(policy) => drop(policies.insert(policy)),
            other => panic!("only policies belong here: {other:?}"),
        }
    }
    let policy = compile(&inventory, &policies, Dialect::default()).unwrap();
    Tables {
        generation,
        policy,
        ..Tables::default()
    }
}

/// One line of a case.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) frame: Vec<u8>,
    /// Seconds since the line before.
    pub(crate) wait: u64,
    /// `pass policy_allowed`
    pub(crate) want: String,
}

impl Line {
    /// Reads a line; panics at what it does not understand.
    pub(crate) fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let mut word = || {
            words
                .next()
                .unwrap_or_else(|| panic!("line ends early: {text}"))
        };
        let protocol = word();
        let from = word();
        assert_eq!(word(), "->", "{text}");
        let to = word();
        let rest: Vec<&str> = words.collect();
        let (options, want) = rest.split_at(rest.len() - 2);
        let mut options = Options::parse(options);
        Self {
            frame: options.frame(protocol, endpoint(from), endpoint(to)),
            wait: options.wait,
            want: want.join(" "),
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    first: Option<u32>,
    cut: Option<u32>,
    later: Option<(u32, u16)>,
    lead: u8,
    kind: Option<u8>,
    quoting: Option<(String, String)>,
    bad_sum: bool,
    vlan: Option<u16>,
    wait: u64,
}

impl Options {
    fn parse(words: &[&str]) -> Self {
        let mut options = Self::default();
        for word in words {
            let (key, value) = word
                .split_once('=')
                .unwrap_or_else(|| panic!("option {word}?"));
            match key {
                "first" => options.first = Some(value.parse().unwrap()),
                "cut" => options.cut = Some(value.parse().unwrap()),
                "later" => {
                    let (id, offset) = value.split_once('@').unwrap();
                    options.later = Some((id.parse().unwrap(), offset.parse().unwrap()));
                }
                "lead" => options.lead = value.parse().unwrap(),
                "type" => options.kind = Some(value.parse().unwrap()),
                "quoting" => {
                    let (from, to) = value.split_once('>').unwrap();
                    options.quoting = Some((from.to_owned(), to.to_owned()));
                }
                "sum" => options.bad_sum = value == "bad",
                "vlan" => options.vlan = Some(value.parse().unwrap()),
                "wait" => options.wait = value.parse().unwrap(),
                other => panic!("option {other}?"),
            }
        }
        options
    }

    fn frame(&mut self, protocol: &str, from: (IpAddr, u16), to: (IpAddr, u16)) -> Vec<u8> {
        let (number, mut payload) = match protocol {
            "tcp" => (TCP, tcp(from.1, to.1, 2)),
            "udp" => (UDP, udp(from.1, to.1, b"payload")),
            "sctp" => (SCTP, sctp(from.1, to.1)),
            "icmp" => {
                let number = if from.0.is_ipv4() { ICMP } else { ICMPV6 };
                let quote = self.quoting.as_ref().map_or_else(Vec::new, |(from, to)| {
                    Ip::new(from, to, UDP, udp(1, 2, b"")).bytes()
                });
                (
                    number,
                    icmp(self.kind.unwrap_or(8), 0, [0x12, 0x34, 0, 1], &quote),
                )
            }
            other => (other.parse().unwrap(), vec![0; 8]),
        };
        if self.later.is_some() {
            payload = vec![0xee; 64];
        }
        let source = from.0.to_string();
        let mut ip = Ip::new(&source, &to.0.to_string(), number, payload);
        if self.later.is_none() && matches!(number, TCP | UDP | SCTP | ICMP | ICMPV6) {
            ip = ip.checked();
        }
        if self.cut.is_some() {
            ip.payload.truncate(if number == TCP { 8 } else { 4 });
        }
        if self.bad_sum {
            *ip.payload.last_mut().unwrap() ^= 1;
        }
        match (self.first.or(self.cut), self.later) {
            (Some(id), None) => self.place(&mut ip, id, 0, true),
            (None, Some((id, offset))) => self.place(&mut ip, id, offset, false),
            (None, None) => {}
            _ => panic!("first or later?"),
        }
        match self.vlan {
            Some(id) => tagged(&ip.frame(), &[(VLAN, id)]),
            None => ip.frame(),
        }
    }

    fn place(&self, ip: &mut Ip, id: u32, offset: u16, more: bool) {
        if ip.source.is_ipv4() {
            ip.identification = id.try_into().unwrap();
            ip.flags_and_offset = (offset / 8) | if more { 0x2000 } else { 0 };
            return;
        }
        ip.extensions.push((FRAGMENT, fragment(id, offset, more)));
        if self.lead > 0 {
            let units = self.lead / 8 - 1;
            if more {
                ip.extensions.push((DESTINATION_OPTIONS, extension(units)));
            } else {
                ip.protocol = DESTINATION_OPTIONS;
            }
        }
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, or an address alone.
pub(crate) fn endpoint(text: &str) -> (IpAddr, u16) {
    if let Ok(address) = text.parse::<IpAddr>() {
        return (address, 0);
    }
    let socket: std::net::SocketAddr = text
        .parse()
        .unwrap_or_else(|_| panic!("no address: {text}"));
    (socket.ip(), socket.port())
}
