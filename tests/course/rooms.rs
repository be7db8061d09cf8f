//! An environment with units in the model world: what each unit has of its own, and how orders are carried out for all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use lockmaster::course::{Heard, Ledger, Order, Together, Token, Units};
use lockmaster::deploylog::{Log, Proposal, StandingRelease};
use lockmaster::manifest::ManifestSet;
use lockmaster::name::{Code, CommitId, Reason, RepoPath, UnitName};
use lockmaster::plan::Inventory;

use super::content::{UNITS, path_of};
use super::simulation::heard;
use super::site::{Shape, Site};
use super::world::{Desk, Loss, World, lost};

/// What one unit has of its own.
#[derive(Debug)]
pub(crate) struct Room {
    site: Site,
    pub(crate) inventory: Inventory,
    version: u64,
}

/// The unit of this place in [`UNITS`].
pub(crate) fn unit(place: usize) -> UnitName {
    UNITS[place].parse().expect("because it is a name")
}

/// Its place there.
pub(crate) fn place(unit: &UnitName) -> usize {
    UNITS.iter().position(|name| *name == unit.as_str()).expect("because there are no others")
}

impl Desk {
    /// The version of a unit's inventory that is known.
    pub(crate) fn version_of(&self, unit: &UnitName) -> u64 {
        self.units.get(unit).map_or(0, |(_, version)| *version)
    }

    /// The next write of an inventory replaces this version.
    pub(crate) fn pin(&mut self, version: Option<u64>) {
        self.pinned = version;
    }

    pub(super) fn standing_of(&self, unit: &UnitName) -> Option<&StandingRelease> {
        self.units.get(unit)?.0.as_ref()
    }
}

impl World {
    /// Splits the environment into units.
    pub(crate) fn divide(&mut self, shape: Shape) {
        let room = |place| Room { site: Site::of_unit(place, shape), inventory: Inventory::default(), version: 0 };
        self.rooms = (0..UNITS.len()).map(|place| (unit(place), room(place))).collect();
    }

