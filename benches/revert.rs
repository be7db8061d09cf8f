//! How long a revert takes from the end of `git push` until the old state is live and what the bad release brought is gone,
//! while that release crash-loops; against the same change as an ordinary promotion, of a release that is well.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control_plane::{COUNTED, ControlPlane, Parts, eventually};
use stage::{Stage, Who};
use support::agent::Agent;
use support::fleet::{CONFIG, DEPLOYMENT};
use support::measure::{measure, progress, scaled};
use support::report::{Report, median, milliseconds};
use support::sight::Sight;

/// Objects of the release that is gone back to.
const OBJECTS: usize = 25;
/// Objects that the bad release brings.
const EXTRA: usize = 3;
/// ConfigMaps that it changes.
const CHANGED: usize = 10;
const REPETITIONS: usize = 50;
/// The promise: milliseconds from the push to the old state, in 99 of 100 runs.
const BUDGET: f64 = 2_000.0;
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        println!("revert: nothing was measured, there is no control plane. With Go installed, build one once:");
        println!("  export KUBEBUILDER_ASSETS=$(bash tests/control-plane/build.sh)");
        return ExitCode::SUCCESS;
    }
    // Never dropped: the servers end with the process.
    measure("revert", || bench(Box::leak(Box::new(ControlPlane::start(Parts::All)))))
}

fn bench(plane: &'static ControlPlane) {
    let mut report = Report::new("revert");
    let ground = Ground::new(plane);
    let mut agent = Agent::start(&ground.stage);
    agent.await_proven(2, LIMIT);
    let sight = Sight::open(plane, &ground.namespace, &[CONFIG, DEPLOYMENT]);
    let (mut reverted, mut promoted) = (Vec::new(), Vec::new());
    let repetitions = scaled(REPETITIONS, 3);
    for repetition in 0..repetitions {
        progress(&format!("revert {} of {repetitions}", repetition + 1));
        ground.release("crash", "worse", EXTRA, &format!("bad {repetition}"));
        ground.await_crash_loop();
        ground.stage.git(&["revert", "--no-edit", "HEAD"]);
        reverted.push(ground.push(&sight));
        agent.await_proven(1, LIMIT);
        // The same objects change and go, out of a release that is well; no release before it has this content.
        ground.release("v2", "worse", EXTRA, &format!("good {repetition}"));
        agent.await_proven(1, LIMIT);
        ground.write("v1", "plain", 0, &format!("{repetition}"));
        ground.stage.commit(Who::Dana, &format!("back, {repetition}"));
        promoted.push(ground.push(&sight));
        agent.await_proven(1, LIMIT);
        ground.write("v1", "plain", 0, "");
        ground.stage.commit(Who::Dana, &format!("as it was, {repetition}"));
        ground.stage.git(&["push", "-q", "origin", "env/prod"]);
        agent.await_proven(1, LIMIT);
    }
    agent.stop();
    report.figure("objects", OBJECTS as f64, "");
    report.figure("objects that go", EXTRA as f64, "");
    report.distribution("revert pushed to the old state", &reverted, Some(BUDGET));
    report.baseline_distribution("the same change as a promotion", &promoted);
    let ms = |durations: &[Duration]| median(&milliseconds(durations));
    report.ratio("revert / promotion, p50", ms(&reverted) / ms(&promoted), None);
    report.note("the bad release crash-loops when the revert is pushed; the one that is promoted over is well");
    report.finish();
}

/// Two environments, prod from staging. What changes is prod's own.
struct Ground {
    plane: &'static ControlPlane,
    stage: Stage,
    namespace: String,
}

