//! A release of a real repository, promoted through three branches by plain `git merge` and `git push`. What the program
//! prints on the way stands in `docs/promotion.md`; `LOCKMASTER_RECORD=1` writes it there anew.

use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::WatchEvent;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::control_plane::{AGENT, ControlPlane, eventually};
use crate::scene::Scene;

/// Where the page keeps what was printed.
const PAGE: &str = "docs/promotion.md";

/// How long one change may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How often the time from a push to the cluster is taken.
const PUSHES: usize = 20;

/// A story that is told on a page: each command with what it printed.
struct Story<'s> {
    scene: &'s Scene,
    clone: String,
    blocks: Vec<String>,
}

impl Story<'_> {
    /// Runs git in the clone, as somebody.
    fn git(&self, who: &str, arguments: &[&str]) -> String {
        self.scene.git_as(who, &[&["-C", self.clone.as_str()], arguments].concat())
    }

    /// Merges one branch into another and pushes, as people do who have no forge.
    fn merge(&mut self, who: &str, from: &str, to: &str) {
        self.git(who, &["checkout", "-q", to]);
        self.git(who, &["merge", "-q", "--no-ff", "-S", "-m", &format!("Merge {from} into {to}"), from]);
        self.git(who, &["push", "-q", "origin", to]);
        let text = format!("$ git checkout {to} && git merge --no-ff -S {from} && git push origin {to}    # {who}");
        self.blocks.push(text);
    }

    /// Runs the program and keeps what it prints.
    fn ask(&mut self, arguments: &[&str], code: i32) -> String {
        let ran = self.scene.stage.lockmaster(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        let words = arguments.join(" ");
        let printed = ran.stdout.trim_end().to_owned();
        self.blocks.push(format!("$ lockmaster {words}    # exit {code}\n{printed}"));
        printed
    }
}

pub(crate) fn podinfo(plane: &'static ControlPlane) {
    let folder = std::env::var_os("LOCKMASTER_REAL_REPOSITORY").expect("because the test is left out without it");
    let scene = Scene::empty(plane, "real", "");
    pipeline(&scene);
    scene.stage.copy(Path::new(&folder), "");
    let first = scene.commit("dana", "webapp 1");
    for branch in ["env/dev", "env/staging", "env/production"] {
        scene.stage.git(&["branch", branch]);
    }
    tag(&scene, "lena", &first);
    let bare = scene.stage.folder().join("remote.git").display().to_string();
    scene.stage.git(&["clone", "-q", "--bare", ".", &bare]);
    let clone = scene.stage.folder().join("clone").display().to_string();
    scene.stage.git(&["clone", "-q", &bare, &clone]);
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let text = text.replace(&scene.stage.repository.display().to_string(), &bare);
    std::fs::write(&file, text).expect("because it is ours");
    let mut story = Story { scene: &scene, clone, blocks: Vec::new() };
    for branch in ["env/dev", "env/staging", "env/production"] {
        story.git("dana", &["checkout", "-q", branch]);
    }
    scene.run();
    tell(&mut story);
    record(&story);
    measure(&story, plane);
}

fn pipeline(scene: &Scene) {
    scene.pipeline("", "", "");
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let head = text.split("  environments:\n").next().expect("because a split has a first part");
    let environments = "  - {name: dev, branch: env/dev, path: overlays/dev, namespace: dev}
  - {name: staging, from: dev, branch: env/staging, path: overlays/staging, namespace: staging}
  - name: production
    from: staging
    branch: env/production
    path: overlays/production
    namespace: production
    approvals: {count: 1, role: release-managers, excludeAuthor: true}
";
    std::fs::write(file, format!("{head}  environments:\n{environments}")).expect("because it is ours");
}

fn tag(scene: &Scene, who: &str, commit: &str) {
    let name = format!("approve/shop/production/{who}-{}", &commit[..7]);
    scene.git_as(who, &["tag", "-s", &name, commit, "-m", "approved"]);
}

