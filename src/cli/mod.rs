//! The command line: reads what a person asks for, has the agent and the edges do it, and words the answer.
//!
//! Standard output carries the result and nothing else; an error goes to standard error. The exit code is the
//! [`diagnostic::Verdict`]: 0 good, 1 a finding, 2 could not do or check.

mod answer;
pub mod arguments;
mod changes;
mod compare;
mod configuration;
mod confirm;
mod delivery;
mod demo;
pub mod diagnostic;
mod diff;
mod document;
mod embedded;
mod explain;
mod gates;
mod held;
mod history;
mod hold;
mod init;
pub mod lint;
mod log;
mod message;
pub mod output;
pub mod pipeline;
mod plan;
mod promote;
mod revision;
mod rollback;
mod run;
mod serving;
mod show;
mod site;
mod state_dir;
mod statement;
mod status;
mod unit;
mod usage;
mod verb;
mod verify;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Global, Verb};
use diagnostic::{Failure, Verdict, guard};
use output::Console;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    diagnostic::quiet_panics();
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.len() <= 1 {
        usage::console(&words).tell(&Arguments::command().render_help().ansi().to_string());
        return Verdict::Failed.into();
    }
    match Arguments::try_parse_from(&words) {
        Ok(arguments) => run(&arguments).into(),
        Err(error) => usage::answer(&error, &words).into(),
    }
}

fn run(arguments: &Arguments) -> Verdict {
    let console = Console::new(&arguments.global);
    guard(|| dispatch(&arguments.verb, &arguments.global, &console)).unwrap_or_else(|failure| console.fail(&failure))
}

fn dispatch(verb: &Verb, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    match verb {
        Verb::Lint(lint) => lint::run(lint, global, console),
        Verb::Init(init) => init::run(init, global, console),
        Verb::Demo(demo) => demo::run(demo, global, console),
        Verb::Completions(completions) => complete(completions.shell, console),
        Verb::Run(run) => verb::run(run, global, console),
        Verb::Plan(plan) => verb::plan(plan, global, console),
        Verb::Verify(verify) => verb::verify(verify, global, console),
        Verb::Status(status) => verb::status(status, global, console),
        Verb::Diff(diff) => verb::diff(diff, global, console),
        Verb::Approve(approve) => verb::approve(approve, global, console),
        Verb::Promote(promote) => verb::promote(promote, global, console),
        Verb::Freeze(freeze) => verb::freeze(freeze, global, console),
        Verb::Unfreeze(unfreeze) => verb::unfreeze(unfreeze, global, console),
        Verb::Explain(explain) => verb::explain(explain, global, console),
        Verb::Rollback(rollback) => verb::rollback(rollback, global, console),
        Verb::Hold(hold) => verb::hold(hold, global, console),
        Verb::Unhold(unhold) => verb::unhold(unhold, global, console),
        Verb::History(history) => verb::history(history, global, console),
        Verb::Show(show) => verb::show(show, global, console),
        Verb::Audit(_) | Verb::Dora(_) | Verb::Keygen(_) => not_yet(verb),
        Verb::Install(_) => not_yet(verb),
    }
}

fn not_yet(verb: &Verb) -> Result<Verdict, Failure> {
    Err(Failure::not_yet(&format!("lockmaster {}", verb.name())))
}

fn complete(shell: clap_complete::Shell, console: &Console) -> Result<Verdict, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lockmaster", &mut script);
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Good)
}