impl Ground {
    fn new(plane: &'static ControlPlane) -> Ground {
        let stage = Stage::straight(plane, COUNTED);
        let (staging, namespace) = (plane.namespace("staging"), plane.namespace("prod"));
        let ground = Ground { plane, stage, namespace };
        for number in CHANGED..OBJECTS - 2 {
            ground.stage.write(&format!("base/{number}.yaml"), &config(&format!("shared-{number}"), "plain"));
        }
        ground.stage.write("staging/own.yaml", &config("own", "staging"));
        ground.write("v1", "plain", 0, "");
        ground.stage.commit(Who::Dana, "the first release");
        ground.stage.git(&["branch", "env/staging"]);
        ground.stage.git(&["checkout", "-q", "-b", "env/prod"]);
        ground.stage.git(&["clone", "-q", "--bare", ".", "../origin.git"]);
        ground.stage.git(&["remote", "add", "origin", "../origin.git"]);
        let prod = &ground.namespace;
        ground.stage.pipeline(&format!(
            "  - {{name: staging, branch: env/staging, paths: [base, staging], renderer: plain, namespace: {staging}}}\n  - {{name: prod, from: staging, branch: env/prod, paths: [base, prod], renderer: plain, namespace: {prod}, deadline: 1h, ownImages: [registry.example.com/web]}}"
        ));
        let file = ground.stage.folder().join("lockmaster.yaml");
        let text = std::fs::read_to_string(&file).expect("because the stage wrote it");
        let origin = ground.stage.folder().join("origin.git").display().to_string();
        let text = text.replace(&ground.stage.repository.display().to_string(), &origin);
        std::fs::write(file, text).expect("because the folder is ours");
        ground
    }

    /// Writes prod's own files: its Deployment, the ConfigMaps that change, and what is extra.
    fn write(&self, tag: &str, value: &str, extra: usize, note: &str) {
        self.stage.write("prod/web.yaml", &deployment(tag));
        self.stage.write("prod/note.yaml", &config("note", note));
        for number in 0..CHANGED {
            self.stage.write(&format!("prod/{number}.yaml"), &config(&format!("own-{number}"), value));
        }
        for number in 0..EXTRA {
            let path = format!("prod/extra-{number}.yaml");
            if number < extra {
                self.stage.write(&path, &config(&format!("extra-{number}"), "x"));
            } else if self.stage.repository.join(&path).exists() {
                std::fs::remove_file(self.stage.repository.join(&path)).expect("because it is ours");
            }
        }
    }

    fn release(&self, tag: &str, value: &str, extra: usize, note: &str) {
        self.write(tag, value, extra, note);
        self.stage.commit(Who::Dana, note);
        self.stage.git(&["push", "-q", "origin", "env/prod"]);
    }

    fn await_crash_loop(&self) {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        eventually("the bad release crash-loops", || {
            let pods = self.plane.get(&path)?;
            let waits = |pod: &serde_json::Value| {
                pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            };
            let extra = format!("/api/v1/namespaces/{}/configmaps/extra-{}", self.namespace, EXTRA - 1);
            let crashes = pods["items"].as_array().is_some_and(|pods| pods.iter().any(waits));
            (crashes && self.plane.get(&extra).is_some()).then_some(())
        });
    }

    /// Pushes, and says how long it took until the Deployment runs `v1` and the extra objects are gone.
    fn push(&self, sight: &Sight) -> Duration {
        while sight.next(Duration::ZERO).is_some() {}
        self.stage.git(&["push", "-q", "origin", "env/prod"]);
        let pushed = Instant::now();
        let mut left: BTreeSet<String> = (0..EXTRA).map(|number| format!("extra-{number}")).collect();
        let mut live = false;
        let image = "/spec/template/spec/containers/0/image";
        loop {
            let seen = sight.next(LIMIT).expect("because the old state comes back");
            match &seen.object {
                None => drop(left.remove(&seen.name)),
                Some(object) if seen.name == "web" => {
                    live |= object.pointer(image).is_some_and(|image| *image == *"registry.example.com/web:v1");
                }
                Some(_) => {}
            }
            if live && left.is_empty() {
                return seen.at.duration_since(pushed);
            }
        }
    }
}

fn config(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: {value:?}}}\n")
}

fn deployment(tag: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: web, image: 'registry.example.com/web:{tag}'}}]}}\n"
    )
}
