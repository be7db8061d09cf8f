//! The bare mirror of a remote: a cache that can be thrown away and fetched again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use git2::{
    AutotagOption, Direction, FetchOptions, ObjectType, Oid, RemoteRedirect, Repository, RepositoryInitOptions,
};

use crate::name::{CommitId, ObjectId, RefName};

use super::connect::Door;
use super::error::GitError;
use super::graph::Graph;
use super::place::{Place, Remote};
use super::tags::Passed;
use super::{commit_id, object_id};

/// Says that a folder is ours to throw away.
const MARKER: &str = "lockmaster-mirror";

/// Says that an object of the mirror could not be read: it is made again when it is next opened.
const SUSPECT: &str = "lockmaster-suspect";

/// Everything that libgit2 may know about the mirror. Redirects to another host are not
/// followed (libgit2 follows those within one host), so that no credentials go elsewhere.
const CONFIGURATION: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tlogallrefupdates = false\n[http]\n\tfollowRedirects = false\n";

/// One reference for each commit that was fetched whole, so that its objects stay.
const SEEN: &str = "refs/lockmaster/seen/";

/// One reference for each accepted head.
const KEPT: &str = "refs/lockmaster/kept/";

/// How large an input may be (DESIGN.md §8, Budgets).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that one fetch may receive.
    pub pack_bytes: u64,
    /// Objects that one fetch may receive.
    pub pack_objects: u64,
    /// Commits that one judgement may look at.
    pub new_commits: u64,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Files and directories of a commit.
    pub tree_entries: u64,
    /// Bytes that comparing the new merges of one judgement with their sides may read.
    pub merge_bytes: u64,
    /// Tags that may be statements about one environment.
    pub statements: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pack_bytes: 2 << 30,
            pack_objects: 20_000_000,
            new_commits: 10_000,
            file_bytes: 8 << 20,
            tree_entries: 1_000_000,
            merge_bytes: 1 << 30,
            statements: 1_000,
        }
    }
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Objects received.
    pub received: u64,
    /// Objects to receive.
    pub total: u64,
    /// Bytes received.
    pub bytes: u64,
}

/// A bare repository that holds what was fetched from one remote. Its folder is a cache.
#[derive(Debug)]
pub struct Mirror {
    pub(super) folder: PathBuf,
    pub(super) remote: Remote,
    pub(super) limits: Limits,
    pub(super) fetching: Mutex<()>,
    /// What tags led to and is not kept.
    pub(super) passed: Mutex<BTreeMap<ObjectId, Passed>>,
    /// Trees that are known to hold no link and no submodule.
    pub(super) plain: Mutex<HashSet<Oid>>,
}

impl Mirror {
    /// Opens the mirror in a folder; makes it if it is missing, and makes it again if it is damaged.
    ///
    /// # Errors
    /// [`GitError::InvalidUrl`]; [`GitError::Folder`] if the folder cannot be written or holds something else.
    pub fn open(folder: &Path, remote: Remote) -> Result<Mirror, GitError> {
        remote.place()?;
        let mirror = Mirror {
            folder: folder.to_owned(),
            remote,
            limits: Limits::default(),
            fetching: Mutex::new(()),
            passed: Mutex::default(),
            plain: Mutex::default(),
        };
        let _alone = mirror.alone()?;
        if !mirror.is_sound() {
            mirror.make()?;
        }
        mirror.tidy()?;
        Ok(mirror)
    }

