//! The message of a statement: a reason, and in its last paragraph the trailers that limit what it says.
//!
//! A trailer that is read by nobody could only make a statement say more than its signer meant, so a known key counts
//! wherever a line begins with it, and makes the statement void where it cannot be taken.

use jiff::Timestamp;

use super::super::text::readable;
use super::OVERRIDABLE;
use crate::name::UnitName;

/// The trailers that mean something, as they are written. Their case does not matter (git-interpret-trailers).
const KNOWN: [&str; 6] = ["Until", "Overrides", "Sequence", "To", "Rewind", "Unit"];

/// What a message says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) reason: String,
    pub(super) until: Option<Timestamp>,
    pub(super) overrides: Vec<String>,
    pub(super) sequence: Option<u64>,
    pub(super) to: Option<u64>,
    pub(super) rewind: bool,
    pub(super) unit: Option<UnitName>,
}

impl Message {
    /// Reads a message; else says why it means nothing.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "its message is not UTF-8".to_owned())?;
        let text = text.trim_matches('\n');
        // Blank lines part paragraphs as Git has it: also those with blanks in them.
        let lines: Vec<&str> = text.split('\n').collect();
        let last = lines.iter().rposition(|line| line.trim().is_empty()).map_or(0, |blank| blank + 1);
        let mut message = Message::default();
        let mut seen = Vec::new();
        let mut rest = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some((key, value)) = known(line) else {
                rest.push(*line);
                continue;
            };
            if at < last {
                return Err(format!("its line `{key}:` does not stand in the last paragraph"));
            }
            if seen.contains(&key) {
                return Err(format!("its trailer `{key}:` stands twice"));
            }
            if lines.get(at + 1).is_some_and(|next| next.starts_with([' ', '\t'])) {
                return Err(format!("its trailer `{key}:` goes on over several lines"));
            }
            seen.push(key);
            message.take(key, value)?;
        }
        // A paragraph of nothing but trailers, such as `Signed-off-by:`, is no part of the reason, unless it is the first.
        if last > 0 && lines[last..].iter().all(|line| is_trailer(line)) {
            rest.truncate(last);
        }
        message.reason = rest.join("\n").trim().to_owned();
        Ok(message)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |expected: &str| format!("its trailer `{key}: {}` is not {expected}", readable(value.as_bytes()));
        match key {
            "Until" => self.until = Some(instant(value).ok_or_else(|| wrong("a time such as 2026-03-11T09:00:00Z"))?),
            "Overrides" => {
                for gate in value.split(',').map(str::trim) {
                    if !OVERRIDABLE.contains(&gate) || self.overrides.iter().any(|known| known == gate) {
                        return Err(wrong(&format!("a list of gates out of {}", OVERRIDABLE.join(", "))));
                    }
                    self.overrides.push(gate.to_owned());
                }
            }
            "Rewind" if value == "true" => self.rewind = true,
            "Rewind" => return Err(wrong("`true`")),
            "Unit" => self.unit = Some(value.parse().map_err(|_| wrong("the name of a unit"))?),
            _ => {
                let number = Some(sequence(value).ok_or_else(|| wrong("a sequence of the deployment log"))?);
                *(if key == "To" { &mut self.to } else { &mut self.sequence }) = number;
            }
        }
        Ok(())
    }
}

/// The known key that a line begins with, and its value. Blanks around the key change nothing.
fn known(line: &str) -> Option<(&'static str, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(key.trim()))?;
    Some((key, value.trim()))
}

/// Whether a line is one that git-interpret-trailers takes for a trailer.
fn is_trailer(line: &str) -> bool {
    let word = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    line.split_once(':').is_some_and(|(key, _)| word(key))
}

/// `YYYY-MM-DDTHH:MM:SS`, fractions of a second, and `Z` or an offset (RFC 3339, section 5.6, with capital letters).
fn instant(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_at_checked(11)?;
    let zone = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone)?;
    let shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(byte, to)| if to == b'0' { byte.is_ascii_digit() } else { byte == to })
    };
    let (seconds, fraction) = clock.split_once('.').map_or((clock, None), |(seconds, rest)| (seconds, Some(rest)));
    let good = shaped(date, "0000-00-00T")
        && shaped(seconds, "00:00:00")
        && fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        && (zone == "Z" || shaped(zone, "+00:00") || shaped(zone, "-00:00"));
    if good { text.parse().ok() } else { None }
}

