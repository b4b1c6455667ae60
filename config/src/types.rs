//! Values that are parsed once and valid ever after.
//!
//! Settings, bans and policies all speak of prefixes, durations, ports and
//! names. Each is a type here whose only way in is its parser, so that no other
//! module asks twice whether a prefix has host bits or a name is too long.

mod duration;
mod name;
mod port;
mod prefix;

pub use self::{
    duration::{DurationError, TtlDuration},
    name::{NameError, label_key, label_name, label_value, port_name, subdomain},
    port::{PortError, PortProtocol, Protocol},
    prefix::{Prefix, PrefixError},
};
