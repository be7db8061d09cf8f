//! The chapter in which a release goes from environment to environment.

use serde_json::Value;

use super::Stopped;
use super::narrator::missed;
use super::observer::{Observer, Release};
use super::shop::{Files, OBJECTS, OWN_IMAGE, Person};
use super::story::{Commits, Story, released};
use crate::deploylog::{Action, Entry};
use crate::name::{Code, CommitId};
use crate::render::image_name;

impl Story<'_> {
    /// What ran in dev goes to staging, and from there to prod once lena has approved it.
    pub(super) async fn promote(&self, observer: &Observer, commits: &mut Commits) -> Result<(), Stopped> {
        let in_dev = observer.release("dev", &commits.dev).await?;
        let in_staging = self.staging(observer, commits, &in_dev).await?;
        self.begin("prod").await;
        let omar = &self.shop.omar;
        commits.prod = self.merge(omar, "staging", "prod", [&commits.first, &commits.staging], &commits.files)?;
        let waits = self.waits(observer, &commits.prod).await?;
        let short = commits.prod.short();
        self.say("prod", &format!("omar merges staging, {short}: waits for approvals, 0 of 1, omar is the author"))?;
        self.own_approval(observer, &commits.prod).await?;
        let released = self.approved(observer, &commits.prod, &waits).await?;
        came_from(&released.opened, ("staging", &in_staging))?;
        same_image(observer).await?;
        let (from, told) = (in_staging.opened.sequence, released.told("prod"));
        self.say("prod", &format!("{short}: same content as staging/{from}, {told}"))
    }

    async fn staging(&self, observer: &Observer, commits: &mut Commits, proof: &Release) -> Result<Release, Stopped> {
        self.begin("staging").await;
        // The branch has nothing to deploy before: told so once, it does not meet the merge.
        observer.state("staging", "refused").await?;
        observer.state("prod", "refused").await?;
        let dana = &self.shop.dana;
        commits.staging = self.merge(dana, "dev", "staging", [&commits.first, &commits.dev], &commits.files)?;
        let release = released(observer, "staging", &commits.staging, dana, [OBJECTS, 0]).await?;
        came_from(&release.opened, ("dev", proof))?;
        let (from, told) = (proof.opened.sequence, release.told("staging"));
        self.say("staging", &format!("dana merges dev: same content as dev/{from}, {told}"))?;
        Ok(release)
    }

    /// Merges a branch into another, and pushes that.
    pub(super) fn merge(
        &self,
        who: &Person,
        from: &str,
        into: &str,
        parents: [&CommitId; 2],
        files: &Files,
    ) -> Result<CommitId, Stopped> {
        let message = format!("Merge env/{from} into env/{into}\n");
        let merge = self.shop.commit(who, &parents, files, &message, true)?;
        self.shop.push(into, &merge)?;
        Ok(merge)
    }

    /// Waits until prod waits for approvals and for nothing else, with nothing deployed.
    async fn waits(&self, observer: &Observer, commit: &CommitId) -> Result<Entry, Stopped> {
        let expected = format!("{} waits", commit.short());
        let waits = observer
            .entry("prod", &expected, |entry| {
                entry.body.action == Action::Wait && entry.body.commit.as_ref().is_some_and(|of| of.id == *commit)
            })
            .await?;
        let codes: Vec<Code> = waits.body.reasons.iter().map(|reason| reason.code).collect();
        if codes != [Code::ApprovalsMissing] {
            return Err(missed("approvals-missing alone", format!("{codes:?}")));
        }
        let value = gate(&waits, "approvals");
        if !value.starts_with("0 of 1 ") {
            return Err(missed("0 of 1 approvals", value));
        }
        let signer = waits.body.commit.as_ref().and_then(|commit| commit.signer.as_ref());
        let signer = signer.map_or(String::new(), |signer| signer.principal.to_string());
        if signer != self.shop.omar.email {
            return Err(missed("signed by omar", signer));
        }
        observer.nothing_stands("prod").await?;
        observer.state("prod", "waiting").await?;
        Ok(waits)
    }

    /// An author's approval counts for nothing.
    async fn own_approval(&self, observer: &Observer, commit: &CommitId) -> Result<(), Stopped> {
        self.begin("omar").await;
        let name = self.shop.approve(&self.shop.omar, "prod", commit)?;
        let expected = format!("{name}: {} is an author of what is newly shipped", self.shop.omar.email);
        observer.reason("prod", &expected).await?;
        observer.nothing_stands("prod").await?;
        self.say("omar", &format!("signs tag {name}: still 0 of 1, an author does not count"))
    }

    /// Another's does: only then the release is opened.
    async fn approved(&self, observer: &Observer, commit: &CommitId, waits: &Entry) -> Result<Release, Stopped> {
        self.begin("prod").await;
        let name = self.shop.approve(&self.shop.lena, "prod", commit)?;
        let opened = observer.opened("prod", commit).await?;
        approved_by(&opened, &self.shop.lena)?;
        if opened.sequence <= waits.sequence {
            return Err(missed(format!("opened after prod/{}", waits.sequence), format!("prod/{}", opened.sequence)));
        }
        self.say("prod", &format!("lena signs tag {name}: admitted"))?;
        released(observer, "prod", commit, &self.shop.omar, [OBJECTS, 0]).await
    }
}

/// What a gate found, as the entry has it.
fn gate(entry: &Entry, name: &str) -> String {
    entry.body.gates.iter().find(|gate| gate.name == name).map_or(String::new(), |gate| gate.value.clone())
}

/// Checks that a release was opened with the approval of one person.
pub(super) fn approved_by(opened: &Entry, who: &Person) -> Result<(), Stopped> {
    let value = gate(opened, "approvals");
    if value.starts_with("1 of 1 ") && value.ends_with(&who.email) {
        Ok(())
    } else {
        Err(missed(format!("1 of 1 approvals, by {}", who.name), value))
    }
}

/// Checks that a promotion names the entry that proved it, and runs the images that ran there, besides its own.
pub(super) fn came_from(opened: &Entry, (environment, proof): (&str, &Release)) -> Result<(), Stopped> {
    let (body, proof) = (&opened.body, &proof.opened);
    let expected = format!("promoted from {environment}/{}", proof.sequence);
    if body.action != Action::Promote {
        return Err(missed(expected, format!("{:?}", body.action)));
    }
    match &body.upstream {
        Some(from) if from.environment.as_str() == environment && from.sequence == proof.sequence => {}
        found => return Err(missed(expected, format!("{found:?}"))),
    }
    let shared: Vec<&String> = body.images.iter().filter(|image| image_name(image) != OWN_IMAGE).collect();
    if shared.is_empty() || !shared.iter().copied().eq(&proof.body.images) {
        return Err(missed(format!("the images {:?}", proof.body.images), format!("{:?}", body.images)));
    }
    Ok(())
}

/// Checks that the cart that runs is one and the same everywhere.
async fn same_image(observer: &Observer) -> Result<(), Stopped> {
    let in_dev = image(observer, "dev").await?;
    for environment in ["staging", "prod"] {
        let found = image(observer, environment).await?;
        if found != in_dev || found.is_empty() {
            return Err(missed(format!("{in_dev} in {environment}"), found));
        }
    }
    Ok(())
}

/// The image that an environment's Deployment has in the cluster.
async fn image(observer: &Observer, environment: &str) -> Result<String, Stopped> {
    let found = observer.objects(environment).await?.into_values().find_map(|object| {
        let image = object.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str);
        image.filter(|_| object["kind"] == "Deployment").map(str::to_owned)
    });
    Ok(found.unwrap_or_default())
}
