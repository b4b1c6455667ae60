//! What packets are judged by: one immutable snapshot.
//!
//! A new policy makes a new `Tables`; the workers take it up between two batches, without a lock.
//! Every verdict carries the generation under which it was made, and the kernel honours it only
//! while that generation is the one in force.

use palisade_config::{
    policy::Compiled,
    types::{PortProtocol, Protocol},
};

/// The policies in force, compiled, and their number.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub generation: u32,
    pub policy: Compiled,
    pub always_open: OpenPorts,
}

/// Ports that no policy closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenPorts {
    /// Sorted. There are a handful: a search needs no more.
    ports: Box<[PortProtocol]>,
}

impl OpenPorts {
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.ports
            .binary_search(&PortProtocol { protocol, port })
            .is_ok()
    }
}

impl FromIterator<PortProtocol> for OpenPorts {
    fn from_iter<I: IntoIterator<Item = PortProtocol>>(ports: I) -> Self {
        let mut ports: Box<[PortProtocol]> = ports.into_iter().collect();
        ports.sort_unstable();
        Self { ports }
    }
}

#[cfg(test)]
mod tests {
    use super::OpenPorts;
    use palisade_config::types::Protocol;

    #[test]
    fn open_ports() {
        let open: OpenPorts = ["udp/53", "tcp/22", "tcp/443"]
            .into_iter()
            .map(|text| text.parse().unwrap())
            .collect();
        #[rustfmt::skip]
        let cases = [
            (Protocol::Tcp,  22,  true),
            (Protocol::Tcp,  443, true),
            (Protocol::Udp,  53,  true),
            (Protocol::Udp,  22,  false),
            (Protocol::Tcp,  53,  false),
            (Protocol::Sctp, 22,  false),
        ];
        for (protocol, port, want) in cases {
            assert_eq!(open.contains(protocol, port), want, "{protocol} {port}");
        }
        assert!(!OpenPorts::default().contains(Protocol::Tcp, 22));
    }
}
