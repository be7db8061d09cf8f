//! Objects, and changes of them, that a real server refuses.

use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::{JSON, MERGE, Pair, Request};

/// Each line of the file is an object and the merge patches of it that are refused; an object without patches is
/// refused itself, and so is what is applied.
pub(crate) fn refused(real: &'static ControlPlane) {
    let pair = Pair::of(real);
    let namespace = pair.namespace("refused");
    let mut compared = 0;
    let mut differences = Vec::new();
    let mut ask = |method: &str, path: &str, media: &str, body: &Value| {
        match pair.ask(&Request { method, path, media }, [body, body]) {
            Ok([(code, why), _]) => assert!(code >= 400, "{method} {path}: {why}"),
            Err(difference) => differences.push(difference),
        }
        compared += 1;
    };
    for line in include_str!("refused.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("because each line is an object");
        let apply = &case["apply"];
        if !apply.is_null() {
            let name = apply["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("{}/{name}?fieldManager=alice", pair.collection(apply, &namespace));
            ask("PATCH", &path, "application/apply-patch+yaml", apply);
            continue;
        }
        let object = &case["object"];
        let path = pair.collection(object, &namespace);
        let Some(patches) = case["patches"].as_array() else {
            ask("POST", &path, JSON, object);
            continue;
        };
        pair.create(&path, object);
        let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
        patches.iter().for_each(|patch| ask("PATCH", &path, MERGE, patch));
    }
    println!("{compared} refusals compared");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A refusal as it is compared: the message only where no causes say the same, since a real server shows values as its
/// own Go structs, and what differs stands behind them; lines and causes in one order.
pub(crate) fn comparable(status: &Value) -> Value {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let mut causes: Vec<[String; 3]> = causes
        .map(|cause| [text(cause, "field"), text(cause, "reason"), last(&text(cause, "message")).to_owned()])
        .collect();
    causes.sort();
    let message = text(status, "message");
    let mut lines: Vec<&str> = message.lines().map(without_go).collect();
    lines.sort_unstable();
    let message = if status["code"] == 422 && !causes.is_empty() { json!(null) } else { json!(lines) };
    let details = ["name", "group", "kind"].map(|key| status["details"][key].clone());
    json!({"code": status["code"], "reason": status["reason"], "message": message, "details": details, "causes": causes})
}

/// The end of a message.
fn last(message: &str) -> &str {
    let line = without_go(message.lines().next().unwrap_or_default());
    line.rsplit("}: ").next().unwrap_or_default().rsplit("}\": ").next().unwrap_or_default()
}

/// Without the names of Go types and the values in the forms of Go, which ours leaves out.
fn without_go(line: &str) -> &str {
    let cut = [" of type ", ", got "].into_iter().find_map(|cut| Some(line.split_once(cut)?.0));
    cut.filter(|what| what.contains("Go struct field") || what.contains(": expected ")).unwrap_or(line)
}
