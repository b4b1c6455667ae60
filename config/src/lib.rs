//! What the operator wrote, read strictly and turned into what packets need.
//!
//! ```text
//! palisade.toml      -> settings -> Settings (valid by construction)
//! NetworkPolicy YAML -> policy   -> PolicySet, Inventory -> Compiled
//! ```
//!
//! No I/O beyond reading the settings file, no clock, no global state: the
//! daemon, `policy check`, `policy eval` and the tests all run this same code.

#![forbid(unsafe_code)]

pub mod policy;
pub mod settings;
mod spelling;
pub mod types;
