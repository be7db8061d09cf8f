//! Custom resources that many clusters have, and that say how they are in words of their own.

use jiff::Timestamp;
use serde_json::Value;

use super::reading::{
    Condition, Conditions, Truth, Unreadable, conditions, conditions_of, counter, flag, generation, list, one_line,
    text,
};
use super::{Assessment, Rule, Ruling, by_readiness, exists};

/// The rule of a known custom resource.
pub(super) fn rule(group: &str, kind: &str, object: &Value) -> Option<Rule> {
    match (group, kind) {
        ("argoproj.io", "Rollout") => Some(rollout),
        ("flagger.app", "Canary") => Some(canary),
        ("flagger.app", "MetricTemplate" | "AlertProvider") => Some(exists),
        ("cert-manager.io", "Certificate") => Some(certificate),
        ("cert-manager.io", "CertificateRequest") => Some(certificate_request),
        ("cert-manager.io" | "external-secrets.io", _) => Some(ready),
        ("keda.sh", "ScaledObject" | "ScaledJob") => Some(scaled),
        ("keda.sh", "TriggerAuthentication" | "ClusterTriggerAuthentication") => Some(exists),
        ("pkg.crossplane.io", "Provider" | "Configuration" | "Function") => Some(crossplane_package),
        ("serving.knative.dev", "Service") => Some(knative_service),
        ("serving.knative.dev", "Route" | "Configuration" | "Revision") => Some(knative),
        ("gateway.networking.k8s.io", kind) => gateway_rule(kind),
        ("notification.toolkit.fluxcd.io", "Alert" | "Provider") => Some(exists),
        ("postgresql.cnpg.io", "Cluster") => Some(postgres),
        (group, _) if group.ends_with(".toolkit.fluxcd.io") => Some(flux),
        (group, _) if group == "cluster.x-k8s.io" || group.ends_with(".cluster.x-k8s.io") => Some(cluster_api),
        (group, kind) => crossplane_rule(group, kind, object),
    }
}

/// Argo Rollouts, specification of `status.phase`; the workload it refers to has a generation of its own.
fn rollout(object: &Value, _: Timestamp) -> Ruling {
    let annotation = "/metadata/annotations/rollout.argoproj.io~1workload-generation";
    if object.pointer("/spec/workloadRef").is_some()
        && counter(object, annotation)? != counter(object, "/status/workloadObservedGeneration")?
    {
        return Ok(Assessment::progressing("the workload it refers to is not seen yet"));
    }
    let message = one_line(text(object, "/status/message")?.unwrap_or_default());
    let or = |words: &str| if message.is_empty() { words.to_owned() } else { message.clone() };
    Ok(match text(object, "/status/phase")? {
        Some("Healthy") => Assessment::healthy(),
        Some("Paused") => Assessment::suspended(or("paused")),
        Some("Degraded") => Assessment::failed(or("degraded")),
        Some("Progressing") | None => Assessment::progressing(or("rolling out")),
        Some(phase) => return Err(unknown_phase(phase)),
    })
}

/// Flagger, API `CanaryPhase`.
fn canary(object: &Value, _: Timestamp) -> Ruling {
    Ok(match text(object, "/status/phase")? {
        Some("Initialized" | "Succeeded") => Assessment::healthy(),
        Some("Failed") => {
            let conditions = conditions(object)?;
            Assessment::failed(
                conditions.get("Promoted").map_or_else(|| "analysis failed".to_owned(), Condition::because),
            )
        }
        Some("Waiting" | "WaitingPromotion") => Assessment::progressing("waits for a confirmation"),
        Some("Initializing" | "Progressing" | "Promoting" | "Finalising" | "Terminating" | "Terminated") | None => {
            Assessment::progressing("analysis goes on")
        }
        Some(phase) => return Err(unknown_phase(phase)),
    })
}

/// cert-manager, API `CertificateConditionIssuing`: a certificate that is being renewed may still be ready with its old
/// secret.
fn certificate(object: &Value, now: Timestamp) -> Ruling {
    if let Some(issuing) = conditions(object)?.with("Issuing", Truth::True) {
        return Ok(Assessment::progressing(issuing.because()));
    }
    ready(object, now)
}

