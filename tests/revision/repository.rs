//! A repository made by real `git` and real `ssh-keygen`, and the loader that an edge would be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use lockmaster::name::{CommitId, EnvironmentName, RefName};
use lockmaster::revision::{Carriers, Fetched, FirstSeen, Ground, Judgement, RawCommit, Relation, Trust, judge};
use lockmaster::signature::Signers;

pub(crate) struct Repository {
    home: tempfile::TempDir,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Repository { home: tempfile::tempdir().expect("because a temporary directory can be made") };
        let config =
            "[user]\nname = Lena\nemail = lena@example.com\n[gpg]\nformat = ssh\n[init]\ndefaultBranch = main\n";
        repository.write("config", config.as_bytes());
        for key in ["lena", "omar", "mallory"] {
            repository.key(key, &["-t", "ed25519"]);
        }
        repository.git(&["init", "--quiet"]);
        repository
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("because the home is writable");
    }

    pub(crate) fn key(&self, name: &str, options: &[&str]) {
        let path = self.path(name);
        let mut arguments = vec!["-q", "-N", "", "-C", "", "-f", path.to_str().expect("because the path is text")];
        arguments.extend(options);
        assert!(self.run("ssh-keygen", &arguments, b"").0, "because ssh-keygen makes keys");
    }

    /// `PRINCIPAL OPTIONS KEY` for a key made before.
    pub(crate) fn signer(&self, line: &str, key: &str) -> String {
        let public = std::fs::read_to_string(self.path(&format!("{key}.pub"))).expect("because the key was made");
        format!("{line} {}\n", public.trim_end())
    }

    /// Whether the program succeeds, and what it prints.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> (bool, Vec<u8>) {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("GNUPGHOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.path("config"))
            .env("GIT_AUTHOR_DATE", "2026-03-11T09:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-03-11T09:00:00Z")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("because the program is installed");
        // A program that needs no input may be gone before it is written.
        drop(child.stdin.take().expect("because it is piped").write_all(input));
        let output = child.wait_with_output().expect("because the program ends");
        (output.status.success(), output.stdout)
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let (good, output) = self.run("git", arguments, b"");
        assert!(good, "because git does {arguments:?}");
        String::from_utf8_lossy(&output).trim_end().to_owned()
    }

    /// Commits on the current branch, signed with this key.
    pub(crate) fn commit(&self, message: &str, key: Option<&str>) -> CommitId {
        let sign = key.map_or("--no-gpg-sign".to_owned(), |key| format!("-S{}", self.path(key).display()));
        self.git(&["commit", "--quiet", "--allow-empty", &sign, "-m", message]);
        self.tip()
    }

    pub(crate) fn tip(&self) -> CommitId {
        id(&self.git(&["rev-parse", "HEAD"]))
    }

    pub(crate) fn raw(&self, commit: &CommitId) -> RawCommit {
        let (good, bytes) = self.run("git", &["cat-file", "commit", commit.as_str()], b"");
        assert!(good, "because the commit is there");
        RawCommit { id: commit.clone(), bytes }
    }

    /// Stores these bytes as a commit, whatever they are.
    pub(crate) fn store(&self, bytes: &[u8]) -> CommitId {
        let arguments = ["hash-object", "-t", "commit", "-w", "--literally", "--stdin"];
        let (good, output) = self.run("git", &arguments, bytes);
        assert!(good, "because git stores any bytes literally");
        id(String::from_utf8_lossy(&output).trim_end())
    }

    /// Reads what an edge would read of a tip.
    pub(crate) fn fetch(&self, tip: &CommitId, accepted: Option<&CommitId>, introductions: &[&CommitId]) -> Fetched {
        let ancestor = |a: &CommitId, b: &CommitId| {
            self.run("git", &["merge-base", "--is-ancestor", a.as_str(), b.as_str()], b"").0
        };
        let relation = match accepted {
            None => Relation::First,
            Some(head) if head == tip => Relation::Same,
            Some(head) if ancestor(head, tip) => Relation::Descendant,
            Some(head) if ancestor(tip, head) => Relation::Ancestor,
            Some(head) => {
                let base = self.run("git", &["merge-base", head.as_str(), tip.as_str()], b"").1;
                Relation::Diverged { merge_base: String::from_utf8_lossy(&base).trim_end().parse().ok() }
            }
        };
        let mut arguments = vec!["rev-list", "--topo-order", "--parents", tip.as_str(), "--not"];
        arguments.extend(accepted.into_iter().chain(introductions.iter().copied()).map(CommitId::as_str));
        let listed = self.git(&arguments);
        let rows: Vec<Vec<CommitId>> = listed.lines().map(|row| row.split(' ').map(id).collect()).collect();
        let here: BTreeSet<&CommitId> = rows.iter().map(|row| &row[0]).collect();
        let boundary = rows.iter().flat_map(|row| &row[1..]).filter(|parent| !here.contains(parent)).cloned().collect();
        Fetched {
            reference: RefName::branch("env/prod").expect("because it is a branch name"),
            tip: tip.clone(),
            accepted: accepted.map(|head| self.raw(head)),
            relation,
            new: rows.iter().map(|row| self.raw(&row[0])).collect(),
            tip_commit: self.raw(tip),
            boundary,
            merges: BTreeMap::new(),
            brought: None,
            left: 0,
            introduced: introductions.iter().any(|introduction| ancestor(tip, introduction)),
            outside_introduction: !introductions.is_empty() && !introductions.iter().any(|from| ancestor(from, tip)),
        }
    }

    /// Lena and Omar sign; everybody who signs may write.
    pub(crate) fn trust(&self) -> Trust {
        self.trusting(&(self.signer("lena@example.com", "lena") + &self.signer("omar@example.com", "omar")))
    }

    pub(crate) fn trusting(&self, signers: &str) -> Trust {
        let environment: EnvironmentName = "prod".parse().expect("because it is an environment name");
        let signers = Signers::parse(signers).expect("because the signers are good");
        Trust { ground: Ground::Signatures, environment, signers, writers: None, carriers: Carriers::Plain }
    }

    /// Judges a tip on top of an accepted head, with Lena and Omar as writers.
    pub(crate) fn judge(&self, tip: &CommitId, accepted: Option<&CommitId>) -> Judgement {
        judge(self.fetch(tip, accepted, &[]), &self.trust(), &FirstSeen::new(), now())
    }

    /// The refusals of a tip: code and message.
    pub(crate) fn refusals(&self, tip: &CommitId, accepted: Option<&CommitId>) -> Vec<(&'static str, String)> {
        refusals(self.judge(tip, accepted))
    }
}

pub(crate) fn refusals(judgement: Judgement) -> Vec<(&'static str, String)> {
    let reasons = judgement.verdict.err().unwrap_or_default();
    reasons.into_iter().map(|reason| (reason.code.as_str(), reason.message)).collect()
}

pub(crate) fn now() -> Timestamp {
    "2026-03-11T10:00:00Z".parse().expect("because it is a timestamp")
}

pub(crate) fn id(text: &str) -> CommitId {
    text.parse().expect("because git prints commit ids")
}
