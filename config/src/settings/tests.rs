use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, Path::new("palisade.toml"))
}

#[test]
fn an_empty_file_is_all_defaults() {
    let settings = parse("").unwrap();
    assert_eq!(settings.state_directory, Path::new("/var/lib/palisade"));
    assert_eq!(settings.api.unix, Path::new("/run/palisade/palisade.sock"));
    assert_eq!(settings.api.tcp, None);
    assert!(settings.interfaces.is_empty());
    assert_eq!(settings.guard.always_open, ["tcp/22".parse().unwrap()]);
    assert_eq!(settings.policy.dialect, Dialect::Kubernetes);

    let settings = settings
        .with_interface("eth0")
        .unwrap()
        .with_interface("eth0")
        .unwrap();
    assert_eq!(settings.interfaces, [defaults::interface("eth0")]);
    let error = settings
        .with_interface("no such/name")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "--interface: 'no such/name' is no interface name: no '/', ':' or blanks"
    );
}

#[test]
fn the_packaged_example_is_the_generated_one_and_holds_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/palisade.toml");
    if std::env::var_os("PALISADE_WRITE_EXAMPLES").is_some() {
        std::fs::write(&path, example()).unwrap();
    }
    let packaged = std::fs::read_to_string(&path).unwrap();
    assert!(
        packaged == example(),
        "run with PALISADE_WRITE_EXAMPLES=1 to write it anew"
    );
    assert_eq!(Settings::load(Some(&path)).unwrap(), parse("").unwrap());
}

#[test]
fn every_setting_of_the_example_can_be_uncommented() {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<_> = example().lines().map(uncomment).collect();
    let settings = parse(&text.join("\n")).unwrap();
    assert_eq!(settings.interfaces, [defaults::interface("eth0")]);
    assert_eq!(settings.api.tcp, Some("127.0.0.1:9475".parse().unwrap()));
    assert!(settings.api.certificate.is_some());
    let web = settings.endpoints.first().unwrap();
    assert_eq!(
        (web.namespace.as_str(), web.name.as_str()),
        ("default", "web")
    );
    assert_eq!(web.addresses.len(), 2);
    assert_eq!(web.ports.get("https"), Some(&"tcp/443".parse().unwrap()));
}

#[test]
fn the_contract_file_is_read() {
    let text = r#"
        [api]
        tcp = "[::1]:9475"
        tls = "off"
        [[interface]]
        name = "eth0"
        mode = "native"
        [[interface]]
        name = "eth1"
        when_workers_fail = "drop"
        encapsulated = "pass"
        zero_copy = "off"
        [guard]
        never_ban = ["10.0.0.0/8", "::ffff:192.0.2.1"]
        always_open = []
        [policy]
        dialect = "cilium"
        [proxy]
        trusted = ["192.0.2.128/25"]
    "#;
    let settings = parse(text).unwrap();
    assert_eq!(settings.api.tls, Tls::Off);
    assert_eq!(settings.interfaces[0].mode, Mode::Native);
    assert_eq!(settings.interfaces[1].when_workers_fail, Action::Drop);
    assert_eq!(settings.interfaces[1].encapsulated, Action::Pass);
    assert_eq!(settings.interfaces[1].zero_copy, ZeroCopy::Off);
    assert_eq!(settings.guard.never_ban[1].to_string(), "192.0.2.1/32");
    assert!(settings.guard.always_open.is_empty());
    assert_eq!(settings.policy.dialect, Dialect::Cilium);
    assert_eq!(settings.proxy.trusted.len(), 1);
}

