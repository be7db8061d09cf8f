//! The main job, end to end: a verified commit reaches a real cluster, and only a verified one.

mod control_plane;
mod stage;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use control_plane::proxy::{Moment, Verdict};
use control_plane::{ControlPlane, Test, run_split};
use serde_json::json;
use stage::shop::{
    all_of_shop, configuration, configure, leave_out, objects, place, replicas, set_replicas, shop, state,
};
use stage::{Stage, Who};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("three_environments_are_created_and_a_second_run_writes_nothing", three_environments),
        ("removing_a_file_prunes_exactly_its_objects", removing_a_file),
        ("a_merge_commit_and_a_revert_are_followed", merge_and_revert),
        ("a_forge_merge_of_signed_commits_is_deployed_and_an_altered_one_is_not", forge_merge),
        ("an_unsigned_commit_is_refused_and_nothing_is_written", unsigned),
        ("a_force_push_is_refused_and_the_standing_release_stays", force_push),
        ("a_branch_that_is_where_it_was_when_it_is_refused_is_not_refused", moved_meanwhile),
        ("a_crash_looping_release_fails_at_its_deadline_and_stays_standing", failing_release),
        ("a_newer_release_closes_an_open_one_as_superseded", superseded),
        ("a_daemon_follows_a_local_repository_and_stops_cleanly", daemon),
        ("secrets_never_leave", secrets),
        ("only_what_changed_is_written_and_what_is_missing_comes_back", only_what_changed),
    ];
    control_plane::at_once(4);
    const REAL: &str = "a_real_repository_of_three_environments_is_deployed";
    if std::env::var_os("LOCKMASTER_REAL_REPOSITORY").is_some() {
        return run_split(tests, vec![(REAL, real_repository)], &[]);
    }
    run_split(tests, Vec::new(), &[(REAL, "no repository: set LOCKMASTER_REAL_REPOSITORY to its folder")])
}

