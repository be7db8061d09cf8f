//! The agent's own revert commit.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use lockmaster::agent::revert::{Pushed, push};
use lockmaster::agent::site::{Setup, Site};
use lockmaster::config;
use lockmaster::deploylog::{EntryCommit, Inputs, Logged};
use lockmaster::edge::git::Remote;
use lockmaster::name::{CommitId, Digest, RepoPath};
use lockmaster::signature::{AgentKey, Signers};

use crate::control_plane::{ControlPlane, signer};

const WEB: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {value: ";

/// A clone, a bare remote, and a site of it whose writer key is lena's.
struct Ground {
    folder: tempfile::TempDir,
    site: Site,
}

impl Ground {
    fn new() -> Ground {
        let folder = tempfile::tempdir().expect("because there is room");
        let at = |name: &str| folder.path().join(name);
        let public = signer::make_key(&at("lena"), "lena");
        let line = format!("lena@example.com namespaces=\"git\" {public}");
        let text = "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: shop}\nspec:\n  repository: {url: remote.git}\n  \
                    trust: {signers: {file: allowed_signers}}\n  environments:\n  - {name: prod, branch: env/prod, path: prod, namespace: shop-prod}\n";
        let pipeline = config::read("lockmaster.yaml", text).expect("because it is good").remove(0);
        let setup = Setup {
            pipeline,
            pipeline_text: text.to_owned(),
            signers: Signers::parse(&line).expect("because the line is good"),
            remote: Remote { url: at("remote.git").display().to_string(), auth: None, ca_file: None },
            agent_namespace: "lockmaster".to_owned(),
            state_dir: at("state"),
        };
        let mut site = Site::new(setup, None, None, true).expect("because the folder is ours");
        let key = std::fs::read_to_string(at("lena")).expect("because it was made");
        site.writer_key = Some(Arc::new(AgentKey::from_openssh(&key).expect("because it is one")));
        let ground = Ground { folder, site };
        ground.git(&["init", "-q", "--bare", "remote.git"]);
        ground.git(&["init", "-q", "-b", "env/prod", "clone"]);
        ground
    }

    fn git(&self, arguments: &[&str]) -> String {
        let clone: PathBuf = self.folder.path().join("clone");
        let mut command = Command::new("git");
        command.current_dir(if clone.exists() { clone } else { self.folder.path().to_owned() });
        command.env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(["-c", "user.name=Lena", "-c", "user.email=lena@example.com"]).args(arguments);
        let output = command.output().expect("because git is there");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits these files, an empty one taken away, and pushes.
    fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        for (path, text) in files {
            let file = self.folder.path().join("clone").join(path);
            std::fs::create_dir_all(file.parent().expect("because it lies in a folder")).expect("because it is ours");
            match *text {
                "" => std::fs::remove_file(&file).expect("because it was written"),
                text => std::fs::write(&file, text).expect("because it is ours"),
            }
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a change"]);
        self.git(&["push", "-q", "../remote.git", "HEAD:env/prod"]);
        self.git(&["rev-parse", "HEAD"]).parse().expect("because git prints ids")
    }

    fn remote(&self, arguments: &[&str]) -> String {
        self.git(&[&["--git-dir=../remote.git"], arguments].concat())
    }

    /// The inputs of a commit, told by git.
    fn inputs(&self, commit: &CommitId, files: &[&str], listings: &[(&str, &[&str])]) -> Inputs {
        let path = |text: &str| text.parse::<RepoPath>().expect("because it is a path");
        let content = |file: &str| {
            let text = format!("{}\n", self.git(&["show", &format!("{commit}:{file}")]));
            Digest::of(text.as_bytes())
        };
        Inputs {
            files: files.iter().map(|file| (path(file), content(file))).collect(),
            listings: listings
                .iter()
                .map(|(folder, names)| (path(folder), Inputs::listing(names.iter().copied())))
                .collect(),
        }
    }

    /// As the agent does whose accepted head this is.
    fn push_from(
        &self,
        plane: &ControlPlane,
        (accepted, tip): (&CommitId, &CommitId),
        to: &Logged,
    ) -> Result<Pushed, String> {
        let prod = &self.site.environments()[0];
        let pushed = plane.block_on(async {
            let wanted = (prod.branch.clone(), tip.clone());
            let fetched = self.site.with_mirror(move |mirror| mirror.fetch(&[wanted])).await;
            fetched.expect("because it is there");
            push(&self.site, prod, (accepted, tip), 40, to).await
        });
        pushed.map_err(|reason| reason.message)
    }

    fn push(&self, plane: &ControlPlane, tip: &CommitId, to: &Logged) -> Result<Pushed, String> {
        self.push_from(plane, (tip, tip), to)
    }
}

fn release(commit: &CommitId, inputs: Inputs) -> Logged {
    let hash = Digest::of(b"x");
    Logged {
        sequence: 38,
        hash,
        release: hash,
        rollback: None,
        supersedes: None,
        irreversible: std::collections::BTreeSet::new(),
        first: 38,
        openings: [38].into(),
        undone: None,
        held: None,
        commit: EntryCommit {
            id: commit.clone(),
            payload_hash: hash,
            subject: "shop 1.0".to_owned(),
            claimed_author: String::new(),
            signer: None,
            first_seen: Timestamp::UNIX_EPOCH,
            ships: Vec::new(),
        },
        inputs,
        images: std::collections::BTreeSet::new(),
        opened_at: Timestamp::UNIX_EPOCH,
        settled_at: None,
        outcome: None,
        replaced_at: None,
        reasons: Vec::new(),
    }
}

fn web(value: &str) -> String {
    format!("{WEB}{value}}}\n")
}

pub(crate) fn restores_the_inputs_alone(plane: &'static ControlPlane) {
    let ground = Ground::new();
    let old = ground.commit(&[("prod/web.yaml", &web("one")), ("prod/gone.yaml", &web("two")), ("notes", "old\n")]);
    let tip = ground.commit(&[
        ("prod/web.yaml", &web("bad")),
        ("prod/gone.yaml", ""),
        ("prod/more.yaml", &web("more")),
        ("notes", "new\n"),
    ]);
    let inputs = ground.inputs(&old, &["prod/web.yaml", "prod/gone.yaml"], &[("prod", &["gone.yaml", "web.yaml"])]);
    let to = release(&old, inputs);
    let branch = "refs/heads/env/prod".parse().expect("because it is a name");
    assert_eq!(ground.push(plane, &tip, &to), Ok(Pushed::To(branch)));
    let told = ground.remote(&["log", "-1", "--format=%P %an%n%B", "env/prod"]);
    let expected =
        format!("{tip} lena@example.com\nRevert to prod/38: shop 1.0\n\nRollback-Of: prod#40\nRollback-To: prod#38");
    assert_eq!(told, expected);
    assert_eq!(ground.remote(&["diff", "--name-only", old.as_str(), "env/prod"]), "notes", "the rest is left alone");
    assert_eq!(ground.remote(&["show", "env/prod:notes"]), "new");
    let signers = ground.folder.path().join("allowed_signers");
    std::fs::write(&signers, ground.site.setup.signers.text()).expect("because it is ours");
    let trusting = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    ground.remote(&["-c", &trusting, "verify-commit", "env/prod"]);
    // What agrees already is left alone.
    let now = ground.remote(&["rev-parse", "env/prod"]).parse().expect("because git prints ids");
    assert_eq!(ground.push(plane, &now, &to), Ok(Pushed::Nothing));
}

pub(crate) fn goes_beside_a_branch_that_moved(plane: &'static ControlPlane) {
    let ground = Ground::new();
    let old = ground.commit(&[("prod/web.yaml", &web("one"))]);
    let tip = ground.commit(&[("prod/web.yaml", &web("bad"))]);
    let to = release(&old, ground.inputs(&old, &["prod/web.yaml"], &[("prod", &["web.yaml"])]));
    let moved = ground.commit(&[("prod/web.yaml", &web("worse"))]);
    let aside = "refs/heads/revert/prod/40".parse().expect("because it is a name");
    assert_eq!(ground.push(plane, &tip, &to), Ok(Pushed::To(aside)));
    assert_eq!(ground.remote(&["rev-parse", "env/prod"]), moved.as_str(), "what somebody pushed stays");
    assert_eq!(ground.remote(&["rev-parse", "revert/prod/40^"]), tip.as_str());
    // Somebody reverted by hand.
    ground.commit(&[("prod/web.yaml", &web("one"))]);
    assert_eq!(ground.push(plane, &tip, &to), Ok(Pushed::Nothing));
}

pub(crate) fn of_a_render_that_changed_its_files(plane: &'static ControlPlane) {
    let ground = Ground::new();
    let old = ground.commit(&[
        ("prod/kustomization.yaml", "resources: [../base]\n"),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", &web("one")),
        ("base/flag.yaml", "not read yet\n"),
    ]);
    let tip = ground.commit(&[
        ("base/kustomization.yaml", "resources: [flag.yaml, deep]\n"),
        ("base/flag.yaml", &web("flag")),
        ("base/deep/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/deep/web.yaml", &web("deep")),
        ("base/web.yaml", "changed, and not read\n"),
    ]);
    let files = ["prod/kustomization.yaml", "base/kustomization.yaml", "base/web.yaml"];
    let to = release(&old, ground.inputs(&old, &files, &[]));
    let pushed = ground.push(plane, &tip, &to);
    assert!(matches!(pushed, Ok(Pushed::To(_))), "{pushed:?}");
    assert_eq!(ground.remote(&["diff", "--name-only", old.as_str(), "env/prod"]), "", "all that was read is as it was");
    // A release that is not what its commit holds cannot be made again.
    let other = release(&old, Inputs::default());
    let refused = ground.push(plane, &tip, &other).expect_err("because nothing gives that");
    assert!(refused.starts_with("no revert can be made"), "{refused}");
}

pub(crate) fn leaves_alone_what_came_since(plane: &'static ControlPlane) {
    let ground = Ground::new();
    let old = ground.commit(&[("prod/web.yaml", &web("one"))]);
    let bad = ground.commit(&[("prod/web.yaml", &web("bad"))]);
    let to = release(&old, ground.inputs(&old, &["prod/web.yaml"], &[("prod", &["web.yaml"])]));
    // On top of what is undone: what waits there is not undone by the way.
    let next = ground.commit(&[("prod/web.yaml", &web("next"))]);
    let aside = "refs/heads/revert/prod/40".parse().expect("because it is a name");
    assert_eq!(ground.push_from(plane, (&bad, &next), &to), Ok(Pushed::To(aside)));
    assert_eq!(ground.remote(&["rev-parse", "env/prod"]), next.as_str());
    // After the branch agreed: an agent that begins anew has nothing to say to what came then.
    ground.commit(&[("prod/web.yaml", &web("one"))]);
    let later = ground.commit(&[("prod/web.yaml", &web("fixed"))]);
    assert_eq!(ground.push_from(plane, (&bad, &later), &to), Ok(Pushed::Nothing));
    // Nor to a branch that was put elsewhere by force.
    assert_eq!(ground.push_from(plane, (&later, &next), &to), Ok(Pushed::Nothing));
    assert_eq!(ground.remote(&["rev-parse", "env/prod"]), later.as_str());
}
