//! The acceptance data in `config/tests/netpol`, and what it leaves out.

mod cases;
pub(super) mod data;
mod invalid;
mod oracle;
pub(super) mod random;
mod reading;
mod scale;
