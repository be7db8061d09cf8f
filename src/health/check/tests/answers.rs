//! What answers mean, and what may be asked of them.

use super::*;

#[test]
fn a_job_passes_when_it_completes_and_fails_when_it_fails() {
    let job = JobProbe { image: "migrate:1".to_owned(), command: vec![], args: vec![], service_account: None };
    let once = Check { bad: Bad { count: 1, of: 1 }, ..check(Probe::Job(job.clone())) };
    let live = |conditions: Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": {},
               "status": {"active": 1, "conditions": conditions}})
    };
    let condition = |kind: &str, reason: &str| json!([{"type": kind, "status": "True", "reason": reason}]);
    for (object, expected, later) in [
        (live(condition("Complete", "")), "passed", "passed"),
        (live(condition("Failed", "BackoffLimitExceeded")), "check-failed", "check-failed"),
        (live(condition("Failed", "DeadlineExceeded")), "pending", "check-unknown"),
        (live(json!([])), "pending", "check-unknown"),
        (live(json!("broken")), "pending", "check-unknown"),
        (Value::Null, "pending", "check-unknown"),
    ] {
        let mut run = Run::new(once.clone(), at(0));
        run.file(&job::reading(&object, at(0)), at(0));
        let told = |now| match run.verdict(now) {
            Verdict::Pending => "pending".to_owned(),
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed { reason, .. } => reason.code.to_string(),
        };
        assert_eq!((told(at(0)).as_str(), told(at(600)).as_str()), (expected, later), "{object}");
    }
}

#[test]
fn a_job_is_found_by_its_check_and_opening_and_is_no_part_of_the_release() {
    let parsed = "because it is a name";
    let probe = JobProbe {
        image: "migrate:1".to_owned(),
        command: vec!["sh".to_owned()],
        args: Vec::new(),
        service_account: Some("tester".to_owned()),
    };
    let longest = "c".repeat(40);
    let check = Check { name: longest.parse().expect(parsed), ..check(Probe::Job(probe.clone())) };
    let (pipeline, environment) = ("shop".parse().expect(parsed), "prod".parse().expect(parsed));
    let (whole, web) = (UnitName::whole(), "web".parse().expect(parsed));
    let of = |unit, opening| {
        let (pipeline, environment) = (&pipeline, &environment);
        job::Place { pipeline, environment, unit, namespace: "shop-prod", opening }
    };
    let place = |opening| of(&whole, opening);
    let name = |place: &job::Place<'_>| job::manifest(&check, &probe, place)["metadata"]["name"].to_string();
    let made = job::manifest(&check, &probe, &place(41));
    assert_eq!(made["metadata"]["name"], format!("check-{longest}-41"));
    let length = |place| name(&place).trim_matches('"').len();
    assert!(length(of(&whole, 9_999_999_999_999_999)) <= 63, "a Job's name is a label of its pods");
    assert!(length(of(&web, 9_999_999)) <= 63);
    let names = [name(&place(41)), name(&place(42)), name(&of(&web, 41))];
    assert_eq!(
        names.iter().collect::<std::collections::BTreeSet<_>>().len(),
        3,
        "units opened together have each a Job"
    );
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!(
        (pod["serviceAccountName"].as_str(), pod["automountServiceAccountToken"].as_bool()),
        (Some("tester"), Some(true))
    );
    assert_eq!((&pod["containers"][0]["command"], pod["containers"][0].get("args")), (&json!(["sh"]), None));
    assert_eq!(made["metadata"]["labels"]["applyset.kubernetes.io/part-of"], Value::Null);
    let bare = JobProbe { service_account: None, ..probe };
    let made = job::manifest(&check, &bare, &place(41));
    assert_eq!(made["spec"]["template"]["spec"]["automountServiceAccountToken"], false);
}