/// cert-manager, API `CertificateRequestReasonFailed` and `…Denied`.
fn certificate_request(object: &Value, now: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    let refused = conditions.with("Ready", Truth::False);
    if let Some(refused) = refused.filter(|condition| matches!(condition.reason, "Failed" | "Denied")) {
        return Ok(Assessment::failed(refused.because()));
    }
    ready(object, now)
}

/// KEDA, `ScaledObject` conditions: fallback means that its metrics are gone.
fn scaled(object: &Value, now: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    if conditions.with("Paused", Truth::True).is_some() {
        return Ok(Assessment::suspended("paused"));
    }
    if let Some(fallback) = conditions.with("Fallback", Truth::True) {
        return Ok(Assessment::failed(fallback.because()));
    }
    ready(object, now)
}

/// Crossplane's own groups, those of its official providers, and composite resources by what they refer to.
fn crossplane_rule(group: &str, kind: &str, object: &Value) -> Option<Rule> {
    let own = group.ends_with(".crossplane.io") || group.ends_with(".upbound.io");
    let composite = ["/spec/compositionRef", "/spec/crossplane/compositionRef"];
    match kind {
        "CompositeResourceDefinition" if own => Some(composite_definition),
        "ProviderConfig"
        | "ClusterProviderConfig"
        | "ProviderConfigUsage"
        | "StoreConfig"
        | "Composition"
        | "CompositionRevision"
        | "ControllerConfig"
        | "DeploymentRuntimeConfig"
        | "EnvironmentConfig"
        | "ImageConfig"
            if own =>
        {
            Some(exists)
        }
        _ if own || composite.iter().any(|pointer| object.pointer(pointer).is_some()) => Some(crossplane),
        _ => None,
    }
}

/// Crossplane documentation, Managed Resources, Conditions.
fn crossplane(object: &Value, now: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    for kind in ["Synced", "LastAsyncOperation"] {
        if let Some(failed) = conditions.with(kind, Truth::False) {
            return Ok(Assessment::failed(failed.because()));
        }
    }
    ready(object, now)
}

/// Crossplane documentation, Providers, Conditions: installed and healthy.
fn crossplane_package(object: &Value, _: Timestamp) -> Ruling {
    all_true(&conditions(object)?, &["Installed", "Healthy"])
}

fn composite_definition(object: &Value, _: Timestamp) -> Ruling {
    all_true(&conditions(object)?, &["Established"])
}

/// Knative Serving, specification, Service status: false is final.
fn knative_service(object: &Value, _: Timestamp) -> Ruling {
    knative_conditions(object, &["Ready", "RoutesReady", "ConfigurationsReady"])
}

fn knative(object: &Value, _: Timestamp) -> Ruling {
    knative_conditions(object, &["Ready"])
}

fn knative_conditions(object: &Value, kinds: &[&str]) -> Ruling {
    let conditions = conditions(object)?;
    match kinds.iter().find_map(|kind| conditions.with(kind, Truth::False)) {
        Some(failed) => Ok(Assessment::failed(failed.because())),
        None => all_true(&conditions, kinds),
    }
}

/// The kinds of the Gateway API, and where each keeps its conditions.
fn gateway_rule(kind: &str) -> Option<Rule> {
    match kind {
        "Gateway" => Some(gateway),
        "GatewayClass" => Some(gateway_class),
        "ReferenceGrant" => Some(exists),
        "BackendTLSPolicy" => Some(gateway_policy),
        kind if kind.ends_with("Route") => Some(gateway_route),
        _ => None,
    }
}

/// Gateway API, `GatewayConditionType`: accepted, references resolved on each listener, programmed.
fn gateway(object: &Value, _: Timestamp) -> Ruling {
    let own = conditions(object)?;
    let generation = generation(object)?;
    for listener in list(object, "/status/listeners")? {
        let place = "status.listeners[].conditions";
        if let Some(refused) = refused(&conditions_of(listener.get("conditions"), generation.as_deref(), place)?) {
            return Ok(refused);
        }
    }
    match refused(&own) {
        Some(refused) => Ok(refused),
        None => all_true(&own, &["Programmed"]),
    }
}

fn gateway_class(object: &Value, _: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    refused(&conditions).map_or_else(|| all_true(&conditions, &["Accepted"]), Ok)
}

