//! The laws of the house: gravity, the front wall, file length, and words that may not stand in the code.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms and edges in the order in which `src/lib.rs` declares them.
fn floor_plan() -> Vec<String> {
    let text = fs::read_to_string("src/lib.rs").expect("because the house has a floor plan");
    text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("because the folder can be read") {
        let path = entry.expect("because the entry can be read").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn code_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("because the file can be read");
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).map(str::to_owned).collect()
}

/// The modules that a line names by `crate::module`.
fn named_modules(line: &str) -> Vec<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    line.split("crate::").skip(1).map(word).filter(|name| !name.is_empty()).collect()
}

#[test]
fn a_module_names_only_modules_declared_above_it() {
    let plan = floor_plan();
    assert!(plan.len() > 10, "the floor plan was not found");
    for (level, room) in plan.iter().enumerate() {
        for file in rust_files(&Path::new("src").join(room)) {
            for line in code_lines(&file) {
                for named in named_modules(&line) {
                    let below = plan.iter().position(|other| *other == named).is_none_or(|other| other > level);
                    assert!(!below, "{}: `{room}` names `{named}`, which stands below it: {line}", file.display());
                }
            }
        }
    }
}

#[test]
fn edges_never_name_each_other() {
    let edges: Vec<String> = fs::read_dir("src/edge")
        .expect("because there are edges")
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .filter(|name| name != "mod")
        .collect();
    for edge in &edges {
        let folder = Path::new("src/edge").join(edge);
        let files = if folder.is_dir() { rust_files(&folder) } else { vec![folder.with_extension("rs")] };
        for file in files {
            for line in code_lines(&file) {
                for other in edges.iter().filter(|other| *other != edge) {
                    assert!(!line.contains(&format!("edge::{other}")), "{}: {line}", file.display());
                }
            }
        }
    }
}

#[test]
fn above_the_front_wall_nothing_touches_the_world() {
    let banned = [
        "async ",
        ".await;",
        ".await?",
        ".await.",
        ".await)",
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "kube::",
        "k8s_openapi",
        "git2::",
        "tokio",
        "reqwest",
        "std::thread",
        "println!",
        "eprintln!",
    ];
    for room in floor_plan().iter().take_while(|room| *room != "edge") {
        for file in rust_files(&Path::new("src").join(room)) {
            if file.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            let lines = code_lines(&file);
            let production = lines.iter().take_while(|line| *line != "#[cfg(test)]");
            for line in production {
                for word in banned {
                    assert!(!line.contains(word), "{}: `{word}` in: {line}", file.display());
                }
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_the_wall() {
    for folder in ["src", "tests", "benches"] {
        if !Path::new(folder).is_dir() {
            continue;
        }
        for file in rust_files(Path::new(folder)) {
            let lines = fs::read_to_string(&file).expect("because the file can be read").lines().count();
            assert!(lines <= 600, "{} has {lines} lines; 600 is the wall", file.display());
        }
    }
}

#[test]
fn no_module_is_a_drawer() {
    for file in rust_files(Path::new("src")) {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        assert!(!["utils", "util", "common", "helpers", "types", "misc"].contains(&stem), "{}", file.display());
    }
}

#[test]
fn unsafe_stands_in_one_function_only() {
    let mut found = Vec::new();
    for file in rust_files(Path::new("src")) {
        for line in code_lines(&file) {
            if line.contains("expect(unsafe_code") || line.contains("unsafe_code,") {
                found.push(file.display().to_string());
            }
        }
    }
    assert!(found.len() <= 1, "unsafe is allowed in one function of edge/git only: {found:?}");
    assert!(found.iter().all(|file| file.starts_with("src/edge/git")), "{found:?}");
}

/// Lines of code: those that are neither empty nor a comment. The generated table of kinds and types, `schema/table.txt`,
/// and the tables of rules beside the code are no code and are left out; unit tests there are none, its tests speak HTTP.
#[test]
fn the_embedded_api_stays_small() {
    let files = rust_files(Path::new("src/embedded"));
    let lines: Vec<String> = files.iter().flat_map(|file| code_lines(file)).filter(|line| !line.is_empty()).collect();
    assert!(lines.len() <= 4000, "src/embedded has {} lines of code; 4000 is the wall", lines.len());
    assert!(lines.iter().all(|line| line != "#[cfg(test)]"), "its tests are in tests/embedded and speak HTTP");
}

#[test]
fn main_is_a_door_and_nothing_else() {
    let lines = fs::read_to_string("src/main.rs").expect("because there is a main").lines().count();
    assert!(lines < 20, "src/main.rs has {lines} lines");
}

/// Where each proof is earned, in the order in which each owns the one before it.
const PROOFS: [(&str, &str); 5] = [
    ("src/revision/mod.rs", "Verified"),
    ("src/render/mod.rs", "Rendered"),
    ("src/plan/mod.rs", "Plan"),
    ("src/gate/admitted.rs", "Admitted"),
    ("src/deploylog/mod.rs", "Recalled"),
];

#[test]
fn a_proof_is_earned_once_and_never_copied() {
    for (file, name) in PROOFS {
        let text = fs::read_to_string(file).expect("because the room is there");
        let (before, after) = text.split_once(&format!("pub struct {name} {{")).expect("because the proof is there");
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        for copied in ["Clone", "Copy", "Default", "Deserialize"] {
            assert!(!attributes.contains(copied), "{file}: `{name}` must not be `{copied}`");
            assert!(!text.contains(&format!("impl {copied} for {name}")), "{file}: `{name}` must not be `{copied}`");
        }
        let fields = after.split_once('}').map_or(after, |(fields, _)| fields);
        assert!(!fields.contains("pub"), "{file}: the fields of `{name}` are private");
    }
}
