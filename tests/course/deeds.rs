//! What people, and what goes wrong, do to the model world.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use lockmaster::deploylog::Phase;
use lockmaster::manifest::{Manifest, ManifestSet};
use lockmaster::name::{CommitId, ObjectKey};
use lockmaster::revision::statement::{self, Verb};
use serde_json::json;

use super::cluster::{Fate, later};
use super::content::{Content, ENVIRONMENTS, NAMES, OF_UNITS, UNIT_NAMES, UNITS};
use super::forge::Making;
use super::people::{PEOPLE, Who, tag, until};
use super::play::Play;
use super::shop::{key, secret_value};
use super::world::Said;

/// How content travels downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Merge,
    Squash,
    FastForward,
    /// Only one of the shared files comes along.
    Partial,
}

/// One deed, in the environment at `.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Nothing,
    Push {
        shared: [u8; 2],
        own: u8,
        who: Option<Who>,
    },
    /// Some files of some units, and of what they share.
    PushUnits {
        shared: [Option<u8>; 2],
        own: [Option<u8>; 3],
        who: Option<Who>,
    },
    Merge {
        way: Way,
        proven: bool,
        who: Option<Who>,
    },
    Revert {
        back: usize,
        who: Option<Who>,
    },
    Rewind {
        back: usize,
    },
    Diverge {
        back: usize,
        shared: [u8; 2],
        who: Option<Who>,
    },
    Twin,
    DeleteBranch,
    RestoreBranch,
    Unreachable(bool),
    Approve {
        who: Who,
        back: usize,
        seconds: Option<u64>,
        twice: bool,
    },
    Freeze {
        who: Who,
        seconds: u64,
    },
    Unfreeze {
        who: Who,
    },
    Hold {
        who: Who,
        back: usize,
    },
    Unhold {
        who: Who,
    },
    /// By statement, to the release so many openings back.
    RollBack {
        who: Who,
        back: usize,
    },
    DeleteTags,
    Fate {
        object: usize,
        fate: Fate,
    },
    Recover,
    Finalizer {
        object: usize,
    },
    Deny {
        object: usize,
    },
    Edit {
        object: usize,
    },
    Delete {
        object: usize,
    },
    Unlabel {
        object: usize,
    },
    Make {
        object: usize,
    },
    Journal {
        writable: bool,
    },
    Sleep {
        agent: usize,
    },
    Wake,
    Crash {
        agent: usize,
    },
    Clock {
        agent: usize,
        seconds: i64,
    },
    Relist {
        agent: usize,
    },
}

fn object(object: usize) -> ObjectKey {
    let (group, kind, name) = match object.checked_sub(OF_UNITS) {
        Some(object) => UNIT_NAMES[object % UNIT_NAMES.len()],
        None => NAMES[object % NAMES.len()],
    };
    key(group, kind, name)
}

impl Play {
    pub(crate) fn perform(&mut self, place: usize, deed: Deed) {
        self.story.say(|| format!("{}: {deed}", ENVIRONMENTS[place]));
        match deed {
            Deed::Nothing => {}
            Deed::Push { .. }
            | Deed::PushUnits { .. }
            | Deed::Merge { .. }
            | Deed::Revert { .. }
            | Deed::Rewind { .. }
            | Deed::Diverge { .. } => {
                self.move_branch(place, deed);
            }
            Deed::Twin | Deed::DeleteBranch | Deed::RestoreBranch | Deed::Unreachable(_) => self.trouble(place, deed),
            Deed::Approve { .. } | Deed::Freeze { .. } | Deed::Unfreeze { .. } => self.say(place, deed),
            Deed::Hold { .. } | Deed::Unhold { .. } | Deed::RollBack { .. } => self.say(place, deed),
            Deed::DeleteTags => self.sims[place].world.tags.clear(),
            Deed::Journal { writable } => self.sims[place].world.writable = writable,
            Deed::Sleep { .. } | Deed::Wake | Deed::Crash { .. } | Deed::Clock { .. } | Deed::Relist { .. } => {
                self.disturb(place, deed);
            }
            _ => self.meddle(place, deed),
        }
    }

    fn commit(&mut self, place: usize, parents: &[CommitId], content: Content, who: Option<Who>) {
        let made = self.forge.make(Making { parents, files: content.files(), content: Some(content), signer: who });
        self.set_tip(place, Some(made));
    }

