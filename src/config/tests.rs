//! One table per rule of the Pipeline file.

use std::time::Duration;

use super::*;
use crate::name::{Code, UnitName};
use crate::render::Renderer;

const BASE: &str = "apiVersion: lockmaster.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  repository: {url: https://git.example.com/shop.git}
  trust: {signers: {file: allowed_signers}, roles: {ops: [lena@example.com]}}
  environments:
  - name: dev
    branch: env/dev
    path: overlays/dev
    namespace: shop-dev
";

mod checks;
mod units;

/// The messages against a text, with their codes and places.
fn findings(text: &str) -> Vec<String> {
    let told = |finding: &Finding| {
        let Reason { code, message, line, column, .. } = &finding.reason;
        format!("{}:{} {code}: {message}", line.unwrap_or(0), column.unwrap_or(0))
    };
    match read("p.yaml", text) {
        Ok(pipelines) => pipelines.iter().flat_map(|pipeline| pipeline.warnings()).map(told).collect(),
        Err(findings) => findings.iter().map(told).collect(),
    }
}

/// The base with more lines in its environment.
fn environment_with(lines: &str) -> String {
    format!("{BASE}    {lines}\n")
}

fn spec_with(lines: &str) -> String {
    BASE.replace("  environments:\n", &format!("  {lines}\n  environments:\n"))
}

fn with_repository(repository: &str) -> String {
    BASE.replace("{url: https://git.example.com/shop.git}", repository)
}

fn only(text: &str) -> Pipeline {
    let mut pipelines = read("p.yaml", text).expect("because the text is good");
    pipelines.pop().expect("because the text holds a pipeline")
}

#[test]
fn absent_keys_have_their_defaults() {
    let pipeline = only(BASE);
    let parsed = "because the text is a name";
    let environment = Environment {
        name: "dev".parse().expect(parsed),
        branch: RefName::branch("env/dev").expect(parsed),
        sources: Sources { paths: vec!["overlays/dev".parse().expect(parsed)], renderer: Renderer::Auto },
        units: None,
        unit: UnitName::whole(),
        namespaces: vec!["shop-dev".to_owned()],
        default_namespace: Some("shop-dev".to_owned()),
        cluster_kinds: Vec::new(),
        writers: None,
        carriers: Carriers::Plain,
        windows: Vec::new(),
        freezes: Vec::new(),
        deadline: Duration::from_secs(600),
        adopt: Adopt::Identical,
        on_drift: OnDrift::Heal,
        prune_share: 0.3,
        promotion: Promotion {
            from: None,
            own: Vec::new(),
            own_images: Vec::new(),
            approvals: None,
            give_up: Duration::from_secs(14 * 86_400),
            max_age: Duration::from_secs(30 * 86_400),
            soak: Duration::ZERO,
            queue: Queue::Newest,
            promote: Promote::Merge,
            on_failure: OnFailure::Stop,
            rollback_by: gate::RollbackBy::Anyone,
        },
        checks: Vec::new(),
        agent: "default".to_owned(),
    };
    assert_eq!(pipeline.environments, [environment]);
    assert_eq!((pipeline.keep, pipeline.publish), (10, Publish::None));
    assert_eq!(pipeline.digest(), Digest::of(BASE.as_bytes()));
    assert_eq!(pipeline.writers_of(&pipeline.environments[0]), None);
}

#[test]
fn every_built_key_is_read() {
    let text = environment_with(
        "writers: [ops, sam@example.com]\n    deadline: 1h30m\n    adopt: never\n    drift: report\n    prune: {share: 12.5%}\n    renderer: \
         plain\n    carriers: plain\n    clusterKinds: [ClusterRole.rbac.authorization.k8s.io, PersistentVolume]\n    agent: default",
    );
    let text =
        text.replace("path: overlays/dev", "paths: [base, .]").replace("namespace: shop-dev", "namespaces: [a, b]");
    let text = text.replace("  environments", "  keep: 3\n  publish: none\n  environments");
    let pipeline = only(&text);
    let environment = &pipeline.environments[0];
    assert_eq!(environment.deadline, Duration::from_secs(5400));
    assert_eq!(environment.sources.paths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["base", "."]);
    assert_eq!(environment.on_drift, OnDrift::Report);
    assert_eq!((environment.adopt, environment.prune_share, pipeline.keep), (Adopt::Never, 0.125, 3));
    assert_eq!(environment.carriers, Carriers::Plain);
    assert_eq!((environment.namespaces.len(), environment.default_namespace.clone()), (2, None));
    assert_eq!(environment.cluster_kinds[0], GroupKind::new("rbac.authorization.k8s.io", "ClusterRole"));
    let writers = pipeline.writers_of(environment).expect("because writers are named");
    assert_eq!(writers.iter().map(Principal::as_str).collect::<Vec<_>>(), ["lena@example.com", "sam@example.com"]);
}

