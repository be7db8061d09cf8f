//! Whom a unit trusts: those who brought what it reads, whoever moved the accepted head of the environment.

use serde_json::Value;

use crate::apart::two_versions;
use crate::control_plane::ControlPlane;
use crate::scene::Scene;
use crate::stage::Who;

/// The values of cart, web and mail that are live in dev.
fn live(scene: &Scene) -> [Option<String>; 3] {
    ["cart", "web", "mail"].map(|unit| scene.live("dev", unit))
}

fn values(cart: &str, web: &str, mail: Option<&str>) -> [Option<String>; 3] {
    [Some(cart), Some(web), mail].map(|value| value.map(str::to_owned))
}

/// The refusals of a unit so far: commit and codes.
fn refusals(scene: &Scene, unit: &str) -> Vec<(String, Vec<String>)> {
    let about = |entry: &&Value| entry["action"] == "refuse" && entry["units"] == serde_json::json!([unit]);
    let text = |value: &Value| value.as_str().expect("because it is a text").to_owned();
    let told = |entry: &Value| {
        let reasons = entry["reasons"].as_array().into_iter().flatten();
        (text(&entry["commit"]["id"]), reasons.map(|reason| text(&reason["code"])).collect())
    };
    scene.entries("dev").iter().filter(about).map(told).collect()
}

pub(crate) fn an_unsigned_commit(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "unsigned", "");
    scene.settings("cart", "v2");
    let unsigned = scene.stage.commit(Who::Nobody, "cart 1.1");
    scene.settings("web", "v3");
    let above = scene.commit("web 1.2");
    scene.run();
    assert_eq!(live(&scene), values("v1", "v3", None), "{:?}", scene.story("dev"));
    assert_eq!(refusals(&scene, "cart"), [(above, vec!["unsigned-commit".to_owned()])]);
    assert_eq!(refusals(&scene, "web"), []);
    let ran = scene.stage.lockmaster(&["verify", "dev", "--unit", "cart"]);
    let unsigned = &unsigned[..7];
    let words =
        format!("brings 1 unsigned commit, among those that changed what is read here\n  {unsigned} \"cart 1.1\"");
    assert!(ran.code == Some(1) && ran.stdout.contains(&words), "{}", ran.stdout);
    let verified = scene.stage.lockmaster(&["verify", "dev", "--unit", "web"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    // A signature above it says nothing of what stands below.
    scene.settings("web", "v4");
    scene.commit("web 1.3");
    scene.run();
    assert_eq!(live(&scene), values("v1", "v4", None), "{:?}", scene.story("dev"));
    // Whoever brings it again answers for it.
    let commands = format!("git revert -S --no-edit {unsigned} && git revert -S --no-edit HEAD && git push");
    assert!(ran.stdout.contains(&format!("signed: {commands}\n")), "{}", ran.stdout);
    for command in commands.trim_end_matches(" && git push").split(" && ") {
        scene.stage.git(&command.split(' ').skip(1).collect::<Vec<_>>());
    }
    scene.run();
    assert_eq!(live(&scene), values("v2", "v4", None), "{:?}", scene.story("dev"));
    // So does whoever takes its place.
    scene.settings("cart", "v3");
    scene.commit("cart 1.2");
    scene.run();
    assert_eq!(live(&scene), values("v3", "v4", None), "{:?}", scene.story("dev"));
}

pub(crate) fn beside_a_rollback(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "beside", "");
    scene.settings("web", "v1");
    scene.settings("cart", "evil");
    scene.stage.commit(Who::Nobody, "back to 1.0");
    scene.run();
    // What ran and was proven is gone back to, whoever asks for it. The head moves, and lets nothing in by the way.
    assert_eq!(live(&scene), values("v1", "v1", None), "{:?}", scene.story("dev"));
    scene.run();
    scene.settings("web", "v3");
    scene.commit("web 1.2");
    scene.run();
    assert_eq!(live(&scene), values("v1", "v3", None), "{:?}", scene.story("dev"));
}

pub(crate) fn a_new_unit(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "newcomer", "");
    scene.app("mail", "evil");
    scene.stage.commit(Who::Nobody, "mail 1.0");
    for value in ["v3", "v4", "v5"] {
        scene.settings("web", value);
        scene.commit(&format!("web {value}"));
        scene.run();
        assert_eq!(live(&scene), values("v1", value, None), "{:?}", scene.story("dev"));
    }
    scene.app("mail", "v1");
    scene.commit("mail 1.1");
    scene.run();
    assert_eq!(live(&scene), values("v1", "v5", Some("v1")), "{:?}", scene.story("dev"));
}

