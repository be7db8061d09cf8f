//! Which kinds the API serves and how their objects are built: the committed table, parsed once.
//!
//! `table.txt` says of itself where it comes from and how to read it; `tests/schema_table` keeps it true.

mod parse;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

/// A kind of object that is stored: a built-in one, or one that a CustomResourceDefinition made.
#[derive(Debug, Clone)]
pub(in crate::embedded) struct Resource {
    pub(in crate::embedded) group: String,
    pub(in crate::embedded) version: String,
    pub(in crate::embedded) kind: String,
    pub(in crate::embedded) plural: String,
    pub(in crate::embedded) singular: String,
    pub(in crate::embedded) short_names: Vec<String>,
    pub(in crate::embedded) categories: Vec<String>,
    pub(in crate::embedded) namespaced: bool,
    pub(in crate::embedded) has_status: bool,
    pub(in crate::embedded) has_scale: bool,
    pub(in crate::embedded) has_generation: bool,
    pub(in crate::embedded) shape: Shape,
}

/// How the objects of a kind are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum Shape {
    /// As the table says.
    Known(TypeId),
    /// As a CustomResourceDefinition that keeps unknown fields at its root: `metadata` has its fields, everything else
    /// is deduced from the value, maps granular and lists atomic.
    Opaque,
}

/// A kind that is not served, since storing its objects would only pretend.
#[derive(Debug)]
pub(in crate::embedded) struct Unserved {
    pub(in crate::embedded) group: String,
    pub(in crate::embedded) plural: String,
    /// The feature that is not there, to be named in the answer.
    pub(in crate::embedded) why: String,
}

/// The place of a struct in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) struct TypeId(usize);

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::embedded) enum Type {
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
pub(in crate::embedded) enum Scalar {
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
pub(in crate::embedded) enum Listing {
    /// Not at all: the list is one leaf.
    Atomic,
    /// By their values.
    Set,
    /// By these fields, each with the value that an item without it has.
    Keyed(Vec<(String, Option<Value>)>),
}

/// A struct of the table.
#[derive(Debug)]
pub(in crate::embedded) struct Struct {
    pub(in crate::embedded) name: String,
    pub(in crate::embedded) atomic: bool,
    pub(in crate::embedded) fields: BTreeMap<String, Field>,
    /// The type of fields that are not named; only the object of an opaque kind has any.
    pub(in crate::embedded) rest: Option<Type>,
}

/// A field of a struct.
#[derive(Debug)]
pub(in crate::embedded) struct Field {
    pub(in crate::embedded) kind: Type,
    pub(in crate::embedded) required: bool,
    /// How it is written where it is not set.
    pub(in crate::embedded) unset: Unset,
    /// Whether a zero scalar differs from none.
    pub(in crate::embedded) keeps_zero: bool,
    pub(in crate::embedded) default: Option<Value>,
}

/// How a field is written that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum Unset {
    Omitted,
    Null,
    /// As the zero value of its type.
    Zero,
}

/// The table.
pub(in crate::embedded) struct Table {
    resources: Vec<Resource>,
    unserved: Vec<Unserved>,
    structs: Vec<Struct>,
    opaque: TypeId,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| parse::table(include_str!("table.txt")));

/// Every built-in kind that is served.
pub(in crate::embedded) fn built_in() -> &'static [Resource] {
    &TABLE.resources
}

/// Every built-in kind that is not served, and why.
pub(in crate::embedded) fn unserved() -> &'static [Unserved] {
    &TABLE.unserved
}

impl Resource {
    /// `group/version`, or `version` alone in the core group: an object's `apiVersion`.
    pub(in crate::embedded) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The type of a whole object.
    pub(in crate::embedded) fn root(&self) -> Type {
        match self.shape {
            Shape::Known(id) => Type::Struct(id, false),
            Shape::Opaque => Type::Struct(TABLE.opaque, false),
        }
    }
}

impl TypeId {
    /// The struct at this place.
    pub(in crate::embedded) fn get(self) -> &'static Struct {
        &TABLE.structs[self.0]
    }
}

impl Type {
    /// The struct, if it is one.
    pub(in crate::embedded) fn as_struct(&self) -> Option<&'static Struct> {
        if let Type::Struct(id, _) = self { Some(id.get()) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> &'static Resource {
        built_in().iter().find(|resource| resource.kind == name).expect("because it is served")
    }

    #[test]
    fn the_table_tells_what_discovery_told() {
        let deployment = kind("Deployment");
        assert_eq!(deployment.api_version(), "apps/v1");
        assert_eq!(deployment.short_names, ["deploy"]);
        assert!(deployment.namespaced && deployment.has_status && deployment.has_scale && deployment.has_generation);
        let config = kind("ConfigMap");
        assert!(config.namespaced && !config.has_status && !config.has_scale && !config.has_generation);
        assert!(kind("HorizontalPodAutoscaler").version == "v2" && !kind("Namespace").namespaced);
        assert!(unserved().iter().any(|kind| kind.plural == "resourcequotas" && kind.group.is_empty()));
        assert!(
            built_in()
                .iter()
                .all(|kind| unserved().iter().all(|no| (&no.group, &no.plural) != (&kind.group, &kind.plural)))
        );
    }

    #[test]
    fn a_keyed_list_tells_its_items_by_all_keys_with_their_defaults() {
        let container = TABLE.structs.iter().find(|known| known.name == "Container").expect("because pods have some");
        let ports = &container.fields["ports"].kind;
        let keys = vec![("containerPort".to_owned(), Some(0.into())), ("protocol".to_owned(), Some("TCP".into()))];
        assert!(matches!(ports, Type::List(_, listing) if *listing == Listing::Keyed(keys)), "{ports:?}");
        assert_eq!(container.fields["args"].kind, Type::List(Box::new(Type::Scalar(Scalar::String)), Listing::Atomic));
        assert_eq!(container.fields["resources"].unset, Unset::Zero);
        assert_eq!(container.fields["env"].unset, Unset::Omitted);
        let spec = TABLE.structs.iter().find(|known| known.name == "PodSpec").expect("because pods have some");
        assert_eq!(spec.fields["containers"].unset, Unset::Null);
    }
}
