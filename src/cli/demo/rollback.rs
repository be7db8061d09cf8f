//! The chapter in which a release that was proven elsewhere fails in prod, goes back by itself, and Git follows.

use super::Stopped;
use super::ground::Ground;
use super::narrator::missed;
use super::observer::{Observer, Release};
use super::promotion::{approved_by, came_from};
use super::shop::{Files, OBJECTS, Shop, branch, path_of, retry, shared};
use super::story::{Commits, Story, released};
use crate::agent::revert;
use crate::deploylog::{Action, Cause, Entry, Phase};
use crate::name::{Code, CommitId, Principal, Reason};

/// Where prod runs.
const NAMESPACE: &str = "shop-prod";

/// What its Deployments run with 1.0 and with 1.1.
const CART_1_0: &str = "registry.example/shop/cart:1.0";
const IMAGES_1_1: [&str; 2] = ["registry.example/shop/cart:1.1", "registry.example/shop/retry:crash"];

impl Story<'_> {
    /// 1.1 comes into prod with a file of prod's own, fails there, and is rolled back. The commit that says so in Git.
    pub(super) async fn bad_release(
        &self,
        ground: &Ground,
        observer: &Observer,
        commits: &mut Commits,
    ) -> Result<CommitId, Stopped> {
        self.begin("prod").await;
        let good = (commits.prod.clone(), observer.release("prod", &commits.prod).await?);
        let bad = self.promoted(ground, observer, commits).await?;
        let failed = self.crashes(ground, observer, &bad).await?;
        self.goes_back(ground, observer, &good.1, &failed).await?;
        self.reverted(ground, observer, &good.0, &commits.prod).await
    }

    /// 1.1 goes through dev and staging; in prod it is opened.
    async fn promoted(&self, ground: &Ground, observer: &Observer, commits: &mut Commits) -> Result<Entry, Stopped> {
        let dana = &self.shop.dana;
        let mut files = commits.files.clone();
        files.extend(shared("1.1"));
        commits.dev = self.shop.commit(dana, &[&commits.dev], &files, "shop 1.1\n", true)?;
        self.shop.push("dev", &commits.dev)?;
        let in_dev = released(observer, "dev", &commits.dev, dana, [0, 2]).await?;
        commits.staging = self.merge(dana, "dev", "staging", [&commits.staging, &commits.dev], &files)?;
        let in_staging = released(observer, "staging", &commits.staging, dana, [0, 2]).await?;
        came_from(&in_staging.opened, ("dev", &in_dev))?;

        let opened = self.merge_into_prod(observer, commits, files).await?;
        came_from(&opened, ("staging", &in_staging))?;
        observer
            .until(&format!("Deployments of {IMAGES_1_1:?} in prod"), async || {
                let images = ground.images(NAMESPACE).await?;
                Ok(if images == IMAGES_1_1 { Ok(()) } else { Err(format!("{images:?}")) })
            })
            .await?;
        let text = "\"shop 1.1\", proven in dev and staging, approved by lena: 1 created, 2 updated";
        self.say("prod", &format!("{} {text}", commits.prod.short()))?;
        Ok(opened)
    }

    /// Merges 1.1 onto a commit with a file of prod's own; approved before it is pushed, it does not wait.
    async fn merge_into_prod(
        &self,
        observer: &Observer,
        commits: &mut Commits,
        mut files: Files,
    ) -> Result<Entry, Stopped> {
        let Shop { lena, omar, .. } = self.shop;
        let mut own = commits.files.clone();
        own.extend(retry());
        files.extend(retry());
        let own = self.shop.commit(omar, &[&commits.prod], &own, "prod: try payments again\n", true)?;
        let message = "Merge shop 1.1 into env/prod\n";
        commits.prod = self.shop.commit(omar, &[&own, &commits.staging], &files, message, true)?;
        self.shop.approve(lena, "prod", &commits.prod)?;
        self.shop.push("prod", &commits.prod)?;
        let opened = observer.opened("prod", &commits.prod).await?;
        approved_by(&opened, lena)?;
        let counts = opened.body.counts.unwrap_or_default();
        if [counts.create, counts.update, counts.prune] != [1, 2, 0] {
            return Err(missed("1 to create, 2 to update", format!("{counts:?}")));
        }
        Ok(opened)
    }

    /// The file of prod's own crash-loops, and the release fails by that.
    async fn crashes(&self, ground: &Ground, observer: &Observer, bad: &Entry) -> Result<Entry, Stopped> {
        self.begin("prod").await;
        observer
            .until("a pod of prod's Deployment/retry in CrashLoopBackOff", async || {
                let waiting = ground.waiting(NAMESPACE, "retry").await?;
                let crashes = waiting.iter().any(|reason| reason == "CrashLoopBackOff");
                Ok(if crashes { Ok(()) } else { Err(format!("{waiting:?}")) })
            })
            .await?;
        let failed = observer.ended("prod", bad.sequence, "shop 1.1 failed").await?;
        let reasons = &failed.body.reasons;
        let is_it = |reason: &Reason| reason.code == Code::ObjectFailed && reason.message.contains("Deployment/retry");
        if failed.body.phase != Some(Phase::Failed) || !reasons.first().is_some_and(is_it) {
            let seen = format!("{:?} {reasons:?}", failed.body.phase);
            return Err(missed("shop 1.1 failed in prod, by Deployment/retry", seen));
        }
        let text = format!("Deployment/retry, which prod alone has, crash-loops: failed (prod/{})", failed.sequence);
        self.say("prod", &text)?;
        Ok(failed)
    }

    /// The agent goes back to what was good, from the bytes that it stored.
    async fn goes_back(
        &self,
        ground: &Ground,
        observer: &Observer,
        good: &Release,
        failed: &Entry,
    ) -> Result<(), Stopped> {
        self.subject.set("prod");
        let to = good.opened.sequence;
        let expected = format!("rolled back to prod/{to}");
        let opened = observer
            .entry("prod", &expected, |entry| {
                entry.body.action == Action::Rollback && entry.body.phase == Some(Phase::Opened)
            })
            .await?;
        let body = &opened.body;
        let back = body.rollback.as_ref().map(|back| (back.to, back.cause));
        // Read from the store, and not rendered again.
        let (recalled, rendered) = (body.durations_ms.contains_key("recall"), body.durations_ms.contains_key("render"));
        if back != Some((to, Cause::Failure)) || body.release != good.opened.body.release || !recalled || rendered {
            return Err(missed(format!("{expected}, recalled by the agent"), format!("{body:?}")));
        }
        let proven = observer.ended("prod", opened.sequence, &format!("{expected} and healthy")).await?;
        if proven.body.phase != Some(Phase::Proven) {
            return Err(missed(format!("{expected} and healthy"), format!("{:?}", proven.body.reasons)));
        }
        self.as_before(ground, observer).await?;
        let held = body.hold.iter().flat_map(|held| held.files.keys());
        let brought = ["prod/retry.yaml", "shop/cart.yaml", "shop/settings.yaml"].map(path_of);
        if !held.clone().eq(&brought) {
            return Err(missed(format!("{brought:?} on hold"), format!("{:?}", held.collect::<Vec<_>>())));
        }
        let took = proven.time.duration_since(failed.time).as_millis();
        let text = format!("rolled back to prod/{to} from stored bytes in {took} ms; what 1.1 brought is on hold");
        self.say("prod", &format!("{text} (prod/{})", opened.sequence))
    }

    /// The objects of 1.0 are there, and no other Deployment.
    async fn as_before(&self, ground: &Ground, observer: &Observer) -> Result<(), Stopped> {
        let there = observer.objects("prod").await?.len() as u64;
        let images = ground.images(NAMESPACE).await.map_err(Stopped::of)?;
        if there == OBJECTS && images == [CART_1_0] {
            return Ok(());
        }
        let expected = format!("{OBJECTS} objects in prod, and Deployments of {CART_1_0} alone");
        Err(missed(expected, format!("{there} objects, and Deployments of {images:?}")))
    }

    /// The agent makes Git agree: a signed commit on top, with the inputs of what is good.
    async fn reverted(
        &self,
        ground: &Ground,
        observer: &Observer,
        good: &CommitId,
        bad: &CommitId,
    ) -> Result<CommitId, Stopped> {
        self.begin("prod").await;
        let moved = observer.until("a revert on env/prod", async || {
            let tip = self.shop.tip("prod")?;
            Ok(if tip == *bad { Err(format!("still {}", bad.short())) } else { Ok(tip) })
        });
        let revert = moved.await?;
        let commits = self.shop.judged("prod", &ground.scratch())?;
        let signers: Vec<_> = [&revert, bad]
            .map(|id| commits.iter().find(|commit| commit.id == *id).and_then(|commit| commit.signer.as_ref()))
            .map(|signer| signer.map_or("nobody", Principal::as_str))
            .to_vec();
        let expected = [self.shop.agent.email.as_str(), &self.shop.omar.email];
        if signers != expected {
            return Err(missed(
                format!("a revert on top of {}, signed by {expected:?}", bad.short()),
                format!("{signers:?}"),
            ));
        }
        let environment = observer.environment("prod")?;
        let (name, tip) = (branch("prod"), revert.clone());
        let fetched = observer.site.with_mirror(move |mirror| mirror.fetch(&[(name, tip)])).await;
        fetched.map_err(|error| Stopped::of(error.reason()))?;
        let mut inputs = Vec::new();
        for commit in [&revert, good] {
            inputs.push(revert::inputs(&observer.site, &environment, commit).await.map_err(Stopped::of)?);
        }
        if inputs[0].is_none() || inputs[0] != inputs[1] {
            return Err(missed(format!("the inputs of {}", good.short()), format!("{:?}", inputs[0])));
        }
        observer.state("prod", "current").await?;
        let (short, good) = (revert.short(), good.short());
        let text = format!("agent signs and pushes revert {short}, inputs equal to {good}: Git and cluster agree");
        self.say("prod", &text)?;
        Ok(revert)
    }
}
