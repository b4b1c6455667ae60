//! Transport protocols and their ports, as written in settings: `tcp/443`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The protocols that have ports a policy can name.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The name as Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// The protocol number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no protocol or port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    #[error("'{text}' is no protocol; write tcp, udp or sctp")]
    Protocol { text: String },
    #[error("'{text}' is no port; write protocol/port, such as tcp/443")]
    Malformed { text: String },
    #[error("port {text} is not between 1 and 65535")]
    Range { text: String },
}

impl FromStr for Protocol {
    type Err = PortError;

    /// Reads either case: settings say `tcp`, Kubernetes says `TCP`.
    fn from_str(text: &str) -> Result<Self, PortError> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| PortError::Protocol {
                text: text.to_owned(),
            })
    }
}

/// One port of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortProtocol {
    pub protocol: Protocol,
    pub port: u16,
}

impl FromStr for PortProtocol {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let malformed = || PortError::Malformed {
            text: text.to_owned(),
        };
        let (protocol, port) = text.split_once('/').ok_or_else(malformed)?;
        let protocol = protocol.parse()?;
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| PortError::Range {
                text: port.to_owned(),
            })?;
        Ok(Self { protocol, port })
    }
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            self.protocol.name().to_ascii_lowercase(),
            self.port
        )
    }
}

impl TryFrom<String> for PortProtocol {
    type Error = PortError;

    fn try_from(text: String) -> Result<Self, PortError> {
        text.parse()
    }
}

impl From<PortProtocol> for String {
    fn from(port: PortProtocol) -> Self {
        port.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        #[rustfmt::skip]
        let cases: [(&str, Result<&str, &str>); 9] = [
            ("tcp/22",    Ok("tcp/22")),
            ("UDP/53",    Ok("udp/53")),
            ("sctp/1",    Ok("sctp/1")),
            ("icmp/1",    Err("'icmp' is no protocol; write tcp, udp or sctp")),
            ("tcp",       Err("'tcp' is no port; write protocol/port, such as tcp/443")),
            ("tcp/",      Err("'tcp/' is no port; write protocol/port, such as tcp/443")),
            ("tcp/+1",    Err("'tcp/+1' is no port; write protocol/port, such as tcp/443")),
            ("tcp/0",     Err("port 0 is not between 1 and 65535")),
            ("tcp/65536", Err("port 65536 is not between 1 and 65535")),
        ];
        for (text, want) in cases {
            let got = text.parse::<PortProtocol>();
            let got = got
                .map(|port| port.to_string())
                .map_err(|error| error.to_string());
            assert_eq!(
                got,
                want.map(str::to_owned).map_err(str::to_owned),
                "{text:?}"
            );
        }
    }
}
