//! A limit, and numbers as people read them.

use std::fmt;
use std::str::FromStr;

/// What a value is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// The limit itself; `1%` is 0.01.
    pub value: f64,
    /// It was written as a percentage, and so are the values.
    pub percent: bool,
}

/// Says why a text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number, such as `0.25`, or a percentage, such as `1%`")]
pub struct InvalidLimit;

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let (digits, percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        let number: f64 = digits.parse().map_err(|_| InvalidLimit)?;
        if !plain || !number.is_finite() {
            return Err(InvalidLimit);
        }
        Ok(Limit { value: if percent { number / 100.0 } else { number }, percent })
    }
}

impl Limit {
    /// As it is written in a Pipeline: `1%`.
    #[must_use]
    pub fn written(&self) -> String {
        if self.percent { format!("{}%", hundredfold(self.value)) } else { self.value.to_string() }
    }
}

/// As people read it: `1 %`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.percent { write!(f, "{} %", hundredfold(self.value)) } else { write!(f, "{}", self.value) }
    }
}

/// The number of percent, without what dividing by a hundred left behind.
fn hundredfold(share: f64) -> f64 {
    let percent = share * 100.0;
    let rounded = (percent * 1e9).round() / 1e9;
    if rounded.is_finite() && (percent - rounded).abs() < 1e-9 { rounded } else { percent }
}

/// A measured value with four significant digits: `0.21 %`.
pub(super) fn measured(value: f64, percent: bool) -> String {
    let value = if percent { value * 100.0 } else { value };
    let whole_digits = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    // The range of a double's exponent is far inside that of a usize, once it is clamped.
    let decimals = (3.0 - whole_digits).clamp(0.0, 12.0);
    let decimals = (0_usize..=12).rev().find(|digits| f64::from(u8::try_from(*digits).unwrap_or(0)) <= decimals);
    let fixed = format!("{value:.*}", decimals.unwrap_or(0));
    let short = if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.') } else { &fixed };
    if percent { format!("{short} %") } else { short.to_owned() }
}
