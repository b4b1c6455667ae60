//! What the tests of this crate share: frames, a small cluster, rings made of plain memory, and the
//! cases written as data.

pub(crate) mod case;
pub(crate) mod frames;
pub(crate) mod ledger;
pub(crate) mod rings;
