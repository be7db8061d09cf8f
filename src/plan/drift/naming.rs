//! Names what drifted: where the manifest and the live object differ, and which fields our entry lost or gained.

use serde_json::{Map, Value};

use super::super::fields::{self, Ownership, Path, Step};
use super::super::{FieldChange, FieldOwner};
use super::applied::wish;
use super::entry::{Entry, Item, is_leaf, key_of};
use super::schema::ATOMIC_MAPS;
use super::{Drift, View};
use crate::manifest::Manifest;

/// See [`super::name`].
pub(super) fn name(manifest: &Manifest, seen: &Value, view: View, set_id: &str) -> Drift {
    let wish = wish(manifest, set_id);
    let named = |is_strict| {
        let has_entry = Entry::of(seen).is_some();
        let is_secret = manifest.key.is_core("Secret");
        let mut naming = Naming { is_secret, is_strict, has_entry, found: Vec::new(), is_gone: false };
        naming.entry(manifest, seen);
        naming.object(&wish, seen, view);
        naming
    };
    // A server adds defaults inside values that are owned whole: they are told only if there is nothing else to tell.
    let lenient = named(false);
    let mut naming = if lenient.found.is_empty() { named(true) } else { lenient };
    if naming.found.is_empty() {
        naming.entries(None, None);
    }
    let owners = naming.found.iter().filter_map(|change| change.drift.clone());
    let newest = owners.max_by(|a, b| a.time.cmp(&b.time));
    let by = newest.or_else(|| if naming.is_gone { last_writer(seen) } else { None });
    Drift { fields: naming.found, by }
}

/// The newest entry that is not ours, not older than ours, and not of the subresource `status`.
fn last_writer(seen: &Value) -> Option<FieldOwner> {
    let entries = || seen.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let ours = entries().find(|entry| fields::is_ours(entry)).and_then(|entry| fields::owner(entry).time);
    let is_status = |entry: &Value| entry.get("subresource").is_some_and(|part| part == "status");
    let others = entries().filter(|entry| !fields::is_ours(entry) && !is_status(entry)).map(fields::owner);
    others.filter(|other| other.time >= ours).max_by(|a, b| a.time.cmp(&b.time))
}

/// What is known of the live value at some place.
#[derive(Debug, Clone, Copy)]
enum Sight<'a> {
    /// It is this, or there is none.
    Seen(Option<&'a Value>),
    /// Only its owners are known.
    Unseen,
}

impl<'a> Sight<'a> {
    fn value(self) -> Option<&'a Value> {
        match self {
            Sight::Seen(value) => value,
            Sight::Unseen => None,
        }
    }

    fn field(self, name: &str) -> Sight<'a> {
        match self {
            Sight::Seen(value) => Sight::Seen(value.and_then(|value| value.get(name))),
            Sight::Unseen => Sight::Unseen,
        }
    }
}

struct Naming {
    is_secret: bool,
    /// Whether a value that only has more in it than the manifest says is told too.
    is_strict: bool,
    /// Without our entry nothing is told to be lost, field by field.
    has_entry: bool,
    found: Vec<FieldChange>,
    /// Something told is gone, so that no entry says who took it away.
    is_gone: bool,
}

impl Naming {
    fn tell(&mut self, path: &Path, owned: &Ownership<'_>, from: Sight<'_>, to: Option<&Value>) {
        // What is gone has no owner; an entry that names a map around it only says that it left that map empty once.
        let is_gone = matches!(from, Sight::Seen(None));
        self.is_gone |= is_gone;
        let owner = if is_gone { None } else { owned.foreign() };
        self.found.push(fields::change(self.is_secret, path, from.value(), to, owner));
    }

    /// Our entry as a whole: there is none, or it is of another version.
    fn entry(&mut self, manifest: &Manifest, seen: &Value) {
        let wished = manifest.kind.api_version();
        let version = Entry::of(seen).map(|entry| entry.api_version);
        if version != Some(wished.as_str()) {
            self.entries(version.map(Value::from), Some(wished.into()));
            self.is_gone |= version.is_none();
        }
    }

    fn entries(&mut self, from: Option<Value>, to: Option<Value>) {
        let path = Path::default().then(field("metadata")).then(field("managedFields"));
        self.found.push(fields::change(self.is_secret, &path, from.as_ref(), to.as_ref(), None));
    }

