//! `explain`, `history`, `show` and `diff` over a promotion: what they say is what is, and every command that they print
//! can be run as it is printed.

#[path = "../control_plane/mod.rs"]
mod control_plane;
#[path = "../promotion/scene.rs"]
#[expect(dead_code, reason = "the rows of promotion use the rest")]
mod scene;
#[path = "../stage/mod.rs"]
mod stage;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode};

use control_plane::{ControlPlane, Test, run_anywhere};
use scene::Scene;
use serde_json::{Value, json};
use stage::Ran;

const TWO: &str = "writers: [release-managers]\napprovals: {count: 2, role: release-managers, excludeAuthor: true}";

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("the_commands_of_a_missing_approval_bring_it_until_the_release_stands", approvals),
        ("the_command_against_a_freeze_ends_it", freeze),
        ("the_commands_of_every_other_gate_can_be_run", other_gates),
        ("a_soaking_release_says_until_when_and_what_waits_behind_it_is_told", soaking),
        ("a_violated_log_is_a_finding_and_hides_no_other", violated),
        ("what_no_gate_is_asked_about_is_explained_too", before_the_gates),
        ("two_releases_are_compared_field_by_field_and_secrets_are_withheld", compared),
        ("a_code_is_explained_without_anything_else", code),
        ("what_only_looks_writes_nothing", looking),
    ];
    control_plane::at_once(2);
    run_anywhere(tests)
}

/// Runs the program and expects this exit code.
#[track_caller]
fn expect(scene: &Scene, code: i32, words: &[&str]) -> Ran {
    let ran = scene.stage.lockmaster(words);
    assert_eq!(ran.code, Some(code), "{words:?}\n{}\n{}", ran.stdout, ran.stderr);
    if std::env::var_os("SHOW").is_some() {
        eprintln!("$ lockmaster {}   # exit {code}\n{}", words.join(" "), ran.stdout);
    }
    ran
}

fn commands(scene: &Scene, environment: &str) -> Vec<String> {
    let document = scene.stage.lockmaster(&["explain", environment, "-o", "json"]).json();
    let commands = document["commands"].as_array().expect("because commands are a list").clone();
    commands.iter().filter_map(|command| command.as_str().map(str::to_owned)).collect()
}

/// The command that begins so.
fn command(scene: &Scene, environment: &str, begins: &str) -> String {
    let all = commands(scene, environment);
    all.iter().find(|command| command.starts_with(begins)).unwrap_or_else(|| panic!("no `{begins}` in {all:?}")).clone()
}

/// A person's clone, in which printed commands are run by a shell.
struct Clone<'s> {
    scene: &'s Scene,
    name: String,
}

impl<'s> Clone<'s> {
    fn of(scene: &'s Scene, who: &str) -> Self {
        let name = format!("clone-of-{who}");
        let folder = scene.stage.folder().join(&name);
        let path = folder.display().to_string();
        scene.stage.git(&["clone", "-q", &scene.stage.repository.display().to_string(), &path]);
        let key = scene.stage.folder().join(who).display().to_string();
        for (setting, value) in [("user.email", format!("{who}@example.com")), ("user.signingkey", key)] {
            scene.stage.git(&["-C", &path, "config", setting, &value]);
        }
        Clone { scene, name }
    }

