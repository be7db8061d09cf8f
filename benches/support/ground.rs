//! Whether a bench can measure here, how much, and where: the control plane, a stage with a fleet.

use std::process::ExitCode;

use super::fleet::{self, Thing};
use crate::control_plane::{COUNTED, ControlPlane, Parts};
use crate::stage::{Stage, Who};

/// Runs a bench, if `cargo bench` asks for it.
pub(crate) fn measure(name: &str, bench: impl FnOnce()) -> ExitCode {
    if std::env::args().any(|argument| argument == "--bench") {
        bench();
    } else {
        println!("{name}: nothing was measured; a bench runs by: cargo bench --bench {name}");
    }
    ExitCode::SUCCESS
}

/// Runs a bench on a control plane of its own (etcd and the API server, no controllers), if there is one.
pub(crate) fn measure_on_plane(name: &str, bench: impl FnOnce(&'static ControlPlane)) -> ExitCode {
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        println!("{name}: nothing was measured, there is no control plane. With Go installed, build one once:");
        println!("  export KUBEBUILDER_ASSETS=$(bash tests/control-plane/build.sh)");
        return ExitCode::SUCCESS;
    }
    // A static lives to the end of the process; the servers end with it.
    measure(name, || bench(Box::leak(Box::new(ControlPlane::start(Parts::Server)))))
}

/// `LOCKMASTER_BENCH_SCALE`: by what every count is multiplied; 1 if it is not set.
pub(crate) fn scale() -> f64 {
    let text = std::env::var("LOCKMASTER_BENCH_SCALE").unwrap_or_default();
    text.parse().ok().filter(|scale| *scale > 0.0).unwrap_or(1.0)
}

/// A count at the scale of this run, at least `least`.
pub(crate) fn scaled(count: usize, least: usize) -> usize {
    ((count as f64 * scale()) as usize).max(least)
}

/// A stage whose signed repository holds a fleet for each environment, below a folder of its name; each environment has a
/// namespace of its own, which exists. The agent is the counted user.
pub(crate) fn stage_of(plane: &'static ControlPlane, environments: &[(&str, &[Thing])]) -> (Stage, Vec<String>) {
    let stage = Stage::straight(plane, COUNTED);
    let mut namespaces = Vec::new();
    let mut items = Vec::new();
    for (environment, things) in environments {
        for (path, text) in fleet::files(things, environment) {
            stage.write(&path, &text);
        }
        let namespace = plane.namespace("fleet");
        items.push(format!(
            "  - {{name: {environment}, branch: main, path: {environment}, renderer: plain, namespace: {namespace}}}"
        ));
        namespaces.push(namespace);
    }
    stage.commit(Who::Dana, "the fleet");
    stage.pipeline(&items.join("\n"));
    (stage, namespaces)
}

/// Says what is being done, so that a person who waits knows.
pub(crate) fn progress(text: &str) {
    eprintln!("… {text}");
}
