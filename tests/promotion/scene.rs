//! The fixture of `promotion.md`, section 1: three environments, each proven on its first commit. S stands for the commit
//! that staging has proven since: it changes `base/deploy.yaml` and adds `base/flag.yaml` (X).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::control_plane::{ControlPlane, cases, signer};
use crate::stage::{Ran, Stage};

/// Everybody who signs; `forge` and `mallory` are in no signers file.
pub(crate) const PEOPLE: [&str; 6] = ["dana", "lena", "omar", "kim", "forge", "mallory"];

/// Three environments on a stage, and what prod demands.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) name: String,
}

/// What a candidate of prod is told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) verdict: String,
    /// The codes of all reasons, in their order.
    pub(crate) codes: Vec<String>,
    /// All that the document of `plan` says.
    pub(crate) text: String,
    /// The commit that stands; null before the first.
    standing: Value,
}

impl Scene {
    /// People, namespaces and a pipeline; no commit yet.
    pub(crate) fn empty(plane: &'static ControlPlane, name: &str, prod: &str) -> Scene {
        let scene = Scene { stage: Stage::new(plane), name: name.to_owned() };
        scene.sign_up();
        scene.pipeline("", "", prod);
        for environment in ["dev", "staging", "prod"] {
            let namespace = format!("{name}-{environment}");
            plane.create("/api/v1/namespaces", &serde_json::json!({"metadata": {"name": namespace}}));
        }
        scene
    }

    /// A repository whose first commit is to stand in all three environments; prod has a commit of lena's on top, A.
    pub(crate) fn new(plane: &'static ControlPlane, name: &str, prod: &str) -> Scene {
        let scene = Scene::empty(plane, name, prod);
        scene.deploy("v1", "one");
        for environment in ["dev", "staging", "prod"] {
            scene.own(environment, "first");
        }
        scene.commit("dana", "shop 1.0");
        for branch in ["env/dev", "env/staging", "env/prod"] {
            scene.stage.git(&["branch", branch]);
        }
        scene.on("env/prod");
        scene.own("prod", "by lena");
        let first = scene.commit("lena", "prod: own settings");
        // Counted only where approvals are asked for.
        scene.approve("omar", &first, &[]);
        scene.approve("kim", &first, &[]);
        scene.stage.git(&["checkout", "-q", "main"]);
        scene
    }

    /// The same, after everything stands, and S is proven in dev and staging.
    pub(crate) fn proven(plane: &'static ControlPlane, name: &str, prod: &str) -> Scene {
        let scene = Scene::new(plane, name, prod);
        scene.run();
        scene.ship_to_staging();
        scene.run();
        scene
    }

    /// S: made by dana in dev, and merged into staging by a fast-forward.
    pub(crate) fn ship_to_staging(&self) -> String {
        self.on("env/dev");
        self.deploy("v2", "two");
        self.stage.write("base/flag.yaml", &config_map("flag", "on"));
        let commit = self.commit("dana", "shop 1.1");
        self.on("env/staging");
        self.stage.git(&["merge", "-q", "--ff-only", "env/dev"]);
        commit
    }

    /// A commit of dana's in dev and staging, by a fast-forward, that adds a shared file.
    pub(crate) fn ship_more(&self, name: &str) -> String {
        self.on("env/dev");
        self.stage.write(&format!("base/{name}.yaml"), &config_map(name, "on"));
        let commit = self.commit("dana", name);
        self.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
        commit
    }

    fn sign_up(&self) {
        let folder = self.stage.folder();
        let mut signers = String::new();
        for name in PEOPLE {
            let file = folder.join(name);
            let public = if file.exists() {
                std::fs::read_to_string(file.with_extension("pub")).expect("because the key was made")
            } else {
                signer::make_key(&file, name)
            };
            if !["forge", "mallory"].contains(&name) {
                signers.push_str(&format!("{name}@example.com namespaces=\"git\" {}\n", public.trim()));
            }
        }
        std::fs::write(folder.join("allowed_signers"), signers).expect("because the folder is ours");
    }