    /// Runs a command as it is printed; what asks first is told yes, as a person would say at the prompt.
    #[track_caller]
    fn run(&self, command: &str) {
        let asks = command.contains("--override") || command.contains("unfreeze");
        let said = if asks { format!("{command} --yes") } else { command.to_owned() };
        let folder = self.scene.stage.folder();
        let programs = folder.join("programs");
        if !programs.exists() {
            let script = format!(
                "#!/bin/sh\nexec {} \"$@\" --agent-namespace {}\n",
                env!("CARGO_BIN_EXE_lockmaster"),
                self.scene.stage.agent_namespace
            );
            std::fs::create_dir(&programs).expect("because the folder is ours");
            let file = programs.join("lockmaster");
            std::fs::write(&file, script).expect("because the folder is ours");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("because it is ours");
        }
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(programs).chain(std::env::split_paths(&paths));
        let model = self.scene.stage.command(&[]);
        let mut shell = Command::new("sh");
        shell.env_clear().args(["-c", &said]).current_dir(folder.join(&self.name));
        shell.envs(model.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", std::env::join_paths(paths).expect("because paths were split from one"));
        shell.env("LOCKMASTER_FILE", folder.join("lockmaster.yaml")).env("GIT_EDITOR", "echo approved >");
        let output = shell.output().expect("because there is a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code();
        // `explain` and `history` of another environment may find something; what states something must do it.
        let looks =
            ["lockmaster explain", "lockmaster history", "lockmaster show"].iter().any(|l| command.starts_with(l));
        let good = code == Some(0) || (looks && code == Some(1));
        assert!(good, "`{said}`: {code:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    }
}

fn approvals(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "asks", TWO);
    let merge = scene.merge("forge", "env/staging");
    let waits = expect(&scene, 1, &["explain", "prod"]).stdout;
    let head = format!("shop/prod waits for 1 of 8 gates: {} \"merge env/staging\", forge@example.com", &merge[..7]);
    assert!(waits.starts_with(&head), "{waits}");
    for words in [
        "upstream   pass     inputs and 1 image of staging/",
        "approvals  wait     0 of 2 release-managers ",
        "  on a new tag; gives up ",
        "wait[approvals-missing]: needs 2 of release-managers, has 0; gives up ",
        "kim@example.com or lena@example.com or omar@example.com can approve: lockmaster approve prod\n",
        "or with plain git: git tag -s approve/shop/prod/",
    ] {
        assert!(waits.contains(words), "`{words}` is missing in {waits}");
    }
    let plan = expect(&scene, 1, &["plan", "prod", "--no-fields"]).stdout;
    assert!(plan.contains("\nadmission: wait, approvals 0 of 2 (lockmaster explain prod)\n"), "{plan}");
    let status = expect(&scene, 0, &["status"]).stdout;
    assert!(status.contains("wait[approvals-missing]: ") && status.contains("lockmaster explain prod"), "{status}");

    let named = expect(&scene, 1, &["explain", &format!("prod@{merge}"), "-o", "json"]).json();
    assert_eq!(named["commands"][0], format!("lockmaster approve prod@{}", &merge[..7]), "{named:#}");
    assert_eq!((&named["state"], &named["upstream"]["environment"]), (&json!("waiting"), &json!("staging")));
    let gates = named["gates"].as_array().expect("because gates are a list");
    let approvals = gates.iter().find(|gate| gate["name"] == "approvals").expect("because it was asked");
    assert_eq!(
        (&approvals["measured"], &approvals["limit"], &approvals["verdict"]),
        (&json!(0), &json!(2), &json!("wait"))
    );
    Clone::of(&scene, "omar").run(&command(&scene, "prod", "lockmaster approve prod"));
    let fewer = expect(&scene, 1, &["explain", "prod"]).stdout;
    assert!(fewer.contains("1 of 2 release-managers: omar@example.com"), "{fewer}");
    assert!(fewer.contains("hint: kim@example.com or lena@example.com can approve"), "{fewer}");
    Clone::of(&scene, "kim").run(&command(&scene, "prod", "git tag -s approve/shop/prod/kim"));
    let admits = expect(&scene, 0, &["explain", "prod"]).stdout;
    assert!(admits.starts_with(&format!("shop/prod admits {}", &merge[..7])), "{admits}");
    assert!(admits.contains("2 of 2 release-managers: kim@example.com, omar@example.com"), "{admits}");
    scene.run();
    let current = expect(&scene, 0, &["explain", "prod"]).stdout;
    assert!(current.starts_with("shop/prod is current: ") && current.contains("), proven for "), "{current}");
    assert_eq!(scene.standing("prod"), json!(merge));
    assert_eq!(commands(&scene, "prod"), Vec::<String>::new());
    log_of_a_promotion(&scene, &merge);
}

/// What the log says of it: the row, the entry in full, and the bytes.
fn log_of_a_promotion(scene: &Scene, merge: &str) {
    expect(scene, 0, &["history"]);
    let history = expect(scene, 0, &["history", "prod"]).stdout;
    let rows: Vec<&str> = history.lines().collect();
    let row: Vec<&str> = rows[1].split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    assert_eq!(
        (row[2], row[3], row[4], row[6]),
        ("promote", &merge[..7], "healthy", "kim@example.com, omar@example.com"),
        "{history}"
    );
    assert_eq!(row[7], "merge env/staging (2 commits)");
    assert!(
        rows.last().is_some_and(|last| last.ends_with(" entries, chain and signatures good, journal only")),
        "{history}"
    );
    let document = expect(scene, 0, &["history", "prod", "-o", "json"]).json();
    let newest = &document["entries"][0];
    assert_eq!((&newest["phase"], &newest["health"]), (&json!("proven"), &json!("healthy")), "{newest:#}");
    let raw = expect(scene, 0, &["history", "prod", "--raw", "-o", "json"]).json();
    let all = raw["entries"].as_array().expect("because entries are a list");
    assert_eq!(json!(all.len()), raw["chain"]["entries"], "every entry is on a row of its own");
    assert_eq!(all.iter().filter(|row| row["phase"] == "opened").count(), 2);
    let all = expect(scene, 0, &["history", "--action", "promote", "--commit", merge]).stdout;
    assert!(all.starts_with("ENVIRONMENT  SEQ  ") && all.lines().count() == 3, "{all}");
    expect(scene, 2, &["history", "--action", "promoted"]);

    let opened = newest["opened"].as_u64().expect("because it was opened");
    let shown = expect(scene, 0, &["show", &format!("prod/{opened}")]).stdout;
    for words in [
        &format!("shop/prod/{opened} promote opened\n") as &str,
        "approve/shop/prod/omar by omar@example.com: approve prod at ",
        "approve/shop/prod/kim by kim@example.com: approved",
        "approvals pass: 2 of 2 release-managers: kim@example.com, omar@example.com",
        "upstream    staging/",
        "evidence/statements/",
    ] {
        assert!(shown.contains(words), "`{words}` is missing in {shown}");
    }
    let bytes = expect(scene, 0, &["show", &format!("prod/{opened}"), "-o", "json"]).stdout;
    let hash = lockmaster::name::Digest::of(bytes.as_bytes()).to_string();
    let raw_row = all_rows(&raw).into_iter().find(|row| row["sequence"] == opened).expect("because it is there");
    assert_eq!(raw_row["hash"], hash, "what is printed is what is hashed");
    expect(scene, 0, &["show", "prod/latest"]);
    expect(scene, 2, &["show", "prod/999"]);
    expect(scene, 2, &["show", "prod"]);
}

fn all_rows(document: &Value) -> Vec<Value> {
    document["entries"].as_array().expect("because entries are a list").clone()
}

fn freeze(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "frozen", "writers: [release-managers]");
    let lena = Clone::of(&scene, "lena");
    lena.run("lockmaster freeze prod --until 2h --reason 'stock taking'");
    scene.merge("lena", "env/staging");
    scene.run();
    let waits = expect(&scene, 1, &["explain", "prod"]).stdout;
    assert!(waits.contains("freezes    wait     prod is frozen until "), "{waits}");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    let view = &status["environments"][0];
    assert_eq!(view["freeze"]["by"], "lena@example.com", "{view:#}");
    assert_eq!(view["freeze"]["reason"], "stock taking", "{view:#}");
    assert_eq!(view["nextLook"], view["freeze"]["until"], "{view:#}");
    lena.run(&command(&scene, "prod", "lockmaster unfreeze prod"));
    scene.run();
    let current = expect(&scene, 0, &["explain", "prod"]).stdout;
    assert!(current.starts_with("shop/prod is current: "), "{current}");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["freeze"], Value::Null);
}

/// What stops a candidate, and the gate that says so.
fn other_gates(plane: &'static ControlPlane) {
    // A window of one minute in three days.
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(72);
    let shut = format!("writers: [release-managers]\nwindows: ['{} 00:00-00:01 UTC']", day.strftime("%a"));
    let scene = Scene::new(plane, "gates", "writers: [release-managers]");
    scene.run();
    scene.pipeline("", "", &shut);
    let lena = Clone::of(&scene, "lena");
    let try_all = |what: &str| {
        let told = expect(&scene, 1, &["explain", "prod"]).stdout;
        let all = commands(&scene, "prod");
        assert!(!all.is_empty(), "{what}: {told}");
        scene.stage.git(&["-C", &scene.stage.folder().join("clone-of-lena").display().to_string(), "fetch", "-q"]);
        for command in all {
            assert!(told.contains(&command), "`{command}` is not printed: {told}");
            lena.run(&command);
        }
    };
    scene.ship_to_staging();
    scene.merge("lena", "env/staging");
    try_all("not proven upstream, and a window that is shut");
    scene.run();
    scene.on("env/prod");
    scene.deploy("v9", "by hand");
    scene.commit("lena", "never upstream");
    try_all("content that upstream never ran");
    scene.run();
    scene.on("env/prod");
    scene.own("prod", "by dana");
    scene.commit("dana", "prod: settings");
    try_all("own paths of somebody without rights");
}

fn soaking(plane: &'static ControlPlane) {
    let soak = "writers: [release-managers]\nsoak: 1h";
    let scene = Scene::proven(plane, "soaks", "writers: [release-managers]");
    scene.pipeline("", "", soak);
    scene.merge("lena", "env/staging");
    let admits = expect(&scene, 0, &["explain", "prod"]).stdout;
    assert!(
        admits.contains("\nsoak       unknown  stays healthy for 1h ") && admits.contains("1h after settle"),
        "{admits}"
    );
    scene.run();
    let soaks = expect(&scene, 0, &["explain", "prod"]).stdout;
    assert!(soaks.starts_with("shop/prod is settling: ") && soaks.contains(", soaks until "), "{soaks}");
    let history = expect(&scene, 0, &["history", "prod", "--limit", "1"]).stdout;
    assert!(history.lines().nth(1).is_some_and(|row| row.contains("  settled  ")), "{history}");
    scene.on("env/prod");
    scene.own("prod", "again by lena");
    scene.commit("lena", "prod: more settings");
    let behind = expect(&scene, 1, &["explain", "prod"]).stdout;
    assert!(behind.contains("\nqueue      wait     behind prod/"), "{behind}");
    let lena = Clone::of(&scene, "lena");
    for command in commands(&scene, "prod") {
        assert!(behind.contains(&command), "{behind}");
        lena.run(&command);
    }
    scene.pipeline("", "", "writers: [release-managers]\nqueue: newest\nfreezes: [{from: 2020-01-01, until: 2099-01-01, zone: UTC, reason: audit}]");
    let frozen = expect(&scene, 1, &["explain", "prod"]).stdout;
    assert!(frozen.contains("by the pipeline: audit"), "{frozen}");
    assert!(!frozen.contains("unfreeze"), "nobody ends what the pipeline says: {frozen}");
    lena.run(&command(&scene, "prod", "lockmaster approve prod --override freezes"));
    expect(&scene, 0, &["explain", "prod"]);
}

fn before_the_gates(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "before", "writers: [release-managers]");
    let first = expect(&scene, 0, &["explain", "dev"]).stdout;
    assert!(
        first.starts_with("shop/dev admits ") && first.contains("\nstanding: nothing; source: cluster\n"),
        "{first}"
    );
    let waits = expect(&scene, 1, &["explain", "prod"]).stdout;
    assert!(waits.contains("upstream   wait     `staging` has no proven release yet"), "{waits}");
    scene.run();
    scene.on("env/dev");
    scene.deploy("v2", "two");
    let commit = scene.commit("nobody", "hotfix");
    let refused = expect(&scene, 1, &["explain", "dev"]).stdout;
    let head = format!("shop/dev is refused: {} \"hotfix\", dana@example.com", &commit[..7]);
    assert!(refused.starts_with(&head) && refused.contains("refused[unsigned-commit]: "), "{refused}");
    assert!(refused.contains("hint: never accepted, so it may be replaced: git rebase"), "{refused}");
    scene.on("main");
    scene.stage.git(&["branch", "-D", "env/dev"]);
    let gone = expect(&scene, 1, &["explain", "dev"]).stdout;
    assert!(gone.starts_with("shop/dev is refused: ") && gone.contains("refused[ref-not-found]: "), "{gone}");
    let tree = expect(&scene, 2, &["explain", "dev@."]).stderr;
    assert!(tree.contains("see: lockmaster plan dev@."), "{tree}");
}

