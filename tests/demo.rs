//! `lockmaster demo` through the real program: all of it happens, in order, and nothing stays behind.

#[path = "tools/plain.rs"]
mod plain;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn main() -> ExitCode {
    let needing: Vec<plain::Plain> = plain::table![what_is_kept_is_a_repository_that_git_and_lint_accept,];
    let others: Vec<plain::Plain> = plain::table![
        the_whole_story_happens_in_order_and_leaves_nothing_behind,
        json_is_one_document_a_line,
        each_step_waits_for_enter_and_an_interrupt_leaves_nothing_behind,
        what_is_served_is_there_until_an_interrupt_and_gone_after_it,
    ];
    plain::run(&["ssh-keygen"], needing, others)
}

/// The beginnings of the lines, each of which stands behind the one before it.
const LINES: [&str; 18] = [
    "keys     dana and omar have ",
    "git      repository `shop`: env/dev, env/staging, env/prod; 4 commits, each signed",
    "cluster  embedded Kubernetes API ",
    "agent    ready, follows 3 branches",
    "dev      ID \"shop 1.0\" by dana: signature verified, 8 objects created, healthy in ",
    "staging  ID \"staging: shop 1.0\" by omar: signature verified, 8 objects created, healthy in ",
    "prod     ID \"prod: shop 1.0, three carts\" by omar: signature verified, 8 objects created, healthy in ",
    "edit     spec.replicas of Deployment/cart in prod set from 3 to 9 by hand (manager kubectl-edit)",
    "prod     drift healed to 3, ",
    "mallory  pushes ID \"free shipping\" to env/dev, unsigned",
    "dev      refused[unsigned-commit]: ID; ID stays, 0 writes to the cluster (dev/3)",
    "dana     puts env/dev back to ID: no rewind, ID was never accepted",
    "dev      ID \"shop 1.1\" by dana: signature verified, 2 of 8 objects updated, healthy in ",
    "dev      ID \"Revert \"shop 1.1\"\" by dana: signature verified, 2 of 8 objects updated, healthy in ",
    "mallory  force-pushes env/prod to its first commit, ID",
    "prod     refused[ref-rewound]: ID is an ancestor of the accepted head ID, 0 writes (prod/",
    "omar     puts env/prod back to ID",
    "done in ",
];

/// A machine with nothing on it: an empty home, a folder for temporary files, no `git` and no `ssh-keygen` in its path.
struct Machine(tempfile::TempDir);

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().expect("because there is room"));
        for name in ["home", "tmp"] {
            std::fs::create_dir(machine.at(name)).expect("because the folder is ours");
        }
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockmaster"));
        command.args(arguments).current_dir(self.at("home")).env_clear().env("PATH", "").stdin(Stdio::null());
        command.env("HOME", self.at("home")).env("TMPDIR", self.at("tmp"));
        // The way to this machine leads through no proxy.
        command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("because the program was built");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Starts the demo; its lines, and the process.
    fn start(&self, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("because it was built");
        let stdout = child.stdout.take().expect("because it is piped");
        (child, BufReader::new(stdout))
    }

    #[track_caller]
    fn left_nothing(&self) {
        for name in ["home", "tmp"] {
            let left: Vec<_> = std::fs::read_dir(self.at(name)).expect("because it is ours").collect();
            assert!(left.is_empty(), "{name}: {left:?}");
        }
    }
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let sent = Command::new("/bin/sh").args(["-c", "kill -s INT \"$1\"", "interrupt", &pid]).status();
    assert!(sent.expect("because there is a shell").success());
}

/// The text with ids of commits made equal.
fn plain(line: &str) -> String {
    let is_id = |word: &str| word.len() == 7 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut out = String::new();
    for part in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        out += &if is_id(word) { part.replace(word, "ID") } else { part.to_owned() };
    }
    out
}

#[track_caller]
fn told(stdout: &str) {
    let mut rest = stdout.lines();
    for expected in LINES {
        let is = |line: &str| {
            let line = plain(line);
            let behind_the_time = line.split_once("s  ").map_or(line.as_str(), |(_, rest)| rest);
            behind_the_time.starts_with(expected) || line.starts_with(expected)
        };
        assert!(rest.any(is), "{expected}\n{stdout}");
    }
}

