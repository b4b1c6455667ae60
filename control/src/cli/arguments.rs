//! The command line, defined once: parsing, help, completions and man pages all come from here.
//!
//! Values are parsed into their types while the arguments are read, so a malformed prefix or
//! duration is a usage error (exit code 2) before anything is asked of the daemon.

mod policy;

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use palisade_config::types::{Prefix, TtlDuration};

pub use self::policy::{
    Policy, PolicyApply, PolicyCheck, PolicyCommand, PolicyDiff, PolicyDraw, PolicyEval,
    PolicyExplain, PolicyGet, PolicyName,
};
use super::target::Target;

/// Keeps banned traffic off an edge node: XDP drops banned sources, AF_XDP workers judge the rest.
#[derive(Debug, Parser)]
#[command(
    name = "palisade",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 daemon unreachable, \
                  5 refused (guard, conflict)."
)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that stand before or after the subcommand.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Configuration file [default: /etc/palisade/palisade.toml]
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        env = "PALISADE_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Socket of the daemon [default: `api.unix` of the configuration file]
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        env = "PALISADE_SOCKET",
        value_name = "PATH",
        hide_env_values = true
    )]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    Run(Run),
    /// Ban an address or prefix: all its traffic is dropped, established connections included
    Ban(Ban),
    /// Lift a ban
    Unban(Unban),
    /// List, import or export bans
    Bans(Bans),
    /// Say what would happen to a connection, and which table, ban, policy or rule decides
    Explain(Explain),
    /// Check, try out or change NetworkPolicy documents
    Policy(Policy),
    /// Show interfaces, workers, counters and policy files
    Status(Read),
    /// Show bans, generations and sampled drops as they happen
    Events(Events),
    /// Check what this machine offers and what to do about what is missing; needs no daemon
    Doctor(Doctor),
    /// Manage the tokens of the TCP API
    Token(Token),
    /// Make a token and print the kubeconfig with which kubectl uses it
    Kubeconfig(Kubeconfig),
    /// Take enforcement off: detach programs and remove pinned tables; needs the daemon stopped
    Unload,
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  palisade completions bash > /etc/bash_completion.d/palisade"
    )]
    Completions {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
    /// Write the man pages
    #[command(
        after_help = "Examples:\n  palisade man | man -l -\n  palisade man --directory /usr/share/man/man1"
    )]
    Man {
        /// Write one page for each subcommand into this directory, instead of the main page to stdout
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  palisade run\n  palisade run --interface eth0\n  \
                        palisade run --config ./palisade.toml --check"
)]
pub struct Run {
    /// Validate the configuration and exit
    #[arg(long)]
    pub check: bool,
    /// Protect this interface too, with default settings; may be given several times
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
}

/// What only changes how a read is printed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Read {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  palisade ban 203.0.113.9 --ttl 1h --reason 'ssh brute force'\n  \
                        palisade ban 2001:db8:bad::/48\n  palisade ban 198.51.100.0/24 --origin noc"
)]
pub struct Ban {
    /// Address or CIDR prefix
    pub prefix: Prefix,
    /// Lift the ban after this long: 90s, 15m, 2h, 7d [default: until it is removed]
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<TtlDuration>,
    /// Kept with the ban and shown with it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// On whose behalf; each origin's ban on a prefix has its own expiry
    #[arg(long, value_name = "NAME", default_value = "cli")]
    pub origin: String,
    /// Ban even your own address, or a prefix shorter than /8 (IPv4) or /16 (IPv6)
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  palisade unban 203.0.113.9\n  palisade unban 198.51.100.0/24 --origin noc"
)]
pub struct Unban {
    /// Address or CIDR prefix, as it was banned
    pub prefix: Prefix,
    /// Lift only the ban of this origin [default: of all origins]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "Examples:\n  palisade bans\n  palisade bans --covers 203.0.113.9\n  \
                  palisade bans list --origin noc --json\n  \
                  palisade bans import drop.txt --origin spamhaus --mode replace\n  \
                  palisade bans export --origin noc > noc.ndjson"
)]
pub struct Bans {
    #[command(subcommand)]
    pub command: Option<BansCommand>,
    /// Only bans of this origin; for import: the origin of what is imported [default there: file]
    #[arg(long, global = true, value_name = "NAME")]
    pub origin: Option<String>,
    /// Only bans that cover this address
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub covers: Option<IpAddr>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum BansCommand {
    /// List bans (what `palisade bans` does)
    List,
    /// Import a list: one prefix or one JSON ban a line, `#` comments; all or nothing
    Import(Import),
    /// Print bans in a form that `import` reads: one JSON ban a line
    Export {
        /// Print prefixes only
        #[arg(long)]
        plain: bool,
    },
}

#[derive(Debug, Args)]
pub struct Import {
    /// File to read, `-` for standard input
    pub file: PathBuf,
    /// `add` keeps what the origin has; `replace` removes what is not in the list
    #[arg(long, value_enum, default_value_t = ImportMode::Add)]
    pub mode: ImportMode,
    /// Accept your own address, and prefixes shorter than /8 (IPv4) or /16 (IPv6)
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportMode {
    Add,
    Replace,
}

impl ImportMode {
    pub fn label(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  palisade explain 203.0.113.9 192.0.2.10:443\n  \
                        palisade explain 2001:db8::7 [2001:db8::10]:53/udp"
)]
pub struct Explain {
    /// Address the connection comes from
    pub from: IpAddr,
    /// Where it goes: ADDRESS:PORT[/PROTOCOL], IPv6 in brackets; protocol is tcp unless named
    #[arg(value_name = "TO:PORT[/PROTO]")]
    pub to: Target,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  palisade events --follow\n  palisade events --follow --json | jq ."
)]
pub struct Events {
    /// Go on until interrupted, also over a restart of the daemon [default: stop after one second]
    #[arg(short, long)]
    pub follow: bool,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  palisade doctor\n  palisade doctor eth0")]
pub struct Doctor {
    /// Check this interface too
    #[arg(value_name = "IFACE")]
    pub interface: Option<String>,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Token {
    #[command(subcommand)]
    pub command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it once: only its hash is stored
    #[command(after_help = "Examples:\n  palisade token create grafana --role read")]
    Create {
        /// Name of the token, as the log shows it
        name: String,
        /// read: all reads; ban: bans too; admin: everything
        #[arg(long, value_enum)]
        role: crate::api::auth::Role,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  palisade kubeconfig > edge1.kubeconfig\n  \
                  kubectl --kubeconfig edge1.kubeconfig get networkpolicies -A\n  \
                  palisade kubeconfig --role read --server https://edge1.example:9475")]
pub struct Kubeconfig {
    /// What the token may do: read: all reads; admin: change policies too
    #[arg(long, value_enum, default_value_t = crate::api::auth::Role::Admin)]
    pub role: crate::api::auth::Role,
    /// Name of the token [default: kubectl-ROLE, numbered when it is taken]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// URL of the API as clients reach it [default: from `api.tcp`]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}
