//! The one law of bad input, for every test that breaks something: a good release stands, then something bad comes, and
//! nothing of it reaches the cluster.

#![expect(dead_code, reason = "each test binary uses its own part of the law")]

use std::cell::Cell;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::stage::{Ran, Stage, Who};

/// Keeps the expectation above true in a binary that uses everything.
const NOT_USED_BY_ANY: () = ();

/// In the Secret that stands, as written and as stored: must never be seen.
pub(crate) const PLANTED: &str = "planted-secret-one";
const PLANTED_BASE64: &str = "cGxhbnRlZC1zZWNyZXQtb25l";
/// For rows that bring a Secret of their own: must never be seen.
pub(crate) const PLANTED_TOO: &str = "planted-secret-two";

/// A stage with one environment, `dev`: branch `env/dev`, path `deploy`, and a namespace of its own.
pub(crate) struct Yard {
    pub(crate) stage: Stage,
    pub(crate) namespace: String,
    /// The commit that stands; none before the first release.
    pub(crate) good: Option<String>,
    sequence: Cell<u64>,
    anew: Cell<u64>,
}

/// Makes something bad, and says the commit that the branch shall lead to; `None`: the branch is deleted.
type Make = Box<dyn Fn(&Yard) -> Option<String>>;

/// Something bad, and how it is told.
pub(crate) struct Row {
    /// The numbers of the rows in the table of inputs and faults, and what it is.
    name: &'static str,
    codes: Vec<&'static str>,
    word: &'static str,
    make: Make,
    found: Found,
    at: Option<&'static str>,
    shows: Vec<&'static str>,
    /// The exit code of the verbs that look; `run --once` and `status` show it as `blocked`, with 1.
    code: i32,
}

/// Which step finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// There is no candidate to judge, and so no entry.
    Tip,
    /// `verify` as well.
    Verify,
    /// Only `plan`, which looks at the cluster.
    Plan,
}

impl Row {
    /// What makes it returns the commit that the branch shall lead to; `None`: the branch is deleted.
    pub(crate) fn new(name: &'static str, code: &'static str, make: impl Fn(&Yard) -> Option<String> + 'static) -> Row {
        Row {
            name,
            codes: vec![code],
            word: "refused",
            make: Box::new(make),
            found: Found::Verify,
            at: None,
            shows: Vec::new(),
            code: 1,
        }
    }

    /// A signed commit with this file; `{ns}` and `{agent}` stand for the namespaces.
    pub(crate) fn file(name: &'static str, code: &'static str, path: &'static str, text: &'static str) -> Row {
        Row::new(name, code, move |yard| yard.brings(&[(path, &yard.filled(text))]))
    }

    /// It is told at this place: `FILE[:LINE[:COLUMN]]`.
    pub(crate) fn at(mut self, place: &'static str) -> Row {
        self.at = Some(place);
        self
    }

