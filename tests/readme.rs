//! The README is true: its commands run as written, print what it shows, and the rights it hands out are enough.

mod control_plane;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use control_plane::{AGENT, ControlPlane, Test, eventually, run};
use lockmaster::name::Code;
use serde_json::json;

const README: &str = include_str!("../README.md");

/// What cannot run as written: it builds for minutes, runs this suite itself, or never ends.
const SUBSTITUTES: [(&str, &str); 5] = [
    ("cargo run --release -- ", "lockmaster "),
    ("cargo install --locked --path .", "true"),
    ("cargo test", "true"),
    ("export KUBEBUILDER_ASSETS=$(bash tests/control-plane/build.sh)", "true"),
    ("lockmaster run &", "timeout --foreground --preserve-status -s TERM 5 lockmaster run --listen 127.0.0.1:0"),
];

/// Text blocks that no command prints: the walk.
const PICTURES: usize = 1;

/// What the README says is not built, as a person would first ask for it: verbs, and lines of an environment.
const NOT_YET: [&str; 4] = ["audit verify", "dora", "show dev/1 --diff", "run --webhook-secret-file x"];
const NOT_YET_KEYS: [&str; 4] = ["slo: {}", "policies: []", "serviceAccount: x", "renderer: helm"];

/// What the README calls the home of its reader.
const HOME: &str = "/home/dana";

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("every_command_works_as_written_and_prints_what_is_shown", commands),
        ("the_pipeline_of_three_environments_has_twenty_lines_at_most_and_lint_accepts_it", pipeline),
        ("what_is_not_built_is_refused_by_its_name", not_yet),
        ("every_reason_code_is_one_that_the_program_knows", codes),
        ("the_rights_in_deploy_rbac_are_enough_and_no_more_than_said", rights),
    ];
    run(tests)
}

/// A command block and what it is said to print on standard output.
struct Block {
    line: usize,
    in_clone: bool,
    script: String,
    shown: Option<String>,
}

/// The ```` ```sh ```` blocks, each with the ```` ```text ```` block that follows with nothing but a line between.
fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks: Vec<Block> = Vec::new();
    let mut at = 0;
    let mut end_of_last = usize::MAX;
    while at < lines.len() {
        let Some(info) = lines[at].strip_prefix("```") else {
            at += 1;
            continue;
        };
        let length = lines[at + 1..].iter().position(|line| *line == "```").expect("because every block is closed");
        let body = lines[at + 1..=at + length].iter().map(|line| format!("{line}\n")).collect::<String>();
        let end = at + length + 2;
        match info {
            "sh" | "sh in-clone" => {
                blocks.push(Block { line: at + 1, in_clone: info != "sh", script: body, shown: None });
                end_of_last = end;
            }
            "text" if at.checked_sub(end_of_last).is_some_and(|gap| gap <= 3) => {
                blocks.last_mut().expect("because there is one").shown = Some(body);
            }
            _ => {}
        }
        at = end;
    }
    blocks
}

impl Block {
    /// The exit code that its last line announces with `# exits N`; 0 else.
    fn exits(&self) -> i32 {
        let announced = self.script.trim_end().rsplit_once("# exits ").map(|(_, rest)| rest);
        announced.and_then(|rest| rest.split([':', ' ', '\n']).next()?.parse().ok()).unwrap_or(0)
    }

    fn runnable(&self) -> String {
        SUBSTITUTES.iter().fold(self.script.clone(), |script, (written, instead)| script.replace(written, instead))
    }
}

