//! The chapters. Each line is printed after what it says was seen: in Git, in the cluster, in the agent's log, or at the
//! agent's own addresses.

use std::cell::Cell;

use super::Stopped;
use super::ground::Ground;
use super::narrator::{Narrator, missed};
use super::observer::{Observer, Release, Written};
use super::shop::{Files, OBJECTS, Person, Shop, own, path_of, shared};
use crate::cli::diagnostic::Verdict;
use crate::cli::{held, status};
use crate::deploylog::Action;
use crate::edge::clock;
use crate::name::{Code, CommitId, Principal, Reason};

/// How many copies of the cart there are.
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

/// The commits that branches come to, and the files of 1.0.
pub(super) struct Commits {
    pub(super) first: CommitId,
    pub(super) dev: CommitId,
    pub(super) staging: CommitId,
    pub(super) prod: CommitId,
    pub(super) files: Files,
}

impl Story<'_> {
    pub(super) async fn begin(&self, subject: &'static str) {
        self.subject.set(subject);
        self.narrator.step().await;
    }

    pub(super) fn say(&self, subject: &'static str, text: &str) -> Result<(), Stopped> {
        self.subject.set(subject);
        Ok(self.narrator.say(subject, text)?)
    }

    /// Keys and a repository.
    pub(super) async fn prepare(&self, ground: &Ground) -> Result<Commits, Stopped> {
        self.begin("keys").await;
        let signers = self.shop.signers()?;
        let Shop { dana, lena, omar, agent, mallory, .. } = self.shop;
        for (person, known) in [(dana, true), (lena, true), (omar, true), (agent, true), (mallory, false)] {
            let principal: Principal = person.email.parse().expect("because it is one word");
            if signers.knows(&principal) != known {
                return Err(missed(format!("{principal} a signer: {known}"), !known));
            }
        }
        self.say("keys", "dana, lena, omar and the agent have ed25519 keys in `allowed_signers`, mallory has not")?;
        self.begin("git").await;
        let commits = self.commits()?;
        let count = self.shop.judged("dev", &ground.scratch())?.len();
        for environment in ["staging", "prod"] {
            self.shop.judged(environment, &ground.scratch())?;
        }
        self.say("git", &format!("repository `shop`: env/dev, env/staging, env/prod; {count} commits, each signed"))?;
        Ok(commits)
    }

    /// All branches begin with what is each environment's own; dev then has the shop.
    fn commits(&self) -> Result<Commits, Stopped> {
        let dana = &self.shop.dana;
        let mut files = Files::from([(path_of("README.md"), "# The manifests of a shop\n".to_owned())]);
        for environment in ["dev", "staging", "prod"] {
            files.extend(own(environment));
        }
        let first = self.shop.commit(dana, &[], &files, "shop: begin\n", true)?;
        files.extend(shared("1.0"));
        let dev = self.shop.commit(dana, &[&first], &files, "shop 1.0\n", true)?;
        for (environment, commit) in [("dev", &dev), ("staging", &first), ("prod", &first)] {
            self.shop.push(environment, commit)?;
        }
        Ok(Commits { staging: first.clone(), prod: first.clone(), first, dev, files })
    }

    /// The cluster answers, the agent is ready, and everything gets deployed.
    pub(super) async fn deploy(&self, ground: &Ground, observer: &Observer, commits: &Commits) -> Result<(), Stopped> {
        let version = ground.version().await?;
        let version = version.split('-').next().unwrap_or_default();
        self.say("cluster", &format!("embedded Kubernetes API {version} on {}; pods are simulated", ground.url()))?;
        self.begin("agent").await;
        observer.ready().await?;
        let count = observer.site.environments().len();
        self.say(
            "agent",
            &format!("ready, follows {count} branches; images are compared, not fetched: no registry here"),
        )?;
        self.rules(observer)?;
        self.begin("dev").await;
        let dana = &self.shop.dana;
        let release = released(observer, "dev", &commits.dev, dana, [OBJECTS, 0]).await?;
        self.say_released("dev", &release, dana)
    }

    /// Who must approve what goes into prod, as the pipeline says it.
    fn rules(&self, observer: &Observer) -> Result<(), Stopped> {
        let setup = &observer.site.setup.pipeline;
        let prod = observer.environment("prod")?;
        let ways: Vec<&str> = setup.upstreams_of(&prod).iter().map(|environment| environment.name.as_str()).collect();
        if ways != ["staging", "dev"] {
            return Err(missed("prod from staging from dev", format!("{ways:?}")));
        }
        let approvals = setup.rules(&prod).approvals.ok_or_else(|| missed("approvals in prod", "none"))?;
        let who: Vec<String> = approvals.who.iter().flatten().map(ToString::to_string).collect();
        if (approvals.count, approvals.exclude_author) != (1, true)
            || who != [self.shop.lena.email.as_str(), &self.shop.omar.email]
        {
            return Err(missed("1 approval by lena or omar, authors excluded", format!("{approvals:?}")));
        }
        self.say("rules", "dev -> staging -> prod; prod asks lena or omar for 1 approval, never an author's")
    }

    /// Tells a release by the commit that brought it.
    fn say_released(&self, environment: &'static str, release: &Release, by: &Person) -> Result<(), Stopped> {
        let commit = release.opened.body.commit.as_ref().ok_or_else(|| missed("a commit in the entry", "none"))?;
        let (short, told) = (commit.id.short(), release.told(environment));
        self.say(environment, &format!("{short} \"{}\" by {}: verified, {told}", commit.subject, by.name))
    }

    /// Somebody changes prod by hand.
    pub(super) async fn edit(&self, ground: &Ground, observer: &Observer) -> Result<(), Stopped> {
        self.begin("edit").await;
        let before = Heals::of(observer).await.map_err(Stopped::of)?;
        ground.scale("shop-prod", "cart", BY_HAND).await?;
        let text = format!(
            "Deployment/cart in prod: replicas set from {REPLICAS} to {BY_HAND} by hand (manager kubectl-edit)"
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
        change(&mut files, "shop/settings.yaml", "SHIPPING: \"4.90\"", "SHIPPING: \"0.00\"")?;
        let bad = self.shop.commit(&self.shop.mallory, &[&commits.dev], &files, "free shipping\n", false)?;
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
        let stood = observer.standing(environment).await?;
        let entry = observer
            .entry(environment, &expected, |entry| {
                let of = entry.body.commit.as_ref().map(|of| &of.id);
                entry.sequence > stood && entry.body.action == Action::Refuse && of == Some(commit)
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

    /// Somebody moves prod back to where it began.
    pub(super) async fn rewound(
        &self,
        observer: &Observer,
        commits: &Commits,
        revert: &CommitId,
    ) -> Result<(), Stopped> {
        self.begin("mallory").await;
        let before = observer.written("prod").await?;
        let (first, head) = (&commits.first, &commits.prod);
        self.shop.push("prod", first)?;
        self.say("mallory", &format!("force-pushes env/prod to its first commit, {}", first.short()))?;
        self.subject.set("prod");
        // Its number depends on who was first after the rollback: the revert, or a look at the branch without it.
        self.refused(observer, "prod", first, Code::RefRewound, &before).await?;
        let ancestor = format!("{} is an ancestor of the accepted head {}", first.short(), head.short());
        observer.reason("prod", &format!("an ancestor of the accepted head {}", head.short())).await?;
        let text = format!("refused[ref-rewound]: {ancestor}, 0 writes");
        self.say("prod", &text)?;
        self.begin("omar").await;
        self.shop.push("prod", revert)?;
        observer.state("prod", "current").await?;
        self.say("omar", &format!("puts env/prod back to {}", revert.short()))
    }

    /// Where everything stands, in the words of `lockmaster status`.
    pub(super) async fn status(&self, observer: &Observer) -> Result<(), Stopped> {
        self.begin("status").await;
        let views =
            status::views(&observer.site, &[], &std::collections::BTreeMap::new()).await.map_err(Stopped::of)?;
        let logs = held::logs(&observer.site, &views).await;
        let answer = status::present(&observer.site, &views, &logs, clock::now(), "cluster", true);
        self.narrator.show(&answer)?;
        if answer.verdict == Verdict::Good { Ok(()) } else { Err(missed("all well", "a finding, above")) }
    }
}

/// Waits for a release, and checks who signed it, how much it made and changed, and that the objects are there.
pub(super) async fn released(
    observer: &Observer,
    environment: &str,
    commit: &CommitId,
    by: &Person,
    [created, updated]: [u64; 2],
) -> Result<Release, Stopped> {
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
    Ok(release)
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
