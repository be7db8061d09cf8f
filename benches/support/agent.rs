//! The agent as a process: its log lines as they come, its memory and its processor time.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::stage::Stage;

/// How many ticks a second of processor time has in `/proc` (proc_pid_stat(5); 100 on every Linux that runs this).
const TICKS: f64 = 100.0;
/// How long a process may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// The agent counts as at rest when it used at most this share of a core for this long.
const REST: (f64, Duration) = (0.03, Duration::from_secs(4));

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    /// When it was started.
    pub(crate) started: Timestamp,
    lines: Receiver<Value>,
    /// Every line that was read so far.
    pub(crate) seen: Vec<Value>,
}

/// Resident memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) peak: f64,
}

impl Agent {
    /// Starts `lockmaster run` on a stage; it looks at the repository when that changes, and once an hour.
    pub(crate) fn start(stage: &Stage) -> Agent {
        let run = ["run", "--interval", "1h", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let mut command = stage.command(&run);
        command.args(["--log", "info", "--log-format", "json"]);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped());
        let started = Timestamp::now();
        let mut child = command.spawn().expect("because the program was built");
        let errors = BufReader::new(child.stderr.take().expect("because it is piped"));
        let (say, lines) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                // Nobody may be listening any more.
                let _ = say.send(value);
            }
        });
        Agent { child, started, lines, seen: Vec::new() }
    }

    /// Waits for a line, from those not yet read on.
    pub(crate) fn await_line(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let last = &self.seen[self.seen.len().saturating_sub(5)..];
                panic!("within {limit:?} never happened: {what}; the last lines: {last:#?}");
            };
            self.seen.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Waits until so many environments wrote `proven`, and says when the last one did.
    pub(crate) fn await_proven(&mut self, environments: usize, limit: Duration) -> Timestamp {
        let deadline = Instant::now() + limit;
        let mut last = self.started;
        for _ in 0..environments {
            let left = deadline.saturating_duration_since(Instant::now());
            last = time(&self.await_line("the release is proven", left, |line| is_entry(line, "proven")));
        }
        last
    }

    /// Reads the lines that have come.
    pub(crate) fn read_lines(&mut self) {
        self.seen.extend(self.lines.try_iter());
    }

    /// How many lines of an event were read.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.seen.iter().filter(|line| line["event"] == event).count()
    }

    /// Waits until the agent uses next to no processor time.
    pub(crate) fn await_rest(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let before = self.cpu_seconds();
            std::thread::sleep(REST.1);
            if self.cpu_seconds() - before <= REST.0 * REST.1.as_secs_f64() {
                return;
            }
            assert!(Instant::now() < deadline, "the agent is still at work after {limit:?}");
        }
    }

    /// Processor time so far, of user and system.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("because it runs");
        let (_, behind_the_name) = text.rsplit_once(')').expect("because the name is in parentheses");
        let fields: Vec<&str> = behind_the_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("because it is a number");
        // Fields 14 and 15 of proc_pid_stat(5); the third one is the first behind the name.
        (ticks(11) + ticks(12)) / TICKS
    }

    /// Resident memory now, and the most so far.
    pub(crate) fn memory(&self) -> Memory {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("because it runs");
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).expect("because Linux has it");
            let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok());
            kib.expect("because it is a number") * 1024.0
        };
        Memory { now: of("VmRSS:"), peak: of("VmHWM:") }
    }

    /// Tells the agent to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().expect("because kill is there");
        assert!(told.success(), "the agent has ended by itself");
        let deadline = Instant::now() + STOP_LIMIT;
        while self.child.try_wait().expect("because it is our child").is_none() {
            assert!(Instant::now() < deadline, "the agent does not stop within {STOP_LIMIT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line says that an entry of this phase was written.
pub(crate) fn is_entry(line: &Value, phase: &str) -> bool {
    line["event"] == "entry-written" && line["phase"] == phase
}

/// When a line was written.
pub(crate) fn time(line: &Value) -> Timestamp {
    let text = line["time"].as_str().expect("because every line has a time");
    text.parse().expect("because it is RFC 3339")
}
