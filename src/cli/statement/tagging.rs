//! Where a tag is made, who makes it, and the calls of git that do it. What `--dry-run` prints is what would be run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::draft::Draft;
use crate::agent::site::Site;
use crate::cli::arguments::Signing;
use crate::cli::diagnostic::{Failure, escape};
use crate::config::Environment;
use crate::edge::git::{self, GitCommand, GitCommandError, Ground, StandIn};
use crate::name::{Code, CommitId, Principal, RefName};
use crate::revision::statement::RawTag;
use crate::signature::{GIT_NAMESPACE, Standing, public_key};

/// What a person may have set in a clone alone.
const HABITS: [&str; 9] = [
    "user.name",
    "user.email",
    "user.signingkey",
    "gpg.format",
    "gpg.program",
    "gpg.ssh.program",
    "gpg.ssh.defaultKeyCommand",
    "credential.helper",
    "core.sshCommand",
];

/// A repository to tag in, and how the person signs.
pub(in crate::cli) struct Desk {
    ground: Ground,
    url: String,
    /// Settings of git for this call: the key, and who signs where git does not know.
    settings: Vec<String>,
    /// The e-mail address of the tagger.
    pub(super) email: String,
}

impl Desk {
    /// The clone at the working directory, if it is one of the pipeline's repository; else the mirror.
    ///
    /// # Errors
    /// There is no git, or it does not know who signs.
    pub(in crate::cli) async fn open(site: &Site, url: &str, signing: &Signing) -> Result<Desk, Failure> {
        let folder = site.with_mirror(|mirror| Ok(mirror.folder().to_owned())).await;
        let folder = folder.map_err(|error| Failure::from(error.reason()))?;
        let absolute = std::path::absolute(folder).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        let ground = if here_is(url) { Ground::Clone } else { Ground::Bare(absolute) };
        let mut settings = Vec::new();
        if let Some(key) = &signing.key {
            let file = key_file(key)?;
            settings.extend(["-c".to_owned(), "gpg.format=ssh".to_owned()]);
            settings.extend(["-c".to_owned(), format!("user.signingkey={}", file.display())]);
        }
        let mut desk = Desk { ground, url: url.to_owned(), settings, email: String::new() };
        desk.email = desk.identify(site, signing.key.as_deref())?;
        Ok(desk)
    }

    /// The same person at the mirror, with what the clone at the working directory says about signing and pushing.
    ///
    /// # Errors
    /// The mirror's folder has no path.
    pub(in crate::cli) async fn at_mirror(self, site: &Site) -> Result<Desk, Failure> {
        let folder = site.with_mirror(|mirror| Ok(mirror.folder().to_owned())).await;
        let folder = folder.map_err(|error| Failure::from(error.reason()))?;
        let absolute = std::path::absolute(folder).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        Ok(self.moved_to(absolute))
    }

    /// The same person where commits can be tagged that are nowhere at hand.
    pub(super) fn standing_in(self, scratch: &StandIn) -> Desk {
        self.moved_to(scratch.folder().to_owned())
    }

    /// The same person at another repository, with what the clone at the working directory says about signing and pushing.
    fn moved_to(mut self, folder: PathBuf) -> Desk {
        let mut habits = Vec::new();
        for name in HABITS.into_iter().filter(|_| self.ground == Ground::Clone) {
            if let Ok(value) = self.run(&self.command(["config", "--get", name])) {
                habits.extend(["-c".to_owned(), format!("{name}={}", String::from_utf8_lossy(&value).trim_end())]);
            }
        }
        habits.append(&mut self.settings);
        Desk { ground: Ground::Bare(folder), settings: habits, ..self }
    }

    /// The call that makes and signs a commit of this tree.
    pub(in crate::cli) fn commit(&self, tree: &str, parents: &[&str], message: &str) -> GitCommand {
        let parents = parents.iter().flat_map(|parent| ["-p", *parent]);
        let words = ["commit-tree", "-S"].into_iter().chain(parents).chain(["-m", message, tree]);
        GitCommand::new(&self.ground, self.settings.iter().map(String::as_str).chain(words))
    }

