//! How repositories are laid out, and what belongs to an environment alone in each.

use crate::WRITERS;
use crate::control_plane::ControlPlane;
use crate::scene::{Scene, config_map, deployment};

/// The same path on every branch, with values of its own on each.
pub(crate) fn same_path_on_every_branch(plane: &'static ControlPlane) {
    let scene = Scene::empty(plane, "branches", WRITERS);
    let paths = "paths: [base, settings]\n";
    let own = format!("{paths}own: [settings/values.yaml]\n");
    scene.pipeline(&own, &own, &format!("{own}{WRITERS}"));
    scene.deploy("v1", "one");
    let value = |value: &str| scene.stage.write("settings/values.yaml", &config_map("values", value));
    value("dev");
    scene.commit("dana", "shop 1.0");
    scene.stage.git(&["branch", "env/dev"]);
    for (branch, who) in [("env/staging", "dana"), ("env/prod", "lena")] {
        scene.stage.git(&["checkout", "-q", "-b", branch]);
        value(branch);
        scene.commit(who, "values of its own");
    }
    scene.run();
    for environment in ["dev", "staging", "prod"] {
        assert_eq!(scene.standing(environment), scene.tip(&format!("env/{environment}")), "{environment}");
    }
    scene.on("env/dev");
    scene.deploy("v2", "two");
    scene.commit("dana", "shop 1.1");
    scene.on("env/staging");
    scene.git_as("dana", &["merge", "-q", "--no-ff", "-m", "merge", "env/dev"]);
    scene.run();
    scene.merge("lena", "env/staging");
    // Unless the file is named, its values are content that staging never ran.
    scene.pipeline(&own, &own, &format!("{paths}own: [settings/other.yaml]\n{WRITERS}"));
    scene.expect("refuse", &["promotion-incomplete"], &["settings/values.yaml"]);
    scene.pipeline(&own, &own, &format!("{own}{WRITERS}"));
    scene.expect("admit", &[], &["of staging/", "signed by lena@example.com"]);
}

/// A folder for each environment on one trunk; what is shared is copied from folder to folder.
pub(crate) fn folders_on_one_trunk(plane: &'static ControlPlane) {
    let scene = Scene::empty(plane, "trunk", "");
    let keys = |name: &str| format!("branch: main\npath: envs/{name}\nown: [envs/{name}/settings.yaml]\n");
    scene.pipeline(&keys("dev"), &keys("staging"), &keys("prod"));
    let copy = |environment: &str, tag: &str| {
        scene.stage.write(&format!("envs/{environment}/web.yaml"), &deployment("web", &format!("web:{tag}"), "one"));
    };
    for environment in ["dev", "staging", "prod"] {
        copy(environment, "v1");
        scene.stage.write(&format!("envs/{environment}/settings.yaml"), &config_map("settings", environment));
    }
    let first = scene.commit("lena", "shop 1.0");
    scene.run();
    let all = ["dev", "staging", "prod"].map(|environment| scene.standing(environment));
    assert!(all.iter().all(|standing| standing == first.as_str()), "{all:?}");
    scene.pipeline(&keys("dev"), &keys("staging"), &format!("{}{WRITERS}", keys("prod")));
    // Into prod's folder first: nobody ran it.
    copy("prod", "v2");
    scene.commit("lena", "shop 1.1, straight to prod");
    scene.expect("refuse", &["unproven-content"], &["envs/prod/web.yaml: is as in neither staging/"]);
    for environment in ["dev", "staging"] {
        copy(environment, "v2");
        scene.commit("dana", "shop 1.1");
        scene.run();
    }
    // By its relative path the copy is what staging runs. Every commit of a trunk is one that upstream knows: none of
    // them says "prod" by its signature, so that there approvals do, or the trunk itself.
    scene.expect("refuse", &["carrier-needs-approval"], &["a fast-forward, of which no commit says so"]);
    scene.pipeline(&keys("dev"), &keys("staging"), &keys("prod"));
    scene.look("prod", "admit", &[], &["of staging/", "the merge itself"]);
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("main"));
}

/// What runs in prod alone is named, or it is what upstream ran.
pub(crate) fn images(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "images", WRITERS);
    scene.run();
    scene.on("env/prod");
    scene.stage.write("overlays/prod/tool.yaml", &deployment("tool", "tool:v1", "one"));
    scene.commit("lena", "a tool for prod alone");
    let words = ["registry.example.com/tool:v1 runs in no object of prod/", "`ownImages: [registry.example.com/tool]`"];
    scene.expect("refuse", &["artifact-not-proven"], &words);
    // The name of another image is none of it, and neither is a longer one.
    scene.pipeline("", "", &format!("ownImages: [registry.example.com/too]\n{WRITERS}"));
    scene.look("prod", "refuse", &["artifact-not-proven"], &words);
    scene.pipeline("", "", &format!("ownImages: [registry.example.com/tool]\n{WRITERS}"));
    scene.expect("admit", &[], &["signed by lena@example.com"]);
}
