//! Who owns an address.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

/// An index that knows how to be absent in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Index(NonZeroU32);

impl Index {
    /// `None` beyond four billion, which the limits of a table rule out.
    pub(super) fn new(index: usize) -> Option<Self> {
        u32::try_from(index)
            .ok()?
            .checked_add(1)
            .and_then(NonZeroU32::new)
            .map(Self)
    }

    pub(super) fn get_u32(self) -> u32 {
        self.0.get() - 1
    }

    pub(super) fn get(self) -> usize {
        self.get_u32() as usize
    }
}

/// What is known of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    /// The pod whose address it is.
    pub(super) pod: Option<Index>,
    pub(super) identity: Option<Index>,
    /// Table of the pod's group, if a policy isolates it.
    pub(super) ingress: Option<Index>,
    pub(super) egress: Option<Index>,
    /// The node whose address it is.
    pub(super) node: Option<Index>,
    /// The node that the pod runs on.
    pub(super) home: Option<Index>,
}

/// A map by address, both families in one.
#[derive(Debug)]
pub(super) struct AddressMap<T> {
    entries: HashMap<u128, T, BuildHasherDefault<AddressHasher>>,
}

impl<T> Default for AddressMap<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
        }
    }
}

/// IPv4 as IPv4-mapped IPv6; callers pass canonical addresses.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl<T> AddressMap<T> {
    pub(super) fn get(&self, address: IpAddr) -> Option<&T> {
        self.entries.get(&key(address))
    }

    pub(super) fn entry(&mut self, address: IpAddr) -> &mut T
    where
        T: Default,
    {
        self.entries.entry(key(address)).or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &T)> {
        let address = |key: u128| IpAddr::V6(Ipv6Addr::from_bits(key)).to_canonical();
        self.entries
            .iter()
            .map(move |(key, value)| (address(*key), value))
    }
}

/// Mixes an address in two multiplications.
///
/// It has no secret: what is stored comes from the operator, and a stranger who
/// sends packets only chooses what is looked up.
#[derive(Debug, Default)]
pub(super) struct AddressHasher {
    state: u64,
}

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves are wanted")]
    fn write_u128(&mut self, value: u128) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let high = ((value >> 64) as u64).wrapping_mul(ODD).rotate_left(32);
        let mixed = (self.state ^ high ^ value as u64).wrapping_mul(ODD);
        self.state = mixed ^ (mixed >> 32);
    }
}