#[test]
fn the_answer_of_prometheus_is_unknown_unless_it_is_whole() {
    let vector = |values: &[&str]| {
        let series = |value: &&str| json!({"metric": {}, "value": [1_700_000_000.1, value]});
        let result: Vec<Value> = values.iter().map(series).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": result}})
    };
    let with = |key: &str, value: Value| {
        let mut answer = vector(&["1"]);
        answer[key] = value;
        answer
    };
    let data = |data: Value| json!({"status": "success", "data": data});
    let series = json!({"metric": {}, "values": [[1, "1"]]});
    let failed = json!({"status": "error", "errorType": "bad_data", "error": "parse\n error"});
    for (status, answer, expected) in [
        (200, vector(&["0.5"]), Ok(vec![0.5])),
        (200, vector(&["1", "2e3"]), Ok(vec![1.0, 2000.0])),
        (200, vector(&["+Inf", "-Inf"]), Ok(vec![f64::INFINITY, f64::NEG_INFINITY])),
        (200, vector(&[]), Ok(vec![])),
        (200, with("warnings", json!([])), Ok(vec![1.0])),
        (200, with("infos", json!(["not a counter"])), Ok(vec![1.0])),
        (200, data(json!({"resultType": "scalar", "result": [1, "7"]})), Ok(vec![7.0])),
        (200, with("warnings", json!(["one store is down"])), Err("partial: one store is down")),
        (200, with("warnings", json!("odd")), Err("partial")),
        (500, vector(&["1"]), Err("status 500")),
        (200, with("status", json!("error")), Err("not one of Prometheus")),
        (400, failed, Err("bad_data: parse error")),
        (200, data(json!({"resultType": "matrix", "result": [series]})), Err("is a matrix")),
        (200, data(json!({"resultType": "string", "result": [1, "7"]})), Err("is a string")),
        (200, data(json!({"resultType": "vector", "result": {}})), Err("no list")),
        (
            200,
            data(json!({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]})),
            Err("no number"),
        ),
        (200, data(json!({"resultType": "vector", "result": [{"metric": {}, "value": [1, 1]}]})), Err("no number")),
        (200, vector(&["one"]), Err("no number")),
        (200, json!({"status": "success"}), Err("neither a vector nor a scalar")),
        (200, json!({"status": "ok"}), Err("not one of Prometheus")),
        (200, json!([]), Err("not one of Prometheus")),
    ] {
        let found = prometheus::reading(status, answer.to_string().as_bytes());
        match (&found, expected) {
            (Reading::Samples(found), Ok(expected)) => assert_eq!(*found, expected, "{answer}"),
            (Reading::Unknown(reason), Err(expected)) => assert!(reason.contains(expected), "{answer}: {reason}"),
            (found, expected) => panic!("{answer}: {found:?}, expected {expected:?}"),
        }
    }
    let nan = prometheus::reading(200, vector(&["NaN"]).to_string().as_bytes());
    assert!(matches!(nan, Reading::Samples(samples) if samples[0].is_nan()));
    assert!(matches!(prometheus::reading(200, b"<html>"), Reading::Unknown(_)));
}

#[test]
fn too_little_that_was_measured_is_unknown() {
    for (measured, enough) in [
        (Reading::Samples(vec![100.0]), true),
        (Reading::Samples(vec![f64::INFINITY]), true),
        (Reading::Samples(vec![99.9]), false),
        (Reading::Samples(vec![f64::NAN]), false),
        (Reading::Samples(vec![]), false),
        (Reading::Samples(vec![100.0, 100.0]), false),
        (Reading::Unknown("cut".to_owned()), false),
    ] {
        let found = prometheus::too_few(&measured, 100);
        assert_eq!(found.is_none(), enough, "{measured:?}");
        assert!(found.is_none_or(|reading| matches!(reading, Reading::Unknown(_))));
    }
}

