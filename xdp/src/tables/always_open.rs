//! Ports that no policy closes: one bitmap for each of TCP, UDP and SCTP, in shared memory.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
};

use palisade_abi::{PORTS_PROTOCOLS, PORTS_SCTP, PORTS_TCP, PORTS_UDP};

use crate::{TableError, object::names, sys::mapping::Mapping};

/// Words of one bitmap.
const WORDS: usize = 65_536 / 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}

impl PortProtocol {
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    const fn index(self) -> usize {
        match self {
            Self::Tcp => PORTS_TCP as usize,
            Self::Udp => PORTS_UDP as usize,
            Self::Sctp => PORTS_SCTP as usize,
        }
    }
}

#[derive(Clone, Debug)]
pub struct AlwaysOpen {
    words: Arc<Mapping>,
}

impl AlwaysOpen {
    pub(crate) fn new(map: &OwnedFd) -> Result<Self, TableError> {
        let words = Mapping::new(map.as_fd(), WORDS * PORTS_PROTOCOLS as usize)
            .map_err(TableError::at(names::ALWAYS_OPEN, "map into memory"))?;
        Ok(Self {
            words: Arc::new(words),
        })
    }

    /// Makes exactly these ports always open. A port that stays is open all the while.
    pub fn replace(&self, ports: &[(PortProtocol, u16)]) {
        let mut wanted = vec![0_u64; WORDS * PORTS_PROTOCOLS as usize];
        for &(protocol, port) in ports {
            if let Some(word) = wanted.get_mut(word_index(protocol, port)) {
                *word |= bit(port);
            }
        }
        for (index, word) in wanted.into_iter().enumerate() {
            if let Some(shared) = self.words.word(index) {
                shared.store(word, Ordering::Release);
            }
        }
    }

    pub fn contains(&self, protocol: PortProtocol, port: u16) -> bool {
        self.words
            .word(word_index(protocol, port))
            .is_some_and(|word| word.load(Ordering::Acquire) & bit(port) != 0)
    }

    /// All of them, ordered.
    pub fn ports(&self) -> Vec<(PortProtocol, u16)> {
        PortProtocol::ALL
            .into_iter()
            .flat_map(|protocol| (0..=u16::MAX).map(move |port| (protocol, port)))
            .filter(|&(protocol, port)| self.contains(protocol, port))
            .collect()
    }
}

const fn word_index(protocol: PortProtocol, port: u16) -> usize {
    protocol.index() * WORDS + port as usize / 64
}

const fn bit(port: u16) -> u64 {
    1 << (port % 64)
}
