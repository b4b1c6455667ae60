//! Compiles the benchmark's own kernel programs.

use std::{env, path::PathBuf, process::Command};

const SOURCE: &str = "bpf/traffic.bpf.c";

fn main() {
    println!("cargo:rerun-if-changed={SOURCE}");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang-19".to_owned());
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let object =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("traffic.bpf.o");
    let status = Command::new(&clang)
        .args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror"])
        .arg(format!("-I/usr/include/{architecture}-linux-gnu"))
        .args(["-c", SOURCE, "-o"])
        .arg(object)
        .status()
        .unwrap_or_else(|error| panic!("{clang} does not start ({error}): run `make setup`"));
    assert!(status.success(), "{clang} refuses {SOURCE}");
}
