//! The armor around an SSHSIG blob (OpenSSH PROTOCOL.sshsig, section 2), read strictly.
//!
//! Git accepts text around the block and odd line breaks; each would be another commit id over the same signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SignatureProblem;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Bytes; a signature by the largest RSA key taken (8192 bits) is below 3,500.
const LIMIT: usize = 16 * 1024;

/// The widest line of base64; `ssh-keygen` writes 70 columns, PEM 64, MIME 76.
const WIDTH: usize = 76;

/// Takes the blob out of exactly one armored block: all lines of base64 equally long but the last, canonical padding.
pub(super) fn decode(armor: &[u8]) -> Result<Vec<u8>, SignatureProblem> {
    if armor.len() > LIMIT {
        return Err(malformed(format!("{} bytes of armor, at most {LIMIT} are read", armor.len())));
    }
    let text = std::str::from_utf8(armor).map_err(|_| malformed("the armor is not text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let inner = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_prefix('\n'));
    let inner = inner.ok_or_else(|| malformed(format!("it does not begin with `{BEGIN}`")))?;
    let inner = inner.strip_suffix(END).and_then(|rest| rest.strip_suffix('\n'));
    let inner = inner.ok_or_else(|| malformed(format!("it does not end with `{END}`")))?;
    let lines: Vec<&str> = inner.split('\n').collect();
    let (last, full) = lines.split_last().ok_or_else(|| malformed("the armor is empty"))?;
    let width = full.first().unwrap_or(last).len();
    let even = full.iter().all(|line| line.len() == width) && last.len() <= width;
    if last.is_empty() || width > WIDTH || !even {
        return Err(malformed("the lines of the armor are not equally long"));
    }
    STANDARD.decode(lines.concat()).map_err(|_| malformed("the armor is not canonical base64"))
}

fn malformed(problem: impl Into<String>) -> SignatureProblem {
    SignatureProblem::Malformed(problem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_block_with_or_without_its_last_newline() {
        for good in [
            format!("{BEGIN}\nU1NI\n{END}\n"),
            format!("{BEGIN}\nU1NI\n{END}"),
            format!("{BEGIN}\nU1\nNI\n{END}\n"),
            format!("{BEGIN}\nU1N\nI\n{END}\n"),
        ] {
            assert_eq!(decode(good.as_bytes()), Ok(b"SSH".to_vec()), "{good}");
        }
    }

    #[test]
    fn refuses_everything_around_and_inside_that_is_not_the_block() {
        for bad in [
            String::new(),
            format!("{BEGIN}\n{END}\n"),
            format!("{BEGIN}\n\n{END}\n"),
            format!("text\n{BEGIN}\nU1NI\n{END}\n"),
            format!("{BEGIN}\nU1NI\n{END}\ntext\n"),
            format!("{BEGIN}\nU1NI\n{END}\n\n"),
            format!("{BEGIN}\nComment: x\n\nU1NI\n{END}\n"),
            format!("{BEGIN}\nU1NI\n{END}\n{BEGIN}\nU1NI\n{END}\n"),
            format!("{BEGIN}\r\nU1NI\r\n{END}\r\n"),
            format!("{BEGIN}\nU1 NI\n{END}\n"),
            format!("{BEGIN}\nU\n1NI\n{END}\n"),
            format!("{BEGIN}\nU1NIU1\nN\nI\n{END}\n"),
            format!("{BEGIN}\nU1NIU\n{END}\n"),
            format!("{BEGIN}\nU1N=\n{END}\n"),
            format!("{BEGIN}\nU1NJ====\n{END}\n"),
            format!("{BEGIN}\nU1NI\n{END}x"),
            format!("{BEGIN}\n{}\n{END}\n", "U1NI".repeat(20)),
            "A".repeat(LIMIT + 1),
        ] {
            assert!(matches!(decode(bad.as_bytes()), Err(SignatureProblem::Malformed(_))), "{bad}");
        }
    }
}
