//! `hold`, `unhold`, what `status` keeps saying, and what a held candidate is told.

use serde_json::{Value, json};

use crate::WRITERS;
use crate::control_plane::ControlPlane;
use crate::going_back::{ask, merged, opened, the_rollback};
use crate::scene::Scene;
use crate::stage::Ran;

/// Runs a command that was printed for people, as it stands there.
#[track_caller]
fn run_printed(scene: &Scene, text: &str, begin: &str) -> Ran {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("`{begin}` is missing: {text}"));
    let command = rest.lines().next().expect("because a split has a first part");
    let words: Vec<&str> = begin.split(' ').skip(1).chain(command.split(' ')).filter(|word| !word.is_empty()).collect();
    let ran = ask(scene, &words);
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
    ran
}

fn holds(scene: &Scene) -> Vec<Value> {
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    status["environments"][0]["holds"].as_array().cloned().unwrap_or_default()
}

pub(crate) fn after_a_rollback(plane: &'static ControlPlane) {
    let scene = merged(plane, "held");
    let sequences = opened(&scene);
    let undone = scene.tip("env/prod");
    assert_eq!(ask(&scene, &["rollback", "prod", "--no-revert", "--reason", "p99 is up"]).code, Some(0));
    scene.run();
    let rollback = the_rollback(&scene)["sequence"].clone();
    let status = scene.stage.lockmaster(&["status"]).stdout;
    let line = format!(
        "held[held-content]: `prod`: is rolled back to prod/{}; branch env/prod does not say so yet; base/deploy.yaml, \
         base/flag.yaml held by prod/{rollback} (lena@example.com: p99 is up); env/staging still has it",
        sequences[0]
    );
    assert!(status.contains(&line), "{line}\n{status}");
    let below = format!("`staging`: base/deploy.yaml, base/flag.yaml held in prod by prod/{rollback}");
    assert!(status.contains(&below), "{below}\n{status}");
    let hold = &holds(&scene)[0];
    assert_eq!(
        (&hold["sequence"], &hold["by"], &hold["reason"]),
        (&rollback, &json!("lena@example.com"), &json!("p99 is up"))
    );
    assert_eq!(hold["paths"], json!(["base/deploy.yaml", "base/flag.yaml"]));
    // Git is made to agree by the command that is named, and then nothing more is said of it.
    let begin = "make Git agree: lockmaster rollback ";
    let command = status.split_once(begin).map(|(_, rest)| rest.lines().next().unwrap_or_default().to_owned());
    let target = command.expect("because Git is ahead");
    let ran = ask(&scene, &["rollback", &target]);
    assert!(ran.code == Some(0) && ran.stdout.contains("pushed to branch env/prod"), "{ran:?}");
    scene.run();
    let status = scene.stage.lockmaster(&["status", "prod"]).stdout;
    assert!(!status.contains("does not say so yet") && status.contains("is rolled back to prod/"), "{status}");
    // The same content comes again: it waits for a person, who is told how.
    let revert = scene.stage.git(&["rev-parse", "env/prod"]);
    scene.on("env/prod");
    scene.git_as("lena", &["revert", "--no-edit", &revert]);
    scene.on("main");
    let told =
        scene.look("prod", "wait", &["held-content"], &["base/deploy.yaml, base/flag.yaml", "lockmaster unhold prod/"]);
    let explained = scene.stage.lockmaster(&["explain", "prod"]).stdout;
    let command = format!("lockmaster unhold prod/{rollback} --reason ");
    assert!(explained.contains(&command) && told.text.contains(&command), "{explained}");
    run_printed(&scene, &explained, "lockmaster unhold ");
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "it was not opened");
    assert_eq!(holds(&scene), [Value::Null; 0], "{undone}");
}

pub(crate) fn by_hand(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "byhand", WRITERS);
    let merge = scene.merge("lena", "env/staging");
    scene.on("main");
    let none = ask(&scene, &["unhold", "prod", "--reason", "why"]);
    assert!(none.code == Some(2) && none.stderr.contains("nothing is on hold in `prod`"), "{none:?}");
    let ran = ask(&scene, &["hold", "prod", "--reason", "leaks memory"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.starts_with(&format!("held: `prod` {} \"merge env/staging\", by lena@example.com", &merge[..7]))
    );
    scene.run();
    scene.expect("wait", &["held-content"], &["leaks memory"]);
    // Of several holds one is to be named.
    let commit = scene.stage.git(&["rev-parse", "env/staging"]);
    assert_eq!(ask(&scene, &["hold", &format!("prod@{commit}"), "--reason", "again"]).code, Some(0));
    scene.run();
    let sequences: Vec<u64> = holds(&scene).iter().filter_map(|hold| hold["sequence"].as_u64()).collect();
    assert_eq!(sequences.len(), 2);
    let which = ask(&scene, &["unhold", "prod", "--reason", "why"]);
    assert!(which.code == Some(2) && which.stderr.contains("2 holds stand in `prod`: say which"), "{which:?}");
    for sequence in &sequences {
        assert!(which.stderr.contains(&format!("prod/{sequence} ")), "{which:?}");
    }
    let other = ask(&scene, &["unhold", "prod/2", "--reason", "why"]);
    assert!(other.code == Some(2) && other.stderr.contains("`prod/2` is no hold that stands"), "{other:?}");
    let key = scene.stage.folder().join("dana").display().to_string();
    let words = ["unhold", &format!("prod/{}", sequences[0]), "--reason", "why", "--yes", "--key", &key];
    let may_not = scene.stage.lockmaster(&words);
    assert!(may_not.code == Some(1) && may_not.stdout.contains("dana@example.com is no writer"), "{may_not:?}");
    let unasked = scene.stage.lockmaster(&words[..4]);
    assert!(unasked.code == Some(2) && unasked.stderr.contains("confirmation-needed"), "{unasked:?}");
    for sequence in sequences {
        assert_eq!(ask(&scene, &["unhold", &format!("prod/{sequence}"), "--reason", "fixed"]).code, Some(0));
    }
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "it was not opened");
    // A release of the log is held by its entry; it stands, and does not come back.
    let standing = *opened(&scene).last().expect("because it was opened");
    assert_eq!(ask(&scene, &["hold", &format!("prod/{standing}"), "--reason", "not again"]).code, Some(0));
    scene.run();
    assert_eq!(holds(&scene).len(), 1);
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "nothing that stands is stopped");
}

pub(crate) fn what_is_held_is_not_gone_back_to(plane: &'static ControlPlane) {
    let scene = merged(plane, "heldback");
    let sequences = opened(&scene);
    assert_eq!(ask(&scene, &["hold", &format!("prod/{}", sequences[0]), "--reason", "leaks"]).code, Some(0));
    scene.run();
    let ran = ask(&scene, &["rollback", "prod"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let words = [format!("holds what prod/{} has", sequences[0]), "lockmaster unhold prod/".to_owned()];
    assert!(
        ran.stdout.starts_with("held[held-content]") && words.iter().all(|word| ran.stdout.contains(word)),
        "{ran:?}"
    );
    assert_eq!(scene.stage.git(&["tag", "--list", "rollback/*"]), "");
}