    fn set_tip(&mut self, place: usize, tip: Option<CommitId>) {
        let commit = tip.as_ref().map(|id| (id.short().to_owned(), self.forge.made(id).content));
        self.story.say(|| format!("    the branch is at {commit:?}"));
        let world = &mut self.sims[place].world;
        world.tip = tip;
        world.deleted = false;
    }

    fn content(&self, id: &CommitId) -> Content {
        self.forge.made(id).content.expect("because people commit such")
    }

    fn move_branch(&mut self, place: usize, deed: Deed) {
        let Some(tip) = self.sims[place].world.tip.clone() else {
            let up = place.checked_sub(1).and_then(|up| self.sims[up].world.tip.clone());
            return self.set_tip(place, up);
        };
        let line = self.forge.line(&tip);
        let earlier = |back: usize| line[back.min(line.len() - 1)].clone();
        let mine = self.content(&tip);
        match deed {
            Deed::Push { shared, own, who } => {
                let mut content = Content { shared, ..mine };
                content.own[place] = own;
                self.commit(place, &[tip], content, who);
            }
            Deed::PushUnits { shared, own, who } => {
                let mut content = mine;
                let all = content.shared.iter_mut().zip(shared).chain(content.own.iter_mut().zip(own));
                all.for_each(|(file, new)| *file = new.unwrap_or(*file));
                self.commit(place, &[tip], content, who);
            }
            Deed::Revert { back, who } if mine.units => self.commit(place, &[tip], self.content(&earlier(back)), who),
            Deed::Revert { back, who } => {
                let content = Content { own: mine.own, ..self.content(&earlier(back)) };
                self.commit(place, &[tip], content, who);
            }
            Deed::Rewind { back } => self.set_tip(place, Some(earlier(back))),
            Deed::Diverge { back, shared, who } => {
                let content = Content { shared, ..mine };
                self.commit(place, &[earlier(back)], content, who);
            }
            Deed::Merge { way, proven, who } => self.merge(place, way, proven, who),
            _ => {}
        }
    }

    fn merge(&mut self, place: usize, way: Way, proven: bool, who: Option<Who>) {
        let (Some(up), Some(ours)) = (place.checked_sub(1), self.sims[place].world.tip.clone()) else { return };
        let upstream = self.sims[place].world.upstream.as_ref();
        let newest = upstream
            .and_then(|it| it.log.iter().find(|ran| ran.proven && ran.withdrawn.is_none()))
            .map(|ran| ran.commit.clone());
        let Some(theirs) = newest.filter(|_| proven).or_else(|| self.sims[up].world.tip.clone()) else { return };
        let (mine, other) = (self.content(&ours), self.content(&theirs));
        match way {
            Way::FastForward => self.set_tip(place, Some(theirs)),
            Way::Merge => self.commit(place, &[ours, theirs], Content { shared: other.shared, ..mine }, who),
            Way::Squash => self.commit(place, &[ours], Content { shared: other.shared, ..mine }, who),
            Way::Partial => {
                let shared = [other.shared[0], mine.shared[1]];
                self.commit(place, &[ours, theirs], Content { shared, ..mine }, who);
            }
        }
    }

    fn trouble(&mut self, place: usize, deed: Deed) {
        match deed {
            Deed::Unreachable(unreachable) => {
                for sim in &mut self.sims {
                    sim.world.unreachable = unreachable;
                }
            }
            Deed::Twin => {
                let twin = self.sims[place].world.tip.as_ref().and_then(|tip| self.forge.twin(tip));
                if let Some(twin) = twin {
                    self.set_tip(place, Some(twin));
                }
            }
            _ => self.sims[place].world.deleted = deed == Deed::DeleteBranch,
        }
    }

