//! `lockmaster rollback`: which release, what is stated, and what Git says afterwards.

use serde_json::{Value, json};

use crate::WRITERS;
use crate::control_plane::{AGENT, ControlPlane, binaries, eventually};
use crate::scene::Scene;
use crate::stage::Ran;

/// prod had its first release, and has S, which somebody merged.
pub(crate) fn merged(plane: &'static ControlPlane, name: &str) -> Scene {
    let scene = Scene::proven(plane, name, WRITERS);
    scene.merge("lena", "env/staging");
    scene.run();
    scene.on("main");
    scene.stage.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    scene
}

pub(crate) fn ask(scene: &Scene, words: &[&str]) -> Ran {
    let key = scene.stage.folder().join("lena").display().to_string();
    scene.stage.lockmaster(&[words, &["--yes", "--key", &key]].concat())
}

/// The sequences of the entries that opened prod's releases, oldest first.
pub(crate) fn opened(scene: &Scene) -> Vec<u64> {
    let all = ["promote", "rollback"].map(|action| scene.entries("prod", action));
    let mut opened: Vec<u64> = all
        .iter()
        .flatten()
        .filter(|entry| entry["phase"] == "opened")
        .filter_map(|entry| entry["sequence"].as_u64())
        .collect();
    opened.sort_unstable();
    opened
}

#[track_caller]
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for word in words {
        assert!(ran.stdout.contains(word), "`{word}` is missing: {ran:?}");
    }
    assert!(ran.stdout.starts_with("refused["), "{ran:?}");
}

pub(crate) fn what_is_no_release_to_go_back_to(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "nowhere", WRITERS);
    refused(&ask(&scene, &["rollback", "prod"]), &["nothing was deployed to `prod` yet"]);
    scene.run();
    refused(&ask(&scene, &["rollback", "prod"]), &["no proven release before the standing one, prod/"]);
    let standing = opened(&scene)[0];
    refused(&ask(&scene, &["rollback", &format!("prod/{standing}")]), &["is what stands in `prod`"]);
    let none = ask(&scene, &["rollback", "prod/900"]);
    assert!(none.code == Some(2) && none.stderr.contains("has no entry `prod/900`"), "{none:?}");
    let commit = ask(&scene, &["rollback", "prod@HEAD"]);
    assert!(commit.code == Some(2) && commit.stderr.contains("names a commit"), "{commit:?}");
    let unit = ask(&scene, &["rollback", "prod", "--unit", "web"]);
    assert!(unit.code == Some(2) && unit.stderr.contains("`prod` has no `units`"), "{unit:?}");
}

