//! The shop that the demo deploys: people with keys, and a repository whose commits they sign.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Stopped;
use super::narrator::missed;
use crate::edge::clock;
use crate::edge::git::{Annotation, Change, Forge, GitError, Mirror, Remote, Sign};
use crate::name::{CommitId, EnvironmentName, Reason, RefName, RepoPath};
use crate::revision::{self, Carriers, FirstSeen, JudgedCommit, Trust};
use crate::signature::{AgentKey, GIT_NAMESPACE, Signers};

/// The files that all environments run, in which words in capitals stand for what differs from release to release.
const SHARED: [(&str, &str); 3] = [
    ("shop/settings.yaml", include_str!("../../../fixtures/demo/settings.yaml")),
    ("shop/cart.yaml", include_str!("../../../fixtures/demo/cart.yaml")),
    ("shop/store.yaml", include_str!("../../../fixtures/demo/store.yaml")),
];

/// The file that each environment has of its own.
const OWN: &str = include_str!("../../../fixtures/demo/own.yaml");

/// What prod gets of its own with 1.1.
const RETRY: &str = include_str!("../../../fixtures/demo/retry.yaml");

/// The image that it runs and nobody upstream: `ownImages`.
pub(super) const OWN_IMAGE: &str = "registry.example/shop/retry";

/// How many objects an environment has, without that.
pub(super) const OBJECTS: u64 = 8;

/// The pipeline.
pub(super) const PIPELINE: &str = include_str!("../../../fixtures/demo/lockmaster.yaml");

/// Its name.
const PIPELINE_NAME: &str = "shop";

/// Somebody who commits.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) email: String,
    pub(super) key: AgentKey,
}

impl Person {
    /// Somebody with a new key.
    pub(super) fn new(name: &'static str) -> Result<Person, Stopped> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| Stopped::unable("a key cannot be made", error))?;
        let key = AgentKey::from_seed(*seed);
        Ok(Person { name, email: format!("{name}@example.com"), key })
    }
}

/// A tree of files.
pub(super) type Files = BTreeMap<RepoPath, String>;

/// The repository, and who works on it.
pub(super) struct Shop {
    forge: Forge,
    folder: PathBuf,
    pub(super) dana: Person,
    pub(super) lena: Person,
    pub(super) omar: Person,
    pub(super) mallory: Person,
    /// Whose key signs what the agent pushes.
    pub(super) agent: Person,
}

/// The file with the key that signs what the agent pushes.
pub(super) const WRITER_KEY: &str = "writer_key";

impl Shop {
    /// Writes keys, signers, the pipeline and an empty repository into a folder.
    pub(super) fn create(folder: &Path) -> Result<Shop, Stopped> {
        let forge =
            Forge::create(&folder.join("shop.git"), &branch("dev")).map_err(|error| Stopped::of(error.reason()))?;
        let [dana, lena] = [Person::new("dana")?, Person::new("lena")?];
        let [omar, mallory, agent] = [Person::new("omar")?, Person::new("mallory")?, Person::new("agent")?];
        let mut signers = String::new();
        for person in [&dana, &lena, &omar, &mallory] {
            write(folder, &format!("{}_key", person.name), &person.key.to_openssh(), true)?;
            write(folder, &format!("{}_key.pub", person.name), &format!("{}\n", person.key.public_key()), false)?;
        }
        write(folder, WRITER_KEY, &agent.key.to_openssh(), true)?;
        for person in [&dana, &lena, &omar, &agent] {
            signers += &format!("{} namespaces=\"{GIT_NAMESPACE}\" {}\n", person.email, person.key.public_key());
        }
        write(folder, "allowed_signers", &signers, false)?;
        write(folder, "lockmaster.yaml", PIPELINE, false)?;
        Ok(Shop { forge, folder: folder.to_owned(), dana, lena, omar, mallory, agent })
    }

