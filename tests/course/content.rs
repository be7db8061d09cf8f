//! What the commits of the people hold: two shared files and one own file for each environment, each chosen by a number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lockmaster::name::RepoPath;
use lockmaster::render::{Closure, Contents, Outputs, Part};
use serde_json::Value;

use super::shop::{claim, config, deployment, in_wave, secret};

/// The environments, upstream first.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];

/// The units of an environment that has some.
pub(crate) const UNITS: [&str; 3] = ["api", "cart", "web"];

/// Whose file has this bit is not there at all.
pub(crate) const ABSENT: u8 = 32;

/// A file of this number is no YAML.
pub(crate) const BROKEN: u8 = 0xff;

/// A file of this number names an object in a namespace where nobody may write.
pub(crate) const OUTSIDE: u8 = 0xfe;

/// What a commit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Content {
    /// `deploy/a.yaml` and `deploy/b.yaml`.
    pub(crate) shared: [u8; 2],
    /// `own/<environment>/own.yaml`; `apps/<unit>/own.yaml` where there are units.
    pub(crate) own: [u8; 3],
    /// Whether the one environment has units.
    pub(crate) units: bool,
}

impl Content {
    /// Whether an environment can render it.
    pub(crate) fn renders(&self, environment: usize) -> bool {
        if self.units {
            return self.own[environment] < OUTSIDE && self.has(environment);
        }
        self.shared.iter().chain([&self.own[environment]]).all(|file| *file < OUTSIDE)
    }

    /// Whether a unit is there.
    pub(crate) fn has(&self, unit: usize) -> bool {
        self.own[unit] >= OUTSIDE || self.own[unit] & ABSENT == 0
    }

    /// What a unit reads.
    pub(crate) fn read_by(&self, unit: usize) -> (u8, Option<u8>, u8) {
        (self.shared[0], reads_extra(unit).then_some(self.shared[1]), self.own[unit])
    }

    pub(crate) fn files(&self) -> Contents {
        if self.units {
            return self.files_of_units();
        }
        let shared = ["a", "b"].iter().zip(self.shared).map(|(name, file)| (format!("deploy/{name}.yaml"), file));
        let own = ENVIRONMENTS.iter().zip(self.own).map(|(name, file)| (format!("own/{name}/own.yaml"), file));
        let files = shared.zip([0, 1]).chain(own.map(|own| (own, 2)));
        files.map(|((path, file), which)| (path_of(&path), text(which, file).as_ref().clone())).collect()
    }
}

/// All units but the last read the second shared file as well.
fn reads_extra(unit: usize) -> bool {
    unit + 1 < UNITS.len()
}

impl Content {
    fn files_of_units(&self) -> Contents {
        let mut files = Contents::new();
        for (place, unit) in UNITS.iter().enumerate().filter(|(place, _)| self.has(*place)) {
            let extra = if reads_extra(place) { ", ../../shared/extra.yaml" } else { "" };
            // Whoever pushes the one file pushes the other.
            let own = self.own[place];
            let kustomization = format!("resources: [own.yaml, ../../shared/base.yaml{extra}] # {own}\n");
            files.insert(path_of(&format!("apps/{unit}/kustomization.yaml")), kustomization.into_bytes());
            files.insert(path_of(&format!("apps/{unit}/own.yaml")), text(3 + place, self.own[place]).as_ref().clone());
        }
        for (name, file) in ["base", "extra"].iter().zip(self.shared) {
            let text = config(name, &file.to_string()).to_string().into_bytes();
            files.insert(path_of(&format!("shared/{name}.yaml")), text);
        }
        files
    }
}

/// The files that a unit may read.
pub(crate) fn paths_of(unit: usize) -> Vec<RepoPath> {
    let own = ["kustomization", "own"].map(|name| format!("apps/{}/{name}.yaml", UNITS[unit]));
    let extra = reads_extra(unit).then(|| "shared/extra.yaml".to_owned());
    own.into_iter().chain(["shared/base.yaml".to_owned()]).chain(extra).map(|path| path_of(&path)).collect()
}

/// What a unit's kustomization builds: its own objects, and the shared ones under names of its own.
pub(crate) fn kustomized(closure: &Closure) -> Outputs {
    let build = |part: &Part| {
        let Part::Kustomize { path } = part else { return None };
        let unit = path.file_name();
        let shared = |name: &str| {
            let bytes = closure.files().get(&path_of(&format!("shared/{name}.yaml")))?;
            let mut value: Value = serde_json::from_slice(bytes).ok()?;
            value["metadata"]["name"] = format!("{unit}-{name}").into();
            Some(format!("\n---\n{value}\n"))
        };
        let mut output = closure.files().get(&path_of(&format!("apps/{unit}/own.yaml")))?.clone();
        output.extend(["base", "extra"].into_iter().filter_map(shared).collect::<String>().into_bytes());
        Some((path.clone(), output))
    };
    closure.parts().iter().filter_map(build).collect()
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
        2 => objects.push(secret("own", &version)),
        _ => {
            let unit = UNITS[which - 3];
            objects.push(secret(&format!("{unit}-own"), &version));
            if has(0) {
                objects.push(deployment(unit, &format!("{unit}:{version}")));
            }
            if has(1) {
                objects.push(config("moves", "1"));
            }
            if has(2) {
                objects.push(config(&format!("{unit}-brief"), "1"));
            }
        }
    }
    if file == OUTSIDE {
        objects[0]["metadata"]["namespace"] = "somewhere-else".into();
    }
    objects
}

/// From this number on objects are those of units.
pub(crate) const OF_UNITS: usize = 100;

/// The names of what may be there where there are units.
pub(crate) const UNIT_NAMES: [(&str, &str, &str); 9] = [
    ("apps", "Deployment", "api"),
    ("apps", "Deployment", "cart"),
    ("apps", "Deployment", "web"),
    ("", "ConfigMap", "moves"),
    ("", "Secret", "api-own"),
    ("", "ConfigMap", "api-brief"),
    ("", "ConfigMap", "cart-brief"),
    ("", "ConfigMap", "cart-base"),
    ("", "ConfigMap", "web-base"),
];

/// The names of what may be there, with their kinds.
pub(crate) const NAMES: [(&str, &str, &str); 8] = [
    ("", "ConfigMap", "settings"),
    ("apps", "Deployment", "web"),
    ("", "ConfigMap", "brief"),
    ("", "ConfigMap", "more"),
    ("apps", "Deployment", "cart"),
    ("", "PersistentVolumeClaim", "data"),
    ("", "ConfigMap", "moves"),
    ("", "Secret", "own"),
];
