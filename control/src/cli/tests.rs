//! The command line as a script sees it: exit codes, what is printed, and what is asked.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use palisade_config::settings::Settings;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{Arguments, Command, Global},
    ask,
    exit::{Exit, Failure},
    output::Output,
    ssh_caller,
};
use crate::{
    api::{Listening, Served, serve},
    testing,
};

/// What a command has printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    pub(super) fn new() -> (Self, Output) {
        let screen = Self::default();
        (screen.clone(), Output::into_sink(screen))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A daemon's API on a socket, without a kernel.
struct Daemon {
    dir: TempDir,
    shutdown: CancellationToken,
    listening: Listening,
}

impl Daemon {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[api]\nunix = \"{0}/socket\"\n[guard]\nnever_ban = [\"10.9.0.0/16\"]\n",
            dir.path().display()
        );
        let settings = Settings::parse(&text, Path::new("palisade.toml")).unwrap();
        let served = Served {
            core: testing::core_with(dir.path(), settings.clone()).await,
            api: settings.api,
            state_directory: dir.path().to_owned(),
        };
        let shutdown = CancellationToken::new();
        let listening = serve(served, shutdown.clone()).await.unwrap();
        Self {
            dir,
            shutdown,
            listening,
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Exit code and what stands on stdout, or on stderr if it failed.
    async fn run(&self, line: &[&str]) -> (Exit, String) {
        let socket = self.dir.path().join("socket").display().to_string();
        let arguments = [&["palisade"], line, &["--socket", &socket]].concat();
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        let (screen, mut out) = Screen::new();
        match ask(&arguments.global, arguments.command, &mut out).await {
            Ok(exit) => (exit, screen.text()),
            Err(failure) => (failure.exit(), failure.to_string()),
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.listening.finished().await;
    }
}

const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec: {podSelector: {}, ingress: []}
";

#[tokio::test(flavor = "multi_thread")]
async fn commands_print_and_exit_as_scripts_expect() {
    let daemon = Daemon::start().await;
    let list = daemon.file("list", "198.51.100.1\n198.51.100.2\n");
    let bad_list = daemon.file("bad", "198.51.100.1\nnonsense\n");
    let policy = daemon.file("web.yaml", POLICY);
    let bad_policy = daemon.file("bad.yaml", &POLICY.replace("podSelector", "podSelecter"));
    #[rustfmt::skip]
    let steps: Vec<(Vec<&str>, Exit, &str)> = vec![
        (vec!["bans"],                                              Exit::Done,     "no bans"),
        (vec!["ban", "192.0.2.9", "--ttl", "1h", "--reason", "s\x1bn"], Exit::Done, "banned 192.0.2.9/32 for 1h (origin cli)"),
        (vec!["ban", "192.0.2.9"],                                  Exit::Done,     "ban changed: 192.0.2.9/32 until it is lifted"),
        (vec!["ban", "10.9.1.1"],                                   Exit::Refused,  "10.9.0.0/16"),
        (vec!["ban", "0.0.0.0/0"],                                  Exit::Refused,  "--force"),
        (vec!["ban", "10.0.0.0/8"],                                 Exit::Done,     "guarded and not banned: 10.9.0.0/16"),
        (vec!["ban", "192.0.2.9", "--origin", "No Good"],           Exit::Usage,    "No Good"),
        (vec!["bans", "--covers", "10.1.2.3"],                      Exit::Done,     "10.0.0.0/8"),
        (vec!["bans", "list", "--json"],                            Exit::Done,     "\"prefix\": \"10.0.0.0/8\""),
        (vec!["unban", "10.0.0.0/8"],                               Exit::Done,     "lifted"),
        (vec!["unban", "10.0.0.0/8"],                               Exit::NotFound, "no"),
        (vec!["bans", "import", &list, "--origin", "feed"],         Exit::Done,     "added 2, unchanged 0, removed 0"),
        (vec!["bans", "import", &bad_list],                         Exit::Failed,   "bad:2: "),
        (vec!["bans", "import", &list, "--covers", "192.0.2.1"],    Exit::Usage,    "--covers"),
        (vec!["bans", "import", "/nonexistent/list"],               Exit::Failed,   "/nonexistent/list"),
        (vec!["bans", "export", "--plain", "--origin", "feed"],     Exit::Done,     "198.51.100.1/32\n198.51.100.2/32\n"),
        (vec!["explain", "192.0.2.9", "203.0.113.1:443"],           Exit::Done,     "DROP (banned)"),
        (vec!["explain", "192.0.2.9", "203.0.113.1:443", "--json"], Exit::Done,     "\"verdict\": \"drop\""),
        (vec!["status"],                                            Exit::Done,     "bans 3"),
        (vec!["status", "--json"],                                  Exit::Done,     "\"bans\": 3"),
        (vec!["policy", "check", &policy],                          Exit::Done,     "1 documents in 1 files, no fault"),
        (vec!["policy", "check", &bad_policy],                      Exit::Failed,   "bad.yaml:4:"),
        (vec!["policy", "apply", &bad_policy],                      Exit::Failed,   "bad.yaml:4:"),
        (vec!["policy", "get"],                                     Exit::Done,     "no policies"),
        (vec!["policy", "apply", "--dry-run", &policy],             Exit::Done,     "default/web created (dry run)"),
        (vec!["policy", "apply", &policy],                          Exit::Done,     "default/web created"),
        (vec!["policy", "get"],                                     Exit::Done,     "web"),
        (vec!["policy", "get", "web"],                              Exit::Done,     "kind: NetworkPolicy"),
        (vec!["policy", "delete", "web"],                           Exit::Done,     "deleted"),
        (vec!["policy", "delete", "web"],                           Exit::NotFound, "web"),
    ];
    for (line, exit, says) in steps {
        let (got, text) = daemon.run(&line).await;
        assert_eq!(got, exit, "{line:?}: {text}");
        assert!(text.contains(says), "{line:?}: {text}");
        assert!(
            !text.contains('\x1b'),
            "{line:?}: no colours and no control characters: {text}"
        );
    }
    daemon.stop().await;
}

/// Valid, with a trap, and meaning different things in different dialects.
const TRAP: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: trap}
spec:
  podSelector: {matchLabels: {app: b}}
  ingress:
  - from: [{ipBlock: {cidr: 0.0.0.0/0}}]
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, labels: {app: b}}, spec: {}, status: {podIP: 10.0.0.2}}
";

