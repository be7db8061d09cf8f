//! The closure of a kustomization: every file that `kustomize build` will read, found without running it.

use std::collections::BTreeSet;

use super::kustomization::{self, Loads, Named};
use super::plugin;
use super::walk::{Lead, Walk, refused};
use crate::manifest;
use crate::name::{Code, Reason, RepoPath};

/// How deep kustomizations may stand on each other (DESIGN §8).
const DEPTH_LIMIT: usize = 64;

/// The names of a kustomization file (kustomize, `api/konfig/general.go`).
pub(super) const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Reads everything that building this directory reads.
///
/// # Errors
/// `render-failed`, `remote-input-forbidden`, `unsafe-path`, `limit-exceeded` or `invalid-yaml`, with the file.
pub(super) fn close(walk: &mut Walk<'_>, directory: &RepoPath) -> Result<(), Reason> {
    let mut build = Build { walk, stack: Vec::new(), done: BTreeSet::new() };
    build.kustomization(&Visit { directory: directory.clone(), root: None })
}

/// The kustomization files of a directory: one, if it is to be built.
pub(super) fn kustomization_files(walk: &Walk<'_>, directory: &RepoPath) -> Vec<&'static str> {
    FILE_NAMES.into_iter().filter(|name| walk.holds(directory, name)).collect()
}

/// A directory to build, and for which root if it holds plugin configurations: they name files as seen from the
/// kustomization that uses them, not from where they stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Visit {
    directory: RepoPath,
    root: Option<RepoPath>,
}

struct Build<'w, 'a> {
    walk: &'w mut Walk<'a>,
    stack: Vec<Visit>,
    done: BTreeSet<Visit>,
}

/// Where a name was read: for the place of a reason.
struct Origin<'b> {
    file: &'b RepoPath,
    bytes: &'b [u8],
}

impl Build<'_, '_> {
    fn kustomization(&mut self, visit: &Visit) -> Result<(), Reason> {
        if self.done.contains(visit) {
            return Ok(());
        }
        self.check_stack(visit)?;
        let file = self.file_of(&visit.directory)?;
        let Some(bytes) = self.walk.read(&file)? else { return Ok(()) };
        let values = manifest::read_values(&file, bytes)?;
        let [value] = values.as_slice() else {
            let message = format!("`{file}` has {} documents, a kustomization has one", values.len());
            return Err(refused(Code::RenderFailed, message, &file));
        };
        let named = match visit.root {
            None => kustomization::names(&file, value)?,
            Some(_) => kustomization::plugin_names(&file, value)?,
        };
        self.stack.push(visit.clone());
        for name in &named {
            self.follow(visit, &Origin { file: &file, bytes }, name)?;
        }
        self.stack.pop();
        self.done.insert(visit.clone());
        Ok(())
    }

    fn follow(&mut self, visit: &Visit, origin: &Origin<'_>, named: &Named) -> Result<(), Reason> {
        let entry = &named.entry;
        let leaves = |_| {
            let message = format!("`{}` names `{entry}`, a path outside the repository", origin.file);
            origin.place(Reason::new(Code::UnsafePath, message), entry)
        };
        let path = visit.directory.join(entry).map_err(leaves)?;
        let lead = self.walk.lead(&path).map_err(|reason| origin.place(reason, entry))?;
        match (lead, named.loads) {
            (Lead::Unread, _) => Ok(()),
            (Lead::Missing, _) => {
                let message = format!("`{}` names `{entry}`, but `{path}` is not in the commit", origin.file);
                Err(origin.place(Reason::new(Code::RenderFailed, message), entry))
            }
            (Lead::Directory, Loads::Resource | Loads::Directory) => {
                self.kustomization(&Visit { directory: path, root: None })
            }
            (Lead::Directory, Loads::Plugins) => {
                let root = visit.root.as_ref().unwrap_or(&visit.directory).clone();
                self.kustomization(&Visit { directory: path, root: Some(root) })
            }
            (Lead::File(_), Loads::File | Loads::Resource) => {
                self.walk.read(&path).map(drop).map_err(|reason| origin.place(reason, entry))
            }
            (Lead::File(_), Loads::Plugins) => self.plugins(visit, &path),
            (Lead::Directory, Loads::File) => {
                let message = format!("`{}` names `{entry}`, a directory where a file is needed", origin.file);
                Err(origin.place(Reason::new(Code::RenderFailed, message), entry))
            }
            (Lead::File(_), Loads::Directory) => {
                let message = format!("`{}` names `{entry}`, a file where a directory is needed", origin.file);
                Err(origin.place(Reason::new(Code::RenderFailed, message), entry))
            }
        }
    }

    /// A file of plugin configurations, and the files they name.
    fn plugins(&mut self, visit: &Visit, file: &RepoPath) -> Result<(), Reason> {
        let Some(bytes) = self.walk.read(file)? else { return Ok(()) };
        let configurations = manifest::read_values(file, bytes)?;
        let root = visit.root.as_ref().unwrap_or(&visit.directory).clone();
        let user = Visit { directory: root, root: None };
        for named in plugin::names(file, &configurations)? {
            self.follow(&user, &Origin { file, bytes }, &named)?;
        }
        Ok(())
    }

    fn file_of(&self, directory: &RepoPath) -> Result<RepoPath, Reason> {
        match kustomization_files(self.walk, directory).as_slice() {
            [name] => Ok(directory.join(name).expect("because the name is a plain one")),
            [] => {
                let message = format!("`{directory}` has no kustomization file");
                Err(refused(Code::RenderFailed, message, directory))
            }
            several => {
                let message = format!("`{directory}` has several kustomization files: `{}`", several.join("`, `"));
                Err(refused(Code::RenderFailed, message, directory))
            }
        }
    }

    fn check_stack(&self, visit: &Visit) -> Result<(), Reason> {
        if let Some(start) = self.stack.iter().position(|above| above == visit) {
            let ring = self.stack[start..].iter().chain([visit]);
            let ring: Vec<String> = ring.map(|visit| format!("`{}`", visit.directory)).collect();
            let message = format!("{} is a cycle of kustomizations", ring.join(" → "));
            return Err(refused(Code::RenderFailed, message, &visit.directory));
        }
        if self.stack.len() >= DEPTH_LIMIT {
            let message = format!("`{}` is a kustomization deeper than the limit of {DEPTH_LIMIT}", visit.directory);
            return Err(refused(Code::LimitExceeded, message, &visit.directory));
        }
        Ok(())
    }
}

impl Origin<'_> {
    /// The reason, at the first line that has the entry.
    fn place(&self, reason: Reason, entry: &str) -> Reason {
        let text = String::from_utf8_lossy(self.bytes);
        let line = text.lines().position(|line| line.contains(entry));
        let line = line.and_then(|index| u32::try_from(index + 1).ok());
        reason.at_file(self.file.to_string(), line, None)
    }
}
