//! Where a remote is, and which of the ways to name one are taken.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use super::error::GitError;

/// A remote repository and how to get in.
#[derive(Clone)]
pub struct Remote {
    /// A path, `file://`, `https://`, `http://` to a loopback address, `ssh://`, or `user@host:path`.
    pub url: String,
    /// The credentials, if the remote asks for any.
    pub auth: Option<Auth>,
    /// Certificates in PEM that replace the machine's trusted ones for `https://`. The one that issued the server's
    /// own certificate must be among them: intermediate certificates that the server sends are not looked at.
    pub ca_file: Option<PathBuf>,
}

/// Credentials for a remote.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A forge's access token: sent as the password of the user `x-access-token`, the form that GitHub, GitLab and
    /// Gitea all take for Git over HTTP. A forge that wants another user name takes [`Auth::Basic`].
    Token(SecretString),
    /// A user name and a password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// An SSH key, and which host keys to trust.
    SshKey {
        /// The private key as OpenSSH writes it, without a passphrase.
        private_key: SecretString,
        /// The text of a `known_hosts` file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
        known_hosts: String,
    },
}

/// What a url means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A repository on this machine.
    Local(PathBuf),
    /// Smart HTTP.
    Http {
        /// Whether it is `https`.
        tls: bool,
        /// The host name or address, without brackets.
        host: String,
    },
    /// A repository behind an SSH server.
    Ssh {
        /// The user to log in as.
        user: String,
        /// The host name or address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Remote {
    /// The folder, if the repository is on this machine.
    #[must_use]
    pub fn local(&self) -> Option<PathBuf> {
        match self.place() {
            Ok(Place::Local(folder)) => Some(folder),
            _ => None,
        }
    }

    /// Reads the url and checks that the credentials fit it.
    pub(super) fn place(&self) -> Result<Place, GitError> {
        let place = read(&self.url).map_err(|found| self.refuse(found))?;
        let fits = match (&place, &self.auth) {
            (Place::Local(_), None) | (Place::Http { .. }, None | Some(Auth::Token(_) | Auth::Basic { .. })) => Ok(()),
            (Place::Local(_), Some(_)) => Err("a repository on this machine takes no credentials"),
            (Place::Http { .. }, Some(Auth::SshKey { .. })) => Err("http takes a token or a password, not an ssh key"),
            (Place::Ssh { .. }, Some(Auth::SshKey { .. })) => Ok(()),
            (Place::Ssh { .. }, _) => Err("ssh needs an ssh key and known hosts"),
        };
        let ca_fits = self.ca_file.is_none() || matches!(place, Place::Http { tls: true, .. });
        fits.map_err(|found| self.refuse(found))?;
        if ca_fits { Ok(place) } else { Err(self.refuse("only https takes a file of certificates")) }
    }

    fn refuse(&self, found: &str) -> GitError {
        GitError::InvalidUrl { url: self.to_string(), found: found.to_owned() }
    }
}

/// The url; credentials inside it, which are refused anyway, are left out.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.url.split_once("://").map_or(("", self.url.as_str()), |(s, r)| (s, r));
        let authority = rest.split('/').next().unwrap_or(rest);
        match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') || scheme.starts_with("http") => {
                let separator = if scheme.is_empty() { "" } else { "://" };
                write!(f, "{scheme}{separator}…@{}", &rest[user.len() + 1..])
            }
            _ => f.write_str(&self.url),
        }
    }
}

/// The url as it prints, and which kind of credentials there is.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Remote { url: _, auth, ca_file } = self;
        f.debug_struct("Remote").field("url", &self.to_string()).field("auth", auth).field("ca_file", ca_file).finish()
    }
}

fn read(url: &str) -> Result<Place, &'static str> {
    if url.is_empty() || url.starts_with('-') || url.chars().any(|c| c.is_control()) {
        return Err("is empty, starts with `-` or holds a control character");
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        return read_scheme(scheme, rest);
    }
    if url.starts_with('/') || url.starts_with("./") || url.starts_with("../") {
        return Ok(Place::Local(PathBuf::from(url)));
    }
    let first = url.split('/').next().unwrap_or(url);
    match (first.split_once(':'), first.contains("::")) {
        (_, true) => Err("remote helpers are not run"),
        (Some((login, _)), false) => {
            let (user, host) = login.split_once('@').ok_or("`host:path` needs a user: `user@host:path`")?;
            ssh(Some(user), host, None)
        }
        (None, false) => Ok(Place::Local(PathBuf::from(url))),
    }
}

