//! Resource quantities in the form in which the API server stores them (apimachinery, `api/resource`, `ParseQuantity`
//! and `CanonicalizeBytes`).

/// A unit system, which the canonical form keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Decimal,
    Exponent,
    Binary,
}

/// Decimal digits that always fit into an `i64`, by which apimachinery chooses its fast path.
const FAST_DIGITS: i32 = 18;

/// The smallest unit of a quantity: 10⁻⁹.
const NANO: i32 = -9;

/// A quantity as a manifest writes it, taken apart.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros, `0` where there is none.
    whole: &'a str,
    /// Digits after the point.
    fraction: &'a str,
    format: Format,
    /// Of ten, or of two for [`Format::Binary`].
    exponent: i32,
}

/// The stored form of a quantity; `None` where the text is none, or one beyond our arithmetic: the server judges those.
pub fn canonical(text: &str) -> Option<String> {
    let parts = parse(text)?;
    if is_kept(&parts) {
        return Some(text.to_owned());
    }
    let shift = i32::try_from(parts.fraction.len()).ok()?;
    let mantissa: i128 = format!("{}{}", parts.whole, parts.fraction).parse().ok()?;
    let mantissa = if parts.negative { -mantissa } else { mantissa };
    match parts.format {
        Format::Binary => binary(mantissa.checked_mul(1 << parts.exponent)?, -shift),
        format => decimal(mantissa, parts.exponent.checked_sub(shift)?, format),
    }
}

fn parse(text: &str) -> Option<Parts<'_>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (format, exponent) = unit(suffix)?;
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(Parts { negative: text.starts_with('-'), whole, fraction, format, exponent })
}

fn unit(suffix: &str) -> Option<(Format, i32)> {
    if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|unit| *unit == suffix) {
        return Some((Format::Binary, 10 * (i32::try_from(power).ok()? + 1)));
    }
    if let Some(power) = DECIMAL_UNITS.iter().position(|unit| *unit == suffix) {
        return Some((Format::Decimal, 3 * i32::try_from(power).ok()? + NANO));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Format::Exponent, exponent))
}

/// The units of 10⁻⁹ to 10¹⁸.
const DECIMAL_UNITS: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// Whether the server stores the text as it stands: apimachinery keeps what looks canonical on its fast path.
fn is_kept(parts: &Parts<'_>) -> bool {
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    let (whole, fraction) = (length(parts.whole), length(parts.fraction));
    let digits = format!("{}{}", parts.whole, parts.fraction);
    match parts.format {
        Format::Binary => {
            let precision = 15 - whole - parts.exponent * 3 / 10 - 1;
            let odd = digits.parse::<i64>().is_ok_and(|value| value & 7 != 0);
            parts.fraction.is_empty() && precision >= 0 && odd
        }
        Format::Decimal | Format::Exponent => {
            let scale = parts.exponent.saturating_sub(fraction);
            whole.saturating_add(fraction) <= FAST_DIGITS
                && scale >= NANO
                && scale % 3 == 0
                && !digits.ends_with("000")
                && !digits.starts_with('0')
        }
    }
}

/// `mantissa · 10^exponent` in decimal units, rounded away from zero to 10⁻⁹.
fn decimal(mantissa: i128, exponent: i32, format: Format) -> Option<String> {
    let (mut mantissa, mut exponent) = round_to_nano(mantissa, exponent)?;
    if mantissa == 0 {
        return Some("0".to_owned());
    }
    while mantissa % 10 == 0 {
        mantissa /= 10;
        exponent += 1;
    }
    while exponent % 3 != 0 {
        mantissa = mantissa.checked_mul(10)?;
        exponent -= 1;
    }
    match format {
        Format::Exponent if exponent == 0 => Some(mantissa.to_string()),
        Format::Exponent => Some(format!("{mantissa}e{exponent}")),
        Format::Decimal | Format::Binary => {
            let unit = DECIMAL_UNITS.get(usize::try_from((exponent - NANO) / 3).ok()?)?;
            Some(format!("{mantissa}{unit}"))
        }
    }
}

/// `mantissa · 10^exponent` in units of 1024 where it is whole and at least 1024, else in decimal units.
fn binary(mantissa: i128, exponent: i32) -> Option<String> {
    let (mut whole, exponent) = round_to_nano(mantissa, exponent)?;
    let divisor = 10_i128.checked_pow(u32::try_from(-exponent).ok()?)?;
    let largest = i128::from(i64::MAX);
    if whole.abs() > largest.checked_mul(divisor)? {
        whole = whole.signum() * largest * divisor;
    }
    if whole.abs() < 1024 * divisor || whole % divisor != 0 {
        return decimal(whole, exponent, Format::Decimal);
    }
    whole /= divisor;
    let mut unit = 0;
    while whole.abs() >= 1024 && whole % 1024 == 0 {
        whole /= 1024;
        unit += 1;
    }
    Some(format!("{whole}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(unit)?))
}

fn round_to_nano(mantissa: i128, exponent: i32) -> Option<(i128, i32)> {
    if exponent >= NANO {
        return Some((mantissa, exponent));
    }
    let divisor = 10_i128.checked_pow(u32::try_from(NANO - exponent).ok()?)?;
    let away_from_zero = if mantissa % divisor == 0 { 0 } else { mantissa.signum() };
    Some((mantissa / divisor + away_from_zero, NANO))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    /// Written, and what the rules of apimachinery 0.36 make of it.
    const STORED: &[(&str, &str)] = &[
        ("0", "0"),
        ("0Mi", "0"),
        ("00", "0"),
        ("1", "1"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100m", "100m"),
        ("0.1", "100m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.500", "1.500"),
        ("0.500", "500m"),
        ("1.5", "1500m"),
        ("2.0", "2"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("128974848", "128974848"),
        ("129e6", "129e6"),
        ("12e2", "1200"),
        ("1000e3", "1e6"),
        ("1000k", "1M"),
        ("123Mi", "123Mi"),
        ("1024Mi", "1Gi"),
        ("1024Ki", "1Mi"),
        ("1000Gi", "1000Gi"),
        ("2048Mi", "2Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Mi", "512Ki"),
        ("0.5Ki", "512"),
        ("1.1Ki", "1126400m"),
        ("8Ei", "9223372036854775807"),
        ("100Ti", "100Ti"),
        ("0.0000000001", "1n"),
        ("-1.5Gi", "-1536Mi"),
        ("+1Mi", "+1Mi"),
        ("1u", "1u"),
    ];

    #[test]
    fn a_quantity_has_the_form_that_the_server_stores() {
        for (written, stored) in STORED {
            assert_eq!(canonical(written).as_deref(), Some(*stored), "{written}");
        }
    }

    #[test]
    fn the_stored_form_is_stored_as_it_is() {
        for (_, stored) in STORED {
            assert_eq!(canonical(stored).as_deref(), Some(*stored));
        }
    }

    #[test]
    fn what_is_no_quantity_is_left_to_the_server() {
        for text in ["", "Mi", "1 Gi", "1gi", "1KB", "e3", "1e", "--1", "1.2.3", "1000E", "abc"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
