//! Asks a person before something that loosens a rule.

use std::io::{self, BufRead, IsTerminal, Write};

use super::diagnostic::Failure;
use crate::name::Code;

/// Goes on if a person says yes, or said so with `--yes`. It asks only where both standard input and standard error are a
/// terminal.
///
/// # Errors
/// `confirmation-needed`: nobody can be asked, or the answer is not yes.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let needed = |what: &str| Err(Failure::new(Code::ConfirmationNeeded, format!("{question}? {what}")));
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return needed("nobody can be asked: standard input or standard error is no terminal");
    }
    let mut stderr = io::stderr();
    let mut answer = String::new();
    let asked = write!(stderr, "{question}? [y/N] ").and_then(|()| stderr.flush());
    let answered = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    match answered {
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) => Ok(()),
        Ok(_) | Err(_) => needed("the answer was not yes; nothing was done"),
    }
}
