use super::*;

fn prod() -> EnvironmentLabels {
    let pipeline = "shop".parse().expect("because it is a name");
    EnvironmentLabels::new(&pipeline, &"prod".parse().expect("because it is a name"))
}

fn facts() -> EnvironmentFacts {
    EnvironmentFacts {
        state: State::Held,
        health: Health::Progressing,
        objects: BTreeMap::from([(Health::Healthy, 3), (Health::Progressing, 1)]),
        behind: 2,
        drift: 1,
        fighting: 0,
        sequence: Some(41),
        unpublished: 5,
    }
}

/// The samples of a series, without its prefix, in byte order.
fn samples(text: &str, series: &str) -> Vec<String> {
    let head = format!("lockmaster_{series}");
    let of_series = |line: &&str| line.strip_prefix(&head).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let mut found: Vec<String> = text.lines().filter(of_series).map(|line| line[11..].to_owned()).collect();
    found.sort();
    found
}

const E: &str = "pipeline=\"shop\",environment=\"prod\"";

/// Everything that can happen, once.
fn everything() -> Exposition {
    let exposition = Exposition::default();
    let second = Duration::from_secs(1);
    exposition.set_environment(&prod(), &facts());
    exposition.walked(&prod(), Walked::Refused);
    exposition.refused(&prod(), Code::UnsignedCommit);
    exposition.step(&prod(), Step::Verify, second);
    exposition.became_healthy(&prod(), second);
    exposition.drift_detected(&prod());
    exposition.drift_healed(&prod(), second);
    exposition.applied(&prod(), Applied::Done);
    exposition.pruned(&prod());
    exposition.git_request(GitOperation::LsRemote, Err(Code::FetchFailed));
    exposition.git_contacted(&"shop".parse().expect("because it is a name"), Timestamp::UNIX_EPOCH + second);
    exposition.cluster_requests("get", "2xx", 7);
    exposition.watch_restarted(WatchRestart::Expired);
    exposition
}

#[test]
fn every_series_has_the_name_and_the_labels_of_the_reference() {
    let text = everything().text();
    let version = env!("CARGO_PKG_VERSION");
    for expected in [
        &format!("build_info{{version=\"{version}\"}} 1"),
        &format!("environment_state{{{E},state=\"held\"}} 1"),
        &format!("environment_health{{{E},health=\"progressing\"}} 1"),
        &format!("environment_objects{{{E},health=\"healthy\"}} 3"),
        &format!("environment_behind_commits{{{E}}} 2"),
        &format!("drift_objects{{{E}}} 1"),
        &format!("drift_fighting_objects{{{E}}} 0"),
        &format!("log_sequence{{{E}}} 41"),
        &format!("log_unpublished_entries{{{E}}} 5"),
        "git_last_contact_timestamp_seconds{pipeline=\"shop\"} 1.0",
        &format!("walks_total{{{E},outcome=\"refused\"}} 1"),
        &format!("refusals_total{{{E},code=\"unsigned-commit\"}} 1"),
        &format!("drift_detected_total{{{E}}} 1"),
        &format!("drift_healed_total{{{E}}} 1"),
        &format!("applies_total{{{E},outcome=\"done\"}} 1"),
        &format!("pruned_total{{{E}}} 1"),
        "git_requests_total{operation=\"ls-remote\",result=\"fetch-failed\"} 1",
        "cluster_requests_total{verb=\"get\",code_class=\"2xx\"} 7",
        "watch_restarts_total{reason=\"expired\"} 1",
        &format!("walk_step_seconds_sum{{{E},step=\"verify\"}} 1.0"),
        &format!("push_to_healthy_seconds_count{{{E}}} 1"),
        &format!("drift_heal_seconds_bucket{{le=\"1.0\",{E}}} 1"),
    ] {
        assert!(text.lines().any(|line| line == format!("lockmaster_{expected}")), "no `{expected}` in:\n{text}");
    }
}

#[test]
fn every_sample_stands_under_its_type_and_no_other_line_does() {
    let text = everything().text();
    let mut typed = String::new();
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            typed = rest.split(' ').next().unwrap_or_default().to_owned();
            names.push(typed.clone());
        } else if !line.starts_with("# HELP ") {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!([name, bare].contains(&typed.as_str()), "`{line}` stands under `{typed}`");
            assert!(name.starts_with("lockmaster_"), "{line}");
        }
    }
    assert_eq!(names.len(), 22, "{names:?}");
    assert_eq!(text.matches("# TYPE lockmaster_walks_total counter\n").count(), 1, "{text}");
    assert_eq!(text.matches("# HELP lockmaster_walks_total ").count(), 1, "{text}");
    assert!(!text.contains("_total_total"), "{text}");
    assert!(!text.contains("# EOF"), "{text}");
    assert!(text.ends_with('\n'));
}

#[test]
fn an_environment_is_in_one_state_and_of_one_health() {
    let exposition = Exposition::default();
    exposition.set_environment(&prod(), &facts());
    exposition
        .set_environment(&prod(), &EnvironmentFacts { state: State::Current, health: Health::Healthy, ..facts() });
    let text = exposition.text();
    for (series, count, one) in [("environment_state", 7, "current"), ("environment_health", 6, "healthy")] {
        let found = samples(&text, series);
        assert_eq!(found.len(), count, "{found:?}");
        let ones: Vec<&String> = found.iter().filter(|sample| sample.ends_with(" 1")).collect();
        assert!(matches!(ones.as_slice(), [only] if only.contains(&format!("\"{one}\""))), "{found:?}");
    }
    let objects = samples(&text, "environment_objects");
    let zero = format!("environment_objects{{{E},health=\"failed\"}} 0");
    assert!(objects.len() == 6 && objects.contains(&zero), "{objects:?}");
}

#[test]
fn an_environment_counts_from_zero_on_and_one_that_went_keeps_only_what_was_counted() {
    let exposition = Exposition::default();
    exposition.set_environment(&prod(), &facts());
    exposition.set_environment(&prod(), &EnvironmentFacts { sequence: None, ..facts() });
    let text = exposition.text();
    assert_eq!(samples(&text, "drift_healed_total"), [format!("drift_healed_total{{{E}}} 0")]);
    assert_eq!(samples(&text, "log_sequence"), [""; 0], "without an entry there is no sequence");
    exposition.pruned(&prod());
    exposition.forget(&prod());
    let text = exposition.text();
    for series in ["environment_state", "environment_health", "environment_objects", "drift_objects"] {
        assert_eq!(samples(&text, series), [""; 0], "{series}");
    }
    assert_eq!(samples(&text, "pruned_total"), [format!("pruned_total{{{E}}} 1")]);
}

#[test]
fn steps_are_told_by_their_names_and_other_words_make_no_label() {
    let exposition = Exposition::default();
    let took = BTreeMap::from([("render".to_owned(), 250), ("9f2c1e4".to_owned(), 1)]);
    exposition.steps(&prod(), &took);
    let text = exposition.text();
    assert_eq!(samples(&text, "walk_step_seconds_sum"), [format!("walk_step_seconds_sum{{{E},step=\"render\"}} 0.25")]);
    assert!(!text.contains("9f2c1e4"), "{text}");
}

#[test]
fn clones_share_their_series() {
    let exposition = Exposition::default();
    exposition.clone().cluster_requests("watch", "error", 2);
    exposition.cluster_requests("watch", "error", 1);
    let expected = "cluster_requests_total{verb=\"watch\",code_class=\"error\"} 3";
    assert_eq!(samples(&exposition.text(), "cluster_requests_total"), [expected]);
}
