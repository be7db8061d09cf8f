//! What is answered to words that are no command.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::arguments::{Color, Form};
use super::diagnostic::{Failure, Verdict};
use super::output::Console;
use crate::name::Code;

/// Prints help or the version where they were asked for, else says what is wrong with the words.
pub(super) fn answer(error: &clap::Error, words: &[OsString]) -> Verdict {
    let console = console(words);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let printed = console.print(&error.render().ansi().to_string());
            printed.map_or_else(|failure| console.fail(&failure), |()| Verdict::Good)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            console.tell(&error.render().ansi().to_string());
            Verdict::Failed
        }
        _ => console.fail(&failure(error, words)),
    }
}

/// The console as far as the words can be understood: they are wrong, so no parser has read them.
pub(super) fn console(words: &[OsString]) -> Console {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let value = |long: &str, short: &str| {
        let pair = words.windows(2).find(|pair| pair[0] == long || pair[0] == short).map(|pair| pair[1]);
        let joined = words.iter().find_map(|word| word.strip_prefix(long)?.strip_prefix('='));
        let short_joined = words.iter().find_map(|word| word.strip_prefix(short).filter(|v| !v.is_empty()));
        pair.or(joined).or(short_joined).map(str::to_owned)
    };
    let form = value("--output", "-o").or_else(|| std::env::var("LOCKMASTER_OUTPUT").ok());
    let form = if form.as_deref() == Some("json") { Form::Json } else { Form::Table };
    let color = match value("--color", "--color=").as_deref() {
        Some("always") => Color::Always,
        Some("never") => Color::Never,
        _ => Color::Auto,
    };
    Console { form, color, quiet: false }
}

fn failure(error: &clap::Error, words: &[OsString]) -> Failure {
    let given = |kind| error.get(kind).map(plain);
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!("unknown verb `{}`", given(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        ErrorKind::UnknownArgument => match given(ContextKind::InvalidArg).unwrap_or_default() {
            flag if flag.starts_with('-') => format!("unknown flag `{flag}`"),
            word => format!("`{word}` was not expected here"),
        },
        _ => first_paragraph(error),
    };
    let suggestion = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let suggestion = suggestion.into_iter().find_map(given);
    let hint = match suggestion {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("see: {} --help", command(words)),
    };
    Failure::new(Code::Usage, message).with_hint(hint)
}

/// The program and the verb, if the words begin with one.
fn command(words: &[OsString]) -> String {
    let verb = words.get(1).and_then(|word| word.to_str()).filter(|word| is_verb(word));
    verb.map_or_else(|| "lockmaster".to_owned(), |verb| format!("lockmaster {verb}"))
}

fn is_verb(word: &str) -> bool {
    use clap::CommandFactory;
    super::Arguments::command().find_subcommand(word).is_some()
}

fn plain(value: &ContextValue) -> String {
    match value {
        // The parser sorts by likeness, the most alike last.
        ContextValue::Strings(words) => words.last().cloned().unwrap_or_default(),
        value => value.to_string(),
    }
}

/// What the parser says, in the form of our messages: one line, objects in backticks.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or(&text);
    let line: Vec<&str> = paragraph.lines().map(str::trim).collect();
    line.join(" ").trim_start_matches("error: ").replace('\'', "`")
}