#[tokio::test(flavor = "multi_thread")]
async fn policy_files_are_checked_explained_compared_and_drawn() {
    let daemon = Daemon::start().await;
    let policy = daemon.file("web.yaml", POLICY);
    let trap = daemon.file("trap.yaml", TRAP);
    let alone = TRAP.split("---").next().unwrap();
    let alone = daemon.file("alone.yaml", alone);
    let bad_policy = daemon.file("bad.yaml", &POLICY.replace("podSelector", "podSelecter"));
    #[rustfmt::skip]
    let steps: Vec<(Vec<&str>, Exit, &str)> = vec![
        (vec!["policy", "check", &trap],                            Exit::Done,     "trap.yaml:7:22: warning: default/trap: spec.ingress[0].from[0].ipBlock.cidr: "),
        (vec!["policy", "check", &trap],                            Exit::Done,     "no fault, 1 warning"),
        (vec!["policy", "check", "--json", &trap],                  Exit::Done,     "\"trap\": \"ipv6_shut_out\""),
        (vec!["policy", "apply", "--dry-run", &policy, &alone],     Exit::Done,     "alone.yaml:7:22: warning: default/trap: "),
        (vec!["policy", "apply", "--dry-run", "--json", &alone],     Exit::Done,     "\"trap\": \"ipv6_shut_out\""),
        (vec!["policy", "explain", &trap],                          Exit::Done,     "may be reached by 0.0.0.0/0 on all ports"),
        (vec!["policy", "explain", &trap],                          Exit::Done,     "trap.yaml:7:22"),
        (vec!["policy", "explain", "--json", &trap],                Exit::Done,     "\"groups\""),
        (vec!["policy", "explain", "default/a", "default/b:80", &trap], Exit::Done, "default/a -> default/b:80/tcp: ALLOWED"),
        (vec!["policy", "explain", "default/a", "default/b:80", &trap, "--dialect", "cilium"], Exit::Done, "DENIED"),
        (vec!["policy", "explain", "default/x", "default/b:80", &trap], Exit::Usage, "default/x"),
        (vec!["policy", "explain", "192.0.2.9", "203.0.113.1:443"], Exit::Done,     "PASS (no_policy)"),
        (vec!["policy", "explain", "default/a", "203.0.113.1:443"], Exit::Usage,    "default/a"),
        (vec!["policy", "explain", &bad_policy],                    Exit::Failed,   "bad.yaml:4:"),
        (vec!["policy", "diff", &trap],                             Exit::Done,     "kubernetes allows it, cilium denies it"),
        (vec!["policy", "diff", "--exit-code", &trap],              Exit::Failed,   "1 difference between"),
        (vec!["policy", "diff", "--json", &trap],                   Exit::Done,     "\"allowed_under\": \"kubernetes\""),
        (vec!["policy", "diff", "--exit-code", "--dialect", "calico", "--dialect", "kubernetes", &trap], Exit::Done, "agree on every connection"),
        (vec!["policy", "diff", "--dialect", "calico", &trap],      Exit::Usage,    "--dialect"),
        (vec!["policy", "draw", &trap],                             Exit::Done,     "</svg>"),
        (vec!["policy", "explain"],                                 Exit::Done,     "No policy selects a pod of the inventory"),
        (vec!["policy", "apply", &alone],                           Exit::Done,     "default/trap created"),
        (vec!["policy", "explain"],                                 Exit::Done,     "Without effect, it selects no pod: default/trap"),
        (vec!["policy", "diff"],                                    Exit::Done,     "agree on every connection"),
        (vec!["policy", "draw"],                                    Exit::Done,     "1 policy, read as kubernetes does"),
        (vec!["policy", "draw", &bad_policy],                       Exit::Failed,   "bad.yaml:4:"),
    ];
    for (line, exit, says) in steps {
        let (got, text) = daemon.run(&line).await;
        assert_eq!(got, exit, "{line:?}: {text}");
        assert!(text.contains(says), "{line:?}: {text}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_imported_again() {
    let daemon = Daemon::start().await;
    for line in [
        vec!["ban", "192.0.2.9", "--ttl", "1h", "--reason", "ssh"],
        vec!["ban", "2001:db8::/48"],
    ] {
        assert_eq!(daemon.run(&line).await.0, Exit::Done);
    }
    let (_, exported) = daemon.run(&["bans", "export"]).await;
    let file = daemon.file("export", &exported);
    let (exit, text) = daemon
        .run(&[
            "bans", "import", &file, "--origin", "cli", "--mode", "replace",
        ])
        .await;
    assert_eq!(
        (exit, text.as_str()),
        (Exit::Done, "added 0, unchanged 2, removed 0\n")
    );
    daemon.stop().await;
}

#[tokio::test]
async fn without_a_daemon_the_exit_code_is_4_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let global = Global {
        config: None,
        socket: Some(dir.path().join("socket")),
    };
    let lines: [&[&str]; 4] = [
        &["status"],
        &["ban", "192.0.2.9"],
        &["bans", "export"],
        &["events", "--follow"],
    ];
    for line in lines {
        let arguments = [&["palisade"], line].concat();
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        let (_, mut out) = Screen::new();
        let failure = ask(&global, arguments.command, &mut out).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unreachable, "{line:?}");
        assert!(failure.to_string().contains("--socket"), "{failure}");
    }
}

