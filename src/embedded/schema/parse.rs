//! Reads the table; what it may hold is in its header.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Field, Listing, Resource, Scalar, Struct, Table, Type, TypeId, Unset};

/// Reads the table that this program was built with.
///
/// # Panics
/// If it is not what the generator writes.
pub(super) fn table(text: &str) -> Table {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let names = lines.iter().filter_map(|line| line.strip_prefix("type "));
    let names = names.map(|rest| rest.trim_end_matches(" ~"));
    let mut ids: HashMap<&str, TypeId> = names.enumerate().map(|(at, name)| (name, TypeId(at))).collect();
    let opaque = TypeId(ids.len());
    ids.insert("", opaque);
    let (mut resources, mut unserved, mut structs) = (Vec::new(), Vec::new(), Vec::<Struct>::new());
    for line in lines {
        if let Some(rest) = line.strip_prefix("resource ") {
            resources.push(resource(rest, &ids));
        } else if let Some(rest) = line.strip_prefix("unserved ") {
            let [group, plural, why] = parts(rest);
            unserved.push([group_name(group), plural.to_owned(), why.to_owned()]);
        } else if let Some(rest) = line.strip_prefix("type ") {
            let name = rest.trim_end_matches(" ~");
            let atomic = name.len() < rest.len();
            structs.push(Struct { name: name.to_owned(), atomic, fields: BTreeMap::new(), rest: None });
        } else if let Some(last) = structs.last_mut() {
            let (name, field) = field(line.trim_start(), &ids);
            last.fields.insert(name, field);
        }
    }
    structs.push(opaque_object(&ids));
    Table { resources, unserved, structs, opaque }
}

/// The first words and the rest of a line.
fn parts<const N: usize>(line: &str) -> [&str; N] {
    let mut words = line.splitn(N, ' ');
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// The core group has no name.
fn group_name(word: &str) -> String {
    if word == "-" { String::new() } else { word.to_owned() }
}

fn resource(line: &str, ids: &HashMap<&str, TypeId>) -> Resource {
    let [group, version, kind, plural, singular, short, categories, flags, root] = parts(line);
    let list = |words: &str| words.split(',').filter(|word| *word != "-").map(str::to_owned).collect();
    Resource {
        group: group_name(group),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: singular.to_owned(),
        short_names: list(short),
        categories: list(categories),
        namespaced: flags.contains('n'),
        has_status: flags.contains('s'),
        has_scale: flags.contains('c'),
        has_generation: flags.contains('g'),
        is_custom: false,
        root: ids[root],
    }
}

fn field(line: &str, ids: &HashMap<&str, TypeId>) -> (String, Field) {
    let [name, code, flags, default] = parts(line);
    let default = (!default.is_empty()).then(|| value(default));
    let kind = kind(code, ids);
    let unset = match (flags.contains('@'), flags.contains('^')) {
        (true, _) => Unset::Zero,
        (_, true) => Unset::Null,
        _ => Unset::Omitted,
    };
    let required = flags.contains('!');
    // A number or amount that may be left out is a pointer.
    let keeps_zero = flags.contains('?') || unset == Unset::Omitted && matches!(code, "x" | "q");
    (name.to_owned(), Field { kind, required, unset, keeps_zero, default })
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("because the table holds JSON here")
}

fn kind(code: &str, ids: &HashMap<&str, TypeId>) -> Type {
    let (plain, atomic) = code.strip_suffix('~').map_or((code, false), |plain| (plain, true));
    if let Some(rest) = plain.strip_prefix('[') {
        let (element, listing) = rest.rsplit_once(']').expect("because a list is closed");
        return Type::List(Box::new(kind(element, ids)), self::listing(listing));
    }
    if let Some(element) = plain.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return Type::Map(Box::new(kind(element, ids)), atomic);
    }
    match plain {
        "s" => Type::Scalar(Scalar::String),
        "y" => Type::Scalar(Scalar::Bytes),
        "t" => Type::Scalar(Scalar::Time),
        "q" => Type::Scalar(Scalar::Quantity),
        "x" => Type::Scalar(Scalar::IntOrString),
        "i" => Type::Scalar(Scalar::Integer),
        "n" => Type::Scalar(Scalar::Number),
        "b" => Type::Scalar(Scalar::Boolean),
        "#" => Type::Untyped,
        name => Type::Struct(ids[name], atomic),
    }
}

fn listing(code: &str) -> Listing {
    match code.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(keys) => {
            let keys =
                keys.split(',').map(|key| key.split_once('=').map_or((key, None), |(key, v)| (key, Some(value(v)))));
            Listing::Keyed(keys.map(|(key, default)| (key.to_owned(), default)).collect())
        }
        None if code == "=" => Listing::Set,
        None => Listing::Atomic,
    }
}

/// The object of a kind without a schema; its name is empty.
fn opaque_object(ids: &HashMap<&str, TypeId>) -> Struct {
    let plain = |kind| Field { kind, required: false, unset: Unset::Omitted, keeps_zero: false, default: None };
    let fields = BTreeMap::from([
        ("apiVersion".to_owned(), plain(Type::Scalar(Scalar::String))),
        ("kind".to_owned(), plain(Type::Scalar(Scalar::String))),
        ("metadata".to_owned(), plain(Type::Struct(ids["ObjectMeta"], false))),
    ]);
    Struct { name: String::new(), atomic: false, fields, rest: Some(Type::Deduced) }
}