fn read_scheme(scheme: &str, rest: &str) -> Result<Place, &'static str> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, address) = authority.rsplit_once('@').map_or((None, authority), |(u, a)| (Some(u), a));
    match scheme {
        "file" if authority.is_empty() => Ok(Place::Local(PathBuf::from(format!("/{path}")))),
        "file" => Err("a `file://` url names no host: `file:///path`"),
        "http" | "https" => {
            let (host, _) = host_and_port(address)?;
            if user.is_some() {
                return Err("holds a user or password: use `auth`");
            }
            let tls = scheme == "https";
            if tls || is_loopback(&host) {
                Ok(Place::Http { tls, host })
            } else {
                Err("`http://` is taken for loopback addresses only: use `https://`")
            }
        }
        "ssh" => {
            let (host, port) = host_and_port(address)?;
            ssh(user, &host, port)
        }
        _ => Err("neither a path nor one of `file://`, `https://`, `ssh://`, `user@host:path`"),
    }
}

fn ssh(user: Option<&str>, host: &str, port: Option<u16>) -> Result<Place, &'static str> {
    let user = user.unwrap_or("git");
    if user.is_empty() || user.contains(':') {
        return Err("holds a password or an empty user: use `auth`");
    }
    if host.is_empty() || host.starts_with('-') {
        return Err("names no host");
    }
    Ok(Place::Ssh { user: user.to_owned(), host: host.to_owned(), port: port.unwrap_or(22) })
}

fn host_and_port(address: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("names a wrong port")?)),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.starts_with('-') {
        return Err("names no host");
    }
    let port = port.map(|text| text.parse().map_err(|_| "names a wrong port")).transpose()?;
    Ok((host.to_owned(), port))
}

/// `localhost` or a loopback address: never a name that merely resolves to one today.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str, auth: Option<Auth>) -> Remote {
        Remote { url: url.to_owned(), auth, ca_file: None }
    }

    fn key() -> Option<Auth> {
        Some(Auth::SshKey { private_key: "key".into(), known_hosts: String::new() })
    }

    #[test]
    fn a_remote_is_a_path_https_loopback_http_or_ssh() {
        let http = |tls, host: &str| Place::Http { tls, host: host.to_owned() };
        let ssh = |user: &str, port| Place::Ssh { user: user.to_owned(), host: "git.example.com".to_owned(), port };
        for (url, auth, place) in [
            ("/srv/a.git", None, Place::Local("/srv/a.git".into())),
            ("./a", None, Place::Local("./a".into())),
            ("a/b", None, Place::Local("a/b".into())),
            ("file:///srv/a.git", None, Place::Local("/srv/a.git".into())),
            ("https://git.example.com/a.git", None, http(true, "git.example.com")),
            ("http://127.0.0.1:8080/a.git", None, http(false, "127.0.0.1")),
            ("http://[::1]:8080/a.git", None, http(false, "::1")),
            ("http://localhost/a.git", None, http(false, "localhost")),
            ("ssh://git.example.com/a.git", key(), ssh("git", 22)),
            ("ssh://deploy@git.example.com:2222/a.git", key(), ssh("deploy", 2222)),
            ("git@git.example.com:a/b.git", key(), ssh("git", 22)),
        ] {
            assert_eq!(remote(url, auth).place().expect("because the url is one of those taken"), place, "{url}");
        }
    }

    #[test]
    fn row_77_other_ways_to_name_a_remote_are_invalid_values() {
        for url in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=x",
            "ext::sh -c id",
            "git://git.example.com/a",
            "http://git.example.com/a.git",
            "http://127.0.0.1.example.com/a.git",
            "https://user@git.example.com/a.git",
            "https://git.example.com:http/a.git",
            "https:///a.git",
            "file://host/a.git",
            "host:a.git",
            "/a\nb",
        ] {
            let error = remote(url, None).place().expect_err("because the url is never used");
            assert_eq!(error.reason().code, crate::name::Code::InvalidValue, "{url}");
        }
        for url in ["ssh://-oProxyCommand=x/a", "git@-oProxyCommand=x:a", "ssh://git:hunter2@git.example.com/a"] {
            assert!(remote(url, key()).place().is_err(), "{url}");
        }
    }

    #[test]
    fn row_77_ssh_without_known_hosts_is_an_invalid_value() {
        for auth in [None, Some(Auth::Token("t".into()))] {
            assert!(remote("ssh://git.example.com/a.git", auth.clone()).place().is_err());
            assert!(remote("git@git.example.com:a.git", auth).place().is_err());
        }
        assert!(remote("https://git.example.com/a.git", key()).place().is_err());
        assert!(remote("/srv/a.git", key()).place().is_err());
    }

    #[test]
    fn credentials_in_a_url_are_never_printed() {
        for url in ["https://lena:hunter2@git.example.com/a", "https://hunter2@h/a", "ssh://git:hunter2@h/a"] {
            let remote = remote(url, Some(Auth::Token("hunter2".into())));
            let error = remote.place().expect_err("because credentials do not belong into a url");
            for text in [remote.to_string(), format!("{remote:?}"), error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("hunter2"), "{text}");
            }
        }
    }
}
