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
const LINES: [&str; 24] = [
    "keys     dana, lena, omar and the agent have ",
    "git      repository `shop`: env/dev, env/staging, env/prod; 2 commits, each signed",
    "cluster  embedded Kubernetes API ",
    "agent    ready, follows 3 branches",
    "rules    dev -> staging -> prod; prod asks lena or omar for 1 approval, never an author's",
    "dev      ID \"shop 1.0\" by dana: verified, 8 created, healthy in ",
    "staging  dana merges dev: same content as dev/1, 8 created, healthy in ",
    "prod     omar merges staging, ID: waits for approvals, 0 of 1, omar is the author",
    "omar     signs tag approve/shop/prod/omar: still 0 of 1, an author does not count",
    "prod     lena signs tag approve/shop/prod/lena: admitted",
    "prod     ID: same content as staging/2, 8 created, healthy in ",
    "edit     Deployment/cart in prod: replicas set from 3 to 9 by hand (manager kubectl-edit)",
    "prod     drift healed to 3, ",
    "mallory  pushes ID \"free shipping\" to env/dev, unsigned",
    "dev      refused[unsigned-commit]: ID; ID stays, 0 writes to the cluster (dev/3)",
    "dana     puts env/dev back to ID: no rewind, ID was never accepted",
    "prod     ID \"shop 1.1\", proven in dev and staging, approved by lena: 1 created, 2 updated",
    "prod     Deployment/retry, which prod alone has, crash-loops: failed (prod/6)",
    "prod     rolled back to prod/3 from stored bytes in ",
    "prod     agent signs and pushes revert ID, inputs equal to ID: Git and cluster agree",
    "mallory  force-pushes env/prod to its first commit, ID",
    "prod     refused[ref-rewound]: ID is an ancestor of the accepted head ID, 0 writes",
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
    let back =
        ran.stdout.lines().find(|line| line.contains("rolled back to prod/3 from")).expect("because it was told");
    assert!(back.ends_with(" ms; what 1.1 brought is on hold (prod/7)"), "{back}");
    assert!(
        ran.stdout.contains("\n  hint: let it come again: lockmaster unhold prod/7 --reason WHY\n"),
        "{}",
        ran.stdout
    );
    let mut story = ran.stdout.lines().take_while(|line| !line.starts_with("$ "));
    let long = story.find(|line| !line.is_ascii() || line.len() > 110);
    assert_eq!(long, None, "a line of the story has 110 columns of ASCII at most");
    machine.left_nothing();
}

