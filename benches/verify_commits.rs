//! How fast the signatures of 10,000 new commits are judged, cold, against what git does of it and bare ed25519.

#[path = "support/pure.rs"]
mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use git2::{ObjectType, Odb, Oid, Repository};
use lockmaster::signature::AgentKey;
use support::measure::{measure, progress, scaled};
use support::report::Report;

const COMMITS: usize = 10_000;
/// Commits that git verifies: it starts a process for each.
const SAMPLE: usize = 200;
const SEED: [u8; 32] = [7; 32];
const THREADS: usize = 2;

fn main() -> ExitCode {
    measure("verify_commits", bench)
}

fn bench() {
    let mut report = Report::new("verify_commits");
    let commits = scaled(COMMITS, 100);
    let folder = tempfile::tempdir().expect("because there is room for a folder");
    let folder = folder.path();
    progress(&format!("writing {commits} signed commits"));
    write_repository(folder, commits);
    progress("judging them");
    let cold = timed(|| lockmaster(folder, commits));
    let warm = timed(|| lockmaster(folder, commits));
    progress("the baselines");
    let mirror = ["clone", "-q", "--mirror", "--no-local", "repository", "mirror"];
    let clone = timed(|| drop(git(folder, &mirror)));
    let listed = |folder: &Path| git(folder, &["--git-dir", "mirror", "log", "--format=%H", "main"]);
    let walk = timed(|| assert_eq!(listed(folder).lines().count(), commits));
    let ids = listed(folder);
    let sample: Vec<&str> = ids.lines().take(SAMPLE).collect();
    let by_git = timed(|| drop(git(folder, &[&["--git-dir", "mirror", "verify-commit"], sample.as_slice()].concat())));
    let bare = bare_verification(commits);
    let a_second = |took: Duration, count: usize| count as f64 / took.as_secs_f64();
    report.figure("commits", commits as f64, "");
    report.figure("cold: fetched, walked, judged", cold.as_secs_f64(), "s");
    report.figure("cold", a_second(cold, commits), "commits/s");
    report.figure("with the mirror there", warm.as_secs_f64(), "s");
    report.figure("with the mirror there", a_second(warm, commits), "commits/s");
    report.baseline("git clone --mirror", clone.as_secs_f64(), "s");
    report.baseline("git log --format=%H", walk.as_secs_f64(), "s");
    report.baseline(&format!("bare ed25519 on {THREADS} threads"), bare.as_secs_f64(), "s");
    report.baseline("git verify-commit", a_second(by_git, sample.len()), "commits/s");
    let least = clone + walk + bare;
    report.ratio("cold / (git clone + git log + bare ed25519)", cold.as_secs_f64() / least.as_secs_f64(), None);
    report.ratio("warm / (git log + bare ed25519)", warm.as_secs_f64() / (walk + bare).as_secs_f64(), None);
    report.ratio(
        "cold, commits a second / git verify-commit",
        a_second(cold, commits) / a_second(by_git, sample.len()),
        None,
    );
    report.finish();
}

fn timed(act: impl FnOnce()) -> Duration {
    let started = Instant::now();
    act();
    started.elapsed()
}

/// A repository with a line of commits, each of which changes a file and is signed; the signers, and a pipeline file.
fn write_repository(folder: &Path, commits: usize) {
    let key = AgentKey::from_seed(SEED);
    let line = format!("dana@example.com namespaces=\"git\" {}\n", key.public_key());
    let pipeline = "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n  repository: {url: repository}\n  trust: {signers: {file: allowed_signers}}\n  environments:\n  - {name: dev, branch: main, path: dev, namespace: shop-dev}\n";
    let config = format!("[gpg \"ssh\"]\n\tallowedSignersFile = {}\n", folder.join("allowed_signers").display());
    for (name, text) in [("allowed_signers", line.as_str()), ("lockmaster.yaml", pipeline), (".gitconfig", &config)] {
        std::fs::write(folder.join(name), text).expect("because the folder is ours");
    }
    let repository = Repository::init_bare(folder.join("repository")).expect("because the folder is ours");
    let odb = repository.odb().expect("because the repository is new");
    let packed = odb.add_new_mempack_backend(1_000).expect("because libgit2 has it");
    let tip = (0..commits).fold(None, |parent, number| Some(commit(&odb, &key, parent, number)));
    let tip = tip.expect("because there is at least one commit");
    let mut pack = git2::Buf::new();
    packed.dump(&repository, &mut pack).expect("because all objects are in memory");
    let mut writer = odb.packwriter().expect("because the folder is ours");
    std::io::Write::write_all(&mut writer, &pack).expect("because there is room");
    writer.commit().expect("because there is room");
    repository.reference("refs/heads/main", tip, true, "").expect("because the name is valid");
}

/// Writes one signed commit as git would.
fn commit(odb: &Odb<'_>, key: &AgentKey, parent: Option<Oid>, number: usize) -> Oid {
    let write = |kind, bytes: &[u8]| odb.write(kind, bytes).expect("because it is kept in memory");
    let tree = |mode_and_name: &str, id: Oid| [mode_and_name.as_bytes(), b"\0", id.as_bytes()].concat();
    let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web}}\ndata: {{number: \"{number}\"}}\n");
    let file = write(ObjectType::Blob, text.as_bytes());
    let inner = write(ObjectType::Tree, &tree("100644 web.yaml", file));
    let root = write(ObjectType::Tree, &tree("40000 dev", inner));
    let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
    let who = format!("Dana <dana@example.com> {} +0000", 1_767_225_600 + number);
    let head = format!("tree {root}\n{parent}author {who}\ncommitter {who}\n");
    let message = format!("\nweb: number {number}\n");
    let signature = key.sign("git", format!("{head}{message}").as_bytes());
    let signature = signature.trim_end().replace('\n', "\n ");
    write(ObjectType::Commit, format!("{head}gpgsig {signature}\n{message}").as_bytes())
}

/// A command with nothing of the surrounding environment but the path: no cluster, so history is judged from its beginning.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    command.env("GIT_CONFIG_NOSYSTEM", "1").current_dir(folder).stdin(Stdio::null());
    command
}

fn lockmaster(folder: &Path, commits: usize) {
    let mut command = command(env!("CARGO_BIN_EXE_lockmaster"), folder);
    let output = command.args(["verify", "dev", "--signatures-only"]).output().expect("because the program was built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("{commits} new commits, all signed")), "{output:?}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = command("git", folder).args(arguments).output().expect("because git is there");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As many signatures as there are commits, checked and nothing else.
fn bare_verification(commits: usize) -> Duration {
    let key = SigningKey::from_bytes(&SEED);
    let signed: Vec<_> = (0..commits)
        .map(|number| {
            // As long as what SSHSIG signs with SHA-512.
            let message = format!("SSHSIG{number:094}").into_bytes();
            let signature = key.sign(&message);
            (message, signature)
        })
        .collect();
    let public = key.verifying_key();
    let check = |part: &[(Vec<u8>, ed25519_dalek::Signature)]| {
        let good = part.iter().filter(|(message, signature)| public.verify_strict(message, signature).is_ok()).count();
        assert_eq!(good, part.len());
    };
    timed(|| {
        std::thread::scope(|scope| {
            for part in signed.chunks(commits.div_ceil(THREADS)) {
                scope.spawn(move || check(part));
            }
        });
    })
}
