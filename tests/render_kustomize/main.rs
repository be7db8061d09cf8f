//! The closure against the real kustomize: what the child sees is the closure, and the closure is enough.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use lockmaster::edge::renderer::Kustomize;
use lockmaster::name::{Code, Reason, RepoPath};
use lockmaster::render::{Closing, Closure, Contents, EntryKind, Renderer, Sources, Tree, TreeEntry, close};

const LONG: Duration = Duration::from_secs(60);

fn main() {
    let program = program();
    let real = |name: &str, test: fn(&Program) -> Result<(), Failed>| {
        let found = program.clone();
        let reason = if found.is_some() { "" } else { " (needs kustomize or kubectl in PATH)" };
        let run = move || found.as_ref().map_or(Ok(()), test);
        Trial::test(format!("{name}{reason}"), run).with_ignored_flag(program.is_none())
    };
    let trials = vec![
        real("builds_from_the_closure_what_a_full_checkout_builds", builds_what_a_checkout_builds),
        real("fails_without_any_one_file_of_the_closure", fails_without_any_file),
        real("row_59_names_file_and_line_of_a_resource_that_is_not_yaml", names_file_and_line),
        real("never_quotes_a_secret", never_quotes_a_secret),
        Trial::test("the_child_has_home_and_nothing_else_in_its_environment", the_environment_is_empty),
        Trial::test("the_child_sees_exactly_the_closure_and_nothing_is_left_behind", exactly_the_closure),
        Trial::test("the_child_has_no_network_where_it_is_isolated", no_network),
        Trial::test("row_61_kills_the_child_and_its_children_at_the_deadline", the_deadline_kills),
        Trial::test("a_program_that_is_not_there_is_named", a_missing_program),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

#[derive(Clone)]
struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// `kustomize` or `kubectl` in `PATH` or beside the control plane's binaries.
fn program() -> Option<Program> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect())?;
    folders.extend(std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from));
    [("kustomize", "build"), ("kubectl", "kustomize")].into_iter().find_map(|(name, argument)| {
        let path = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())?;
        Some(Program { path, arguments: vec![argument.into()] })
    })
}

impl Program {
    fn renderer(&self) -> Kustomize {
        Kustomize::at(&self.path, &self.arguments)
    }
}

fn path(text: &str) -> RepoPath {
    text.parse().expect("because it is a path")
}

/// The fixture repository, which uses every key that names a file.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/render_kustomize/every-key")
}

fn read(folder: &Path, below: &Path, contents: &mut Contents) {
    for entry in fs::read_dir(below).expect("because the fixture is readable") {
        let entry = entry.expect("because the fixture is readable").path();
        if entry.is_dir() {
            read(folder, &entry, contents);
        } else {
            let name = entry.strip_prefix(folder).expect("because it is below").to_string_lossy().into_owned();
            contents.insert(path(&name), fs::read(&entry).expect("because the fixture is readable"));
        }
    }
}

fn contents_of(folder: &Path) -> Contents {
    let mut contents = Contents::new();
    read(folder, folder, &mut contents);
    contents
}

fn closed(contents: &Contents, at: &str, renderer: Renderer) -> Closure {
    let id: lockmaster::name::ObjectId = "0".repeat(40).parse().expect("because it is an id");
    let entry = |bytes: &Vec<u8>| TreeEntry { kind: EntryKind::File, id: id.clone(), size: bytes.len() as u64 };
    let tree: Tree = contents.iter().map(|(path, bytes)| (path.clone(), entry(bytes))).collect();
    let sources = Sources { paths: vec![path(at)], renderer };
    match close(&tree, &sources, contents).expect("because it closes") {
        Closing::Closed(closure) => closure,
        Closing::Needs(needs) => panic!("everything was given, but it needs {needs:?}"),
    }
}

fn of(files: &[(&str, &str)]) -> Contents {
    files.iter().map(|(at, text)| (path(at), text.as_bytes().to_vec())).collect()
}

fn build(kustomize: &Kustomize, closure: &Closure, at: &str, deadline: Duration) -> Result<Vec<u8>, Reason> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("because a runtime starts").block_on(kustomize.build(closure, &path(at), deadline))
}