    /// The same mirror with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Mirror {
        self.limits = limits;
        self
    }

    /// The folder of the bare repository.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Asks the remote once for all its branches and tags. An annotated tag is named by its own id, not by its commit's.
    ///
    /// # Errors
    /// [`GitError::Fetch`], [`GitError::Authentication`], [`GitError::Folder`].
    pub fn ls_remote(&self) -> Result<BTreeMap<RefName, ObjectId>, GitError> {
        let repository = self.repository()?;
        let door = self.knock()?;
        let mut remote = repository.remote_anonymous(&self.remote.url).map_err(|error| door.explain(&error))?;
        let connection = remote
            .connect_auth(Direction::Fetch, Some(door.callbacks()), Some(door.proxy()))
            .map_err(|error| door.explain(&error))?;
        let mut references = BTreeMap::new();
        for head in connection.list().map_err(|error| door.explain(&error))? {
            let name = head.name();
            if !(name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) {
                continue;
            }
            // `refs/tags/x^{}` is the commit of tag `x`, and no reference name.
            let Ok(name) = name.parse::<RefName>() else { continue };
            references.insert(name, object_id(head.oid()));
        }
        Ok(references)
    }

    /// Fetches what is missing of these commits and their whole history; nothing where all of it is there.
    ///
    /// # Errors
    /// As [`Mirror::fetch_with`].
    pub fn fetch(&self, wanted: &[(RefName, CommitId)]) -> Result<(), GitError> {
        self.fetch_with(wanted, |_| {})
    }

    /// Fetches, and says how far it is.
    ///
    /// A reference that moved since it was listed is no error as long as the wanted commit comes along. What a fetch
    /// that fails brought in is removed.
    ///
    /// # Errors
    /// [`GitError::Fetch`], [`GitError::Authentication`], [`GitError::Corrupt`]; [`GitError::Limit`] on a pack too
    /// large; [`GitError::ShallowRemote`] and [`GitError::IncompleteHistory`] where parents are missing;
    /// [`GitError::RefNotFound`] where a wanted id is no commit.
    pub fn fetch_with(&self, wanted: &[(RefName, CommitId)], progress: impl FnMut(Progress)) -> Result<(), GitError> {
        let _one_at_a_time = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let _alone = self.alone()?;
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::folder(&self.folder, error.message()))?;
        let mut missing: Vec<&RefName> = Vec::new();
        for (reference, commit) in wanted {
            if !odb.exists(parse(commit)?) {
                missing.push(reference);
            }
        }
        let before = self.packs()?;
        let fetched = if missing.is_empty() { Ok(()) } else { self.download(&repository, &missing, progress) };
        let settled = fetched.and_then(|()| wanted.iter().try_for_each(|(name, commit)| self.settle(name, commit)));
        if settled.is_err() {
            self.drop_packs_but(&before)?;
        }
        // With nothing fetched there was nothing to drop: the mirror itself lacks something.
        if missing.is_empty() { self.suspect(settled) } else { settled }
    }

    /// Keeps the objects of an accepted head under a name of the caller's, whatever becomes of the remote.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`] where the commit is not in the mirror; [`GitError::Folder`].
    pub fn keep(&self, name: &str, commit: &CommitId) -> Result<(), GitError> {
        self.set_reference(&format!("{KEPT}{name}"), commit)
    }

    /// The commit that a full or shortened id names, with Git's suffixes such as `~2`.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`].
    pub fn resolve(&self, revision: &str) -> Result<CommitId, GitError> {
        super::clone::resolve(&self.repository()?, revision)
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Opens the repository anew: handles are not shared between threads, and see what others fetched.
    pub(super) fn repository(&self) -> Result<Repository, GitError> {
        Repository::open_bare(&self.folder).map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    /// Waits until no other process fetches, tidies or makes the mirror again: each would take the other's half-written
    /// packs for damage. It ends with the value.
    pub(super) fn alone(&self) -> Result<fs::File, GitError> {
        let wrong = |error: std::io::Error| GitError::folder(&self.folder, error);
        if let Some(parent) = self.folder.parent() {
            fs::create_dir_all(parent).map_err(wrong)?;
        }
        let file = fs::File::options().create(true).append(true).open(self.folder.with_extension("lock"));
        let file = file.map_err(wrong)?;
        file.lock().map_err(wrong)?;
        Ok(file)
    }

    /// Passes a result on, and remembers when it says that an object of the mirror is damaged.
    pub(super) fn suspect<T>(&self, result: Result<T, GitError>) -> Result<T, GitError> {
        if matches!(result, Err(GitError::Corrupt { .. } | GitError::IncompleteHistory { .. })) {
            fs::write(self.folder.join(SUSPECT), "").map_err(|error| GitError::folder(&self.folder, error))?;
        }
        result
    }

    fn knock(&self) -> Result<Door<'_>, GitError> {
        let door = Door::new(&self.remote)?;
        if let Place::Local(path) = door.place() {
            let found = Repository::open(path).map_err(|error| GitError::Fetch {
                url: self.remote.to_string(),
                found: format!("no repository: {}", error.message()),
            })?;
            if found.is_shallow() {
                return Err(GitError::ShallowRemote { url: self.remote.to_string() });
            }
        }
        Ok(door)
    }

    pub(super) fn download(
        &self,
        repository: &Repository,
        references: &[&RefName],
        mut progress: impl FnMut(Progress),
    ) -> Result<(), GitError> {
        let door = self.knock()?;
        let mut callbacks = door.callbacks();
        callbacks.transfer_progress(|stats| {
            let (received, total) = (stats.received_objects() as u64, stats.total_objects() as u64);
            let now = Progress { received, total, bytes: stats.received_bytes() as u64 };
            progress(now);
            self.over_limit(now).map(|error| door.refuse(error)).is_none()
        });
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .proxy_options(door.proxy())
            .follow_redirects(RemoteRedirect::None)
            .download_tags(AutotagOption::None)
            .update_fetchhead(false);
        // Only the pack is taken (`download`, not `fetch`): no reference of the remote is written here.
        let specs: Vec<String> = references.iter().map(|name| format!("+{name}:{SEEN}incoming")).collect();
        repository
            .remote_anonymous(&self.remote.url)
            .and_then(|mut remote| remote.download(&specs, Some(&mut options)))
            .map_err(|error| door.explain(&error))
    }

    fn over_limit(&self, now: Progress) -> Option<GitError> {
        let over = |what: &str, limit: u64, found: u64| {
            let what = format!("{what} from `{}`", self.remote);
            (found > limit).then_some(GitError::Limit { what, limit, found, file: None })
        };
        over("bytes of a pack", self.limits.pack_bytes, now.bytes)
            .or_else(|| over("objects of a pack", self.limits.pack_objects, now.total))
    }

    /// Checks that a wanted commit is there with all its parents, and keeps it.
    fn settle(&self, reference: &RefName, commit: &CommitId) -> Result<(), GitError> {
        let repository = self.repository()?;
        let id = parse(commit)?;
        let odb = repository.odb().map_err(|error| GitError::folder(&self.folder, error.message()))?;
        match odb.read_header(id) {
            Ok((_, ObjectType::Commit)) => {}
            Ok((_, kind)) => {
                let found = format!("is at `{commit}`, which is a {kind} and not a commit");
                return Err(GitError::RefNotFound { name: reference.to_string(), found });
            }
            Err(_) => {
                let found = format!("`{reference}` moved away from `{commit}` while it was fetched");
                return Err(GitError::Fetch { url: self.remote.to_string(), found });
            }
        }
        let seen = self.seen(&repository)?;
        let mut graph = Graph::new(&odb);
        graph.difference(&[id], &seen)?;
        self.set_reference(&format!("{SEEN}{commit}"), commit)?;
        for older in seen {
            if older != id && graph.reaches(id, older)? {
                self.drop_reference(&repository, &format!("{SEEN}{older}"))?;
            }
        }
        Ok(())
    }

    /// The tips of all history that was fetched whole.
    fn seen(&self, repository: &Repository) -> Result<Vec<Oid>, GitError> {
        let wrong = |error: git2::Error| GitError::folder(&self.folder, error.message());
        let references = repository.references_glob(&format!("{SEEN}*")).map_err(wrong)?;
        Ok(references.filter_map(Result::ok).filter_map(|reference| reference.target()).collect())
    }

    fn set_reference(&self, name: &str, commit: &CommitId) -> Result<(), GitError> {
        let repository = self.repository()?;
        let lost = |error: git2::Error| GitError::RefNotFound {
            name: commit.to_string(),
            found: format!("cannot be kept: {}", error.message()),
        };
        repository.find_commit(parse(commit)?).map_err(lost)?;
        let set = repository.reference(name, parse(commit)?, true, "");
        set.map(drop).map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    fn drop_reference(&self, repository: &Repository, name: &str) -> Result<(), GitError> {
        let dropped = repository.find_reference(name).and_then(|mut reference| reference.delete());
        dropped.map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    /// Whether every reference leads to a commit that can be read. Tags stand here only where a person makes one with the
    /// commands that `--dry-run` prints.
    fn is_sound(&self) -> bool {
        let sound = || -> Option<bool> {
            let marked = self.folder.join(MARKER).is_file() && !self.folder.join(SUSPECT).exists();
            let repository = Repository::open_bare(&self.folder).ok()?;
            for reference in repository.references().ok()? {
                let reference = reference.ok()?;
                repository
                    .find_object(reference.target()?, (!reference.is_tag()).then_some(ObjectType::Commit))
                    .ok()?;
            }
            let packs = self.packs().ok()?;
            let paired = packs.iter().all(|pack| {
                let other = if pack.ends_with(".idx") { "pack" } else { "idx" };
                packs.contains(&Path::new(pack).with_extension(other).to_string_lossy().into_owned())
            });
            Some(marked && paired)
        };
        sound().unwrap_or(false)
    }

    /// Makes the mirror from nothing. Only an empty folder or one that bears our marker is taken.
    fn make(&self) -> Result<(), GitError> {
        let wrong = |error: std::io::Error| GitError::folder(&self.folder, error);
        if self.folder.join(MARKER).exists() {
            fs::remove_dir_all(&self.folder).map_err(wrong)?;
        }
        fs::create_dir_all(&self.folder).map_err(wrong)?;
        if fs::read_dir(&self.folder).map_err(wrong)?.next().is_some() {
            return Err(GitError::folder(&self.folder, "is not empty and is no mirror"));
        }
        fs::write(self.folder.join(MARKER), "").map_err(wrong)?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        let made = Repository::init_opts(&self.folder, &options);
        made.map(drop).map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    /// Removes what a mirror never has: other configuration, alternates, grafts, and what a killed fetch left behind.
    fn tidy(&self) -> Result<(), GitError> {
        let wrong = |error: std::io::Error| GitError::folder(&self.folder, error);
        fs::write(self.folder.join("config"), CONFIGURATION).map_err(wrong)?;
        for name in ["shallow", "info/grafts", "objects/info/alternates", "packed-refs.lock"] {
            gone(&self.folder.join(name))?;
        }
        self.unlock_references(&self.folder.join("refs"))?;
        let packs = self.packs()?;
        self.drop_packs_but(&packs)
    }

    /// Removes the lock files that a killed process left beside references. One that lives holds such a lock for the
    /// time of one rename, and what it fails to write by this is written at its next look.
    fn unlock_references(&self, folder: &Path) -> Result<(), GitError> {
        let wrong = |error: std::io::Error| GitError::folder(folder, error);
        for entry in fs::read_dir(folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            if entry.file_type().map_err(wrong)?.is_dir() {
                self.unlock_references(&entry.path())?;
            } else if entry.path().extension().is_some_and(|extension| extension == "lock") {
                gone(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The names of all finished packs and their indexes.
    pub(super) fn packs(&self) -> Result<BTreeSet<String>, GitError> {
        let finished = |name: &String| name.starts_with("pack-") && (name.ends_with(".pack") || name.ends_with(".idx"));
        Ok(self.pack_files()?.into_iter().filter(finished).collect())
    }

    fn pack_files(&self) -> Result<Vec<String>, GitError> {
        let wrong = |error: std::io::Error| GitError::folder(&self.folder, error);
        let entries = match fs::read_dir(self.pack_folder()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(wrong)?,
        };
        entries.map(|entry| Ok(entry.map_err(wrong)?.file_name().to_string_lossy().into_owned())).collect()
    }

    pub(super) fn drop_packs_but(&self, keep: &BTreeSet<String>) -> Result<(), GitError> {
        for name in self.pack_files()?.into_iter().filter(|name| !keep.contains(name)) {
            let file = self.pack_folder().join(name);
            fs::remove_file(&file).map_err(|error| GitError::folder(&file, error))?;
        }
        Ok(())
    }

    fn pack_folder(&self) -> PathBuf {
        self.folder.join("objects/pack")
    }
}

/// Removes a file, if it is there.
fn gone(file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::folder(file, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The id as libgit2 has it. Its build here knows SHA-1 only.
pub(super) fn parse(commit: &CommitId) -> Result<Oid, GitError> {
    let unknown = || GitError::RefNotFound { name: commit.to_string(), found: "is not a SHA-1 id".to_owned() };
    let id = Oid::from_str(commit.as_str()).map_err(|_| unknown())?;
    if commit_id(id) == *commit { Ok(id) } else { Err(unknown()) }
}