    /// The log as the unit reads it whose order is carried out.
    pub(crate) fn log(&self) -> Cow<'_, Log> {
        if self.unit.is_whole() {
            Cow::Borrowed(self.replay.log())
        } else {
            Cow::Owned(self.replay.of_unit(&self.unit))
        }
    }

    /// What stands of a unit.
    pub(crate) fn set_of(&self, unit: &UnitName) -> Option<&ManifestSet> {
        let log = if unit.is_whole() { self.log() } else { Cow::Owned(self.replay.of_unit(unit)) };
        self.archive.get(&log.standing.as_ref()?.release).map(AsRef::as_ref)
    }

    /// Does something with the site and the inventory of a unit in the place of the environment's.
    pub(crate) fn within<T>(&mut self, unit: &UnitName, work: impl FnOnce(&mut World) -> T) -> T {
        self.swap(unit);
        self.unit = unit.clone();
        let done = work(self);
        self.unit = UnitName::whole();
        self.swap(unit);
        done
    }

    fn swap(&mut self, unit: &UnitName) {
        if let Some(room) = self.rooms.get_mut(unit) {
            std::mem::swap(&mut room.site, &mut self.site);
            std::mem::swap(&mut room.inventory, &mut self.inventory);
            std::mem::swap(&mut room.version, &mut self.inventory_version);
        }
    }

    /// Carries out an order, and says what is heard of it.
    pub(crate) fn hear(
        &mut self,
        desk: &mut Desk,
        (token, unit): (Token, &UnitName),
        order: &Order,
        loss: Loss,
    ) -> Heard {
        if self.rooms.is_empty() {
            return heard(token, self.carry_out(desk, order, loss));
        }
        match order {
            Order::ReadLog if loss != Loss::Nothing => Heard::Read(token, Err(lost())),
            Order::ReadLog => Heard::Read(token, Ok(Box::new(self.read_ledger(desk)))),
            Order::Append(proposal) => {
                if let Loss::Late(seconds) = loss {
                    self.set_afloat(desk, order, seconds);
                }
                Heard::Written(token, self.append_for_all(desk, proposal, loss))
            }
            order if unit.is_whole() => heard(token, self.carry_out(desk, order, loss)),
            order => {
                let version = desk.pinned.take().unwrap_or_else(|| desk.version_of(unit));
                desk.version = Some(version);
                let answer = self.within(unit, |world| world.carry_out(desk, order, loss));
                if let Some(version) = desk.version.filter(|now| *now != version) {
                    desk.units.entry(unit.clone()).or_default().1 = version;
                }
                heard(token, answer)
            }
        }
    }

    fn read_ledger(&self, desk: &mut Desk) -> Ledger {
        let versions = self.rooms.iter().filter(|(_, room)| room.version > 0);
        desk.entries = self.entries();
        desk.units = versions.map(|(unit, room)| (unit.clone(), (None, room.version))).collect();
        self.remember(desk);
        let written = self.rooms.iter().filter(|(_, room)| room.version > 0).map(|(unit, _)| unit);
        let named: BTreeSet<&UnitName> = self.replay.units().chain(written).collect();
        Ledger {
            whole: self.replay.log().clone(),
            common: self.replay.common(),
            logs: named.iter().map(|unit| ((*unit).clone(), self.replay.of_unit(unit))).collect(),
            inventories: named
                .into_iter()
                .filter(|unit| self.rooms[*unit].version > 0)
                .map(|unit| (unit.clone(), self.rooms[unit].inventory.clone()))
                .collect(),
            cluster: "cluster".to_owned(),
            agent_key: self.key.public_key(),
        }
    }

    fn remember(&self, desk: &mut Desk) {
        for unit in self.replay.units() {
            desk.units.entry(unit.clone()).or_default().0 = self.replay.of_unit(unit).standing;
        }
    }

    fn append_for_all(&mut self, desk: &mut Desk, proposal: &Proposal, loss: Loss) -> Together {
        if !self.writable {
            return Together::Unwritable(Reason::new(Code::JournalUnwritable, "the journal takes nothing"));
        }
        if !matches!(loss, Loss::Nothing | Loss::Reply) {
            return Together::Unknown(lost());
        }
        if desk.entries < self.entries() {
            return if loss == Loss::Nothing { Together::Taken } else { Together::Unknown(lost()) };
        }
        let sealed = self.seal(desk, proposal);
        self.store_entry(sealed);
        if loss != Loss::Nothing {
            return Together::Unknown(lost());
        }
        desk.entries = self.entries();
        self.remember(desk);
        let of = |unit: &UnitName| (unit.clone(), self.replay.of_unit(unit));
        let logs: BTreeMap<_, _> = match proposal.units.as_slice() {
            [] => self.replay.units().map(of).collect(),
            units => units.iter().map(of).collect(),
        };
        let (whole, common) = (Box::new(self.replay.log().clone()), Box::new(self.replay.common()));
        Together::Ours { whole, common, logs }
    }

    /// The units of a tip, and what of them is otherwise than at the one that was told before.
    pub(crate) fn units_of(&self, tip: &CommitId, before: Option<&CommitId>) -> Result<Units, Code> {
        if self.rooms.is_empty() {
            return Ok(Units::default());
        }
        let files = |id: &CommitId| self.forge.made(id).files.clone();
        let here = files(tip);
        let found = self.rooms.keys().map(|unit| (unit.clone(), path_of(&format!("apps/{unit}"))));
        let directories: BTreeMap<UnitName, RepoPath> =
            found.filter(|(_, directory)| here.keys().any(|path| path.is_within(directory))).collect();
        let before = before.filter(|before| self.forge.line(tip).contains(before)).map(files);
        let changed = before.map(|before| {
            let paths: BTreeSet<&RepoPath> = before.keys().chain(here.keys()).collect();
            paths.into_iter().filter(|path| before.get(*path) != here.get(*path)).cloned().collect()
        });
        let strangers = Vec::new();
        if directories.is_empty() { Err(Code::EmptyRender) } else { Ok(Units { directories, changed, strangers }) }
    }
}
