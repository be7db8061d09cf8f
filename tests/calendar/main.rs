//! Windows and freezes, against tables that another program worked out, against a naive oracle, and case by case.

mod cases;
mod forms;
mod oracle;
mod table;

use jiff::Timestamp;
use lockmaster::gate::calendar::{Freeze, Window, Zone};

fn window(text: &str) -> Window {
    text.parse().unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
}

fn windows(texts: &[&str]) -> Vec<Window> {
    texts.iter().map(|text| window(text)).collect()
}

/// An instant, as RFC 3339 writes it, with or without seconds.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| panic!("{text} is no instant"))
}

fn freeze(from: &str, until: &str, zone: Option<&str>) -> Freeze {
    let zone = zone.map(|name| Zone::named(name).unwrap_or_else(|| panic!("{name} is no zone")));
    Freeze::new(from, until, zone, None).unwrap_or_else(|invalid| panic!("{from} to {until}: {invalid}"))
}
