//! Endpoints: the addresses that palisade protects, and whether policies select them.

use std::{collections::HashMap, net::IpAddr};

use palisade_abi::Endpoint;

use super::address::{mapped, unmapped};
use crate::{TableError, object::names, sys::map::Map};

#[derive(Clone, Debug)]
pub struct EndpointTable {
    map: Map<[u8; 16], Endpoint>,
}

impl EndpointTable {
    pub(crate) fn new(map: Map<[u8; 16], Endpoint>) -> Self {
        Self { map }
    }

    /// Writes changes; `None` removes. Flags are `palisade_abi::ENDPOINT_*`. Refused as a whole,
    /// before anything is written, if the table could become too full.
    pub fn apply(&self, entries: &[(IpAddr, Option<u32>)]) -> Result<(), TableError> {
        let held: HashMap<_, _> = self.entries()?.into_iter().collect();
        let added = entries
            .iter()
            .filter(|(address, flags)| {
                flags.is_some() && !held.contains_key(&address.to_canonical())
            })
            .count() as u64;
        self.check(held.len() as u64, added)?;
        for (address, flags) in entries {
            let key = mapped(*address);
            match flags {
                Some(flags) => self.set(&key, *flags)?,
                None => {
                    self.map
                        .remove(&key)
                        .map_err(TableError::at(names::ENDPOINTS, "delete"))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the table hold exactly these. Entries that stay are not touched, and new ones are
    /// written before others go.
    pub fn replace(&self, entries: &[(IpAddr, u32)]) -> Result<(), TableError> {
        let wanted: HashMap<_, _> = entries
            .iter()
            .map(|(address, flags)| (address.to_canonical(), *flags))
            .collect();
        let held: HashMap<_, _> = self.entries()?.into_iter().collect();
        let added = wanted
            .keys()
            .filter(|address| !held.contains_key(address))
            .count() as u64;
        self.check(held.len() as u64, added)?;
        for (address, flags) in &wanted {
            if held.get(address) != Some(flags) {
                self.set(&mapped(*address), *flags)?;
            }
        }
        for address in held.keys().filter(|address| !wanted.contains_key(address)) {
            self.map
                .remove(&mapped(*address))
                .map_err(TableError::at(names::ENDPOINTS, "delete"))?;
        }
        Ok(())
    }

    pub fn get(&self, address: IpAddr) -> Result<Option<u32>, TableError> {
        let found = self.map.get(&mapped(address));
        let endpoint = found.map_err(TableError::at(names::ENDPOINTS, "lookup"))?;
        Ok(endpoint.map(|endpoint| endpoint.flags))
    }

    /// All endpoints and their flags, in no order.
    pub fn entries(&self) -> Result<Vec<(IpAddr, u32)>, TableError> {
        self.map
            .walk()
            .map(|entry| entry.map(|(key, endpoint)| (unmapped(key), endpoint.flags)))
            .collect::<Result<_, _>>()
            .map_err(TableError::at(names::ENDPOINTS, "walk"))
    }

    fn set(&self, key: &[u8; 16], flags: u32) -> Result<(), TableError> {
        self.map
            .set(key, &Endpoint { flags, reserved: 0 })
            .map_err(TableError::at(names::ENDPOINTS, "update"))
    }

    fn check(&self, held: u64, wanted: u64) -> Result<(), TableError> {
        let capacity = u64::from(self.map.max_entries());
        if held + wanted > capacity {
            return Err(TableError::Full {
                table: names::ENDPOINTS,
                capacity,
                held,
                wanted,
            });
        }
        Ok(())
    }
}