#[test]
fn windows_and_freezes_are_read_and_an_empty_list_is_none() {
    let text = environment_with(
        "windows: [Mon-Fri 09:00-16:30 Europe/Berlin, \"cron 0 9 * * Sat for 2h UTC\"]\n    freezes:\n    - {from: 2026-12-20, until: \
         2027-01-02, zone: Europe/Berlin, reason: holidays}\n    - {from: \"2026-11-27T00:00:00Z\", until: \"2026-11-30T00:00:00Z\"}",
    );
    let environment = &only(&text).environments[0];
    let windows: Vec<String> = environment.windows.iter().map(ToString::to_string).collect();
    assert_eq!(windows, ["Mon-Fri 09:00-16:30 Europe/Berlin", "cron 0 9 * * Sat for 2h UTC"]);
    let freezes: Vec<String> = environment.freezes.iter().map(ToString::to_string).collect();
    let expected = ["2026-12-20 to 2027-01-02 Europe/Berlin: holidays", "2026-11-27T00:00:00Z to 2026-11-30T00:00:00Z"];
    assert_eq!(freezes, expected);
    assert_eq!(only(&environment_with("windows: []\n    freezes: []")).environments, only(BASE).environments);
}

#[test]
fn a_window_that_is_none_is_found_at_its_word_with_what_may_be_meant() {
    let label = "invalid-value: `windows` in environment `dev`";
    let days = "expected days, such as `Mon-Fri`, `Mon,Wed`, or `daily`";
    let zone = "expected a time zone, such as `Europe/Berlin` or `UTC`";
    for (key, expected, suggestion) in [
        (
            "windows: [Mon-Fry 09:00-16:30 UTC]",
            format!("12:19 {label} is `Mon-Fry 09:00-16:30 UTC`, instead of `Fry` {days}"),
            Some("Fri"),
        ),
        (
            "windows: [Monday 09:00-16:30 UTC]",
            format!("12:15 {label} is `Monday 09:00-16:30 UTC`, instead of `Monday` {days}"),
            Some("Mon"),
        ),
        (
            "windows: [daily 09:00-16:30 UTC, daily 09:00-16:30 America/New-York]",
            format!("12:56 {label} is `daily 09:00-16:30 America/New-York`, instead of `America/New-York` {zone}"),
            Some("America/New_York"),
        ),
        (
            "windows: [Mon 9-17 UTC]",
            format!(
                "12:19 {label} is `Mon 9-17 UTC`, instead of `9-17` expected two times of day, such as `09:00-16:30`"
            ),
            None,
        ),
        (
            "windows: [cron 0 9 * * 0-9 for 7h UTC]",
            format!(
                "12:28 {label} is `cron 0 9 * * 0-9 for 7h UTC`, instead of `0-9` expected a day of week as crontab(5) writes it"
            ),
            None,
        ),
        ("windows: daily 09:00-16:30 UTC", format!("12:14 {label} is text, expected a list"), None),
        (
            "windows: [daily 09:00-16:30 UTC, daily  09:00-16:30 UTC]",
            format!("12:38 {label} names `daily  09:00-16:30 UTC` twice"),
            None,
        ),
    ] {
        suggested(key, &expected, suggestion);
    }
}

/// The only finding against a line of the environment, and what is suggested in its place.
fn suggested(line: &str, expected: &str, suggestion: Option<&str>) {
    let text = environment_with(line);
    assert_eq!(findings(&text), [expected], "{line}");
    let found = read("lockmaster.yaml", &text).expect_err("because there is a finding");
    assert_eq!(found[0].suggestion.as_deref(), suggestion, "{line}");
}

