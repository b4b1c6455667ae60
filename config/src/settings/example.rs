//! The commented default file, generated from the defaults.
//!
//! A line that starts with `#` and a letter is a setting to be uncommented; one
//! that starts with `# ` is prose. The packaged `config/examples/palisade.toml`
//! is this text, by test.

use super::{
    Action, Mode, Tls, ZeroCopy, defaults,
    read::{ACTIONS, MODES, TLS, ZERO_COPY},
};

/// The default settings as a commented TOML file.
pub fn example() -> String {
    [
        head(),
        api(),
        interface(),
        guard(),
        policy(),
        ENDPOINT.to_owned(),
    ]
    .join("\n")
}

fn head() -> String {
    format!(
        "\
# Settings of palisade. Every key is optional and shown with its default.
# `palisade run --check` validates this file. Unknown keys are errors.

# What must survive a restart: bans, policies, certificates.
state_directory = {:?}
# Where the kernel keeps tables and programs, so that enforcement outlives the daemon.
pin_directory = {:?}
",
        defaults::state_directory(),
        defaults::pin_directory(),
    )
}

fn api() -> String {
    let api = defaults::api();
    format!(
        "\
[api]
# Full rights for whoever may open this socket.
unix = {:?}
# HTTPS with tokens, off unless set. Without tls_cert and tls_key a certificate
# is made under state_directory.
#tcp = \"127.0.0.1:9475\"
# {}. \"off\" only with a loopback address in tcp.
tls = {:?}
#tls_cert = \"/etc/palisade/tls.crt\"
#tls_key = \"/etc/palisade/tls.key\"
# Written by `palisade token create`; holds hashes only.
tokens = {:?}
",
        api.unix,
        words(&TLS),
        word::<Tls>(&TLS, api.tls),
        api.tokens,
    )
}

fn interface() -> String {
    let interface = defaults::interface("eth0");
    format!(
        "\
# One section for each interface to protect; `palisade run --interface NAME` adds one.
#[[interface]]
#name = {:?}
# {}: where the XDP program runs; auto falls back to generic and says so.
#mode = {:?}
# {}
#zero_copy = {:?}
# {}: what happens to a packet that needs a worker when none answers.
#when_workers_fail = {:?}
# {}: IP wrapped in what the parser does not open (a third VLAN tag, MPLS,
# PPPoE sessions, LLC/SNAP with an IP type).
#encapsulated = {:?}
",
        interface.name,
        words(&MODES),
        word::<Mode>(&MODES, interface.mode),
        words(&ZERO_COPY),
        word::<ZeroCopy>(&ZERO_COPY, interface.zero_copy),
        words(&ACTIONS),
        word::<Action>(&ACTIONS, interface.when_workers_fail),
        words(&ACTIONS),
        word::<Action>(&ACTIONS, interface.encapsulated),
    )
}

fn guard() -> String {
    let guard = defaults::guard();
    format!(
        "\
[guard]
# Subtracted from every ban, whatever its origin, e.g. [\"10.0.0.0/8\"].
never_ban = {}
# No policy closes these ports; bans still apply.
always_open = {}
",
        list(&guard.never_ban),
        list(&guard.always_open),
    )
}

fn policy() -> String {
    let policy = defaults::policy();
    format!(
        "\
[policy]
# NetworkPolicy, Namespace, Pod and Node documents; watched.
directory = {:?}
# kubernetes | calico | cilium: whose reading of the open points is followed.
dialect = {:?}
",
        policy.directory,
        policy.dialect.name(),
    )
}

const ENDPOINT: &str = "\
# What is protected on a node without Kubernetes; a Pod of the inventory.
#[[endpoint]]
#name = \"web\"
#namespace = \"default\"
#labels = { role = \"web\" }
#addresses = [\"192.0.2.10\", \"2001:db8::10\"]
#ports = { http = \"tcp/80\", https = \"tcp/443\" }
# Ports on which trusted proxies, and nobody else, may connect and must speak
# the PROXY protocol. This version does not read it yet and refuses a port here.
#proxy_protocol = []

[proxy]
# Proxies whose PROXY headers are believed, e.g. [\"192.0.2.128/25\"].
trusted = []
";

fn words<T>(choices: &[(&str, T)]) -> String {
    choices
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(" | ")
}

fn word<T: PartialEq>(choices: &[(&'static str, T)], value: T) -> &'static str {
    choices
        .iter()
        .find(|(_, choice)| *choice == value)
        .map_or("", |(name, _)| name)
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items
        .iter()
        .map(|item| format!("{:?}", item.to_string()))
        .collect();
    format!("[{}]", items.join(", "))
}
