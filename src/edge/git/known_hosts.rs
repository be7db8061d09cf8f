//! Which host keys a `known_hosts` text knows (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::hmac;
use sha2::Digest as _;

/// What the text says about the key that a host showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The key is the host's.
    Known,
    /// The key is marked `@revoked`.
    Revoked,
    /// The host is known by keys of these types, and this key is none of them.
    OtherKeys(Vec<String>),
    /// The host is not named.
    Unknown,
}

/// Looks up the key that `host` showed at `port`. Certificate authorities are not followed: a host key stands for itself.
pub(super) fn look_up(text: &str, host: &str, port: u16, key: &[u8]) -> Standing {
    let name = if port == 22 { host.to_lowercase() } else { format!("[{}]:{port}", host.to_lowercase()) };
    let lines: Vec<Line<'_>> = text.lines().filter_map(read_line).filter(|line| line.names(&name)).collect();
    let shows_key = |line: &&Line<'_>| line.key == key;
    if lines.iter().filter(|line| line.marker == Some("@revoked")).any(|line| line.key == key) {
        return Standing::Revoked;
    }
    let mut plain = lines.iter().filter(|line| line.marker.is_none());
    if plain.clone().any(|line| shows_key(&line)) {
        return Standing::Known;
    }
    let types: Vec<String> = plain.by_ref().map(|line| line.key_type.to_owned()).collect();
    if types.is_empty() { Standing::Unknown } else { Standing::OtherKeys(types) }
}

/// The fingerprint of a key, as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(key)))
}

struct Line<'a> {
    marker: Option<&'a str>,
    hosts: &'a str,
    key_type: &'a str,
    key: Vec<u8>,
}

impl Line<'_> {
    /// A negated pattern that matches overrides every other one of its line.
    fn names(&self, name: &str) -> bool {
        let mut named = false;
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(negated) if matches(negated, name) => return false,
                Some(_) => {}
                None => named |= matches(pattern, name),
            }
        }
        named
    }
}

/// A comment, an empty line and a line that cannot be read know no key.
fn read_line(line: &str) -> Option<Line<'_>> {
    let mut words = line.split_ascii_whitespace().peekable();
    if words.peek()?.starts_with('#') {
        return None;
    }
    let marker = words.next_if(|word| word.starts_with('@'));
    let (hosts, key_type, key) = (words.next()?, words.next()?, words.next()?);
    Some(Line { marker, hosts, key_type, key: STANDARD.decode(key).ok()? })
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("|1|") {
        Some(hashed) => matches_hash(hashed, name).unwrap_or(false),
        None => matches_glob(pattern.to_lowercase().as_bytes(), name.as_bytes()),
    }
}

/// `|1|salt|hash`: the HMAC-SHA-1 of the name under the salt.
fn matches_hash(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &STANDARD.decode(salt).ok()?);
    Some(hmac::verify(&key, name.as_bytes(), &STANDARD.decode(hash).ok()?).is_ok())
}

/// `*` stands for any characters, `?` for one.
fn matches_glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, seen)) => {
                    star = Some((at, seen + 1));
                    (p, n) = (at + 1, seen + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519 a key";
    const OTHER: &[u8] = b"\0\0\0\x0bssh-ed25519 another key";

    fn line(hosts: &str, key: &[u8]) -> String {
        format!("{hosts} ssh-ed25519 {} comment\n", STANDARD.encode(key))
    }

    fn hashed(name: &str) -> String {
        let salt = b"01234567890123456789";
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt), name.as_bytes());
        format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(tag.as_ref()))
    }

    #[test]
    fn a_host_is_known_by_name_port_pattern_or_hash() {
        let other = || Standing::OtherKeys(vec!["ssh-ed25519".to_owned()]);
        for (text, port, standing) in [
            (line("git.example.com", KEY), 22, Standing::Known),
            (line("GIT.example.com,10.0.0.1", KEY), 22, Standing::Known),
            (line("*.example.com", KEY), 22, Standing::Known),
            (line("gi?.example.com", KEY), 22, Standing::Known),
            (line("*.example.com,!git.example.com", KEY), 22, Standing::Unknown),
            (line("[git.example.com]:2222", KEY), 2222, Standing::Known),
            (line("[git.example.com]:2222", KEY), 22, Standing::Unknown),
            (line("git.example.com", KEY), 2222, Standing::Unknown),
            (line(&hashed("git.example.com"), KEY), 22, Standing::Known),
            (line(&hashed("[git.example.com]:2222"), KEY), 2222, Standing::Known),
            (line(&hashed("other.example.com"), KEY), 22, Standing::Unknown),
            (line("git.example.com", OTHER), 22, other()),
            (line("git.example.com", OTHER) + &line("git.example.com", KEY), 22, Standing::Known),
            (line("@revoked *", KEY) + &line("git.example.com", KEY), 22, Standing::Revoked),
            (line("@cert-authority *", KEY), 22, Standing::Unknown),
            (format!("# {}", line("git.example.com", KEY)), 22, Standing::Unknown),
            ("git.example.com ssh-ed25519 !!\n\n|1|x\n".to_owned(), 22, Standing::Unknown),
        ] {
            assert_eq!(look_up(&text, "git.example.com", port, KEY), standing, "{text} at {port}");
        }
    }
}
