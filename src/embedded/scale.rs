//! `/scale` of the workloads (Kubernetes API, autoscaling/v1 Scale).

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::objects::is_zero;
use super::refusal::Refusal;
use super::store::Key;
use super::{Asked, JSON, Server};

impl Server {
    /// Reads or writes how many replicas a workload is to have.
    pub(super) fn scale(&self, method: &str, asked: &Asked<'_>, key: &Key) -> Result<Response, Refusal> {
        if method == "GET" {
            return Ok(axum::Json(of(self.state().live(key)?.as_ref())).into_response());
        }
        let how = asked.parameters.how(&asked.headers)?.to(Some("scale"));
        let scaled = self.write(|state| {
            let live = state.live(key)?;
            let scale = match method {
                "PUT" => asked.json(&[JSON])?,
                "PATCH" => asked.patched(of(&live))?,
                other => return Err(Refusal::method(other)),
            };
            let Some(replicas) = scale["spec"]["replicas"].as_i64().filter(|replicas| *replicas >= 0) else {
                return Err(Refusal::bad_request("spec.replicas: must be a number and not below 0"));
            };
            let mut object = Value::clone(&live);
            object["spec"]["replicas"] = json!(replicas);
            for field in ["uid", "resourceVersion"] {
                object["metadata"][field] = scale["metadata"][field].clone();
            }
            state.replace(asked.resource, key, &live, object, &how)
        })?;
        Ok(axum::Json(of(&scaled)).into_response())
    }
}

fn of(object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = object["metadata"][field].clone();
    }
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let status = json!({"replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": labels.join(",")});
    let spec = match &object["spec"]["replicas"] {
        // Left out at zero, as by a real server.
        replicas if is_zero(replicas) => json!({}),
        replicas => json!({"replicas": replicas}),
    };
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}
