//! An environment of which there is something to explain in several units, or in none: which, by their states.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Explained;
use crate::agent::site::Site;
use crate::agent::stand::State;
use crate::agent::walk::Tip;
use crate::cli::answer::{columns, counted};
use crate::cli::diagnostic::{Verdict, hint_line};
use crate::cli::{document, message, unit};
use crate::config::Environment;
use crate::deploylog::Log;
use crate::name::{Reason, UnitName};

/// The units of an environment.
pub(super) struct Units<'u> {
    pub(super) environment: &'u Environment,
    pub(super) tip: Tip,
    pub(super) all: &'u [Explained],
    /// Why directories beside them are none.
    pub(super) strangers: Vec<Reason>,
}

impl Units<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let units = self.all.iter().map(Explained::verdict).max();
        match (self.reasons().is_empty(), units) {
            (true, Some(verdict)) => verdict,
            (true, None) | (false, _) => Verdict::Found,
        }
    }

    /// What is no unit's own.
    fn reasons(&self) -> Vec<Reason> {
        let unreadable = self.tip.as_ref().err().cloned();
        unreadable.into_iter().chain(self.strangers.iter().cloned()).collect()
    }

    /// Those of which there is something to explain, by state, the worst first.
    fn by_state(&self) -> Vec<(&'static str, State, Vec<&UnitName>)> {
        let mut states: BTreeMap<(State, bool), Vec<&UnitName>> = BTreeMap::new();
        for explained in self.all.iter().filter(|explained| !explained.is_quiet()) {
            let admitted = explained.stand.state == State::Waiting && explained.verdict() == Verdict::Good;
            states.entry((explained.stand.state, admitted)).or_default().push(&explained.environment.unit);
        }
        let worst_first = states.into_iter().rev();
        worst_first.map(|((state, admitted), units)| (if admitted { "admitted" } else { "" }, state, units)).collect()
    }

    fn command(&self, unit: &UnitName) -> String {
        format!("lockmaster explain {} --unit {unit}", self.environment.name)
    }

    pub(super) fn to_json(&self, site: &Site) -> Value {
        let loud = self.all.iter().filter(|explained| !explained.is_quiet());
        let commands: Vec<String> = loud.map(|explained| self.command(&explained.environment.unit)).collect();
        let place = message::place(site, self.environment, None);
        json!({
            "environment": self.environment.name,
            "unit": null,
            "state": self.all.iter().map(|explained| explained.stand.state).max(),
            "standing": null,
            "candidate": null,
            "carriedBy": null,
            "upstream": null,
            "gates": [],
            "afterApply": [],
            "reasons": document::reasons(&self.reasons(), &place),
            "notices": [],
            "nextLook": self.all.iter().filter_map(|it| it.stand.next_look).min().map(|at| at.to_string()),
            "commands": commands,
            "units": self.all.iter().map(Explained::to_json).collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self, site: &Site, hints: bool) -> String {
        let name = unit::headed(site, self.environment);
        let (states, total) = (self.by_state(), self.all.len());
        let loud: usize = states.iter().map(|(_, _, units)| units.len()).sum();
        let mut text = match (total, loud) {
            (0, _) => format!("{name} has no unit yet\n"),
            (_, 0) => format!("{name} is current: its {} stand as the branch has them\n", counted(total, "unit")),
            (_, _) if loud == total => format!("{name}: {}, none is current\n", counted(total, "unit")),
            (_, _) => format!("{name}: {}, {} current\n", counted(total, "unit"), is(total - loud)),
        };
        if loud > 0 {
            let head = ["STATE", "UNITS", "WHICH", "SEE"].map(str::to_owned).to_vec();
            let row = |(admitted, state, units): (&str, State, Vec<&UnitName>)| {
                let first = units.first().map(|unit| self.command(unit)).unwrap_or_default();
                let state = if admitted.is_empty() { super::word(state) } else { admitted.to_owned() };
                vec![state, units.len().to_string(), unit::listed(units), first]
            };
            let rows: Vec<Vec<String>> = std::iter::once(head).chain(states.into_iter().map(row)).collect();
            text.push_str(&columns(&rows));
            text.push('\n');
        }
        let place = message::place(site, self.environment, None);
        text.push_str(&message::all(&self.reasons(), &place, self.environment, &Log::default(), hints));
        if hints && loud > 1 {
            text.push_str(&hint_line("each of them in full: add -o json"));
        }
        text
    }
}

fn is(count: usize) -> String {
    if count == 1 { "1 is".to_owned() } else { format!("{count} are") }
}
