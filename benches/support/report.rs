//! Figures of a bench: as a short table, and as JSON in `target/bench/NAME.json`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// What a bench found.
pub(crate) struct Report {
    name: &'static str,
    machine: Value,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Of the program.
    Figure,
    /// Of what it is compared with, in the same run.
    Baseline,
    /// One by the other.
    Ratio,
}

struct Figure {
    role: Role,
    name: String,
    value: f64,
    unit: &'static str,
    budget: Option<f64>,
}

impl Report {
    pub(crate) fn new(name: &'static str) -> Report {
        Report { name, machine: machine(), figures: Vec::new(), notes: Vec::new() }
    }

    /// A figure of the program.
    pub(crate) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.add(Role::Figure, name, value, unit, None);
    }

    /// A figure of the program that should be at most its budget.
    pub(crate) fn bounded(&mut self, name: &str, value: f64, unit: &'static str, budget: f64) {
        self.add(Role::Figure, name, value, unit, Some(budget));
    }

    /// A figure of what the program is compared with.
    pub(crate) fn baseline(&mut self, name: &str, value: f64, unit: &'static str) {
        self.add(Role::Baseline, name, value, unit, None);
    }

    /// A ratio, with its budget if it has one.
    pub(crate) fn ratio(&mut self, name: &str, value: f64, budget: Option<f64>) {
        self.add(Role::Ratio, name, value, "x", budget);
    }

    /// The middle, the 99th percentile and the largest of durations, in milliseconds; the budget is for the 99th.
    pub(crate) fn distribution(&mut self, name: &str, durations: &[Duration], budget: Option<f64>) {
        self.spread(Role::Figure, name, durations, budget);
    }

    /// The same, of what the program is compared with.
    pub(crate) fn baseline_distribution(&mut self, name: &str, durations: &[Duration]) {
        self.spread(Role::Baseline, name, durations, None);
    }

    fn spread(&mut self, role: Role, name: &str, durations: &[Duration], budget: Option<f64>) {
        if durations.is_empty() {
            self.note(format!("{name}: there is none"));
            return;
        }
        let ms = milliseconds(durations);
        self.add(role, &format!("{name} p50"), percentile(&ms, 50.0), "ms", None);
        self.add(role, &format!("{name} p99"), percentile(&ms, 99.0), "ms", budget);
        self.add(role, &format!("{name} max"), percentile(&ms, 100.0), "ms", None);
    }

    /// What a reader of the figures must know.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn add(&mut self, role: Role, name: &str, value: f64, unit: &'static str, budget: Option<f64>) {
        self.figures.push(Figure { role, name: name.to_owned(), value, unit, budget });
    }

    /// Prints the table and writes the JSON.
    pub(crate) fn finish(self) {
        println!("\n{}", self.name);
        for figure in &self.figures {
            let mark = match figure.role {
                Role::Figure => ' ',
                Role::Baseline => '~',
                Role::Ratio => '/',
            };
            let budget = figure.budget.map_or_else(String::new, |budget| {
                let verdict = if figure.value <= budget { "" } else { "  OVER" };
                format!("  (budget {budget}){verdict}")
            });
            println!("{mark} {:<44} {:>12.2} {}{budget}", figure.name, figure.value, figure.unit);
        }
        for note in &self.notes {
            println!("  = {note}");
        }
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench").join(format!("{}.json", self.name));
        std::fs::create_dir_all(file.parent().expect("because it lies in a folder")).expect("because target is ours");
        let text = serde_json::to_string_pretty(&self.document()).expect("because a document has text keys");
        std::fs::write(&file, text + "\n").expect("because target is ours");
        println!("  = {}", file.display());
    }

    fn document(&self) -> Value {
        let of = |role: Role| -> Vec<Value> {
            let mine = self.figures.iter().filter(|figure| figure.role == role);
            let json = |f: &Figure| json!({"name": f.name, "value": f.value, "unit": f.unit, "budget": f.budget});
            mine.map(json).collect()
        };
        let after = load();
        let (figures, baselines, ratios) = (of(Role::Figure), of(Role::Baseline), of(Role::Ratio));
        json!({"name": self.name, "machine": self.machine, "loadAfter": after, "scale": super::measure::scale(),
               "figures": figures, "baselines": baselines, "ratios": ratios, "notes": self.notes})
    }
}

/// Durations as numbers.
pub(crate) fn milliseconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(|duration| duration.as_secs_f64() * 1000.0).collect()
}

/// The smallest value that is at least as large as `percent` of all (nearest rank); 0 of none.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (0..sorted.len()).find(|rank| (rank + 1) as f64 * 100.0 >= percent * sorted.len() as f64);
    rank.map_or(0.0, |rank| sorted[rank])
}

/// The middle of all.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// What of the machine bears on the figures.
fn machine() -> Value {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({"cores": cores, "cpu": field("/proc/cpuinfo", "model name"), "memory": field("/proc/meminfo", "MemTotal"),
           "loadBefore": load()})
}

/// The load average of the last minute.
fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
