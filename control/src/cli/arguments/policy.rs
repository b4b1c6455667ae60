//! The arguments of `palisade policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use palisade_config::policy::Dialect;

use super::Read;

#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Policy {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Name every fault and every classic trap of policy files with its place; needs no daemon
    #[command(
        after_help = "Examples:\n  palisade policy check policies.d/*.yaml\n  \
                      palisade policy check --cluster cluster.yaml web.yaml"
    )]
    Check(PolicyCheck),
    /// Say what policies would do to flows: JSON lines in, JSON lines out; needs no daemon
    #[command(
        after_help = "Examples:\n  palisade policy eval --cluster cluster.yaml < cases.jsonl"
    )]
    Eval(PolicyEval),
    /// Say in words who may reach whom and which rule says so
    #[command(
        after_help = "Examples:\n  palisade policy explain --cluster cluster.yaml web.yaml\n  \
                      palisade policy explain 192.0.2.7 shop/db:5432 --cluster cluster.yaml db.yaml\n  \
                      palisade policy explain 192.0.2.7 192.0.2.10:443\n\n\
                      With files or a cluster file nothing else is asked; without, the daemon is."
    )]
    Explain(PolicyExplain),
    /// Name every connection that two dialects judge differently; with files it needs no daemon
    #[command(
        after_help = "Examples:\n  palisade policy diff --dialect kubernetes --dialect cilium \\\n    \
                      --cluster cluster.yaml web.yaml\n  \
                      palisade policy diff --exit-code --cluster cluster.yaml *.yaml"
    )]
    Diff(PolicyDiff),
    /// Draw who may reach whom on which ports, as SVG; with files it needs no daemon
    #[command(
        after_help = "Examples:\n  palisade policy draw --cluster cluster.yaml web.yaml > web.svg"
    )]
    Draw(PolicyDraw),
    /// Give policies to the running daemon: all of them, or none if one has a fault
    #[command(after_help = "Examples:\n  palisade policy apply web.yaml\n  \
                            palisade policy apply --dry-run *.yaml")]
    Apply(PolicyApply),
    /// Remove a policy from the running daemon
    #[command(after_help = "Examples:\n  palisade policy delete web -n default")]
    Delete(PolicyName),
    /// List the policies in force, or print one
    #[command(
        after_help = "Examples:\n  palisade policy get\n  palisade policy get web -n default"
    )]
    Get(PolicyGet),
}

#[derive(Debug, Args)]
pub struct PolicyCheck {
    /// YAML or JSON files, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Namespaces, pods and nodes besides those in the files: more traps can be seen
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
pub struct PolicyExplain {
    /// A connection (FROM TO:PORT[/PROTO], pods as namespace/name), then YAML or JSON files
    #[arg(value_name = "FROM TO:PORT | FILE")]
    pub what: Vec<String>,
    /// Namespaces, pods and nodes besides those in the files, in the shape of a cluster file
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Whose meaning of the documents: kubernetes, calico, cilium [default: the daemon's, or
    /// kubernetes for files]
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Dialect>,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
pub struct PolicyDiff {
    /// YAML or JSON files, `-` for standard input [default: what the daemon has in force]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One of the two dialects; given twice [default: kubernetes and cilium]
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Vec<Dialect>,
    /// Namespaces, pods and nodes besides those in the files, in the shape of a cluster file
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Exit with 1 when there is a difference
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
pub struct PolicyDraw {
    /// YAML or JSON files, `-` for standard input [default: what the daemon has in force]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Namespaces, pods and nodes besides those in the files, in the shape of a cluster file
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Whose meaning of the documents: kubernetes, calico, cilium [default: the daemon's, or
    /// kubernetes for files]
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Dialect>,
}

#[derive(Debug, Args)]
pub struct PolicyEval {
    /// Namespaces, pods and nodes, in the shape of a cluster file
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// Whose meaning of the documents: kubernetes, calico, cilium
    #[arg(long, value_name = "DIALECT", default_value_t)]
    pub dialect: Dialect,
}

#[derive(Debug, Args)]
pub struct PolicyApply {
    /// YAML or JSON files, `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub read: Read,
}

#[derive(Debug, Args)]
pub struct PolicyName {
    /// Name of the policy
    pub name: String,
    /// Its namespace
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
}

#[derive(Debug, Args)]
pub struct PolicyGet {
    /// Name of one policy, to print it whole [default: list all]
    pub name: Option<String>,
    /// Its namespace [default: all namespaces in a list, `default` for one policy]
    #[arg(short, long)]
    pub namespace: Option<String>,
    #[command(flatten)]
    pub read: Read,
}