fn the_whole_story_happens_in_order_and_leaves_nothing_behind() {
    let machine = Machine::new();
    let ran = machine.run(&["demo"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    told(&ran.stdout);
    let heal = ran.stdout.lines().find(|line| line.contains("drift healed")).expect("because it was told");
    assert!(heal.ends_with(" ms after the watch event, 1 request"), "{heal}");
    for row in ["dev ", "staging ", "prod "] {
        let row = ran.stdout.lines().find(|line| line.starts_with(row)).unwrap_or_default();
        assert!(row.contains("  healthy  8/8 ") && row.contains("  current  "), "{}", ran.stdout);
    }
    machine.left_nothing();
}

fn what_is_kept_is_a_repository_that_git_and_lint_accept() {
    let machine = Machine::new();
    let kept = machine.at("kept");
    let ran = machine.run(&["demo", "--keep", kept.to_str().expect("because it is UTF-8")]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert!(last.ends_with(&format!("go on: cd {} && lockmaster run --embedded", kept.display())), "{last}");
    machine.left_nothing();
    let mut names: Vec<String> = std::fs::read_dir(&kept)
        .expect("because it is kept")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let keys = ["dana_key", "dana_key.pub"];
    let others = ["lockmaster.yaml", "mallory_key", "mallory_key.pub", "omar_key", "omar_key.pub", "shop.git"];
    assert_eq!(names, [&["allowed_signers"][..], &keys, &others].concat());

    let pipeline = kept.join("lockmaster.yaml").display().to_string();
    let lint = machine.run(&["lint", "-f", &pipeline]);
    assert_eq!((lint.code, lint.stdout.contains("0 errors, 0 warnings")), (Some(0), true), "{}", lint.stdout);
    let verify = machine.run(&["verify", "-f", &pipeline, "dev", "staging", "prod", "--signatures-only"]);
    assert_eq!(verify.code, Some(0), "{}{}", verify.stdout, verify.stderr);
    for (branch, count) in [("env/dev", "4"), ("env/staging", "3"), ("env/prod", "4")] {
        git(&kept, &["verify-commit", branch]);
        assert_eq!(git(&kept, &["rev-list", "--count", branch]), count, "{branch}");
    }
    git(&kept, &["fsck", "--strict", "--no-dangling"]);

    let again = machine.run(&["demo", "--keep", kept.to_str().expect("because it is UTF-8")]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("is not empty, and the demo overwrites nothing"), "{}", again.stderr);
}

/// `git` in the kept repository, with the signers of the demo.
fn git(kept: &Path, arguments: &[&str]) -> String {
    let signers = format!("gpg.ssh.allowedSignersFile={}", kept.join("allowed_signers").display());
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(kept.join("shop.git"))
        .args(["-c", "gpg.format=ssh", "-c", &signers])
        .args(arguments)
        .output()
        .expect("because git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn json_is_one_document_a_line() {
    let machine = Machine::new();
    let ran = machine.run(&["demo", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let documents: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("because each line is a document")).collect();
    let (status, lines) = documents.split_last().expect("because there are lines");
    assert_eq!(status["schema"], "lockmaster.dev/status/v1");
    for line in lines {
        assert_eq!((&line["schema"], &line["happened"]), (&"lockmaster.dev/demo/v1".into(), &true.into()), "{line}");
    }
    assert_eq!(lines.len(), LINES.len() - 1);
    let ran = machine.run(&["demo", "-o", "yaml"]);
    assert!(ran.code == Some(2) && ran.stdout.is_empty(), "{}", ran.stdout);
    machine.left_nothing();
}

fn each_step_waits_for_enter_and_an_interrupt_leaves_nothing_behind() {
    let machine = Machine::new();
    let (mut child, mut lines) = machine.start(&["demo", "--step"]);
    let mut line = String::new();
    lines.read_line(&mut line).expect("because it is told");
    assert!(line.starts_with("lockmaster demo: "), "{line}");
    interrupt(&child);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("because it ends");
    assert_eq!(rest, "", "nobody pressed Enter");
    assert_eq!(child.wait().expect("because it was started").code(), Some(2));
    machine.left_nothing();

    let (mut child, lines) = machine.start(&["demo", "--step"]);
    drop(child.stdin.take());
    let last = lines.lines().map_while(Result::ok).last().unwrap_or_default();
    assert!(last.starts_with("done in "), "where nobody can press Enter, nobody is waited for: {last}");
    assert_eq!(child.wait().expect("because it was started").code(), Some(0));
    machine.left_nothing();
}

fn what_is_served_is_there_until_an_interrupt_and_gone_after_it() {
    let machine = Machine::new();
    let (mut child, mut lines) = machine.start(&["demo", "--serve"]);
    let mut line = String::new();
    while !line.starts_with("  curl -H ") {
        line.clear();
        assert!(lines.read_line(&mut line).expect("because it is told") > 0, "it ended before it served");
    }
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("because it is named");
    std::net::TcpStream::connect(address).expect("because it is served");
    interrupt(&child);
    assert_eq!(child.wait().expect("because it was started").code(), Some(0));
    assert!(std::net::TcpStream::connect(address).is_err(), "it is gone");
    machine.left_nothing();
}