    fn object(&mut self, wish: &Map<String, Value>, seen: &Value, view: View) {
        let (root, owned) = (Path::default(), Ownership::of(seen));
        let sight = |name: &str| match view {
            View::Metadata if name != "metadata" => Sight::Unseen,
            View::Whole | View::Metadata => Sight::Seen(seen.get(name)),
        };
        self.fields(&root, &owned, &sight, wish);
    }

    fn place(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>, wish: &Value) {
        match wish {
            Value::Object(wished) if !wished.is_empty() && !is_whole_map(path, owned) => match sight {
                Sight::Unseen | Sight::Seen(Some(Value::Object(_))) => {
                    self.fields(path, owned, &|name| sight.field(name), wished);
                }
                // Whatever holds secret values is never told as a whole, so that their names can be told.
                Sight::Seen(None) if self.is_secret && fields::holds_secrets(path) => {
                    self.fields(path, owned, &|_| Sight::Seen(None), wished);
                }
                Sight::Seen(_) => self.tell(path, owned, sight, Some(wish)),
            },
            Value::Array(wished) if !wished.is_empty() && !is_whole_list(owned) => match sight {
                Sight::Unseen | Sight::Seen(Some(Value::Array(_))) => self.list(path, owned, sight, wished),
                Sight::Seen(_) => self.tell(path, owned, sight, Some(wish)),
            },
            _ => self.whole(path, owned, sight, wish),
        }
    }

    /// A value that has one owner for all that is in it.
    fn whole(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>, wish: &Value) {
        let is_lost = self.has_entry && owned.ours().is_none();
        let differs = match sight {
            Sight::Seen(live) if self.is_strict => live != Some(wish),
            Sight::Seen(live) => !agrees(live, wish),
            Sight::Unseen => false,
        };
        if is_lost || differs {
            self.tell(path, owned, sight, Some(wish));
        }
    }

    fn fields<'a>(
        &mut self,
        path: &Path,
        owned: &Ownership<'_>,
        sight: &dyn Fn(&str) -> Sight<'a>,
        wish: &Map<String, Value>,
    ) {
        for (name, wished) in wish {
            let (step, sight) = (field(name), sight(name));
            let further = owned.step(&step, sight.value());
            self.place(&path.then(step), &further, sight, wished);
        }
        for name in owned.ours().into_iter().flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:")) {
            if !wish.contains_key(name) {
                let step = field(name);
                self.surplus(&path.then(step.clone()), &owned.step(&step, None), sight(name));
            }
        }
    }

    /// What our entry names and the manifest does not: an apply removes it, or leaves it to those who own it too.
    fn surplus(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>) {
        let stays = owned.others().next().is_some();
        self.tell(path, owned, sight, sight.value().filter(|_| stays));
    }

    fn list(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>, wish: &[Value]) {
        let keys = owned.list_keys().unwrap_or_default();
        let wished: Option<Vec<_>> = wish.iter().map(|wish| Some((key_of(wish, keys.iter())?, wish))).collect();
        match wished {
            Some(wished) if !keys.is_empty() => self.keyed(path, owned, sight, &wished),
            _ if is_set(owned) => self.set(path, owned, sight, wish),
            _ => self.whole(path, owned, sight, &Value::from(wish)),
        }
    }

    fn keyed(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>, wish: &[(Key, &Value)]) {
        let live = sight.value().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut found = Vec::new();
        for (key, wished) in wish {
            let item = Item::Keys(key.iter().cloned().collect());
            let at: Vec<usize> = (0..live.len()).filter(|at| item.is(&live[*at])).collect();
            let step = Step::Item(key.clone());
            let (path, further) = (path.then(step.clone()), owned.step(&step, None));
            match (sight, &at[..]) {
                (Sight::Unseen, _) => self.element(&path, &further, sight, wished),
                (Sight::Seen(_), []) => self.tell(&path, &further, Sight::Seen(None), Some(wished)),
                (Sight::Seen(_), [at]) => {
                    found.push((*at, key));
                    self.element(&path, &further, Sight::Seen(Some(&live[*at])), wished);
                }
                (Sight::Seen(_), several) => {
                    let twice: Value = several.iter().map(|at| live[*at].clone()).collect();
                    self.tell(&path, &further, Sight::Seen(Some(&twice)), Some(wished));
                }
            }
        }
        if !found.is_sorted_by_key(|(at, _)| at) {
            let order = |found: &[(usize, &Key)]| -> Value { found.iter().map(|(_, key)| shown(key)).collect() };
            let to = order(&found);
            found.sort_unstable_by_key(|(at, _)| *at);
            self.tell(path, owned, Sight::Seen(Some(&order(&found))), Some(&to));
        }
        for key in owned.ours().into_iter().flat_map(Map::keys) {
            let Some(Item::Keys(keys)) = Item::read(key) else { continue };
            if wish.iter().all(|(wished, _)| wished.iter().any(|(name, value)| keys.get(name) != Some(value))) {
                let element = live.iter().find(|element| Item::Keys(keys.clone()).is(element));
                let step = Step::Item(keys.into_iter().collect());
                let sight = if let Sight::Seen(_) = sight { Sight::Seen(element) } else { Sight::Unseen };
                self.surplus(&path.then(step.clone()), &owned.step(&step, None), sight);
            }
        }
    }

    /// An element of a keyed list: that it is there is owned beside what is in it.
    fn element(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>, wish: &Value) {
        if owned.ours().is_some_and(|node| !node.is_empty() && !node.contains_key(".")) {
            self.tell(path, owned, sight, sight.value());
        }
        self.place(path, owned, sight, wish);
    }

    /// A list of values that stand once each, told as a whole.
    fn set(&mut self, path: &Path, owned: &Ownership<'_>, sight: Sight<'_>, wish: &[Value]) {
        let ours = owned.ours().into_iter().flat_map(Map::keys).filter_map(|key| Item::read(key)).collect::<Vec<_>>();
        let is_owned = ours.len() == wish.len() && wish.iter().all(|wish| ours.iter().any(|item| item.is(wish)));
        let agrees = match sight {
            Sight::Seen(live) => {
                let live = live.and_then(Value::as_array).into_iter().flatten();
                live.filter(|value| wish.contains(value)).eq(wish)
            }
            Sight::Unseen => true,
        };
        if (self.has_entry && !is_owned) || !agrees {
            self.tell(path, owned, sight, Some(&Value::from(wish)));
        }
    }
}

