//! A set of field paths, and its form in `metadata.managedFields` (`FieldsV1`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Atom, atom};
use crate::embedded::schema::Type;

/// Paths as a tree of elements in the words of `FieldsV1`: `f:NAME`, `k:{KEYS}`, `v:VALUE`, `i:INDEX`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set(BTreeMap<String, Node>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// Whether the path that ends here is in the set.
    is_path: bool,
    below: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.is_path && self.below.is_empty()
    }
}

impl Set {
    /// The set of these paths, given as names of struct fields with dots.
    pub(crate) fn of(paths: &[&str]) -> Set {
        let mut set = Set::default();
        for path in paths {
            let path: Vec<String> = path.split('.').map(|name| format!("f:{name}")).collect();
            set.insert(&path);
        }
        set
    }

    /// Reads `FieldsV1`; nothing where it is not well formed.
    pub(crate) fn parse(fields: &Value) -> Option<Set> {
        let mut set = Set::default();
        for (element, inner) in fields.as_object()?.iter().filter(|(element, _)| *element != ".") {
            let element = match element.split_at_checked(2)? {
                ("f:" | "i:", _) => element.clone(),
                (kind @ ("k:" | "v:"), json) => format!("{kind}{}", serde_json::from_str::<Value>(json).ok()?),
                _ => return None,
            };
            let members = inner.as_object()?;
            set.put(element, members.is_empty() || members.contains_key("."), Set::parse(inner)?);
        }
        Some(set)
    }

    /// Writes `FieldsV1`.
    pub(crate) fn write(&self) -> Value {
        let members = self.0.iter().map(|(element, node)| {
            let Value::Object(mut inner) = node.below.write() else { unreachable!("because a set is an object") };
            if node.is_path && !inner.is_empty() {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            (element.clone(), Value::Object(inner))
        });
        Value::Object(members.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a path.
    pub(super) fn insert(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.0.entry(first.clone()).or_default();
        if rest.is_empty() { node.is_path = true } else { node.below.insert(rest) }
    }

    /// Adds an element and what is below it, unless that is nothing.
    pub(super) fn put(&mut self, element: String, is_path: bool, below: Set) {
        let node = Node { is_path, below };
        if !node.is_empty() {
            self.0.insert(element, node);
        }
    }

    /// Whether the element itself is a path.
    pub(super) fn has(&self, element: &str) -> bool {
        self.0.get(element).is_some_and(|node| node.is_path)
    }

    /// What is below an element; nothing where that is empty.
    pub(super) fn below(&self, element: &str) -> Option<&Set> {
        self.0.get(element).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// The paths of either.
    pub(crate) fn union(&self, other: &Set) -> Set {
        let mut all = self.clone();
        for (element, node) in &other.0 {
            let mine = all.0.entry(element.clone()).or_default();
            mine.is_path |= node.is_path;
            mine.below = mine.below.union(&node.below);
        }
        all
    }

    /// The paths of this set that are not in the other one.
    pub(crate) fn difference(&self, other: &Set) -> Set {
        self.pairwise(other, |mine, theirs| Node {
            is_path: mine.is_path && !theirs.is_path,
            below: mine.below.difference(&theirs.below),
        })
    }

    /// The paths of this set that are neither in the other one nor below one of it.
    pub(crate) fn without(&self, other: &Set) -> Set {
        self.pairwise(other, |mine, theirs| {
            if theirs.is_path {
                return Node::default();
            }
            Node { is_path: mine.is_path, below: mine.below.without(&theirs.below) }
        })
    }

    /// The paths of both.
    pub(crate) fn intersection(&self, other: &Set) -> Set {
        self.pairwise(other, |mine, theirs| Node {
            is_path: mine.is_path && theirs.is_path,
            below: mine.below.intersection(&theirs.below),
        })
    }

    fn pairwise(&self, other: &Set, join: impl Fn(&Node, &Node) -> Node) -> Set {
        let none = Node::default();
        let nodes = self.0.iter().map(|(element, node)| (element, join(node, other.0.get(element).unwrap_or(&none))));
        Set(nodes.filter(|(_, node)| !node.is_empty()).map(|(element, node)| (element.clone(), node)).collect())
    }

    /// The same set, and of each path also those fields on the way to it that the schema names: a struct is there as
    /// soon as something in it is.
    pub(crate) fn with_named(&self, kind: Option<&Type>) -> Set {
        let atom = kind.map(|kind| atom(kind, None));
        let nodes = self.0.iter().map(|(element, node)| {
            let (inner, is_named) = match (&atom, element.strip_prefix("f:")) {
                (Some(Atom::Map(members)), Some(name)) => (members.get(name), members.names(name)),
                (Some(Atom::List(kind, _)), None) => (Some(*kind), false),
                _ => (None, false),
            };
            let is_path = node.is_path || is_named && !node.below.is_empty();
            (element.clone(), Node { is_path, below: node.below.with_named(inner) })
        });
        Set(nodes.collect())
    }

    /// All paths: of one parent first those that end, then those that go on.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let ends = self.0.iter().filter(|(_, node)| node.is_path).map(|(element, _)| vec![element.clone()]);
        let longer = self.0.iter().flat_map(|(element, node)| {
            let below = node.below.paths().into_iter();
            below.map(move |rest| std::iter::once(element.clone()).chain(rest).collect())
        });
        ends.chain(longer).collect()
    }
}

/// A path in the words of an error message: `.spec.ports[port=80,protocol="TCP"]`.
pub(crate) fn display(path: &[String]) -> String {
    path.iter().map(|element| display_element(element)).collect()
}

/// One element in the words of an error message.
pub(super) fn display_element(element: &str) -> String {
    match element.split_at(2) {
        ("f:", name) => format!(".{name}"),
        ("k:", json) => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(json).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        ("v:", json) => format!("[={json}]"),
        (_, index) => format!("[{index}]"),
    }
}