    /// The call that pushes a commit to a branch.
    pub(in crate::cli) fn push_to(&self, url: &str, commit: &str, branch: &str) -> GitCommand {
        let spec = format!("{commit}:{branch}");
        let words = ["push", "--quiet", url, &spec];
        GitCommand::new(&self.ground, self.settings.iter().map(String::as_str).chain(words))
    }

    /// Who tags: git's identity, else the holder of the key.
    fn identify(&mut self, site: &Site, key: Option<&Path>) -> Result<String, Failure> {
        let ask = ["-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"];
        let said = match GitCommand::new(&self.ground, ask).run() {
            Err(GitCommandError::Failed { said, .. }) => said,
            Err(error) => return Err(broken(error)),
            Ok(ident) => {
                let ident = String::from_utf8_lossy(&ident).into_owned();
                let email = ident.rsplit_once('>').and_then(|(before, _)| before.rsplit_once('<'));
                return Ok(email.map_or(String::new(), |(_, email)| email.to_owned()));
            }
        };
        let Some(principal) = key.and_then(|key| holder(site, key)) else {
            let failure = Failure::new(Code::Usage, "git does not know who you are").because(last_line(&said));
            return Err(failure.with_hint("say it: git config user.name NAME && git config user.email YOU@EXAMPLE.COM"));
        };
        for name in ["user.name", "user.email"] {
            self.settings.extend(["-c".to_owned(), format!("{name}={principal}")]);
        }
        Ok(principal.to_string())
    }

    /// The tags that are at the remote or here.
    ///
    /// # Errors
    /// The remote cannot be asked.
    pub(super) async fn taken(&self, site: &Site) -> Result<BTreeSet<RefName>, Failure> {
        let listed = site.with_mirror(git::Mirror::ls_remote).await.map_err(|error| Failure::from(error.reason()))?;
        Ok(self.taken_here()?.into_iter().chain(listed.into_keys()).collect())
    }

    /// The tags that are here.
    ///
    /// # Errors
    /// Git cannot list them.
    pub(super) fn taken_here(&self) -> Result<BTreeSet<RefName>, Failure> {
        let here = self.run(&self.command(["for-each-ref", "--format=%(refname)", "refs/tags/"])).map_err(broken)?;
        Ok(String::from_utf8_lossy(&here).lines().filter_map(|name| name.parse().ok()).collect())
    }

    /// The call that brings the commit here, if it is not here; the mirror has it.
    pub(super) fn bring(&self, environment: &Environment, commit: &CommitId) -> Option<GitCommand> {
        let there = format!("{commit}^{{commit}}");
        if self.run(&self.command(["cat-file", "-e", &there])).is_ok() {
            return None;
        }
        Some(self.command(["fetch", "--quiet", "--no-tags", &self.url, environment.branch.as_str()]))
    }

    /// The call that makes and signs the tag. The message is taken as it is: a line that begins with `#` is no comment.
    pub(super) fn sign(&self, draft: &Draft) -> GitCommand {
        let words =
            ["tag", "-s", "--cleanup=whitespace", "-m", &draft.message, draft.name.short(), draft.commit.as_str()];
        GitCommand::new(&self.ground, self.settings.iter().map(String::as_str).chain(words))
    }

    /// The call that prints the bytes of a tag.
    pub(super) fn show(&self, draft: &Draft) -> GitCommand {
        self.command(["cat-file", "tag", draft.name.as_str()])
    }

    /// The call that pushes all tags.
    pub(super) fn push(&self, url: &str, drafts: &[Draft]) -> GitCommand {
        let names = drafts.iter().map(|draft| draft.name.as_str());
        self.command(["push", "--quiet", url].into_iter().chain(names))
    }

    pub(in crate::cli) fn run(&self, command: &GitCommand) -> Result<Vec<u8>, GitCommandError> {
        command.run()
    }

    /// The tag that was made, as the agent will fetch it.
    ///
    /// # Errors
    /// Git cannot read what it made.
    pub(super) fn read(&self, draft: &Draft) -> Result<RawTag, Failure> {
        let id = self.run(&self.command(["rev-parse", draft.name.as_str()])).map_err(broken)?;
        let id = String::from_utf8_lossy(&id).trim().parse();
        let id = id.map_err(|error| Failure::new(Code::Bug, format!("git prints an id that is none: {error}")))?;
        let bytes = self.run(&self.show(draft)).map_err(broken)?;
        Ok(RawTag { name: draft.name.clone(), id, bytes })
    }