pub(crate) fn a_plan(plane: &'static ControlPlane) {
    let scene = merged(plane, "planned");
    let opened = opened(&scene);
    let before = (scene.tip("env/prod"), scene.stage.proxy.writes().len());
    let ran = ask(&scene, &["rollback", "prod", "--plan"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let head = format!("shop/prod: prod/{} ", opened[1]);
    assert!(ran.stdout.starts_with(&head) && ran.stdout.contains(&format!("back to prod/{} ", opened[0])), "{ran:?}");
    let words = ["prune      planned-prod ConfigMap/flag", "update     planned-prod Deployment/web", "1 to prune"];
    for word in words {
        assert!(ran.stdout.contains(word), "`{word}`: {ran:?}");
    }
    let document = ask(&scene, &["rollback", "prod", "--plan", "-o", "json"]).json();
    assert_eq!(document["to"]["sequence"], opened[0], "{document}");
    assert_eq!(document["counts"]["prune"], 1, "{document}");
    let after = (scene.tip("env/prod"), scene.stage.proxy.writes().len());
    assert_eq!(before, after, "nothing is written");
    assert_eq!(scene.stage.git(&["tag", "--list", "rollback/*"]), "");
}

pub(crate) fn a_statement_and_a_revert(plane: &'static ControlPlane) {
    let scene = merged(plane, "stated");
    let (opened, first, tip) = (opened(&scene), scene.stage.git(&["rev-parse", "env/prod~1"]), scene.tip("env/prod"));
    let dry = ask(&scene, &["rollback", "prod", "--reason", "p99 is up", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
    for word in ["tag -s", "commit-tree -S", "Rollback-Of: prod#", "push --quiet"] {
        assert!(dry.stdout.contains(word), "`{word}`: {dry:?}");
    }
    assert_eq!(scene.tip("env/prod"), tip, "a dry run pushes nothing");
    let ran = ask(&scene, &["rollback", "prod", "--reason", "p99 is up"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let tag = scene.stage.git(&["tag", "--list", "rollback/*"]);
    assert_eq!(tag, "rollback/shop/prod/dana");
    assert_eq!(scene.stage.git(&["rev-parse", &format!("{tag}^{{commit}}")]), first, "on the commit gone back to");
    let message = scene.stage.git(&["tag", "--list", "--format=%(contents:subject)%0a%(contents:body)", &tag]);
    let trailers = format!("p99 is up\nTo: {}\nSequence: {}", opened[0], opened[1]);
    assert!(message.starts_with(&trailers), "{message}");
    let log = scene.stage.git(&["log", "-1", "--format=%P%n%B", "env/prod"]);
    let (undone, to) = (opened[1], opened[0]);
    let expected = format!(
        "{}\nRevert to prod/{to}: prod: own settings\n\np99 is up\n\nRollback-Of: prod#{undone}\nRollback-To: prod#{to}",
        tip.as_str().unwrap_or_default()
    );
    assert_eq!(log, expected);
    assert_eq!(scene.stage.git(&["diff", "--name-only", &first, "env/prod", "--", "base", "overlays/prod"]), "");
    for words in [
        format!("rolling back: `prod` to prod/{to} "),
        format!("undoes prod/{undone} "),
        "pushed to branch env/prod".to_owned(),
    ] {
        assert!(ran.stdout.contains(&words), "`{words}`: {ran:?}");
    }
    scene.run();
    let rollback = the_rollback(&scene);
    assert_eq!((&rollback["rollback"]["to"], &rollback["rollback"]["cause"]), (&json!(to), &json!("statement")));
    assert_eq!(
        (&rollback["actor"], &rollback["statement"]["reason"]),
        (&json!("lena@example.com"), &json!("p99 is up"))
    );
    assert!(flag(&scene).is_none(), "what the undone release brought is gone");
    let before = scene.entries("prod", "wait").len() + scene.entries("prod", "refuse").len();
    scene.run();
    let after = scene.entries("prod", "wait").len() + scene.entries("prod", "refuse").len();
    assert_eq!((before, scene.entries("prod", "rollback").len()), (after, 2), "the revert commit changes nothing");
    // Once more: it stands, and Git agrees.
    let again = ask(&scene, &["rollback", &format!("prod/{to}")]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(
        again.stdout.contains("stands at") && again.stdout.contains("env/prod has its content already"),
        "{again:?}"
    );
    // What was undone is not gone back to, and there is nothing before the first.
    refused(&ask(&scene, &["rollback", &format!("prod/{undone}")]), &["was first opened after what stands"]);
    refused(&ask(&scene, &["rollback", "prod"]), &["no proven release before the standing one"]);
}

/// The entry of the one rollback.
pub(crate) fn the_rollback(scene: &Scene) -> Value {
    let opened = |entry: &Value| entry["phase"] == "opened";
    let all: Vec<Value> = scene.entries("prod", "rollback").into_iter().filter(opened).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// What S brought to prod.
fn flag(scene: &Scene) -> Option<Value> {
    scene.stage.plane.get(&format!("/api/v1/namespaces/{}-prod/configmaps/flag", scene.name))
}

pub(crate) fn who_may_not(plane: &'static ControlPlane) {
    let scene = merged(plane, "maynot");
    let key = scene.stage.folder().join("dana").display().to_string();
    let tip = scene.tip("env/prod");
    let ran = scene.stage.lockmaster(&["rollback", "prod", "--yes", "--key", &key]);
    refused(&ran, &["dana@example.com is no writer of `prod`", "nothing was stated"]);
    assert_eq!((scene.tip("env/prod"), scene.stage.git(&["tag", "--list", "rollback/*"])), (tip, String::new()));
    let asked = scene.stage.lockmaster(&["rollback", "prod", "--key", &key]);
    assert!(asked.code == Some(2) && asked.stderr.contains("confirmation-needed"), "{asked:?}");
}

pub(crate) fn beside_a_protected_branch(plane: &'static ControlPlane) {
    let scene = merged(plane, "beside");
    let undone = opened(&scene)[1];
    let hook = scene.stage.repository.join(".git/hooks/update");
    std::fs::create_dir_all(hook.parent().expect("because it lies in a folder")).expect("because it is ours");
    std::fs::write(&hook, "#!/bin/sh\ncase $1 in refs/heads/env/*) echo protected >&2; exit 1;; esac\n")
        .expect("because it is ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).expect("because it is ours");
    let document = ask(&scene, &["rollback", "prod", "-o", "json"]).json();
    assert_eq!(document["revert"]["branch"], format!("revert/prod/{undone}"), "{document}");
    assert_eq!(document["gitAhead"], true, "{document}");
    let statement: &Value = &document["statement"];
    assert_eq!((&statement["verb"], &statement["environment"]), (&json!("rollback"), &json!("prod")), "{document}");
}

/// The statements in the cluster, as their bytes.
pub(crate) fn stated(scene: &Scene) -> Vec<String> {
    let path =
        format!("/api/v1/namespaces/{}/configmaps?labelSelector=lockmaster.dev/statement", scene.stage.agent_namespace);
    let list = scene.stage.plane.get(&path).expect("because a list is never absent");
    let tags = list["items"].as_array().into_iter().flatten().map(|item| item["data"]["tag"].as_str());
    tags.map(|tag| tag.expect("because it is text").to_owned()).collect()
}

pub(crate) fn without_git(plane: &'static ControlPlane) {
    let scene = merged(plane, "gone");
    let (opened, first) = (opened(&scene), scene.stage.git(&["rev-parse", "env/prod~1"]));
    let away = scene.stage.folder().join("away");
    std::fs::rename(&scene.stage.repository, &away).expect("because the folder is ours");
    let ran = ask(&scene, &["rollback", "prod", "--reason", "p99 is up"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let hint = format!("once Git answers, make it agree: lockmaster rollback prod/{}", opened[0]);
    let ahead = format!("Git stays ahead, env/prod still has prod/{}", opened[1]);
    for words in ["in the cluster: ", "ConfigMap/shop.prod.statement.", "Git does not take it: ", &ahead, &hint] {
        assert!(ran.stdout.contains(words), "`{words}`: {ran:?}");
    }
    // A machine on which no commit of the repository is.
    let state = scene.stage.folder().join("elsewhere").display().to_string();
    let words = ["rollback", "prod", "--reason", "the same", "--state-dir", &state, "-o", "json"];
    let document = ask(&scene, &words).json();
    assert_eq!((&document["gitAhead"], &document["revert"]), (&json!(true), &Value::Null), "{document}");
    let stated = stated(&scene);
    assert_eq!(stated.len(), 2, "{stated:?}");
    let object = format!("object {first}\ntype commit\ntag rollback/shop/prod/dana-{}-", &first[..7]);
    let trailers = format!("\n\nTo: {}\nSequence: {}\n-----BEGIN SSH SIGNATURE-----", opened[0], opened[1]);
    for tag in &stated {
        assert!(tag.starts_with(&object) && tag.contains(&trailers), "{tag}");
    }
    // They are what `git tag -s` makes: git believes each.
    std::fs::rename(&away, &scene.stage.repository).expect("because the folder is ours");
    for (number, tag) in stated.iter().enumerate() {
        let file = scene.stage.folder().join("tag");
        std::fs::write(&file, tag).expect("because it is ours");
        let id = scene.stage.git(&["hash-object", "-t", "tag", "-w", &file.display().to_string()]);
        scene.stage.git(&["update-ref", &format!("refs/tags/check-{number}"), &id]);
        let signers = scene.stage.folder().join("allowed_signers");
        let trusting = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        let tool = "gpg.ssh.program=ssh-keygen";
        scene.stage.git(&["-c", &trusting, "-c", tool, "verify-tag", &format!("check-{number}")]);
    }
}

pub(crate) fn by_kubectl(plane: &'static ControlPlane) {
    let scene = merged(plane, "kubectl");
    let away = scene.stage.folder().join("away");
    std::fs::rename(&scene.stage.repository, &away).expect("because the folder is ours");
    let printed = ask(&scene, &["rollback", "prod", "--dry-run"]);
    assert!(printed.stdout.contains("kubectl create configmap"), "{printed:?}");
    let assets = binaries().expect("because tests without binaries are ignored");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&path).chain([assets]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-e", "-c", &printed.stdout]).env("HOME", scene.stage.folder()).env("GIT_CONFIG_NOSYSTEM", "1");
    shell.env("KUBECONFIG", plane.kubeconfig(AGENT));
    shell.env("PATH", std::env::join_paths(paths).expect("because paths were split from one"));
    let output = shell.output().expect("because there is a shell");
    assert!(output.status.success(), "{}: {}", printed.stdout, String::from_utf8_lossy(&output.stderr));
    assert_eq!(stated(&scene).len(), 1);
    std::fs::rename(&away, &scene.stage.repository).expect("because the folder is ours");
    scene.run();
    assert_eq!(the_rollback(&scene)["actor"], "lena@example.com", "what is printed says the same");
}

pub(crate) fn waits_until_healthy(plane: &'static ControlPlane) {
    let scene = merged(plane, "waited");
    let mut agent = scene.stage.spawn(&["run", "--listen", "127.0.0.1:0", "--interval", "1h"]);
    eventually("the agent serves", || scene.stage.folder().join("state/agent.json").exists().then_some(()));
    let document = ask(&scene, &["rollback", "prod", "--wait", "-o", "json"]).json();
    let opened = the_rollback(&scene)["sequence"].clone();
    assert_eq!((&document["entry"], &document["reasons"]), (&opened, &json!([])), "{document}");
    assert!(flag(&scene).is_none(), "what the undone release brought is gone");
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
}

pub(crate) fn a_rewound_branch(plane: &'static ControlPlane) {
    let scene = merged(plane, "rewound");
    let (sequences, first) = (opened(&scene), scene.stage.git(&["rev-parse", "env/prod~1"]));
    refused(&ask(&scene, &["rollback", "prod", "--rewind"]), &["with the inputs of the branch's tip"]);
    scene.force("env/prod", &first);
    scene.on("main");
    // The hint names the entry that opened the commit, and works as it is printed.
    let command = format!("lockmaster rollback prod/{} --rewind", sequences[0]);
    scene.expect("refuse", &["ref-rewound"], &[&command]);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let ran = ask(&scene, &words);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let tag = scene.stage.git(&["tag", "--list", "rollback/*"]);
    let body = scene.stage.git(&["tag", "--list", "--format=%(contents:body)%(contents:subject)", &tag]);
    assert!(body.contains("Rewind: true"), "{body}");
    scene.run();
    assert_eq!(the_rollback(&scene)["rollback"]["rewind"], true);
    assert!(flag(&scene).is_none(), "what the undone release brought is gone");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    let prod = &status["environments"][0];
    assert_eq!((&prod["accepted"]["id"], &prod["state"]), (&json!(first), &json!("current")), "{prod:#}");
}

pub(crate) fn beside_what_somebody_pushed(plane: &'static ControlPlane) {
    let scene = merged(plane, "pending");
    let undone = opened(&scene)[1];
    scene.on("env/prod");
    scene.own("prod", "not signed by anybody");
    let pending = scene.commit("nobody", "prod: more");
    scene.on("main");
    let ran = ask(&scene, &["rollback", "prod"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let beside = format!("revert/prod/{undone}");
    assert!(ran.stdout.contains(&format!("pushed to branch {beside}")), "{ran:?}");
    assert_eq!(scene.tip("env/prod"), json!(pending), "what waits there is not undone by the way");
    assert_eq!(scene.stage.git(&["rev-parse", &format!("{beside}^")]), pending);
}