fn tell(story: &mut Story<'_>) {
    let path = Path::new(&story.clone).join("bases/backend/deployment.yaml");
    let text = std::fs::read_to_string(&path).expect("because it was cloned");
    std::fs::write(&path, text.replace("podinfo:6.14.1", "podinfo:6.14.2")).expect("because it is ours");
    story.git("dana", &["checkout", "-q", "env/dev"]);
    story.git("dana", &["commit", "-qam", "backend: podinfo 6.14.2"]);
    story.git("dana", &["push", "-q", "origin", "env/dev"]);
    story.blocks.push("$ git commit -am \"backend: podinfo 6.14.2\" && git push origin env/dev    # dana".to_owned());
    story.scene.run();
    story.merge("dana", "env/dev", "env/staging");
    story.scene.run();
    story.merge("omar", "env/staging", "env/production");
    story.scene.run();
    let before = story.ask(&["explain", "production"], 1);
    assert!(before.contains("wait[approvals-missing]"), "{before}");
    let tip = story.git("lena", &["rev-parse", "env/production"]);
    let name = "approve/shop/production/lena";
    story.git("lena", &["tag", "-s", name, &tip, "-m", "approved"]);
    story.git("lena", &["push", "-q", "origin", name]);
    let short = &tip[..7];
    story.blocks.push(format!("$ git tag -s {name} {short} -m approved && git push origin {name}    # lena"));
    story.scene.run();
    let after = story.ask(&["explain", "production"], 0);
    assert!(after.contains("current"), "{after}");
    story.ask(&["history", "production"], 0);
    story.ask(&["status"], 0);
    for environment in ["dev", "staging", "production"] {
        let backend = format!("/apis/apps/v1/namespaces/{environment}/deployments/backend");
        let live = story.scene.stage.plane.get(&backend).expect("because it was applied");
        let image = &live["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(*image, json!("ghcr.io/stefanprodan/podinfo:6.14.2"), "{environment}");
    }
}

/// Writes what was printed into the page, in the place of what stood there.
fn record(story: &Story<'_>) {
    if std::env::var_os("LOCKMASTER_RECORD").is_none() {
        return;
    }
    let folder = story.scene.stage.folder().display().to_string();
    let shown = story.blocks.join("\n\n").replace(&folder, "/srv");
    let page = std::fs::read_to_string(PAGE).expect("because the page is there");
    let (head, rest) = page.split_once("<!-- printed -->\n").expect("because the page says where");
    let (_, tail) = rest.split_once("<!-- end -->").expect("because the page says where");
    let page = format!("{head}<!-- printed -->\n```console\n{shown}\n```\n<!-- end -->{tail}");
    std::fs::write(PAGE, page).expect("because the page is ours");
}

/// Prints how long a change of one object takes from the end of `git push` into the cluster. It is told, not judged: the
/// bench `push_to_live` compares it with a baseline.
fn measure(story: &Story<'_>, plane: &'static ControlPlane) {
    // Without the harness's proxy, which takes its time.
    let arguments = ["run", "--environment", "dev", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let mut agent = story.scene.stage.command(&arguments);
    agent.env("KUBECONFIG", plane.kubeconfig(AGENT)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut agent = agent.spawn().expect("because the program was built");
    story.git("dana", &["checkout", "-q", "env/dev"]);
    let path = Path::new(&story.clone).join("bases/backend/service.yaml");
    let text = std::fs::read_to_string(&path).expect("because it was cloned");
    let mut took: Vec<Duration> = Vec::new();
    let (say, seen) = channel();
    let watch = AbortOnDropHandle::new(plane.runtime().spawn(watch(plane.admin(), say)));
    for round in 0..PUSHES {
        let changed = text.replace("metadata:\n", &format!("metadata:\n  annotations: {{round: \"{round}\"}}\n"));
        std::fs::write(&path, changed).expect("because it is ours");
        story.git("dana", &["commit", "-qam", "round"]);
        story.git("dana", &["push", "-q", "origin", "env/dev"]);
        let (pushed, wanted) = (Instant::now(), round.to_string());
        let live = loop {
            let (at, round) = seen.recv_timeout(LIMIT).expect("because the change gets live");
            if round.as_ref() == Some(&wanted) {
                break at;
            }
        };
        took.push(live.duration_since(pushed));
        eventually("it is proven", || {
            let status = story.scene.stage.lockmaster(&["status", "dev", "-o", "json"]).json();
            (status["environments"][0]["state"] == "current").then_some(())
        });
    }
    drop(watch);
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    // The first push finds an agent that has just begun.
    took.remove(0);
    took.sort();
    let (p50, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!("push to live in dev, {} pushes: p50 {p50:?}, most {most:?}", took.len());
}

/// Says when the object was seen with which round. A watch: asking again and again would take from the server what the
/// agent needs of it.
async fn watch(client: kube::Client, say: Sender<(Instant, Option<String>)>) {
    let uri = "/api/v1/namespaces/dev/services?watch=true&fieldSelector=metadata.name%3Dbackend";
    let request = http::Request::get(uri).body(Vec::new()).expect("because the path is valid");
    let events = client.request_events::<Value>(request).await.expect("because services are served");
    let mut events = std::pin::pin!(events);
    while let Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) = events.next().await {
        let round = object["metadata"]["annotations"]["round"].as_str().map(str::to_owned);
        if say.send((Instant::now(), round)).is_err() {
            return;
        }
    }
}
