//! Text that a stranger wrote, made fit for one line of a message.

/// Characters; a longer line is cut, so that no commit can fill a log or an object of the cluster.
const LIMIT: usize = 200;

/// The bytes as text: what is not UTF-8 replaced, control characters and those that turn the writing direction escaped.
pub(super) fn readable(bytes: &[u8]) -> String {
    // A character has at most four bytes, so more than these are never shown.
    let shown = bytes.get(..4 * LIMIT + 4).unwrap_or(bytes);
    let lossy = String::from_utf8_lossy(shown);
    let mut text = String::new();
    for (count, character) in lossy.chars().enumerate() {
        if count == LIMIT {
            text.push('…');
            break;
        }
        if character.is_control() || turns(character) {
            text.extend(character.escape_unicode());
        } else {
            text.push(character);
        }
    }
    text
}

/// Bidirectional controls and line separators, which make a line read as another one (Unicode UAX #9, section 2).
fn turns(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_stays_one_harmless_line() {
        for (bytes, shown) in [
            (&b"cart: retry once"[..], "cart: retry once".to_owned()),
            ("größer".as_bytes(), "größer".to_owned()),
            (b"a\x1b[31mb\r", "a\\u{1b}[31mb\\u{d}".to_owned()),
            (b"\xe4pfel", "\u{fffd}pfel".to_owned()),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b".to_owned()),
            ("é".repeat(300).as_bytes(), "é".repeat(200) + "…"),
        ] {
            assert_eq!(readable(bytes), shown);
        }
    }
}
