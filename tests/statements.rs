//! `lockmaster approve`, `freeze`, `unfreeze` through the real program: tags that the real `git` signs and pushes, checked by
//! `git verify-tag` and read as the agent reads them.

#[path = "tools/plain.rs"]
mod plain;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use jiff::{SignedDuration, Timestamp};
use lockmaster::name::Reason;
use lockmaster::revision::statement::{RawTag, Statement, Verb, read};
use lockmaster::signature::Signers;
use serde_json::Value;

fn main() -> ExitCode {
    let needing: Vec<plain::Plain> = plain::table![
        an_approval_is_a_pushed_tag_that_git_verifies_and_the_agent_reads,
        the_commands_of_a_dry_run_make_an_equal_tag,
        a_dry_run_writes_nothing,
        a_tag_that_would_not_count_is_not_pushed_and_taken_back,
        a_name_that_is_taken_is_not_taken_again,
        from_elsewhere_the_tag_is_made_in_the_mirror_which_stays_sound,
        the_key_says_who_tags_where_git_does_not_know,
        a_commit_that_the_clone_lacks_is_fetched,
        the_clone_may_be_the_pipelines_repository_itself,
        of_several_tags_all_are_pushed_or_none_stays,
        a_revision_may_be_approved,
        a_freeze_ends_at_a_time_and_may_be_of_every_environment,
        what_loosens_a_rule_asks_first,
        only_gates_that_may_be_overridden_are,
        a_push_that_is_refused_takes_the_tag_back,
        without_git_it_says_so,
    ];
    plain::run(&["ssh-keygen"], needing, Vec::new())
}

/// A person's machine: a home with keys and a configuration of git, a bare repository `remote.git`, a clone `shop` of it,
/// and a folder `ops` with the pipeline.
struct Machine(tempfile::TempDir);

#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("because no signal ended it");
        Ran { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }
}

