//! Where a connection goes, as `explain` takes it: `ADDRESS:PORT[/PROTOCOL]`.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use palisade_config::types::Protocol;

/// A destination, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
}

/// Why a destination was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("`{0}` is no IP address")]
    Address(String),
    #[error("an IPv6 address with a port stands in brackets: `[{0}]:443`")]
    Brackets(Ipv6Addr),
    #[error("`{0}` is no port; ports are numbers from 1 to 65535")]
    Port(String),
    #[error("the port is missing: `{0}:443`")]
    PortMissing(String),
    #[error("`{0}` is no protocol with ports: tcp, udp and sctp are")]
    Protocol(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (place, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = protocol
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| TargetError::Protocol(protocol.to_owned()))?;
        let (address, port) = split_port(place)?;
        Ok(Self {
            address,
            port,
            protocol,
        })
    }
}

fn split_port(place: &str) -> Result<(IpAddr, u16), TargetError> {
    if let Some(inside) = place.strip_prefix('[') {
        let no_address = || TargetError::Address(place.to_owned());
        let (address, rest) = inside.split_once(']').ok_or_else(no_address)?;
        let address = address.parse::<Ipv6Addr>().map_err(|_| no_address())?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((IpAddr::V6(address), parse_port(port)?)),
            None if rest.is_empty() => Err(TargetError::PortMissing(place.to_owned())),
            None => Err(no_address()),
        };
    }
    match place.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return Err(TargetError::PortMissing(place.to_owned())),
        Ok(IpAddr::V6(_)) => return Err(TargetError::PortMissing(format!("[{place}]"))),
        Err(_) => {}
    }
    let no_address = || TargetError::Address(place.to_owned());
    let (address, port) = place.rsplit_once(':').ok_or_else(no_address)?;
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Ok((IpAddr::V4(address), parse_port(port)?)),
        Ok(IpAddr::V6(address)) => Err(TargetError::Brackets(address)),
        Err(_) => Err(TargetError::Address(address.to_owned())),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(TargetError::Port(text.to_owned())),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.to_string().to_ascii_lowercase();
        match self.address {
            IpAddr::V6(address) => write!(formatter, "[{address}]:{}/{protocol}", self.port),
            IpAddr::V4(address) => write!(formatter, "{address}:{}/{protocol}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, TargetError};

    #[test]
    fn targets() {
        #[rustfmt::skip]
        let cases: [(&str, Result<&str, TargetError>); 12] = [
            ("192.0.2.10:443",           Ok("192.0.2.10:443/tcp")),
            ("192.0.2.10:53/UDP",        Ok("192.0.2.10:53/udp")),
            ("[2001:db8::10]:443/sctp",  Ok("[2001:db8::10]:443/sctp")),
            ("192.0.2.10",               Err(TargetError::PortMissing("192.0.2.10".into()))),
            ("2001:db8::10:443",         Err(TargetError::PortMissing("[2001:db8::10:443]".into()))),
            ("[2001:db8::10]",           Err(TargetError::PortMissing("[2001:db8::10]".into()))),
            ("192.0.2.10:0",             Err(TargetError::Port("0".into()))),
            ("192.0.2.10:65536",         Err(TargetError::Port("65536".into()))),
            ("192.0.2.10:443/icmp",      Err(TargetError::Protocol("icmp".into()))),
            ("web:443",                  Err(TargetError::Address("web".into()))),
            ("[2001:db8::10]443",        Err(TargetError::Address("[2001:db8::10]443".into()))),
            ("2001:db8:1:2:3:4:5:6:443", Err(TargetError::Brackets("2001:db8:1:2:3:4:5:6".parse().unwrap()))),
        ];
        for (text, want) in cases {
            let got = text.parse::<Target>().map(|target| target.to_string());
            assert_eq!(got, want.map(str::to_owned), "{text}");
        }
    }
}
