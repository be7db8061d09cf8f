//! One object under random writes.

use lockmaster::edge::cluster::{Applied, Writing};
use lockmaster::manifest::Manifest;
use lockmaster::plan::drift::{Baseline, Check, Drift, HashKey, View, check, is_as_applied, name};
use lockmaster::plan::{DryRun, field_changes};
use serde_json::{Value, json};

use crate::Ground;
use crate::objects::{path, renamed};
use crate::writes::{Dice, Request, another_wish, write};

/// The set of the test.
const SET: &str = "applyset-drift-v1";
/// Writes until an object is left for a fresh one, so that it does not only grow.
const AGE: usize = 25;
/// How often a request is sent: a machine that stands still for a minute has been seen.
const ATTEMPTS: usize = 3;
/// Characters of an object that a failure shows.
const LIVE_LIMIT: usize = 2000;

fn key() -> HashKey {
    HashKey::new(*b"a key that is only for the tests")
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The server did not take it.
    Refused,
    /// It changed nothing that is stored.
    NoEffect,
    /// The server says that it made a drift.
    Drift,
    /// The server says that it made none.
    Same,
    /// The server cannot say.
    Unknown,
}

pub(crate) struct Life<'a> {
    origin: &'a Manifest,
    manifest: Manifest,
    live: Value,
    baseline: Baseline,
    age: usize,
    heals: usize,
}

impl<'a> Life<'a> {
    /// Makes the object.
    pub(crate) async fn begin(ground: &Ground, origin: &'a Manifest) -> Self {
        let manifest = renamed(origin, &ground.name(&origin.key.name));
        let live = applied(ground, &manifest).await;
        let proven = if is_as_applied(&manifest, &live, SET) { "proven" } else { "not sure" };
        ground.count(format!("applied: {}/{} is {proven}", manifest.key.kind, origin.key.name));
        let baseline = Baseline::of(&live, &key());
        Life { origin, manifest, live, baseline, age: 0, heals: 0 }
    }

    async fn renew(&mut self, ground: &Ground) {
        let request = http::Request::delete(path(&self.manifest)).body(Vec::new()).expect("because the path is valid");
        ground.client.request::<Value>(request).await.expect("because it is there");
        *self = Life::begin(ground, self.origin).await;
    }

    /// One random write, and the verdict on it.
    pub(crate) async fn step(&mut self, ground: &Ground, dice: &mut Dice) {
        if self.age >= AGE {
            self.renew(ground).await;
        }
        let request = write(dice, &self.live, &self.manifest.value);
        match self.take(ground, &request).await {
            Told::Refused | Told::NoEffect => {}
            Told::Drift | Told::Same => self.try_another_wish(ground, dice).await,
            Told::Unknown => self.renew(ground).await,
        }
    }

    /// One write, the verdict on it, and if it made a drift, the heal.
    pub(crate) async fn take(&mut self, ground: &Ground, request: &Request) -> Told {
        ground.count("write: tried");
        let Some(live) = sent(ground, &path(&self.manifest), request).await else { return Told::Refused };
        if live["metadata"]["resourceVersion"] == self.live["metadata"]["resourceVersion"] {
            ground.count("write: without effect");
            return Told::NoEffect;
        }
        ground.count("write: done");
        self.age += 1;
        self.live = live;
        match dry_run(ground, &self.manifest).await {
            Some(DryRun::Would(would)) => self.judge(ground, request, &would).await,
            Some(DryRun::Denied(_)) => {
                ground.count("truth: the dry run is refused");
                Told::Unknown
            }
            None => {
                println!("after {}, ours {}", request.what, entry(&self.live));
                ground.count("truth: the dry run fails");
                Told::Unknown
            }
        }
    }

