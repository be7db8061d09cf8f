//! What an apply alone cannot do: to become the only author of an object that others applied before, and to give up a
//! field without changing it.

use http::Request;
use serde_json::{Value, json};

use super::answer::{Answer, Meaning};
use super::apply::{Applied, Mode};
use super::{Cluster, ClusterError, WRITE_LIMIT};
use crate::manifest::Manifest;
use crate::name::{Code, Reason};
use crate::plan::drift::View;
use crate::plan::{self, FIELD_MANAGER, HANDOFF_MANAGER, Live};

/// How often something is judged again that changed between our look and our write.
const ATTEMPTS: usize = 2;

/// kubectl's copy of what it applied, as a JSON pointer.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

impl Cluster {
    /// Gives the number of replicas to another field manager where our entry owns it and a scaler shall decide it.
    ///
    /// The live number is applied without force: if it is another one meanwhile, somebody else owns it by that, and the
    /// object is judged again. `None`: go on.
    pub(super) async fn hand_off_count(&self, manifest: &Manifest) -> Result<Option<Applied>, ClusterError> {
        if !manifest.scaled {
            return Ok(None);
        }
        let what = format!("hand-off of `spec.replicas` of `{}`", manifest.key);
        for _ in 0..ATTEMPTS {
            let Live::Present(object) = self.look(manifest).await? else { return Ok(None) };
            let Some(count) = plan::count_to_hand_off(manifest, &object) else { return Ok(None) };
            let metadata = &object["metadata"];
            // The uid is a precondition: an object that went meanwhile is not made anew from this one field.
            let mut body = json!({"apiVersion": manifest.kind.api_version(), "kind": manifest.kind.kind,
                                  "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
                                  "spec": {"replicas": count}});
            if let Some(namespace) = &manifest.key.namespace {
                body["metadata"]["namespace"] = json!(namespace);
            }
            let answer = self.server_side_apply(manifest, HANDOFF_MANAGER, Mode::Yielding, &body, &what).await?;
            match answer.meaning() {
                Meaning::Success => return Ok(None),
                Meaning::FieldConflict(_) | Meaning::Conflict | Meaning::NoObject => {}
                _ => return Ok(Some(self.outcome(manifest, answer, &what).await)),
            }
        }
        Ok(Some(busy(manifest)))
    }

    /// Folds the entries of former appliers into ours, if the object that our apply was answered with has any, and applies
    /// again, so that what they said and the manifest does not goes.
    pub(super) async fn fold(
        &self,
        manifest: &Manifest,
        set_id: &str,
        first: bool,
        applied: Applied,
    ) -> Result<Applied, ClusterError> {
        let Applied::Done { object, .. } = &applied else { return Ok(applied) };
        let Some(mut fields) = plan::folded(manifest, object, first) else { return Ok(applied) };
        let mut object = object.clone();
        for _ in 0..ATTEMPTS {
            let answer = self.replace_managed_fields(manifest, &object, fields, first).await?;
            if answer.is_success() {
                return self.write(manifest, set_id, Mode::Forced).await;
            }
            if !matches!(answer.status, 409 | 422) {
                return Ok(self.outcome(manifest, answer, &format!("take-over of `{}`", manifest.key)).await);
            }
            let Live::Present(fresh) = self.look(manifest).await? else { break };
            let Some(again) = plan::folded(manifest, &fresh, first) else {
                return self.write(manifest, set_id, Mode::Forced).await;
            };
            (object, fields) = (fresh, again);
        }
        Ok(busy(manifest))
    }

    async fn look(&self, manifest: &Manifest) -> Result<Live, ClusterError> {
        let resource = self.resolve(&manifest.kind).await?;
        self.read_one(&resource, &manifest.kind, &manifest.key, View::Whole).await
    }

    /// Writes `managedFields`, if the object is still the one that was looked at.
    async fn replace_managed_fields(
        &self,
        manifest: &Manifest,
        object: &Value,
        fields: Value,
        first: bool,
    ) -> Result<Answer, ClusterError> {
        let resource = self.resolve(&manifest.kind).await?;
        let mut patch = vec![
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": object["metadata"]["resourceVersion"]}),
            json!({"op": "replace", "path": "/metadata/managedFields", "value": fields}),
        ];
        if first && object.pointer(LAST_APPLIED).is_some() {
            patch.push(json!({"op": "remove", "path": LAST_APPLIED}));
        }
        let path = resource.object(&manifest.kind, &manifest.key);
        let request = Request::patch(format!("{path}?fieldManager={FIELD_MANAGER}"));
        let request = request.header("content-type", "application/json-patch+json");
        let what = format!("take-over of `{}`", manifest.key);
        self.send(request, Value::from(patch).to_string().into_bytes(), WRITE_LIMIT, &what).await
    }
}

fn busy(manifest: &Manifest) -> Applied {
    let message = format!("`{}` changes while it is being taken over", manifest.key);
    Applied::Retry { reason: Reason::new(Code::ApplyFailed, message).at_object(manifest.key.clone()), after: None }
}
