//! Ban lists and sources, the same for every program in a run.
//!
//! Drawn from a seeded generator, so that two runs measure the same lists.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, fast, good enough for test addresses.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }
}

/// `count` different IPv4 addresses, uniform over 1.0.0.0 to 126.255.255.255.
pub(crate) fn uniform4(count: usize, draw: &mut Draw) -> Vec<(IpAddr, u8)> {
    let mut addresses = BTreeSet::new();
    while addresses.len() < count {
        let address = u32::try_from(draw.next() % (126 << 24)).unwrap_or(0) + (1 << 24);
        addresses.insert(address);
    }
    addresses
        .into_iter()
        .map(|address| (Ipv4Addr::from_bits(address).into(), 32))
        .collect()
}

/// `count` different IPv6 prefixes inside 2000::/4 as lists of real attackers look: 40 % /64,
/// 30 % /128, 20 % /48, 10 % /56.
pub(crate) fn realistic6(count: usize, draw: &mut Draw) -> Vec<(IpAddr, u8)> {
    let mut prefixes = BTreeSet::new();
    while prefixes.len() < count {
        let length: u8 = match draw.below(10) {
            0..4 => 64,
            4..7 => 128,
            7..9 => 48,
            _ => 56,
        };
        let address = draw.wide() >> 4 | 0x2 << 124;
        let mask = u128::MAX << (128 - u32::from(length));
        prefixes.insert((address & mask, length));
    }
    prefixes
        .into_iter()
        .map(|(address, length)| (Ipv6Addr::from_bits(address).into(), length))
        .collect()
}

/// `count` sources drawn from the list: the lower bits below each prefix are random.
pub(crate) fn sources_in(list: &[(IpAddr, u8)], count: usize, draw: &mut Draw) -> Vec<IpAddr> {
    (0..count)
        .filter_map(|_| {
            let (address, length) = list.get(draw.below(list.len()))?;
            Some(match address {
                IpAddr::V4(address) => {
                    let host = u32::MAX.checked_shr(u32::from(*length)).unwrap_or(0);
                    let low = u32::try_from(draw.next() >> 32).unwrap_or(0);
                    Ipv4Addr::from_bits(address.to_bits() | low & host).into()
                }
                IpAddr::V6(address) => {
                    let host = u128::MAX.checked_shr(u32::from(*length)).unwrap_or(0);
                    Ipv6Addr::from_bits(address.to_bits() | draw.wide() & host).into()
                }
            })
        })
        .collect()
}

/// `count` IPv4 sources in 128.0.0.0/2, which no list names.
pub(crate) fn outsiders4(count: usize, draw: &mut Draw) -> Vec<IpAddr> {
    (0..count)
        .map(|_| {
            let low = u32::try_from(draw.next() >> 34).unwrap_or(0);
            Ipv4Addr::from_bits(1 << 31 | low).into()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Draw, outsiders4, realistic6, sources_in, uniform4};
    use std::net::IpAddr;

    fn covers((address, length): (IpAddr, u8), source: IpAddr) -> bool {
        match (address, source) {
            (IpAddr::V4(address), IpAddr::V4(source)) => {
                (address.to_bits() ^ source.to_bits()).leading_zeros() >= u32::from(length)
            }
            (IpAddr::V6(address), IpAddr::V6(source)) => {
                (address.to_bits() ^ source.to_bits()).leading_zeros() >= u32::from(length)
            }
            _ => false,
        }
    }

    #[test]
    fn sources_are_inside_the_list_and_outsiders_are_not() {
        let mut draw = Draw::new(1);
        for list in [uniform4(200, &mut draw), realistic6(200, &mut draw)] {
            assert_eq!(list.len(), 200);
            for source in sources_in(&list, 64, &mut draw) {
                assert!(
                    list.iter().any(|prefix| covers(*prefix, source)),
                    "{source}"
                );
            }
            for source in outsiders4(64, &mut draw) {
                assert!(
                    !list.iter().any(|prefix| covers(*prefix, source)),
                    "{source}"
                );
            }
        }
    }
}
