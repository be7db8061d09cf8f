//! `windows` and `freezes` of an environment.

use super::field::{Field, Fields, Findings};
use super::nearest::nearest;
use crate::gate::calendar::{Freeze, InvalidWindow, Window, Zone};
use crate::name::Code;

/// The windows; an empty list is the same as none.
pub(super) fn windows(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<Window>> {
    let items = field.list(0, findings)?;
    let mut windows = Vec::with_capacity(items.len());
    for item in &items {
        match window(item, findings) {
            Some(window) if windows.contains(&window) => item.wrong("stands twice", findings),
            Some(window) => {
                windows.push(window);
                Some(())
            }
            None => None,
        };
    }
    (windows.len() == items.len()).then_some(windows)
}

fn window(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Window> {
    let text = field.text(findings)?;
    let invalid = match text.parse() {
        Ok(window) => return Some(window),
        Err(invalid) => invalid,
    };
    let InvalidWindow { word, expected, candidates } = invalid;
    if word.is_empty() || !text.contains(&word) || text.trim() == word {
        return field.wrong(&expected, findings);
    }
    let span = findings.within(&field.node.span, &word);
    let message = format!("{} is `{text}`, instead of `{word}` {expected}", field.label);
    findings.suggest(Code::InvalidValue, &span, message, meant(&word, &candidates));
    None
}

/// The word that may have been meant: its beginning (`Monday` is `Mon`), or the nearest.
fn meant<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let begins = |candidate: &&&str| candidate.len() == 3 && lower.starts_with(&candidate.to_lowercase());
    nearest(word, candidates.iter().copied()).or_else(|| candidates.iter().find(begins).copied())
}

/// The freezes, each a map of `from`, `until`, `zone` and `reason`.
pub(super) fn freezes(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<Freeze>> {
    let items = field.list(0, findings)?;
    let count = items.len();
    let freezes: Vec<Freeze> = items.iter().filter_map(|item| freeze(item, findings)).collect();
    (freezes.len() == count).then_some(freezes)
}

fn freeze(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Freeze> {
    let mut fields = Fields::of(field.node, field.label.clone(), findings)?;
    let (from, until) = (fields.need("from", findings), fields.need("until", findings));
    let (place, why) = (fields.take("zone"), fields.take("reason"));
    fields.finish(findings);
    let zone = place.as_ref().map_or(Some(None), |field| zone(field, findings).map(Some));
    let reason = why.as_ref().map_or(Some(None), |field| field.text(findings).map(Some));
    let begins = from.as_ref().and_then(|field| field.text(findings));
    let ends = until.as_ref().and_then(|field| field.text(findings));
    let invalid = match Freeze::new(begins?, ends?, zone?, reason?) {
        Ok(freeze) => return Some(freeze),
        Err(invalid) => invalid,
    };
    let wrong =
        [("from", from), ("until", until), ("reason", why)].into_iter().find(|(name, _)| *name == invalid.field);
    wrong.and_then(|(_, field)| field).and_then(|field| field.wrong(&invalid.expected, findings))
}

fn zone(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Zone> {
    let text = field.text(findings)?;
    let zone = Zone::named(text);
    if zone.is_none() {
        let message = format!("{} is `{text}`, expected a time zone, such as `Europe/Berlin` or `UTC`", field.label);
        let candidates: Vec<&str> = Zone::names().collect();
        findings.suggest(Code::InvalidValue, &field.node.span, message, meant(text, &candidates));
    }
    zone
}
