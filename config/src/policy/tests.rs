//! The acceptance data in `config/tests/netpol`, and what it leaves out.

mod data;
mod invalid;