fn violated(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "broken", "writers: [release-managers]");
    scene.run();
    let namespace = &scene.stage.agent_namespace;
    plane.delete(&format!("/api/v1/namespaces/{namespace}/configmaps/shop.prod.0000000001"));
    let all = expect(&scene, 1, &["history"]).stdout;
    assert!(
        all.contains("violated[sequence-gap]: ") && all.contains(" in 2 logs, chain and signatures good; 1 violated"),
        "{all}"
    );
    assert!(all.contains("\nstaging ") && !all.contains("\nprod "), "{all}");
    let one = expect(&scene, 1, &["history", "prod", "-o", "json"]).json();
    assert_eq!((&one["chain"]["verdict"], &one["entries"]), (&json!("violated"), &json!([])));
    assert!(expect(&scene, 1, &["show", "prod/latest"]).stdout.starts_with("violated[sequence-gap]: "));
}

/// A Secret that is not the same in each release.
fn secret(scene: &Scene, value: &str) {
    let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{password: {value}}}\n");
    scene.stage.write("base/secret.yaml", &text);
}

fn compared(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "compared", "writers: [release-managers]");
    scene.on("env/dev");
    secret(&scene, "hunter2");
    scene.commit("dana", "a secret");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.run();
    let equal = expect(&scene, 0, &["diff", "dev", "staging"]).stdout;
    assert!(equal.contains(" against shop/staging/") && equal.contains(": 3 objects equal"), "{equal}");
    let before = scene.stage.git(&["rev-parse", "--short=7", "env/dev"]);
    scene.on("env/dev");
    secret(&scene, "hunter3");
    scene.deploy("v2", "two");
    scene.stage.write("base/flag.yaml", &scene::config_map("flag", "on"));
    let pipeline = scene.stage.folder().join("lockmaster.yaml").display().to_string();
    let mut in_clone = scene.stage.command(&["diff", "dev", "dev@.", "--no-fields", "-f", &pipeline]);
    let output = in_clone.current_dir(&scene.stage.repository).output().expect("because the program was built");
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{tree}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        tree.contains("shop/dev@. (the working tree)\n") && tree.contains("create  compared-dev ConfigMap/flag"),
        "{tree}"
    );
    scene.commit("dana", "shop 1.1");
    scene.run();
    let differs = expect(&scene, 1, &["diff", "staging", "dev"]).stdout;
    for words in [
        "create  compared-dev ConfigMap/flag ",
        "update  compared-dev Deployment/web ",
        "  metadata.annotations.note\n  - one\n  + two\n",
        "image\n  - registry.example.com/web:v1\n  + registry.example.com/web:v2\n",
        "  - (secret)\n  + (secret, differs)\n",
        "3 objects differ, 1 equal; `-` is the first, `+` is the second\n",
    ] {
        assert!(differs.contains(words), "`{words}` is missing in {differs}");
    }
    let json = expect(&scene, 1, &["diff", "staging", "dev", "-o", "json"]).stdout;
    let encoded = ["aHVudGVyMg", "aHVudGVyMw", "hunter"];
    assert!(encoded.iter().all(|secret| !json.contains(secret) && !differs.contains(secret)), "{json}");
    let images = expect(&scene, 1, &["diff", "staging", "dev", "--images"]).stdout;
    let shown =
        "registry.example.com/web\n  - registry.example.com/web:v1\n  + registry.example.com/web:v2\n1 image differs\n";
    assert!(images.ends_with(shown), "{images}");
    let after = scene.stage.git(&["rev-parse", "--short=7", "env/dev"]);
    // What a commit renders to is what its release has; an entry stands for what it opened.
    expect(&scene, 0, &["diff", "dev", &format!("dev@{after}")]);
    expect(&scene, 0, &["diff", &format!("dev@{after}"), "dev/latest"]);
    expect(&scene, 1, &["diff", &format!("dev@{before}"), &format!("dev@{after}")]);
    expect(&scene, 0, &["diff", &format!("dev@{before}"), "dev/2"]);
    expect(&scene, 2, &["diff", "dev/0", "dev"]);
    let one = expect(&scene, 1, &["diff", "staging", "dev", "--object", "configmap/flag"]).stdout;
    assert!(one.contains("ConfigMap/flag") && !one.contains("Deployment"), "{one}");
    expect(&scene, 0, &["diff", "staging", "dev", "--object", "configmap/settings"]);
    gone(&scene);
}