    /// Its message has these parts; `{tip}` stands for the short commit, `{ns}` and `{agent}` for the namespaces.
    pub(crate) fn shows(mut self, parts: &[&'static str]) -> Row {
        self.shows.extend(parts);
        self
    }

    /// A second code is told as well.
    pub(crate) fn and(mut self, code: &'static str) -> Row {
        self.codes.push(code);
        self
    }

    /// There is no candidate.
    pub(crate) fn no_candidate(mut self) -> Row {
        self.found = Found::Tip;
        self
    }

    /// Only the cluster knows.
    pub(crate) fn by_the_cluster(mut self) -> Row {
        self.found = Found::Plan;
        self
    }

    /// It waits for a person.
    pub(crate) fn held(mut self) -> Row {
        self.word = "held";
        self
    }

    /// Nobody can look: `verify` and `plan` exit with 2.
    pub(crate) fn impossible(mut self) -> Row {
        self.word = "error";
        self.code = 2;
        self
    }
}

/// Plays the rows one after the other and fails with everything that broke the law.
pub(crate) fn refuses(yard: &Yard, rows: &[Row]) {
    let mut broken = Vec::new();
    for row in rows {
        yard.back();
        let tip = (row.make)(yard);
        yard.point(tip.as_deref());
        let violations = law(yard, row, tip.as_deref().unwrap_or_default());
        broken.extend(violations.into_iter().map(|what| format!("row {}: {what}", row.name)));
    }
    yard.back();
    if yard.good.is_some() {
        yard.stage.proxy.forget();
        let ran = yard.stage.lockmaster(&["run", "--once"]);
        if ran.code != Some(0) || !yard.stage.proxy.writes().is_empty() {
            broken
                .push(format!("the branch is put back, and that is not all: {ran:?}, {:?}", yard.stage.proxy.writes()));
        }
    }
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

/// What breaks the law; empty if nothing does.
fn law(yard: &Yard, row: &Row, tip: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let before = yard.live();
    yard.stage.proxy.forget();
    let first = yard.stage.lockmaster(&["run", "--once", "-vv"]);
    let writes = yard.target_writes();
    if !writes.is_empty() {
        broken.push(format!("wrote to the target: {writes:?}"));
    }
    yard.stage.proxy.forget();
    let second = yard.stage.lockmaster(&["run", "--once"]);
    let again = yard.stage.proxy.writes();
    if !again.is_empty() {
        let again: Vec<String> = again.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
        broken.push(format!("a second run writes: {again:?}"));
    }
    if yard.live() != before {
        broken.push("live objects changed".to_owned());
    }
    broken.extend(told(yard, row, tip, &first, 1));
    if (first.code, &first.stdout.lines().count()) != (second.code, &second.stdout.lines().count()) {
        broken.push(format!("a second run says something else: {}", last_lines(&second.stdout)));
    }
    let status = yard.stage.lockmaster(&["status", "-o", "json"]);
    broken.extend(stated(yard, row, &status));
    let verify = yard.stage.lockmaster(&["verify", "dev"]);
    if row.found == Found::Plan {
        if verify.code != Some(0) {
            broken.push(format!("`verify` cannot know, and exits {:?}: {}", verify.code, verify.stdout));
        }
    } else {
        broken.extend(told(yard, row, tip, &verify, row.code).into_iter().map(|what| format!("verify: {what}")));
    }
    let plan = yard.stage.lockmaster(&["plan", "dev"]);
    broken.extend(told(yard, row, tip, &plan, row.code).into_iter().map(|what| format!("plan: {what}")));
    for ran in [&first, &second, &status, &verify, &plan] {
        broken.extend(leaked(ran));
    }
    broken
}

/// One message for each reason, with its parts, and the right exit code.
fn told(yard: &Yard, row: &Row, tip: &str, ran: &Ran, code: i32) -> Vec<String> {
    let mut broken = Vec::new();
    if ran.code != Some(code) {
        broken.push(format!("exit code {:?}, not {code}: {}{}", ran.code, ran.stdout, last_lines(&ran.stderr)));
    }
    let out = if code == 2 { &ran.stderr } else { &ran.stdout };
    let words = ["refused[", "held[", "error[", "wait[", "violated[", "warning["];
    let found: Vec<&str> = out.lines().filter(|line| words.iter().any(|word| line.starts_with(word))).collect();
    let expected: Vec<String> = row.codes.iter().map(|code| format!("{}[{code}]: ", row.word)).collect();
    let same = found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| a.starts_with(b.as_str()));
    if !same {
        broken.push(format!("expected {expected:?}, found: {}", last_lines(out)));
        return broken;
    }
    for part in &row.shows {
        let part = yard.filled(part).replace("{tip}", tip.get(..7).unwrap_or(tip));
        if !out.contains(&part) {
            broken.push(format!("does not tell `{part}`: {}", last_lines(out)));
        }
    }
    if let Some(at) = row.at
        && !out.lines().any(|line| line == format!("  = at {at}"))
    {
        broken.push(format!("does not tell the place {at}: {}", last_lines(out)));
    }
    broken
}

/// The document of `status`: the codes, the places, what stands, and one entry more at most.
fn stated(yard: &Yard, row: &Row, ran: &Ran) -> Vec<String> {
    let mut broken = Vec::new();
    let Ok(document) = serde_json::from_str::<Value>(&ran.stdout) else {
        return vec![format!("`status` gave no document: {ran:?}")];
    };
    let view = &document["environments"][0];
    let reasons = view["reasons"].as_array().cloned().unwrap_or_default();
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["code"].as_str()).collect();
    if codes != row.codes {
        broken.push(format!("`status` has {codes:?}, not {:?}", row.codes));
    }
    if ran.code != Some(1) {
        broken.push(format!("`status` exits {:?}", ran.code));
    }
    let placed = |reason: &Value| ["file", "object", "commit"].iter().any(|place| !reason[*place].is_null());
    if row.found != Found::Tip && !reasons.iter().all(placed) {
        broken.push(format!("a reason without file, object or commit: {reasons:?}"));
    }
    if let (Some(at), Some(reason)) = (row.at, reasons.first()) {
        let part = |name: &str| if reason[name].is_null() { String::new() } else { format!(":{}", reason[name]) };
        let place = format!("{}{}{}", reason["file"].as_str().unwrap_or_default(), part("line"), part("column"));
        if place != at {
            broken.push(format!("`status` says the place {place}, not {at}"));
        }
    }
    let standing = view["standing"]["commit"]["id"].as_str();
    if standing != yard.good.as_deref() {
        broken.push(format!("{standing:?} stands, not {:?}", yard.good));
    }
    let sequence = view["log"]["sequence"].as_u64().unwrap_or_default();
    let expected = yard.sequence.get() + u64::from(matches!(row.found, Found::Verify | Found::Plan));
    if sequence != expected {
        broken.push(format!("the log ends at {sequence}, not {expected}"));
    }
    yard.sequence.set(sequence);
    broken
}

