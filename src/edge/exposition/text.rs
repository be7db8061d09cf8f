//! The Prometheus text form, version 0.0.4, which every scraper reads.
//!
//! The client library writes OpenMetrics, which differs for counters: there the name of the family lacks the suffix
//! `_total` of its samples, and a reader of the older form would take the samples for a series without a type.

use std::collections::BTreeSet;

/// The same series in the older form.
pub(super) fn from_open_metrics(text: &str) -> String {
    let counter = |line: &str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: BTreeSet<String> = text.lines().filter_map(counter).collect();
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines().filter(|line| *line != "# EOF") {
        let described = ["# HELP ", "# TYPE "].iter().find_map(|word| Some((word, line.strip_prefix(word)?)));
        match described.and_then(|(word, rest)| rest.split_once(' ').map(|(name, rest)| (word, name, rest))) {
            Some((word, name, rest)) if counters.contains(name) => out.push_str(&format!("{word}{name}_total {rest}")),
            Some(_) | None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}
