//! What the verbs say of units: of each what is its own, and of one where they do something.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::{ControlPlane, eventually};
use crate::scene::Scene;
use crate::stage::Ran;

const UNITS: [&str; 3] = ["cart", "mail", "web"];

/// Three units of one release, in environments that are promoted one from another.
fn shop(plane: &'static ControlPlane, name: &str, environments: &[(&str, &str)]) -> Scene {
    let scene = Scene::new(plane, name, environments);
    for unit in UNITS {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    for (environment, _) in environments {
        scene.stage.git(&["branch", &format!("env/{environment}")]);
    }
    scene.stage.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    scene.run();
    scene.stage.git(&["checkout", "-q", "env/dev"]);
    scene
}

/// The same, with a second release of `web`.
fn second_web(plane: &'static ControlPlane, name: &str) -> Scene {
    let scene = shop(plane, name, &[("dev", "")]);
    scene.settings("web", "v2");
    scene.commit("web 2.0");
    scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"));
    scene
}

fn ask(scene: &Scene, words: &[&str]) -> Ran {
    scene.stage.lockmaster(words)
}

#[track_caller]
fn says(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for word in words {
        assert!(ran.stdout.contains(word) || ran.stderr.contains(word), "`{word}`: {}\n{}", ran.stdout, ran.stderr);
    }
}

/// The sequence of the newest entry that opened this unit.
fn opened(scene: &Scene, environment: &str, unit: &str) -> u64 {
    let entries = scene.entries(environment);
    let of = |entry: &&Value| {
        let units = entry["units"].as_array().into_iter().flatten();
        entry["phase"] == "opened" && units.into_iter().any(|named| named == unit)
    };
    let entry = entries.iter().rev().find(of).expect("because it was opened");
    entry["sequence"].as_u64().expect("because an entry has one")
}

/// What a document says of each unit: `unit` and this field.
fn by_unit(document: &Value, field: &str) -> Vec<(String, Value)> {
    let all = document.as_array().expect("because it is a list").iter();
    all.map(|one| (one["unit"].as_str().unwrap_or_default().to_owned(), one[field].clone())).collect()
}

pub(crate) fn status_counts(plane: &'static ControlPlane) {
    let scene = shop(plane, "counts", &[("dev", ", deadline: 3s")]);
    says(&ask(&scene, &["status"]), 0, &["UNITS", "  3/3  "]);
    scene.app("cart", "crash");
    scene.stage.write("deploy/apps/mail/settings.yaml", "not: an object\n");
    scene.settings("web", "v2");
    scene.commit("shop 2.0");
    let once = scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"));
    let ran = ask(&scene, &["status"]);
    says(&ran, 1, &["  2/3  ", "]: cart: `counts-dev ", "refused[invalid-object]: mail: "]);
    assert!(!ran.stdout.contains("web:"), "who is well is not told of: {ran:?}");
    // A failed release is no candidate that is kept out.
    let first = ran.stdout.lines().position(|line| line.contains("]: cart: ")).expect("because it was found");
    let after: Vec<&str> = ran.stdout.lines().skip(first + 1).take_while(|line| line.starts_with(' ')).collect();
    assert!(!after.iter().any(|line| line.contains("nothing of that is applied")), "{after:?}");
    // The end of `run --once` shows the same.
    let messages =
        |ran: &Ran| ran.stdout.lines().filter(|line| line.contains("]: ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(messages(&once), messages(&ran));
    let document = ask(&scene, &["status", "-o", "json"]).json();
    let dev = &document["environments"][0];
    assert_eq!((&dev["units"], &dev["state"]), (&json!({"total": 3, "proven": 2}), &json!("failed")), "{dev}");
    // A unit that the tip lacks is not gone: the log knows it, and it is told of.
    scene.stage.git(&["rm", "-q", "-r", "deploy/apps/web"]);
    scene.commit("no web");
    let ran = ask(&scene, &["status"]);
    says(&ran, 1, &["refused[path-not-found]: web: ", "  2/3  "]);
    scene.stage.git(&["rm", "-q", "-r", "deploy/apps"]);
    scene.commit("no apps");
    says(&ask(&scene, &["status"]), 1, &["refused[path-not-found]: `deploy/apps` is not in the commit"]);
}

pub(crate) fn the_agent_and_the_verb_agree(plane: &'static ControlPlane) {
    let scene = shop(plane, "agree", &[("dev", "")]);
    scene.stage.write("deploy/apps/mail/settings.yaml", "not: an object\n");
    scene.settings("web", "v2");
    scene.commit("shop 2.0");
    let agent = Agent::start(&scene.stage);
    eventually("the agent has judged every unit", || {
        let dev = agent.environment();
        let opened = dev["accepted"]["subject"] == "shop 2.0";
        (opened && dev["state"] == "refused" && dev["units"]["proven"] == 3).then_some(())
    });
    let served = agent.environment();
    let told = ask(&scene, &["status", "-o", "json"]).json()["environments"][0].clone();
    for field in ["state", "reasons", "units", "accepted", "standing", "health", "objects", "holds", "behind"] {
        assert_eq!(served[field], told[field], "{field}");
    }
    agent.stop();
}

pub(crate) fn nothing_is_judged_for_a_unit_that_is_as_its_branch(plane: &'static ControlPlane) {
    let scene = shop(plane, "judged", &[("dev", "")]);
    scene.settings("web", "v2");
    scene.commit("web 2.0");
    let document = ask(&scene, &["plan", "-o", "json"]).json();
    let plans = by_unit(&document["environments"], "counts");
    let changes: Vec<(&str, u64, u64)> = plans
        .iter()
        .map(|(unit, counts)| {
            let count = |what: &str| counts[what].as_u64().unwrap_or_default();
            (unit.as_str(), count("update"), count("unchanged"))
        })
        .collect();
    assert_eq!(changes, [("cart", 0, 2), ("mail", 0, 2), ("web", 1, 1)], "{document}");
    let ran = ask(&scene, &["plan", "dev"]);
    says(&ran, 1, &["shop/dev web: ", "judged-dev ConfigMap/web-settings", "shop/dev: 2 other units do not change"]);
    assert!(!ran.stdout.contains("dev cart") && !ran.stdout.contains("dev mail"), "{ran:?}");
    says(&ask(&scene, &["plan", "dev", "--unit", "cart"]), 0, &["shop/dev cart: "]);
    says(&ask(&scene, &["plan", "dev", "--unit", "wbe"]), 2, &["`dev` has no unit `wbe`; it has cart, mail, web"]);
    scene.run();
    says(&ask(&scene, &["plan", "dev"]), 0, &["shop/dev: nothing changes in any of its 3 units"]);
    let file = scene.stage.folder().join("lockmaster.yaml").display().to_string();
    scene.app("post", "v1");
    let mut here = scene.stage.command(&["plan", "dev@.", "-f", &file, "--no-fields"]);
    let output = here.current_dir(&scene.stage.repository).output().expect("because the program was built");
    let text = String::from_utf8_lossy(&output.stdout);
    let head = "shop/dev post: nothing -> the working tree, not judged as signed\n";
    assert!(text.starts_with(head) && text.contains("3 other units do not change"), "{text}");
}

pub(crate) fn explain_takes_the_only_one(plane: &'static ControlPlane) {
    let scene = shop(plane, "explained", &[("dev", "")]);
    says(&ask(&scene, &["explain", "dev"]), 0, &["shop/dev is current: its 3 units stand as the branch has them"]);
    scene.stage.write("deploy/apps/mail/settings.yaml", "not: an object\n");
    scene.commit("mail 2.0");
    let one = ask(&scene, &["explain", "dev"]);
    says(&one, 1, &["shop/dev mail is refused: ", "refused[invalid-object]"]);
    let named = ask(&scene, &["explain", "dev", "--unit", "mail"]);
    let reasons = |ran: &Ran| ran.stdout.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(reasons(&one), reasons(&named));
    assert_eq!(ask(&scene, &["explain", "dev", "-o", "json"]).json()["unit"], "mail");
    says(&ask(&scene, &["explain", "dev", "--unit", "web"]), 0, &["shop/dev web is current: "]);
    scene.settings("web", "v2");
    scene.commit("web 2.0");
    let several = ask(&scene, &["explain", "dev"]);
    says(&several, 1, &["shop/dev: 3 units, 1 is current", "lockmaster explain dev --unit mail"]);
    let rows: Vec<Vec<&str>> = several
        .stdout
        .lines()
        .map(|line| line.split_whitespace().take(3).collect())
        .filter(|row: &Vec<_>| row.len() == 3)
        .collect();
    assert!(rows.contains(&vec!["refused", "1", "mail"]) && rows.contains(&vec!["admitted", "1", "web"]), "{rows:?}");
    let document = ask(&scene, &["explain", "dev", "-o", "json"]).json();
    assert_eq!((&document["unit"], &document["state"]), (&Value::Null, &json!("refused")));
    let states = by_unit(&document["units"], "state");
    let expected = [("cart", "current"), ("mail", "refused"), ("web", "waiting")];
    assert_eq!(states, expected.map(|(unit, state)| (unit.to_owned(), json!(state))));
}

pub(crate) fn rollback_by_statement(plane: &'static ControlPlane) {
    let scene = second_web(plane, "stated");
    let second = opened(&scene, "dev", "web");
    let others: Vec<Option<String>> = ["cart", "mail"].map(|unit| scene.live("dev", unit)).to_vec();
    let plan = ask(&scene, &["rollback", "dev", "--plan"]);
    says(&plan, 0, &[&format!("shop/dev web: dev/{second} "), "stated-dev ConfigMap/web-settings"]);
    says(&ask(&scene, &["rollback", "dev", "--plan", "--unit", "wbe"]), 2, &["has no unit `wbe`"]);
    let before = scene.story("dev").len();
    let ran = ask(&scene, &["rollback", "dev", "--yes", "--reason", "p99", "--no-revert"]);
    says(&ran, 0, &["rolling back: `web` of `dev` to dev/"]);
    let tag = scene.stage.git(&["cat-file", "tag", "rollback/shop/dev/dana"]);
    assert!(tag.contains("\nUnit: web"), "{tag}");
    scene.run();
    let story = scene.story("dev");
    for line in ["rollback opened web", "rollback proven web"] {
        assert!(story[before..].iter().any(|told| told == line), "{story:?}");
    }
    assert!(story[before..].iter().all(|line| line.ends_with(" web")), "{story:?}");
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v1"));
    assert_eq!(["cart", "mail"].map(|unit| scene.live("dev", unit)).to_vec(), others);
    let status = ask(&scene, &["status"]);
    let agree = format!("lockmaster rollback dev/{} --unit web", opened_first(&scene, "web"));
    says(&status, 1, &["`dev` web: is rolled back to dev/", "branch env/dev does not say so yet", &agree]);
    let holds = ask(&scene, &["status", "-o", "json"]).json()["environments"][0]["holds"].clone();
    assert_eq!(by_unit(&holds, "unit"), [("web".to_owned(), json!("web"))]);
    // What was held comes again when it is unheld, by the hold's only unit.
    says(&ask(&scene, &["unhold", "dev", "--yes", "--reason", "fixed"]), 0, &["unheld: "]);
    scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"), "{:?}", scene.story("dev"));
    says(
        &ask(&scene, &["unhold", "dev", "--unit", "web", "--yes", "--reason", "x"]),
        2,
        &["nothing is on hold in `web` of `dev`"],
    );
}

pub(crate) fn rollback_waits(plane: &'static ControlPlane) {
    let scene = second_web(plane, "waited");
    let agent = Agent::start(&scene.stage);
    let words = ["rollback", "dev", "--unit", "web", "--yes", "--reason", "p99", "--no-revert", "--wait", "-o", "json"];
    let document = ask(&scene, &words).json();
    let rollback = opened(&scene, "dev", "web");
    assert_eq!((&document["entry"], &document["reasons"]), (&json!(rollback), &json!([])), "{document}");
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v1"), "it does not end before it is so");
    agent.stop();
}

/// The sequence of the first entry that opened this unit.
fn opened_first(scene: &Scene, unit: &str) -> u64 {
    let entries = scene.entries("dev");
    let of = |entry: &&Value| {
        let units = entry["units"].as_array().into_iter().flatten();
        entry["phase"] == "opened" && units.into_iter().any(|named| named == unit)
    };
    let entry = entries.iter().find(of).expect("because it was opened");
    entry["sequence"].as_u64().expect("because an entry has one")
}

pub(crate) fn rollback_by_commit(plane: &'static ControlPlane) {
    let scene = second_web(plane, "reverted");
    scene.settings("cart", "v2");
    scene.commit("cart 2.0");
    scene.run();
    let before = scene.stage.git(&["rev-parse", "env/dev"]);
    says(&ask(&scene, &["rollback", "dev", "--unit", "web", "--yes"]), 0, &["pushed to branch env/dev"]);
    let touched = scene.stage.git(&["diff", "--name-only", &before, "env/dev"]);
    assert_eq!(touched, "deploy/apps/web/settings.yaml", "it restores the files of one unit");
    let subject = scene.stage.git(&["log", "-1", "--format=%s", "env/dev"]);
    assert!(subject.starts_with("Revert web to dev/"), "{subject}");
    // Without the statement the commit says it itself, for that unit alone.
    scene.stage.git(&["tag", "--delete", "rollback/shop/dev/dana"]);
    let told = scene.story("dev").len();
    scene.run();
    let story = scene.story("dev");
    assert_eq!(story[told..], ["rollback opened web", "rollback proven web"], "{story:?}");
    assert_eq!((scene.live("dev", "web").as_deref(), scene.live("dev", "cart").as_deref()), (Some("v1"), Some("v2")));
    says(&ask(&scene, &["status"]), 0, &["  3/3  ", "current"]);
    // What others push does not put the revert of one unit aside.
    scene.stage.git(&["reset", "-q", "--hard", "env/dev"]);
    scene.stage.write("deploy/apps/mail/settings.yaml", "not: an object\n");
    scene.commit("mail 2.0");
    scene.run();
    says(&ask(&scene, &["rollback", "dev", "--unit", "cart", "--yes"]), 0, &["pushed to branch env/dev"]);
}

pub(crate) fn which_unit_is_to_be_said(plane: &'static ControlPlane) {
    let scene = shop(plane, "which", &[("dev", "")]);
    for unit in ["mail", "web"] {
        scene.settings(unit, "v2");
    }
    let tip = scene.commit("mail and web 2.0");
    scene.run();
    let hold = ask(&scene, &["hold", "dev", "--reason", "leaks"]);
    says(&hold, 2, &[&format!("{} in `dev` is about 2 units (mail, web): say which", &tip[..7]), "--unit mail"]);
    says(
        &ask(&scene, &["hold", "dev", "--unit", "web", "--reason", "leaks"]),
        0,
        &["held: `web` of `dev` ", "explain dev --unit web"],
    );
    scene.run();
    let holds = ask(&scene, &["status", "-o", "json"]).json()["environments"][0]["holds"].clone();
    assert_eq!(by_unit(&holds, "paths"), [("web".to_owned(), json!(["deploy/apps/web/settings.yaml"]))]);
    let joint = scene.entries("dev").into_iter().find(|entry| {
        entry["phase"] == "opened" && entry["units"] == json!(["mail", "web"]) && entry["commit"]["id"] == json!(tip)
    });
    // Units that were ready at different times stand in entries of their own.
    if let Some(joint) = joint {
        let entry = format!("dev/{}", joint["sequence"]);
        says(&ask(&scene, &["rollback", &entry, "--plan"]), 2, &["is about 2 units (mail, web)", "--unit mail"]);
        says(&ask(&scene, &["show", &entry]), 0, &["units       mail, web", "\nmail\n", "\nweb\n"]);
    }
    let cart = opened(&scene, "dev", "cart");
    let wrong = format!("dev/{cart}");
    if cart != opened_first(&scene, "web") {
        says(&ask(&scene, &["rollback", &wrong, "--unit", "web"]), 2, &["is not about `web`, but cart"]);
    }
}

pub(crate) fn history_names_units(plane: &'static ControlPlane) {
    let scene = second_web(plane, "told");
    let ran = ask(&scene, &["history", "dev", "--limit", "1"]);
    says(&ran, 0, &["UNITS", "healthy", "  web    web 2.0 (1 commit)"]);
    let web = ask(&scene, &["history", "dev", "--unit", "web", "-o", "json"]).json();
    let units: Vec<&Value> = web["entries"].as_array().into_iter().flatten().map(|row| &row["units"]).collect();
    assert_eq!(units, [&json!(["web"]), &json!(["web"]), &json!([])], "{web}");
    let all = ask(&scene, &["history", "dev", "-o", "json"]).json();
    assert_eq!(all["chain"]["entries"], web["chain"]["entries"], "the whole chain is verified");
    for row in all["entries"].as_array().into_iter().flatten().filter(|row| row["action"] == "sync") {
        assert_eq!((&row["phase"], &row["health"]), (&json!("proven"), &json!("healthy")), "{row}");
    }
    says(&ask(&scene, &["history", "dev", "--unit", "wbe"]), 2, &["has no unit `wbe`"]);
    says(&ask(&scene, &["show", "dev/latest"]), 0, &["units       web"]);
}

pub(crate) fn verify_and_diff(plane: &'static ControlPlane) {
    let scene = shop(plane, "checked", &[("dev", "")]);
    scene.settings("web", "v2");
    scene.commit("web 2.0");
    says(&ask(&scene, &["verify", "dev"]), 0, &["accepted: `dev` ", "1 new commit", "= changes 1 of 3 units: web"]);
    scene.stage.write("deploy/apps/mail/settings.yaml", "not: an object\n");
    scene.commit("mail 2.0");
    says(&ask(&scene, &["verify", "dev"]), 1, &["refused[invalid-object]: mail: "]);
    says(&ask(&scene, &["verify", "dev", "--unit", "web"]), 0, &["accepted: `web` of `dev` "]);
    let document = ask(&scene, &["verify", "dev", "-o", "json"]).json();
    let verdicts = by_unit(&document["environments"][0]["units"], "verdict");
    let expected = [("cart", "accepted"), ("mail", "refused"), ("web", "accepted")];
    assert_eq!(verdicts, expected.map(|(unit, verdict)| (unit.to_owned(), json!(verdict))));
    scene.run();
    says(&ask(&scene, &["diff", "dev"]), 0, &["shop/dev: 3 units against the live cluster: 6 objects equal"]);
    let path = "/api/v1/namespaces/checked-dev/configmaps/web-settings";
    plane.patch(path, &json!({"data": {"value": "by hand"}}));
    let ran = ask(&scene, &["diff", "dev"]);
    says(&ran, 1, &["shop/dev web: ", "shop/dev: 2 other units against the live cluster: 4 objects equal"]);
    says(&ask(&scene, &["diff", "dev", "--unit", "cart"]), 0, &["shop/dev cart: ", "2 of 2 objects equal"]);
    let two = ask(&scene, &["diff", &format!("dev/{}", opened_first(&scene, "web")), "dev", "--unit", "web"]);
    says(&two, 1, &["data.value", "- v1", "+ v2"]);
    // `latest` of a unit is the newest entry about it.
    let latest = ask(&scene, &["diff", "dev/latest", "dev", "--unit", "web"]);
    assert!(!latest.stderr.contains("is not about"), "{latest:?}");
    says(&ask(&scene, &["diff", "dev@HEAD", "dev"]), 2, &["`dev` is about 3 units (cart, mail, web): say which"]);
}

pub(crate) fn promote_takes_the_only_one(plane: &'static ControlPlane) {
    let scene = shop(plane, "taken", &[("dev", ""), ("prod", "")]);
    says(&ask(&scene, &["promote", "prod"]), 0, &["`prod` has the content already"]);
    scene.settings("web", "v2");
    scene.commit("web 2.0");
    scene.run();
    let before = scene.stage.git(&["rev-parse", "env/prod"]);
    says(&ask(&scene, &["promote", "prod"]), 0, &["promoted: `web` of `prod` "]);
    let touched = scene.stage.git(&["diff", "--name-only", &before, "env/prod"]);
    assert_eq!(touched, "deploy/apps/web/settings.yaml");
    scene.run();
    assert_eq!(scene.live("prod", "web").as_deref(), Some("v2"), "{:?}", scene.story("prod"));
    for unit in ["cart", "mail"] {
        scene.settings(unit, "v2");
    }
    scene.commit("cart and mail 2.0");
    scene.run();
    let ran = ask(&scene, &["promote", "prod"]);
    says(&ran, 2, &["is about 2 units (cart, mail): say which", "lockmaster promote prod --unit cart"]);
    says(&ask(&scene, &["promote", "prod", "--unit", "mail"]), 0, &["promoted: `mail` of `prod` "]);
    scene.run();
    assert_eq!(
        (scene.live("prod", "mail").as_deref(), scene.live("prod", "cart").as_deref()),
        (Some("v2"), Some("v1"))
    );
}