    /// Takes back tags that were made and not pushed.
    pub(super) fn discard(&self, drafts: &[Draft]) {
        for draft in drafts {
            // Where this fails a tag stays that nobody fetches.
            self.run(&self.command(["tag", "--delete", draft.name.short()])).ok();
        }
    }

    /// After the push: a clone keeps its tags, a mirror has none of its own.
    pub(super) fn tidy(&self, drafts: &[Draft]) {
        if self.ground != Ground::Clone {
            self.discard(drafts);
        }
    }

    /// The first line of a commit's message.
    pub(super) fn subject(&self, commit: &CommitId) -> String {
        let said = self.run(&self.command(["log", "-1", "--no-show-signature", "--format=%s", commit.as_str()]));
        escape(String::from_utf8_lossy(&said.unwrap_or_default()).trim())
    }

    fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> GitCommand {
        GitCommand::new(&self.ground, words)
    }
}

/// Whether the clone around the working directory is one of this repository, or the repository itself.
fn here_is(url: &str) -> bool {
    let here = std::env::current_dir().ok().and_then(|here| git::clone_addresses(&here).ok());
    here.is_some_and(|addresses| addresses.iter().any(|address| git::same_repository(address, url)))
}

/// The key's file, as git finds it from any folder.
fn key_file(key: &Path) -> Result<PathBuf, Failure> {
    let shown = escape(&key.display().to_string());
    match std::path::absolute(key) {
        Ok(file) if file.is_file() => Ok(file),
        Ok(_) => Err(Failure::new(Code::Usage, format!("`{shown}`, the value of `--key`, is no file"))),
        Err(error) => Err(Failure::new(Code::Usage, format!("`{shown}` is no path")).because(error)),
    }
}

/// Whose key lies at this path, if a signers line names it.
fn holder(site: &Site, key: &Path) -> Option<Principal> {
    let beside = format!("{}.pub", key.display());
    let text = std::fs::read_to_string(beside).or_else(|_| std::fs::read_to_string(key)).ok()?;
    let (_, fingerprint) = public_key(&text).ok()?;
    match site.setup.signers.standing(&fingerprint, GIT_NAMESPACE, jiff::Timestamp::now()) {
        Standing::Valid(principal) => Some(principal),
        _ => None,
    }
}

fn broken(error: GitCommandError) -> Failure {
    match error {
        GitCommandError::Missing => Failure::new(Code::Usage, error.to_string()).with_hint("install git"),
        GitCommandError::Start(_) => Failure::new(Code::Usage, error.to_string()),
        GitCommandError::Failed { command, said } => {
            let failure = Failure::new(Code::Usage, format!("`{}` failed", escape(&command.to_string())));
            if said.is_empty() { failure } else { failure.because(said) }
        }
    }
}

/// Git could not fetch the commit.
pub(super) fn not_brought(error: GitCommandError) -> Failure {
    told(error, Code::FetchFailed, "the commit cannot be fetched into this clone".to_owned(), "try it: git fetch")
}

/// Git could not sign.
pub(super) fn not_signed(error: GitCommandError) -> Failure {
    let hint =
        "sign with an SSH key: git config gpg.format ssh && git config user.signingkey FILE; or name one: --key FILE";
    told(error, Code::Usage, "git did not sign the tag; nothing was pushed".to_owned(), hint)
}

/// Git could not push.
pub(super) fn not_pushed(error: GitCommandError, url: &str) -> Failure {
    let text = format!("the tag was made and not pushed to `{}`; it was taken back", escape(url));
    told(error, Code::FetchFailed, text, "see whether you may push: git push --dry-run URL")
}

fn told(error: GitCommandError, code: Code, text: String, hint: &str) -> Failure {
    match error {
        GitCommandError::Failed { said, .. } => {
            let failure = Failure::new(code, text).with_hint(hint);
            if said.is_empty() { failure } else { failure.because(said) }
        }
        other => broken(other),
    }
}

fn last_line(said: &str) -> String {
    said.lines().last().unwrap_or_default().to_owned()
}
