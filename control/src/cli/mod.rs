//! The command line: one module a noun, all of them clients of the daemon's API, except those
//! that must work without a daemon (`run`, `policy check`, `eval`, `diff` and `draw`, `policy
//! explain` with files, `doctor`, `token`, `kubeconfig`, `unload`).

pub mod arguments;
mod bans;
mod client;
mod daemon;
mod doctor;
mod eval;
mod events;
pub mod exit;
mod explain;
mod import;
mod kubeconfig;
mod output;
mod pages;
mod policy;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod token;

use std::{net::IpAddr, path::PathBuf};

use palisade_config::settings::{Settings, SettingsError};

use self::{
    arguments::{Arguments, Command, Global},
    client::Client,
    exit::{Exit, Failure},
    output::Output,
};
pub use self::{
    client::ClientError,
    target::{Target, TargetError},
};

/// Where the daemon listens when nobody says otherwise.
const DEFAULT_SOCKET: &str = "/run/palisade/palisade.sock";

/// Carries out one command line.
pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let global = arguments.global;
    let mut out = Output::stdout();
    let exit = match arguments.command {
        Command::Run(run) => return daemon::run(&global, &run),
        Command::Unload => daemon::unload(&global, &mut out),
        Command::Doctor(doctor) => doctor::doctor(&settings(&global)?, &doctor, &mut out),
        Command::Token(token) => token::token(&global, &token, &mut out),
        Command::Kubeconfig(arguments) => kubeconfig::kubeconfig(&global, &arguments, &mut out),
        Command::Completions { shell } => pages::completions(shell, &mut out),
        Command::Man { directory } => pages::man(directory.as_deref(), &mut out),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.map_err(anyhow::Error::from)?;
            runtime.block_on(ask(&global, command, &mut out))
        }
    }?;
    out.flush()?;
    Ok(exit)
}

/// The commands that talk to the daemon, or may.
async fn ask(global: &Global, command: Command, out: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Policy(policy) => policy::policy(global, policy.command, out).await,
        Command::Ban(ban) => bans::ban(&client(global)?, ban, out).await,
        Command::Unban(unban) => bans::unban(&client(global)?, unban, out).await,
        Command::Bans(bans) => bans::bans(&client(global)?, bans, out).await,
        Command::Explain(explain) => explain::explain(&client(global)?, &explain, out).await,
        Command::Status(read) => status::status(&client(global)?, read, out).await,
        Command::Events(events) => events::events(&client(global)?, &events, out).await,
        Command::Run(_)
        | Command::Unload
        | Command::Doctor(_)
        | Command::Token(_)
        | Command::Kubeconfig(_)
        | Command::Completions { .. }
        | Command::Man { .. } => Ok(Exit::Done),
    }
}

/// The daemon that the flags, the environment or the configuration name.
fn client(global: &Global) -> Result<Client, Failure> {
    let socket = match (&global.socket, &global.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(_)) => settings(global)?.api.unix,
        // The default file may be unreadable for people who may well use the socket.
        (None, None) => {
            Settings::load(None).map_or_else(|_| PathBuf::from(DEFAULT_SOCKET), |it| it.api.unix)
        }
    };
    Ok(Client::new(&socket).on_behalf_of(ssh_caller(std::env::var("SSH_CONNECTION").ok())))
}

fn settings(global: &Global) -> Result<Settings, Failure> {
    Settings::load(global.config.as_deref())
        .map_err(|error: SettingsError| Failure::Reported(error.to_string()))
}

/// The address at the other end of the ssh session this runs in.
fn ssh_caller(connection: Option<String>) -> Option<IpAddr> {
    let connection = connection?;
    let address = connection.split(' ').next()?;
    // A link-local address comes with its zone.
    let address = address.split('%').next()?.parse::<IpAddr>().ok()?;
    Some(address.to_canonical())
}
