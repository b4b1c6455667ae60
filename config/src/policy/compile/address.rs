//! Who owns an address.

use std::num::NonZeroU32;

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

    pub(super) fn get(self) -> usize {
        self.0.get() as usize - 1
    }

    /// Counted from one; zero is nothing, as in the image.
    pub(super) fn number(this: Option<Self>) -> u32 {
        this.map_or(0, |index| index.0.get())
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
