//! Wakes when a file or a local repository changes. A wake carries no data: look at the world again.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc as wakes;

/// How long it must have been quiet before a wake is sent: one `git push` touches several files within a few milliseconds.
/// What comes later wakes again.
const QUIET: Duration = Duration::from_millis(10);

/// How long a wake may be put off while changes go on.
const PATIENCE: Duration = Duration::from_millis(500);

/// Keeps the watch; dropping it ends the watch and closes the channel.
#[derive(Debug)]
pub struct Watcher {
    _watcher: RecommendedWatcher,
}

/// Why a path cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be watched", path.display())]
pub struct WatchError {
    /// The path.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: notify::Error,
}

/// Watches files and local repositories.
///
/// A file is watched through its directory, so that it may be replaced, removed and made again, also by the `..data`
/// link of a mounted ConfigMap. Of a repository its branches, tags and `HEAD` are watched, of any other directory the
/// names in it. Wakes are coalesced: while one waits in the channel, no other is added.
///
/// # Errors
/// A directory is missing, or the system has no watch left.
pub fn watch(paths: &[PathBuf]) -> Result<(Watcher, wakes::Receiver<()>), WatchError> {
    let places: Vec<Place> = paths.iter().flat_map(|path| places(path)).collect();
    let (changed, changes) = mpsc::channel();
    let judged = places.clone();
    let on_event = move |event: notify::Result<notify::Event>| {
        // An error means that events may be lost: that is a reason to look, too.
        if event.map_or(true, |event| is_change(&event, &judged)) {
            changed.send(()).ok();
        }
    };
    let unwatchable = |path: &Path, source| WatchError { path: path.to_owned(), source };
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let mut watcher = notify::recommended_watcher(on_event).map_err(|error| unwatchable(first, error))?;
    for place in &places {
        watcher.watch(&place.directory, place.mode()).map_err(|error| unwatchable(&place.directory, error))?;
    }
    let (wake, woken) = wakes::channel(1);
    std::thread::spawn(move || settle(&changes, &wake));
    Ok((Watcher { _watcher: watcher }, woken))
}

/// A directory, and which changes in it count.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    directory: PathBuf,
    counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Counts {
    /// Whatever happens straight in the directory.
    Anything,
    /// These names, straight in the directory.
    Names(Vec<String>),
    /// Everything below it except lock files.
    References,
}

impl Place {
    fn mode(&self) -> RecursiveMode {
        match self.counts {
            Counts::Anything | Counts::Names(_) => RecursiveMode::NonRecursive,
            Counts::References => RecursiveMode::Recursive,
        }
    }

    fn counts(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.directory) else { return false };
        match &self.counts {
            Counts::Anything => true,
            Counts::Names(names) => names.iter().any(|name| below == Path::new(name)),
            Counts::References => path.extension() != Some(OsStr::new("lock")),
        }
    }
}

fn places(path: &Path) -> Vec<Place> {
    if let Some(folder) = git_folder(path) {
        return repository_places(&folder);
    }
    // The system tells changes by absolute names.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.is_dir() {
        return vec![Place { directory: path, counts: Counts::Anything }];
    }
    let directory = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // The kubelet swaps `..data` and leaves the file's own name untouched.
    let mut places = vec![Place { directory, counts: Counts::Names(vec![name, "..data".to_owned()]) }];
    if let Some(target) = link_target(&path) {
        places.push(target);
    }
    places
}

/// The file that a link leads to in another directory.
fn link_target(path: &Path) -> Option<Place> {
    let target = fs::canonicalize(path).ok()?;
    let directory = target.parent()?;
    if fs::canonicalize(path.parent()?).ok()? == directory || !fs::symlink_metadata(path).ok()?.is_symlink() {
        return None;
    }
    let name = target.file_name()?.to_string_lossy().into_owned();
    Some(Place { directory: directory.to_owned(), counts: Counts::Names(vec![name]) })
}

/// The folder that holds a repository's `HEAD`: the path itself if it is bare, its `.git`, or where that file points.
fn git_folder(path: &Path) -> Option<PathBuf> {
    let is_folder = |folder: &Path| folder.join("HEAD").is_file();
    if is_folder(path) && path.join("refs").is_dir() {
        return fs::canonicalize(path).ok();
    }
    let dot_git = path.join(".git");
    let folder = match fs::read_to_string(&dot_git) {
        Ok(text) => path.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    fs::canonicalize(folder).ok().filter(|folder| is_folder(folder))
}

fn repository_places(folder: &Path) -> Vec<Place> {
    let named = |directory: &Path, names: &[&str]| Place {
        directory: directory.to_owned(),
        counts: Counts::Names(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    // A working tree of its own has its own `HEAD` and shares the branches (gitrepository-layout(5), commondir).
    let common = fs::read_to_string(folder.join("commondir"))
        .ok()
        .and_then(|text| fs::canonicalize(folder.join(text.trim())).ok())
        .unwrap_or_else(|| folder.to_owned());
    let mut places = vec![named(&common, &["HEAD", "packed-refs"])];
    if common != folder {
        places.push(named(folder, &["HEAD"]));
    }
    let references = ["refs/heads", "refs/tags"].map(|name| common.join(name)).into_iter();
    places.extend(
        references
            .filter(|directory| directory.is_dir())
            .map(|directory| Place { directory, counts: Counts::References }),
    );
    places
}

/// Whether something changed. Reading is not a change: else our own look at a file would wake us again.
fn is_change(event: &notify::Event, places: &[Place]) -> bool {
    let changes = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    };
    let counts = |path: &PathBuf| places.iter().any(|place| place.counts(path));
    changes && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(counts))
}

/// Sends one wake for each burst of changes, until the watcher or the receiver is gone.
fn settle(changes: &mpsc::Receiver<()>, wake: &wakes::Sender<()>) {
    while changes.recv().is_ok() {
        let latest = Instant::now() + PATIENCE;
        while Instant::now() < latest && changes.recv_timeout(QUIET).is_ok() {}
        if let Err(wakes::error::TrySendError::Closed(())) = wake.try_send(()) {
            return;
        }
    }
}
