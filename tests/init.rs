//! `lockmaster init` through the real program, on clones that the real `git` and `ssh-keygen` made.

#[path = "tools/plain.rs"]
mod plain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::process::{Command, Output};

use serde_json::Value;

fn main() -> ExitCode {
    let needing: Vec<plain::Plain> = plain::table![
        a_clone_becomes_a_pipeline_that_lint_accepts_and_under_which_the_next_signed_commit_is_accepted,
        what_it_writes_is_deployed_by_an_agent_with_an_api_of_its_own,
        the_answer_says_what_was_found_and_what_to_run_next,
        files_lie_at_the_top_of_the_clone_or_where_another_clone_is_named_from,
        nothing_is_overwritten_and_both_files_are_written_or_none,
        the_key_is_the_one_that_git_signs_with_however_it_is_named,
        without_an_ssh_key_it_says_what_is_not_supported_and_which_commands_help,
        origin_is_the_repository_where_the_agent_can_read_it_and_its_credentials_are_never_written,
        a_branch_counts_as_it_is_at_origin,
        history_is_taken_as_it_is_only_where_the_key_did_not_sign_all_of_it,
        a_shallow_clone_is_taken_as_it_is_and_says_so,
        two_environments_never_share_a_namespace,
        namespaces_are_those_that_the_manifests_name_else_the_environments_name,
        where_nothing_or_too_much_is_found_it_asks,
    ];
    plain::run(&["ssh-keygen"], needing, Vec::new())
}

/// A person's machine: a home with a key and a configuration of git, and a clone `shop`.
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
    /// A clone without commits, on branch `main`, of somebody who signs with an SSH key.
    fn new() -> Self {
        let machine = Machine(tempfile::tempdir().expect("because there is room"));
        std::fs::create_dir_all(machine.root().join("home/.ssh")).expect("because the folder is ours");
        std::fs::create_dir_all(machine.clone()).expect("because the folder is ours");
        machine.call("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "dana@laptop", "-f", &machine.key()]);
        machine.git(&["config", "--global", "init.defaultBranch", "main"]);
        machine.git(&["init", "-q", "."]);
        for (key, value) in [
            ("user.name", "Dana"),
            ("user.email", "dana@example.com"),
            ("gpg.format", "ssh"),
            ("user.signingkey", "~/.ssh/work.pub"),
            ("commit.gpgsign", "true"),
        ] {
            machine.git(&["config", "--global", key, value]);
        }
        machine
    }

    /// The same with the manifests of a shop in three environments, in one signed commit.
    fn with_shop() -> Self {
        let machine = Machine::new();
        machine.write("deploy/base/kustomization.yaml", "resources: [web.yaml, roles.yaml]\n");
        machine.write("deploy/base/web.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n");
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: web}\nrules: []\n";
        machine.write("deploy/base/roles.yaml", role);
        for name in ["dev", "staging", "production"] {
            let overlay = format!("namespace: shop-{name}\nresources: [../../base]\n");
            machine.write(&format!("deploy/overlays/{name}/kustomization.yaml"), &overlay);
        }
        machine.commit(&[]);
        machine
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn clone(&self) -> PathBuf {
        self.root().join("shop")
    }

    fn key(&self) -> String {
        self.root().join("home/.ssh/work").display().to_string()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.root().join("home")).env("GIT_CONFIG_NOSYSTEM", "1").current_dir(self.clone());
        command
    }

    fn call(&self, program: &str, arguments: &[&str]) -> String {
        let ran = Ran::of(&self.command(program).args(arguments).output().expect("because it is installed"));
        ran.expect(0).stdout.trim_end().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.call("git", arguments)
    }

    fn commit(&self, flags: &[&str]) -> String {
        self.git(&["add", "deploy"]);
        let words = [&["commit", "-q", "--allow-empty", "-m", "a change"][..], flags].concat();
        self.git(&words);
        self.git(&["rev-parse", "HEAD"])
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.clone().join(path);
        std::fs::create_dir_all(file.parent().expect("because it is below the clone")).expect("because it is ours");
        std::fs::write(file, text).expect("because the folder is ours");
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.clone().join(path)).expect("because it was written")
    }

    fn lockmaster_in(&self, folder: &Path, arguments: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_lockmaster"));
        Ran::of(&command.args(arguments).current_dir(folder).output().expect("because the program was built"))
    }

    fn lockmaster(&self, arguments: &[&str]) -> Ran {
        self.lockmaster_in(&self.clone(), arguments)
    }

    /// `init`, which must work and be accepted by `lint`; its document.
    #[track_caller]
    fn init(&self, arguments: &[&str]) -> Value {
        let words = [&["init", "-o", "json"][..], arguments].concat();
        let ran = self.lockmaster(&words).expect(0);
        let lint = self.lockmaster(&["lint"]);
        assert!(lint.code == 0 && lint.stdout.contains(" 0 errors"), "{}{}", lint.stdout, self.read("lockmaster.yaml"));
        serde_json::from_str(&ran.stdout).expect("because -o json prints JSON")
    }

    /// Takes back what `init` wrote.
    fn forget(&self) {
        for name in ["lockmaster.yaml", "allowed_signers"] {
            std::fs::remove_file(self.clone().join(name)).expect("because it was written");
        }
    }

    /// That `init` fails with these words, and writes nothing.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], message: &str, hint: &str) {
        let ran = self.lockmaster(&[&["init"][..], arguments].concat()).expect(2);
        assert!(ran.stderr.contains(message) && ran.stderr.contains(hint), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
        for name in ["lockmaster.yaml", "allowed_signers"] {
            assert!(!self.clone().join(name).exists(), "{name}");
        }
    }
}

