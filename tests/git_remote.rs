//! `edge::git` against real servers on loopback. Where a server is not installed its tests are listed as ignored.

#[path = "git_support/mod.rs"]
mod git_support;

#[path = "git_remote/http.rs"]
mod http;
#[path = "git_remote/over_http.rs"]
mod over_http;
#[path = "git_remote/over_ssh.rs"]
mod over_ssh;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

macro_rules! trials {
    ($missing:expr, $($module:ident :: $test:ident),* $(,)?) => {
        vec![$(trial(concat!(stringify!($module), "::", stringify!($test)), $missing, $module::$test)),*]
    };
}

fn main() -> ExitCode {
    git_support::begin();
    let backend = missing_backend();
    let mut trials = trials![
        backend.as_deref(),
        over_http::fetches_over_http,
        over_http::tags_are_fetched_over_http_without_what_they_are_on,
        over_http::a_push_that_the_server_refuses_is_told_from_one_that_fails,
        over_http::row_01_a_missing_repository_is_a_failed_fetch,
        over_http::row_02_good_credentials_are_sent_and_bad_ones_once,
        over_http::row_02_a_forbidden_repository_is_a_failed_authentication,
        over_http::redirects_to_another_host_are_not_followed,
        over_http::row_08_a_pack_with_flipped_bytes_is_refused_and_dropped,
        over_http::row_09_a_shallow_server_is_an_incomplete_history,
        over_http::fault_31_a_server_that_is_down_leaves_the_mirror_readable,
        over_http::fault_32_a_pack_cut_at_any_byte_leaves_nothing_and_the_next_fetch_succeeds,
        over_http::https_is_believed_by_the_file_of_certificates_alone,
    ];
    let sshd = missing_sshd();
    trials.extend(trials![
        sshd.as_deref(),
        over_ssh::fetches_over_ssh_from_a_known_host,
        over_ssh::a_host_that_is_not_known_is_refused_by_its_fingerprint,
        over_ssh::a_key_that_the_server_refuses_is_offered_once,
        over_ssh::row_01_a_missing_repository_behind_ssh_is_a_failed_fetch,
    ]);
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, missing: Option<&str>, test: fn()) -> Trial {
    let run = move || {
        test();
        Ok(())
    };
    match missing {
        Some(reason) => Trial::test(format!("{name} ({reason})"), run).with_ignored_flag(true),
        None => Trial::test(name, run),
    }
}

fn missing_backend() -> Option<String> {
    let folder = Command::new("git").arg("--exec-path").output().ok().map(|output| output.stdout).unwrap_or_default();
    let backend = std::path::Path::new(String::from_utf8_lossy(&folder).trim()).join("git-http-backend");
    (!backend.exists()).then(|| "`git http-backend` is not installed".to_owned())
}

fn missing_sshd() -> Option<String> {
    let runs = |program: &str| Command::new(program).arg("-?").output().is_ok();
    let missing = [over_ssh::SSHD, "ssh-keygen", "git-shell"].into_iter().find(|program| !runs(program))?;
    Some(format!("`{missing}` is not installed"))
}