    fn say(&mut self, place: usize, deed: Deed) {
        let world = &self.sims[place].world;
        let end = |seconds: u64| until(later(world.now, seconds));
        let log = world.replay.log();
        match deed {
            Deed::Approve { who, back, seconds, twice } => {
                let trailers = seconds.map(end).unwrap_or_default();
                let ends = seconds.map(|seconds| later(world.now, seconds));
                for _ in 0..=usize::from(twice) {
                    self.state(place, Verb::Approve, (who, back), &trailers, ends);
                }
            }
            Deed::Freeze { who, seconds } => {
                let trailers = end(seconds);
                self.state(place, Verb::Freeze, (who, 0), &trailers, None);
            }
            Deed::Unfreeze { who } => self.state(place, Verb::Unfreeze, (who, 0), "", None),
            Deed::Hold { who, back } => self.state(place, Verb::Hold, (who, back), "", None),
            Deed::Unhold { who } => {
                let held = log.entries.iter().rev().find(|entry| entry.body.hold.is_some() && !entry.lapsed);
                let trailers = format!("Sequence: {}", held.map_or(1, |entry| entry.sequence));
                self.state(place, Verb::Unhold, (who, 0), &trailers, None);
            }
            Deed::RollBack { who, back } => {
                let opened = log.entries.iter().rev().filter(|entry| entry.body.phase == Some(Phase::Opened));
                let opened: Vec<u64> = opened.map(|entry| entry.sequence).collect();
                let (Some(standing), Some(to)) = (opened.first(), opened.get(back)) else { return };
                let trailers = format!("Sequence: {standing}\nTo: {to}");
                self.state(place, Verb::Rollback, (who, 0), &trailers, None);
            }
            _ => {}
        }
    }

    /// Somebody signs a statement on a commit of the branch.
    fn state(&mut self, place: usize, verb: Verb, (who, back): (Who, usize), trailers: &str, until: Option<Timestamp>) {
        self.said += 1;
        let world = &mut self.sims[place].world;
        let Some(tip) = world.tip.clone() else { return };
        let line = self.forge.line(&tip);
        let commit = line[back.min(line.len() - 1)].clone();
        let name = format!("{}/shop/{}/{}-{}", verb.as_str(), ENVIRONMENTS[place], PEOPLE[who].name, self.said);
        let one = !world.rooms.is_empty() && matches!(verb, Verb::Hold | Verb::Rollback) && self.said % 2 == 1;
        let unit = if one { format!("\nUnit: {}", UNITS[self.said / 2 % UNITS.len()]) } else { String::new() };
        let raw = tag(&name, &commit, who, &format!("because\n\n{trailers}{unit}"), self.said);
        let hash = statement::payload_hash(&raw).expect("because it is a tag");
        world.stated.insert(hash, Said { verb, who, commit, until });
        world.tags.insert(raw.name.clone(), raw);
    }

    fn meddle(&mut self, place: usize, deed: Deed) {
        let sim = &mut self.sims[place];
        let known = matches!(deed, Deed::Make { object: it } if sim.world.is_member(&object(it)));
        let (cluster, now) = (&mut sim.world.cluster, sim.world.now);
        let there = |key: &ObjectKey| cluster.objects.contains_key(key);
        match deed {
            Deed::Fate { object: it, fate } => drop(cluster.fates.insert(object(it), fate)),
            Deed::Recover => cluster.recover_all(now),
            Deed::Finalizer { object: it } => drop(cluster.held.insert(object(it))),
            Deed::Deny { object: it } => drop(cluster.denied.insert(object(it))),
            Deed::Edit { object: it } if there(&object(it)) => {
                let key = object(it);
                match key.kind.as_str() {
                    "ConfigMap" => cluster.edit(&key, "/data/value", json!("by hand")),
                    "Secret" => cluster.edit(&key, "/data/value", json!(secret_value("by hand"))),
                    "Deployment" => cluster.edit(&key, "/spec/replicas", json!(7)),
                    _ => cluster.touch(&key),
                }
            }
            Deed::Delete { object: it } if there(&object(it)) => cluster.remove(&object(it)),
            Deed::Unlabel { object: it } if there(&object(it)) => cluster.unlabel(&object(it)),
            Deed::Make { object: it } => {
                let key = object(it);
                if !known && !there(&key) {
                    cluster.make(&foreign(&sim.world.archive.values().find_map(|set| set.get(&key).cloned()), &key));
                }
            }
            _ => {}
        }
        sim.spread();
    }

    fn disturb(&mut self, place: usize, deed: Deed) {
        let sim = &mut self.sims[place];
        let count = sim.walkers.len();
        match deed {
            Deed::Sleep { agent } => sim.walkers[agent % count].asleep = true,
            Deed::Wake => sim.walkers.iter_mut().for_each(|walker| walker.asleep = false),
            Deed::Crash { agent } => sim.restart(agent % count),
            Deed::Relist { agent } => sim.relist(agent % count),
            Deed::Clock { agent, seconds } => {
                // The clock of a process is never set back (`edge::clock`): behind, only a new one is.
                if seconds < 0 {
                    sim.restart(agent % count);
                }
                let walker = &mut sim.walkers[agent % count];
                let by = super::play::seconds(seconds);
                if by < walker.skew && seconds >= 0 {
                    return;
                }
                walker.jumped += Duration::try_from(by - walker.skew).unwrap_or_default();
                walker.skew = by;
            }
            _ => {}
        }
    }
}

