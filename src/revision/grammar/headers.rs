//! Splits a commit into header lines and message.

use std::ops::Range;

use super::Problem;

/// A header with its continuation lines, which begin with a blank.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) key: &'a [u8],
    /// The first line, behind the key.
    pub(super) value: &'a [u8],
    /// The further lines, without their blank.
    pub(super) continuation: Vec<&'a [u8]>,
    /// Where the header stands, with the line feed at its end.
    pub(super) span: Range<usize>,
}

impl Header<'_> {
    /// The value with all lines, each ended by a line feed.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.span.len());
        for line in std::iter::once(&self.value).chain(&self.continuation) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text
    }
}

/// The headers, and the message behind the first empty line.
pub(super) fn split(bytes: &[u8]) -> Result<(Vec<Header<'_>>, &[u8]), Problem> {
    let mut headers: Vec<Header<'_>> = Vec::new();
    let mut start = 0;
    loop {
        let rest = &bytes[start..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| malformed("its headers do not end"))?;
        let (line, end) = (&rest[..length], start + length + 1);
        if line.is_empty() {
            return Ok((headers, &bytes[end..]));
        }
        match line.strip_prefix(b" ") {
            Some(more) => {
                let header = headers.last_mut().ok_or_else(|| malformed("it begins with a blank"))?;
                header.continuation.push(more);
                header.span.end = end;
            }
            None => {
                let blank = line.iter().position(|byte| *byte == b' ');
                let blank = blank.ok_or_else(|| malformed("it has a header without a value"))?;
                let (key, value) = (&line[..blank], &line[blank + 1..]);
                headers.push(Header { key, value, continuation: Vec::new(), span: start..end });
            }
        }
        start = end;
    }
}

fn malformed(problem: &str) -> Problem {
    Problem::Malformed(problem.to_owned())
}
