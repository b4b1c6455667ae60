//! What may be banned, and what only with force.

use std::net::IpAddr;

use palisade_config::types::Prefix;

use super::Guards;
use crate::core::{Refusal, Whose};

/// Shortest prefixes that may be banned without force.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// Addresses that a ban should not cut off by accident.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnAddresses<'a> {
    pub node: &'a [IpAddr],
    pub caller: Option<IpAddr>,
}

/// Refuses a ban on `prefix` that breaks a rule.
///
/// A guard cannot be forced. An address of the node or of the caller that lies inside a guard
/// stays reachable whatever is banned around it, so it is no reason to refuse.
pub fn refuse(
    prefix: &Prefix,
    guards: &Guards,
    own: OwnAddresses<'_>,
    force: bool,
) -> Result<(), Refusal> {
    if let Some(guard) = guards.holding(prefix) {
        return Err(Refusal::Guarded {
            prefix: *prefix,
            guard,
        });
    }
    if force {
        return Ok(());
    }
    let shortest = if prefix.is_v4() {
        SHORTEST_V4
    } else {
        SHORTEST_V6
    };
    if prefix.len() < shortest {
        return Err(Refusal::TooShort {
            prefix: *prefix,
            shortest,
        });
    }
    let node = own.node.iter().map(|address| (*address, Whose::Node));
    let caller = own
        .caller
        .map(|address| (address.to_canonical(), Whose::Caller));
    for (address, whose) in caller.into_iter().chain(node) {
        let guarded = || guards.holding(&Prefix::host(address)).is_some();
        if prefix.contains_addr(address) && !guarded() {
            return Err(Refusal::OwnAddress {
                prefix: *prefix,
                address,
                whose,
            });
        }
    }
    Ok(())
}

/// The guards that a ban on `prefix` leaves out.
pub fn exempted(prefix: &Prefix, guards: &Guards) -> Vec<Prefix> {
    guards.inside(prefix).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Guards, OwnAddresses, refuse};

    #[test]
    fn what_may_be_banned() {
        let guards = Guards::new(["10.0.0.0/8", "203.0.113.5"].map(|text| text.parse().unwrap()));
        let node: Vec<IpAddr> = ["192.0.2.1", "203.0.113.5", "2001:db8::1"]
            .map(|text| text.parse().unwrap())
            .into();
        let caller = "::ffff:198.51.100.9".parse().ok();
        let own = OwnAddresses {
            node: &node,
            caller,
        };
        #[rustfmt::skip]
        let cases: [(&str, bool, &str); 14] = [
            ("203.0.114.7",      false, "ok"),
            ("203.0.113.0/24",   false, "ok"),
            ("10.1.0.0/16",      false, "10.1.0.0/16 lies inside the guard 10.0.0.0/8, which is never banned"),
            ("10.0.0.0/8",       true,  "10.0.0.0/8 lies inside the guard 10.0.0.0/8, which is never banned"),
            ("8.0.0.0/7",        false, "8.0.0.0/7 is shorter than /8: it would cut off a large part of the network"),
            ("0.0.0.0/0",        true,  "ok"),
            ("::/0",             false, "::/0 is shorter than /16: it would cut off a large part of the network"),
            ("2002::/16",        false, "ok"),
            ("192.0.2.0/24",     false, "192.0.2.0/24 holds 192.0.2.1, an address of this node"),
            ("192.0.2.0/24",     true,  "ok"),
            ("192.0.2.1/32",     false, "192.0.2.1/32 holds 192.0.2.1, an address of this node"),
            ("2001:db8::/64",    false, "2001:db8::/64 holds 2001:db8::1, an address of this node"),
            ("198.51.100.9/32",  false, "198.51.100.9/32 holds 198.51.100.9, the address that this call comes from"),
            ("198.51.100.8/32",  false, "ok"),
        ];
        for (prefix, force, want) in cases {
            let got = refuse(&prefix.parse().unwrap(), &guards, own, force);
            let got = got.map_or_else(|refusal| refusal.to_string(), |()| "ok".to_owned());
            assert_eq!(got, want, "{prefix} force={force}");
        }
    }
}
