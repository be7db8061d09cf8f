//! What the commits of the people hold: two shared files and one own file for each environment, each chosen by a number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lockmaster::name::RepoPath;
use lockmaster::render::Contents;
use serde_json::Value;

use super::shop::{claim, config, deployment, in_wave};

/// The environments, upstream first.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];

/// A file of this number is no YAML.
pub(crate) const BROKEN: u8 = 0xff;

/// A file of this number names an object in a namespace where nobody may write.
pub(crate) const OUTSIDE: u8 = 0xfe;

/// What a commit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Content {
    /// `deploy/a.yaml` and `deploy/b.yaml`.
    pub(crate) shared: [u8; 2],
    /// `own/<environment>/own.yaml`.
    pub(crate) own: [u8; 3],
}

impl Content {
    /// Whether an environment can render it.
    pub(crate) fn renders(&self, environment: usize) -> bool {
        self.shared.iter().chain([&self.own[environment]]).all(|file| *file < OUTSIDE)
    }

    pub(crate) fn files(&self) -> Contents {
        let shared = ["a", "b"].iter().zip(self.shared).map(|(name, file)| (format!("deploy/{name}.yaml"), file));
        let own = ENVIRONMENTS.iter().zip(self.own).map(|(name, file)| (format!("own/{name}/own.yaml"), file));
        let files = shared.zip([0, 1]).chain(own.map(|own| (own, 2)));
        files.map(|((path, file), which)| (path_of(&path), text(which, file).as_ref().clone())).collect()
    }
}

pub(crate) fn path_of(path: &str) -> RepoPath {
    path.parse().expect("because it is a path")
}

/// The text of each file, by which of a commit's files it is and its number.
type Texts = BTreeMap<(usize, u8), Rc<Vec<u8>>>;

thread_local! {
    static TEXTS: RefCell<Texts> = const { RefCell::new(BTreeMap::new()) };
}

fn text(which: usize, file: u8) -> Rc<Vec<u8>> {
    let make = || {
        let objects = objects(which, file);
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let text = if file == BROKEN { "{ no".to_owned() } else { documents.join("\n---\n") };
        Rc::new(text.into_bytes())
    };
    TEXTS.with_borrow_mut(|texts| Rc::clone(texts.entry((which, file)).or_insert_with(make)))
}

/// The objects of a file: the two lowest bits are a version, the others say which objects there are.
fn objects(which: usize, file: u8) -> Vec<Value> {
    let version = (file & 3).to_string();
    let has = |bit: u8| file & (4 << bit) != 0;
    let mut objects = Vec::new();
    match which {
        0 => {
            objects.push(config("settings", &version));
            if has(0) {
                objects.push(deployment("web", &format!("web:{version}")));
            }
            if has(1) {
                objects.push(config("brief", "1"));
            }
        }
        1 => {
            objects.push(config("more", &version));
            if has(0) {
                objects.push(in_wave(deployment("cart", &format!("cart:{version}")), "1"));
            }
            if has(1) {
                objects.push(claim("data"));
            }
            if has(2) {
                objects.push(config("moves", &version));
            }
        }
        _ => objects.push(config("own", &version)),
    }
    if file == OUTSIDE {
        objects[0]["metadata"]["namespace"] = "somewhere-else".into();
    }
    objects
}

/// The names of what may be there, with their kinds.
pub(crate) const NAMES: [(&str, &str, &str); 8] = [
    ("", "ConfigMap", "settings"),
    ("apps", "Deployment", "web"),
    ("", "ConfigMap", "brief"),
    ("", "ConfigMap", "more"),
    ("apps", "Deployment", "cart"),
    ("", "PersistentVolumeClaim", "data"),
    ("", "ConfigMap", "moves"),
    ("", "ConfigMap", "own"),
];