/// One field of each environment, as text.
fn each(document: &Value, pointer: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let environments = document["environments"].as_array().expect("because there are environments");
    environments.iter().map(|one| text(one.pointer(pointer).unwrap_or(&Value::Null))).collect()
}

fn a_clone_becomes_a_pipeline_that_lint_accepts_and_under_which_the_next_signed_commit_is_accepted() {
    let machine = Machine::with_shop();
    for branch in ["env/dev", "env/staging", "production"] {
        machine.git(&["branch", branch]);
    }
    let document = machine.init(&[]);
    assert_eq!(document["schema"], "lockmaster.dev/init/v1");
    assert_eq!(each(&document, "/name"), ["dev", "staging", "production"]);
    assert_eq!(each(&document, "/branch"), ["env/dev", "env/staging", "production"]);
    assert_eq!(each(&document, "/paths/0"), ["dev", "staging", "production"].map(|n| format!("deploy/overlays/{n}")));
    assert_eq!(each(&document, "/namespaces/0"), ["shop-dev", "shop-staging", "shop-production"]);
    assert_eq!(
        each(&document, "/clusterKinds/0"),
        vec!["ClusterRole.rbac.authorization.k8s.io"; 3],
        "also from ../base"
    );
    assert_eq!(document["introduction"], serde_json::json!([]), "all of it is signed");
    assert!(!machine.read("lockmaster.yaml").contains("introduction"));

    machine.git(&["switch", "-q", "env/dev"]);
    machine.commit(&[]);
    let verify = machine.lockmaster(&["verify", "dev", "--signatures-only"]).expect(0);
    assert!(verify.stdout.contains("2 new commits, all signed by dana@example.com"), "{}", verify.stdout);
    machine.commit(&["--no-gpg-sign"]);
    let refused = machine.lockmaster(&["verify", "dev", "--signatures-only"]).expect(1);
    assert!(refused.stdout.starts_with("refused[unsigned-commit]"), "{}", refused.stdout);
}