#[test]
fn a_freeze_that_is_none_is_found_at_its_field() {
    let zone = "expected a time zone, such as `Europe/Berlin` or `UTC`";
    let freezes = "`freezes` in environment `dev`";
    for (key, expected, suggestion) in [
        (
            "freezes: [{from: 2026-12-20, until: 2027-01-02, zone: Europ/Berlin}]",
            format!("12:59 invalid-value: `zone` in {freezes} is `Europ/Berlin`, {zone}"),
            Some("Europe/Berlin"),
        ),
        (
            "freezes: [{from: 2026-12-20, until: 2026-12-20, zone: UTC}]",
            format!("12:41 invalid-value: `until` in {freezes} is `2026-12-20`, expected a time after `from`"),
            None,
        ),
        ("freezes: [{from: 2026-12-20, zone: UTC}]", format!("12:16 invalid-value: {freezes} has no `until`"), None),
        (
            "freezes: [{from: 2026-12-20, until: 2026-12-21, zone: UTC, reson: x}]",
            format!("12:64 unknown-key: unknown key `reson` in {freezes}"),
            Some("reason"),
        ),
    ] {
        suggested(key, &expected, suggestion);
    }
}

#[test]
fn carriers_that_are_allowed_are_a_warning() {
    let text = environment_with("carriers: allow");
    assert_eq!(only(&text).environments[0].carriers, Carriers::Allow);
    let warned = "12:15 invalid-value: `carriers` in environment `dev` is `allow`: whoever may push is trusted, no signature \
                  is asked for";
    assert_eq!(findings(&text), [warned]);
    let refused = "12:15 invalid-value: `carriers` in environment `dev` is `yes`, expected `plain` or `allow`";
    assert!(findings(&environment_with("carriers: \"yes\"")).contains(&refused.to_owned()));
}

#[test]
fn expanding_what_was_expanded_changes_nothing() {
    let odd = environment_with("writers: [ops]\n    carriers: allow\n    prune: {share: 0.7%}\n    deadline: 90s");
    let ssh = with_repository("{url: 'git@h:x', auth: {sshKeyFile: key, knownHostsFile: \"no\"}}");
    let password = with_repository("{url: https://h/x, auth: {username: \"1\", passwordFile: p}, caFile: ca.pem}");
    let several =
        BASE.replace("path: overlays/dev", "paths: [a, b]").replace("namespace: shop-dev", "namespaces: [x, z]");
    let calendar = environment_with(
        "windows: [Mon-Fri 09:00-16:30 Europe/Berlin]\n    freezes: [{from: 2026-12-20, until: 2027-01-02 12:00, zone: UTC, reason: \
         \"no\"}, {from: \"2026-12-20T00:00:00Z\", until: \"2026-12-21T00:00:00Z\"}]",
    );
    let units = environment_with("units: \"*\"");
    for text in [BASE.to_owned(), odd, ssh, password, several, calendar, units] {
        let first = only(&text);
        let full = expand(&first);
        let second = only(&full);
        assert_eq!(expand(&second), full, "{text}");
        assert_eq!(
            (second.repository, second.trust, second.environments),
            (first.repository, first.trust, first.environments)
        );
    }
}

#[test]
fn a_key_that_is_not_built_is_refused_by_name() {
    for key in environment::NOT_YET {
        let found = findings(&environment_with(&format!("{key}: [anything, {{at: all}}]")));
        assert_eq!(found, [format!("12:5 invalid-value: `{key}` in environment `dev` is not supported yet")]);
    }
    let found = findings(&spec_with("publishWithin: 1"));
    assert_eq!(found, ["7:3 invalid-value: `publishWithin` in `spec` is not supported yet"]);
    for (text, expected) in [
        (
            BASE.replace("trust: {", "trust: {revoked: [], "),
            "6:11 invalid-value: `revoked` in `spec.trust` is not supported yet",
        ),
        (
            BASE.replace("{file: allowed_signers}", "{file: allowed_signers, openpgp: k}"),
            "6:44 invalid-value: `openpgp` in `spec.trust.signers` is not supported yet",
        ),
        (
            BASE.replace("{name: shop}", "{name: shop, namespace: x}"),
            "3:24 invalid-value: `namespace` in `metadata` is not supported yet",
        ),
        (
            environment_with("renderer: helm"),
            "12:15 invalid-value: `renderer` in environment `dev` is `helm`, which is not supported yet, expected `auto`, \
             `plain` or `kustomize`",
        ),
        (
            environment_with("agent: west"),
            "12:12 invalid-value: `agent` in environment `dev` is `west`, which is not supported yet, expected `default`",
        ),
        (
            spec_with("publish: git"),
            "7:12 invalid-value: `publish` in `spec` is `git`, which is not supported yet, expected `none`",
        ),
    ] {
        assert_eq!(findings(&text), [expected]);
    }
}