fn commands(plane: &'static ControlPlane) {
    let reader = Reader::new(plane.kubeconfig(AGENT));
    let mut wrong = Vec::new();
    let blocks = blocks(README);
    let shown = blocks.iter().filter(|block| block.shown.is_some()).count();
    let texts = README.lines().filter(|line| *line == "```text").count();
    assert_eq!(shown, texts - PICTURES, "a text block stands behind no command");
    for block in &blocks {
        let missing = ["zstd", "jq"].into_iter().find(|tool| block.script.contains(tool) && !reader.has(tool));
        if let Some(tool) = missing {
            eprintln!("line {}: left out, there is no {tool}", block.line);
            continue;
        }
        let ran = reader.run(block);
        let shown = block.shown.as_deref().map(normal);
        let printed = normal(&ran.stdout.replace(&reader.home.path().display().to_string(), HOME));
        let told = format!("--- line {}: {}\n{}{}", block.line, block.script, ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(block.exits()), "{told}");
        if let Some(shown) = shown.filter(|shown| !matches(shown, &printed)) {
            wrong.push(format!("{told}--- shown\n{shown}--- printed\n{printed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A newcomer's machine: an empty home with a clone in it, and the program on the path.
struct Reader {
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
    path: std::ffi::OsString,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Reader {
    fn new(kubeconfig: PathBuf) -> Reader {
        let home = tempfile::tempdir().expect("because there is room for a folder");
        let (clone, programs) = (home.path().join("lockmaster"), home.path().join(".programs"));
        for folder in ["fixtures/hello", "deploy"] {
            copy(Path::new(folder), &clone.join(folder));
        }
        fs::create_dir(&programs).expect("because the folder is ours");
        let program = programs.join("lockmaster");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lockmaster"), program).expect("because the folder is ours");
        fs::write(home.path().join(".cwd"), clone.display().to_string()).expect("because the folder is ours");
        let assets = control_plane::binaries().expect("because there is a control plane");
        let old = std::env::var_os("PATH").unwrap_or_default();
        let paths = [programs, assets].into_iter().chain(std::env::split_paths(&old));
        let path = std::env::join_paths(paths).expect("because paths were split from one");
        Reader { home, kubeconfig, path }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", &self.path).env("HOME", self.home.path()).env("KUBECONFIG", &self.kubeconfig);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command.current_dir(self.home.path());
        command
    }

    fn has(&self, program: &str) -> bool {
        let found = self.command("sh").args(["-c", "command -v \"$1\"", "sh", program]).output();
        found.expect("because there is a shell").status.success()
    }

    /// Runs a block where the one before it ended.
    fn run(&self, block: &Block) -> Ran {
        let place = if block.in_clone { "cd ~/lockmaster" } else { "cd \"$(cat ~/.cwd)\"; trap 'pwd > ~/.cwd' EXIT" };
        self.script(&format!("set -euo pipefail; {place}\n{}", block.runnable()))
    }

    fn script(&self, script: &str) -> Ran {
        let output = self.command("bash").args(["-c", script]).output().expect("because bash is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn expect(&self, script: &str, code: i32) -> Ran {
        let ran = self.script(script);
        assert_eq!(ran.code, Some(code), "{script}\n{}{}", ran.stdout, ran.stderr);
        ran
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("because the folder is ours");
    for entry in fs::read_dir(from).expect("because the folder can be read") {
        let entry = entry.expect("because the folder can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read(entry.path()).expect("because it can be read")).expect("because it is ours");
        }
    }
}

/// The text with what differs between two runs made equal: ids, ages, times, and blanks at the end of a line.
fn normal(text: &str) -> String {
    let line = |line: &str| {
        let line = &measured(line);
        let mut out = String::new();
        let mut word = String::new();
        for c in line.trim_end().chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() {
                word.push(c);
            } else {
                out.push_str(stable(&word));
                word.clear();
                out.push(c);
            }
        }
        out
    };
    text.lines().map(line).collect()
}

/// The line with what the demo measured made equal: when a line was told, and how long something took.
fn measured(line: &str) -> String {
    let number = |word: &str| word.parse::<f64>().is_ok();
    let told = |word: &str| word.strip_suffix('s').is_some_and(|time| time.contains('.') && number(time));
    let begins = line.split_whitespace().next().is_some_and(told);
    let words: Vec<&str> = if begins { line.trim_start() } else { line }.split(' ').collect();
    let stands = |at: usize, unit: &[&str]| words.get(at + 1).is_some_and(|next| unit.contains(next));
    let word = |(at, word): (usize, &&str)| match *word {
        word if number(word) && stands(at, &["ms", "ms;", "s,"]) => "TOOK".to_owned(),
        word if told(word) => "TIME".to_owned(),
        word => word.to_owned(),
    };
    words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

fn stable(word: &str) -> &str {
    let hex = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let aged = word.ends_with(['s', 'm', 'h']) && word.starts_with(|c: char| c.is_ascii_digit());
    match word.len() {
        7 | 40 | 64 if hex => "ID",
        2.. if aged && word.chars().all(|c| c.is_ascii_digit() || matches!(c, 's' | 'm' | 'h')) => "AGE",
        _ => word,
    }
}

/// Whether the shown text is the printed one; a line `...` stands for any lines.
fn matches(shown: &str, printed: &str) -> bool {
    let (shown, printed): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), printed.lines().collect());
    match_lines(&shown, &printed)
}

fn match_lines(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => (0..=printed.len()).any(|from| match_lines(rest, &printed[from..])),
        (Some((first, shown)), Some((second, printed))) => first == second && match_lines(shown, printed),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn pipeline(plane: &'static ControlPlane) {
    let section = README.split("\n## Promote through environments").nth(1).expect("because the section is there");
    let block = section.split("\n```yaml\n").nth(1).and_then(|rest| rest.split("\n```\n").next());
    let block = block.expect("because it shows a pipeline");
    assert!(block.lines().count() <= 20, "{} lines", block.lines().count());
    let keys = ["signers:", "roles:", "from: dev", "from: staging", "approvals:", "windows:", "checks: [", "soak:"];
    for key in keys {
        assert!(block.contains(key), "{key} is not in\n{block}");
    }
    let reader = Reader::new(plane.kubeconfig(AGENT));
    let folder = reader.home.path().join("promotion");
    fs::create_dir(&folder).expect("because the folder is ours");
    fs::write(folder.join("lockmaster.yaml"), format!("{block}\n")).expect("because the folder is ours");
    let people = "for who in dana lena omar kim; do ssh-keygen -q -t ed25519 -N '' -f $who
         echo \"$who@example.com $(cut -d' ' -f1,2 $who.pub)\" >> allowed_signers; done";
    reader.expect(&format!("cd promotion && {people}"), 0);
    let linted = reader.expect("cd promotion && lockmaster lint", 0);
    assert!(linted.stdout.contains(": 0 errors, 0 warnings"), "{}", linted.stdout);
}

fn not_yet(plane: &'static ControlPlane) {
    let reader = Reader::new(plane.kubeconfig(AGENT));
    for verb in NOT_YET {
        let ran = reader.expect(&format!("cd lockmaster && lockmaster -f fixtures/hello/lockmaster.yaml {verb}"), 2);
        assert!(ran.stderr.contains("is not supported yet"), "{verb}: {}", ran.stderr);
    }
    for key in NOT_YET_KEYS {
        let script = format!(
            "cd lockmaster/fixtures/hello && (cat lockmaster.yaml; echo '    {key}') > other.yaml && lockmaster lint -f other.yaml"
        );
        let ran = reader.expect(&script, 1);
        let name = key.split(':').next().unwrap_or(key);
        assert!(ran.stdout.contains("not supported yet") && ran.stdout.contains(name), "{key}: {}", ran.stdout);
    }
}

fn codes(_: &'static ControlPlane) {
    let section = README.split("\n## What is refused").nth(1).expect("because the section is there");
    let section = section.split("\n## ").next().expect("because a split has a first part");
    let cells = section.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let named: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 20, "{named:?}");
    for code in named {
        assert!(code.parse::<Code>().is_ok(), "`{code}` is no reason code");
    }
}

fn rights(plane: &'static ControlPlane) {
    let admin = Reader::new(plane.kubeconfig(AGENT));
    let namespace = plane.namespace("rights");
    admin.expect("cd lockmaster && kubectl apply -f deploy/rbac.yaml", 0);
    let bind = format!(
        "kubectl create rolebinding lockmaster -n {namespace} --clusterrole=edit --serviceaccount=lockmaster:lockmaster"
    );
    admin.expect(&bind, 0);
    eventually("the controllers have gathered the role `edit`", || {
        let edit = plane.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/edit")?;
        edit["rules"].as_array().is_some_and(|rules| !rules.is_empty()).then_some(())
    });
    let agent = admin.as_service_account();
    agent.expect(&format!("mkdir try && cd try\n{}", setup(&namespace)), 0);
    agent.expect("cd try && lockmaster plan dev", 1);
    agent.expect("cd try && lockmaster run --once", 0);
    agent.expect("cd try/deploy && git rm -q dev/token.json && git commit -q -S -m two", 0);
    agent.expect("cd try && lockmaster run --once && lockmaster status && lockmaster diff dev", 0);
    assert_eq!(plane.get(&format!("/api/v1/namespaces/{namespace}/secrets/token")), None, "it was pruned");
    for beyond in [
        "create deployments -n default",
        "get secrets -n kube-system",
        "list secrets --all-namespaces",
        "delete namespaces",
        "create clusterroles",
        "create rolebindings -n lockmaster",
    ] {
        assert_eq!(agent.expect(&format!("kubectl auth can-i {beyond}"), 1).stdout, "no\n", "{beyond}");
    }
}

/// A repository whose one environment writes into a namespace that exists.
fn setup(namespace: &str) -> String {
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example/web:1.0"}]},
            },
        },
    });
    let token = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"a": "b"}});
    let pipeline = json!({
        "apiVersion": "lockmaster.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "rights"},
        "spec": {
            "repository": {"url": "deploy"}, "trust": {"signers": {"file": "allowed_signers"}},
            "environments": [{"name": "dev", "branch": "main", "path": "dev", "namespace": namespace, "deadline": "1m"}],
        },
    });
    format!(
        "set -e; git init -q -b main deploy; ssh-keygen -q -t ed25519 -N '' -f key
         echo \"dana@example.com $(cut -d' ' -f1,2 key.pub)\" > allowed_signers
         cd deploy; git config user.name Dana; git config user.email dana@example.com
         git config gpg.format ssh; git config user.signingkey ../key; mkdir dev
         echo '{web}' > dev/web.json; echo '{token}' > dev/token.json; git add -A; git commit -q -S -m one
         echo '{pipeline}' > ../lockmaster.yaml"
    )
}

impl Reader {
    /// The same machine in the hands of the agent's ServiceAccount, with a token that the server issued.
    fn as_service_account(&self) -> Reader {
        let token = self.expect("kubectl create token lockmaster -n lockmaster", 0).stdout;
        let text = fs::read_to_string(&self.kubeconfig).expect("because the harness wrote it");
        let mut kubeconfig: serde_json::Value = serde_json::from_str(&text).expect("because the harness writes JSON");
        kubeconfig["users"][0]["user"] = json!({"token": token.trim()});
        let file = self.home.path().join("kubeconfig");
        fs::write(&file, kubeconfig.to_string()).expect("because the folder is ours");
        Reader::new(file)
    }
}
