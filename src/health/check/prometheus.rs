//! What the answer of a Prometheus server means.
//!
//! Source: Prometheus documentation, "HTTP API", sections "Format overview", "Instant queries" and "Expression query
//! result formats".

use serde_json::Value;

use super::Reading;
use crate::health::reading::one_line;

/// The most samples that are read.
const SAMPLE_LIMIT: usize = 10_000;

/// Reads the answer to an instant query.
///
/// Unknown: anything but a success, a warning (the result may be partial), a range of samples, text, histograms.
/// `infos` are about the query's style and change nothing.
#[must_use]
pub fn reading(status: u16, body: &[u8]) -> Reading {
    samples(status, body).map_or_else(Reading::Unknown, Reading::Samples)
}

/// Reads the answer to a query that says how much was measured: `None` if that is enough.
#[must_use]
pub fn too_few(measured: &Reading, count: u32) -> Option<Reading> {
    let too_few = match measured {
        Reading::Samples(samples) => match samples.as_slice() {
            [value] if *value >= f64::from(count) => return None,
            // NaN is not below, and no measure.
            [value] => format!("{value} of {count} samples are measured"),
            samples => format!("`minSamples` has {} values, expected one", samples.len()),
        },
        Reading::Unknown(reason) => format!("`minSamples`: {reason}"),
        Reading::Answer { .. } | Reading::Containers(_) | Reading::Running(_) => "`minSamples` has no value".to_owned(),
    };
    Some(Reading::Unknown(too_few))
}

fn samples(status: u16, body: &[u8]) -> Result<Vec<f64>, String> {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Err(format!("status {status}, and the answer is not one of Prometheus"));
    };
    if answer["status"] != "success" || !(200..300).contains(&status) {
        let text = |field: &str| answer[field].as_str().map(one_line);
        return Err(match (text("errorType"), text("error")) {
            (Some(kind), Some(error)) => format!("the query failed, {kind}: {error}"),
            _ => format!("status {status}, and the answer is not one of Prometheus"),
        });
    }
    if let Some(warning) = warning(&answer["warnings"]) {
        return Err(format!("the result may be partial: {warning}"));
    }
    let result = &answer["data"]["result"];
    match answer["data"]["resultType"].as_str() {
        Some("scalar") => Ok(vec![sample(result)?]),
        Some("vector") => {
            let list = result.as_array().ok_or("the result is no list of samples")?;
            if list.len() > SAMPLE_LIMIT {
                return Err(format!("the result has {} samples, at most {SAMPLE_LIMIT} are read", list.len()));
            }
            list.iter().map(|series| sample(&series["value"])).collect()
        }
        Some(kind @ ("matrix" | "string")) => Err(format!("the result is a {kind}, expected a vector or a scalar")),
        _ => Err("the result is neither a vector nor a scalar".to_owned()),
    }
}

/// The first warning, if there is one; what is not a list of them is one.
fn warning(warnings: &Value) -> Option<String> {
    match warnings {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => Some(list[0].as_str().map_or_else(|| "a warning".to_owned(), one_line)),
        _ => Some("a warning".to_owned()),
    }
}

/// A pair of time and value; the value is a text, because JSON knows neither NaN nor infinity.
fn sample(pair: &Value) -> Result<f64, String> {
    let value = pair.as_array().filter(|pair| pair.len() == 2).and_then(|pair| pair[1].as_str());
    value.and_then(|text| text.parse().ok()).ok_or_else(|| "a sample has no number".to_owned())
}
