//! AF_XDP sockets behind types that cannot be used wrongly.
//!
//! - [`Receiver`] owns the memory into which the kernel puts redirected packets. Its frames never
//!   leave it: a batch is borrowed, and given back to the kernel as a whole.
//! - [`Sender`] owns the memory from which accepted packets go back, and copies them there.
//!
//! Two memories, not one shared by both sockets: the kernel lets two devices share one only when both
//! do zero-copy or neither, and the give-back pair never does. The copy costs a few percent of what a
//! packet costs that takes this way, once a flow. In return receiving never waits for the completion
//! of sending, and there is room for the header that generic mode needs in front.
//!
//! All `unsafe` of this crate is in this folder. It rests on one invariant: a descriptor is in exactly
//! one place (a ring, the current batch, the list of free frames), and is made nowhere but by the
//! kernel or by `Umem::new`.

mod layout;
mod receiver;
mod sender;
mod socket;

pub use layout::{FrameLayout, LayoutError};
pub use receiver::Receiver;
pub use sender::Sender;
pub use socket::BindError;
