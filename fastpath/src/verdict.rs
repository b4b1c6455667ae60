//! What is decided of a packet.

use palisade_abi::{FlowKey, Reason, Verdict};

use crate::fragments::TrainKey;

/// The two final words on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Drop,
}

impl From<Fate> for Verdict {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Pass => Self::Pass,
            Fate::Drop => Self::Drop,
        }
    }
}

/// The decision for one packet. The caller carries out what it asks to remember, so that deciding
/// stays pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub fate: Fate,
    pub reason: Reason,
    /// The flow whose later packets the kernel may judge alike.
    pub remember: Option<FlowKey>,
    /// The train whose later fragments follow this one.
    pub train: Option<TrainKey>,
}

impl Decision {
    pub(crate) const fn pass(reason: Reason) -> Self {
        Self {
            fate: Fate::Pass,
            reason,
            remember: None,
            train: None,
        }
    }

    pub(crate) const fn drop(reason: Reason) -> Self {
        Self {
            fate: Fate::Drop,
            reason,
            remember: None,
            train: None,
        }
    }

    pub(crate) const fn remembering(self, remember: Option<FlowKey>) -> Self {
        Self { remember, ..self }
    }

    pub(crate) const fn leading(self, train: Option<TrainKey>) -> Self {
        Self { train, ..self }
    }
}
