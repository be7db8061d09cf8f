//! Which kinds the API serves and how their objects are built: the committed table, parsed once.
//!
//! `table.txt` says of itself where it comes from and how to read it; `tests/schema_table` keeps it true.

mod parse;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::store::Key;

/// A kind of object that is stored: a built-in one, or one that a CustomResourceDefinition made.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    pub(crate) has_scale: bool,
    pub(crate) has_generation: bool,
    /// Whether a CustomResourceDefinition made it. Its objects are opaque then: `metadata` has its fields, everything else is
    /// deduced from the value, maps granular and lists atomic.
    pub(crate) is_custom: bool,
    /// The type of a whole object.
    pub(crate) root: TypeId,
}

/// A kind that is not served, since storing its objects would only pretend: its group and plural name, and the feature
/// that is not there, to be named in the answer.
pub(crate) type Unserved = [String; 3];

/// The place of a struct in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeId(usize);

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Scalar(Scalar),
    /// Whatever the value is, below an opaque object: a map is granular, a list atomic.
    Deduced,
    /// Whatever the value is, as one leaf.
    Untyped,
    /// A struct, and whether this use of it is one leaf.
    Struct(TypeId, bool),
    /// A map of values of one type, and whether it is one leaf.
    Map(Box<Type>, bool),
    List(Box<Type>, Listing),
}

/// What a scalar holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Bytes,
    Time,
    Quantity,
    IntOrString,
    Integer,
    Number,
    Boolean,
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Listing {
    /// Not at all: the list is one leaf.
    Atomic,
    /// By their values.
    Set,
    /// By these fields, each with the value that an item without it has.
    Keyed(Vec<(String, Option<Value>)>),
}

/// A struct of the table.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) atomic: bool,
    pub(crate) fields: BTreeMap<String, Field>,
    /// The type of fields that are not named; only the object of an opaque kind has any.
    pub(crate) rest: Option<Type>,
}

/// A field of a struct.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) kind: Type,
    pub(crate) required: bool,
    /// How it is written where it is not set.
    pub(crate) unset: Unset,
    /// Whether a zero scalar differs from none.
    pub(crate) keeps_zero: bool,
    pub(crate) default: Option<Value>,
}

/// How a field is written that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    Omitted,
    Null,
    /// As the zero value of its type.
    Zero,
}

/// The table.
pub(crate) struct Table {
    resources: Vec<Resource>,
    unserved: Vec<Unserved>,
    structs: Vec<Struct>,
    opaque: TypeId,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| parse::table(include_str!("table.txt")));

/// Every built-in kind that is served.
pub(crate) fn built_in() -> &'static [Resource] {
    &TABLE.resources
}

/// The type of opaque objects.
pub(crate) fn opaque() -> TypeId {
    TABLE.opaque
}

/// Every built-in kind that is not served, and why.
pub(crate) fn unserved() -> &'static [Unserved] {
    &TABLE.unserved
}

impl Resource {
    /// `group/version`, or `version` alone in the core group: an object's `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, as messages of the server name it.
    pub(crate) fn name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The place of an object of the kind.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> Key {
        Key::new(&self.name(), namespace, name)
    }

    /// The type of a whole object.
    pub(crate) fn root(&self) -> Type {
        Type::Struct(self.root, false)
    }
}

impl TypeId {
    /// The struct at this place.
    pub(crate) fn get(self) -> &'static Struct {
        &TABLE.structs[self.0]
    }
}

impl Type {
    /// The struct, if it is one.
    pub(crate) fn as_struct(&self) -> Option<&'static Struct> {
        if let Type::Struct(id, _) = self { Some(id.get()) } else { None }
    }
}
