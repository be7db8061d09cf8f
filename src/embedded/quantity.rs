//! Amounts such as `500m` and `1Gi` in their shortest form.

use serde_json::Value;

/// The decimal places that an amount of a resource keeps; a smaller part is rounded up.
const PLACES: i32 = 3;

const DECIMAL: [(&str, i32); 8] = [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3)];
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];

/// How an amount was written, which its shortest form keeps.
#[derive(PartialEq)]
enum Form {
    Binary,
    Decimal,
    Exponent,
}

/// The canonical form of a quantity (`k8s.io/apimachinery/pkg/api/resource`, doc of `Quantity`): no part of it is lost, no
/// fraction is written, and the suffix is the largest possible. Nothing where it is not a quantity.
pub(super) fn canonical(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let (negative, plain) = match text.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let end = plain.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(plain.len());
    let (digits, suffix) = plain.split_at(end);
    let (form, binary, exponent) = scale(suffix)?;
    let milli = milli(digits, binary, exponent)?;
    let shown = show(milli, &form);
    Some(if negative && milli != 0 { format!("-{shown}") } else { shown })
}

/// The form, the power of two and the power of ten of a suffix.
fn scale(suffix: &str) -> Option<(Form, u32, i32)> {
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((Form::Binary, *power, 0));
    }
    if let Some((_, power)) = DECIMAL.iter().chain(&[("u", -6), ("n", -9)]).find(|(name, _)| *name == suffix) {
        return Some((Form::Decimal, 0, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Form::Exponent, 0, exponent))
}

/// The amount in thousandths.
fn milli(digits: &str, binary: u32, exponent: i32) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa: u128 = format!("{whole}{fraction}").parse().ok()?;
    let mantissa = mantissa.checked_mul(1 << binary)?;
    let power = PLACES + exponent - i32::try_from(fraction.len()).ok()?;
    let factor = 10_u128.checked_pow(power.unsigned_abs())?;
    if power < 0 { Some(mantissa.div_ceil(factor)) } else { mantissa.checked_mul(factor) }
}

fn show(milli: u128, form: &Form) -> String {
    const ONE: u128 = 1000;
    if milli == 0 {
        return "0".to_owned();
    }
    // A binary amount below 1024, or with a fraction, is written as a decimal one.
    if *form == Form::Binary && milli.is_multiple_of(ONE) && milli >= 1024 * ONE {
        let (amount, fits) = (milli / ONE, |power: &u32| (milli / ONE).is_multiple_of(1 << power));
        let suffix = BINARY.iter().find(|(_, power)| fits(power));
        return suffix.map_or_else(|| amount.to_string(), |(name, power)| format!("{}{name}", amount >> power));
    }
    let fits = |power: i32| power + PLACES >= 0 && milli.is_multiple_of(10_u128.pow((power + PLACES).unsigned_abs()));
    let found = DECIMAL.iter().find(|(_, power)| fits(*power)).unwrap_or(&("m", -PLACES));
    let amount = milli / 10_u128.pow((found.1 + PLACES).unsigned_abs());
    if *form == Form::Exponent && found.1 != 0 {
        format!("{amount}e{}", found.1)
    } else {
        format!("{amount}{}", found.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a real server answered to each.
    const ANSWERED: [(&str, &str); 14] = [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1e3"),
        ("1000e3", "1e6"),
        ("100000k", "100M"),
        ("0.5Ki", "512"),
        ("1536", "1536"),
        ("1025Ki", "1025Ki"),
        ("0.1Mi", "104857600m"),
        ("1.0000000001", "1001m"),
        ("0", "0"),
        ("128974848", "128974848"),
    ];

    #[test]
    fn a_quantity_has_one_shortest_form() {
        for (written, answered) in ANSWERED {
            assert_eq!(canonical(&json!(written)).as_deref(), Some(answered), "{written}");
        }
        assert_eq!(canonical(&json!(2)).as_deref(), Some("2"));
        assert_eq!(canonical(&json!("two")), None);
    }
}
