//! The chapters. Each line is printed after what it says was seen: in Git, in the cluster, in the agent's log, or at the
//! agent's own addresses.

use std::cell::Cell;

use super::Stopped;
use super::ground::Ground;
use super::narrator::{Narrator, missed};
use super::observer::{Observer, Written};
use super::shop::{Files, OBJECTS, Person, Shop, manifests};
use crate::cli::diagnostic::Verdict;
use crate::cli::status;
use crate::deploylog::Action;
use crate::edge::clock;
use crate::name::{Code, CommitId, Principal, Reason};

/// How many copies of the cart prod has.
const REPLICAS: u32 = 3;

/// How many somebody wants by hand.
const BY_HAND: u32 = 9;

/// Tells the story.
pub(super) struct Story<'s> {
    pub(super) narrator: &'s Narrator<'s>,
    pub(super) shop: &'s Shop,
    /// What the chapter that is told is about, for the line that says it failed.
    pub(super) subject: &'s Cell<&'static str>,
}

/// The commits of the beginning.
pub(super) struct Commits {
    first: CommitId,
    dev: CommitId,
    staging: CommitId,
    prod: CommitId,
    files: Files,
}

impl Story<'_> {
    async fn begin(&self, subject: &'static str) {
        self.subject.set(subject);
        self.narrator.step().await;
    }

    fn say(&self, subject: &'static str, text: &str) -> Result<(), Stopped> {
        self.subject.set(subject);
        Ok(self.narrator.say(subject, text)?)
    }

    /// Keys and a repository.
    pub(super) async fn prepare(&self, ground: &Ground) -> Result<Commits, Stopped> {
        self.begin("keys").await;
        let signers = self.shop.signers()?;
        for (person, known) in [(&self.shop.dana, true), (&self.shop.omar, true), (&self.shop.mallory, false)] {
            let principal: Principal = person.email.parse().expect("because it is one word");
            if signers.knows(&principal) != known {
                return Err(missed(format!("{principal} a signer: {known}"), !known));
            }
        }
        self.say(
            "keys",
            "dana and omar have ed25519 keys, listed in `allowed_signers`; mallory's key is in no signers file",
        )?;
        self.begin("git").await;
        let commits = self.commits()?;
        let count = self.shop.judged("prod", &ground.scratch())?;
        for environment in ["dev", "staging"] {
            self.shop.judged(environment, &ground.scratch())?;
        }
        self.say("git", &format!("repository `shop`: env/dev, env/staging, env/prod; {count} commits, each signed"))?;
        Ok(commits)
    }

    fn commits(&self) -> Result<Commits, Stopped> {
        let Shop { dana, omar, .. } = self.shop;
        let readme = "README.md".parse().expect("because it is a path");
        let mut files = Files::from([(readme, "# The manifests of a shop\n".to_owned())]);
        let first = self.shop.commit(dana, None, &files, "shop: begin\n", true)?;
        let mut next = |who: &Person, parent: &CommitId, environment: &str, replicas: u32, message: &str| {
            files.extend(manifests(environment, replicas, "1.0"));
            self.shop.commit(who, Some(parent), &files, message, true)
        };
        let dev = next(dana, &first, "dev", 1, "shop 1.0\n")?;
        let staging = next(omar, &dev, "staging", 1, "staging: shop 1.0\n")?;
        let prod = next(omar, &staging, "prod", REPLICAS, "prod: shop 1.0, three carts\n")?;
        for (environment, commit) in [("dev", &dev), ("staging", &staging), ("prod", &prod)] {
            self.shop.push(environment, commit)?;
        }
        files.retain(|path, _| !path.as_str().starts_with("staging/") && !path.as_str().starts_with("prod/"));
        Ok(Commits { first, dev, staging, prod, files })
    }

    /// The cluster answers, the agent is ready, and everything gets deployed.
    pub(super) async fn deploy(&self, ground: &Ground, observer: &Observer, commits: &Commits) -> Result<(), Stopped> {
        let version = ground.version().await?;
        self.say("cluster", &format!("embedded Kubernetes API {version} on {}; pods are simulated", ground.url()))?;
        self.begin("agent").await;
        observer.ready().await?;
        let count = observer.site.environments().len();
        self.say(
            "agent",
            &format!("ready, follows {count} branches; images are compared, not fetched: the demo has no registry"),
        )?;
        for (environment, commit, by) in [
            ("dev", &commits.dev, &self.shop.dana),
            ("staging", &commits.staging, &self.shop.omar),
            ("prod", &commits.prod, &self.shop.omar),
        ] {
            self.begin(environment).await;
            let text = self.released(observer, environment, commit, by, [OBJECTS, 0]).await?;
            self.say(environment, &text)?;
        }
        Ok(())
    }

    /// Waits for a release, and checks who signed it, how much it made and changed, and that the objects are there.
    async fn released(
        &self,
        observer: &Observer,
        environment: &str,
        commit: &CommitId,
        by: &Person,
        [created, updated]: [u64; 2],
    ) -> Result<String, Stopped> {
        let release = observer.release(environment, commit).await?;
        let body = &release.opened.body;
        let counts = body.counts.unwrap_or_default();
        if [counts.create, counts.update, counts.prune] != [created, updated, 0] {
            return Err(missed(format!("{created} to create, {updated} to update"), format!("{counts:?}")));
        }
        let entry_commit = body.commit.as_ref().ok_or_else(|| missed("a commit in the entry", "none"))?;
        let signer = entry_commit.signer.as_ref().map_or(String::new(), |signer| signer.principal.to_string());
        if signer != by.email {
            return Err(missed(format!("signed by {}", by.email), signer));
        }
        let there = observer.objects(environment).await?.len() as u64;
        if there != OBJECTS {
            return Err(missed(format!("{OBJECTS} objects"), there));
        }
        observer.state(environment, "current").await?;
        let done = if created > 0 {
            format!("{created} objects created")
        } else {
            format!("{updated} of {OBJECTS} objects updated")
        };
        Ok(format!(
            "{} \"{}\" by {}: signature verified, {done}, healthy in {} ms ({environment}/{})",
            commit.short(),
            entry_commit.subject,
            by.name,
            release.took_ms(),
            release.proven.sequence
        ))
    }

    /// Somebody changes prod by hand.
    pub(super) async fn edit(&self, ground: &Ground, observer: &Observer) -> Result<(), Stopped> {
        self.begin("edit").await;
        let before = Heals::of(observer).await.map_err(Stopped::of)?;
        ground.scale("shop-prod", "cart", BY_HAND).await?;
        let text = format!(
            "spec.replicas of Deployment/cart in prod set from {REPLICAS} to {BY_HAND} by hand (manager kubectl-edit)"
        );
        self.say("edit", &text)?;
        self.subject.set("prod");
        let expected = format!("spec.replicas of Deployment/cart back at {REPLICAS}");
        observer
            .until(&expected, async || {
                let found = ground.replicas("shop-prod", "cart").await?;
                Ok(if found == Some(u64::from(REPLICAS)) { Ok(()) } else { Err(format!("{found:?}")) })
            })
            .await?;
        let after = observer
            .until("one heal among the agent's metrics", async || {
                let after = Heals::of(observer).await?;
                let count = after.count - before.count;
                Ok(if count == 1.0 { Ok(after) } else { Err(format!("{count} heals")) })
            })
            .await?;
        let (ms, requests) = ((after.seconds - before.seconds) * 1000.0, after.applies - before.applies);
        let plural = if requests == 1.0 { "" } else { "s" };
        self.say(
            "prod",
            &format!("drift healed to {REPLICAS}, {ms:.0} ms after the watch event, {requests} request{plural}"),
        )
    }

    /// Somebody who may push and may not sign.
    pub(super) async fn unsigned(&self, observer: &Observer, commits: &Commits) -> Result<(), Stopped> {
        self.begin("mallory").await;
        let before = observer.written("dev").await?;
        let mut files = commits.files.clone();
        change(&mut files, "dev/settings.yaml", "SHIPPING: \"4.90\"", "SHIPPING: \"0.00\"")?;
        let bad = self.shop.commit(&self.shop.mallory, Some(&commits.dev), &files, "free shipping\n", false)?;
        self.shop.push("dev", &bad)?;
        self.say("mallory", &format!("pushes {} \"free shipping\" to env/dev, unsigned", bad.short()))?;
        self.subject.set("dev");
        let sequence = self.refused(observer, "dev", &bad, Code::UnsignedCommit, &before).await?;
        let (bad, good) = (bad.short(), commits.dev.short());
        self.say(
            "dev",
            &format!("refused[unsigned-commit]: {bad}; {good} stays, 0 writes to the cluster (dev/{sequence})"),
        )?;
        self.begin("dana").await;
        self.shop.push("dev", &commits.dev)?;
        observer.state("dev", "current").await?;
        self.say("dana", &format!("puts env/dev back to {good}: no rewind, {bad} was never accepted"))
    }

    /// Waits for a refusal, and checks that nothing was written: no object is another than before,
    /// and the agent counts no write.
    async fn refused(
        &self,
        observer: &Observer,
        environment: &str,
        commit: &CommitId,
        code: Code,
        before: &Written,
    ) -> Result<u64, Stopped> {
        let expected = format!("{} refused[{code}]", commit.short());
        let entry = observer
            .entry(environment, &expected, |entry| {
                entry.body.action == Action::Refuse && entry.body.commit.as_ref().is_some_and(|of| of.id == *commit)
            })
            .await?;
        let codes: Vec<Code> = entry.body.reasons.iter().map(|reason| reason.code).collect();
        if codes.first() != Some(&code) {
            return Err(missed(expected, format!("{codes:?}")));
        }
        observer.state(environment, "refused").await?;
        let after = observer.written(environment).await?;
        let other = before.objects.iter().find(|(key, object)| after.objects.get(key) != Some(object));
        match other {
            None if after == *before => Ok(entry.sequence),
            None => Err(missed("0 writes to the cluster", format!("{} by the agent", after.writes - before.writes))),
            Some((key, _)) => Err(missed("0 writes to the cluster", format!("`{key}` was written"))),
        }
    }

    /// A new release, and the way back.
    pub(super) async fn change_and_revert(&self, observer: &Observer, commits: &Commits) -> Result<(), Stopped> {
        self.begin("dev").await;
        let dana = &self.shop.dana;
        let mut files = commits.files.clone();
        files.extend(manifests("dev", 1, "1.1"));
        let new = self.shop.commit(dana, Some(&commits.dev), &files, "shop 1.1\n", true)?;
        self.shop.push("dev", &new)?;
        let text = self.released(observer, "dev", &new, dana, [0, 2]).await?;
        self.say("dev", &text)?;
        self.begin("dev").await;
        let message = format!("Revert \"shop 1.1\"\n\nThis reverts commit {new}.\n");
        let revert = self.shop.commit(dana, Some(&new), &commits.files, &message, true)?;
        self.shop.push("dev", &revert)?;
        let text = self.released(observer, "dev", &revert, dana, [0, 2]).await?;
        let image = observer.objects("dev").await?.into_values().find_map(|object| {
            let image = object.pointer("/spec/template/spec/containers/0/image").and_then(serde_json::Value::as_str);
            image.filter(|_| object["kind"] == "Deployment").map(str::to_owned)
        });
        if !image.as_deref().is_some_and(|image| image.ends_with(":1.0")) {
            return Err(missed("the image of shop 1.0", image.unwrap_or_default()));
        }
        self.say("dev", &text)
    }

    /// Somebody moves prod back to where it began.
    pub(super) async fn rewound(&self, observer: &Observer, commits: &Commits) -> Result<(), Stopped> {
        self.begin("mallory").await;
        let before = observer.written("prod").await?;
        let (first, head) = (&commits.first, &commits.prod);
        self.shop.push("prod", first)?;
        self.say("mallory", &format!("force-pushes env/prod to its first commit, {}", first.short()))?;
        self.subject.set("prod");
        let sequence = self.refused(observer, "prod", first, Code::RefRewound, &before).await?;
        let text = format!(
            "refused[ref-rewound]: {} is an ancestor of the accepted head {}, 0 writes (prod/{sequence})",
            first.short(),
            head.short()
        );
        self.say("prod", &text)?;
        self.begin("omar").await;
        self.shop.push("prod", head)?;
        observer.state("prod", "current").await?;
        self.say("omar", &format!("puts env/prod back to {}", head.short()))
    }

    /// Where everything stands, in the words of `lockmaster status`.
    pub(super) async fn status(&self, observer: &Observer) -> Result<(), Stopped> {
        self.begin("status").await;
        let views =
            status::views(&observer.site, &[], &std::collections::BTreeMap::new()).await.map_err(Stopped::of)?;
        let answer = status::present(&observer.site, &views, clock::now(), "cluster", true);
        self.narrator.show(&answer)?;
        if answer.verdict == Verdict::Good { Ok(()) } else { Err(missed("all well", "a finding, above")) }
    }
}

/// What the agent's metrics say about healing prod.
struct Heals {
    count: f64,
    seconds: f64,
    /// Requests that apply something, anywhere.
    applies: f64,
}

impl Heals {
    async fn of(observer: &Observer) -> Result<Heals, Reason> {
        let prod = ["environment=\"prod\""];
        Ok(Heals {
            count: observer.metric("lockmaster_drift_heal_seconds_count", &prod).await?,
            seconds: observer.metric("lockmaster_drift_heal_seconds_sum", &prod).await?,
            applies: observer.metric("lockmaster_cluster_requests_total", &["verb=\"apply\""]).await?,
        })
    }
}

/// Changes a word of a file.
fn change(files: &mut Files, path: &str, from: &str, to: &str) -> Result<(), Stopped> {
    let path = path.parse().expect("because it is a path");
    match files.get_mut(&path) {
        Some(text) if text.contains(from) => {
            *text = text.replace(from, to);
            Ok(())
        }
        _ => Err(missed(format!("`{from}` in `{path}`"), "nothing like it")),
    }
}
