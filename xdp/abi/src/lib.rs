//! What the kernel programs and userspace share, generated from `xdp/bpf/abi.h`.
//!
//! Nothing is defined twice: structs and limits come from the header by bindgen, and the enums
//! [`Verdict`], [`Reason`] and [`Stage`] from its X-macro lists, with the labels that metrics,
//! events, API and CLI print. Sizes and numbers are asserted below, so that a change of the header
//! that would break a pinned map does not compile by accident.

#![no_std]

mod generated {
    #![expect(
        non_camel_case_types,
        reason = "bindgen writes this module; names and comments stand in abi.h"
    )]
    include!(concat!(env!("OUT_DIR"), "/abi.rs"));
}
include!(concat!(env!("OUT_DIR"), "/enums.rs"));

pub use generated::{
    palisade_counter as Counter, palisade_endpoint as Endpoint, palisade_event as Event,
    palisade_flow_key as FlowKey, palisade_flow_verdict as FlowVerdict,
    palisade_interface as Interface, palisade_learned_flow as LearnedFlow,
    palisade_lpm4_key as Lpm4Key, palisade_lpm6_key as Lpm6Key, palisade_policy_line as PolicyLine,
    palisade_shim as Shim, palisade_state as State, *,
};

/// Cells in one counter row: one for each verdict and reason.
pub const COUNTER_ROW: usize = Verdict::COUNT * Reason::COUNT;

/// Index of the cell of `verdict` and `reason` in a counter row.
pub const fn counter_cell(verdict: Verdict, reason: Reason) -> usize {
    verdict as usize * Reason::COUNT + reason as usize
}

const _: () = {
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<Lpm4Key>() == 8);
    assert!(size_of::<Lpm6Key>() == 20);
    assert!(size_of::<FlowKey>() == 40);
    assert!(size_of::<FlowVerdict>() == 16);
    assert!(size_of::<LearnedFlow>() == 16);
    assert!(size_of::<Endpoint>() == 8);
    assert!(size_of::<Interface>() == 48);
    assert!(size_of::<Shim>() == 22);
    assert!(size_of::<State>() == 16);
    assert!(size_of::<Event>() == 56);
    assert!(size_of::<PolicyLine>() == 64);
};

#[cfg(test)]
mod tests {
    use super::{COUNTER_ROW, Reason, Stage, Verdict, counter_cell};

    #[test]
    fn numbers_run_from_zero_without_a_gap() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.label());
        }
        for (index, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index, "{}", verdict.label());
        }
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index, "{}", stage.label());
        }
        assert_eq!(Reason::COUNT, super::REASON_COUNT as usize);
    }

    #[test]
    fn every_verdict_and_reason_has_its_own_cell() {
        let mut seen = [false; COUNTER_ROW];
        for verdict in Verdict::ALL {
            for reason in Reason::ALL {
                let cell = &mut seen[counter_cell(verdict, reason)];
                assert!(!*cell, "{} {}", verdict.label(), reason.label());
                *cell = true;
            }
        }
    }
}
