//! Tests without a control plane, under libtest-mimic: those that need a tool which is missing are listed as ignored.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

#[path = "mod.rs"]
mod tools;

/// One test: its name, which states a law, and its body.
pub(crate) type Plain = (&'static str, fn());

/// A table of tests by their paths.
macro_rules! table {
    ($($test:path),* $(,)?) => {
        vec![$((stringify!($test), $test as fn())),*]
    };
}
pub(crate) use table;

/// Runs tests under libtest-mimic, those that need these programs and those that need none of them.
pub(crate) fn run(programs: &[&str], needing: Vec<Plain>, others: Vec<Plain>) -> ExitCode {
    let missing = tools::missing(programs);
    let trial = |(name, body): Plain| {
        Trial::test(name, move || {
            body();
            Ok(())
        })
    };
    let needing = needing.into_iter().map(trial).map(|trial| match &missing {
        Some(why) => trial.with_kind(why.clone()).with_ignored_flag(true),
        None => trial,
    });
    libtest_mimic::run(&Arguments::from_args(), needing.chain(others.into_iter().map(trial)).collect()).exit_code()
}
