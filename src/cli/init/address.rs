//! The address of the repository that the pipeline is to read: `origin`, or the clone itself.

use std::path::{Path, PathBuf};

use crate::config::{RemoteUrl, Transport};

/// An address that the pipeline file accepts, and what else it has to say about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) url: String,
    /// Whether it is `origin`, and not the clone itself.
    pub(super) is_origin: bool,
    pub(super) transport: Transport,
    pub(super) note: Option<String>,
}

/// The address of `origin` where the agent can use it, else the clone.
pub(super) fn of(origin: Option<&str>, root: &Path) -> Address {
    let clone = |note: Option<String>| Address {
        url: root.display().to_string(),
        is_origin: false,
        transport: Transport::Path,
        note,
    };
    let Some(origin) = origin else {
        return clone(Some("there is no remote `origin`: the agent would read this clone".to_owned()));
    };
    let (plain, secret) = without_credentials(origin);
    let url = absolute(&as_ssh(&plain), root);
    match url.parse::<RemoteUrl>() {
        Ok(parsed) if is_complete(&parsed) => {
            let note = "the credentials in the address of `origin` are not written: put them into a file, and name it in \
                        `spec.repository.auth`";
            Address { transport: parsed.transport(), url, is_origin: true, note: secret.then(|| note.to_owned()) }
        }
        // The problem never quotes the address.
        Ok(_) => clone(Some("the address of `origin` names no user, so the agent would read this clone".to_owned())),
        Err(problem) => clone(Some(format!("the address of `origin` {problem}, so the agent would read this clone"))),
    }
}

/// Whether the agent could log in: the short form of ssh needs a user, as it reads no configuration of ssh.
fn is_complete(url: &RemoteUrl) -> bool {
    let login = url.as_str().split(':').next().unwrap_or("");
    url.transport() != Transport::Ssh || login == "ssh" || login.contains('@')
}

/// The address without a user and password of the web, or the password of ssh, and whether there was one.
fn without_credentials(origin: &str) -> (String, bool) {
    let Some((scheme, rest)) = origin.split_once("://") else { return (origin.to_owned(), false) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // RFC 3986 lets no `@` or `/` stand in a password, but people write them: the last `@` of all ends it.
    let end = rest[end..].find('@').map_or(end, |_| rest.rfind('@').map_or(end, |at| at + 1));
    let Some((login, host)) = rest[..end].rsplit_once('@') else { return (origin.to_owned(), false) };
    let tail = &rest[end..];
    match (scheme, login.split_once(':')) {
        ("ssh", None) => (origin.to_owned(), false),
        ("ssh", Some((user, _))) => (format!("ssh://{user}@{host}{tail}"), true),
        _ => (format!("{scheme}://{host}{tail}"), true),
    }
}

/// `git@host:path` as `ssh://git@host/path`, which says where the host ends. Forges, whose user is `git`, have no home
/// directory that a relative path would begin in; with another user it stays as it is.
fn as_ssh(origin: &str) -> String {
    let short = origin.split_once(':').filter(|(login, rest)| !login.contains('/') && !rest.starts_with("//"));
    match short.and_then(|(login, path)| Some((login.split_once('@')?, path))) {
        Some((("git", host), path)) => format!("ssh://git@{host}/{}", path.trim_start_matches('/')),
        Some(((user, host), path)) if path.starts_with('/') => format!("ssh://{user}@{host}{path}"),
        _ => origin.to_owned(),
    }
}

/// A path begins at the clone's root, and the pipeline file may lie elsewhere.
fn absolute(url: &str, root: &Path) -> String {
    match url.parse::<RemoteUrl>() {
        Ok(parsed) if parsed.transport() == Transport::Path => {
            let path = std::path::absolute(root.join(url)).unwrap_or_else(|_| PathBuf::from(url));
            path.canonicalize().unwrap_or(path).display().to_string()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_can_read_is_taken_and_the_rest_is_the_clone() {
        for (origin, url) in [
            ("https://git.example.com/shop.git", "https://git.example.com/shop.git"),
            ("ssh://git@git.example.com:2222/shop.git", "ssh://git@git.example.com:2222/shop.git"),
            ("git@git.example.com:shop/deploy.git", "ssh://git@git.example.com/shop/deploy.git"),
            ("git@git.example.com:/srv/deploy.git", "ssh://git@git.example.com/srv/deploy.git"),
            ("dana@git.example.com:/srv/deploy.git", "ssh://dana@git.example.com/srv/deploy.git"),
            ("dana@git.example.com:deploy.git", "dana@git.example.com:deploy.git"),
            ("/srv/nowhere.git", "/srv/nowhere.git"),
            ("file:///srv/nowhere.git", "file:///srv/nowhere.git"),
            ("git.example.com:deploy.git", "/clone"),
            ("http://git.example.com/shop.git", "/clone"),
            ("git://git.example.com/shop.git", "/clone"),
            ("ext::sh -c id", "/clone"),
        ] {
            let address = of(Some(origin), Path::new("/clone"));
            assert_eq!((address.url.as_str(), address.is_origin), (url, url != "/clone"), "{origin}");
        }
    }

    #[test]
    fn credentials_are_never_written() {
        for origin in [
            "https://dana:hunter2@git.example.com/shop.git",
            "https://hunter2@git.example.com/shop.git",
            "https://dana:hun@hunter2@git.example.com/shop.git",
            "https://dana:hunter2/x@git.example.com/shop.git",
            "ssh://git:hunter2@git.example.com/shop.git",
            "http://dana:hunter2@git.example.com/shop.git",
            "git:hunter2@git.example.com:shop.git",
            "https://git.example.com/shop.git?token=hunter2",
        ] {
            let address = of(Some(origin), Path::new("/clone"));
            assert!(!format!("{address:?}").contains("hunter2"), "{origin}: {address:?}");
            assert!(address.note.is_some(), "{origin}: it is told");
        }
    }
}
