//! The address that a check asks.

use std::fmt;
use std::str::FromStr;

/// An `http://` or `https://` address without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    uri: ::http::Uri,
}

/// Says why an address is refused. It never quotes the address, which may hold a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(&'static str);

/// The longest address in bytes.
const LIMIT: usize = 2048;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let authority = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
        if authority.contains('@') {
            return Err(InvalidAddress("holds credentials, which everybody who reads the pipeline would see"));
        }
        if text.len() > LIMIT || text.contains(['#', ' ']) || text.chars().any(char::is_control) {
            return Err(InvalidAddress("is too long, or holds a space, a control character or a fragment"));
        }
        let invalid = InvalidAddress("is no address, expected `http://` or `https://`, a host, and perhaps a path");
        let uri: ::http::Uri = text.parse().map_err(|_| invalid)?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !authority.ends_with(']') => port.parse::<u16>().is_ok_and(|port| port != 0),
            Some(_) | None => true,
        };
        if known && host && port { Ok(Address { text: text.to_owned(), uri }) } else { Err(invalid) }
    }
}

impl Address {
    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address in its parts: scheme and host are there.
    #[must_use]
    pub fn uri(&self) -> &::http::Uri {
        &self.uri
    }

    /// Whether it has a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.uri.query().is_some()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
