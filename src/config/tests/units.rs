//! `units`: the pattern, what stands beside it, and what it finds in a commit.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::name::UnitName;
use crate::render::{EntryKind, Tree, TreeEntry};

#[test]
fn a_pattern_is_a_directory_and_one_star() {
    for pattern in ["apps/*", "\"*\"", "services/apps/*", "a-b_c.d/*"] {
        let environment = only(&environment_with(&format!("units: {pattern}"))).environments.remove(0);
        let told = environment.units.map(|units| units.to_string());
        assert_eq!(told.as_deref(), Some(pattern.trim_matches('"')));
    }
}

#[test]
fn a_pattern_that_is_none_is_found_with_what_may_be_meant() {
    let label = "12:12 invalid-value: `units` in environment `dev` is";
    let path = "expected a path below the environment's, such as `apps/*`, without `.`, `..`, or `/` at either end";
    let star = "expected `*` as the last part, such as `apps/*`: every directory there is a unit";
    let wildcard = "expected `*` as the whole of the last part and no other wildcard, such as `apps/*`";
    for (pattern, problem, meant) in [
        ("apps", star, Some("apps/*")),
        ("apps/web", star, Some("apps/web/*")),
        ("apps/**", wildcard, Some("apps/*")),
        ("apps/web-*", wildcard, None),
        ("*/x", wildcard, None),
        ("*/*", wildcard, None),
        ("a?/*", wildcard, None),
        ("'{a,b}/*'", wildcard, None),
        ("../*", path, None),
        ("apps/../*", path, None),
        ("/apps/*", path, Some("apps/*")),
        ("/*", path, Some("*")),
        ("./apps/*", path, Some("apps/*")),
        ("apps/", path, Some("apps/*")),
        ("apps//*", path, Some("apps/*")),
        (".", path, Some("*")),
        ("\"\"", path, Some("*")),
    ] {
        let shown = pattern.replace("\"\"", "").replace('\'', "");
        let pattern = if pattern.starts_with('*') { format!("\"{pattern}\"") } else { pattern.to_owned() };
        suggested(&format!("units: {pattern}"), &format!("{label} `{shown}`, {problem}"), meant);
    }
    suggested("units: [apps/*]", &format!("{label} a list, expected text"), None);
}

#[test]
fn units_stand_below_exactly_one_path() {
    let several = environment_with("units: apps/*").replace("path: overlays/dev", "paths: [a, b]");
    let message = "12:12 invalid-value: `units` in environment `dev` stands beside 2 paths, expected one: units are its \
                   directories";
    assert_eq!(findings(&several), [message]);
    let one = environment_with("units: apps/*").replace("path: overlays/dev", "paths: [a]");
    assert!(findings(&one).is_empty());
}

#[test]
fn units_are_promoted_from_units() {
    let two = |dev: &str, prod: &str| {
        let prod = format!("{{name: prod, from: dev, branch: env/prod, path: p, namespace: q{prod}}}");
        findings(&format!("{BASE}{dev}  - {prod}\n"))
    };
    let units = "    units: apps/*\n";
    assert_eq!(
        two("", ", units: services/*"),
        [
            "12:24 invalid-value: environment `prod` has `units: services/*`, but `dev`, which it is promoted from, has no `units`"
        ]
    );
    assert_eq!(
        two(units, ""),
        ["13:24 invalid-value: environment `prod` has no `units`, but `dev`, which it is promoted from, has some"]
    );
    assert!(two(units, ", units: services/*").is_empty() && two("", "").is_empty());
}

#[test]
fn units_and_automatic_promotion_do_not_stand_together() {
    let message = "12:14 invalid-value: `auto` for `promote` in environment `dev` beside `units` is not supported yet";
    assert_eq!(findings(&environment_with("promote: auto\n    units: apps/*")), [message]);
    assert!(findings(&environment_with("promote: auto")).is_empty());
    assert!(findings(&environment_with("promote: merge\n    units: apps/*")).is_empty());
}

fn unit(name: &str) -> UnitName {
    name.parse().expect("because it is the name of a unit")
}

fn dev(line: &str) -> Environment {
    only(&environment_with(line)).environments.remove(0)
}

#[test]
fn a_unit_sees_its_own_directory_and_nothing_else_of_the_environment_differs() {
    let environment = dev("units: apps/*");
    let seen = environment.of_unit(&unit("web"));
    let path: RepoPath = "overlays/dev/apps/web".parse().expect("because it is a path");
    assert_eq!(environment.unit_path(&unit("web")), Some(path.clone()));
    let sources = Sources { paths: vec![path], ..environment.sources.clone() };
    assert_eq!(seen, Environment { sources, units: None, unit: unit("web"), ..environment.clone() });
    assert_eq!(environment.unit_path(&UnitName::whole()), None);
    assert_eq!(environment.of_unit(&UnitName::whole()), environment);

    let without = dev("");
    assert_eq!((without.unit_path(&unit("web")), without.of_unit(&unit("web"))), (None, without.clone()));
    let at_root = environment_with("units: \"*\"").replace("path: overlays/dev", "path: .");
    let at_root = only(&at_root).environments.remove(0);
    assert_eq!(at_root.unit_path(&unit("web")).map(|path| path.to_string()).as_deref(), Some("web"));
}