#[test]
fn malformed_arguments_are_usage_errors() {
    let lines: [&[&str]; 14] = [
        &[],
        &["frob"],
        &["ban"],
        &["ban", "nonsense"],
        &["ban", "192.0.2.9/24"],
        &["ban", "192.0.2.9/33"],
        &["ban", "192.0.2.9", "--ttl", "1x"],
        &["ban", "192.0.2.9", "--ttl", "0s"],
        &["unban", "192.0.2.9/24"],
        &["bans", "--covers", "192.0.2.0/24"],
        &["explain", "192.0.2.9", "192.0.2.1"],
        &["policy", "eval", "--cluster", "x", "--dialect", "latin"],
        &["token", "create", "x", "--role", "root"],
        &["bans", "import", "x", "--mode", "merge"],
    ];
    for line in lines {
        let arguments = [&["palisade"], line].concat();
        let error = Arguments::try_parse_from(arguments).expect_err("a usage error");
        assert_eq!(error.exit_code(), 2, "{line:?}");
    }
    let error = Arguments::try_parse_from(["palisade", "ban", "192.0.2.9/24"]).unwrap_err();
    assert!(
        error.to_string().contains("192.0.2.0/24"),
        "the corrected form: {error}"
    );
    for word in ["--help", "--version"] {
        let asked = Arguments::try_parse_from(["palisade", word]).unwrap_err();
        assert_eq!(asked.exit_code(), 0, "{word}");
        assert_ne!(asked.kind(), ErrorKind::UnknownArgument);
    }
}

