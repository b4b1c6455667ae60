//! A served API, and `kubectl` set up for it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use palisade_config::settings::Settings;
use palisade_control::{
    api::{Listening, Served, serve},
    testing,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How long a kubectl may take before it counts as hanging.
const PATIENCE: &str = "--request-timeout=20s";
const WATCH_PATIENCE: Duration = Duration::from_secs(20);

const SETTINGS: &str = "
[[endpoint]]
name = \"web\"
namespace = \"default\"
labels = { role = \"web\" }
addresses = [\"192.0.2.10\", \"2001:db8::10\"]
ports = { https = \"tcp/443\" }

[[endpoint]]
name = \"db\"
namespace = \"shop\"
labels = { role = \"db\" }
addresses = [\"192.0.2.20\"]
";

pub(crate) const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  labels: {team: edge}
spec:
  podSelector: {matchLabels: {role: web}}
  ingress:
  - from:
    - ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.66/32]}
    ports:
    - port: 443
";

/// A served API, and a kubectl that is set up for it.
pub(crate) struct Rig {
    dir: TempDir,
    shutdown: CancellationToken,
    listening: Listening,
}

impl Rig {
    /// `None`, and said so, where there is no kubectl.
    pub(crate) async fn new() -> Option<Self> {
        let found = Command::new("kubectl")
            .args(["version", "--client"])
            .output();
        if !found.is_ok_and(|output| output.status.success()) {
            assert_ne!(
                std::env::var("PALISADE_REQUIRE_KUBECTL").as_deref(),
                Ok("1"),
                "kubectl is required and not there"
            );
            eprintln!("skipped: needs kubectl");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("policies.d")).expect("a directory");
        Some(Self::on(dir).await)
    }

    async fn on(dir: TempDir) -> Self {
        let path = |name: &str| dir.path().join(name).display().to_string();
        let file = dir.path().join("palisade.toml");
        let text = format!(
            "state_directory = \"{}\"\n[api]\nunix = \"{}\"\ntcp = \"127.0.0.1:9\"\ntokens = \"{}\"\n{SETTINGS}",
            dir.path().display(),
            path("socket"),
            path("tokens.toml"),
        );
        fs::write(&file, &text).expect("written");
        let settings = Settings::parse(&text, &file).expect("settings");
        let core = testing::core_with(dir.path(), settings.clone()).await;
        let shutdown = CancellationToken::new();
        let mut api = settings.api;
        api.tcp = Some(([127, 0, 0, 1], 0).into());
        let served = Served {
            core,
            api,
            state_directory: dir.path().to_owned(),
        };
        let listening = serve(served, shutdown.clone()).await.expect("served");
        let rig = Self {
            dir,
            shutdown,
            listening,
        };
        rig.kubeconfig("admin");
        rig
    }

    /// Stops, and starts again on the same store.
    pub(crate) async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.listening.finished().await;
        // The writer thread closes the store when its last user has gone.
        let path = self.dir.path().join("palisade.redb");
        for _ in 0..200 {
            if palisade_control::store::Store::open(self.dir.path()).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(path.exists());
        Self::on(self.dir).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Has the binary write `ROLE.kubeconfig`.
    pub(crate) fn kubeconfig(&self, role: &str) {
        let server = format!("https://{}", self.listening.tcp().expect("TCP"));
        let output = Command::new(env!("CARGO_BIN_EXE_palisade"))
            .args(["kubeconfig", "--role", role, "--server", &server])
            .arg("--config")
            .arg(self.path("palisade.toml"))
            .output()
            .expect("the binary runs");
        assert!(output.status.success(), "{}", text(&output));
        let path = self.path(&format!("{role}.kubeconfig"));
        fs::write(path, output.stdout).expect("written");
    }

    pub(crate) fn command(&self, role: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.path(&format!("{role}.kubeconfig")))
            .args(arguments)
            .env("HOME", self.dir.path())
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn raw(&self, arguments: &[&str]) -> Output {
        let mut arguments = arguments.to_vec();
        arguments.push(PATIENCE);
        self.command("admin", &arguments)
            .output()
            .expect("kubectl runs")
    }

    /// What kubectl says, having succeeded.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.raw(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What kubectl says, having failed.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.raw(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        let text = self.kubectl(&["get", "netpol", name, "-o", "json", "--show-managed-fields"]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }
}

pub(crate) fn text(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A kubectl that watches, killed in the end.
pub(crate) struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    pub(crate) fn start(rig: &Rig, arguments: &[&str]) -> Self {
        let mut child = rig
            .command("admin", arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that holds `wanted`.
    pub(crate) fn sees(&self, wanted: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(WATCH_PATIENCE) {
                Ok(line) if line.contains(wanted) => return line,
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {wanted} in {seen:?}")
                }
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