type Key = Vec<(String, Value)>;

fn field(name: &str) -> Step {
    Step::Field(name.to_owned())
}

/// How a list element is told in an order: by its key.
fn shown(key: &Key) -> Value {
    match &key[..] {
        [(_, value)] => value.clone(),
        several => Value::Object(several.iter().cloned().collect()),
    }
}

/// Whether the map here has one owner for all that is in it. Where it is not ours, others may only have left it empty.
fn is_whole_map(path: &Path, owned: &Ownership<'_>) -> bool {
    let is_atomic = || path.field().is_some_and(|name| ATOMIC_MAPS.contains(&name));
    owned.ours().map_or_else(|| is_atomic() && owned.others().any(is_leaf), is_leaf)
}

/// The same of a list; where it is not ours, as far as others show.
fn is_whole_list(owned: &Ownership<'_>) -> bool {
    owned.ours().map_or_else(|| owned.others().any(is_leaf), is_leaf)
}

fn is_set(owned: &Ownership<'_>) -> bool {
    owned.ours().into_iter().chain(owned.others()).flat_map(Map::keys).any(|key| key.starts_with("v:"))
}

/// Whether a live value is the wished one, but for what the server may have added inside it.
fn agrees(live: Option<&Value>, wish: &Value) -> bool {
    match (live, wish) {
        (_, Value::Null) => true,
        // The server leaves out what says nothing, and this stays ours.
        (None, Value::Object(wish)) => wish.is_empty(),
        (None, Value::Array(wish)) => wish.is_empty(),
        (None, Value::String(wish)) => wish.is_empty(),
        (None, Value::Number(wish)) => wish.as_f64() == Some(0.0),
        (None, Value::Bool(wish)) => !wish,
        (Some(Value::Object(live)), Value::Object(wish)) => {
            wish.iter().all(|(name, wish)| agrees(live.get(name), wish))
        }
        (Some(Value::Array(live)), Value::Array(wish)) => {
            live.len() == wish.len() && live.iter().zip(wish).all(|(live, wish)| agrees(Some(live), wish))
        }
        (Some(Value::Number(live)), Value::Number(wish)) => live.as_f64() == wish.as_f64(),
        (live, wish) => live == Some(wish),
    }
}