/// What somebody else made under the name of one of ours.
fn foreign(ours: &Option<Manifest>, key: &ObjectKey) -> Manifest {
    let value = match key.kind.as_str() {
        "Deployment" => super::shop::deployment(&key.name, "theirs:1"),
        "PersistentVolumeClaim" => super::shop::claim(&key.name),
        "Secret" => super::shop::secret(&key.name, "theirs"),
        _ => super::shop::config(&key.name, "theirs"),
    };
    let mut value = ours.as_ref().map_or(value.clone(), |ours| {
        let mut theirs = ours.value.clone();
        if let (Some(theirs), Some(value)) = (theirs.as_object_mut(), value.as_object()) {
            theirs.extend(value.iter().filter(|(name, _)| *name != "metadata").map(|(k, v)| (k.clone(), v.clone())));
        }
        theirs
    });
    value["metadata"]["namespace"] = json!(super::shop::NAMESPACE);
    ManifestSet::from_bytes(format!("{value}\n").as_bytes())
        .ok()
        .and_then(|set| set.get(key).cloned())
        .expect("because it is one object")
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |who: &Option<Who>| who.map_or("nobody's key", |who| PEOPLE[who].name);
        let name = |it: &usize| super::story::short(&object(*it));
        match self {
            Deed::Nothing => write!(f, "nobody does anything"),
            Deed::Push { who: by, .. } => write!(f, "somebody pushes, signed by {}", who(by)),
            Deed::PushUnits { shared, own, who: by } => {
                write!(f, "somebody pushes {own:?} and {shared:?}, signed by {}", who(by))
            }
            Deed::Merge { way, proven, who: by } => {
                let what = if *proven { "what upstream has proven" } else { "the branch upstream" };
                write!(f, "somebody takes {what} by {way:?}, signed by {}", who(by))
            }
            Deed::Revert { back, who: by } => write!(f, "somebody reverts {back} commits, signed by {}", who(by)),
            Deed::Rewind { back } => write!(f, "somebody force-pushes the branch {back} commits back"),
            Deed::Diverge { back, who: by, .. } => {
                write!(f, "somebody force-pushes a fork from {back} commits back, signed by {}", who(by))
            }
            Deed::Approve { who: by, back, seconds, twice } => {
                let twice = if *twice { " twice" } else { "" };
                write!(f, "{} approves{twice} the commit {back} back, for {seconds:?} s", PEOPLE[*by].name)
            }
            Deed::Freeze { who: by, seconds } => write!(f, "{} freezes for {seconds} s", PEOPLE[*by].name),
            Deed::Unfreeze { who: by } => write!(f, "{} ends freezes", PEOPLE[*by].name),
            Deed::Hold { who: by, back } => write!(f, "{} holds the commit {back} back", PEOPLE[*by].name),
            Deed::Unhold { who: by } => write!(f, "{} ends the newest hold", PEOPLE[*by].name),
            Deed::RollBack { who: by, back } => write!(f, "{} states: {back} releases back", PEOPLE[*by].name),
            Deed::Fate { object: it, fate } => write!(f, "{} will be {fate:?}", name(it)),
            Deed::Finalizer { object: it } => write!(f, "{} gets a finalizer", name(it)),
            Deed::Deny { object: it } => write!(f, "the server denies {}", name(it)),
            Deed::Edit { object: it } => write!(f, "somebody edits {}", name(it)),
            Deed::Delete { object: it } => write!(f, "somebody deletes {}", name(it)),
            Deed::Unlabel { object: it } => write!(f, "somebody takes our label off {}", name(it)),
            Deed::Make { object: it } => write!(f, "somebody else makes {}", name(it)),
            Deed::Clock { agent, seconds } => write!(f, "the clock of agent {agent} is {seconds} s ahead"),
            other => write!(f, "{}", format!("{other:?}").to_lowercase()),
        }
    }
}
