//! `lockmaster lint`: is the pipeline file good, and when do its windows open?

mod openings;

use serde::Serialize;

use super::arguments::{Form, Global, Lint};
use super::diagnostic::{self, Failure, FindingBody, Verdict};
use super::output::{Console, Document};
use super::pipeline::{self, PipelineFile};
use crate::config::{self, Finding, Pipeline, Severity};
use crate::edge::clock;
use crate::signature::Signers;

/// Checks the pipeline file and the signers it names.
///
/// # Errors
/// The file or the signers cannot be read.
pub fn run(arguments: &Lint, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    if arguments.probe {
        return Err(Failure::not_yet("lockmaster lint --probe"));
    }
    if arguments.expand && console.form == Form::Json {
        return Err(Failure::not_yet("lockmaster lint --expand -o json").with_hint("--expand prints YAML"));
    }
    let file = pipeline::find(global)?;
    let (pipelines, shown) = match config::read(&file.name, &file.text) {
        Err(findings) => (Vec::new(), findings.into_iter().map(|finding| Shown::of(finding, &file)).collect()),
        Ok(pipelines) => {
            let pipelines = pipeline::choose(pipelines, global, &file)?;
            let mut shown = Vec::new();
            for pipeline in &pipelines {
                shown.extend(findings(pipeline, &file)?);
            }
            (pipelines, shown)
        }
    };
    let verdict = verdict(&shown, arguments);
    if arguments.expand && !shown.iter().any(|shown| shown.finding.severity == Severity::Error) {
        let full: Vec<String> = pipelines.iter().map(config::expand).collect();
        console.print(&full.join("---\n"))?;
        return Ok(verdict);
    }
    report(&file, &pipelines, &shown, console)?;
    Ok(verdict)
}

/// A finding and the text it points into.
struct Shown {
    finding: Finding,
    text: String,
}

impl Shown {
    fn of(finding: Finding, file: &PipelineFile) -> Self {
        Shown { finding, text: file.text.clone() }
    }
}

/// What is wrong with a pipeline that could be read: against its signers, and its warnings.
fn findings(pipeline: &Pipeline, file: &PipelineFile) -> Result<Vec<Shown>, Failure> {
    let text = pipeline::read_signers(pipeline, file)?;
    let mut shown: Vec<Shown> = match Signers::parse(&text) {
        Ok(signers) => {
            let findings = config::check_signers(pipeline, &signers);
            findings.into_iter().map(|finding| Shown::of(finding, file)).collect()
        }
        Err(invalid) => {
            let reason = pipeline::signers_reason(&invalid, pipeline);
            // Not one line but the whole file: nobody could be trusted, so nothing could be checked.
            if invalid.line == 0 {
                return Err(Failure::from(reason));
            }
            let name = pipeline::signers_name(pipeline, file);
            let span = line_span(&text, invalid.line);
            let reason = reason.at_file(name, Some(invalid.line), Some(1));
            vec![Shown { finding: Finding { reason, severity: Severity::Error, span, suggestion: None }, text }]
        }
    };
    shown.extend(pipeline.warnings().iter().cloned().map(|warning| Shown::of(warning, file)));
    shown.sort_by_key(|shown| (shown.finding.reason.file.clone(), shown.finding.span.start));
    Ok(shown)
}

/// The bytes of a line, counted from 1.
fn line_span(text: &str, line: u32) -> std::ops::Range<usize> {
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let length = text[start..].lines().next().map_or(0, |line| line.trim_end().len());
    start..start + length
}

fn verdict(shown: &[Shown], arguments: &Lint) -> Verdict {
    let fails = |shown: &Shown| shown.finding.severity == Severity::Error || arguments.deny_warnings;
    if shown.iter().any(fails) { Verdict::Found } else { Verdict::Good }
}

/// The fields of the `lint` document.
#[derive(Serialize)]
struct Body {
    findings: Vec<FindingBody>,
    openings: Vec<openings::Openings>,
}

fn report(file: &PipelineFile, pipelines: &[Pipeline], shown: &[Shown], console: &Console) -> Result<(), Failure> {
    let findings = shown.iter().map(|shown| FindingBody::new(&shown.finding)).collect();
    let body = Body { findings, openings: openings::of(pipelines, clock::now()) };
    let mut document = Document::new("lint", &body).from("file");
    if let [pipeline] = pipelines {
        document = document.of(pipeline.name.as_str());
    }
    console.result(&document, || format!("{}{}", openings::text(&body.openings), text(file, shown, console)))
}

fn text(file: &PipelineFile, shown: &[Shown], console: &Console) -> String {
    let findings: Vec<String> =
        shown.iter().map(|shown| diagnostic::finding(&shown.finding, &shown.text, console.hints())).collect();
    let count = |severity| shown.iter().filter(|shown| shown.finding.severity == severity).count();
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let errors = counted(count(Severity::Error), "error");
    let warnings = counted(count(Severity::Warning), "warning");
    format!("{}{}: {errors}, {warnings}\n", findings.join("\n"), diagnostic::escape(&file.name))
}