    /// Commits, signed by the one who commits, or by nobody.
    pub(super) fn commit(
        &self,
        who: &Person,
        parents: &[&CommitId],
        files: &Files,
        message: &str,
        signed: bool,
    ) -> Result<CommitId, Stopped> {
        let change = Change { parents, files, name: who.name, email: &who.email, message };
        let sign = |payload: &[u8]| who.key.sign(GIT_NAMESPACE, payload);
        let sign = signed.then_some(&sign as Sign<'_>);
        self.forge.commit(&change, sign).map_err(|error| Stopped::of(error.reason()))
    }

    /// Signs that a person wants a commit in an environment: what `lockmaster approve` and `git tag -s` do. Its name.
    pub(super) fn approve(&self, who: &Person, environment: &str, commit: &CommitId) -> Result<String, Stopped> {
        let name = format!("approve/{PIPELINE_NAME}/{environment}/{}", who.name);
        let reference: RefName = format!("refs/tags/{name}").parse().expect("because the names are plain");
        let message = format!("{} may go into {environment}\n", commit.short());
        let tag = Annotation { name: &reference, commit, tagger: who.name, email: &who.email, message: &message };
        let made = self.forge.tag(&tag, &|payload: &[u8]| who.key.sign(GIT_NAMESPACE, payload));
        made.map_err(|error| Stopped::of(error.reason()))?;
        Ok(name)
    }

    /// Moves a branch, and sees that it moved.
    pub(super) fn push(&self, environment: &str, commit: &CommitId) -> Result<(), Stopped> {
        let branch = branch(environment);
        let moved = self.forge.push(&branch, commit).and_then(|()| self.forge.tip(&branch));
        match moved.map_err(|error| Stopped::of(error.reason()))? {
            tip if tip == *commit => Ok(()),
            tip => Err(missed(format!("{branch} at {}", commit.short()), tip.short())),
        }
    }

    /// The signers as the file says them.
    pub(super) fn signers(&self) -> Result<Signers, Stopped> {
        let text = std::fs::read_to_string(self.folder.join("allowed_signers"));
        let text = text.map_err(|error| Stopped::unable("the signers cannot be read", error))?;
        Signers::parse(&text).map_err(|invalid| missed("a good allowed_signers", invalid))
    }

    /// The commit that a branch names.
    pub(super) fn tip(&self, environment: &str) -> Result<CommitId, Reason> {
        self.forge.tip(&branch(environment)).map_err(|error| error.reason())
    }

    /// Every commit of a branch, newest first, each judged by its signature.
    pub(super) fn judged(&self, environment: &str, scratch: &Path) -> Result<Vec<JudgedCommit>, Stopped> {
        let remote = Remote { url: self.folder.join("shop.git").display().to_string(), auth: None, ca_file: None };
        let reference = branch(environment);
        let fetched = || {
            let tip = self.forge.tip(&reference)?;
            let mirror = Mirror::open(&scratch.join("judged"), remote)?;
            mirror.fetch(&[(reference.clone(), tip.clone())])?;
            mirror.facts(&reference, &tip, None, &[])
        };
        let fetched = fetched().map_err(|error: GitError| Stopped::of(error.reason()))?;
        let trust = Trust {
            ground: crate::revision::Ground::Signatures,
            environment: name(environment),
            signers: self.signers()?,
            writers: None,
            carriers: Carriers::Plain,
        };
        let judged = revision::judge(fetched, &trust, &FirstSeen::new(), clock::now());
        match judged.verdict {
            Ok(verified) => Ok(verified.new_commits().to_vec()),
            Err(reasons) => {
                let seen = reasons.first().map_or(String::new(), |reason| reason.message.clone());
                Err(missed(format!("every commit of {reference} signed"), seen))
            }
        }
    }
}

/// What all environments run, of one release.
pub(super) fn shared(release: &str) -> Files {
    let file = |(path, text): (&str, &str)| (path_of(path), text.replace("RELEASE", release));
    SHARED.into_iter().map(file).collect()
}

/// What one environment alone runs.
pub(super) fn own(environment: &str) -> Files {
    Files::from([(path_of(&format!("{environment}/own.yaml")), OWN.replace("ENVIRONMENT", environment))])
}

/// What prod alone runs, and since 1.1.
pub(super) fn retry() -> Files {
    Files::from([(path_of("prod/retry.yaml"), RETRY.to_owned())])
}

/// A path of the repository.
pub(super) fn path_of(path: &str) -> RepoPath {
    path.parse().expect("because the names are plain")
}

/// The branch of an environment.
pub(super) fn branch(environment: &str) -> RefName {
    RefName::branch(&format!("env/{environment}")).expect("because the names are plain")
}

/// An environment's name.
pub(super) fn name(environment: &str) -> EnvironmentName {
    environment.parse().expect("because the names are plain")
}

/// Writes a file, for its owner alone if it is a secret.
pub(super) fn write(folder: &Path, name: &str, text: &str, secret: bool) -> Result<(), Stopped> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = if secret { 0o600 } else { 0o644 };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(folder.join(name));
    made.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Stopped::unable(&format!("`{name}` cannot be written"), error))
}