pub(crate) fn what_was_there_unread(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "unread", "");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {value: evil}\n";
    scene.stage.write("deploy/extra/extra.yaml", map);
    scene.stage.write("deploy/extra/kustomization.yaml", "resources: [extra.yaml]\n");
    let evil = scene.stage.commit(Who::Nobody, "extra");
    scene.settings("web", "v3");
    scene.commit("web 1.2");
    scene.run();
    assert_eq!(live(&scene), values("v1", "v3", None), "{:?}", scene.story("dev"));
    let text = "resources: [deploy.yaml, settings.yaml, ../../extra]\n";
    scene.stage.write("deploy/apps/cart/kustomization.yaml", text);
    scene.settings("cart", "v2");
    let reads = scene.commit("cart reads extra");
    scene.run();
    assert_eq!(live(&scene), values("v1", "v3", None), "{:?}", scene.story("dev"));
    assert_eq!(refusals(&scene, "cart"), [(reads, vec!["unsigned-commit".to_owned()])]);
    let ran = scene.stage.lockmaster(&["verify", "dev", "--unit", "cart"]);
    assert!(ran.stdout.contains(&format!("{} \"extra\"", &evil[..7])), "{}", ran.stdout);
}

pub(crate) fn merges(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "merges", "");
    let merge = |strategy: &[&str]| {
        let words = ["merge", "-q", "--no-ff", "--no-gpg-sign", "-m", "merge"];
        scene.stage.git(&[&words[..], strategy, &["side"]].concat());
    };
    // What both sides made is chosen by whoever merges.
    scene.stage.git(&["checkout", "-q", "-b", "side"]);
    scene.settings("cart", "theirs");
    scene.commit("cart, theirs");
    scene.stage.git(&["checkout", "-q", "env/dev"]);
    scene.settings("cart", "ours");
    scene.settings("web", "v3");
    scene.commit("cart, ours");
    merge(&["-X", "theirs"]);
    scene.run();
    assert_eq!(live(&scene), values("v1", "v3", None), "{:?}", scene.story("dev"));
    let codes: Vec<_> = refusals(&scene, "cart").into_iter().flat_map(|(_, codes)| codes).collect();
    assert_eq!(codes, ["merge-not-plain"]);
    let ran = scene.stage.lockmaster(&["verify", "dev", "--unit", "cart"]);
    assert!(ran.stdout.contains("hint: let a writer change again what it chose"), "{}", ran.stdout);
    // What one side made alone is not.
    scene.settings("cart", "v2");
    scene.commit("cart 1.1");
    scene.stage.git(&["checkout", "-q", "-B", "side"]);
    scene.settings("cart", "v3");
    scene.commit("cart 1.2");
    scene.stage.git(&["checkout", "-q", "env/dev"]);
    merge(&[]);
    scene.run();
    assert_eq!(live(&scene), values("v3", "v3", None), "{:?}", scene.story("dev"));
}

pub(crate) fn a_new_own_unit(plane: &'static ControlPlane) {
    let keys = ", own: [deploy/apps/mail], ownImages: [registry.example.com/mail]";
    let scene = Scene::new(plane, "owned", &[("dev", ""), ("prod", keys)]);
    for unit in ["cart", "web"] {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    for branch in ["env/dev", "env/prod"] {
        scene.stage.git(&["branch", branch]);
    }
    scene.run();
    scene.stage.git(&["checkout", "-q", "env/prod"]);
    scene.app("mail", "evil");
    scene.stage.commit(Who::Nobody, "mail 1.0");
    let in_prod = |unit| scene.live("prod", unit);
    for value in ["v2", "v3", "v4"] {
        for branch in ["env/dev", "env/prod"] {
            scene.stage.git(&["checkout", "-q", branch]);
            scene.settings("web", value);
            scene.commit(&format!("web {value}"));
            scene.run();
        }
        assert_eq!((in_prod("web").as_deref(), in_prod("mail")), (Some(value), None), "{:?}", scene.story("prod"));
    }
    scene.app("mail", "v1");
    scene.commit("mail 1.1");
    scene.run();
    assert_eq!(in_prod("mail").as_deref(), Some("v1"), "{:?}", scene.story("prod"));
}
