//! Many seeds, and planted bugs: mutations of the machine itself, each of which some seed must find. What stands above the
//! front wall is copied into a scratch directory and built for speed, every bug is planted behind a switch that the
//! environment turns on, and the simulator of the copy is run without a bug, and once for each. The product has no hooks
//! for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

/// Seeds of which one must find a bug.
const SEEDS: u64 = 10_000;

/// Seeds that must break no law with every bug switched off: `COURSE_SEEDS`, or this many.
const HONEST: &str = "20000";

/// Where the rooms end that the machine is made of.
const FRONT_WALL: &str = "// ── front wall ──";

/// What the copy asks whether a bug is switched on.
const SWITCH: &str = r#"//! Which planted bug is switched on.
pub(crate) fn is(name: &str) -> bool {
    static ON: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("LOCKMASTER_PLANTED").ok());
    ON.as_deref() == Some(name)
}
"#;

/// One bug: `law: …` and `seed: …`, where the hunt begins; then for each edit `file: …`, lines to find with `-` before them, and lines to put there with `+`.
/// `PLANTED` stands for the question whether it is switched on.
struct Bug {
    name: String,
    law: String,
    seed: String,
    edits: Vec<Edit>,
}

#[derive(Default)]
struct Edit {
    file: String,
    find: Vec<String>,
    put: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Bug {
    fn all() -> Vec<Bug> {
        let found = fs::read_dir(root().join("tests/course/bugs")).expect("because the bugs lie there");
        let mut paths: Vec<PathBuf> = found.map(|entry| entry.expect("because it is read").path()).collect();
        paths.sort();
        paths.iter().map(|path| Bug::read(path)).collect()
    }

    fn read(path: &Path) -> Bug {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("because it has a name").to_owned();
        let mut bug = Bug { name, law: String::new(), seed: "0".to_owned(), edits: Vec::new() };
        for line in read(path).lines() {
            if let Some(law) = line.strip_prefix("law: ") {
                law.clone_into(&mut bug.law);
            } else if let Some(seed) = line.strip_prefix("seed: ") {
                seed.clone_into(&mut bug.seed);
            } else if let Some(file) = line.strip_prefix("file: ") {
                bug.edits.push(Edit { file: file.to_owned(), ..Edit::default() });
            } else if let Some(edit) = bug.edits.last_mut() {
                match line.split_at_checked(1) {
                    Some(("-", line)) => edit.find.push(line.to_owned()),
                    Some(("+", line)) => edit.put.push(line.to_owned()),
                    _ => panic!("{}: `{line}` begins with neither `-` nor `+`", bug.name),
                }
            }
        }
        bug
    }

    /// Plants it into the sources; what it looks for must stand there exactly once.
    fn plant(&self, files: &mut BTreeMap<String, String>) {
        for edit in &self.edits {
            let text = files.entry(edit.file.clone()).or_insert_with(|| read(&root().join(&edit.file)));
            let (find, put) = (edit.find.join("\n"), edit.put.join("\n"));
            let count = text.matches(&find).count();
            assert_eq!(count, 1, "{}: what it looks for stands {count} times in {}:\n{find}", self.name, edit.file);
            let switch = format!("crate::planted::is(\"{}\")", self.name);
            *text = text.replacen(&find, &put.replace("PLANTED", &switch), 1);
        }
    }
}

/// The manifest of the copy: the library and this suite alone, optimised, without lints.
fn manifest() -> String {
    let mut text = String::new();
    let mut kept = true;
    for line in read(&root().join("Cargo.toml")).lines() {
        if line.starts_with('[') {
            kept = !["[[test]]", "[[bench]]", "[lints.rust]", "[lints.clippy]"].contains(&line);
        }
        if kept {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + "[profile.dev.package.lockmaster]\nopt-level = 2\n\n[workspace]\n"
}

/// Writes a file if it is another one than before, so that what is built already stays so.
fn write(path: &Path, text: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == text) {
        return;
    }
    let parent = path.parent().expect("because it lies in a directory");
    fs::create_dir_all(parent).and_then(|()| fs::write(path, text)).expect("because the scratch directory is ours");
}

fn copy(from: &Path, to: &Path, planted: &BTreeMap<String, String>) {
    for entry in fs::read_dir(from).expect("because it is a directory") {
        let from = entry.expect("because it is read").path();
        let to = to.join(from.file_name().expect("because it has a name"));
        let relative = from.strip_prefix(root()).expect("because it lies in the package").display().to_string();
        if from.is_dir() {
            copy(&from, &to, planted);
        } else if relative != "src/main.rs" {
            let text = planted.get(&relative).map(|text| text.clone().into_bytes());
            write(&to, &text.unwrap_or_else(|| fs::read(&from).expect("because it is a file")));
        }
    }
}

/// Builds the copy with every bug in it, and says where its simulator is.
fn build(bugs: &[Bug]) -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("because it lies in the target directory");
    let mut planted = BTreeMap::new();
    bugs.iter().for_each(|bug| bug.plant(&mut planted));
    let library = read(&root().join("src/lib.rs"));
    let (rooms, _) = library.split_once(FRONT_WALL).expect("because the front wall stands there");
    planted.insert("src/lib.rs".to_owned(), format!("{rooms}mod planted;\n"));
    for part in ["src", "fixtures", "tests/course"] {
        copy(&root().join(part), &scratch.join(part), &planted);
    }
    write(&scratch.join("src/planted.rs"), SWITCH.as_bytes());
    write(&scratch.join("Cargo.toml"), manifest().as_bytes());
    write(&scratch.join("Cargo.lock"), read(&root().join("Cargo.lock")).as_bytes());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--offline", "--test", "course", "--no-run", "--message-format", "json"]);
    let built = cargo.current_dir(&scratch).env("CARGO_TARGET_DIR", target).output().expect("because cargo is here");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let executable = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["executable"].as_str()?.to_owned());
    messages.lines().filter_map(executable).next_back().expect("because a test was built").into()
}

fn run(simulator: &Path, test: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(simulator);
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).envs(variables.iter().copied());
    let run = command.output().expect("because it was built");
    (run.status.success(), format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)))
}

#[test]
#[ignore = "builds the machine once more: .ci/run runs it"]
fn no_seed_breaks_a_law_and_every_planted_bug_is_found() {
    let bugs = Bug::all();
    assert!(bugs.len() >= 12, "because twelve bugs at least are planted");
    let simulator = build(&bugs);
    let honest = std::env::var("COURSE_SEEDS").unwrap_or_else(|_| HONEST.to_owned());
    let began = Instant::now();
    let (passed, output) = run(&simulator, "seeds::no_seed_breaks_a_law", &[("COURSE_SEEDS", &honest)]);
    assert!(passed, "without a planted bug: {output}");
    println!("{honest} seeds broke no law, in {} s", began.elapsed().as_secs());
    let mut missed = Vec::new();
    for bug in &bugs {
        let seeds = SEEDS.to_string();
        let variables = [
            ("LOCKMASTER_PLANTED", &*bug.name),
            ("COURSE_LAW", &bug.law),
            ("COURSE_FROM", &bug.seed),
            ("COURSE_SEEDS", &seeds),
        ];
        let (found, output) = run(&simulator, "seeds::some_seed_breaks_the_law", &variables);
        let told = output.lines().find(|line| line.starts_with("found")).unwrap_or("not found");
        println!("{}: {told}: {}", bug.name, bug.law);
        if !found {
            missed.push(format!("{}: {output}", bug.name));
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {}", missed.join("\n"));
}
