//! The kernel's verifier takes every program, through either loader.

use palisade_xdp::OBJECT;

use crate::support::{PinDirectory, TestKernel};

#[test]
fn every_program_loads() {
    if !palisade_lab::require_root() {
        return;
    }
    let test = TestKernel::new();
    for slot in [0, 15] {
        let programs = test
            .kernel
            .load_programs(slot)
            .expect("the verifier accepts the programs");
        assert!(programs.xdp().expect("there").info().is_ok());
        assert!(programs.egress().expect("there").info().is_ok());
        assert!(programs.give_back().expect("there").info().is_ok());
    }
}

/// The object is tied to no loader: libbpf, which most tools use, takes it too.
#[test]
fn libbpf_loads_the_object() {
    if !palisade_lab::require_root() {
        return;
    }
    let pin_directory = PinDirectory::new();
    std::fs::create_dir_all(&*pin_directory).expect("a BPF file system is mounted");
    let mut object = libbpf_rs::ObjectBuilder::default()
        .pin_root_path(&*pin_directory)
        .expect("a valid path")
        .open_memory(OBJECT)
        .expect("libbpf reads the object")
        .load()
        .expect("libbpf loads the object");
    let mut programs: Vec<_> = object
        .progs_mut()
        .map(|program| program.name().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    for mut map in object.maps_mut().filter(|map| map.is_pinned()) {
        let path = map.get_pin_path().expect("pinned").to_owned();
        map.unpin(path).expect("the test made it");
    }
    std::fs::remove_dir(&*pin_directory).expect("nothing is left");
    assert_eq!(
        programs,
        ["palisade_egress", "palisade_give_back", "palisade_xdp"]
    );
}