fn builds_what_a_checkout_builds(program: &Program) -> Result<(), Failed> {
    let contents = contents_of(&fixture());
    let closure = closed(&contents, "overlay", Renderer::Auto);
    let built = build(&program.renderer(), &closure, "overlay", LONG).map_err(|reason| reason.message)?;
    let checkout = Command::new(&program.path).args(&program.arguments).arg(fixture().join("overlay")).output()?;
    assert!(checkout.status.success(), "{}", String::from_utf8_lossy(&checkout.stderr));
    assert_eq!(String::from_utf8_lossy(&built), String::from_utf8_lossy(&checkout.stdout));
    let unused: Vec<&RepoPath> = contents.keys().filter(|path| !closure.files().contains_key(path)).collect();
    assert_eq!(unused, [&path("overlay/unused.yaml")], "the fixture uses every file but one");
    Ok(())
}

/// Each file is taken out of a copy of the private tree's contents by taking it out of the closure's files: what is
/// built from the rest must fail or differ, or the file would be no input.
fn fails_without_any_file(program: &Program) -> Result<(), Failed> {
    let closure = closed(&contents_of(&fixture()), "overlay", Renderer::Auto);
    for left_out in closure.files().keys() {
        let rest: Contents =
            closure.files().iter().filter(|(p, _)| *p != left_out).map(|(p, b)| (p.clone(), b.clone())).collect();
        // A plain closure over the rest of the repository has the same files, whatever the kustomization says.
        let folder = tempfile::tempdir()?;
        for (at, bytes) in &rest {
            let file = folder.path().join(at.as_str());
            fs::create_dir_all(file.parent().expect("because it is below a folder"))?;
            fs::write(file, bytes)?;
        }
        let output =
            Command::new(&program.path).args(&program.arguments).arg(folder.path().join("overlay")).output()?;
        assert!(!output.status.success(), "kustomize did not miss {left_out}");
    }
    Ok(())
}

fn names_file_and_line(program: &Program) -> Result<(), Failed> {
    let contents = of(&[
        ("o/kustomization.yaml", "resources: [../b]\n"),
        ("b/kustomization.yaml", "resources: [a.yaml]\n"),
        ("b/a.yaml", "apiVersion: v1\n kind: Con: x\n"),
    ]);
    let closure = closed(&contents, "o", Renderer::Auto);
    let reason = build(&program.renderer(), &closure, "o", LONG).expect_err("because it is not YAML");
    assert_eq!((reason.code, reason.file.as_deref(), reason.line), (Code::RenderFailed, Some("b/a.yaml"), Some(2)));
    assert!(!reason.message.contains("lockmaster-"), "no private path is shown: {}", reason.message);
    Ok(())
}

fn never_quotes_a_secret(program: &Program) -> Result<(), Failed> {
    for patch in ["apiVersion: v1\nkind: [Secret\nstringData: {a: hush}\n", "kind: Secret\nstringData: {a: hush}\n"] {
        let inline =
            format!("resources: [a.yaml]\npatches:\n- patch: |\n    {}\n", patch.trim().replace('\n', "\n    "));
        let contents = of(&[
            ("o/kustomization.yaml", &inline),
            ("o/a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"),
        ]);
        let closure = closed(&contents, "o", Renderer::Auto);
        let reason = build(&program.renderer(), &closure, "o", LONG).expect_err("because the patch is wrong");
        assert!(!reason.message.contains("hush"), "{}", reason.message);
    }
    let generator = "secretGenerator: [{name: a, envs: [a.env]}]\n";
    let literal = "secretGenerator: [{name: a, literals: [hush]}]\n";
    for (kustomization, environment) in [(generator, &b"hush\xff=1\n"[..]), (literal, b"")] {
        let mut contents = of(&[("o/kustomization.yaml", kustomization)]);
        contents.insert(path("o/a.env"), environment.to_vec());
        let closure = closed(&contents, "o", Renderer::Auto);
        let reason = build(&program.renderer(), &closure, "o", LONG).expect_err("because a key is wrong");
        assert!(!reason.message.contains("hush"), "{}", reason.message);
    }
    Ok(())
}

