//! `kubectl` itself against the API over TLS, with a kubeconfig that `palisade kubeconfig` printed.
//!
//! The daemon's core runs on a kernel made of maps, so no root is needed. Without a kubectl the
//! tests say that they are skipped; with `PALISADE_REQUIRE_KUBECTL=1` they fail instead.

mod applies;
mod edits;
mod reads;
mod rig;
mod stays;
