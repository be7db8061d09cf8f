//! First contact: objects that others made, on a real server with the real kubectl. What is taken, what waits and what is
//! refused; that nobody's leftovers stay behind; and that a scaler keeps its number.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod owners;
mod scaling;
#[path = "../stage/mod.rs"]
mod stage;
mod takeover;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use control_plane::{ADMIN, AGENT, ControlPlane, eventually};
use lockmaster::edge::cluster::{Access, Applied, Cluster, Writing};
use lockmaster::manifest::{self, Fence, Manifest, ManifestSet, Scopes};
use lockmaster::name::{Code, GroupKind, Reason};
use lockmaster::plan::{self, Adopt, Ground, Inventory, Live, Observed, Policy, Report};
use serde_json::{Value, json};

/// The set of the tests' environment.
const SET: &str = "applyset-test-v1";

/// As the agent writes for the first time to what its policy lets it take unasked.
const FIRST: Writing = Writing { force: false, first: true };
/// As it writes to what is its own.
const LATER: Writing = Writing { force: true, first: false };

fn main() -> ExitCode {
    control_plane::run(vec![
        ("what_kubectl_applied_is_taken_and_what_leaves_git_goes", takeover::whole_program),
        ("a_field_that_only_kubectl_said_is_named_and_goes_only_where_all_is_taken", takeover::leftovers),
        ("what_was_applied_on_the_server_side_has_one_author_afterwards", takeover::server_side),
        ("never_takes_nothing_and_says_so", takeover::never),
        ("an_object_that_nobody_applied_before_costs_one_request", takeover::requests),
        ("a_take_over_that_is_overtaken_is_judged_again", takeover::overtaken),
        ("an_object_whose_fields_were_lost_stays_as_it_is", takeover::lost_fields),
        ("what_flux_owns_is_refused_and_its_commands_free_it", owners::flux),
        ("what_argo_cd_owns_is_refused_and_its_commands_free_it", owners::argo),
        ("what_helm_owns_is_refused_and_its_commands_free_it", owners::helm),
        ("what_another_set_owns_is_refused_and_its_command_frees_it", owners::apply_set),
        ("property_11_a_hand_off_never_changes_the_live_value", scaling::property_11),
        ("a_number_that_is_scaled_during_a_hand_off_stays", scaling::race),
        ("an_object_that_went_is_not_made_anew_by_a_hand_off", scaling::gone),
        ("a_scaler_of_the_release_keeps_its_number_over_two_applies", scaling::whole_program),
    ])
}

