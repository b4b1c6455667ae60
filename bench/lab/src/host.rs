//! One machine of the lab: a namespace with an address, in which commands run.

use crate::{clock, command, netns, wire};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a server may take to listen.
const LISTEN_WITHIN: Duration = Duration::from_secs(10);

/// A machine of the lab. A handle: the namespace belongs to the [`Lab`](crate::Lab).
#[derive(Clone, Debug)]
pub struct Host {
    /// What it is called in the lab: "edge", "client", ...
    pub name: String,
    /// Its namespace, as in `ip netns exec NAMESPACE`.
    pub namespace: String,
    /// The device that connects it.
    pub device: String,
    pub mac: [u8; 6],
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
    /// Where outputs of its processes are kept.
    pub(crate) folder: PathBuf,
}

impl Host {
    /// Its address of the family of `other`.
    #[must_use]
    pub fn address_like(&self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() {
            self.v4.into()
        } else {
            self.v6.into()
        }
    }

    /// Both addresses.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// A command that will run inside. `/sys` shows the namespace's devices to it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace])
            .arg(program);
        command
    }

    /// Runs a command line (split at spaces) to its end; its standard output.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        command::run(self.command(program).args(words)).with_context(|| format!("on {}", self.name))
    }

    /// Runs `ip` commands, one a line.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command::run_with_input(command.args(["-n", &self.namespace, "-batch", "-"]), lines)
            .map(drop)
            .with_context(|| format!("on {}", self.name))
    }

    /// Starts a command line (split at spaces) that goes on until the [`Process`] is dropped.
    pub fn spawn(&self, line: &str) -> Result<Process> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        let mut command = self.command(program);
        command.args(words);
        let log = self.folder.join(format!("{}-{program}.log", self.name));
        Process::start(command, &log).with_context(|| format!("on {}", self.name))
    }

    /// Runs `work` on a thread inside: sockets that it opens stay there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        netns::enter(&self.namespace, work).with_context(|| format!("on {}", self.name))
    }

    /// Starts servers (socat) that return what they get, on both families; waits until they listen.
    pub fn serve_echo(&self, ports: &[&str]) -> Result<Vec<Process>> {
        ports
            .iter()
            .map(|port| self.serve(port, "EXEC:cat"))
            .collect()
    }

    /// Starts one server: `port` like "tcp/80", `action` a socat address.
    pub fn serve(&self, port: &str, action: &str) -> Result<Process> {
        self.listen(port, &[action])
    }

    /// Starts a server that writes what it gets into a file.
    pub fn receive(&self, port: &str, file: &Path) -> Result<Process> {
        self.listen(port, &["-u", &format!("CREATE:{}", file.display())])
    }

    /// `arguments`: socat's options, then what it connects the port with.
    fn listen(&self, port: &str, arguments: &[&str]) -> Result<Process> {
        let (protocol, number) = port.split_once('/').context("a port reads like tcp/80")?;
        let (listen, listing) = match protocol {
            "tcp" => (
                format!("TCP6-LISTEN:{number},fork,reuseaddr,ipv6only=0,backlog=128"),
                "-t",
            ),
            "udp" => (
                format!("UDP6-RECVFROM:{number},fork,reuseaddr,ipv6only=0"),
                "-u",
            ),
            _ => bail!("no server for {port}"),
        };
        let mut command = self.command("socat");
        let (options, action) = arguments.split_at(arguments.len().saturating_sub(1));
        command
            .args(["-d", "-d"])
            .args(options)
            .arg(&listen)
            .args(action);
        let log = self
            .folder
            .join(format!("{}-{protocol}-{number}.log", self.name));
        let process = Process::start(command, &log)?;
        let filter = format!("ss -Hln {listing} sport = :{number}");
        let listening = || {
            self.run(&filter)
                .is_ok_and(|sockets| !sockets.trim().is_empty())
        };
        if !clock::eventually(LISTEN_WITHIN, listening) {
            bail!(
                "nothing listens on {port} of {}:\n{}",
                self.name,
                process.log()
            );
        }
        Ok(process)
    }

    /// Connects by TCP from here.
    pub fn connect(&self, to: impl Into<SocketAddr>, within: Duration) -> Result<TcpStream> {
        let to = to.into();
        let stream = self.enter(|| TcpStream::connect_timeout(&to, within))?;
        let stream = stream.with_context(|| format!("{} to {to}", self.name))?;
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Whether a TCP connection to an echo server comes about and carries data.
    pub fn reaches(&self, to: impl Into<SocketAddr>, within: Duration) -> Result<bool> {
        let to = to.into();
        let outcome = self.enter(|| {
            let mut stream = TcpStream::connect_timeout(&to, within)?;
            stream.set_read_timeout(Some(within))?;
            echoes(&mut stream)
        })?;
        Ok(outcome.is_ok())
    }

    /// Whether a UDP datagram to an echo server comes back.
    pub fn reaches_udp(&self, to: impl Into<SocketAddr>, within: Duration) -> Result<bool> {
        let to = to.into();
        let outcome = self.enter(|| -> io::Result<()> {
            let unspecified: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((unspecified, 0))?;
            socket.connect(to)?;
            socket.set_read_timeout(Some(within))?;
            socket.send(b"are you there")?;
            socket.recv(&mut [0; 64]).map(drop)
        })?;
        Ok(outcome.is_ok())
    }

    /// Whether `count` pings in a row are all answered.
    pub fn pings(&self, to: IpAddr, count: u32, within: Duration) -> Result<bool> {
        let deadline = within.as_secs().max(1);
        let mut command = self.command("ping");
        command.args(["-n", "-q", "-i", "0.05", "-c", &count.to_string()]);
        command.args(["-w", &deadline.to_string(), &to.to_string()]);
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        Ok(status.success())
    }

    /// A socket that puts frames on the wire as they are.
    pub fn injector(&self) -> Result<wire::Injector> {
        let device = self.device.clone();
        self.enter(|| wire::Injector::open(&device))?
    }

    /// Records the frames that the stack of this host gets on `device` from now on.
    pub fn capture(&self, device: &str) -> Result<wire::Capture> {
        self.enter(|| wire::Capture::open(device))?
    }
}

/// Sends a line over a connection to an echo server and waits for it to come back.
pub fn echoes(stream: &mut TcpStream) -> io::Result<()> {
    const LINE: &[u8] = b"one line there and back\n";
    stream.write_all(LINE)?;
    let mut back = [0; LINE.len()];
    stream.read_exact(&mut back)?;
    if back == LINE {
        Ok(())
    } else {
        Err(io::Error::other("the echo came back changed"))
    }
}

/// A command that runs on; ended with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end and waits for it.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(rustix::process::Signal::TERM)?;
        let mut status = None;
        clock::eventually(within, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.with_context(|| format!("process {} did not end in {within:?}", self.pid()))
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal)
            .with_context(|| format!("signalling process {}", self.pid()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing more can be done when these fail; the namespace's end gets the rest.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
