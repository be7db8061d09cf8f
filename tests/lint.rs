//! `lockmaster lint` and the frame of the command line, through the real program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A pipeline that is good, with the placeholders that tests replace.
const GOOD: &str = r#"apiVersion: lockmaster.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  repository: {url: https://git.example.com/shop/deploy.git}
  trust: {signers: {file: allowed_signers}, roles: {release-managers: [lena@example.com]}}
  environments:
  - {name: dev, branch: env/dev, path: overlays/dev, namespace: shop-dev}
  - name: prod
    branch: env/prod
    path: overlays/prod
    namespace: shop-prod
    writers: [release-managers]
"#;

const SIGNERS: &str = "lena@example.com namespaces=\"git\" ssh-ed25519 \
                       AAAAC3NzaC1lZDI1NTE5AAAAIP+aPtm3ki63X/kxgoc2SQGnCXEulAIDvcunvRmPHOd4\n";

struct Place(tempfile::TempDir);

impl Place {
    fn with(pipeline: &str) -> Self {
        let place = Place(tempfile::tempdir().expect("because a directory can be made"));
        place.write("lockmaster.yaml", pipeline);
        place.write("allowed_signers", SIGNERS);
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("because the directory is ours");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockmaster"));
        command.args(arguments).current_dir(self.path()).env_clear().env("HOME", self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().expect("because the program was built"))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("because output is UTF-8");
        let code = output.status.code().expect("because no signal ended it");
        Ran { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn printed(code: i32, stdout: &str) -> Self {
        Ran { code, stdout: stdout.to_owned(), stderr: String::new() }
    }

    fn failed(stderr: &str) -> Self {
        Ran { code: 2, stdout: String::new(), stderr: stderr.to_owned() }
    }
}

fn with(key: &str) -> String {
    GOOD.replace("    writers: [release-managers]\n", &format!("    {key}\n"))
}

#[test]
fn a_good_pipeline_is_clean() {
    let place = Place::with(GOOD);
    assert_eq!(place.run(&["lint"]), Ran::printed(0, "lockmaster.yaml: 0 errors, 0 warnings\n"));
}

#[test]
fn an_unknown_key_is_shown_with_its_span_and_suggestion() {
    let place = Place::with(&with("approval: {count: 2, role: release-managers, excludeAuthor: true}"));
    let expected = "error[unknown-key]: unknown key `approval` in environment `prod`
  --> lockmaster.yaml:13:5
   |
13 |     approval: {count: 2, role: release-managers, excludeAuthor: true}
   |     ^^^^^^^^ did you mean `approvals`?
lockmaster.yaml: 1 error, 0 warnings
";
    assert_eq!(place.run(&["lint"]), Ran::printed(1, expected));
}

#[test]
fn a_finding_as_json_is_a_reason_with_severity_and_suggestion() {
    let place = Place::with(&with("approval: 1"));
    let ran = place.run(&["lint", "-o", "json"]);
    let mut document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("because -o json prints JSON");
    let now = document["asOf"].take();
    assert!(now.as_str().is_some_and(|now| now.ends_with('Z')), "{now}");
    let expected = serde_json::json!({
        "schema": "lockmaster.dev/lint/v1", "pipeline": null, "asOf": null, "source": "file", "openings": [],
        "findings": [{
            "code": "unknown-key", "message": "unknown key `approval` in environment `prod`", "hint": null,
            "commit": null, "object": null, "file": "lockmaster.yaml", "line": 13, "column": 5,
            "severity": "error", "suggestion": "approvals",
        }],
    });
    assert_eq!((ran.code, document, ran.stderr.as_str()), (1, expected, ""));
}

#[test]
fn every_finding_is_told_at_once_in_the_order_of_the_text() {
    let text = with("deadline: 10M\n    slo: a").replace("kind: Pipeline", "kind: Pipelines");
    let expected = "error[invalid-value]: `kind` in the pipeline is `Pipelines`, expected `Pipeline`
 --> lockmaster.yaml:2:7
  |
2 | kind: Pipelines
  |       ^^^^^^^^^

error[invalid-value]: `deadline` in environment `prod` is `10M`, expected a duration from 1s to 1day, such as `10m`; \
                    `M` is months, `m` is minutes
  --> lockmaster.yaml:13:15
   |
13 |     deadline: 10M
   |               ^^^

error[invalid-value]: `slo` in environment `prod` is not supported yet
  --> lockmaster.yaml:14:5
   |
14 |     slo: a
   |     ^^^
  hint: this version does not have it; take the key out only if you can do without what it guards
lockmaster.yaml: 3 errors, 0 warnings
";
    assert_eq!(Place::with(&text).run(&["lint"]), Ran::printed(1, expected));
}

#[test]
fn a_warning_fails_only_where_warnings_are_denied() {
    let text = GOOD.replace("branch: env/prod\n    path: overlays/prod", "branch: env/dev\n    path: overlays/dev");
    let expected =
        "warning[environment-conflict]: environment `prod` renders the same path of branch `env/dev` as `dev`
  --> lockmaster.yaml:11:11
   |
11 |     path: overlays/dev
   |           ^^^^^^^^^^^^
  hint: give each environment a namespace and a path of its own
lockmaster.yaml: 0 errors, 1 warning
";
    let place = Place::with(&text);
    assert_eq!(place.run(&["lint"]), Ran::printed(0, expected));
    assert_eq!(place.run(&["lint", "--deny-warnings"]), Ran::printed(1, expected));
    let quiet = expected.replace("  hint: give each environment a namespace and a path of its own\n", "");
    assert_eq!(place.run(&["lint", "-q"]), Ran::printed(0, &quiet));
}

#[test]
fn row_33_a_bad_line_in_the_signers_refuses_the_file() {
    let place = Place::with(GOOD);
    place.write("allowed_signers", &format!("{SIGNERS}* ssh-ed25519 AAAA\n"));
    let ran = place.run(&["lint"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stdout.starts_with("error[signers-invalid]: `allowed_signers` is refused: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("--> allowed_signers:2:1\n"), "{}", ran.stdout);
}

#[test]
fn row_33_missing_or_empty_signers_fail_closed() {
    let place = Place::with(GOOD);
    std::fs::remove_file(place.path().join("allowed_signers")).expect("because it was written");
    let ran = place.run(&["lint"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    let line = "error[signers-invalid]: `allowed_signers`, the signers file of pipeline `shop`, cannot be read\n";
    assert!(ran.stderr.starts_with(line), "{}", ran.stderr);
    place.write("allowed_signers", "# nobody\n");
    let ran = place.run(&["lint"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.starts_with("error[signers-invalid]: `allowed_signers` is refused: "), "{}", ran.stderr);
}

#[test]
fn a_name_that_no_signer_has_is_found() {
    let text = GOOD.replace("[lena@example.com]", "[lena@example.com, omar@example.com]");
    let text = text.replace("writers: [release-managers]", "writers: [relase-managers]");
    let expected = "error[unknown-name]: role `release-managers` names `omar@example.com`, not a principal of the signers file
 --> lockmaster.yaml:6:90
  |
6 |   trust: {signers: {file: allowed_signers}, roles: {release-managers: [lena@example.com, omar@example.com]}}
  |                                                                                          ^^^^^^^^^^^^^^^^
  hint: correct the name, or declare it: an environment, role or check in the pipeline file, a principal in the signers file

error[unknown-name]: `writers` in environment `prod` names `relase-managers`, neither a declared role nor a principal of \
                    the signers file
  --> lockmaster.yaml:13:15
   |
13 |     writers: [relase-managers]
   |               ^^^^^^^^^^^^^^^ did you mean `release-managers`?
  hint: correct the name, or declare it: an environment, role or check in the pipeline file, a principal in the signers file
lockmaster.yaml: 2 errors, 0 warnings
";
    assert_eq!(Place::with(&text).run(&["lint"]), Ran::printed(1, expected));
}

#[test]
fn expand_prints_every_default_and_reads_back_as_itself() {
    let place = Place::with(GOOD);
    let expected = include_str!("lint/expanded.yaml");
    assert_eq!(place.run(&["lint", "--expand"]), Ran::printed(0, expected));
    place.write("lockmaster.yaml", expected);
    assert_eq!(place.run(&["lint", "--expand"]), Ran::printed(0, expected));
}

#[test]
fn the_file_is_named_by_flag_variable_or_standard_input_or_found_upwards() {
    let place = Place::with(&with("approval: 1"));
    let summary = |ran: Ran| (ran.code, ran.stdout.lines().last().map(str::to_owned), ran.stderr);
    let expected = |name: &str| (1, Some(format!("{name}: 1 error, 0 warnings")), String::new());
    place.write("other.yaml", &with("approval: 1"));
    assert_eq!(summary(place.run(&["lint", "-f", "other.yaml"])), expected("other.yaml"));
    let output = place.command(&["lint"]).env("LOCKMASTER_FILE", "other.yaml").output();
    assert_eq!(summary(Ran::of(&output.expect("because the program was built"))), expected("other.yaml"));

    let mut child = place.command(&["lint", "-f", "-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("because the program was built");
    let mut stdin = child.stdin.take().expect("because it is piped");
    stdin.write_all(with("approval: 1").as_bytes()).expect("because the program reads it");
    drop(stdin);
    let output = child.wait_with_output().expect("because the child ends");
    assert_eq!(summary(Ran::of(&output)), expected("<stdin>"));

    std::fs::create_dir_all(place.path().join("a/b")).expect("because the directory is ours");
    let below = |place: &Place| {
        Ran::of(
            &place
                .command(&["lint"])
                .current_dir(place.path().join("a/b"))
                .output()
                .expect("because the program was built"),
        )
    };
    assert_eq!(below(&place).code, 2, "no Git root: only here");
    std::fs::create_dir(place.path().join(".git")).expect("because the directory is ours");
    assert_eq!(summary(below(&place)), expected("../../lockmaster.yaml"));
}

#[test]
fn a_file_that_is_not_there_is_exit_code_2() {
    let place = Place::with(GOOD);
    assert_eq!(
        place.run(&["lint", "-f", "nope.yaml"]),
        Ran::failed(
            "error[config-not-found]: `nope.yaml` does not exist\n  hint: name the file: lockmaster -f FILE, or set LOCKMASTER_FILE\n"
        )
    );
    assert_eq!(
        place.run(&["lint", "-f", "lockmaster.yaml", "-p", "other"]),
        Ran::failed(
            "error[config-not-found]: `lockmaster.yaml` holds no pipeline `other`, but `shop`\n  hint: name the file: lockmaster -f FILE, or set LOCKMASTER_FILE\n"
        )
    );
}

#[test]
fn what_is_not_built_answers_by_name() {
    let place = Place::with(GOOD);
    for (words, name) in [
        (vec!["explain", "prod", "-w"], "lockmaster explain --watch"),
        (vec!["show", "prod/42", "--diff"], "lockmaster show --diff"),
        (vec!["audit", "verify"], "lockmaster audit verify"),
        (vec!["audit", "bundle", "x"], "lockmaster audit bundle"),
        (vec!["dora"], "lockmaster dora"),
        (vec!["keygen", "x"], "lockmaster keygen"),
        (vec!["install"], "lockmaster install"),
        (vec!["lint", "--probe"], "lockmaster lint --probe"),
    ] {
        let expected = Ran::failed(&format!("error[usage]: `{name}` is not supported yet\n"));
        assert_eq!(place.run(&words), expected, "{words:?}");
    }
    for words in [["lint", "-p", "shop"], ["lint", "-n", "shop"]] {
        let ran = place.run(&words);
        assert!(ran.code == 2 && ran.stderr.contains("is not supported yet\n"), "{ran:?}");
    }
}

#[test]
fn wrong_words_are_usage_with_a_suggestion() {
    let place = Place::with(GOOD);
    for (words, expected) in [
        (vec!["lnit"], "error[usage]: unknown verb `lnit`\n  hint: did you mean `lint`?\n"),
        (vec!["lint", "--expnd"], "error[usage]: unknown flag `--expnd`\n  hint: did you mean `--expand`?\n"),
        (vec!["lint", "x"], "error[usage]: `x` was not expected here\n  hint: see: lockmaster lint --help\n"),
        (
            vec!["show", "prod/x"],
            "error[usage]: invalid value `prod/x` for `<ENV/SEQ>`: expected `ENV`, `ENV/SEQUENCE`, `ENV/latest` or \
             `ENV@REVISION`\n  hint: see: lockmaster show --help\n",
        ),
    ] {
        assert_eq!(place.run(&words), Ran::failed(expected), "{words:?}");
    }
    for interval in ["0s", "1ns", "-5s", "5", "10M", "2d"] {
        let ran = place.run(&["run", &format!("--interval={interval}")]);
        assert!(ran.code == 2 && ran.stderr.starts_with("error[usage]: invalid value "), "row 76: {interval}: {ran:?}");
    }
}

#[test]
fn windows_print_their_next_five_openings_whatever_the_day_is() {
    let place = Place::with(&with("windows: [\"Mon-Fri 09:00-16:30 Europe/Berlin\"]"));
    let ran = place.run(&["lint"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{}", ran.stdout);
    assert!(lines[0].starts_with("shop/prod: Mon-Fri 09:00-16:30 Europe/Berlin, "), "{}", lines[0]);
    for line in &lines[1..6] {
        assert!(line.starts_with("  opens 20") && line.contains(":00:00Z ("), "{line}");
        assert!(line.contains(" 09:00 Europe/Berlin), closes 20"), "{line}");
        assert!(line.ends_with(":30:00Z (16:30 Europe/Berlin)"), "{line}");
    }
    assert_eq!(lines[6], "lockmaster.yaml: 0 errors, 0 warnings");
    let ran = place.run(&["lint", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("because -o json prints JSON");
    let openings = document["openings"].as_array().expect("because it is a list");
    assert_eq!(openings.len(), 1);
    assert_eq!(
        (&openings[0]["environment"], &openings[0]["window"]),
        (&"prod".into(), &"Mon-Fri 09:00-16:30 Europe/Berlin".into())
    );
    let next = openings[0]["next"].as_array().expect("because it is a list");
    let time = |index: usize, edge: &str| next[index][edge].as_str().expect("because it is a time").to_owned();
    assert_eq!(next.len(), 5);
    let mut last = document["asOf"].as_str().expect("because it is a time").to_owned();
    for index in 0..5 {
        let (opens, closes) = (time(index, "opens"), time(index, "closes"));
        // The window may open between the two looks at the clock, so only a minute is compared.
        assert!(opens.ends_with(":00:00Z") && closes.ends_with(":30:00Z"), "{opens} {closes}");
        assert!(opens[..16] >= last[..16] && closes > opens, "{opens} after {last}");
        last = closes;
    }
}

#[test]
fn a_slip_in_a_window_is_shown_at_its_word() {
    let place = Place::with(&with("windows: [\"Mon-Fri 09:00-16:30 Europe/Berln\"]"));
    let expected =
        "error[invalid-value]: `windows` in environment `prod` is `Mon-Fri 09:00-16:30 Europe/Berln`, instead of \
                    `Europe/Berln` expected a time zone, such as `Europe/Berlin` or `UTC`
  --> lockmaster.yaml:13:36
   |
13 |     windows: [\"Mon-Fri 09:00-16:30 Europe/Berln\"]
   |                                    ^^^^^^^^^^^^ did you mean `Europe/Berlin`?
lockmaster.yaml: 1 error, 0 warnings
";
    assert_eq!(place.run(&["lint"]), Ran::printed(1, expected));
}

#[test]
fn an_error_with_json_is_one_line_on_standard_error() {
    let place = Place::with(GOOD);
    for words in [vec!["lint", "-f", "nope.yaml", "-o", "json"], vec!["lnit", "--output=json"], vec!["lnit", "-ojson"]]
    {
        let ran = place.run(&words);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.lines().count()), (2, "", 1), "{words:?}");
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("because -o json prints JSON");
        assert_eq!(error["schema"], "lockmaster.dev/error/v1");
        assert!(error["message"].is_string() && error["causes"].is_array() && error["hint"].is_string(), "{error}");
    }
}

#[test]
fn without_arguments_help_goes_to_standard_error() {
    let ran = Place::with(GOOD).run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Usage: lockmaster [OPTIONS] <COMMAND>"), "{}", ran.stderr);
    let ran = Place::with(GOOD).run(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = Place::with(GOOD).run(&["--version"]);
    assert_eq!(ran, Ran::printed(0, concat!("lockmaster ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn colour_follows_the_flag_and_the_variables() {
    let place = Place::with(&with("approval: 1"));
    let colourful = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = place.command(arguments).envs(variables.iter().copied()).output();
        Ran::of(&output.expect("because the program was built")).stdout.contains('\u{1b}')
    };
    assert!(!colourful(&["lint"], &[]), "a pipe is no terminal");
    assert!(colourful(&["lint", "--color", "always"], &[("NO_COLOR", "1")]), "a flag wins");
    assert!(colourful(&["lint"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!colourful(&["lint", "--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn a_closed_pipe_ends_quietly_with_the_verdict() {
    let place = Place::with(&with("approval: 1"));
    let mut command = place.command(&["lint"]);
    let (reader, writer) = std::io::pipe().expect("because a pipe can be made");
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("because the program was built");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), b"".as_slice()));
}

#[test]
fn a_credential_in_the_url_is_never_printed() {
    let place = Place::with(&GOOD.replace("https://", "https://u:hunter2@"));
    for words in [vec!["lint"], vec!["lint", "-o", "json"], vec!["lint", "-o", "yaml"]] {
        let ran = place.run(&words);
        assert_eq!(ran.code, 1);
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = Place::with(GOOD).run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("lockmaster") && ran.stderr.is_empty(), "{shell}");
    }
}
