//! The whole program on real traffic: a daemon on the edge of a lab, real clients around it.
//!
//! Each test has a lab of its own, so they run side by side. They need root and say so when they
//! have it not. What passed is what a capture behind XDP saw, not what the program says; what the
//! program says is compared with it.

mod bans;
mod egress;
mod frames;
mod imports;
mod lifecycle;
mod measured;
mod node;
mod policies;
mod reads;
mod service;
mod workers;