#[test]
fn global_flags_stand_before_or_after_the_subcommand() {
    let lines: [&[&str]; 3] = [
        &["--config", "c", "--socket", "s", "bans", "list"],
        &["bans", "--config", "c", "list", "--socket", "s"],
        &["bans", "list", "--config", "c", "--socket", "s"],
    ];
    for line in lines {
        let arguments = Arguments::try_parse_from([&["palisade"], line].concat()).unwrap();
        assert_eq!(
            arguments.global.config.as_deref(),
            Some(Path::new("c")),
            "{line:?}"
        );
        assert_eq!(
            arguments.global.socket.as_deref(),
            Some(Path::new("s")),
            "{line:?}"
        );
        assert!(matches!(arguments.command, Command::Bans(_)), "{line:?}");
    }
}

#[test]
fn the_definition_is_sound_and_every_command_shows_an_example() {
    let definition = Arguments::command();
    definition.clone().debug_assert();
    let without = ["status", "unload", "help", "policy", "token"];
    for command in definition
        .get_subcommands()
        .filter(|it| !without.contains(&it.get_name()))
    {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(help.contains("palisade "), "{}", command.get_name());
    }
}

#[test]
fn the_ssh_session_says_who_calls() {
    #[rustfmt::skip]
    let cases = [
        (None,                                          None),
        (Some(""),                                      None),
        (Some("203.0.113.7 51000 192.0.2.1 22"),        Some("203.0.113.7")),
        (Some("::ffff:203.0.113.7 51000 192.0.2.1 22"), Some("203.0.113.7")),
        (Some("2001:db8::7 51000 2001:db8::1 22"),      Some("2001:db8::7")),
        (Some("fe80::7%eth0 51000 fe80::1%eth0 22"),    Some("fe80::7")),
        (Some("UNKNOWN 65535 UNKNOWN 65535"),           None),
    ];
    for (connection, want) in cases {
        let got = ssh_caller(connection.map(str::to_owned)).map(|address| address.to_string());
        assert_eq!(got.as_deref(), want, "{connection:?}");
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    let gone = Failure::Output(io::ErrorKind::BrokenPipe.into());
    assert_eq!(gone.exit(), Exit::Done);
    assert_eq!(gone.report(), None);
    let full = Failure::Output(io::ErrorKind::StorageFull.into());
    assert_eq!(full.exit(), Exit::Failed);
    assert!(
        full.report()
            .is_some_and(|text| text.starts_with("palisade: "))
    );
}