    /// Writes the pipeline; the arguments are keys of dev, staging and prod.
    pub(crate) fn pipeline(&self, dev: &str, staging: &str, prod: &str) {
        let environment = |name: &str, keys: &str| {
            let given = |key: &str| keys.lines().any(|line| line.starts_with(key));
            let mut all = format!("  - name: {name}\n    namespace: {}-{name}\n", self.name);
            if !given("branch:") {
                all.push_str(&format!("    branch: env/{name}\n"));
            }
            if !given("path") {
                all.push_str(&format!("    paths: [base, overlays/{name}]\n"));
            }
            all + &keys.lines().map(|line| format!("    {line}\n")).collect::<String>()
        };
        let text = format!(
            "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: shop}}\nspec:\n  repository: {{url: {}}}\n  trust:\n    signers: {{file: allowed_signers}}\n    roles: {{release-managers: [lena@example.com, omar@example.com, kim@example.com]}}\n  environments:\n{}{}{}",
            self.stage.repository.display(),
            environment("dev", dev),
            environment("staging", &format!("from: dev\n{staging}")),
            environment("prod", &format!("from: staging\n{prod}"))
        );
        std::fs::write(self.stage.folder().join("lockmaster.yaml"), text).expect("because the folder is ours");
    }

    /// Writes the shared Deployment.
    pub(crate) fn deploy(&self, tag: &str, note: &str) {
        self.stage.write("base/deploy.yaml", &deployment("web", &format!("web:{tag}"), note));
    }

    /// Writes an environment's own file.
    pub(crate) fn own(&self, environment: &str, value: &str) {
        self.stage.write(&format!("overlays/{environment}/patch.yaml"), &config_map("settings", value));
    }

    pub(crate) fn on(&self, branch: &str) {
        self.stage.git(&["checkout", "-q", branch]);
    }

    /// How git signs as somebody; nobody: not at all.
    fn signing(&self, who: &str) -> Vec<String> {
        let key = self.stage.folder().join(who);
        let config = |text: String| ["-c".to_owned(), text];
        let name = if who == "nobody" { "dana" } else { who };
        let mut all: Vec<String> = config(format!("user.email={name}@example.com")).into();
        if who == "nobody" {
            all.extend(config("commit.gpgsign=false".to_owned()));
        } else {
            all.extend(config(format!("user.signingkey={}", key.display())));
        }
        all
    }

    /// Runs git as somebody, whose key signs.
    pub(crate) fn git_as(&self, who: &str, arguments: &[&str]) -> String {
        let signing = self.signing(who);
        let all: Vec<&str> = signing.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        self.stage.git(&all)
    }

    /// Commits the working tree as somebody, and gives the commit.
    pub(crate) fn commit(&self, who: &str, subject: &str) -> String {
        self.stage.git(&["add", "-A"]);
        self.git_as(who, &["commit", "-q", "--allow-empty", "-m", subject]);
        self.stage.head()
    }

    /// Merges a branch into env/prod with a merge commit, as a forge's button does or a person by hand.
    pub(crate) fn merge(&self, who: &str, from: &str) -> String {
        self.on("env/prod");
        self.git_as(who, &["merge", "-q", "--no-ff", "-m", &format!("merge {from}"), from]);
        self.stage.head()
    }

    /// Puts a branch elsewhere, as a forced push does.
    pub(crate) fn force(&self, branch: &str, to: &str) {
        self.on(branch);
        self.stage.git(&["reset", "-q", "--hard", to]);
    }

    /// A signed tag: a statement, by the first parts of its name.
    pub(crate) fn state(&self, who: &str, name: &str, commit: &str, message: &[&str]) {
        let mut arguments = vec!["tag", "-s", name, commit];
        for part in message {
            arguments.extend(["-m", part]);
        }
        self.git_as(who, &arguments);
    }

    /// A signed tag by which somebody approves a commit for prod; more arguments are paragraphs of its message.
    pub(crate) fn approve(&self, who: &str, commit: &str, message: &[&str]) {
        let name = format!("approve/shop/prod/{who}-{}", &commit[..7]);
        self.state(who, &name, commit, if message.is_empty() { &["approved"] } else { message });
    }

