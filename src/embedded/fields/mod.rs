//! The algebra of field ownership: sets of field paths, and what two objects of one type differ in.
//!
//! The rules are those of `sigs.k8s.io/structured-merge-diff` v6, which a real server uses, written anew: its README and
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy> say what each type means.

mod apply;
mod compare;
mod set;
mod validate;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{Listing, Struct, Type};

pub(super) use apply::{merge, remove};
pub(super) use compare::{Comparison, compare};
pub(super) use set::{Set, display};
pub(super) use validate::validate;

/// What a value of a type is to the algebra.
enum Atom<'t> {
    /// One field, whatever is in it.
    Leaf,
    List(&'t Type, &'t Listing),
    Map(Members<'t>),
}

/// What the members of a granular map are.
#[derive(Clone, Copy)]
enum Members<'t> {
    Struct(&'static Struct),
    Each(&'t Type),
}

impl<'t> Members<'t> {
    /// The type of a member; there is none for what the schema does not declare.
    fn get(self, name: &str) -> Option<&'t Type> {
        match self {
            Members::Struct(known) => known.fields.get(name).map(|field| &field.kind).or(known.rest.as_ref()),
            Members::Each(kind) => Some(kind),
        }
    }

    /// Whether the schema names the member: its own path then says nothing.
    fn names(self, name: &str) -> bool {
        matches!(self, Members::Struct(known) if known.fields.contains_key(name))
    }
}

impl PartialEq for Atom<'_> {
    /// Whether two values of one type are the same to the algebra.
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What a value of the type is. A deduced value that is absent or null counts as a map, as the original has it.
fn atom<'t>(kind: &'t Type, value: Option<&Value>) -> Atom<'t> {
    match (kind, value) {
        (Type::Deduced, None | Some(Value::Null | Value::Object(_))) => Atom::Map(Members::Each(kind)),
        (Type::Scalar(_) | Type::Untyped | Type::Deduced | Type::Map(_, true) | Type::List(_, Listing::Atomic), _) => {
            Atom::Leaf
        }
        (Type::Struct(id, atomic), _) if *atomic || id.get().atomic => Atom::Leaf,
        (Type::Struct(id, _), _) => Atom::Map(Members::Struct(id.get())),
        (Type::Map(element, false), _) => Atom::Map(Members::Each(element)),
        (Type::List(element, listing), _) => Atom::List(element, listing),
    }
}

/// The path element of a list item, `k:{…}` or `v:…`.
///
/// # Errors
/// Why the item cannot be told from others, in the words of a real server.
fn item_element(listing: &Listing, item: &Value) -> Result<String, String> {
    let Listing::Keyed(keys) = listing else {
        return match item {
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err("associative list without keys has an element that is no scalar".to_owned())
            }
            scalar => Ok(format!("v:{scalar}")),
        };
    };
    let Value::Object(fields) = item else {
        let what = if item.is_null() { "a null element" } else { "non-map elements" };
        return Err(format!("associative list with keys may not have {what}"));
    };
    let found =
        keys.iter().filter_map(|(key, default)| Some((key.clone(), fields.get(key).or(default.as_ref())?.clone())));
    let found: Map<String, Value> = found.collect();
    if found.is_empty() {
        let names: Vec<String> = keys.iter().map(|(key, _)| format!("{key:?}")).collect();
        let names = names.join(" ");
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{names}] (and doesn't have default values for any key fields)"
        ));
    }
    Ok(format!("k:{}", Value::Object(found)))
}

/// The items of a list by their elements, in order, leaving out those that have none.
fn items<'v>(listing: &Listing, list: &'v [Value]) -> Vec<(String, &'v Value)> {
    list.iter().filter_map(|item| Some((item_element(listing, item).ok()?, item))).collect()
}

/// How often each element occurs.
fn count<'i>(items: &'i [(String, &Value)]) -> BTreeMap<&'i str, usize> {
    let mut counts = BTreeMap::new();
    for (element, _) in items {
        *counts.entry(element.as_str()).or_default() += 1;
    }
    counts
}

/// The paths that a whole value of a type has.
pub(super) fn to_set(kind: &Type, value: &Value) -> Set {
    let mut set = Set::default();
    collect(kind, value, &mut set);
    set
}

/// Adds the paths below a value; says whether the value is a path itself.
fn collect(kind: &Type, value: &Value, set: &mut Set) -> bool {
    match (atom(kind, Some(value)), value) {
        (Atom::Leaf, _) => return true,
        (Atom::Map(members), Value::Object(map)) => {
            for (name, inner) in map {
                let Some(kind) = members.get(name) else { continue };
                let mut below = Set::default();
                let is_empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                let is_path = collect(kind, inner, &mut below) || is_empty || !members.names(name);
                set.put(format!("f:{name}"), is_path, below);
            }
        }
        (Atom::List(element, listing), Value::Array(list)) => {
            let items = items(listing, list);
            let counts = count(&items);
            for (name, item) in &items {
                let mut below = Set::default();
                if counts[name.as_str()] == 1 {
                    collect(element, item, &mut below);
                }
                set.put(name.clone(), true, below);
            }
        }
        _ => {}
    }
    false
}