/// Gateway API, `RouteParentStatus`: each parent answers for itself.
fn gateway_route(object: &Value, _: Timestamp) -> Ruling {
    each_parent(object, "/status/parents")
}

/// Gateway API, `PolicyAncestorStatus`.
fn gateway_policy(object: &Value, _: Timestamp) -> Ruling {
    each_parent(object, "/status/ancestors")
}

fn each_parent(object: &Value, pointer: &str) -> Ruling {
    let generation = generation(object)?;
    let place = format!("{}[].conditions", pointer.trim_start_matches('/').replace('/', "."));
    let mut found = Vec::new();
    for parent in list(object, pointer)? {
        found.push(conditions_of(parent.get("conditions"), generation.as_deref(), &place)?);
    }
    if let Some(refused) = found.iter().find_map(refused) {
        return Ok(refused);
    }
    if found.is_empty() {
        return Ok(Assessment::progressing("no parent has answered yet"));
    }
    for conditions in &found {
        let needed: &[&str] =
            if conditions.get("Programmed").is_some() { &["Accepted", "Programmed"] } else { &["Accepted"] };
        let parent = all_true(conditions, needed)?;
        if parent != Assessment::healthy() {
            return Ok(parent);
        }
    }
    Ok(Assessment::healthy())
}

fn refused(conditions: &Conditions<'_>) -> Option<Assessment> {
    let kinds = ["Accepted", "ResolvedRefs"];
    let found = kinds.iter().find_map(|kind| conditions.with(kind, Truth::False))?;
    Some(Assessment::failed(found.because()))
}

/// Flux, `spec.suspend`; the rest is kstatus, which Flux keeps to, but that it has no status yet means nothing good.
fn flux(object: &Value, now: Timestamp) -> Ruling {
    if flag(object, "/spec/suspend")? { Ok(Assessment::suspended("suspended")) } else { ready(object, now) }
}

/// Cluster API, conditions proposal: a false condition of severity `Info` is a step on the way. Its newer conditions
/// have no severity: false says nothing about being final there.
fn cluster_api(object: &Value, now: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    let broken = conditions.with("Ready", Truth::False);
    if let Some(broken) = broken.filter(|condition| matches!(condition.severity, "Error" | "Warning")) {
        return Ok(Assessment::failed(broken.because()));
    }
    ready(object, now)
}

/// CloudNativePG, the phases of `api/v1/cluster_types.go`: sentences, of which one is good and some are final.
fn postgres(object: &Value, _: Timestamp) -> Ruling {
    if conditions(object)?.with("cnpg.io/hibernation", Truth::True).is_some() {
        return Ok(Assessment::suspended("hibernated"));
    }
    let Some(phase) = text(object, "/status/phase")? else { return Ok(Assessment::progressing("not set up yet")) };
    let lower = phase.to_lowercase();
    let is_final = ["unrecoverable", "cannot", "unable to", "not enough disk", "invalid", "missing architecture"];
    if lower == "cluster in healthy state" {
        return Ok(Assessment::healthy());
    }
    if lower.starts_with("waiting for user") {
        return Ok(Assessment::suspended(one_line(phase)));
    }
    let broken = is_final.iter().any(|words| lower.contains(words));
    Ok(if broken { Assessment::failed(one_line(phase)) } else { Assessment::progressing(one_line(phase)) })
}

/// The condition `Ready`, else `Available`, of a kind that always gets one of them.
fn ready(object: &Value, _: Timestamp) -> Ruling {
    let found = by_readiness(&conditions(object)?);
    Ok(found.unwrap_or_else(|| Assessment::progressing("not ready yet")))
}

fn all_true(conditions: &Conditions<'_>, kinds: &[&str]) -> Ruling {
    for kind in kinds {
        match conditions.get(kind) {
            Some(found) if found.truth == Truth::True => {}
            Some(found) => return Ok(Assessment::progressing(found.because())),
            None => return Ok(Assessment::progressing(format!("`{kind}` is not said yet"))),
        }
    }
    Ok(Assessment::healthy())
}

fn unknown_phase(phase: &str) -> Unreadable {
    Unreadable(format!("`status.phase` is `{}`, which nobody told us about", one_line(phase)))
}