fn what_it_writes_is_deployed_by_an_agent_with_an_api_of_its_own() {
    let machine = Machine::new();
    for name in ["dev", "prod"] {
        let config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n";
        machine.write(&format!("deploy/environments/{name}/web.yaml"), config);
    }
    machine.commit(&[]);
    machine.lockmaster(&["init"]).expect(0);
    machine.lockmaster(&["lint"]).expect(0);
    let ran = machine.lockmaster(&["run", "--embedded", "--once", "-o", "json"]).expect(0);
    let status: Value = serde_json::from_str(&ran.stdout).expect("because it prints one document");
    let environments = status["environments"].as_array().expect("because a status has environments");
    let told: Vec<(&str, &str)> = environments
        .iter()
        .map(|one| (one["name"].as_str().unwrap_or_default(), one["state"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told, [("dev", "current"), ("prod", "current")], "namespaces that nobody made were made");
}

fn the_answer_says_what_was_found_and_what_to_run_next() {
    let machine = Machine::with_shop();
    let folder = machine.clone().canonicalize().expect("because it is there");
    let ran = machine.lockmaster(&["init"]).expect(0);
    assert!(
        ran.stdout.starts_with(&format!("wrote `lockmaster.yaml` and `allowed_signers` in {}\n", folder.display()))
    );
    for line in [
        "ENVIRONMENT  BRANCH  PATH                        NAMESPACE        HISTORY",
        "production   main    deploy/overlays/production  shop-production  signed",
        "  lockmaster verify dev         would the tip be accepted?",
    ] {
        assert!(ran.stdout.lines().any(|other| other == line), "{line}\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("never commit them"), "{}", ran.stdout);
    let again = machine.read("lockmaster.yaml");
    machine.forget();
    machine.lockmaster(&["init"]).expect(0);
    assert_eq!(machine.read("lockmaster.yaml"), again, "the same clone gives the same file");
}

fn files_lie_at_the_top_of_the_clone_or_where_another_clone_is_named_from() {
    let machine = Machine::with_shop();
    machine.lockmaster_in(&machine.clone().join("deploy/base"), &["init"]).expect(0);
    machine.forget();
    let elsewhere = machine.root().join("ops");
    std::fs::create_dir(&elsewhere).expect("because the folder is ours");
    let ran = machine.lockmaster_in(&elsewhere, &["init", "--repository", "../shop"]).expect(0);
    assert!(!ran.stdout.contains("never commit them"), "{}", ran.stdout);
    assert!(elsewhere.join("allowed_signers").exists() && !machine.clone().join("allowed_signers").exists());
    machine.lockmaster_in(&elsewhere, &["verify", "dev", "--signatures-only"]).expect(0);
    let ran = machine.lockmaster_in(machine.root(), &["init"]).expect(2);
    assert!(ran.stderr.contains("no working clone") && ran.stderr.contains("--repository CLONE"), "{}", ran.stderr);
    machine.refuses(&["--repository", "https://git.example.com/a.git"], "init reads a working clone", "");
    machine.refuses(&["-f", "other.yaml"], "`--file` is not for init", "leave it out");
}

fn nothing_is_overwritten_and_both_files_are_written_or_none() {
    for name in ["lockmaster.yaml", "allowed_signers"] {
        let machine = Machine::with_shop();
        machine.write(name, "mine\n");
        let ran = machine.lockmaster(&["init"]).expect(2);
        assert!(ran.stderr.contains(&format!("{name}` is there already")), "{}", ran.stderr);
        assert_eq!(machine.read(name), "mine\n");
        let both = ["lockmaster.yaml", "allowed_signers"].map(|name| machine.clone().join(name).exists());
        assert_eq!(both.into_iter().filter(|there| *there).count(), 1, "{name}");
    }
}

fn the_key_is_the_one_that_git_signs_with_however_it_is_named() {
    let machine = Machine::with_shop();
    let line = machine.call("cat", &[&format!("{}.pub", machine.key())]);
    let words: Vec<&str> = line.split(' ').collect();
    let expected = format!("dana@example.com namespaces=\"git\" {} {}", words[0], words[1]);
    let relative = "../home/.ssh/work".to_owned();
    for value in [machine.key(), relative, line.clone(), format!("key::{line}"), "~/.ssh/work".to_owned()] {
        machine.git(&["config", "user.signingkey", &value]);
        machine.init(&[]);
        let signers = machine.read("allowed_signers");
        assert_eq!(signers.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), [&expected], "{value}");
        machine.forget();
    }
    std::fs::remove_file(format!("{}.pub", machine.key())).expect("because it was made");
    machine.init(&[]);
    assert!(machine.read("allowed_signers").contains(&expected), "a private key alone says which key it is");
}

fn without_an_ssh_key_it_says_what_is_not_supported_and_which_commands_help() {
    let helps = "ssh-keygen -t ed25519 && git config gpg.format ssh && git config user.signingkey \
                 ~/.ssh/id_ed25519.pub && git config commit.gpgsign true";
    let machine = Machine::with_shop();
    let unset = |key: &str| machine.git(&["config", "--global", "--unset", key]);
    machine.git(&["config", "gpg.format", "openpgp"]);
    machine.refuses(&[], "signs with OpenPGP here", helps);
    machine.git(&["config", "gpg.format", "x509"]);
    machine.refuses(&[], "X.509", helps);
    machine.git(&["config", "gpg.format", "ssh"]);
    machine.git(&["config", "user.signingkey", "~/.ssh/nothing.pub"]);
    machine.refuses(&[], "cannot be read", "git config user.signingkey FILE");
    machine.git(&["config", "user.signingkey", "ssh-dss AAAAB3NzaC1kc3M="]);
    machine.refuses(&[], "no key that can be trusted: a DSA key is too weak", helps);
    machine.git(&["config", "--unset", "user.signingkey"]);
    unset("user.signingkey");
    machine.refuses(&[], "`user.signingkey` is not set", helps);
    machine.git(&["config", "gpg.ssh.defaultKeyCommand", "ssh-add -L"]);
    machine.refuses(&[], "git asks a program", "git config user.signingkey FILE");
    machine.git(&["config", "--unset", "gpg.format"]);
    unset("gpg.format");
    machine.refuses(&[], "git signs nothing here", helps);
    std::fs::write(machine.root().join("home/.ssh/id_ed25519.pub"), "").expect("because the folder is ours");
    machine.refuses(&[], "git signs nothing here", "sign with an SSH key: git config gpg.format ssh");

    let machine = Machine::with_shop();
    machine.git(&["config", "--global", "--unset", "user.email"]);
    machine.refuses(&[], "`user.email` is not set", "git config user.email YOU@EXAMPLE.COM");
    machine.git(&["config", "user.email", "*@example.com"]);
    machine.refuses(&[], "no name for a signer", "git config user.email YOU@EXAMPLE.COM");
}

fn origin_is_the_repository_where_the_agent_can_read_it_and_its_credentials_are_never_written() {
    let machine = Machine::with_shop();
    machine.git(&["remote", "add", "origin", "git@git.example.com:shop/deploy.git"]);
    let document = machine.init(&[]);
    assert_eq!(document["repository"]["url"], "ssh://git@git.example.com/shop/deploy.git");
    assert_eq!(document["pipeline"], "deploy");
    assert!(machine.read("lockmaster.yaml").contains("sshKeyFile: deploy_key"), "{}", machine.read("lockmaster.yaml"));
    machine.forget();
    machine.git(&["remote", "set-url", "origin", "https://dana:hunter2@git.example.com/shop/deploy.git"]);
    let document = machine.init(&[]);
    assert_eq!(document["repository"]["url"], "https://git.example.com/shop/deploy.git");
    assert!(!document.to_string().contains("hunter2") && !machine.read("lockmaster.yaml").contains("hunter2"));
    assert!(document["notes"].to_string().contains("credentials in the address of `origin` are not written"));
    machine.forget();
    machine.git(&["remote", "set-url", "origin", "git://git.example.com/shop.git"]);
    let clone = machine.clone().canonicalize().expect("because it is there");
    assert_eq!(machine.init(&[])["repository"]["url"], clone.display().to_string(), "the agent reads no git://");
}

fn a_branch_counts_as_it_is_at_origin() {
    let machine = Machine::with_shop();
    machine.git(&["clone", "-q", "--bare", ".", "../origin.git"]);
    machine.git(&["remote", "add", "origin", "../origin.git"]);
    machine.git(&["push", "-q", "origin", "main:env/dev"]);
    machine.git(&["fetch", "-q", "origin"]);
    machine.git(&["branch", "env/production"]);
    let document = machine.init(&[]);
    assert_eq!(each(&document, "/branch"), ["env/dev", "main", "env/production"]);
    let notes = document["notes"].to_string();
    assert!(notes.contains("git push origin env/production") && !notes.contains("git push origin main"), "{notes}");
    machine.lockmaster(&["verify", "dev", "staging", "--signatures-only"]).expect(0);
}

fn history_is_taken_as_it_is_only_where_the_key_did_not_sign_all_of_it() {
    let machine = Machine::with_shop();
    for branch in ["env/dev", "env/staging"] {
        machine.git(&["branch", branch]);
    }
    let unsigned = machine.commit(&["--no-gpg-sign"]);
    let document = machine.init(&["--environment", "dev=deploy/overlays/dev"]);
    assert_eq!(document["introduction"], serde_json::json!([]), "env/dev is signed");
    machine.forget();

    machine.git(&["branch", "env/production"]);
    machine.git(&["switch", "-q", "-c", "later"]);
    machine.commit(&[]);
    let document = machine.init(&[]);
    // env/dev is an ancestor of what is introduced, and would descend from no introduction.
    let signed = machine.git(&["rev-parse", "env/dev"]);
    let mut expected = [unsigned.clone(), signed];
    expected.sort();
    assert_eq!(document["introduction"], serde_json::json!(expected));
    let file = machine.read("lockmaster.yaml");
    let line = |commit: &str| file.lines().find(|line| line.contains(commit)).map(str::to_owned).unwrap_or_default();
    assert!(line(&unsigned).ends_with("# env/production"), "{file}");
    assert!(line(&machine.git(&["rev-parse", "env/dev"])).ends_with("# env/dev, env/staging"), "{file}");
    machine.lockmaster(&["verify", "dev", "staging", "production", "--signatures-only"]).expect(0);
}

fn a_shallow_clone_is_taken_as_it_is_and_says_so() {
    let machine = Machine::with_shop();
    machine.commit(&[]);
    let from = format!("file://{}", machine.clone().display());
    machine.git(&["clone", "-q", "--depth", "1", &from, "../part"]);
    let ran = machine.lockmaster_in(&machine.root().join("part"), &["init"]).expect(0);
    assert!(ran.stdout.contains("`main` could not be judged: commit"), "{}", ran.stdout);
    assert!(ran.stdout.contains("git fetch --unshallow"), "{}", ran.stdout);
    let tip = machine.git(&["rev-parse", "HEAD"]);
    let file = std::fs::read_to_string(machine.root().join("part/lockmaster.yaml")).expect("because it was written");
    assert!(file.contains(&tip), "{file}");
}

fn two_environments_never_share_a_namespace() {
    let machine = Machine::with_shop();
    for name in ["dev", "prod"] {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n";
        machine.write(&format!("deploy/plain/{name}/a.yaml"), text);
    }
    let named = ["--environment", "dev=deploy/plain/dev", "prod=./deploy/plain/prod/"];
    let document = machine.init(&named);
    assert_eq!(each(&document, "/namespaces"), ["[\"shop\"]", "[\"prod\"]"]);
    assert!(document["notes"].to_string().contains("`prod`: its manifests also name `shop`"), "{document}");
    assert!(machine.read("lockmaster.yaml").contains("    # its manifests also name `shop`"));
}

fn namespaces_are_those_that_the_manifests_name_else_the_environments_name() {
    let machine = Machine::new();
    machine.write("deploy/envs/a/x.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: two}\n");
    machine.write("deploy/envs/b/x.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n");
    let document = machine.init(&[]);
    assert_eq!(each(&document, "/namespaces"), ["[\"one\",\"two\"]", "[\"b\"]"]);
    assert!(document["notes"].to_string().contains("`b`: no manifest names a namespace"), "{document}");
}

fn where_nothing_or_too_much_is_found_it_asks() {
    let machine = Machine::new();
    machine.write("README.md", "hello\n");
    machine.refuses(&[], "nothing to deploy was found", "lockmaster init --environment dev=PATH");
    machine.write("chart/Chart.yaml", "apiVersion: v2\nname: chart\n");
    machine.refuses(&[], "`chart` is a Helm chart", "");
    for name in ["a", "b"] {
        machine.write(&format!("{name}/x.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    }
    machine.refuses(&[], "several hold manifests: `a`, `b`", "lockmaster init --environment dev=PATH");
    machine.refuses(&["--environment", "dev=c"], "`c` is not in the clone", "");
    machine.refuses(&["--environment", "dev=../x"], "expected a path from the top of the clone", "");
    machine.refuses(&["--environment", "Dev=a"], "an environment name", "");
    machine.refuses(&["--environment", "a"], "expected `NAME=PATH`", "");
    machine.init(&["--environment", "on=a"]);
}