impl Machine {
    /// Lena is a signer and writes everywhere, Omar is a signer and writes to dev alone, Mallory is none.
    fn new() -> Self {
        let machine = Machine(tempfile::tempdir().expect("because there is room"));
        for folder in ["home", "shop", "ops", "state"] {
            std::fs::create_dir_all(machine.at(folder)).expect("because the folder is ours");
        }
        for name in ["lena", "omar", "mallory"] {
            let file = machine.path(name);
            machine.call("shop", "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &file]);
        }
        machine.git(&["init", "-q", "--bare", "--initial-branch=main", &machine.path("remote.git")]);
        machine.git(&["init", "-q", "--initial-branch=main", "."]);
        machine.git(&["remote", "add", "origin", &machine.path("remote.git")]);
        for (key, value) in [
            ("user.name", "Lena"),
            ("user.email", "Lena.K@example.com"),
            ("gpg.format", "ssh"),
            ("user.signingkey", &machine.path("lena.pub")),
        ] {
            machine.git(&["config", "--global", key, value]);
        }
        machine.commit("one");
        machine.git(&["push", "-q", "origin", "HEAD:refs/heads/env/dev", "HEAD:refs/heads/env/prod"]);
        machine.write_pipeline();
        machine
    }

    fn write_pipeline(&self) {
        let signer = |name: &str| {
            let key = std::fs::read_to_string(self.at(&format!("{name}.pub"))).expect("because it was made");
            format!("{name}@example.com namespaces=\"git\" {key}")
        };
        let signers = signer("lena") + &signer("omar");
        std::fs::write(self.at("ops/allowed_signers"), signers).expect("because the folder is ours");
        let pipeline = "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n  repository: {url: ../remote.git}\n  \
                        trust: {signers: {file: allowed_signers}}\n  environments:\n  \
                        - {name: dev, branch: env/dev, path: dev, namespace: shop-dev}\n  \
                        - {name: prod, branch: env/prod, path: prod, namespace: shop-prod, writers: [lena@example.com]}\n";
        std::fs::write(self.at("ops/lockmaster.yaml"), pipeline).expect("because the folder is ours");
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn command(&self, folder: &str, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.at("home"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("LOCKMASTER_STATE_DIR", self.at("state"));
        command.env("LOCKMASTER_FILE", self.at("ops/lockmaster.yaml")).current_dir(self.at(folder));
        command
    }

    #[track_caller]
    fn call(&self, folder: &str, program: &str, arguments: &[&str]) -> String {
        let ran = Ran::of(&self.command(folder, program).args(arguments).output().expect("because it is installed"));
        ran.expect(0).stdout.trim_end().to_owned()
    }

    #[track_caller]
    fn git(&self, arguments: &[&str]) -> String {
        self.call("shop", "git", arguments)
    }

    fn remote(&self, arguments: &[&str]) -> String {
        self.call("remote.git", "git", arguments)
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["commit", "-q", "-S", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn lockmaster_in(&self, folder: &str, arguments: &[&str]) -> Ran {
        let mut command = self.command(folder, env!("CARGO_BIN_EXE_lockmaster"));
        Ran::of(&command.args(arguments).output().expect("because the program was built"))
    }

    fn lockmaster(&self, arguments: &[&str]) -> Ran {
        self.lockmaster_in("shop", arguments)
    }

    /// The tags at the remote.
    fn pushed(&self) -> Vec<String> {
        self.remote(&["for-each-ref", "--format=%(refname:short)", "refs/tags/"]).lines().map(str::to_owned).collect()
    }

    /// A tag at the remote, as an agent reads it.
    fn statement(&self, name: &str) -> Result<Statement, Reason> {
        let name = format!("refs/tags/{name}");
        let id = self.remote(&["rev-parse", &name]).parse().expect("because git prints ids");
        let bytes = self.command("remote.git", "git").args(["cat-file", "tag", &name]).output();
        let bytes = bytes.expect("because git is there").stdout;
        let raw = RawTag { name: name.parse().expect("because it is a name"), id, bytes };
        let signers = std::fs::read_to_string(self.at("ops/allowed_signers")).expect("because it was written");
        read(&raw, &Signers::parse(&signers).expect("because the signers are good"), Timestamp::now())
    }

    /// Whether git believes a tag at the remote, by the pipeline's signers.
    fn git_verifies(&self, name: &str) -> bool {
        let signers = format!("gpg.ssh.allowedSignersFile={}", self.path("ops/allowed_signers"));
        let mut command = self.command("remote.git", "git");
        command.args(["-c", &signers, "verify-tag", name]).output().expect("because git is there").status.success()
    }
}

fn an_approval_is_a_pushed_tag_that_git_verifies_and_the_agent_reads() {
    let machine = Machine::new();
    let tip = machine.git(&["rev-parse", "HEAD"]);
    let before = Timestamp::now();
    let ran = machine.lockmaster(&["approve", "prod", "--reason", "it's #1\n# and good"]).expect(0);
    let name = "approve/shop/prod/lena-k";
    assert_eq!(machine.pushed(), [name]);
    assert!(machine.git_verifies(name));
    let statement = machine.statement(name).expect("because Lena signed it");
    assert_eq!((statement.verb(), statement.commit().as_str()), (Verb::Approve, tip.as_str()));
    assert_eq!(statement.signer().as_str(), "lena@example.com");
    assert_eq!(statement.reason(), "it's #1\n# and good");
    assert_eq!(statement.overrides(), [""; 0]);
    let until = statement.until().expect("because an approval expires");
    let week = SignedDuration::from_hours(7 * 24);
    assert!((week - until.duration_since(before)).abs() < SignedDuration::from_mins(5), "{until}");
    let expected = format!("approved: `prod` {} \"one\", by lena@example.com until ", &tip[..7]);
    assert!(ran.stdout.starts_with(&expected), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("tag {name}, pushed to {}", machine.path("remote.git"))), "{}", ran.stdout);
    assert_eq!(machine.git(&["tag", "--list"]), name, "the clone has it as after `git tag`");
}

fn the_commands_of_a_dry_run_make_an_equal_tag() {
    for (folder, extra) in [("shop", &[][..]), ("ops", &["--key", "../omar", "--name", "by-hand"][..])] {
        let machine = Machine::new();
        let words = ["approve", "dev", "--reason", "it's good\n\nreally", "--dry-run"];
        let printed = machine.lockmaster_in(folder, &[&words[..], extra].concat()).expect(0).stdout;
        machine.call(folder, "sh", &["-e", "-c", &printed]);
        let by_hand = machine.pushed();
        assert_eq!(by_hand.len(), 1, "{printed}");
        assert!(machine.git_verifies(&by_hand[0]), "{printed}");
        let first = machine.statement(&by_hand[0]).expect("because the signer is listed");
        let key = extra.iter().copied().take(2);
        let words: Vec<&str> = words[..4].iter().copied().chain(["--name", "second"]).chain(key).collect();
        machine.lockmaster_in(folder, &words).expect(0);
        let second = machine.statement("approve/shop/dev/second").expect("because the signer is listed");
        assert_eq!((first.reason(), first.commit()), (second.reason(), second.commit()));
        assert_eq!((first.signer(), first.fingerprint()), (second.signer(), second.fingerprint()));
        assert_eq!(first.reason(), "it's good\n\nreally");
    }
}

fn a_dry_run_writes_nothing() {
    let machine = Machine::new();
    let ran = machine.lockmaster(&["freeze", "--all", "--until", "2h", "--reason", "x", "--dry-run", "-o", "json"]);
    let document: Value = serde_json::from_str(&ran.expect(0).stdout).expect("because it is JSON");
    let commands = document["commands"].as_array().expect("because it lists commands").clone();
    assert_eq!(commands.len(), 3, "two tags and one push: {commands:?}");
    assert_eq!(document["pushed"], false);
    assert!(machine.pushed().is_empty() && machine.git(&["tag", "--list"]).is_empty());
    machine.lockmaster(&["unfreeze", "prod", "--reason", "x", "--dry-run"]).expect(0);
}

fn a_tag_that_would_not_count_is_not_pushed_and_taken_back() {
    let machine = Machine::new();
    for (folder, words, code, said) in [
        ("shop", &["approve", "prod", "--key", "../mallory"][..], "unknown-signer", "sign with a key that is listed"),
        ("ops", &["approve", "prod", "--key", "../mallory"], "unknown-signer", "sign with a key that is listed"),
        (
            "shop",
            &["approve", "prod", "--key", "../omar"],
            "unauthorised-signer",
            "omar@example.com is no writer of `prod`",
        ),
        (
            "shop",
            &["freeze", "--all", "--until", "1h", "--reason", "x", "--key", "../omar"],
            "unauthorised-signer",
            "`prod`",
        ),
        ("shop", &["approve", "dev", "--reason", "a\n\nUntil: later\n\nb"], "statement-not-applicable", "`Until:`"),
    ] {
        let ran = machine.lockmaster_in(folder, words).expect(1);
        assert!(ran.stdout.starts_with(&format!("refused[{code}]: tag `")), "{}", ran.stdout);
        assert!(ran.stdout.contains(said) && ran.stdout.contains("nothing was pushed"), "{}", ran.stdout);
        assert!(machine.pushed().is_empty() && machine.git(&["tag", "--list"]).is_empty(), "{words:?}");
    }
    machine.lockmaster(&["approve", "dev", "--key", "../omar"]).expect(0);
}

fn a_name_that_is_taken_is_not_taken_again() {
    let machine = Machine::new();
    let short = machine.git(&["rev-parse", "HEAD"])[..7].to_owned();
    for _ in 0..3 {
        machine.lockmaster(&["approve", "prod"]).expect(0);
    }
    let pushed = machine.pushed();
    assert_eq!(pushed.len(), 3);
    assert_eq!(pushed[..2], ["approve/shop/prod/lena-k".to_owned(), format!("approve/shop/prod/lena-k-{short}")]);
    assert!(pushed[2].starts_with(&format!("{}-", pushed[1])), "{pushed:?}");
    // What only the remote has is taken as well.
    machine.git(&["tag", "--delete", "approve/shop/prod/lena-k"]);
    let ran = machine.lockmaster(&["approve", "prod", "--name", "lena-k"]).expect(2);
    assert!(ran.stderr.contains("tag `approve/shop/prod/lena-k` is there already"), "{}", ran.stderr);
    let ran = machine.lockmaster(&["approve", "prod", "--name", "a b"]).expect(2);
    assert!(ran.stderr.contains("`a b` cannot end the name of a tag"), "{}", ran.stderr);
    assert_eq!(machine.pushed(), pushed);
}

fn from_elsewhere_the_tag_is_made_in_the_mirror_which_stays_sound() {
    let machine = Machine::new();
    let fetched = |machine: &Machine| {
        let folder = std::fs::read_dir(machine.at("state/mirrors")).expect("because it is there");
        let folder =
            folder.flatten().map(|entry| entry.path()).find(|path| path.is_dir()).expect("because it is there");
        let marker = folder.join("lockmaster-mirror");
        (folder, std::fs::metadata(marker).and_then(|marker| marker.modified()).expect("because it is marked"))
    };
    machine.lockmaster_in("ops", &["approve", "prod"]).expect(0);
    let name = "approve/shop/prod/lena-k";
    assert!(machine.git_verifies(name) && machine.statement(name).is_ok());
    assert_eq!(machine.git(&["tag", "--list"]), "", "the clone is not touched");
    let (folder, made) = fetched(&machine);
    let bare = format!("--git-dir={}", folder.display());
    assert_eq!(machine.git(&[&bare, "tag", "--list"]), "", "and the mirror keeps no tag");
    // One that somebody makes in it all the same does no harm.
    let printed =
        machine.lockmaster_in("ops", &["freeze", "dev", "--until", "1h", "--reason", "x", "--dry-run"]).expect(0);
    machine.call("ops", "sh", &["-e", "-c", &printed.stdout]);
    assert_ne!(machine.git(&[&bare, "tag", "--list"]), "");
    machine.commit("two");
    machine.git(&["push", "-q", "origin", "HEAD:refs/heads/env/prod"]);
    machine.lockmaster_in("ops", &["approve", "prod"]).expect(0);
    assert_eq!(fetched(&machine).1, made, "the mirror was not made again");
    // By a url, as from a folder that is no clone of it.
    let url = format!("file://{}", machine.path("remote.git"));
    let file = std::fs::read_to_string(machine.at("ops/lockmaster.yaml")).expect("because it was written");
    let file = file.replace("../remote.git", &url);
    std::fs::write(machine.at("ops/lockmaster.yaml"), file).expect("because the folder is ours");
    let ran = machine.lockmaster_in("ops", &["approve", "dev", "--name", "by-url"]).expect(0);
    assert!(ran.stdout.contains(&format!("pushed to {url}")), "{}", ran.stdout);
    machine.lockmaster(&["approve", "dev", "--name", "in-clone"]).expect(0);
    assert!(machine.git(&["tag", "--list"]).contains("approve/shop/dev/in-clone"), "a path and its url are one");
}

fn the_key_says_who_tags_where_git_does_not_know() {
    let machine = Machine::new();
    for key in ["user.name", "user.email", "gpg.format", "user.signingkey"] {
        machine.git(&["config", "--global", "--unset", key]);
    }
    machine.lockmaster(&["approve", "dev", "--key", "../omar"]).expect(0);
    let tagger = machine.remote(&["for-each-ref", "--format=%(taggername) %(taggeremail)", "refs/tags/"]);
    assert_eq!(tagger, "omar@example.com <omar@example.com>");
    assert_eq!(machine.pushed(), ["approve/shop/dev/omar"]);
    let ran = machine.lockmaster(&["approve", "dev", "--key", "../mallory"]).expect(2);
    assert!(ran.stderr.contains("git does not know who you are"), "{}", ran.stderr);
    machine.git(&["config", "--global", "user.name", "Lena"]);
    machine.git(&["config", "--global", "user.email", "lena@example.com"]);
    let ran = machine.lockmaster(&["approve", "dev"]).expect(2);
    assert!(ran.stderr.contains("git did not sign the tag") && ran.stderr.contains("--key FILE"), "{}", ran.stderr);
}

fn a_commit_that_the_clone_lacks_is_fetched() {
    let machine = Machine::new();
    machine.git(&["clone", "-q", &machine.path("remote.git"), &machine.path("other"), "-b", "env/dev"]);
    let tip = machine.commit("two");
    machine.git(&["push", "-q", "origin", "HEAD:refs/heads/env/prod"]);
    let printed = machine.lockmaster_in("other", &["approve", "prod", "--dry-run"]).expect(0).stdout;
    assert!(printed.starts_with("git fetch --quiet --no-tags "), "{printed}");
    machine.lockmaster_in("other", &["approve", "prod"]).expect(0);
    let statement = machine.statement("approve/shop/prod/lena-k").expect("because Lena signed it");
    assert_eq!(statement.commit().as_str(), tip);
}

fn the_clone_may_be_the_pipelines_repository_itself() {
    let machine = Machine::new();
    machine.git(&["branch", "env/prod"]);
    let file = std::fs::read_to_string(machine.at("ops/lockmaster.yaml")).expect("because it was written");
    let file = file.replace("../remote.git", "../shop");
    std::fs::write(machine.at("ops/lockmaster.yaml"), file).expect("because the folder is ours");
    for (folder, name) in [("shop", "inside"), ("ops", "outside")] {
        machine.lockmaster_in(folder, &["approve", "prod", "--name", name]).expect(0);
        machine.git(&["rev-parse", "--verify", &format!("refs/tags/approve/shop/prod/{name}")]);
    }
    machine.lockmaster(&["approve", "prod", "--key", "../mallory"]).expect(1);
    assert_eq!(machine.git(&["tag", "--list"]).lines().count(), 2);
}

/// A tag that was there before is never taken back.
fn of_several_tags_all_are_pushed_or_none_stays() {
    let machine = Machine::new();
    machine.git(&["tag", "freeze/shop/dev/lena-k"]);
    let words = ["freeze", "dev", "prod", "--until", "1h", "--reason", "x", "--key", "../omar"];
    machine.lockmaster(&words).expect(1);
    assert_eq!(machine.git(&["tag", "--list"]), "freeze/shop/dev/lena-k");
    assert!(machine.pushed().is_empty());
}

fn a_revision_may_be_approved() {
    let machine = Machine::new();
    let first = machine.git(&["rev-parse", "HEAD"]);
    machine.commit("two");
    machine.lockmaster(&["approve", "prod@HEAD~1"]).expect(0);
    let statement = machine.statement("approve/shop/prod/lena-k").expect("because Lena signed it");
    assert_eq!(statement.commit().as_str(), first);
    machine.lockmaster(&["approve", "prod@nothing"]).expect(2);
    machine.lockmaster(&["approve", "nowhere"]).expect(2);
    assert_eq!(machine.pushed().len(), 1);
}

fn a_freeze_ends_at_a_time_and_may_be_of_every_environment() {
    let machine = Machine::new();
    let before = Timestamp::now();
    let ran = machine.lockmaster(&["freeze", "--all", "--until", "2h", "--reason", "quarter end"]).expect(0);
    assert!(ran.stdout.contains("frozen: `dev` ") && ran.stdout.contains("frozen: `prod` "), "{}", ran.stdout);
    assert_eq!(machine.pushed(), ["freeze/shop/dev/lena-k", "freeze/shop/prod/lena-k"]);
    for name in machine.pushed() {
        let statement = machine.statement(&name).expect("because Lena signed it");
        assert_eq!((statement.verb(), statement.reason()), (Verb::Freeze, "quarter end"));
        let until = statement.until().expect("because a freeze ends");
        let off = SignedDuration::from_hours(2) - until.duration_since(before);
        assert!(off.abs() < SignedDuration::from_mins(5), "{until}");
    }
    let until = ["freeze", "dev", "--until", "2126-03-11T09:00:00+01:00", "--reason", "x", "-o", "json"];
    let document: Value =
        serde_json::from_str(&machine.lockmaster(&until).expect(0).stdout).expect("because it is JSON");
    assert_eq!(document["statements"][0]["until"], "2126-03-11T08:00:00Z");
    assert_eq!(document["schema"], "lockmaster.dev/statement/v1");
    machine.lockmaster(&["freeze", "dev", "--until", "2020-03-11T09:00:00Z", "--reason", "x"]).expect(2);
    machine.lockmaster(&["freeze", "dev", "--until", "1h", "--reason", " "]).expect(2);
}

fn what_loosens_a_rule_asks_first() {
    let machine = Machine::new();
    for words in [
        &["unfreeze", "prod", "--reason", "over"][..],
        &["approve", "prod", "--override", "windows,freezes", "--reason", "hotfix"],
    ] {
        let ran = machine.lockmaster(words).expect(2);
        assert!(ran.stderr.starts_with("error[confirmation-needed]: "), "{}", ran.stderr);
        assert!(machine.pushed().is_empty());
    }
    machine.lockmaster(&["approve", "prod", "--override", "windows,freezes", "--reason", "hotfix", "--yes"]).expect(0);
    machine.lockmaster(&["unfreeze", "prod", "--reason", "over", "--yes"]).expect(0);
    let statement = machine.statement("approve/shop/prod/lena-k").expect("because Lena signed it");
    assert_eq!(statement.overrides(), ["windows", "freezes"]);
    let statement = machine.statement("unfreeze/shop/prod/lena-k").expect("because Lena signed it");
    assert_eq!((statement.verb(), statement.until()), (Verb::Unfreeze, None));
}

fn only_gates_that_may_be_overridden_are() {
    let machine = Machine::new();
    for (gate, said) in [
        ("slo", "`--override slo` is not supported yet"),
        ("prune", "`--override prune` is not supported yet"),
        ("recreate", "`--override recreate` is not supported yet"),
        ("signatures", "`signatures` is no gate that an approval overrides"),
        ("windows,windows", "`--override` names `windows` twice"),
    ] {
        let ran = machine.lockmaster(&["approve", "prod", "--override", gate, "--reason", "x", "--yes"]).expect(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    machine.lockmaster(&["approve", "prod", "--override", "windows", "--yes"]).expect(2);
    assert!(machine.pushed().is_empty());
}

fn a_push_that_is_refused_takes_the_tag_back() {
    let machine = Machine::new();
    let hook = machine.at("remote.git/hooks/pre-receive");
    std::fs::write(&hook, "#!/bin/sh\necho tags are closed >&2\nexit 1\n").expect("because the folder is ours");
    machine.call("shop", "chmod", &["+x", &hook.display().to_string()]);
    let ran = machine.lockmaster(&["approve", "prod"]).expect(2);
    assert!(ran.stderr.starts_with("error[fetch-failed]: the tag was made and not pushed to "), "{}", ran.stderr);
    assert!(ran.stderr.contains("tags are closed"), "{}", ran.stderr);
    assert!(machine.pushed().is_empty() && machine.git(&["tag", "--list"]).is_empty());
}

fn without_git_it_says_so() {
    let machine = Machine::new();
    let mut command = machine.command("shop", env!("CARGO_BIN_EXE_lockmaster"));
    let nowhere: &Path = &machine.at("home");
    let output = command.env("PATH", nowhere).args(["approve", "prod"]).output();
    let ran = Ran::of(&output.expect("because the program was built")).expect(2);
    assert!(ran.stderr.starts_with("error[usage]: no `git` in PATH"), "{}", ran.stderr);
}
