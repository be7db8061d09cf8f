//! The address of a repository, and which addresses are refused.

use std::fmt;
use std::str::FromStr;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A directory, by its path.
    Path,
    /// A directory, by a `file://` address.
    File,
    /// `http://`, on this machine only.
    Http,
    /// `https://`.
    Https,
    /// `ssh://`, or `user@host:path`.
    Ssh,
}

/// The address of a repository. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    transport: Transport,
}

/// Says why an address is refused. It never quotes the address, which may hold a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(&'static str);

impl RemoteUrl {
    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for RemoteUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(InvalidUrl("is empty or holds control characters, expected a path or an address"));
        }
        if text.starts_with('-') {
            return Err(InvalidUrl("begins with `-`, which git would read as an option"));
        }
        let transport = transport(text)?;
        Ok(RemoteUrl { text: text.to_owned(), transport })
    }
}

fn transport(text: &str) -> Result<Transport, InvalidUrl> {
    // git-fetch(1), GIT URLS: `<transport>::<address>` runs a helper program.
    if text
        .split_once("::")
        .is_some_and(|(helper, _)| helper.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)))
    {
        return Err(InvalidUrl("names a remote helper (`helper::address`), which would run a program"));
    }
    match text.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => Ok(Transport::File),
        Some(("file", _)) => Err(InvalidUrl("is no `file:///` address with an absolute path")),
        Some(("https", rest)) => web(rest, Transport::Https),
        Some(("http", rest)) => web(rest, Transport::Http),
        Some(("ssh", rest)) => ssh(rest.split_once('/').map_or(rest, |(authority, _)| authority)),
        Some(_) => Err(InvalidUrl("has an unknown scheme, expected `https`, `ssh`, `file`, or a path")),
        None => match text.split_once(':') {
            // git-clone(1): the scp-like form needs a colon before the first slash.
            Some((authority, _)) if !authority.contains('/') => ssh(authority),
            Some(_) | None => Ok(Transport::Path),
        },
    }
}

fn web(rest: &str, transport: Transport) -> Result<Transport, InvalidUrl> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains('@') {
        return Err(InvalidUrl("holds credentials, which belong into a file that `auth` names"));
    }
    if rest.contains(['?', '#', ' ']) {
        return Err(InvalidUrl("holds a space, a query or a fragment, expected a plain address"));
    }
    let host = host(authority)?;
    if transport == Transport::Http && !is_loopback(host) {
        return Err(InvalidUrl("is not encrypted, expected `https://` (`http://` only on this machine)"));
    }
    Ok(transport)
}

fn ssh(authority: &str) -> Result<Transport, InvalidUrl> {
    let (user, server) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err(InvalidUrl("holds credentials, which belong into a file that `auth` names"));
    }
    if user.starts_with('-') || user.contains(char::is_whitespace) {
        return Err(InvalidUrl("has a user name that ssh would read as an option"));
    }
    host(server).map(|_| Transport::Ssh)
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host(authority: &str) -> Result<&str, InvalidUrl> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(host, _)| host),
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    let good = host.chars().all(|c| c.is_alphanumeric() || "-._:".contains(c));
    if host.is_empty() || host.starts_with('-') || !good {
        return Err(InvalidUrl("has no host name, or one that ssh would read as an option"));
    }
    Ok(host)
}

/// `localhost`, `::1`, or an address in 127.0.0.0/8 (RFC 1122, section 3.2.1.3).
fn is_loopback(host: &str) -> bool {
    let parts: Vec<Option<u8>> = host.split('.').map(|part| part.parse().ok()).collect();
    host == "localhost" || host == "::1" || matches!(parts.as_slice(), [Some(127), Some(_), Some(_), Some(_)])
}
