//! Random configurations.

use serde_json::{Value, json};

use super::random::{Dice, Sort};

pub(crate) const CONFIG_MAP: Sort =
    Sort { api_version: "v1", kind: "ConfigMap", has_scale: false, config: config_map, status: None };

pub(crate) const SERVICE: Sort = Sort {
    api_version: "v1",
    kind: "Service",
    has_scale: false,
    config: service,
    // Addresses may be given to load balancers alone.
    status: Some(|dice| json!({"conditions": conditions(dice, &["Ready", "Synced"])})),
};

pub(crate) const DEPLOYMENT: Sort = Sort {
    api_version: "apps/v1",
    kind: "Deployment",
    has_scale: true,
    config: deployment,
    status: Some(|dice| {
        let replicas = dice.roll(3);
        json!({"replicas": replicas, "conditions": conditions(dice, &["Available", "Progressing"])})
    }),
};

pub(crate) const WIDGET: Sort = Sort {
    api_version: "shop.example/v1",
    kind: "Widget",
    has_scale: false,
    config: widget,
    status: Some(|dice| json!({"phase": format!("p{}", dice.roll(3)), "seen": {"a": dice.roll(2)}})),
};

fn conditions(dice: &mut Dice, types: &[&str]) -> Value {
    let chosen = types.iter().filter(|_| dice.one_in(2)).copied().collect::<Vec<_>>();
    let items = chosen.into_iter().map(|kind| {
        let status = if dice.one_in(2) { "True" } else { "False" };
        json!({"type": kind, "status": status, "reason": "Because", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    });
    Value::Array(items.collect())
}

/// Some of these words as keys, with one of three values each.
fn words(dice: &mut Dice, keys: &[&str]) -> Value {
    let chosen: Vec<&&str> = keys.iter().filter(|_| dice.one_in(2)).collect();
    let pairs = chosen.into_iter().map(|key| ((*key).to_owned(), format!("v{}", dice.roll(3)).into()));
    Value::Object(pairs.collect())
}

/// Some of these, in random order.
fn some<T: Clone>(dice: &mut Dice, of: &[T]) -> Vec<T> {
    let mut chosen: Vec<T> = of.iter().filter(|_| !dice.one_in(3)).cloned().collect();
    for at in (1..chosen.len()).rev() {
        chosen.swap(at, dice.roll(at as u64 + 1) as usize);
    }
    chosen
}

fn metadata(dice: &mut Dice) -> Value {
    let mut metadata = json!({});
    if dice.one_in(2) {
        metadata["labels"] = words(dice, &["app", "tier", "stage"]);
    }
    if dice.one_in(2) {
        metadata["annotations"] = words(dice, &["note", "shop.example/by"]);
    }
    if dice.one_in(4) {
        metadata["finalizers"] = some(dice, &["shop.example/a", "shop.example/b", "shop.example/c"]).into();
    }
    if dice.one_in(5) {
        let owner = |n: u64| {
            let uid = format!("00000000-0000-0000-0000-00000000000{n}");
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": format!("o{n}"), "uid": uid})
        };
        metadata["ownerReferences"] = some(dice, &[owner(1), owner(2), owner(3)]).into();
    }
    metadata
}

fn config_map(dice: &mut Dice) -> Value {
    let mut config = json!({"metadata": metadata(dice)});
    if !dice.one_in(4) {
        config["data"] = words(dice, &["a", "b", "c.conf", "d"]);
    }
    if dice.one_in(6) {
        config["binaryData"] = json!({"x": "AAEC"});
    }
    if dice.one_in(12) {
        config["immutable"] = false.into();
    }
    match dice.roll(20) {
        0 => config["extra"] = json!({"a": 1}),
        1 => config["data"]["a"] = 5.into(),
        3 => config["metadata"]["finalizers"] = json!(["shop.example/a", "shop.example/a"]),
        4 => config["metadata"]["labels"] = json!(["a"]),
        _ => {}
    }
    config
}

fn service(dice: &mut Dice) -> Value {
    let port = |name: &str, number: u64, dice: &mut Dice| {
        let mut port = json!({"name": name, "port": number});
        if dice.one_in(2) {
            port["protocol"] = "TCP".into();
        }
        if dice.one_in(2) {
            port["targetPort"] = [json!(8080), json!("http"), json!(80)][dice.roll(3) as usize].clone();
        }
        port
    };
    let mut ports = vec![port("web", 80, dice), port("tls", 443, dice), port("dns", 53, dice)];
    ports[2]["protocol"] = "UDP".into();
    let mut spec = json!({"ports": some(dice, &ports)});
    if dice.one_in(2) {
        spec["selector"] = words(dice, &["app", "tier"]);
    }
    if dice.one_in(4) {
        spec["sessionAffinity"] = ["None", "ClientIP"][dice.roll(2) as usize].into();
    }
    if dice.one_in(4) {
        spec["type"] = ["ClusterIP", "ClusterIP"][dice.roll(2) as usize].into();
    }
    if dice.one_in(5) {
        spec["publishNotReadyAddresses"] = dice.one_in(2).into();
    }
    json!({"metadata": metadata(dice), "spec": spec})
}

fn container(dice: &mut Dice, name: &str) -> Value {
    let mut container = json!({"name": name, "image": format!("registry.example/{name}:{}", dice.roll(3))});
    if dice.one_in(2) {
        // A merge would leave both a value and a source in one variable.
        let env = |key: &str, dice: &mut Dice| match (dice.roll(3), key) {
            (0, _) => json!({"name": key}),
            (_, "B") => json!({"name": key, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            _ => json!({"name": key, "value": format!("v{}", dice.roll(3))}),
        };
        let all = [env("A", dice), env("B", dice), env("C", dice), env("D", dice)];
        container["env"] = some(dice, &all).into();
    }
    if dice.one_in(3) {
        let all = [
            json!({"containerPort": 80}),
            json!({"containerPort": 80, "protocol": "UDP"}),
            json!({"containerPort": 443, "name": "tls", "protocol": "TCP"}),
        ];
        container["ports"] = some(dice, &all).into();
    }
    if dice.one_in(3) {
        let cpu = ["100m", "0.5", "1000m", "1"][dice.roll(4) as usize];
        container["resources"] =
            [json!({}), json!({"limits": {"memory": "2048Mi"}}), json!({"requests": {"cpu": cpu, "memory": "1024Mi"}})]
                [dice.roll(3) as usize]
                .clone();
    }
    if dice.one_in(4) {
        container["args"] = some(dice, &["-v", "-x", "-y"]).into();
    }
    if dice.one_in(4) {
        // One kind of probe for each name: a merge would leave two in one probe.
        container["readinessProbe"] = match name {
            "one" => json!({"httpGet": {"port": 80 + dice.roll(2)}}),
            "two" => json!({"tcpSocket": {"port": "web"}, "periodSeconds": 2 + dice.roll(2)}),
            _ => json!({"exec": {"command": ["true"]}, "initialDelaySeconds": dice.roll(2)}),
        };
    }
    if dice.one_in(4) {
        container["securityContext"] =
            [json!({}), json!({"runAsNonRoot": false, "privileged": dice.one_in(2)})][dice.roll(2) as usize].clone();
    }
    container
}

fn deployment(dice: &mut Dice) -> Value {
    let containers = ["one", "two", "three"].map(|name| container(dice, name));
    let mut containers = some(dice, &containers);
    if containers.is_empty() {
        containers.push(container(dice, "one"));
    }
    let mut pod = json!({"containers": containers});
    if dice.one_in(3) {
        let all = [
            json!({"name": "tmp", "emptyDir": {}}),
            json!({"name": "cfg", "configMap": {"name": "c"}}),
            json!({"name": "bare"}),
        ];
        pod["volumes"] = some(dice, &all).into();
    }
    if dice.one_in(4) {
        pod["nodeSelector"] = words(dice, &["zone", "disk"]);
    }
    if dice.one_in(4) {
        pod["securityContext"] =
            [json!({}), json!({"fsGroup": 0}), json!({"runAsUser": 5})][dice.roll(3) as usize].clone();
    }
    if dice.one_in(5) {
        pod["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
    }
    if dice.one_in(6) {
        let mut init = container(dice, "init");
        init.as_object_mut().map(|init| init.remove("readinessProbe"));
        pod["initContainers"] = json!([init]);
    }
    if dice.one_in(6) {
        pod["hostNetwork"] = dice.one_in(2).into();
    }
    let mut template = json!({"metadata": {"labels": {"app": "shop"}}, "spec": pod});
    if dice.one_in(3) {
        template["metadata"]["annotations"] = words(dice, &["a", "b"]);
    }
    let mut spec = json!({"selector": {"matchLabels": {"app": "shop"}}, "template": template});
    if dice.one_in(2) {
        spec["replicas"] = dice.roll(3).into();
    }
    if dice.one_in(4) {
        spec["minReadySeconds"] = dice.roll(2).into();
    }
    if dice.one_in(4) {
        spec["strategy"] = [
            json!({"type": "Recreate"}),
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
            json!({"rollingUpdate": {"maxUnavailable": "10%"}}),
            json!({}),
        ][dice.roll(4) as usize]
            .clone();
    }
    if dice.one_in(15) {
        spec["template"]["spec"]["nonsense"] = 1.into();
    }
    json!({"metadata": metadata(dice), "spec": spec})
}

fn widget(dice: &mut Dice) -> Value {
    let mut config = json!({"metadata": metadata(dice), "spec": {}});
    for key in ["size", "parts", "deep", "list", "empty"] {
        if dice.one_in(2) {
            config["spec"][key] = anything(dice, 2);
        }
    }
    if dice.one_in(4) {
        config["other"] = anything(dice, 1);
    }
    config
}

fn anything(dice: &mut Dice, depth: u64) -> Value {
    match dice.roll(8) {
        0 => json!(dice.roll(3)),
        1 => json!(dice.one_in(2)),
        2 => json!([dice.roll(2), {"name": "a"}]),
        3 => json!([]),
        4 => json!({}),
        5 if depth > 0 => {
            let (a, b) = (anything(dice, depth - 1), anything(dice, depth - 1));
            json!({"a": a, "b": b})
        }
        6 if depth > 0 => json!({"c": anything(dice, depth - 1)}),
        _ => json!(format!("v{}", dice.roll(3))),
    }
}
