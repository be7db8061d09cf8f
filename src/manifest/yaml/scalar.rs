//! What a scalar says: go-yaml v2, `resolve.go`, and the JSON form that `sigs.k8s.io/yaml` gives it.

use base64::Engine as _;
use serde_json::{Number, Value};

/// A scalar before it is a key or a value: both are written differently.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    /// Above the range of `i64`.
    Large(u64),
    Float(f64),
    Text(String),
}

/// A tag as it counts for a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// None, on a plain scalar; or the non-specific `!`, on any.
    Implicit,
    Text,
    Bool,
    Integer,
    Float,
    Null,
    Timestamp,
    Binary,
    /// Any other: the scalar is its text.
    Other,
}

impl Tag {
    /// The tag of a full tag URI.
    pub(super) fn of_uri(uri: &str) -> Tag {
        match uri.strip_prefix("tag:yaml.org,2002:").unwrap_or(uri) {
            "!" => Tag::Implicit,
            "str" => Tag::Text,
            "bool" => Tag::Bool,
            "int" => Tag::Integer,
            "float" => Tag::Float,
            "null" => Tag::Null,
            "timestamp" => Tag::Timestamp,
            "binary" => Tag::Binary,
            _ => Tag::Other,
        }
    }
}

impl Scalar {
    /// Resolves the text of a scalar under its tag.
    pub(super) fn resolve(tag: Tag, text: &str) -> Result<Scalar, &'static str> {
        match (tag, plain(text)) {
            (Tag::Text | Tag::Other, _) => Ok(Scalar::Text(text.to_owned())),
            (Tag::Binary, _) => decode_binary(text),
            (Tag::Implicit, resolved) => Ok(resolved),
            (Tag::Null, Scalar::Null) => Ok(Scalar::Null),
            (Tag::Bool, Scalar::Bool(value)) => Ok(Scalar::Bool(value)),
            (Tag::Integer, resolved @ (Scalar::Integer(_) | Scalar::Large(_))) => Ok(resolved),
            #[expect(clippy::cast_precision_loss, reason = "go-yaml rounds an integer tagged as float the same way")]
            (Tag::Float, Scalar::Integer(value)) => Ok(Scalar::Float(value as f64)),
            (Tag::Float, Scalar::Float(value)) => Ok(Scalar::Float(value)),
            (Tag::Timestamp, Scalar::Text(text)) if looks_like_a_date(&text) => Ok(Scalar::Text(text)),
            (Tag::Null | Tag::Bool | Tag::Integer | Tag::Float | Tag::Timestamp, _) => {
                Err("a value that is not what its tag says")
            }
        }
    }

    /// The scalar as a key of a JSON object (`sigs.k8s.io/yaml`, `convertToJSONableObject`).
    pub(super) fn into_key(self) -> Result<String, &'static str> {
        match self {
            Scalar::Text(text) => Ok(text),
            Scalar::Bool(value) => Ok(value.to_string()),
            Scalar::Integer(value) => Ok(value.to_string()),
            Scalar::Float(value) => Ok(float_key(value)),
            Scalar::Null => Err("a key that is null"),
            Scalar::Large(_) => Err("a key that is an integer beyond 63 bits"),
        }
    }

    /// The scalar as a JSON value.
    pub(super) fn into_value(self) -> Result<Value, &'static str> {
        match self {
            Scalar::Null => Ok(Value::Null),
            Scalar::Bool(value) => Ok(Value::Bool(value)),
            Scalar::Integer(value) => Ok(Value::from(value)),
            #[expect(clippy::cast_precision_loss, reason = "Kubernetes reads an integer beyond 63 bits as float64")]
            Scalar::Large(value) => Ok(Value::Number(number(value as f64).ok_or("a number that JSON lacks")?)),
            Scalar::Float(value) => Ok(Value::Number(number(value).ok_or("`.inf` or `.nan`, which JSON lacks")?)),
            Scalar::Text(text) => Ok(Value::String(text)),
        }
    }
}

/// The one form of a float: an integer where its shortest decimal is one of 64 bits, as Go's `encoding/json` writes it
/// and apimachinery's `util/json` reads it; `None` for an infinity or not a number.
pub(in super::super) fn number(float: f64) -> Option<Number> {
    let decimal = float.to_string();
    // Above 10²¹ Go writes an exponent, which is never read as an integer; those are beyond 64 bits anyway.
    decimal.parse::<i64>().ok().map(Number::from).or_else(|| Number::from_f64(float))
}

/// Resolves a plain scalar without a tag.
fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let resolved = match text.as_bytes()[0] {
        b'.' => float(text),
        b'+' | b'-' | b'0'..=b'9' if !looks_like_a_date(text) => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits)).or_else(|| signed_binary(&digits))
        }
        _ => None,
    };
    resolved.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`, which takes no sign.
fn integer(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("+", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let small = i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Scalar::Integer);
    let large = || u64::from_str_radix(digits, radix).ok().map(Scalar::Large);
    small.or_else(|| if sign.is_empty() { large() } else { None })
}

/// go-yaml's `yamlStyleFloat` and then `strconv.ParseFloat`, for which a number out of range is an error.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let good = digits(whole)
        && digits(fraction)
        && (!whole.is_empty() || !fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !good {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
}

/// go-yaml's own reading of `0b` takes a sign after the prefix.
fn signed_binary(text: &str) -> Option<Scalar> {
    i64::from_str_radix(text.strip_prefix("0b")?, 2).ok().map(Scalar::Integer)
}

/// go-yaml's first test for a timestamp: four digits and `-`. A number that begins so is none.
fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

fn decode_binary(text: &str) -> Result<Scalar, &'static str> {
    let bytes = decode_base64(text).ok_or("a `!!binary` value that is not base64")?;
    // Go's JSON writer replaces what is not UTF-8.
    Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Go's `base64.StdEncoding`, which skips line breaks.
pub(in super::super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    base64::engine::general_purpose::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    )
    .decode(joined)
    .ok()
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 32)`, with the names that YAML has for what is not a number.
fn float_key(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "kubectl writes the key in 32 bits")]
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    value.to_string()
}
