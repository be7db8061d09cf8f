//! Author and committer: `NAME <EMAIL> SECONDS ZONE` (git fsck.c, `fsck_ident`).

use jiff::Timestamp;

use super::super::text::readable;
use super::Problem;

/// Who a commit says wrote it, and when. Anybody can write any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::revision) struct Person {
    pub(in crate::revision) email: String,
    pub(in crate::revision) at: Timestamp,
}

impl Person {
    pub(super) fn read(header: &str, line: &[u8]) -> Result<Self, Problem> {
        let wrong = |what: &str| Problem::Malformed(format!("its header `{header}` has {what}"));
        let open = line.iter().position(|byte| matches!(byte, b'<' | b'>'));
        let open = open.filter(|at| line[*at] == b'<').ok_or_else(|| wrong("no e-mail address in `<` and `>`"))?;
        if open == 0 || line[open - 1] != b' ' {
            return Err(wrong("no blank before its e-mail address"));
        }
        let rest = &line[open + 1..];
        let close = rest.iter().position(|byte| matches!(byte, b'<' | b'>'));
        let close = close.filter(|at| rest[*at] == b'>').ok_or_else(|| wrong("no e-mail address in `<` and `>`"))?;
        let date = rest[close + 1..].strip_prefix(b" ").and_then(|date| std::str::from_utf8(date).ok());
        let date = date.ok_or_else(|| wrong("no date"))?;
        let (seconds, zone) = date.split_once(' ').ok_or_else(|| wrong("no time zone"))?;
        let signed = zone
            .strip_prefix(['+', '-'])
            .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()));
        if !signed {
            return Err(wrong("no time zone of a sign and four digits"));
        }
        let at = date_of(seconds).ok_or_else(|| wrong("a date that is no number of seconds until the year 9999"))?;
        Ok(Person { email: readable(&rest[..close]), at })
    }
}

/// Seconds since 1970, without sign and leading zeros.
fn date_of(seconds: &str) -> Option<Timestamp> {
    let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    let padded = seconds.len() > 1 && seconds.starts_with('0');
    if digits && !padded { Timestamp::from_second(seconds.parse().ok()?).ok() } else { None }
}
