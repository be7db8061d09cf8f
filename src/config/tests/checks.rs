//! The checks of a pipeline.

use super::*;
use crate::health::check::{Bad, OnUnknown, Probe, Samples};

/// The two checks of the design, and one of every other kind.
const CHECKS: &str = "  checks:
  - {name: smoke, http: {url: \"http://shop.shop-staging/health/ready\", expect: \"body.status == 'ok'\"}}
  - {name: errors, prometheus: {url: \"http://prometheus.monitoring:9090\", query: '(sum(rate(http_requests_total{namespace=\"shop-prod\",code=~\"5..\"}[2m])) / sum(rate(http_requests_total{namespace=\"shop-prod\"}[2m])) > 0) or vector(0)', max: 1%}, for: 10m}
  - name: slow
    prometheus: {url: https://p, query: q, min: 0, max: 0.5, samples: all, minSamples: {query: sum(n), count: 100}}
    interval: 1m
    within: 1h
    good: 3
    bad: 2 of 4
    unknown: fail
  - {name: migrate-test, job: {image: \"shop/migrate@sha256:aa\", args: [\"-v\", \"-v\"], serviceAccount: tester}, within: 5m}
  - {name: stays-up, restarts: {}, for: 5m}
";

fn with_checks(checks: &str) -> String {
    format!("{BASE}{checks}")
}

/// The base with this one check.
fn with_check(check: &str) -> String {
    with_checks(&format!("  checks:\n  - {check}\n"))
}

#[test]
fn checks_are_read_and_the_environment_names_them() {
    let text = with_checks(CHECKS).replace("  - name: dev\n", "  - name: dev\n    checks: [errors, smoke]\n");
    let pipeline = only(&text);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let [smoke, errors, slow, job, restarts] = pipeline.checks.as_slice() else { panic!("five checks") };
    assert_eq!((smoke.for_, smoke.within, smoke.interval), (Duration::ZERO, minutes(10), Duration::from_secs(10)));
    assert_eq!((smoke.good, smoke.bad, smoke.unknown), (1, Bad { count: 3, of: 5 }, OnUnknown::Stop));
    assert_eq!((errors.for_, errors.within), (minutes(10), minutes(20)), "`for` and ten minutes");
    let Probe::Prometheus(query) = &errors.probe else { panic!("a query") };
    let max = query.max.expect("because it is set");
    assert!((max.value - 0.01).abs() < 1e-12 && max.percent && query.samples == Samples::One);
    assert_eq!((slow.within, slow.interval, slow.good), (minutes(60), minutes(1), 3));
    assert_eq!((slow.bad, slow.unknown), (Bad { count: 2, of: 4 }, OnUnknown::Fail));
    let Probe::Job(job_probe) = &job.probe else { panic!("a job") };
    assert_eq!((job_probe.args.len(), job.within), (2, minutes(5)));
    assert_eq!((&restarts.probe, restarts.bad), (&Probe::Restarts { max: 0 }, Bad { count: 1, of: 1 }));
    let named: Vec<&str> =
        pipeline.checks_of(&pipeline.environments[0]).iter().map(|check| check.name.as_str()).collect();
    assert_eq!(named, ["errors", "smoke"]);
}

#[test]
fn expanding_checks_changes_nothing() {
    let text = with_checks(CHECKS).replace("  - name: dev\n", "  - name: dev\n    checks: [errors, smoke]\n");
    let first = only(&text);
    let full = expand(&first);
    let second = only(&full);
    assert_eq!((&second.checks, &second.environments), (&first.checks, &first.environments), "{full}");
    assert_eq!(expand(&second), full);
    for default in ["for: 0s", "within: 10m", "interval: 10s", "bad: 3 of 5", "unknown: stop", "samples: one"] {
        assert!(full.contains(default), "{default} is missing: {full}");
    }
}

#[test]
fn a_check_that_nobody_declares_is_found_with_what_may_be_meant() {
    let text = with_checks(CHECKS).replace("  - name: dev\n", "  - name: dev\n    checks: [smoke, error]\n");
    let found = read("p.yaml", &text).expect_err("because a name is unknown");
    let told: Vec<(Code, &str, Option<&str>)> =
        found.iter().map(|f| (f.reason.code, f.reason.message.as_str(), f.suggestion.as_deref())).collect();
    let message = "`checks` in environment `dev` names `error`, which is no check in `spec.checks`";
    assert_eq!(told, [(Code::UnknownName, message, Some("errors"))]);
    // A check with a mistake is declared, and only its mistake is told.
    let text =
        with_check("{name: smoke, http: {url: h}}").replace("  - name: dev\n", "  - name: dev\n    checks: [smoke]\n");
    assert!(read("p.yaml", &text).expect_err("because of the url").iter().all(|f| f.reason.code == Code::InvalidValue));
}

#[test]
fn what_a_check_must_not_say_is_refused() {
    let http = "http: {url: http://h, expect: 'true'}";
    let prom = |rest: &str| format!("{{name: a, prometheus: {{url: http://h, query: up{rest}}}}}");
    for (check, expected) in [
        (format!("{{{http}}}"), "`spec.checks[0]` has no `name`"),
        (format!("{{name: A, {http}}}"), "`name` in check `A` is `A`, expected lower-case letters"),
        (format!("{{name: {}, {http}}}", "a".repeat(41)), "at most 40"),
        ("{name: a}".to_owned(), "looks at nothing, expected one of `http`, `prometheus`, `job` and `restarts`"),
        (format!("{{name: a, {http}, restarts: {{}}}}"), "`restarts` in check `a` stands beside `http`"),
        (format!("{{name: a, {http}, fro: 1m}}"), "unknown key `fro` in check `a`"),
        ("{name: a, http: {url: http://h}}".to_owned(), "has no `expect`"),
        ("{name: a, http: {url: 'http://u:hunter2@h', expect: 'true'}}".to_owned(), "holds credentials"),
        ("{name: a, http: {url: shop, expect: 'true'}}".to_owned(), "`url` in `http` in check `a` is no address"),
        ("{name: a, http: {url: http://h, expect: 'bdy.a'}}".to_owned(), "`expect` in `http` in check `a` names `bdy`"),
        (
            "{name: a, http: {url: http://h, expect: 'true', auth: x}}".to_owned(),
            "`auth` in `http` in check `a` is not supported yet",
        ),
        (prom(""), "the query has no limit"),
        (prom(", max: ten"), "`max` in `prometheus` in check `a` is `ten`, expected a number"),
        (prom(", min: 2, max: 1"), "`min` is 2, above `max`, 1"),
        (prom(", max: 1, samples: some"), "expected `one`, `all` or `any`"),
        (prom(", max: 1, versus: previous"), "`versus` in `prometheus` in check `a` is not supported yet"),
        (prom(", max: 1, minSamples: {query: up}"), "has no `count`"),
        (prom("?, max: 1").replace("http://h", "http://h/?q"), "has a query of its own"),
        (prom(", max: 1").replace(": up", ": ''"), "is empty, expected PromQL"),
        (format!("{{name: a, {http}, bad: 3}}"), "quote it"),
        (format!("{{name: a, {http}, bad: 3 of 2}}"), "`3 of 5`"),
        (format!("{{name: a, {http}, bad: 0 of 2}}"), "`3 of 5`"),
        (format!("{{name: a, {http}, interval: 100ms}}"), "expected a duration from 1s to 1h"),
        (format!("{{name: a, {http}, for: 8d}}"), "expected a duration"),
        (format!("{{name: a, {http}, good: 0}}"), "expected a whole number from 1 to 1000"),
        (format!("{{name: a, {http}, for: 10m, within: 10m}}"), "`within` is 10m, and it cannot pass before 10m"),
        (format!("{{name: a, {http}, good: 100}}"), "`within` is 10m, and it cannot pass before 16m 30s"),
        (format!("{{name: a, {http}, unknown: pass}}"), "expected `stop` or `fail`"),
        ("{name: a, job: {image: a b}}".to_owned(), "expected a name of an image"),
        ("{name: a, job: {image: x}, for: 1m}".to_owned(), "`for` in check `a` is not for a job, which runs once"),
        ("{name: a, job: {image: x}, good: 2}".to_owned(), "not for a job"),
        ("{name: a, job: {image: x, serviceAccount: A}}".to_owned(), "expected the name of a service account"),
        ("{name: a, restarts: {max: -1}}".to_owned(), "expected a whole number"),
        ("{name: a, restarts: {selector: x}}".to_owned(), "`selector` in `restarts` in check `a` is not supported yet"),
    ] {
        let found = findings(&with_check(&check));
        assert!(found.len() == 1 && found[0].contains(expected), "{check}: {found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
    let twice = with_checks(&format!("  checks:\n  - {{name: a, {http}}}\n  - {{name: a, {http}}}\n"));
    assert_eq!(findings(&twice), ["14:12 invalid-value: check `a` stands twice, first in line 13"]);
    assert!(findings(&with_checks("  checks: {}\n"))[0].contains("`checks` in `spec` is a map, expected a list"));
}