#[test]
fn an_unknown_key_is_found_at_every_level() {
    for (text, expected) in [
        (format!("{BASE}status: {{}}\n"), "12:1 unknown-key: unknown key `status` in the pipeline"),
        (BASE.replace("{name: shop}", "{name: shop, nam: x}"), "3:24 unknown-key: unknown key `nam` in `metadata`"),
        (spec_with("suspend: true"), "7:3 unknown-key: unknown key `suspend` in `spec`"),
        (with_repository("{url: a, uri: b}"), "5:24 unknown-key: unknown key `uri` in `spec.repository`"),
        (
            with_repository("{url: https://h/x, auth: {password: x}}"),
            "5:41 unknown-key: unknown key `password` in `spec.repository.auth`",
        ),
        (BASE.replace("trust: {", "trust: {keys: 1, "), "6:11 unknown-key: unknown key `keys` in `spec.trust`"),
        (
            environment_with("prune: {shore: 1%}"),
            "12:13 unknown-key: unknown key `shore` in `prune` in environment `dev`",
        ),
        (environment_with("<<: {a: b}"), "12:5 unknown-key: unknown key `<<` in environment `dev`"),
    ] {
        assert_eq!(findings(&text), [expected]);
    }
}

#[test]
fn row_76_a_duration_or_number_out_of_bounds_is_refused() {
    for deadline in ["0", "0s", "-5m", "1ns", "999ms", "25h", "10M", "1y", "99999999999999999y", "soon", "\"\""] {
        let found = findings(&environment_with(&format!("deadline: {deadline}")));
        assert!(found.len() == 1 && found[0].contains("`deadline` in environment `dev`"), "{deadline}: {found:?}");
    }
    for share in ["0.3", "101%", "-1%", "\"%\"", "NaN%", "inf%", "1e1%"] {
        let found = findings(&environment_with(&format!("prune: {{share: {share}}}")));
        assert!(found.len() == 1 && found[0].contains("12:20 invalid-value: `share`"), "{share}: {found:?}");
    }
    for keep in ["0", "-1", "1001", "1.5", "ten", "\"3\"", "99999999999"] {
        let found = findings(&spec_with(&format!("keep: {keep}")));
        assert!(found.len() == 1 && found[0].contains("7:9 invalid-value: `keep` in `spec`"), "{keep}: {found:?}");
    }
}

#[test]
fn row_77_an_address_that_could_run_or_leak_something_is_refused() {
    let pki = "auth: {sshKeyFile: k, knownHostsFile: h}";
    for (repository, expected) in [
        ("{url: 'ext::sh -c id'}", "remote helper"),
        ("{url: '-oProxyCommand=id'}", "begins with `-`"),
        ("{url: https://u:p@h/x}", "holds credentials"),
        ("{url: https://token@h/x}", "holds credentials"),
        ("{url: 'https://h/x?private_token=t'}", "a query"),
        ("{url: http://git.example.com/x}", "is not encrypted"),
        ("{url: http://127.0.0.1.example.com/x}", "is not encrypted"),
        ("{url: git://h/x}", "unknown scheme"),
        ("{url: file://relative}", "file:///"),
        ("{url: https:///x}", "no host name"),
        ("{url: ''}", "is empty"),
        (&format!("{{url: 'ssh://-oProxyCommand=id/x', {pki}}}"), "no host name"),
        (&format!("{{url: 'ssh://git:pw@h/x', {pki}}}"), "holds credentials"),
        (&format!("{{url: '-u@h:x', {pki}}}"), "begins with `-`"),
        ("{url: ssh://git@h/x}", "needs `auth: {sshKeyFile, knownHostsFile}`"),
        ("{url: 'git@h:x'}", "needs `auth: {sshKeyFile, knownHostsFile}`"),
        ("{url: ssh://git@h/x, auth: {sshKeyFile: k}}", "is incomplete or mixed"),
        ("{url: ssh://git@h/x, auth: {tokenFile: t}}", "needs `sshKeyFile` and `knownHostsFile`"),
        ("{url: https://h/x, auth: {tokenFile: t, username: u}}", "is incomplete or mixed"),
        (&format!("{{url: https://h/x, {pki}}}"), "is for ssh"),
        ("{url: ../repo, auth: {tokenFile: t}}", "takes no credentials"),
        ("{url: ../repo, caFile: c}", "is for `https://`"),
    ] {
        let found = findings(&with_repository(repository));
        assert!(found.len() == 1 && found[0].contains(expected), "{repository}: {found:?}");
        assert!(!found[0].contains("u:p@"), "{found:?}");
    }
}