    /// Runs the agent until nothing more is admitted now; whatever becomes of it.
    pub(crate) fn run(&self) -> Ran {
        let ran = self.stage.lockmaster(&["run", "--once"]);
        assert_ne!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// What is said to the tip of an environment's branch.
    pub(crate) fn told(&self, environment: &str) -> Told {
        let ran = self.stage.lockmaster(&["plan", environment, "-o", "json"]);
        let document = ran.json();
        let view = &document["environments"][0];
        let codes = view["reasons"].as_array().expect("because reasons are a list").iter();
        Told {
            verdict: view["admission"]["verdict"].as_str().unwrap_or_default().to_owned(),
            codes: codes.filter_map(|reason| reason["code"].as_str().map(str::to_owned)).collect(),
            text: format!("{view:#}"),
            standing: view["from"]["commit"]["id"].clone(),
        }
    }

    /// Asserts what is said to the tip of an environment, by code and words.
    #[track_caller]
    pub(crate) fn look(&self, environment: &str, verdict: &str, codes: &[&str], words: &[&str]) -> Told {
        let told = self.told(environment);
        assert_eq!(
            (told.verdict.as_str(), told.codes.as_slice()),
            (verdict, &codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()[..]),
            "{}",
            told.text
        );
        for word in words {
            assert!(told.text.contains(word), "`{word}` is missing in: {}", told.text);
        }
        told
    }

    /// The same of prod; and nothing is opened by a run of the agent unless it is admitted: then it stands.
    #[track_caller]
    pub(crate) fn expect(&self, verdict: &str, codes: &[&str], words: &[&str]) {
        let told = self.look("prod", verdict, codes, words);
        // Each program that is started costs as much as all that is asserted of it: in full only where rows are.
        let full = cases(1, 0) == 1;
        if full {
            let text = self.stage.lockmaster(&["plan", "prod"]).stdout;
            for code in codes {
                assert!(text.contains(&format!("[{code}]")), "`{code}` is not told to people: {text}");
            }
        }
        if !full && verdict == "refuse" {
            return;
        }
        let ran = self.stage.lockmaster(&["run", "--once", "--environment", "prod", "-o", "json"]);
        let after = &ran.json()["environments"][0]["standing"]["commit"]["id"];
        match verdict {
            "admit" => assert_eq!(*after, self.tip("env/prod"), "it was not opened: {}", told.text),
            _ => assert_eq!(*after, told.standing, "it was opened: {}", told.text),
        }
    }

    /// Whether the standing release of an environment is proven.
    pub(crate) fn is_proven(&self, environment: &str) -> bool {
        let status = self.stage.lockmaster(&["status", environment, "-o", "json"]);
        status.json()["environments"][0]["units"]["proven"] == 1
    }

    /// The entries of an environment's log that tell of this action, as the journal keeps them.
    pub(crate) fn entries(&self, environment: &str, action: &str) -> Vec<Value> {
        let path = format!(
            "/api/v1/namespaces/{}/configmaps?labelSelector=lockmaster.dev/kind%3Dentry,lockmaster.dev/environment%3D{environment}",
            self.stage.agent_namespace
        );
        let list = self.stage.plane.get(&path).expect("because a list is never absent");
        let entries = list["items"].as_array().into_iter().flatten().map(entry_of);
        entries.filter(|entry| entry["action"] == action).collect()
    }

    /// The commit that stands in an environment; null before the first.
    pub(crate) fn standing(&self, environment: &str) -> Value {
        let status = self.stage.lockmaster(&["status", environment, "-o", "json"]);
        status.json()["environments"][0]["standing"]["commit"]["id"].clone()
    }

    pub(crate) fn tip(&self, branch: &str) -> Value {
        Value::from(self.stage.git(&["rev-parse", branch]))
    }
}

/// A ConfigMap with one key.
pub(crate) fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: {value:?}}}\n")
}

/// A Deployment of one image of the registry; its tag plays what becomes of the pods.
pub(crate) fn deployment(name: &str, image: &str, note: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, annotations: {{note: {note:?}}}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: {name}, image: 'registry.example.com/{image}'}}]}}\n"
    )
}

/// The document of an entry, out of the object that the journal keeps it in.
pub(crate) fn entry_of(item: &Value) -> Value {
    let text = item["binaryData"]["content"].as_str().expect("because an entry has content");
    let bytes = STANDARD.decode(text).expect("because the server encodes binary data");
    let bytes = zstd::decode_all(&bytes[..]).expect("because the journal compresses it");
    let objects = lockmaster::deploylog::unpack(&bytes).expect("because the journal packs it");
    let documents = objects.iter().filter_map(|object| serde_json::from_slice::<Value>(&object.body).ok());
    documents.into_iter().find(|document| document["sequence"].is_u64()).expect("because an entry says its place")
}
