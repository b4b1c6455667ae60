//! Compiles the kernel programs with clang into objects that the crate embeds.

use std::{env, path::PathBuf, process::Command};

/// Source and name of each object. The others serve `tests/parity.rs` and `tests/policy.rs`.
const OBJECTS: [(&str, &str); 3] = [
    ("bpf/palisade.bpf.c", "palisade.bpf.o"),
    ("tests/bpf/parse_probe.bpf.c", "parse_probe.bpf.o"),
    ("tests/bpf/policy_probe.bpf.c", "policy_probe.bpf.o"),
];

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-changed=tests/bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang-19".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let libbpf = env::var_os("DEP_BPF_INCLUDE").expect("libbpf-sys says where its headers are");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");

    for (source, object) in OBJECTS {
        let status = Command::new(&clang)
            .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
            .args(["-Ibpf", "-I"])
            .arg(&libbpf)
            // Debian keeps <asm/types.h> in a folder that clang does not search for this target.
            .arg("-idirafter")
            .arg(format!("/usr/include/{arch}-linux-gnu"))
            .args(["-c", source, "-o"])
            .arg(out.join(object))
            .status()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot run {}: {error}; install clang-19 or set CLANG",
                    clang.display()
                )
            });
        assert!(status.success(), "{source} does not compile: {status}");
    }
    println!(
        "cargo:rustc-env=PALISADE_PARSE_PROBE={}",
        out.join("parse_probe.bpf.o").display()
    );
    println!(
        "cargo:rustc-env=PALISADE_POLICY_PROBE={}",
        out.join("policy_probe.bpf.o").display()
    );
}