#[test]
fn an_address_is_known_by_its_transport() {
    for (text, expected) in [
        ("../deploy", Transport::Path),
        ("/srv/git/deploy.git", Transport::Path),
        ("./a:b", Transport::Path),
        ("file:///srv/git/deploy.git", Transport::File),
        ("https://git.example.com:8443/x", Transport::Https),
        ("http://127.0.0.1:3000/x", Transport::Http),
        ("http://[::1]:3000/x", Transport::Http),
        ("http://localhost/x", Transport::Http),
        ("ssh://git@git.example.com:22/x", Transport::Ssh),
        ("git@git.example.com:shop/deploy.git", Transport::Ssh),
    ] {
        assert_eq!(text.parse::<RemoteUrl>().map(|url| url.transport()), Ok(expected), "{text}");
    }
}

#[test]
fn row_78_a_target_has_one_owner() {
    let second = |name: &str, branch: &str, path: &str, namespace: &str| {
        format!("{BASE}  - {{name: {name}, branch: {branch}, path: {path}, namespace: {namespace}}}\n")
    };
    for (text, expected) in [
        (second("prod", "env/prod", "p", "shop-prod"), Vec::new()),
        (
            second("prod", "env/prod", "p", "shop-dev"),
            vec!["12:56 environment-conflict: environment `prod` writes into namespace `shop-dev`, which `dev` owns"],
        ),
        (
            second("dev", "env/prod", "p", "x"),
            vec!["12:12 invalid-value: environment `dev` stands twice, first in line 8"],
        ),
        (
            second("prod", "env/dev", "overlays/dev", "x"),
            vec!["12:41 environment-conflict: environment `prod` renders the same path of branch `env/dev` as `dev`"],
        ),
    ] {
        assert_eq!(findings(&text), expected);
    }
    let two = format!("{BASE}---\n{}", BASE.replace("name: shop", "name: other"));
    assert_eq!(
        findings(&two),
        ["23:16 environment-conflict: environment `dev` writes into namespace `shop-dev`, which `dev` owns"]
    );
    let twice = format!("{BASE}---\n{}", BASE.replace("shop-dev", "x"));
    assert_eq!(findings(&twice), ["15:18 invalid-value: pipeline `shop` stands twice in this file, first in line 3"]);
}

#[test]
fn several_documents_are_several_pipelines_with_digests_of_their_own() {
    let other = BASE.replace("name: shop", "name: other").replace("shop-dev", "other-dev");
    let text = format!("{BASE}---\n{other}");
    let pipelines = read("p.yaml", &text).expect("because both are good");
    let digests: Vec<Digest> = pipelines.iter().map(Pipeline::digest).collect();
    assert_eq!(digests, [Digest::of(BASE.as_bytes()), Digest::of(format!("---\n{other}").as_bytes())]);
}

#[test]
fn what_is_missing_is_named() {
    for (text, expected) in [
        ("", "1:1 invalid-value: the file holds no pipeline"),
        ("[]", "1:1 invalid-value: the pipeline is a list, expected a map"),
        (&BASE.replace("    branch: env/dev\n", ""), "8:5 invalid-value: environment `dev` has no `branch`"),
        (&BASE.replace("    path: overlays/dev\n", ""), "8:5 invalid-value: environment `dev` has no `path`"),
        (&BASE.replace("    namespace: shop-dev\n", ""), "8:5 invalid-value: environment `dev` has no `namespace`"),
        (&BASE.replace("name: dev\n    ", ""), "8:5 invalid-value: `spec.environments[0]` has no `name`"),
        (&BASE.replace("{file: allowed_signers}", "{}"), "6:20 invalid-value: `spec.trust.signers` has no `file`"),
        (
            &BASE.replace("[lena@example.com]", "[]"),
            "6:58 invalid-value: role `ops` is an empty list, expected at least one",
        ),
    ] {
        assert_eq!(findings(text), [expected]);
    }
}

