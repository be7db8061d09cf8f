//! Where a bench measures: the control plane, and a stage with a fleet.

use std::process::ExitCode;

use super::fleet::{self, Thing};
use super::measure::measure;
use crate::control_plane::{COUNTED, ControlPlane, Parts};
use crate::stage::{Stage, Who};

/// Runs a bench on a control plane of its own (etcd and the API server, no controllers), if there is one.
pub(crate) fn measure_on_plane(name: &str, bench: impl FnOnce(&'static ControlPlane)) -> ExitCode {
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        println!("{name}: nothing was measured, there is no control plane. With Go installed, build one once:");
        println!("  export KUBEBUILDER_ASSETS=$(bash tests/control-plane/build.sh)");
        return ExitCode::SUCCESS;
    }
    // Never dropped: the servers end with the process.
    measure(name, || bench(Box::leak(Box::new(ControlPlane::start(Parts::Server)))))
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