/// A number without sign and leading zeros.
fn sequence(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, String> {
        Message::read(text.as_bytes())
    }

    #[test]
    fn the_reason_is_the_message_without_its_trailers() {
        for (text, reason) in [
            ("", ""),
            ("fine\n", "fine"),
            ("\nfine\n\nreally: yes, both\n\n", "fine"),
            ("fine: all of it\n", "fine: all of it"),
            ("fine\n\nmore\n\nUntil: 2026-03-11T09:00:00Z\nSigned-off-by: Lena <lena@example.com>\n", "fine\n\nmore"),
            ("fine\nUntil: 2026-03-11T09:00:00Z\n", "fine"),
            ("Until: 2026-03-11T09:00:00Z\n", ""),
            ("fine\n\nsee there\nuntil: 2026-03-11T09:00:00Z\n", "fine\n\nsee there"),
        ] {
            assert_eq!(read(text).map(|message| message.reason), Ok(reason.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn the_trailers_of_the_last_paragraph_are_taken() {
        let text = "why\n\nUntil: 2026-03-11T10:00:00+01:00\nOverrides: windows, freezes\nSequence: 42\nTo: 38\nRewind: true\nUnit: web\n";
        let expected = Message {
            reason: "why".to_owned(),
            until: Some("2026-03-11T09:00:00Z".parse().expect("because it is a time")),
            overrides: vec!["windows".to_owned(), "freezes".to_owned()],
            sequence: Some(42),
            to: Some(38),
            rewind: true,
            unit: Some("web".parse().expect("because it is a unit name")),
        };
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn a_known_trailer_is_taken_or_makes_the_statement_void() {
        for (text, why) in [
            ("Until: 2026-03-11T09:00:00Z\n\nfine\n", "its line `Until:` does not stand in the last paragraph"),
            ("Until: 2026-03-11T09:00:00Z\n \nfine\n", "its line `Until:` does not stand in the last paragraph"),
            ("a\n\n  UNTIL : soon\n", "its trailer `Until: soon` is not a time such as 2026-03-11T09:00:00Z"),
            ("a\n\nTo: 1\nto: 2\n", "its trailer `To:` stands twice"),
            ("a\n\nOverrides: windows,\n slo\n", "its trailer `Overrides:` goes on over several lines"),
            ("a\n\nRewind: yes\n", "its trailer `Rewind: yes` is not `true`"),
            ("a\n\nSequence: 07\n", "its trailer `Sequence: 07` is not a sequence of the deployment log"),
            ("a\n\nSequence: +7\n", "its trailer `Sequence: +7` is not a sequence of the deployment log"),
            ("a\n\nTo: prod/7\n", "its trailer `To: prod/7` is not a sequence of the deployment log"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()), "{text:?}");
        }
        for gates in ["", "signatures", "artifacts", "windows,,slo", "windows,windows", "Windows"] {
            assert!(read(&format!("a\n\nOverrides: {gates}\n")).is_err(), "{gates}");
        }
        assert!(Message::read(b"a\xff\n").is_err());
    }

    #[test]
    fn a_time_has_seconds_and_a_zone() {
        for (text, good) in [
            ("2026-03-11T09:00:00Z", true),
            ("2026-03-11T09:00:00.25Z", true),
            ("2026-03-11T09:00:00-05:30", true),
            ("2026-03-11", false),
            ("2026-03-11T09:00Z", false),
            ("2026-03-11T09:00:00", false),
            ("2026-03-11 09:00:00Z", false),
            ("2026-03-11T09:00:00+01", false),
            ("2026-03-11T09:00:00Z[Europe/Berlin]", false),
            ("2026-03-11T09:00:00.Z", false),
            ("2026-13-11T09:00:00Z", false),
            ("2026-03-11T25:00:00Z", false),
            ("tomorrow", false),
            ("12345678901é", false),
        ] {
            assert_eq!(instant(text).is_some(), good, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_the_reader_panic(text in "(Until|To| |:|\n|2|é|T)*") {
            drop(read(&text));
        }
    }
}