fn what_is_kept_is_a_repository_that_git_and_lint_accept() {
    let machine = Machine::new();
    let kept = machine.at("kept");
    let ran = machine.run(&["demo", "--keep", kept.to_str().expect("because it is UTF-8")]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let go_on = format!("; go on: cd {} && lockmaster run --embedded", kept.display());
    assert!(ran.stdout.lines().any(|line| line.ends_with(&go_on)), "{}", ran.stdout);
    machine.left_nothing();
    let mut names: Vec<String> = std::fs::read_dir(&kept)
        .expect("because it is kept")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let keys = ["dana_key", "dana_key.pub"];
    let lena = ["lena_key", "lena_key.pub"];
    let others = ["lockmaster.yaml", "mallory_key", "mallory_key.pub", "omar_key", "omar_key.pub", "shop.git"];
    assert_eq!(names, [&["allowed_signers"][..], &keys, &lena, &others, &["writer_key"]].concat());

    let pipeline = kept.join("lockmaster.yaml").display().to_string();
    let lint = machine.run(&["lint", "-f", &pipeline]);
    assert_eq!((lint.code, lint.stdout.contains("0 errors, 0 warnings")), (Some(0), true), "{}", lint.stdout);
    let verify = machine.run(&["verify", "-f", &pipeline, "dev", "staging", "prod", "--signatures-only"]);
    assert_eq!(verify.code, Some(0), "{}{}", verify.stdout, verify.stderr);
    for (branch, count) in [("env/dev", "3"), ("env/staging", "5"), ("env/prod", "9")] {
        git(&kept, &["verify-commit", branch]);
        assert_eq!(git(&kept, &["rev-list", "--count", branch]), count, "{branch}");
    }
    git(&kept, &["fsck", "--strict", "--no-dangling"]);
    let merges = [
        ("env/staging^", "env/dev^"),
        ("env/staging", "env/dev"),
        ("env/prod~3", "env/staging^"),
        ("env/prod^", "env/staging"),
    ];
    for (merge, from) in merges {
        let second = git(&kept, &["rev-parse", &format!("{merge}^2")]);
        assert_eq!(second, git(&kept, &["rev-parse", from]), "{merge} merges {from}");
    }
    for (who, approved) in [("omar", "env/prod~3"), ("lena", "env/prod^")] {
        let tag = format!("approve/shop/prod/{who}");
        git(&kept, &["verify-tag", &tag]);
        assert_eq!(git(&kept, &["rev-parse", &format!("{tag}^{{}}")]), git(&kept, &["rev-parse", approved]));
    }
    the_revert_is_the_agents(&kept);
    another_cluster_judges_by_what_it_has_proven(&machine, &kept, &pipeline);

    let again = machine.run(&["demo", "--keep", kept.to_str().expect("because it is UTF-8")]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("is not empty, and the demo overwrites nothing"), "{}", again.stderr);
}

/// It has the files of 1.0 and says what it undoes.
#[track_caller]
fn the_revert_is_the_agents(kept: &Path) {
    let who = git(kept, &["log", "-1", "--format=%ae %GS", "env/prod"]);
    assert_eq!(who, "agent@example.com agent@example.com");
    let message = git(kept, &["log", "-1", "--format=%B", "env/prod"]);
    assert!(message.ends_with("Rollback-Of: prod#5\nRollback-To: prod#3"), "{message}");
    git(kept, &["diff", "--exit-code", "env/prod", "env/prod~3"]);
    assert!(!git(kept, &["diff", "env/prod", "env/prod^"]).is_empty(), "it undoes something");
}

/// Another agent with another cluster has proven 1.1 alone: it refuses the revert, as the demo says. 1.1 itself enters only
/// with lena's tag, and fails there too.
#[track_caller]
fn another_cluster_judges_by_what_it_has_proven(machine: &Machine, kept: &Path, pipeline: &str) {
    let prod = |code: i32| {
        let ran =
            machine.run(&["run", "--embedded", "--once", "-f", pipeline, "-o", "json", "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
        let document: Value = serde_json::from_str(&ran.stdout).expect("because it is a document");
        let all = document["environments"].as_array().into_iter().flatten();
        let mut prod =
            all.filter(|one| one["name"] == "prod").map(|one| (one["state"].clone(), one["reasons"].clone()));
        let (state, reasons) = prod.next_back().expect("because there is a prod");
        (state, reasons[0]["code"].clone())
    };
    assert_eq!(prod(1), ("refused".into(), "unproven-content".into()));
    git(kept, &["update-ref", "refs/heads/env/prod", "env/prod^"]);
    assert_eq!(prod(1), ("failed".into(), "object-failed".into()));
    git(kept, &["update-ref", "-d", "refs/tags/approve/shop/prod/lena"]);
    assert_eq!(prod(0), ("waiting".into(), "approvals-missing".into()));
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
    promoted(&machine);
    interrupt(&child);
    assert_eq!(child.wait().expect("because it was started").code(), Some(0));
    assert!(std::net::TcpStream::connect(address).is_err(), "it is gone");
    machine.left_nothing();
}

/// The entries say by themselves what the story told: read from the served cluster, without the program.
#[track_caller]
fn promoted(machine: &Machine) {
    let mut folders = std::fs::read_dir(machine.at("tmp")).expect("because it is ours");
    let folder = folders.next().expect("because the demo goes on").expect("because it is ours").path();
    let entries = entries(&folder.join("kubeconfig"));
    let opened = |environment: &str| {
        let is = |entry: &&Value| entry["environment"] == environment && entry["phase"] == "opened";
        entries.iter().find(is).unwrap_or_else(|| panic!("{environment} was opened: {entries:#?}"))
    };
    let (dev, staging, prod) = (opened("dev"), opened("staging"), opened("prod"));
    for (entry, from) in [(staging, dev), (prod, staging)] {
        assert_eq!(entry["action"], "promote");
        assert_eq!(entry["upstream"]["environment"], from["environment"], "{entry}");
        assert_eq!(entry["upstream"]["sequence"], from["sequence"], "{entry}");
        assert_eq!(entry["images"], from["images"], "the image stays the same");
    }
    let images = dev["images"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(images.contains(&"registry.example/shop/cart:1.0".into()), "{dev}");
    let waits = entries.iter().find(|entry| entry["environment"] == "prod" && entry["action"] == "wait");
    let waits = waits.expect("because prod waited");
    assert_eq!(waits["reasons"][0]["code"], "approvals-missing");
    assert_eq!(waits["commit"]["id"], prod["commit"]["id"]);
    assert!(waits["sequence"].as_u64() < prod["sequence"].as_u64(), "prod opens after it waited");
    let gates = prod["gates"].as_array().into_iter().flatten();
    let approvals = gates.filter(|gate| gate["name"] == "approvals").find_map(|gate| gate["value"].as_str());
    assert_eq!(approvals, Some("1 of 1 release-managers: lena@example.com"));
}

/// Every entry of every log of the cluster, in the order of their sequences.
fn entries(kubeconfig: &Path) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("because there is room");
    let listed: Value = runtime.block_on(async {
        let access = lockmaster::edge::cluster::Access { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let cluster = lockmaster::edge::cluster::Cluster::connect(&access).await.expect("because it is served");
        let path = "/api/v1/namespaces/lockmaster/configmaps?labelSelector=lockmaster.dev%2Fkind%3Dentry";
        let request = http::Request::get(path).body(Vec::new()).expect("because it is a path");
        cluster.client().request(request).await.expect("because it is served")
    });
    let entry = |object: &Value| {
        let content = object["binaryData"]["content"].as_str().expect("because an entry has content");
        let content = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, content);
        let content = zstd::decode_all(content.expect("because it is base64").as_slice());
        let content = content.expect("because it is packed");
        let line = content.split(|byte| *byte == b'\n').find_map(|line| {
            let at = line.windows(10).position(|window| window == b"{\"action\":")?;
            serde_json::Deserializer::from_slice(&line[at..]).into_iter::<Value>().next()?.ok()
        });
        let mut entry = line.unwrap_or_else(|| panic!("{} has an entry", object["metadata"]["name"]));
        let name = object["metadata"]["name"].as_str().and_then(|name| name.split('.').nth(1));
        entry["environment"] = name.into();
        entry
    };
    let mut entries: Vec<Value> = listed["items"].as_array().into_iter().flatten().map(entry).collect();
    entries.sort_by_key(|entry| entry["sequence"].as_u64());
    entries
}
