//! What the probes behind `palisade doctor` find on devices that are made to be found.

use std::path::Path;

use palisade_lab::Lab;
use palisade_xdp::{
    InterfaceSpec,
    features::{self, Probe},
};

use crate::support::{TestKernel, spec};

fn probe(probes: &[Probe], name: &str) -> Probe {
    let found = probes.iter().find(|probe| probe.name == name);
    found
        .unwrap_or_else(|| panic!("no probe {name:?} among {probes:?}"))
        .clone()
}

/// Every probe explains itself, and one that fails says what to do or what happens instead.
fn explains_itself(probe: &Probe) {
    assert!(!probe.why_needed.is_empty(), "{probe:?}");
    assert!(!probe.found.is_empty(), "{probe:?}");
    assert!(
        probe.present || !probe.what_to_do.is_empty() || probe.fallback.is_some(),
        "{probe:?}"
    );
    assert!(
        !probe.present || probe.what_to_do.is_empty(),
        "nothing to do: {probe:?}"
    );
}

#[test]
fn this_host_has_what_is_required() {
    if !palisade_lab::require_root() {
        return;
    }
    let _mounts_the_file_system = TestKernel::new();
    let probes = features::host(Path::new("/sys/fs/bpf/palisade"));
    probes.iter().for_each(explains_itself);
    for probe in probes.iter().filter(|probe| probe.required) {
        assert!(probe.present, "{probe:?}");
    }
    assert!(probe(&probes, "AF_XDP").present);
}

#[test]
fn interfaces_are_told_apart() {
    if !palisade_lab::require_root() {
        return;
    }
    let lab = Lab::new().expect("a lab can be built");
    lab.edge
        .ip("link add dull0 type bridge\n")
        .expect("a bridge");
    let probes = |name: &str| lab.edge.enter(|| features::interface(name)).expect("there");
    let all = [
        probes("up0"),
        probes("dull0"),
        probes("lo"),
        probes("nosuch0"),
    ];
    all.iter().flatten().for_each(explains_itself);
    let [up, dull, lo, none] = &all;

    let native = probe(up, "up0: native XDP");
    assert!(
        native.present && native.found.contains("veth"),
        "{native:?}"
    );
    assert!(probe(up, "up0: receive queues").found.starts_with('2'));
    assert!(probe(up, "up0: XDP hook").present);
    assert!(!probe(up, "up0: zero-copy").present);
    let native = probe(dull, "dull0: native XDP");
    let told = !native.found.contains("unknown");
    assert!(native.present != told && !native.required, "{native:?}");
    let ethernet = probe(lo, "lo: Ethernet");
    assert!(!ethernet.present && ethernet.required && ethernet.found.contains("772"));
    assert!(
        none.len() == 1 && none[0].required && !none[0].present,
        "{none:?}"
    );
}

#[test]
fn our_own_program_is_not_foreign() {
    if !palisade_lab::require_root() {
        return;
    }
    let lab = Lab::new().expect("a lab can be built");
    let test = TestKernel::new();
    let spec = InterfaceSpec {
        judge: false,
        ..spec("up0")
    };
    lab.edge
        .enter(|| test.kernel.attach(&spec))
        .expect("there")
        .expect("it can be attached");
    let probes = lab
        .edge
        .enter(|| features::interface("up0"))
        .expect("there");
    let hook = probe(&probes, "up0: XDP hook");
    assert!(
        hook.present && hook.found.contains("palisade_xdp"),
        "{hook:?}"
    );
}