#[test]
fn a_value_of_the_wrong_shape_is_refused() {
    for (lines, expected) in [
        ("writers: ops", "12:14 invalid-value: `writers` in environment `dev` is text, expected a list"),
        (
            "writers: [\"*\"]",
            "12:15 invalid-value: `writers` in environment `dev` is `*`, expected a principal: one word without wildcards",
        ),
        ("writers: [ops, ops]", "12:20 invalid-value: `writers` in environment `dev` names `ops` twice"),
        ("adopt: no", "12:12 invalid-value: `adopt` in environment `dev` is `no`, expected text: quote it, `\"no\"`"),
        ("adopt:", "12:10 invalid-value: `adopt` in environment `dev` is empty, expected text"),
        (
            "paths: [a]",
            "12:12 invalid-value: `paths` in environment `dev` stands beside `path`, expected one of the two",
        ),
        ("prune: 30%", "12:12 invalid-value: `prune` in environment `dev` is text, expected a map"),
        (
            "clusterKinds: [clusterrole]",
            "12:20 invalid-value: `clusterKinds` in environment `dev` is `clusterrole`, expected `Kind` or `Kind.group`, such as `ClusterRole.rbac.authorization.k8s.io`",
        ),
    ] {
        assert_eq!(findings(&environment_with(lines)), [expected]);
    }
    for path in ["/abs", "../up", "a/../b", "./a", "a/", "\"\""] {
        let found = findings(&BASE.replace("overlays/dev", path));
        assert!(
            found.len() == 1 && found[0].contains("expected a path from the repository's root"),
            "{path}: {found:?}"
        );
    }
    for branch in ["refs/heads/x", "a..b", "a b", "x.lock"] {
        let found = findings(&BASE.replace("branch: env/dev", &format!("branch: {branch}")));
        assert!(found.len() == 1 && found[0].starts_with("9:13 invalid-value"), "{branch}: {found:?}");
    }
}

#[test]
fn text_that_is_no_plain_yaml_is_refused() {
    let bomb = (1..8).fold("a: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let below = format!("*a{}", level - 1);
        format!("{text}b{level}: &a{level} [{}]\n", vec![below; 9].join(", "))
    });
    for (text, code) in [
        ("a: [", Code::InvalidYaml),
        ("a: b: c", Code::InvalidYaml),
        ("a: 1\na: 2", Code::InvalidYaml),
        ("a: !x 1", Code::InvalidYaml),
        ("a: *nope", Code::InvalidYaml),
        ("? [a]\n: b", Code::InvalidYaml),
        (&bomb, Code::LimitExceeded),
        (&"#".repeat(FILE_LIMIT + 1), Code::LimitExceeded),
    ] {
        let found = read("p.yaml", text).expect_err("because the text is wrong");
        let codes: Vec<Code> = found.iter().map(|finding| finding.reason.code).collect();
        assert_eq!(codes, [code], "{}", &text[..text.len().min(40)]);
    }
}

#[test]
fn a_comment_says_nothing_wherever_it_stands() {
    let commented: String = BASE.lines().map(|line| format!("# why\n{line} # because\n  # and\n")).collect();
    let (with, without) = (only(&commented), only(BASE));
    assert_eq!((with.environments, with.trust, with.warnings), (without.environments, without.trust, without.warnings));
}

#[test]
fn an_anchor_stands_for_what_it_names() {
    let text = environment_with("writers: &w [ops]");
    let text = format!("{text}  - {{name: prod, branch: env/prod, path: p, namespace: q, writers: *w}}\n");
    assert_eq!(only(&text).environments[1].writers, only(&text).environments[0].writers);
}

#[test]
fn any_cut_or_damaged_text_is_answered_with_findings_inside_it() {
    for end in (0..BASE.len()).filter(|end| BASE.is_char_boundary(*end)) {
        for text in [BASE[..end].to_owned(), format!("{}\u{e9}{}", &BASE[..end], &BASE[end..])] {
            for finding in read("p.yaml", &text).err().into_iter().flatten() {
                assert!(
                    text.get(finding.span.clone()).is_some_and(|shown| !shown.contains('\n')),
                    "{end}: {finding:?}"
                );
            }
        }
    }
}