/// A tree of these files; one that ends with `@` is a link, with `&` a submodule.
fn tree(paths: &[&str]) -> Tree {
    let id = "0".repeat(40).parse::<crate::name::ObjectId>().expect("because it is an id");
    let entry = |text: &&str| {
        let kind = match text.chars().last() {
            Some('@') => EntryKind::Link,
            Some('&') => EntryKind::Submodule,
            _ => EntryKind::File,
        };
        let path = text.trim_end_matches(['@', '&']).parse().expect("because it is a path");
        (path, TreeEntry { kind, id: id.clone(), size: 0 })
    };
    paths.iter().map(entry).collect()
}

fn told(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().map(|reason| format!("{}: {}", reason.code, reason.message)).collect()
}

#[test]
fn the_units_of_a_commit_are_the_directories_in_the_place_of_the_star() {
    let environment = dev("units: apps/*");
    let found = environment.units_in(&tree(&[
        "overlays/dev/app/x.yaml",
        "overlays/dev/apps/.hidden/x.yaml",
        "overlays/dev/apps/README.md",
        "overlays/dev/apps/NOTES@",
        "overlays/dev/apps/plain",
        "overlays/dev/apps/web-2/x.yaml",
        "overlays/dev/apps/web/deep/x.yaml",
        "overlays/dev/apps/web/x.yaml",
        "overlays/dev/apps/web0/x.yaml",
        "overlays/dev/apps2/y/x.yaml",
        "overlays/prod/apps/z/x.yaml",
    ]));
    let units = ["web", "web-2", "web0"].map(unit).into();
    assert_eq!(found, Ok(FoundUnits { units, ..FoundUnits::default() }));
}

#[test]
fn a_directory_that_can_be_no_unit_disturbs_no_other() {
    let long = format!("overlays/dev/apps/{}/x", "x".repeat(64));
    let paths = ["overlays/dev/apps/Web_2/x", "overlays/dev/apps/v1.2/x", "overlays/dev/apps/web/x", &long];
    let found = dev("units: apps/*").units_in(&tree(&paths)).expect("because there is a unit");
    assert_eq!(found.units, BTreeSet::from([unit("web")]));
    let label = "cannot be a unit: the name of one is lower-case letters, digits and `-`, at most 63";
    let expected =
        [paths[0], paths[1], paths[3]].map(|path| format!("unsafe-path: `{}` {label}", path.trim_end_matches("/x")));
    assert_eq!(told(&found.reasons), expected);
}

#[test]
fn a_unit_in_whose_place_stands_a_link_or_a_submodule_is_refused_and_not_gone() {
    let paths = ["overlays/dev/apps/api@", "overlays/dev/apps/db&", "overlays/dev/apps/DB&"];
    let found = dev("units: apps/*").units_in(&tree(&paths)).expect("because units may stand there");
    let names: Vec<&str> = found.refused.keys().map(UnitName::as_str).collect();
    assert_eq!((names, found.units.len()), (vec!["api", "db"], 0));
    assert_eq!(told(&found.reasons), ["unsafe-path: `overlays/dev/apps/DB` is a submodule"]);
}

#[test]
fn where_no_unit_can_be_seen_none_is_told_to_be_gone() {
    for (paths, expected) in [
        (
            vec!["overlays/dev/x.yaml"],
            "path-not-found: `overlays/dev/apps` is not in the commit, and its directories would be the units",
        ),
        (vec!["overlays/dev/apps/x"], "empty-render: `overlays/dev/apps` holds no directory that could be a unit"),
        (vec!["overlays/dev/apps"], "path-not-found: `overlays/dev/apps` is a file, not the directory of the units"),
        (vec!["overlays/dev/apps@"], "unsafe-path: `overlays/dev/apps` is a link: only links to files are followed"),
        (vec!["overlays&"], "unsafe-path: `overlays` is a submodule"),
        (
            vec!["overlays/dev/apps/A/x"],
            "unsafe-path: `overlays/dev/apps/A` cannot be a unit: the name of one is lower-case letters, digits and `-`, at \
             most 63",
        ),
    ] {
        let reasons = dev("units: apps/*").units_in(&tree(&paths)).expect_err(expected);
        assert_eq!(told(&reasons), [expected]);
    }
    let whole = dev("").units_in(&Tree::new()).expect("because a path is one unit");
    assert_eq!(whole.units, BTreeSet::from([UnitName::whole()]));
}

proptest! {
    #[test]
    fn looking_only_where_the_star_stands_finds_what_looking_everywhere_finds(
        paths in prop::collection::btree_set("(a/|b/|a-/|a0/|\\.h/|A/){1,4}f", 1..20),
    ) {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let text = environment_with("units: a/*").replace("path: overlays/dev", "path: a");
        let environment = only(&text).environments.remove(0);
        let inside = paths.iter().filter_map(|path| path.strip_prefix("a/a/")?.split_once('/')).map(|(name, _)| name);
        let expected: BTreeSet<UnitName> = inside.filter_map(|name| name.parse().ok()).collect();
        let found = environment.units_in(&tree(&paths)).map(|found| found.units).unwrap_or_default();
        prop_assert_eq!(found, expected);
    }
}