/// The bytes of a release that nobody kept are not made up.
fn gone(scene: &Scene) {
    let shown = expect(scene, 0, &["show", "dev/2", "-o", "json"]).json();
    let digest =
        shown["release"].as_str().expect("because it opened a release").trim_start_matches("sha256:").to_owned();
    let (plane, namespace) = (scene.stage.plane, &scene.stage.agent_namespace);
    plane.delete(&format!("/api/v1/namespaces/{namespace}/secrets/shop.dev.release.{digest}"));
    let ran = expect(scene, 2, &["diff", "dev/2", "dev"]);
    let said = ran.stderr;
    assert!(said.starts_with("error[usage]: the bytes of `dev/2` are not kept any more; render its commit"), "{said}");
}

fn code(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "codes", TWO);
    std::fs::remove_file(scene.stage.folder().join("lockmaster.yaml")).expect("because the scene wrote it");
    let told = expect(&scene, 0, &["explain", "--code", "ref-rewound"]).stdout;
    assert!(told.starts_with("ref-rewound  refused: nothing is applied\n"), "{told}");
    let document = expect(&scene, 0, &["explain", "--code", "frozen", "-o", "json"]).json();
    assert_eq!((&document["code"], &document["schema"]), (&json!("frozen"), &json!("lockmaster.dev/code/v1")));
    let none = expect(&scene, 2, &["explain", "--code", "rewound"]);
    assert_eq!(none.stderr, "error[usage]: `rewound` is no reason code\n  hint: did you mean `ref-rewound`?\n");
}

fn looking(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "looks", TWO);
    scene.merge("forge", "env/staging");
    scene.stage.proxy.forget();
    for words in
        [&["explain", "prod"][..], &["explain", "dev"], &["status"], &["plan"], &["history"], &["show", "prod/latest"]]
    {
        scene.stage.lockmaster(words);
    }
    assert_eq!(scene.stage.proxy.writes(), Vec::new());
}