/// Runs kubectl as a person who may do everything, in a namespace.
fn kubectl(plane: &ControlPlane, namespace: &str, arguments: &[&str], input: &str) -> String {
    let folder = control_plane::binaries().expect("because tests without binaries are ignored");
    let mut command = Command::new(folder.join("kubectl"));
    command.env("KUBECONFIG", plane.kubeconfig(ADMIN)).args(["-n", namespace]).args(arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("because kubectl is there");
    // One that reads no input may have ended.
    drop(child.stdin.take().expect("because it is piped").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("because it ends");
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A namespace that kubectl and we write into.
struct Place {
    plane: &'static ControlPlane,
    cluster: Cluster,
    namespace: String,
}

impl Place {
    fn new(plane: &'static ControlPlane, stem: &str) -> Self {
        Place::through(plane, stem, &plane.kubeconfig(AGENT))
    }

    fn through(plane: &'static ControlPlane, stem: &str, kubeconfig: &Path) -> Self {
        let access = Access { kubeconfig: Some(kubeconfig.to_owned()), context: None };
        let cluster = plane.block_on(Cluster::connect(&access)).expect("because the harness wrote the file");
        Place { plane, cluster, namespace: plane.namespace(stem) }
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        kubectl(self.plane, &self.namespace, arguments, input)
    }

    /// Runs one line of a shell, as a person who pastes it.
    fn shell(&self, line: &str) {
        let folder = control_plane::binaries().expect("because tests without binaries are ignored");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(folder).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(paths).expect("because paths were split from one");
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path).env("KUBECONFIG", self.plane.kubeconfig(ADMIN));
        let output = command.stdin(Stdio::null()).output().expect("because there is a shell");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A release of these objects.
    fn release(&self, yaml: &str) -> ManifestSet {
        let fence = Fence {
            namespaces: vec![self.namespace.clone()],
            default_namespace: Some(self.namespace.clone()),
            cluster_kinds: vec![GroupKind::new("rbac.authorization.k8s.io", "ClusterRole")],
            agent_namespace: "lockmaster".to_owned(),
        };
        let file = "all.yaml".parse().expect("because it is a path");
        let drafts = manifest::read(&file, yaml.as_bytes()).expect("because it is good YAML");
        ManifestSet::assemble(drafts, &fence, &Scopes::built_in()).expect("because the objects are good")
    }

    /// What a plan says of taking all that.
    fn plan(&self, release: &ManifestSet, adopt: Adopt) -> Report {
        let inventory = Inventory::default();
        let kinds = release.manifests().iter().map(|m| (m.key.clone(), m.kind.clone())).collect();
        let live = self.plane.block_on(self.cluster.read(&kinds)).expect("because the server runs");
        let mut dry_runs = BTreeMap::new();
        for manifest in release.manifests().iter().filter(|m| matches!(live.get(&m.key), Some(Live::Present(_)))) {
            let verdict = self.plane.block_on(self.cluster.dry_run(manifest, SET)).expect("because the server runs");
            dry_runs.insert(manifest.key.clone(), verdict);
        }
        let observed = Observed { live, dry_runs, namespaces: BTreeSet::from([self.namespace.clone()]) };
        let policy =
            Policy { on_drift: lockmaster::plan::OnDrift::Heal, adopt, prune_share: 0.3, set_id: SET.to_owned() };
        let ground = Ground { standing: None, inventory: &inventory, observed: &observed, policy: &policy };
        let report = plan::report(release, &ground);
        assert_eq!(plan::check(&report, release, &ground), Ok(()), "{report:#?}");
        report
    }

    fn write(&self, manifest: &Manifest, how: Writing) -> Applied {
        self.plane.block_on(self.cluster.apply(manifest, SET, how))
    }

    /// Writes a whole release, and returns the objects as the server answered them.
    fn apply(&self, release: &ManifestSet, how: Writing) -> Vec<Value> {
        release.manifests().iter().map(|manifest| done(self.write(manifest, how))).collect()
    }

    fn seen_by_its_controller(&self) {
        seen_by_its_controller(self.plane, &self.namespace);
    }

    /// A live object of the namespace: `deployment/web`.
    fn live(&self, name: &str) -> Value {
        let text = self.kubectl(&["get", name, "-o", "json", "--show-managed-fields"], "");
        serde_json::from_str(&text).expect("because kubectl writes JSON")
    }
}

/// Waits until the Deployment controller has seen the Deployment `web` as it is: it writes an annotation too, which else
/// may come between two looks.
fn seen_by_its_controller(plane: &ControlPlane, namespace: &str) {
    eventually("the controller has seen it", || {
        let live = plane.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/web"))?;
        (live["status"]["observedGeneration"] == live["metadata"]["generation"]).then_some(())
    });
}

fn done(applied: Applied) -> Value {
    match applied {
        Applied::Done { object, .. } => object,
        other => panic!("applied, not {other:?}"),
    }
}

/// Who has an entry for the whole object, in order of names.
fn authors(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let whole = entries.filter(|entry| entry.get("subresource").is_none());
    let mut names: Vec<String> = whole.map(|e| e["manager"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

/// `path`, for each object by `Kind/name`.
fn fields(report: &Report) -> BTreeMap<String, Vec<String>> {
    let name = |change: &plan::Change| format!("{}/{}", change.object.kind, change.object.name);
    let ours = |path: &str| path == "metadata.labels" || path.contains(plan::PART_OF);
    let paths = |change: &plan::Change| {
        change.fields.iter().map(|field| field.path.clone()).filter(|path| !ours(path)).collect()
    };
    report.changes.iter().map(|change| (name(change), paths(change))).collect()
}

fn codes(reasons: &[Reason]) -> Vec<Code> {
    reasons.iter().map(|reason| reason.code).collect()
}

/// A JSON text of an object, which is YAML.
fn config_map(name: &str, data: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}).to_string()
}
