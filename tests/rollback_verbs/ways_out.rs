//! Next week: the merge that leaves out what was reverted, and the ways out that the hint names, each run as it is printed.

use std::path::PathBuf;
use std::process::Command;

use crate::WRITERS;
use crate::control_plane::{ControlPlane, signer};
use crate::going_back::ask;
use crate::scene::Scene;

/// prod took S, reverted it, and the next merge of staging left it out again; and a clone, as people have one.
struct Week {
    scene: Scene,
    clone: PathBuf,
}

impl Week {
    fn new(plane: &'static ControlPlane, name: &str) -> Week {
        let scene = Scene::proven(plane, name, WRITERS);
        let clone = scene.stage.folder().join("clone");
        let merge = scene.merge("lena", "env/staging");
        scene.run();
        scene.git_as("lena", &["revert", "--no-edit", "-m", "1", &merge]);
        scene.run();
        scene.ship_more("next");
        scene.run();
        scene.merge("lena", "env/staging");
        scene.on("main");
        scene.stage.git(&["clone", "-q", ".", &clone.display().to_string()]);
        Week { scene, clone }
    }

    /// The commands that `explain` gives for the candidate of prod, in their order.
    fn commands(&self) -> Vec<String> {
        let document = self.scene.stage.lockmaster(&["explain", "prod", "-o", "json"]).json();
        let codes = document["reasons"].as_array().into_iter().flatten().map(|reason| reason["code"].clone());
        assert!(codes.clone().any(|code| code == "promotion-incomplete"), "{document:#}");
        let commands = document["commands"].as_array().into_iter().flatten();
        commands.map(|command| command.as_str().expect("because a command is text").to_owned()).collect()
    }

    fn key(&self) -> String {
        self.scene.stage.folder().join("lena").display().to_string()
    }

    /// Runs a command in the clone, as lena.
    fn type_in(&self, command: &str) {
        let folder = self.scene.stage.folder();
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", command]).current_dir(&self.clone).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
        shell.env("GIT_CONFIG_COUNT", "3");
        let key = self.key();
        let program = signer::program(folder).display().to_string();
        let settings =
            [("user.signingkey", key.as_str()), ("user.email", "lena@example.com"), ("gpg.ssh.program", &program)];
        for (number, (name, value)) in settings.into_iter().enumerate() {
            shell.env(format!("GIT_CONFIG_KEY_{number}"), name).env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        let output = shell.output().expect("because there is a shell");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

pub(crate) fn it_stays_out(plane: &'static ControlPlane) {
    let week = Week::new(plane, "stays");
    let commands = week.commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    week.type_in(&commands[0]);
    let scene = &week.scene;
    scene.on("env/staging");
    scene.git_as("lena", &["merge", "-q", "--no-ff", "--no-edit", "env/dev"]);
    scene.run();
    assert_eq!(scene.standing("staging"), scene.tip("env/staging"), "staging runs the rest alone");
    scene.merge("lena", "env/staging");
    scene.expect("admit", &[], &["of staging/"]);
    let there = |name: &str| plane.get(&format!("/api/v1/namespaces/stays-prod/configmaps/{name}")).is_some();
    assert_eq!((there("flag"), there("next")), (false, true), "what was reverted stays out");
}

/// What was reverted is on hold: the commands make the commit, and `unhold` lets it in.
fn it_comes(week: &Week, name: &str) {
    let scene = &week.scene;
    scene.run();
    scene.look("prod", "wait", &["held-content"], &["lockmaster unhold prod/"]);
    let ran = ask(scene, &["unhold", "prod", "--reason", "fixed in 1.2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "it was not opened");
    let there =
        |one: &str| scene.stage.plane.get(&format!("/api/v1/namespaces/{name}-prod/configmaps/{one}")).is_some();
    assert_eq!((there("flag"), there("next")), (true, true), "all of it is there");
}

pub(crate) fn it_comes_by_promote(plane: &'static ControlPlane) {
    let week = Week::new(plane, "promoted");
    let command = week.commands()[1].clone();
    week.scene.stage.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let ran = week.scene.stage.lockmaster(&[&words[..], &["--key", &week.key()]].concat());
    assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
    it_comes(&week, "promoted");
}

pub(crate) fn it_comes_by_git(plane: &'static ControlPlane) {
    let week = Week::new(plane, "reverted");
    week.type_in(&week.commands()[2]);
    week.scene.merge("lena", "env/staging");
    week.scene.on("main");
    it_comes(&week, "reverted");
}
