//! Whether what changed in a repository can change a render.

use std::collections::BTreeSet;

use super::kustomize::FILE_NAMES;
use crate::deploylog::Inputs;
use crate::name::RepoPath;

/// Whether a unit in `directory`, whose last render read `inputs`, may render otherwise after these paths changed.
///
/// It may where a path lies in its directory, is one of its input files, lies below a directory that was listed, or is the
/// name of a kustomization file beside one that was read: two of them in one directory are an error. Else closing it again
/// gives the same inputs, as long as no link and no submodule is in the new commit. The work grows with `changed`.
#[must_use]
pub fn is_touched(inputs: &Inputs, directory: &RepoPath, changed: &BTreeSet<RepoPath>) -> bool {
    changed.iter().any(|path| {
        path.is_within(directory)
            || inputs.files.contains_key(path)
            || rivals_a_kustomization(inputs, path)
            || is_listed(inputs, path)
    })
}

fn rivals_a_kustomization(inputs: &Inputs, path: &RepoPath) -> bool {
    let beside = |name: &&str| path.parent().join(name).is_ok_and(|file| inputs.files.contains_key(&file));
    FILE_NAMES.contains(&path.file_name()) && FILE_NAMES.iter().any(beside)
}

fn is_listed(inputs: &Inputs, path: &RepoPath) -> bool {
    let mut above = path.clone();
    while !above.as_str().is_empty() {
        above = above.parent();
        if inputs.listings.contains_key(&above) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::name::{Digest, Reason};
    use crate::render::{Closing, Contents, EntryKind, Renderer, Sources, Tree, TreeEntry, close};

    fn path(text: &str) -> RepoPath {
        text.parse().expect("because it is a path")
    }

    fn touched(inputs: &Inputs, directory: &str, changed: &str) -> bool {
        is_touched(inputs, &path(directory), &BTreeSet::from([path(changed)]))
    }

    #[test]
    fn a_unit_is_touched_in_its_directory_at_its_inputs_and_below_its_listings() {
        let digest = Digest::of(b"");
        let inputs = Inputs {
            files: ["apps/web/kustomization.yaml", "base/kustomization.yml", "base/x.yaml"]
                .map(|p| (path(p), digest))
                .into(),
            listings: [("lists", digest)].map(|(p, d)| (path(p), d)).into(),
        };
        for yes in [
            "apps/web/new",
            "apps/web",
            "base/x.yaml",
            "base/Kustomization",
            "base/kustomization.yml",
            "lists/a/b",
            "lists/a",
        ] {
            assert!(touched(&inputs, "apps/web", yes), "{yes}");
        }
        for no in [
            "apps/web2/x",
            "apps/we",
            "base/y.yaml",
            "base",
            "base/x.yaml2",
            "base/a/kustomization.yaml",
            "lists2/a",
            "x",
        ] {
            assert!(!touched(&inputs, "apps/web", no), "{no}");
        }
        assert!(!is_touched(&inputs, &path("apps/web"), &BTreeSet::new()));
        assert!(touched(&inputs, "", "x"), "everything lies in the root");
        let root = Inputs { files: BTreeMap::new(), listings: [(RepoPath::root(), digest)].into() };
        assert!(touched(&root, "apps/web", "x"), "the root was listed");
    }

    /// Files by path.
    type Files = BTreeMap<String, String>;

    fn closed(files: &Files, directory: &str) -> Result<Inputs, Reason> {
        let id = "0".repeat(40).parse::<crate::name::ObjectId>().expect("because it is an id");
        let entry = |content: &String| TreeEntry { kind: EntryKind::File, id: id.clone(), size: content.len() as u64 };
        let tree: Tree = files.iter().map(|(name, content)| (path(name), entry(content))).collect();
        let contents: Contents =
            files.iter().map(|(name, content)| (path(name), content.clone().into_bytes())).collect();
        let sources = Sources { paths: vec![path(directory)], renderer: Renderer::Auto };
        match close(&tree, &sources, &contents)? {
            Closing::Closed(closure) => Ok(closure.inputs().clone()),
            Closing::Needs(paths) => panic!("{paths:?} are not in the tree"),
        }
    }

    /// A kustomization of some of the names that it may use.
    fn kustomization(names: &'static [&'static str]) -> BoxedStrategy<String> {
        let chosen = prop::sample::subsequence(names, 0..=names.len());
        chosen.prop_map(|names| format!("resources: [{}]\n", names.join(", "))).boxed()
    }

    fn plain() -> BoxedStrategy<String> {
        (0..3u8).prop_map(|number| format!("v: {number}\n")).boxed()
    }

    /// The files that a repository may have: two overlays, two bases one on the other, and one plain unit.
    fn slots() -> Vec<(&'static str, u32, BoxedStrategy<String>)> {
        let overlay = || kustomization(&["x.yaml", "../../base", "../../base/more", "../../base/x.yaml"]);
        let base = || kustomization(&["x.yaml", "more", "../other/o.yaml"]);
        vec![
            ("apps/a/kustomization.yaml", 90, overlay()),
            ("apps/a/x.yaml", 90, plain()),
            ("apps/b/Kustomization", 80, overlay()),
            ("apps/b/kustomization.yml", 10, overlay()),
            ("apps/b/x.yaml", 90, plain()),
            ("apps/c/sub/z.yaml", 50, plain()),
            ("apps/c/sub/.h/q.yaml", 50, plain()),
            ("apps/c/x.yaml", 80, plain()),
            ("apps/c/notes.txt", 50, plain()),
            ("apps/c/Chart.yaml", 5, plain()),
            ("base/kustomization.yaml", 90, base()),
            ("base/Kustomization", 10, base()),
            ("base/x.yaml", 90, plain()),
            ("base/unused.yaml", 50, plain()),
            ("base/more/kustomization.yml", 90, kustomization(&["m.yaml"])),
            ("base/more/kustomization.yaml", 10, kustomization(&["m.yaml"])),
            ("base/more/m.yaml", 90, plain()),
            ("other/o.yaml", 80, plain()),
        ]
    }

    fn files() -> impl Strategy<Value = Files> {
        let slot = |(name, percent, content): (&'static str, u32, BoxedStrategy<String>)| {
            (prop::bool::weighted(f64::from(percent) / 100.0), content)
                .prop_map(move |(is_there, content)| is_there.then(|| (name.to_owned(), content)))
        };
        slots().into_iter().map(slot).collect::<Vec<_>>().prop_map(|slots| slots.into_iter().flatten().collect())
    }

    /// A repository before and after a change of few files.
    fn changes() -> impl Strategy<Value = (Files, Files)> {
        let names: Vec<&str> = slots().into_iter().map(|(name, ..)| name).collect();
        (files(), files(), prop::sample::subsequence(names, 0..4)).prop_map(|(before, other, names)| {
            let mut after = before.clone();
            for name in names {
                match other.get(name) {
                    Some(content) => drop(after.insert(name.to_owned(), content.clone())),
                    None => drop(after.remove(name)),
                }
            }
            (before, after)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_not_touched_closes_to_the_same_inputs((before, after) in changes()) {
            let names = before.keys().chain(after.keys());
            let changed = names.filter(|name| before.get(*name) != after.get(*name)).map(|name| path(name)).collect();
            for unit in ["apps/a", "apps/b", "apps/c"] {
                let Ok(inputs) = closed(&before, unit) else { continue };
                if !is_touched(&inputs, &path(unit), &changed) {
                    prop_assert_eq!(closed(&after, unit), Ok(inputs));
                }
            }
        }
    }
}
