//! An agent that runs beside a test: its log lines as they come, what it serves, and its end.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Reply, ask, get};
use crate::control_plane::{ControlPlane, eventually};
use crate::stage::Stage;

/// How long a test waits for a line; only a test that fails takes this long.
const PATIENCE: Duration = Duration::from_secs(90);

/// One log line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// The line as a document; null where the agent logs as text.
    pub(crate) document: Value,
    /// A test has waited for it.
    taken: bool,
}

impl Line {
    fn is(&self, event: &str, object: &str) -> bool {
        self.document["event"] == event && (object.is_empty() || self.document["object"] == object)
    }

    fn is_about_drift(&self) -> bool {
        self.document["event"].as_str().is_some_and(|event| event.starts_with("drift-"))
    }
}

/// What was heard so far, and that there is more.
#[derive(Default)]
struct Heard {
    lines: Mutex<Vec<Line>>,
    more: Condvar,
}

impl Heard {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: String) {
        let document = serde_json::from_str(&text).unwrap_or_default();
        self.lines().push(Line { text, document, taken: false });
        self.more.notify_all();
    }

    /// Waits for the first line that fits and was not waited for before.
    fn take(&self, what: &str, fits: impl Fn(&Line) -> bool) -> Line {
        let start = Instant::now();
        let mut lines = self.lines();
        loop {
            if let Some(line) = lines.iter_mut().find(|line| !line.taken && fits(line)) {
                line.taken = true;
                return line.clone();
            }
            assert!(start.elapsed() < PATIENCE, "never logged: {what}; was: {}", told(&lines));
            lines = self.more.wait_timeout(lines, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn told(lines: &[Line]) -> String {
    let last = &lines[lines.len().saturating_sub(40)..];
    last.iter().map(|line| format!("\n{}", line.text)).collect()
}

/// See the module.
pub(crate) struct Agent {
    plane: &'static ControlPlane,
    child: Child,
    heard: Arc<Heard>,
    reader: Option<JoinHandle<()>>,
    probes: SocketAddr,
    api: SocketAddr,
    token: String,
}

impl Agent {
    /// Starts one that logs documents.
    pub(crate) fn start(stage: &Stage) -> Agent {
        Agent::logging(stage, "json")
    }

    /// Starts one; returns as soon as it serves.
    pub(crate) fn logging(stage: &Stage, form: &str) -> Agent {
        let mut child = stage.spawn(&["run", "--interval", "1h", "--listen", "127.0.0.1:0", "--log-format", form]);
        let stderr = child.stderr.take().expect("because the stage pipes it");
        let heard = Arc::<Heard>::default();
        let to = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| to.add(line));
        });
        let serves = |what: &str| {
            let line = heard.take("an address", |line| line.text.contains("listening") && line.text.contains(what));
            let text = line.document["address"].as_str().or_else(|| line.text.split("address=").nth(1));
            text.and_then(|text| text.split_whitespace().next()?.parse().ok()).expect("because it says an address")
        };
        let (probes, api) = (serves("probes"), serves("api"));
        let token = std::fs::read_to_string(stage.folder().join("state/token")).expect("because the agent serves");
        let token = token.trim().to_owned();
        Agent { plane: stage.plane, child, heard, reader: Some(reader), probes, api, token }
    }

    /// Starts one, and returns when its environments are released, proven and watched.
    pub(crate) fn standing(stage: &Stage) -> Agent {
        let agent = Agent::start(stage);
        agent.stands();
        agent
    }

    /// Waits until everything is released, proven, healthy and watched.
    pub(crate) fn stands(&self) {
        eventually("everything stands", || {
            let well = |e: &Value| e["state"] == "current" && e["health"] == "healthy";
            let environments = self.environments();
            assert!(!environments.is_empty(), "an agent serves its environments from the beginning");
            let all = environments.iter().all(well);
            (all && self.readiness().status == 200).then_some(())
        });
    }

    /// The environments of the document that it serves.
    pub(crate) fn environments(&self) -> Vec<Value> {
        let reply = self.ask_api("/api/v1/pipelines/shop");
        reply.json()["environments"].as_array().expect("because the document lists them").clone()
    }

    /// The only environment.
    pub(crate) fn environment(&self) -> Value {
        self.environments().remove(0)
    }

    pub(crate) fn ask_api(&self, path: &str) -> Reply {
        self.plane.block_on(get(self.api, path, &self.token))
    }

    pub(crate) fn readiness(&self) -> Reply {
        self.plane.block_on(ask(self.probes, "GET", "/readyz", &[]))
    }

    /// All metrics.
    pub(crate) fn metrics(&self) -> String {
        self.plane.block_on(ask(self.probes, "GET", "/metrics", &[])).body
    }

    /// A series of the environment `dev`; 0 where there is none.
    pub(crate) fn measured(&self, name: &str) -> f64 {
        let text = self.metrics();
        let series = |line: &&str| line.starts_with(&format!("lockmaster_{name}{{")) && line.contains("\"dev\"");
        let value = text.lines().find(series).and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits for the next line of this event about this object (empty: any) that no test waited for.
    pub(crate) fn next(&self, event: &str, object: &str) -> Value {
        self.heard.take(&format!("{event} {object}"), |line| line.is(event, object)).document
    }

    /// Waits for the next line of text with this word.
    pub(crate) fn next_text(&self, word: &str) -> String {
        self.heard.take(word, |line| line.text.split(' ').any(|part| part == word)).text
    }

    /// The lines about drift that no test waited for.
    pub(crate) fn untold(&self) -> Vec<Value> {
        let lines = self.heard.lines();
        lines.iter().filter(|line| !line.taken && line.is_about_drift()).map(|line| line.document.clone()).collect()
    }

    /// The heals so far, of this object (empty: of any).
    pub(crate) fn heals(&self, object: &str) -> Vec<Value> {
        let lines = self.heard.lines();
        lines.iter().filter(|line| line.is("drift-healed", object)).map(|line| line.document.clone()).collect()
    }

    /// Everything that it logged.
    pub(crate) fn log(&self) -> String {
        self.heard.lines().iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The memory that it holds, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("because it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.split_whitespace().next()?.parse().ok()).expect("because the kernel says it")
    }

    /// Tells it to stop.
    pub(crate) fn tell_to_stop(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("because kill is there").success());
    }

    /// Waits for its end: its exit code, and everything that it logged.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("because it was started");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("because reading does not panic");
        }
        (status.code(), self.log())
    }

    /// Stops it cleanly.
    pub(crate) fn stop(self) {
        self.tell_to_stop();
        let (code, log) = self.ended();
        assert_eq!(code, Some(0), "{log}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that ended is no error.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("the agent logged:{}", told(&self.heard.lines()));
        }
    }
}
