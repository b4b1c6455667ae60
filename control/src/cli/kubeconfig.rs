//! `palisade kubeconfig`: a token, and the file with which `kubectl` uses it.

use std::{fmt::Write as _, fs, net::SocketAddr};

use palisade_config::settings::{Settings, Tls};

use super::{
    arguments::{Global, Kubeconfig},
    exit::{Exit, Failure},
    output::Output,
    settings,
    token::create,
};
use crate::api::{
    auth::{Role, read_tokens},
    certificate_file,
};

pub(super) fn kubeconfig(
    global: &Global,
    arguments: &Kubeconfig,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let settings = settings(global)?;
    let server = match &arguments.server {
        Some(server) => server.clone(),
        None => server(&settings)?,
    };
    // Everything that may fail comes before the token, so that none is made in vain.
    let authority = authority(&settings)?;
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => free_name(&settings, arguments.role)?,
    };
    let token = create(&settings.api.tokens, &name, arguments.role)?;
    out.text(&text(&server, &authority, &name, &token))?;
    Ok(Exit::Done)
}

/// Where clients reach the API.
fn server(settings: &Settings) -> Result<String, Failure> {
    let address = settings.api.tcp.ok_or_else(|| {
        Failure::Reported(
            "palisade: api.tcp is not set: kubectl talks to the daemon over TCP; set it and \
             restart the daemon"
                .to_owned(),
        )
    })?;
    if settings.api.tls == Tls::Off {
        return Err(Failure::Refused(
            "api.tls is \"off\": kubectl sends tokens over TLS alone; set it to \"on\" and \
             restart the daemon"
                .to_owned(),
        ));
    }
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    Ok(format!("https://{}", SocketAddr::new(ip, address.port())))
}

/// The certificates that clients trust, as PEM.
fn authority(settings: &Settings) -> Result<String, Failure> {
    let path = certificate_file(settings.api.certificate.as_ref(), &settings.state_directory);
    match fs::read_to_string(&path) {
        Ok(pem) => Ok(pem),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::Reported(format!(
                "palisade: there is no {} yet: the daemon makes it when it first listens on \
                 api.tcp; start it once",
                path.display()
            )))
        }
        Err(source) => Err(Failure::Read { path, source }),
    }
}

/// The first of kubectl-admin, kubectl-admin-2 and so on that no token has.
fn free_name(settings: &Settings, role: Role) -> Result<String, Failure> {
    let known =
        read_tokens(&settings.api.tokens).map_err(|fault| Failure::Reported(fault.to_string()))?;
    let base = format!("kubectl-{}", role.label());
    let names = std::iter::once(base.clone()).chain((2u32..).map(|it| format!("{base}-{it}")));
    let mut free = names.filter(|name| known.iter().all(|token| token.name != *name));
    Ok(free.next().unwrap_or(base))
}

fn text(server: &str, authority: &str, user: &str, token: &str) -> String {
    let authority = base64(authority.as_bytes());
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "apiVersion: v1
kind: Config
clusters:
- name: palisade
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {user}
  user:
    token: {token}
contexts:
- name: palisade
  context:
    cluster: palisade
    user: {user}
    namespace: default
current-context: palisade
"
    );
    text
}

/// Standard base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place) & 63) as usize);
            let padding = place > group.len();
            text.push(
                letter
                    .filter(|_| !padding)
                    .map_or('=', |it| char::from(*it)),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use palisade_config::settings::Settings;

    use super::{base64, server};
    use crate::cli::exit::Exit;

    #[test]
    fn base64_of_rfc_4648() {
        #[rustfmt::skip]
        let cases = [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ];
        for (text, want) in cases {
            assert_eq!(base64(text.as_bytes()), want, "{text}");
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn the_server_is_one_that_clients_can_reach() {
        #[rustfmt::skip]
        let cases = [
            ("tcp = \"127.0.0.1:9475\"",                  Ok("https://127.0.0.1:9475")),
            ("tcp = \"0.0.0.0:9475\"",                    Ok("https://127.0.0.1:9475")),
            ("tcp = \"[::]:9475\"",                       Ok("https://[::1]:9475")),
            ("",                                          Err(Exit::Failed)),
            ("tcp = \"127.0.0.1:9475\"\ntls = \"off\"",   Err(Exit::Refused)),
        ];
        for (text, want) in cases {
            let settings = Settings::parse(&format!("[api]\n{text}\n"), Path::new("t")).unwrap();
            let got = server(&settings).map_err(|failure| failure.exit());
            assert_eq!(got, want.map(str::to_owned), "{text}");
        }
    }
}
