//! 03:00: the Git server is down, prod is broken, and the agent runs.

use std::time::Instant;

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, eventually};
use crate::going_back::{ask, merged, opened, stated, the_rollback};
use crate::scene::Scene;
use crate::ssh::Server;

/// Lets the pipeline, and people's git, reach the repository by ssh.
fn behind_ssh(scene: &Scene) -> Server {
    let server = Server::start(&scene.stage.folder().join("ssh"));
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let plain = format!("{{url: {}}}", scene.stage.repository.display());
    assert!(text.contains(&plain), "{text}");
    let text = text.replace(&plain, &server.repository(&scene.stage.repository));
    std::fs::write(&file, text).expect("because it is ours");
    scene.stage.git(&["config", "--global", "core.sshCommand", &server.command()]);
    server
}

fn prod(scene: &Scene) -> Value {
    scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json()["environments"][0].clone()
}

pub(crate) fn rollback_while_the_server_is_down(plane: &'static ControlPlane) {
    let scene = merged(plane, "outage");
    let (sequences, tip) = (opened(&scene), scene.tip("env/prod"));
    let mut server = behind_ssh(&scene);
    // By the road that is used from now on, everything is as it was.
    scene.run();
    let mut agent = scene.stage.spawn(&["run", "--listen", "127.0.0.1:0", "--interval", "1s"]);
    eventually("the agent serves", || scene.stage.folder().join("state/agent.json").exists().then_some(()));
    server.stop();
    let started = Instant::now();
    let ran = ask(&scene, &["rollback", "prod", "--wait", "--reason", "p99 is up"]);
    println!("stated, opened and healthy without Git after {:?}", started.elapsed());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let entry = the_rollback(&scene);
    let words = ["in the cluster: ", "Git stays ahead", &format!("healthy: prod/{}", entry["sequence"])];
    for word in words {
        assert!(ran.stdout.contains(word), "`{word}`: {ran:?}");
    }
    assert_eq!((&entry["actor"], stated(&scene).len()), (&json!("lena@example.com"), 1));
    let flag = plane.get("/api/v1/namespaces/outage-prod/configmaps/flag");
    assert!(flag.is_none(), "what the undone release brought is gone");
    // Git comes back, and still has what was undone: that is told, and nothing is opened.
    server.serve();
    eventually("status says that Git is ahead", || {
        let status = scene.stage.lockmaster(&["status", "prod"]).stdout;
        status.contains("branch env/prod does not say so yet").then_some(())
    });
    let rollbacks = || scene.entries("prod", "rollback").into_iter().filter(|entry| entry["phase"] == "opened").count();
    assert_eq!((opened(&scene).len(), rollbacks()), (3, 1));
    // The command that was named makes it agree; what comes of it changes nothing.
    let hint = format!("lockmaster rollback prod/{}", sequences[0]);
    assert!(ran.stdout.contains(&hint), "{ran:?}");
    let agreed = ask(&scene, &["rollback", &format!("prod/{}", sequences[0])]);
    assert!(agreed.code == Some(0) && agreed.stdout.contains("pushed to branch env/prod"), "{agreed:?}");
    assert_eq!(scene.stage.git(&["rev-parse", "env/prod^"]), tip.as_str().unwrap_or_default());
    eventually("the agent has seen it", || {
        let status = scene.stage.lockmaster(&["status", "prod"]).stdout;
        (!status.contains("does not say so yet")).then_some(())
    });
    assert_eq!(
        (opened(&scene).len(), prod(&scene)["state"].clone()),
        (3, json!("current")),
        "no entry, and it is current"
    );
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    server.stop();
}
