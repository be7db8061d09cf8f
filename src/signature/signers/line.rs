//! One line: `PRINCIPALS [OPTIONS] KEYTYPE BASE64 [COMMENT]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::key;
use crate::name::{Fingerprint, Principal};

/// What a line says about its key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SignerLine {
    /// The names of one person, never empty; the first is reported.
    pub(super) principals: Vec<Principal>,
    namespaces: Option<Vec<String>>,
    pub(super) valid_after: Option<Timestamp>,
    pub(super) valid_before: Option<Timestamp>,
}

impl SignerLine {
    pub(super) fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|names| names.iter().any(|name| name == namespace))
    }

    /// Whether the window is open; both ends belong to it, as in `ssh-keygen` (OpenSSH sshsig.c, check_allowed_keys_line).
    pub(super) fn is_open(&self, at: Timestamp) -> bool {
        self.valid_after.is_none_or(|after| at >= after) && self.valid_before.is_none_or(|before| at <= before)
    }
}

/// Reads a line; `None` for a comment or an empty one.
pub(super) fn read(content: &str) -> Result<Option<(Fingerprint, SignerLine)>, String> {
    if let Some(odd) = content.chars().find(|c| (c.is_control() && *c != '\t') || *c == '\u{feff}') {
        return Err(format!("the character `{}` is not allowed", odd.escape_unicode()));
    }
    let content = content.trim_matches([' ', '\t']);
    if content.is_empty() || content.starts_with('#') {
        return Ok(None);
    }
    let (principals, rest) = word(content)?;
    let mut line = SignerLine { principals: principals_of(principals)?, ..SignerLine::default() };
    let (mut keytype, mut rest) = word(rest)?;
    if !keytype.is_empty() && !is_key_type(keytype) {
        line = with_options(line, keytype)?;
        (keytype, rest) = word(rest)?;
    }
    let (base64, _comment) = word(rest)?;
    if keytype.is_empty() || base64.is_empty() {
        return Err("it names no key: principals, options, key type and key stand in a line".to_owned());
    }
    Ok(Some((fingerprint(keytype, base64)?, line)))
}

/// Splits off the first word; blanks inside double quotes belong to it.
fn word(text: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((&text[..at], text[at..].trim_start_matches([' ', '\t']))),
            _ => {}
        }
    }
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok((text, "")) }
}

fn principals_of(list: &str) -> Result<Vec<Principal>, String> {
    list.split(',').map(|one| one.parse().map_err(|invalid| format!("{invalid}"))).collect()
}

/// Whether the word is a key type and not a list of options: options never have such a name.
fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-", "webauthn-"].iter().any(|prefix| word.starts_with(prefix))
}

fn fingerprint(keytype: &str, base64: &str) -> Result<Fingerprint, String> {
    let blob = STANDARD.decode(base64).map_err(|_| "the key is not canonical base64".to_owned())?;
    match key::algorithm(&blob) {
        Some(named) if named == keytype => {}
        Some(named) => return Err(format!("the line says `{keytype}`, the key says `{named}`")),
        None => return Err("the key cannot be read".to_owned()),
    }
    key::read(&blob).map(|(_, fingerprint)| fingerprint).map_err(|problem| problem.to_string())
}

fn with_options(mut line: SignerLine, options: &str) -> Result<SignerLine, String> {
    for option in split_options(options) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match name {
            "namespaces" => once(&mut line.namespaces, name, namespaces_of(unquoted(name, value)?)?)?,
            "valid-after" => once(&mut line.valid_after, name, time(name, unquoted(name, value)?)?)?,
            "valid-before" => once(&mut line.valid_before, name, time(name, unquoted(name, value)?)?)?,
            "cert-authority" => return Err("`cert-authority` is not supported yet".to_owned()),
            other => return Err(format!("`{}` is neither an option nor a key type", other.escape_debug())),
        }
    }
    match (line.valid_after, line.valid_before) {
        (Some(after), Some(before)) if after >= before => Err("`valid-before` is not after `valid-after`".to_owned()),
        _ => Ok(line),
    }
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    if slot.replace(value).is_some() { Err(format!("`{name}` stands twice")) } else { Ok(()) }
}

/// Splits at the commas outside of quotes.
fn split_options(options: &str) -> Vec<&str> {
    let mut quoted = false;
    let separates = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    options.split(separates).collect()
}

fn unquoted<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, String> {
    let inner = value.and_then(|value| value.strip_prefix('"')).and_then(|value| value.strip_suffix('"'));
    inner.filter(|inner| !inner.contains(['"', '\\'])).ok_or_else(|| format!("`{name}` needs a value in double quotes"))
}

fn namespaces_of(list: &str) -> Result<Vec<String>, String> {
    let plain = |name: &str| !name.is_empty() && !name.contains(['*', '?', '!', ' ', '\t']);
    list.split(',')
        .map(|name| {
            let refused = || format!("`{}` is not a namespace: one word without wildcards", name.escape_debug());
            if plain(name) { Ok(name.to_owned()) } else { Err(refused()) }
        })
        .collect()
}

/// Reads `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ` (ssh-keygen(1), ALLOWED SIGNERS).
fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("`{name}` is `{}`, not a time in UTC such as `20261231Z`", text.escape_debug());
    let digits = text.strip_suffix('Z').ok_or_else(wrong)?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Ok(0), str::parse::<i16>).map_err(|_| wrong());
    let small = |from: usize| part(from, from + 2)?.try_into().map_err(|_| wrong());
    let (month, day, hour, minute, second) = (small(4)?, small(6)?, small(8)?, small(10)?, small(12)?);
    let civil = DateTime::new(part(0, 4)?, month, day, hour, minute, second, 0).map_err(|_| wrong())?;
    TimeZone::UTC.to_timestamp(civil).map_err(|_| wrong())
}