    async fn judge(&mut self, ground: &Ground, request: &Request, would: &Value) -> Told {
        let truth = changes(&self.live, would);
        let mut moved = self.baseline.clone();
        let whole = check(&mut moved, &self.live, View::Whole, &key());
        let only = json!({"apiVersion": self.live["apiVersion"], "metadata": self.live["metadata"]});
        let metadata = check(&mut self.baseline.clone(), &only, View::Metadata, &key());
        let proven = is_as_applied(&self.manifest, &self.live, SET);
        let drift = name(&self.manifest, &self.live, View::Whole, SET);
        ground.count(format!("verdict: {}", if truth { "drift" } else { "same" }));
        ground.count(format!("by metadata: {metadata:?}"));
        let wrong = |what: &str| ground.wrong(self.failure(what, request, would, &drift));
        match (truth, whole) {
            (true, Check::Drifted) | (false, Check::Same) => {}
            (true, _) => wrong("a drift is missed"),
            (false, _) => wrong("a false alarm"),
        }
        if metadata != Check::Look && metadata != whole {
            wrong(&format!("by metadata {metadata:?}, by the whole object {whole:?}"));
        }
        if truth && proven {
            wrong("taken as applied");
        }
        if !truth {
            ground.count(format!("same: {}", if proven { "proven" } else { "not sure" }));
            self.baseline = moved;
            return Told::Same;
        }
        if let Some(unnamed) = unnamed(&self.manifest, &self.live, would, &drift) {
            wrong(&format!("{unnamed} is not named"));
        }
        let by = drift.by.as_ref().map(|owner| owner.manager.as_str());
        let how = if drift.fields.iter().any(|field| field.drift.is_some()) { "an owner" } else { "the newest entry" };
        ground.count(match by {
            Some(by) if request.what.starts_with(by) => format!("drift: {how} is the writer"),
            Some(_) => format!("drift: {how} is another"),
            None => "drift: by nobody".to_owned(),
        });
        self.heal(ground, request, would).await;
        Told::Drift
    }

    /// A manifest that was never applied counts as applied only if its apply would change nothing.
    async fn try_another_wish(&self, ground: &Ground, dice: &mut Dice) {
        let mut other = self.manifest.clone();
        other.value = another_wish(dice, &self.manifest.value, &self.live);
        if other.value == self.manifest.value || !is_as_applied(&other, &self.live, SET) {
            return;
        }
        ground.count("another manifest: proven");
        let request = Request { what: format!("wish {}", other.value), ..Request::default() };
        let nothing = Drift { fields: Vec::new(), by: None };
        match dry_run(ground, &other).await {
            Some(DryRun::Would(would)) if changes(&self.live, &would) => {
                ground.wrong(self.failure("another manifest is taken as applied", &request, &would, &nothing));
            }
            Some(DryRun::Would(_) | DryRun::Denied(_)) | None => {}
        }
    }

    /// A forced apply does what the dry run said, is the new baseline, and is done once.
    async fn heal(&mut self, ground: &Ground, request: &Request, would: &Value) {
        self.live = applied(ground, &self.manifest).await;
        self.baseline = Baseline::of(&self.live, &key());
        self.heals += 1;
        let drift = Drift { fields: Vec::new(), by: None };
        if changes(&self.live, would) {
            ground.wrong(self.failure("the apply is not the dry run", request, would, &drift));
        }
        let before = Baseline::from_text(&self.baseline.to_text()).expect("because it was written here");
        if check(&mut before.clone(), &self.live, View::Whole, &key()) != Check::Same {
            ground.wrong(self.failure("its own baseline is another", request, would, &drift));
        }
        if self.heals % 4 == 1 {
            let again = applied(ground, &self.manifest).await;
            ground.count("apply again");
            if changes(&self.live, &again) {
                ground.wrong(self.failure("an apply again changes it", request, &again, &drift));
            } else if again["metadata"]["resourceVersion"] != self.live["metadata"]["resourceVersion"] {
                // Of a value that is owned whole and that the server adds defaults to, a co-owner loses its share.
                ground.count("apply again: a new version, for a co-owner");
                if again["metadata"]["managedFields"] == self.live["metadata"]["managedFields"] {
                    ground.wrong(self.failure("an apply again makes a new version", request, &again, &drift));
                }
            }
            self.live = again;
            self.baseline = Baseline::of(&self.live, &key());
        }
    }

    fn failure(&self, what: &str, request: &Request, would: &Value, drift: &Drift) -> String {
        let changes = field_changes(&self.manifest.key, &self.live, would);
        let pairs = changes.iter().map(|c| format!("  {}: {:?} -> {:?}", c.path, c.from, c.to)).collect::<Vec<_>>();
        let named = drift.fields.iter().map(|field| field.path.as_str()).collect::<Vec<_>>();
        let entries = (entry(&self.live), entry(would));
        let owned =
            if entries.0 == entries.1 { entries.0.to_string() } else { format!("{} -> {}", entries.0, entries.1) };
        let (manifest, request) = (&self.manifest, &request.what);
        let live: String = content(&self.live).to_string().chars().take(LIVE_LIMIT).collect();
        format!(
            "{what}: {}\n  {request}\n{}\n  named {named:?}\n  ours {owned}\n  live {live}",
            manifest.key,
            pairs.join("\n")
        )
    }
}

