//! What happened, in numbered lines: told only where somebody listens.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use lockmaster::course::Order;
use lockmaster::deploylog::{Action, Proposal};
use lockmaster::name::{ObjectKey, UnitName};

use super::simulation::Fault;
use super::world::{Afloat, Loss, World};

/// Lines, shared by all who tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story(Option<Rc<RefCell<Vec<String>>>>);

impl Story {
    pub(crate) fn told() -> Self {
        Story(Some(Rc::default()))
    }

    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.0 {
            lines.borrow_mut().push(line());
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.as_ref().map(|lines| lines.borrow().clone()).unwrap_or_default()
    }

    /// The lines with their numbers; the same line many times in a row stands once.
    pub(crate) fn numbered(&self) -> String {
        let mut text = String::new();
        let mut shown: Vec<(String, usize)> = Vec::new();
        for line in self.lines() {
            match shown.last_mut() {
                Some((last, times)) if *last == line => *times += 1,
                _ => shown.push((line, 1)),
            }
        }
        for (number, (line, times)) in shown.into_iter().enumerate() {
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            let _ = writeln!(text, "{:>4}  {line}{times}", number + 1);
        }
        text
    }

    /// An order is carried out.
    pub(crate) fn order(&self, world: &World, who: usize, (unit, order): (&UnitName, &Order), fault: Option<Fault>) {
        let quiet = matches!(order, Order::Tell(_) | Order::Collect(_) | Order::Watch { .. } | Order::Look { .. });
        if quiet && fault.is_none() {
            return;
        }
        let unit = if unit.is_whole() { String::new() } else { format!(" for {unit}") };
        self.say(|| format!("{}: agent {who} {}{unit}{}", name(world), worded(order), worded_fault(fault)));
    }

    /// A late write has its effect.
    pub(crate) fn landing(&self, world: &World, afloat: &Afloat) {
        self.say(|| {
            let what = match afloat {
                Afloat::Entry(sealed) => format!("the entry {}", sealed.sequence),
                Afloat::Inventory(unit, inventory, _) => format!("the inventory of {unit} for {}", inventory.sequence),
                Afloat::Apply(manifest, _) => format!("the apply of {}", short(&manifest.key)),
                Afloat::Delete(key, _) => format!("the delete of {}", short(key)),
            };
            format!("{}: late, {what} reaches the server", name(world))
        });
    }
}

pub(crate) fn name(world: &World) -> String {
    world.site.rules.environment.to_string()
}

pub(crate) fn short(key: &ObjectKey) -> String {
    format!("{}/{}", key.kind, key.name)
}

fn worded_fault(fault: Option<Fault>) -> String {
    let lost = |loss: Loss| match loss {
        Loss::Nothing => "",
        Loss::Request => "; the request is lost",
        Loss::Reply => "; the reply is lost",
        Loss::Late(_) => "; nobody answers, and the effect comes late",
    };
    match fault {
        None => String::new(),
        Some(Fault::Lost(loss)) => lost(loss).to_owned(),
        Some(Fault::Crash(loss)) => format!("{}; the agent crashes and starts again", lost(loss)),
    }
}

fn worded(order: &Order) -> String {
    match order {
        Order::ReadLog => "reads the log".to_owned(),
        Order::ReadStatements(tags) => format!("reads {} statements", tags.len()),
        Order::Promote { .. } => "promotes".to_owned(),
        Order::Revert { .. } => "reverts".to_owned(),
        Order::RollBack(back) => format!("asks to go back to {}", back.to),
        Order::Judge(brief) => {
            let against = brief.past.standing.as_ref().map_or("nothing".to_owned(), |s| s.sequence.to_string());
            format!("judges {} against {against}", brief.tip.short())
        }
        Order::StoreRelease { release, .. } => format!("stores the bytes of {}", &release.hex()[..7]),
        Order::Append(proposal) => format!("appends {}", worded_entry(proposal)),
        Order::Recall => "recalls what stands".to_owned(),
        Order::WriteInventory(inventory) => {
            let doomed = inventory.members.values().filter(|member| member.doomed).count();
            format!(
                "writes the inventory for {}: {} objects, {doomed} doomed",
                inventory.sequence,
                inventory.members.len()
            )
        }
        Order::Apply { manifest, force, .. } => {
            format!("applies {}{}", short(&manifest.key), if *force { " with force" } else { "" })
        }
        Order::Look { key, .. } => format!("looks at {}", short(key)),
        Order::Delete { key, .. } => format!("deletes {}", short(key)),
        Order::Watch { kinds, .. } => format!("watches {} kinds", kinds.len()),
        Order::Confirm(keys) => format!("reads {} objects freshly", keys.len()),
        Order::Check { .. } | Order::EndCheck { .. } => "checks".to_owned(),
        Order::Tell(_) => "tells something".to_owned(),
        Order::Collect(keep) => format!("removes the bytes of all but {} releases", keep.len()),
    }
}

fn worded_entry(proposal: &Proposal) -> String {
    let mut text = format!("{:?}", proposal.action).to_lowercase();
    if let Some(phase) = proposal.phase {
        let _ = write!(text, " {}", format!("{phase:?}").to_lowercase());
    }
    if let Some(commit) = &proposal.commit {
        let _ = write!(text, " of {}", commit.id.short());
    }
    if !proposal.units.iter().all(UnitName::is_whole) {
        let units: Vec<&str> = proposal.units.iter().map(UnitName::as_str).collect();
        let _ = write!(text, " for {}", units.join(" and "));
    }
    if let Some(of) = proposal.of {
        let _ = write!(text, " for {of}");
    }
    if matches!(proposal.action, Action::Refuse | Action::Wait) || !proposal.reasons.is_empty() {
        let codes: Vec<String> = proposal.reasons.iter().map(|reason| reason.code.to_string()).collect();
        let _ = write!(text, " ({})", codes.join(", "));
    }
    text
}
