use proptest::prelude::*;
use serde_json::{Value, json};

use super::Owned;

#[test]
fn a_value_says_leaves_and_elements_and_no_maps_around_them() {
    let port = r#"k:{"containerPort":80,"protocol":"TCP"}"#;
    let gone = r#"k:{"containerPort":80,"protocol":"UDP"}"#;
    let item = json!({".": {}, "f:containerPort": {}, "f:protocol": {}});
    let fields = json!({
        "f:labels": {".": {}, "f:a": {}, "f:b": {}}, "f:annotations": {".": {}, "f:c": {}}, "f:dir": {},
        "f:ports": {".": {}, port: item, gone: item}, "f:finalizers": {"v:\"x\"": {}, "v:\"y\"": {}},
    });
    let value = json!({
        "labels": {"a": "1", "b": null}, "dir": {}, "ports": [{"containerPort": 80}], "finalizers": ["y"],
    });
    let said = json!({
        "f:labels": {"f:a": {}}, "f:dir": {}, "f:ports": {port: {".": {}, "f:containerPort": {}}},
        "f:finalizers": {"v:\"y\"": {}},
    });
    assert_eq!(Owned::of(&fields).said_by(&value).to_fields(), said);
}

#[test]
fn what_is_not_said_is_taken_with_its_elements() {
    let fields = json!({
        "f:labels": {"f:a": {}, "f:b": {}},
        "f:env": {r#"k:{"name":"A"}"#: {".": {}, "f:name": {}, "f:value": {}}, r#"k:{"name":"B"}"#: {"f:value": {}}},
        "f:finalizers": {"v:\"x\"": {}},
    });
    let manifest = json!({"labels": {"a": "2"}, "env": [{"name": "B"}]});
    let live = json!({
        "labels": {"a": "1", "b": "1", "c": "1"}, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        "finalizers": ["x", "z"], "more": 1,
    });
    let left = Owned::of(&fields).unsaid_by(Some(&manifest)).taken_from(&live);
    let expected = json!({"labels": {"a": "1", "c": "1"}, "env": [{"name": "B"}], "finalizers": ["z"], "more": 1});
    assert_eq!(left, expected);
}

#[test]
fn what_others_own_at_above_or_below_a_place_is_left_to_them() {
    let mine = Owned::of(&json!({"f:a": {}, "f:b": {"f:c": {}}, "f:d": {".": {}, "f:e": {}}, "f:g": {}}));
    let theirs = Owned::of(&json!({"f:a": {}, "f:b": {}, "f:d": {"f:x": {}}}));
    assert_eq!(mine.without(&theirs).to_fields(), json!({"f:d": {"f:e": {}}, "f:g": {}}));
    assert_eq!(mine.clone().without_path(&["b", "c"]).without_path(&["d"]).to_fields(), json!({"f:a": {}, "f:g": {}}));
}

/// `FieldsV1` below the root.
fn fields() -> impl Strategy<Value = Value> {
    let leaf = Just(json!({}));
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        let below = prop::collection::btree_map("f:[abc]", inner, 1..3);
        (below, any::<bool>()).prop_map(|(below, member)| {
            let mut fields: Value = below.into_iter().collect();
            if member {
                fields["."] = json!({});
            }
            fields
        })
    });
    prop::collection::btree_map("f:[abc]", tree, 0..3).prop_map(|below| below.into_iter().collect())
}

proptest! {
    #[test]
    fn a_set_is_written_as_it_was_read(fields in fields()) {
        prop_assert_eq!(Owned::of(&fields).to_fields(), fields);
    }

    #[test]
    fn a_union_is_of_both_and_of_nothing_else(a in fields(), b in fields()) {
        let (a, b) = (Owned::of(&a), Owned::of(&b));
        let both = a.clone().union(b.clone());
        prop_assert_eq!(&both, &b.clone().union(a.clone()));
        prop_assert_eq!(&both, &both.clone().union(a.clone()));
        prop_assert!(a.without(&both).is_empty() && b.without(&both).is_empty());
    }

    #[test]
    fn a_set_is_not_owned_by_nobody(a in fields()) {
        let a = Owned::of(&a);
        prop_assert_eq!(&a.without(&Owned::default()), &a);
        prop_assert_eq!(&a.unsaid_by(None), &a);
        prop_assert!(a.said_by(&Value::Null).is_empty());
    }
}