fn three_environments(plane: &'static ControlPlane) {
    let stage = shop(plane, "three");
    stage.run_once(0);
    for environment in ["dev", "staging", "prod"] {
        assert_eq!(objects(plane, &format!("three-{environment}")), all_of_shop(), "{environment}");
    }
    let status = stage.lockmaster(&["status", "-o", "json"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    for environment in ["dev", "staging", "prod"] {
        let view = status.json();
        let view = state(&view, environment);
        assert_eq!((&view["state"], &view["health"]), (&json!("current"), &json!("healthy")), "{view}");
        assert_eq!(view["standing"]["commit"]["id"], stage.head());
    }
    stage.proxy.forget();
    stage.run_once(0);
    assert_eq!(stage.proxy.writes(), Vec::new(), "a second run must not write");
}

fn removing_a_file(plane: &'static ControlPlane) {
    let stage = shop(plane, "removing");
    stage.run_once(0);
    leave_out(&stage, "sweeper.yaml", true);
    stage.git(&["rm", "-q", "-f", "--ignore-unmatch", "base/sweeper.yaml"]);
    stage.commit(Who::Dana, "sweep no more");
    let plan = stage.lockmaster(&["plan", "dev", "-o", "json"]);
    assert_eq!(plan.code, Some(1), "{plan:?}");
    let document = plan.json();
    let changes = document["environments"][0]["changes"].as_array().expect("because a plan lists changes").clone();
    assert_eq!(changes.len(), 1, "{document}");
    assert_eq!((&changes[0]["action"], &changes[0]["object"]["name"]), (&json!("prune"), &json!("sweeper")));
    stage.run_once(0);
    let mut expected = all_of_shop();
    expected.remove("cronjobs/sweeper");
    assert_eq!(objects(plane, "removing-dev"), expected);
    assert_eq!(objects(plane, "removing-staging"), all_of_shop(), "other environments are left alone");
}

fn merge_and_revert(plane: &'static ControlPlane) {
    let stage = shop(plane, "merge");
    stage.run_once(0);
    stage.git(&["checkout", "-q", "-b", "feature"]);
    set_replicas(&stage, 3);
    stage.commit(Who::Dana, "web: three replicas");
    stage.git(&["checkout", "-q", "env/dev"]);
    configure(&stage, "timeout = 60\n");
    stage.commit(Who::Dana, "web: longer timeout");
    stage.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge feature", "feature"]);
    stage.run_once(0);
    assert_eq!(replicas(plane, "merge-dev"), json!(3));
    stage.git(&["revert", "--no-edit", "-m", "1", "HEAD"]);
    stage.run_once(0);
    assert_eq!(replicas(plane, "merge-dev"), json!(2));
    let config = plane.get("/api/v1/namespaces/merge-dev/configmaps/web-config").expect("because it was deployed");
    assert_eq!(config["data"]["web.conf"], "timeout = 60\n", "the revert takes back the merge and nothing else");
}

fn forge_merge(plane: &'static ControlPlane) {
    let stage = shop(plane, "forge");
    stage.run_once(0);
    stage.git(&["checkout", "-q", "-b", "feature"]);
    set_replicas(&stage, 3);
    stage.commit(Who::Dana, "web: three replicas");
    stage.git(&["checkout", "-q", "env/dev"]);
    configure(&stage, "timeout = 60\n");
    stage.commit(Who::Dana, "web: longer timeout");
    stage.git(&["merge", "-q", "--no-ff", "--no-gpg-sign", "-m", "Merge pull request #1", "feature"]);
    let verify = stage.lockmaster(&["verify", "dev"]);
    assert_eq!(verify.code, Some(0), "{verify:?}");
    let expected = "\"Merge pull request #1\", 3 new commits, 2 signed by dana@example.com, 1 carried unsigned";
    assert!(verify.stdout.contains(expected), "{}", verify.stdout);
    stage.run_once(0);
    assert_eq!(replicas(plane, "forge-dev"), json!(3));
    let status = stage.lockmaster(&["status", "-o", "json"]).json();
    let standing = &state(&status, "dev")["standing"]["commit"];
    assert_eq!((&standing["id"], &standing["signer"]), (&json!(stage.head()), &json!(null)), "{status}");
    stage.git(&["checkout", "-q", "feature"]);
    configure(&stage, "timeout = 90\n");
    stage.commit(Who::Dana, "web: still longer timeout");
    stage.git(&["checkout", "-q", "env/dev"]);
    stage.git(&["merge", "-q", "--no-ff", "--no-commit", "-s", "ours", "feature"]);
    set_replicas(&stage, 9);
    let evil = stage.commit(Who::Nobody, "Merge pull request #2");
    let ran = stage.run_once(1);
    assert!(ran.stdout.contains("refused[merge-not-plain]"), "{}", ran.stdout);
    let verify = stage.lockmaster(&["verify", "dev"]);
    let expected = format!(
        "{} \"Merge pull request #2\", claimed author dana@example.com: `{}` is changed on both sides, \
         `base/web.yaml` is changed on neither side",
        &evil[..7],
        configuration()
    );
    assert!(verify.stdout.contains(&expected), "{}", verify.stdout);
    assert_eq!(replicas(plane, "forge-dev"), json!(3));
}

fn unsigned(plane: &'static ControlPlane) {
    let stage = shop(plane, "unsigned");
    stage.run_once(0);
    let accepted = stage.head();
    set_replicas(&stage, 9);
    let commit = stage.commit(Who::Nobody, "hotfix: more replicas");
    stage.proxy.forget();
    let ran = stage.run_once(1);
    assert!(ran.stdout.contains("refused[unsigned-commit]"), "{}", ran.stdout);
    let verify = stage.lockmaster(&["verify", "dev"]);
    assert_eq!(verify.code, Some(1));
    let expected = format!(
        "refused[unsigned-commit]: `env/dev` brings 1 unsigned commit, 1 new since the accepted head {}",
        &accepted[..7]
    );
    assert!(verify.stdout.starts_with(&expected), "{}", verify.stdout);
    assert!(verify.stdout.contains(&format!("{} \"hotfix: more replicas\"", &commit[..7])), "{}", verify.stdout);
    assert!(verify.stdout.contains("claimed author dana@example.com"), "{}", verify.stdout);
    assert!(verify.stdout.contains("= nothing is applied"), "{}", verify.stdout);
    assert!(verify.stdout.contains("hint: "), "{}", verify.stdout);
    let namespaces: BTreeSet<String> = stage
        .proxy
        .writes()
        .iter()
        .map(|call| call.path.clone())
        .filter(|path| !path.contains("/lockmaster-"))
        .collect();
    assert_eq!(namespaces, BTreeSet::new(), "a refusal writes nothing to the target");
    assert_eq!(replicas(plane, "unsigned-dev"), json!(2));
    stage.proxy.forget();
    stage.run_once(1);
    assert_eq!(stage.proxy.writes(), Vec::new(), "a refusal is journalled once");
}

fn force_push(plane: &'static ControlPlane) {
    let stage = shop(plane, "force");
    stage.run_once(0);
    set_replicas(&stage, 3);
    stage.commit(Who::Dana, "web: three replicas");
    stage.run_once(0);
    let accepted = stage.head();
    stage.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let ran = stage.run_once(1);
    assert!(ran.stdout.contains("refused[ref-rewound]"), "{}", ran.stdout);
    let verify = stage.lockmaster(&["verify", "dev"]);
    let expected = format!(
        "refused[ref-rewound]: `refs/heads/env/dev` moved back to {}, an ancestor of the accepted head {}",
        &stage.head()[..7],
        &accepted[..7]
    );
    assert!(verify.stdout.starts_with(&expected), "{}", verify.stdout);
    let fact = "  = 1 accepted commit left the branch; nothing is applied; ";
    assert!(verify.stdout.contains(fact), "{}", verify.stdout);
    assert!(verify.stdout.contains(&format!("git push origin {}:env/dev", &accepted[..7])), "{}", verify.stdout);
    set_replicas(&stage, 5);
    stage.commit(Who::Dana, "elsewhere");
    let ran = stage.run_once(1);
    assert!(ran.stdout.contains("refused[ref-diverged]"), "{}", ran.stdout);
    assert_eq!(replicas(plane, "force-dev"), json!(3));
    stage.git(&["reset", "-q", "--hard", &accepted]);
    stage.run_once(0);
}

fn moved_meanwhile(plane: &'static ControlPlane) {
    let stage = shop(plane, "meanwhile");
    stage.run_once(0);
    set_replicas(&stage, 3);
    stage.commit(Who::Dana, "web: three replicas");
    stage.run_once(0);
    let accepted = stage.head();
    stage.git(&["reset", "-q", "--hard", "HEAD~1"]);
    stage.proxy.judge(|call, moment| {
        let judges = call.path.contains("first-seen") && moment == Moment::Before;
        if judges { Verdict::Hang } else { Verdict::Pass }
    });
    let run = stage.spawn(&["run", "--once"]);
    stage.proxy.hanging(Duration::from_secs(60)).expect("because the tip is judged");
    stage.git(&["reset", "-q", "--hard", &accepted]);
    stage.proxy.judge(|_, _| Verdict::Pass);
    stage.proxy.release();
    let ran = run.wait_with_output().expect("because it was started");
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let history = stage.lockmaster(&["history", "dev", "-o", "json"]).json();
    let refused = history["entries"].as_array().into_iter().flatten().filter(|entry| entry["action"] == "refuse");
    assert_eq!(refused.count(), 0, "{history}");
}

fn failing_release(plane: &'static ControlPlane) {
    let stage = shop(plane, "failing");
    let line = format!("  - {{name: dev, branch: env/dev, {}, namespace: failing-dev, deadline: 4s}}", place("dev"));
    stage.pipeline(&line);
    let web = std::fs::read_to_string("fixtures/shop/base/web.yaml").expect("because the fixture is there");
    stage.write("base/web.yaml", &web.replace("web:1.0", "web:crash"));
    stage.commit(Who::Dana, "web: a bad day");
    let ran = stage.run_once(1);
    assert!(ran.stdout.contains("[unsettled]") || ran.stdout.contains("[object-failed]"), "{}", ran.stdout);
    let status = stage.lockmaster(&["status", "-o", "json"]);
    assert_eq!(state(&status.json(), "dev")["state"], "failed", "{}", status.stdout);
    stage.write("base/web.yaml", &web);
    stage.commit(Who::Dana, "web: a good day");
    stage.run_once(0);
}

fn superseded(plane: &'static ControlPlane) {
    let stage = shop(plane, "superseded");
    let line =
        format!("  - {{name: dev, branch: env/dev, {}, namespace: superseded-dev, deadline: 60s}}", place("dev"));
    stage.pipeline(&line);
    let web = std::fs::read_to_string("fixtures/shop/base/web.yaml").expect("because the fixture is there");
    stage.write("base/web.yaml", &web.replace("web:1.0", "web:crash"));
    stage.commit(Who::Dana, "web: a bad day");
    let mut agent = stage.spawn(&["run", "--interval", "1s", "--listen", "127.0.0.1:0"]);
    control_plane::eventually("the bad release is open", || {
        let status = stage.lockmaster(&["status", "-o", "json"]);
        (status.code != Some(2) && state(&status.json(), "dev")["state"] == "settling").then_some(())
    });
    stage.write("base/web.yaml", &web);
    let good = stage.commit(Who::Dana, "web: a good day");
    control_plane::eventually("the good release stands proven", || {
        let status = stage.lockmaster(&["status", "-o", "json"]);
        let document = status.json();
        let view = state(&document, "dev");
        (view["state"] == "current" && view["standing"]["commit"]["id"] == good.as_str()).then_some(())
    });
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    let status = stage.lockmaster(&["status", "-o", "json"]);
    // genesis, opened, opened, superseded, proven
    assert_eq!(state(&status.json(), "dev")["log"]["sequence"], 4, "{}", status.stdout);
}

fn daemon(plane: &'static ControlPlane) {
    let stage = shop(plane, "daemon");
    let mut agent = stage.spawn(&["run", "--interval", "1h", "--listen", "127.0.0.1:0"]);
    let current = |commit: &str| {
        let status = stage.lockmaster(&["status", "-o", "json"]);
        let document = if status.code == Some(2) { return None } else { status.json() };
        let view = state(&document, "dev");
        (view["state"] == "current" && view["standing"]["commit"]["id"] == commit).then_some(())
    };
    let first = stage.head();
    control_plane::eventually("the first release is proven", || current(&first));
    set_replicas(&stage, 3);
    let second = stage.commit(Who::Dana, "web: three replicas");
    control_plane::eventually("a commit wakes the agent without an interval", || current(&second));
    let pid = i32::try_from(agent.id()).expect("because process ids are small");
    std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("because kill is there");
    let status = agent.wait().expect("because it was told to stop");
    assert_eq!(status.code(), Some(0), "SIGTERM ends the agent with 0");
}

/// A public repository with three overlays, by `LOCKMASTER_REAL_REPOSITORY`.
fn real_repository(plane: &'static ControlPlane) {
    let folder = std::env::var_os("LOCKMASTER_REAL_REPOSITORY").expect("because the test is left out without it");
    let stage = Stage::new(plane);
    stage.copy(Path::new(&folder), "");
    stage.commit(Who::Dana, "deploy");
    stage.pipeline(
        "  - {name: dev, branch: main, path: overlays/dev, namespace: dev}\n  - {name: staging, branch: main, path: overlays/staging, namespace: staging}\n  - {name: production, branch: main, path: overlays/production, namespace: production}",
    );
    stage.run_once(0);
    let status = stage.lockmaster(&["status", "-o", "json"]).json();
    for environment in ["dev", "staging", "production"] {
        assert_eq!(state(&status, environment)["objects"], json!({"total": 25, "healthy": 25}), "{environment}");
    }
    stage.proxy.forget();
    stage.run_once(0);
    assert_eq!(stage.proxy.writes(), Vec::new(), "a second run must not write");
}

fn secrets(plane: &'static ControlPlane) {
    let stage = shop(plane, "secrets");
    let ran = stage.lockmaster(&["run", "--once", "-vv"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let store = std::fs::read_to_string("fixtures/shop/base/store.yaml").expect("because the fixture is there");
    stage.write("base/store.yaml", &store.replace("not-a-real-password", "another-password"));
    stage.commit(Who::Dana, "store: another password");
    let verbs: [&[&str]; 5] = [
        &["plan", "dev", "-vv"],
        &["plan", "dev", "-o", "json", "-vv"],
        &["verify", "dev", "-vv"],
        &["run", "--once", "-vv"],
        &["diff", "dev", "-vv"],
    ];
    let mut all = vec![ran];
    all.extend(verbs.iter().map(|verb| stage.lockmaster(verb)));
    let encoded = ["bm90LWEtcmVhbC1wYXNzd29yZA", "YW5vdGhlci1wYXNzd29yZA"];
    for ran in &all {
        for text in [&ran.stdout, &ran.stderr] {
            for secret in ["not-a-real-password", "another-password"].iter().chain(&encoded) {
                assert!(!text.contains(secret), "`{secret}` left: {text}");
            }
        }
    }
    assert!(all[1].stdout.contains("(secret, differs)"), "{}", all[1].stdout);
}

fn only_what_changed(plane: &'static ControlPlane) {
    let stage = shop(plane, "changed");
    let line = format!("  - {{name: dev, branch: env/dev, {}, namespace: changed-dev, deadline: 60s}}", place("dev"));
    stage.pipeline(&line);
    stage.run_once(0);
    let target = || -> Vec<String> {
        let writes = stage.proxy.writes();
        let outside = writes.into_iter().filter(|call| !call.path.contains(&stage.agent_namespace));
        outside.map(|call| format!("{} {}", call.method, call.path)).collect()
    };
    set_replicas(&stage, 3);
    stage.commit(Who::Dana, "web: three replicas");
    stage.proxy.forget();
    stage.run_once(0);
    assert_eq!(target(), ["PATCH /apis/apps/v1/namespaces/changed-dev/deployments/web"]);
    plane.delete("/api/v1/namespaces/changed-dev/configmaps/web-config");
    set_replicas(&stage, 2);
    stage.commit(Who::Dana, "web: two replicas");
    stage.proxy.forget();
    stage.run_once(0);
    assert_eq!(objects(plane, "changed-dev"), all_of_shop(), "{:?}", target());
}
