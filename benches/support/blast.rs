//! The bare blast: every object applied as fast as the server takes it, and nothing else.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::json;

use super::fleet::Thing;
use crate::control_plane::{ADMIN, ControlPlane};

/// Requests in flight at once: as many as the agent has.
const IN_FLIGHT: usize = 16;
/// A label as long as the agent's own.
const LABEL: (&str, &str) =
    ("applyset.kubernetes.io/part-of", "applyset-uT1PpFbXxDJBUWjPCIwqXTmkJzLGrCPPXTRGLGjyGiA-v1");

/// Applies every object into a namespace with the agent's parameters, over connections of its own; answers are read, and
/// not parsed. The bodies are made before the clock starts.
pub(crate) fn blast(plane: &ControlPlane, namespace: &str, things: &[Thing]) -> Duration {
    let requests: Vec<_> = things.iter().map(|thing| request(thing, namespace)).collect();
    let client = plane.client(ADMIN);
    let started = Instant::now();
    plane.block_on(async {
        let sent = requests.into_iter().map(|request| {
            let client = client.clone();
            async move { tokio::spawn(async move { client.request_text(request).await }).await }
        });
        let mut answers = stream::iter(sent).buffer_unordered(IN_FLIGHT);
        while let Some(answer) = answers.next().await {
            let answer = answer.expect("because a request does not panic");
            answer.unwrap_or_else(|error| panic!("the blast is refused: {error}"));
        }
    });
    started.elapsed()
}

/// The forced apply of one object.
pub(crate) fn request(thing: &Thing, namespace: &str) -> http::Request<Vec<u8>> {
    let mut value = thing.value.clone();
    value["metadata"]["namespace"] = json!(namespace);
    value["metadata"]["labels"][LABEL.0] = json!(LABEL.1);
    let path = thing.path(namespace);
    let uri = format!("{path}?fieldManager=lockmaster&fieldValidation=Strict&force=true");
    let request = http::Request::patch(uri).header("content-type", "application/apply-patch+yaml");
    request.body(value.to_string().into_bytes()).expect("because the path is valid")
}
