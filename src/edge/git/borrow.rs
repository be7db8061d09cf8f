//! Objects of the clone that a person works in, taken into the mirror so that a commit can be judged before it is pushed.

use std::path::Path;

use git2::Repository;

use crate::name::CommitId;

use super::Mirror;
use super::error::GitError;
use super::mirror::parse;

impl Mirror {
    /// Takes a commit and its history from the clone around a directory; what the mirror has already is left out. The
    /// clone is not written.
    ///
    /// # Errors
    /// [`GitError::Folder`] if there is no clone or the mirror cannot be written; [`GitError::Corrupt`] if an object is
    /// missing in the clone.
    pub fn take_from(&self, directory: &Path, commit: &CommitId) -> Result<(), GitError> {
        let mirror = self.repository()?;
        let broken = |error: git2::Error| GitError::folder(directory, error.message());
        let id = parse(commit)?;
        if mirror.find_commit(id).is_ok() {
            return Ok(());
        }
        let clone = Repository::discover(directory).map_err(broken)?;
        if clone.is_shallow() {
            return Err(GitError::ShallowRemote { url: directory.display().to_string() });
        }
        let mut walk = clone.revwalk().map_err(broken)?;
        walk.push(id).map_err(broken)?;
        for reference in mirror.references().map_err(broken)?.flatten() {
            if let Some(known) = reference.target().filter(|known| clone.find_commit(*known).is_ok()) {
                walk.hide(known).map_err(broken)?;
            }
        }
        let mut builder = clone.packbuilder().map_err(broken)?;
        builder.insert_walk(&mut walk).map_err(broken)?;
        let odb = mirror.odb().map_err(broken)?;
        let mut writer = odb.packwriter().map_err(broken)?;
        let mut failed = None;
        builder
            .foreach(|bytes| {
                failed = std::io::Write::write_all(&mut writer, bytes).err();
                failed.is_none()
            })
            .map_err(broken)?;
        if let Some(error) = failed {
            return Err(GitError::folder(directory, error));
        }
        writer.commit().map_err(broken)?;
        Ok(())
    }
}
