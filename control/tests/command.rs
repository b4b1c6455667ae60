//! The `palisade` binary itself: exit codes, pipes that close early, and colours that stay away.

use std::{
    io::Read as _,
    process::{Command, Output, Stdio},
};

fn palisade(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
    command
        .args(arguments)
        .env_remove("PALISADE_SOCKET")
        .env_remove("PALISADE_CONFIG")
        .stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    palisade(arguments).output().expect("the binary runs")
}

#[test]
fn exit_codes_are_those_of_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (good, bad, socket) = (path("good.toml"), path("bad.toml"), path("socket"));
    std::fs::write(&good, "[[interface]]\nname = \"eth0\"\n").expect("written");
    std::fs::write(&bad, "[[interface]]\nnome = \"eth0\"\n").expect("written");
    #[rustfmt::skip]
    let cases: [(&[&str], i32, &str); 10] = [
        (&["--help"],                                       0, "Exit codes"),
        (&["ban", "--help"],                                0, "Examples:"),
        (&["--version"],                                    0, "palisade "),
        (&["run", "--check", "--config", &good],            0, "eth0"),
        (&["run", "--check", "--config", &bad],             1, "bad.toml:2:"),
        (&["policy", "check", "/nonexistent/policy.yaml"],  1, "/nonexistent/policy.yaml"),
        (&["ban", "192.0.2.9/24"],                          2, "192.0.2.0/24"),
        (&["ban", "192.0.2.9", "--ttl", "soon"],            2, "soon"),
        (&["--socket", &socket, "status"],                  4, "--socket"),
        (&["bans", "export", "--socket", &socket],          4, "--socket"),
    ];
    for (arguments, code, says) in cases {
        let output = run(arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert!(
            !text.contains('\x1b'),
            "{arguments:?}: no colours in a pipe"
        );
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = palisade(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let mut complaint = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut complaint).expect("read");
    let status = child.wait().expect("ended");
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn the_environment_names_the_socket_too() {
    let output = palisade(&["status"])
        .env("PALISADE_SOCKET", "/nonexistent/palisade.sock")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/palisade.sock"));
}