/// A stand-in for kustomize that runs a script: what any child would see.
fn script(text: &str) -> Kustomize {
    Kustomize::at("/bin/sh", ["-c", text, "script"])
}

fn small() -> Closure {
    let files = of(&[("o/kustomization.yaml", "resources: [a.yaml]\n"), ("o/a.yaml", "a"), ("o/not-an-input", "b")]);
    closed(&files, "o", Renderer::Auto)
}

fn run(text: &str, deadline: Duration) -> Result<String, Reason> {
    let output = build(&script(text), &small(), "o", deadline)?;
    Ok(String::from_utf8(output).expect("because the script prints text"))
}

fn the_environment_is_empty() -> Result<(), Failed> {
    // The shell adds variables of its own; the kernel keeps what it was started with.
    let environment = run("/bin/cat /proc/$$/environ", LONG).map_err(|reason| reason.message)?;
    let given: BTreeMap<&str, &str> = environment.split('\0').filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(given.keys().collect::<Vec<_>>(), [&"HOME"]);
    assert!(given["HOME"].ends_with("/home"), "{}", given["HOME"]);
    Ok(())
}

fn exactly_the_closure() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let look = "find=; for f in /usr/bin/find /bin/find; do [ -x $f ] && find=$f; done; $find . | /usr/bin/sort; \
                /bin/ls -A \"$HOME\"";
    let output = build(&script(look).in_folder(folder.path()), &small(), "o", LONG).map_err(|r| r.message)?;
    assert_eq!(String::from_utf8_lossy(&output), ".\n./o\n./o/a.yaml\n./o/kustomization.yaml\n");
    let mode = build(&script("/usr/bin/stat -c %a .. . o").in_folder(folder.path()), &small(), "o", LONG);
    assert_eq!(String::from_utf8_lossy(&mode.map_err(|r| r.message)?), "700\n700\n700\n");
    let failed = build(&script("exit 1").in_folder(folder.path()), &small(), "o", LONG);
    assert_eq!(failed.map_err(|reason| reason.code), Err(Code::RenderFailed));
    assert_eq!(fs::read_dir(folder.path())?.count(), 0, "no tree is left behind");
    Ok(())
}

fn no_network() -> Result<(), Failed> {
    let interfaces = run("/bin/cat /proc/self/net/dev", LONG).map_err(|reason| reason.message)?;
    let names: Vec<&str> = interfaces.lines().filter_map(|line| line.split_once(':')).map(|(n, _)| n.trim()).collect();
    if script("").isolated() {
        assert!(names.iter().all(|name| ["lo", "tunl0", "sit0", "gre0", "ip6tnl0"].contains(name)), "{names:?}");
        let routes = run("/bin/cat /proc/self/net/route", LONG).map_err(|reason| reason.message)?;
        assert_eq!(routes.lines().count(), routes.lines().take(1).count(), "no route leads anywhere");
    }
    Ok(())
}

fn the_deadline_kills() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let pids = folder.path().join("pids");
    let text = format!("/bin/sleep 300 & echo $! $$ > {}; wait", pids.display());
    let started = Instant::now();
    let reason = run(&text, Duration::from_millis(700)).expect_err("because it never ends");
    assert_eq!(reason.code, Code::LimitExceeded);
    assert!(reason.message.contains("deadline"), "{}", reason.message);
    assert!(started.elapsed() < LONG, "it did not wait for the child");
    for pid in fs::read_to_string(&pids)?.split_whitespace() {
        let until = Instant::now() + Duration::from_secs(10);
        while is_alive(pid) {
            assert!(Instant::now() < until, "process {pid} outlived the deadline");
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// A process that is dead but not yet waited for by its new parent counts as gone.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn a_missing_program() -> Result<(), Failed> {
    let reason = build(&Kustomize::at("/nowhere/kustomize", ["build"]), &small(), "o", LONG)
        .expect_err("because it is not there");
    assert_eq!(reason.code, Code::RenderFailed);
    assert!(reason.message.contains("/nowhere/kustomize"), "{}", reason.message);
    assert_eq!(Kustomize::missing().code, Code::RenderFailed);
    Ok(())
}