fn leaked(ran: &Ran) -> Vec<String> {
    let bad = [PLANTED, PLANTED_BASE64, PLANTED_TOO, "panicked", "error[bug]"];
    let found = bad.iter().filter(|word| ran.stdout.contains(*word) || ran.stderr.contains(*word));
    found.map(|word| format!("`{word}` is told: {}{}", ran.stdout, last_lines(&ran.stderr))).collect()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

impl Yard {
    /// A yard where nothing was released yet; more lines of the pipeline's `trust` and of its environment, as YAML flow.
    pub(crate) fn new(plane: &'static ControlPlane, stem: &str, trust: &str, environment: &str) -> Yard {
        let stage = Stage::new(plane);
        let yard = Yard { stage, namespace: stem.to_owned(), good: None, sequence: Cell::new(0), anew: Cell::new(0) };
        // What fails waits for its deadline; the embedded API is quick.
        let deadline = if plane.api().is_some() { "5s" } else { "8s" };
        let text = format!(
            "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: yard}}\nspec:\n  repository: {{url: {}}}\n  \
             trust: {{signers: {{file: allowed_signers}}{trust}}}\n  environments:\n  - {{name: dev, branch: env/dev, path: deploy, \
             namespace: {stem}, deadline: {deadline}{environment}}}\n",
            yard.stage.repository.display()
        );
        std::fs::write(yard.stage.folder().join("lockmaster.yaml"), text).expect("because the folder is ours");
        yard.stage.git(&["checkout", "-q", "-b", "work"]);
        yard
    }

    /// The same with a good release of these files, after one before it, so that there is something to go back to.
    pub(crate) fn standing(mut self, files: &[(&str, &str)]) -> Yard {
        for (path, text) in good_files().iter().chain(files) {
            self.stage.write(path, &self.filled(text));
        }
        self.stage.commit(Who::Dana, "first");
        self.stage.write("deploy/settings.yaml", SETTINGS_TWO);
        let good = self.stage.commit(Who::Dana, "second");
        self.point(Some(&good));
        self.stage.run_once(0);
        self.good = Some(good);
        let status = self.stage.lockmaster(&["status", "-o", "json"]).json();
        let view = &status["environments"][0];
        assert_eq!(view["state"], "current", "{status}");
        self.sequence.set(view["log"]["sequence"].as_u64().expect("because there is a log"));
        self
    }

    /// Text with the names of the namespaces filled in.
    pub(crate) fn filled(&self, text: &str) -> String {
        text.replace("{ns}", &self.namespace).replace("{agent}", &self.stage.agent_namespace)
    }

    /// A signed commit with these files.
    pub(crate) fn brings(&self, files: &[(&str, &str)]) -> Option<String> {
        for (path, text) in files {
            self.stage.write(path, text);
        }
        Some(self.stage.commit(Who::Dana, "something"))
    }

    /// Writes where the branch leads; git itself would not write some of it.
    pub(crate) fn point(&self, commit: Option<&str>) {
        let file = self.stage.repository.join(".git/refs/heads/env/dev");
        match commit {
            Some(_) if !self.stage.repository.exists() => {}
            Some(commit) => {
                std::fs::create_dir_all(file.parent().expect("because it has one")).expect("because it is ours");
                std::fs::write(&file, format!("{commit}\n")).expect("because it is ours");
            }
            None => drop(std::fs::remove_file(&file)),
        }
    }

    /// Undoes whatever a row did to the repository.
    pub(crate) fn back(&self) {
        let away = self.stage.folder().join("away");
        if away.exists() {
            std::fs::rename(&away, &self.stage.repository).expect("because it was renamed before");
        }
        drop(std::fs::remove_file(self.stage.repository.join(".git/shallow")));
        match &self.good {
            Some(good) => {
                self.stage.git(&["checkout", "-q", "-f", "-B", "work", good]);
                self.stage.git(&["clean", "-q", "-f", "-d", "-x"]);
                self.point(Some(good));
            }
            None => {
                self.stage.git(&["symbolic-ref", "HEAD", &format!("refs/heads/anew-{}", self.anew.get())]);
                self.anew.set(self.anew.get() + 1);
                self.stage.git(&["rm", "-q", "-r", "-f", "--ignore-unmatch", "."]);
                self.stage.git(&["clean", "-q", "-f", "-d", "-x"]);
                self.point(None);
            }
        }
    }

    /// Writes that are not the agent's own bookkeeping.
    pub(crate) fn target_writes(&self) -> Vec<String> {
        let own = format!("/{}", self.stage.agent_namespace);
        let writes = self.stage.proxy.writes();
        let foreign = writes.iter().filter(|call| !call.path.contains(&own) && !is_creation_of(call, &own));
        foreign.map(|call| format!("{} {}", call.method, call.path)).collect()
    }

    /// Every object of the set, as it is stored.
    pub(crate) fn live(&self) -> Vec<Value> {
        let kinds = ["configmaps", "secrets", "services", "persistentvolumeclaims"];
        let list = |kind: &str| {
            let path =
                format!("/api/v1/namespaces/{}/{kind}?labelSelector=applyset.kubernetes.io/part-of", self.namespace);
            self.stage.plane.get(&path).map_or(json!([]), |list| list["items"].clone())
        };
        kinds.iter().map(|kind| list(kind)).collect()
    }
}

/// The agent makes its own namespace where it is missing.
fn is_creation_of(call: &crate::control_plane::proxy::Call, namespace: &str) -> bool {
    call.path == "/api/v1/namespaces" && call.body["metadata"]["name"].as_str() == namespace.strip_prefix('/')
}

const SETTINGS_TWO: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n";

/// A namespace, a ConfigMap, a Secret and a Service.
fn good_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("deploy/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: {ns}}\n"),
        ("deploy/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: red}\n"),
        (
            "deploy/store.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: store}\nstringData: {password: planted-secret-one}\n",
        ),
        (
            "deploy/web.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{name: http, port: 80}]}\n",
        ),
    ]
}