/// What the object is after a write; `None` if the server refused it.
async fn sent(ground: &Ground, path: &str, request: &Request) -> Option<Value> {
    let build = |method, suffix: &str, body| {
        let builder = http::Request::builder().method(method).uri(format!("{path}{suffix}"));
        builder.header("content-type", request.media).body(body).expect("because the path is valid")
    };
    let body = request.body.to_string().into_bytes();
    let answer = ground.client.request::<Value>(build(request.method, &request.suffix, body)).await;
    match answer {
        Ok(answer) if answer["kind"] != "Scale" => Some(answer),
        Ok(_) => Some(ground.client.request(build("GET", "", Vec::new())).await.expect("because it is there")),
        Err(kube::Error::Api(status)) => {
            ground.count(format!("write: refused with {}", status.code));
            None
        }
        Err(error) => panic!("{path}: {error}"),
    }
}

/// What a forced apply would make; `None` where the server fails at it again and again. Of a list element of which
/// `managedFields` names fields but not the element itself, as after an edit by hand, it can make a null that it then
/// cannot compare.
async fn dry_run(ground: &Ground, manifest: &Manifest) -> Option<DryRun> {
    for _ in 0..ATTEMPTS {
        match ground.cluster.dry_run(manifest, SET).await {
            Ok(told) => return Some(told),
            Err(error) => println!("{error}"),
        }
    }
    None
}

async fn applied(ground: &Ground, manifest: &Manifest) -> Value {
    for _ in 0..ATTEMPTS {
        match ground.cluster.apply(manifest, SET, Writing { force: true, first: false }).await {
            Applied::Done { object, .. } => return object,
            Applied::Retry { reason, .. } => println!("{}", reason.message),
            other => panic!("applied, not {other:?}"),
        }
    }
    panic!("`{}` cannot be applied", manifest.key)
}

/// Whether an apply that makes this of the live object changes it, or what we own of it.
fn changes(live: &Value, would: &Value) -> bool {
    content(live) != content(would) || entry(live) != entry(would)
}

/// What is stored, without the server's bookkeeping.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().expect("because an object has metadata");
    metadata.retain(|name, _| name != "managedFields" && name != "resourceVersion");
    object
}

/// Our entry, without its time.
fn entry(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut ours = entries.filter(|entry| entry["manager"] == "lockmaster" && entry["operation"] == "Apply");
    ours.next().map_or(Value::Null, |entry| json!({"version": entry["apiVersion"], "set": entry["fieldsV1"]}))
}

/// A field that the apply would change and that no name covers.
fn unnamed(manifest: &Manifest, live: &Value, would: &Value, drift: &Drift) -> Option<String> {
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let changes = field_changes(&manifest.key, live, would);
    let covered = |path: &str| {
        let path = fields_only(path);
        drift
            .fields
            .iter()
            .map(|field| fields_only(&field.path))
            .any(|field| below(&path, &field) || below(&field, &path))
    };
    // Fields that the server writes out of others: a count of a DaemonSet's templates, and an older name of a field.
    let derived = |path: &str| path.ends_with("template.generation']") || path.ends_with(".serviceAccount");
    let missing = changes.iter().find(|change| !covered(&change.path) && !derived(&change.path));
    let nothing = drift.fields.is_empty().then(|| "the drift".to_owned());
    missing.map(|change| format!("`{}`", change.path)).or(nothing)
}

/// A path without what tells list elements apart: which keys those are depends on who owns the list.
fn fields_only(path: &str) -> String {
    let mut rest = path;
    let mut fields = String::new();
    while let Some(at) = rest.find('[') {
        let end = if rest[at..].starts_with("['") {
            rest[at..].find("']").map(|end| end + 2)
        } else {
            rest[at..].find(']').map(|end| end + 1)
        };
        let end = at + end.expect("because a path closes what it opens");
        fields.push_str(if rest[at..].starts_with("['") { &rest[..end] } else { &rest[..at] });
        rest = &rest[end..];
    }
    fields + rest
}