#[test]
fn faults_name_line_column_key_and_what_was_meant() {
    #[rustfmt::skip]
    let cases = [
        ("unknown at the top", "sate_directory = \"/x\"",
            "1:1: sate_directory: unknown key 'sate_directory'; did you mean 'state_directory'?"),
        ("unknown section", "[polcy]\n",
            "1:2: polcy: unknown key 'polcy'; did you mean 'policy'?"),
        ("unknown in a list", "[[interface]]\nname = \"a\"\nmod = \"auto\"",
            "3:1: interface[0].mod: unknown key 'mod'; did you mean 'mode'?"),
        ("unknown and far from all", "[proxy]\nfrobnicate = 1",
            "2:1: proxy.frobnicate: unknown key 'frobnicate'; known here: trusted"),
        ("unknown beside a missing one", "[[interface]]\nnmae = \"a\"",
            "2:1: interface[0].nmae: unknown key 'nmae'; did you mean 'name'?"),
        ("missing name", "[[interface]]\nmode = \"auto\"",
            "1:1: interface[0].name: is missing"),
        ("wrong type", "[api]\nunix = 7",
            "2:8: api.unix: expected a string, found integer"),
        ("section is a value", "api = 7",
            "1:7: api: expected a table, found integer"),
        ("interface is a table", "[interface]\nname = \"a\"",
            "1:1: interface: expected an array, found table"),
        ("wrong word", "[[interface]]\nname = \"a\"\nmode = \"natve\"",
            "3:8: interface[0].mode: 'natve' is none of native, generic, auto; did you mean 'native'?"),
        ("wrong dialect", "[policy]\ndialect = \"gke\"",
            "2:11: policy.dialect: 'gke' is no dialect; write kubernetes, calico or cilium"),
        ("relative path", "state_directory = \"var\"",
            "1:19: state_directory: 'var' is not an absolute path"),
        ("host bits", "[guard]\nnever_ban = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
            "2:28: guard.never_ban[1]: '10.0.0.1/8' has host bits set; write '10.0.0.0/8' for the network"),
        ("bad port", "[guard]\nalways_open = [\"tcp/0\"]",
            "2:16: guard.always_open[0]: port 0 is not between 1 and 65535"),
        ("interface twice", "[[interface]]\nname = \"a\"\n[[interface]]\nname = \"a\"",
            "4:8: interface[1].name: interface 'a' is there twice"),
        ("tls off on a public address", "[api]\ntcp = \"0.0.0.0:9475\"\ntls = \"off\"",
            "3:7: api.tls: tokens must not cross a network in the clear; \"off\" needs a loopback address in api.tcp"),
        ("certificate without key", "[api]\ntls_cert = \"/a\"",
            "2:12: api.tls_cert: is set without api.tls_key; a certificate needs both"),
        ("key without certificate", "[api]\ntls_key = \"/a\"",
            "2:11: api.tls_key: is set without api.tls_cert; a certificate needs both"),
        ("no port in tcp", "[api]\ntcp = \"127.0.0.1\"",
            "2:7: api.tcp: '127.0.0.1' is no address and port; write 127.0.0.1:9475 or [::1]:9475"),
        ("endpoint twice", "[[endpoint]]\nname = \"a\"\n[[endpoint]]\nname = \"a\"",
            "4:8: endpoint[1].name: endpoint 'default/a' is there twice"),
        ("address twice", "[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1\", \"::ffff:192.0.2.1\"]",
            "3:27: endpoint[0].addresses[1]: address 192.0.2.1 is there twice"),
        ("address with a prefix", "[[endpoint]]\nname = \"a\"\naddresses = [\"192.0.2.1/32\"]",
            "3:14: endpoint[0].addresses[0]: '192.0.2.1/32' is no address"),
        ("bad label", "[[endpoint]]\nname = \"a\"\nlabels = { role = \"a b\" }",
            "3:19: endpoint[0].labels.role: 'a b' must consist of letters, digits, '-', '_' and '.', and start and end with a letter or digit"),
        ("bad port name", "[[endpoint]]\nname = \"a\"\nports = { HTTP = \"tcp/80\" }",
            "3:18: endpoint[0].ports.HTTP: port name 'HTTP' must consist of lower case letters, digits and '-', with at least one letter"),
        ("PROXY over UDP", "[[endpoint]]\nname = \"a\"\nproxy_protocol = [\"udp/53\"]",
            "3:19: endpoint[0].proxy_protocol[0]: 'udp/53' is not TCP, which the PROXY protocol needs"),
        ("PROXY, not read yet", "[[endpoint]]\nname = \"a\"\nproxy_protocol = [\"tcp/443\"]",
            "3:19: endpoint[0].proxy_protocol[0]: 'tcp/443': this version does not read the PROXY protocol; leave the list empty and let a policy say who may connect"),
        ("duplicate key", "[api]\nunix = \"/a\"\nunix = \"/b\"",
            "3:1: duplicate key"),
    ];
    for (name, text, want) in cases {
        let got = parse(text).expect_err(name).to_string();
        assert_eq!(got, format!("palisade.toml:{want}"), "{name}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let error = Settings::load(Some(&missing)).unwrap_err();
    assert_eq!((error.file.as_path(), error.line), (missing.as_path(), 0));

    let latin1 = directory.path().join("latin1.toml");
    std::fs::write(&latin1, b"# caf\xe9\n").unwrap();
    assert!(
        Settings::load(Some(&latin1))
            .unwrap_err()
            .problem
            .contains("UTF-8")
    );
}
