//! The acceptance data in `config/tests/netpol`, and what it leaves out.

mod cases;
mod data;
mod invalid;
mod oracle;
mod random;
mod reading;
mod scale;