#[test]
fn an_http_answer_is_good_bad_or_unknown() {
    let ok = "body.status == 'ok'";
    for (expect, status, body, expected) in [
        (ok, 200, r#"{"status":"ok"}"#, "+"),
        (ok, 201, r#"{"status":"ok"}"#, "+"),
        (ok, 200, r#"{"status":"down"}"#, "-"),
        (ok, 200, r#"{"status":1}"#, "-"),
        (ok, 503, r#"{"status":"ok"}"#, "-"),
        (ok, 503, "<html>", "-"),
        (ok, 302, r#"{"status":"ok"}"#, "?"),
        (ok, 200, "<html>", "?"),
        (ok, 200, "", "?"),
        (ok, 200, "{}", "?"),
        (ok, 200, "[]", "?"),
        ("!body.a.failed", 200, r#"{"a":{"failed":false}}"#, "+"),
        ("!body.a.failed", 200, r#"{"a":{"failed":true}}"#, "-"),
        ("!body.a.failed", 200, r#"{"a":{}}"#, "?"),
        ("!body.a.failed", 200, r#"{"a":1}"#, "?"),
        ("!body.a.failed", 200, r#"{"a":[]}"#, "?"),
        ("!body.a.failed", 200, r#"{"a":"text"}"#, "?"),
        ("!body.a.failed", 200, r#"{"a":null}"#, "?"),
        ("!has(body.a.error)", 200, r#"{"a":{}}"#, "+"),
        ("!has(body.a.error)", 200, r#"{"a":{"error":null}}"#, "-"),
        ("!has(body.a.error)", 200, r#"{"a":[]}"#, "?"),
        ("!has(body.a.error)", 200, "{}", "?"),
        ("body.all(x, x.ok)", 200, r#"[{"ok":true}]"#, "+"),
        ("!body.exists(x, x.failed)", 200, "[1]", "?"),
        ("true", 200, "OK", "+"),
        ("true", 404, "OK", "-"),
        ("status == 404", 404, "OK", "+"),
        ("status == 302", 302, "", "+"),
        ("status < 500 && body.a == 1", 404, r#"{"a":1}"#, "+"),
        ("status < 500 || body.a == 1", 404, "no", "?"),
        ("body.ready", 200, r#"{"ready":"yes"}"#, "?"),
        ("body.ready", 200, r#"{"ready":true}"#, "+"),
        ("size(body.items)", 200, r#"{"items":[]}"#, "?"),
    ] {
        let found = match http::reading(status, body.as_bytes(), &predicate(expect)) {
            Reading::Answer { good: true, .. } => "+",
            Reading::Answer { good: false, .. } => "-",
            _ => "?",
        };
        assert_eq!(found, expected, "{expect} of {status} {body}");
    }
}

#[test]
fn no_message_quotes_the_body() {
    for expect in [
        "body.a > 1",
        "body.a + 1 == 2",
        "body.list[7] == 1",
        "body.a.missing == 1",
        "body[body.a] == 1",
        "int(body.a) == 1",
        "body.a in body.a",
        "quantity(body.a).isInteger()",
        "body.a",
        "body.a == 'x'",
        "body.a.matches('(')",
        "-body.a == 1",
        "duration(body.a) == body.b",
        "body.list.map(x, x.y)[0]",
    ] {
        let body = br#"{"a":"hunter2","list":["hunter2"]}"#;
        let told = format!("{:?}", http::reading(200, body, &predicate(expect)));
        assert!(!told.contains("hunter2"), "{expect}: {told}");
    }
}

#[test]
fn numbers_of_the_body_equal_the_numbers_of_the_text() {
    let body = json!({"n": 3, "neg": -3, "half": 0.5, "big": u64::MAX, "name": "v1.2.3", "list": [1, 2, 3],
                      "pods": [{"ready": true, "n": 1}, {"ready": true, "n": 2}], "labels": {"a.b/c": "d"}});
    for (text, expected) in [
        ("body.n == 3", true),
        ("body.n in [1, 2, 3]", true),
        ("body.n - 4 == -1", true),
        ("body.neg < 0", true),
        ("body.half < 1.0 && body.half > 0.0", true),
        ("body.half < 1", true),
        ("body.big > 1.0", true),
        ("body.n > 2.5", true),
        ("body.name.startsWith('v1')", true),
        ("body.name.matches('^v[0-9]+')", true),
        ("body.list.all(n, n > 0)", true),
        ("body.list.exists(n, n == 4)", false),
        ("body.pods.all(pod, pod.ready) && size(body.pods) >= 2", true),
        ("body.pods.filter(pod, pod.n > 1).size() == 1", true),
        ("body.labels['a.b/c'] == 'd'", true),
        ("has(body.absent) || body.n == 3", true),
        ("!has(body.absent)", true),
        ("body.list.sum() == 6", true),
        ("body.name.split('.').size() == 3", true),
        ("status == 200 ? true : false", true),
        ("math.greatest(1, 2) == 2 && math.least([1, 2]) == 1", true),
    ] {
        let found = Predicate::parse(text).map(|predicate| predicate.eval(&body, 200));
        assert_eq!(found, Ok(Ok(expected)), "{text}");
    }
}

#[test]
fn a_predicate_that_could_not_be_answered_is_refused_before_it_is_used() {
    let (nested, chained) = ("(".repeat(3000) + "1" + &")".repeat(3000), "true && ".repeat(200) + "true");
    let three = "body.a.all(x, body.b.all(y, body.c.all(z, x + y + z > 0)))";
    let made = "body.a.map(x, body.b.map(y, y)).all(z, size(z) > 0)";
    for (text, expected) in [
        ("", "is empty"),
        ("  ", "is empty"),
        (nested.as_str(), "bytes"),
        (&nested[2900..3040], "brackets"),
        (&("!".repeat(65) + "true"), "`!`"),
        (&chained, "bytes"),
        ("body.status = 'ok'", "no CEL"),
        ("body.status ==", "no CEL"),
        ("body..a", "no CEL"),
        ("'unclosed", "no CEL"),
        ("request.status == 1", "names `request`"),
        ("Body.status == 1", "names `Body`"),
        ("body.items.all(x, y > 1)", "names `y`"),
        ("bodysize(body) > 1", "calls `bodysize`"),
        ("body.name.beginsWith('a')", "calls `beginsWith`"),
        ("math.biggest(1, 2) == 2", "calls `math.biggest`"),
        ("Thing{a: 1} == body", "calls `Thing{}`"),
        ("size{a: 1} == body", "calls `size{}`"),
        (three, "loops"),
        (made, "loops"),
    ] {
        let problem = Predicate::parse(text).err().map(|problem| problem.to_string()).unwrap_or_default();
        assert!(problem.contains(expected), "{}: {problem}", &text[..text.len().min(60)]);
    }
}

#[test]
fn a_body_that_is_too_large_is_not_asked() {
    let all = predicate("body.all(x, body.all(y, x == y || x != y))");
    assert_eq!(all.eval(&json!(vec![0; 250]), 200), Ok(true));
    let flat = predicate("body[999] == 0");
    assert_eq!(flat.eval(&json!(vec![0; 1000]), 200), Ok(true));
    assert!(flat.eval(&json!(vec![0; 1001]), 200).is_err());
    for body in [
        json!(vec![0; 251]),
        json!([["x".repeat((64 << 10) + 1)]]),
        json!(vec![vec![0; 250]; 201]),
        Value::Object((0..251).map(|n| (n.to_string(), json!(n))).collect()),
    ] {
        let problem = all.eval(&body, 200).expect_err("because it is too large");
        assert!(problem.contains("more than"), "{problem}");
    }
}

#[test]
fn an_address_holds_no_credentials() {
    for good in
        ["http://shop.shop-staging/health/ready", "https://h:8443/a?b=c", "http://[::1]:9090", "http://127.0.0.1"]
    {
        assert!(good.parse::<Address>().is_ok(), "{good}");
    }
    for bad in [
        "http://u:hunter2@h/",
        "http://hunter2@h",
        "https://h/a#b",
        "h:9090",
        "//h/a",
        "ftp://h",
        "http://",
        "http:///a",
        "http://h:0/",
        "http://h:/",
        "http://h:99999",
        "http://h/a b",
        "http://h/\n",
        "",
        "file:///etc/passwd",
    ] {
        let problem = bad.parse::<Address>().expect_err(bad).to_string();
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn a_limit_is_a_number_or_a_percentage() {
    for (text, value, written) in [
        ("1%", 0.01, "1%"),
        ("0.7%", 0.007, "0.7%"),
        ("150%", 1.5, "150%"),
        ("0.25", 0.25, "0.25"),
        ("-3", -3.0, "-3"),
        ("1e3", 1000.0, "1000"),
    ] {
        let limit: Limit = text.parse().expect(text);
        assert!((limit.value - value).abs() < 1e-12, "{text}");
        assert_eq!(limit.written(), written);
        assert_eq!(limit.written().parse(), Ok(limit));
    }
    for bad in ["", "%", "ten", "NaN", "inf", "1e999", "1 %", "1%%", "0x10"] {
        assert!(bad.parse::<Limit>().is_err(), "{bad}");
    }
}
