//! Finding the pipeline file, and reading it with its signers.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::arguments::Global;
use super::diagnostic::{self, Failure};
use crate::config::{self, FILE_LIMIT, Finding, Pipeline, Severity};
use crate::name::{Code, Reason};
use crate::signature::{InvalidSigners, Signers};

/// The name that is looked for where none is given.
pub const FILE_NAME: &str = "lockmaster.yaml";

/// The text of a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineFile {
    /// What messages call it.
    pub name: String,
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// Where paths inside it begin.
    pub directory: PathBuf,
    /// What it says.
    pub text: String,
}

/// A pipeline that can be worked with.
#[derive(Debug)]
pub struct Loaded {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Whom it trusts.
    pub signers: Signers,
    /// Where paths inside the pipeline begin.
    pub directory: PathBuf,
    /// What messages call the file.
    pub file_name: String,
}

/// Reads and checks the one pipeline of a file that the flags mean, and its signers.
///
/// # Errors
/// `config-not-found`, `pipeline-ambiguous`, `signers-invalid`, or the first finding, with all of them as its preface.
pub fn load(global: &Global, file: PipelineFile) -> Result<Loaded, Failure> {
    let pipelines = config::read(&file.name, &file.text).map_err(|findings| invalid(&findings, &file))?;
    let mut chosen = choose(pipelines, global, &file)?;
    if chosen.len() > 1 {
        let names: Vec<String> = chosen.iter().map(|pipeline| format!("`{}`", pipeline.name)).collect();
        let message = format!("`{}` holds several pipelines: {}", file.name, names.join(", "));
        return Err(Failure::new(Code::PipelineAmbiguous, message));
    }
    let pipeline = chosen.pop().ok_or_else(|| Failure::new(Code::ConfigNotFound, "no pipeline"))?;
    let text = read_signers(&pipeline, &file)?;
    let signers = Signers::parse(&text).map_err(|invalid| {
        let line = (invalid.line > 0).then_some(invalid.line);
        Failure::from(signers_reason(&invalid, &pipeline).at_file(signers_name(&pipeline, &file), line, None))
    })?;
    let findings = config::check_signers(&pipeline, &signers);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(invalid(&findings, &file));
    }
    Ok(Loaded { pipeline, signers, directory: file.directory, file_name: file.name })
}

/// The pipelines of a file that `-p` means: that one, or all.
///
/// # Errors
/// `config-not-found`, naming the pipelines there are.
pub fn choose(pipelines: Vec<Pipeline>, global: &Global, file: &PipelineFile) -> Result<Vec<Pipeline>, Failure> {
    let Some(wanted) = &global.pipeline else { return Ok(pipelines) };
    let names: Vec<String> = pipelines.iter().map(|pipeline| format!("`{}`", pipeline.name)).collect();
    let chosen: Vec<Pipeline> = pipelines.into_iter().filter(|p| p.name.as_str() == wanted).collect();
    if chosen.is_empty() {
        let message = format!("`{}` holds no pipeline `{wanted}`, but {}", file.name, names.join(", "));
        return Err(Failure::new(Code::ConfigNotFound, message));
    }
    Ok(chosen)
}

/// Reads the file that the flags mean: `-f`, `LOCKMASTER_FILE`, or `lockmaster.yaml` here or upwards to the Git root.
///
/// # Errors
/// `config-not-found`, saying where it looked; `usage` for a Pipeline resource, which is not supported yet.
pub fn find(global: &Global) -> Result<PipelineFile, Failure> {
    if let Some(path) = &global.file {
        return if path.as_os_str() == "-" { from_stdin() } else { read_file(path) };
    }
    if let Some(name) = &global.pipeline {
        let what = format!("--pipeline {name} without --file");
        return Err(Failure::not_yet(&what).with_hint("a Pipeline resource cannot be read yet; name the file: -f FILE"));
    }
    if global.namespace.is_some() {
        return Err(
            Failure::not_yet("--namespace").with_hint("a Pipeline resource cannot be read yet; name the file: -f FILE")
        );
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Code::ConfigNotFound, "the working directory is gone").because(error))?;
    let looked = candidates(&here);
    match looked.iter().find(|(path, _)| path.exists()) {
        Some((path, name)) => read_named(path, name.clone()),
        None => {
            let root = looked.last().and_then(|(path, _)| path.parent()).unwrap_or(&here);
            let message = if root == here {
                format!("no `{FILE_NAME}` in `{}`", here.display())
            } else {
                format!(
                    "no `{FILE_NAME}` in `{}`, nor above it up to the Git root `{}`",
                    here.display(),
                    root.display()
                )
            };
            Err(Failure::new(Code::ConfigNotFound, message))
        }
    }
}

/// Where the file may be, nearest first, with what messages call it; only here where no Git root is above.
fn candidates(here: &Path) -> Vec<(PathBuf, String)> {
    let depth = here.ancestors().position(|directory| directory.join(".git").exists()).unwrap_or(0);
    let name = |up: usize| format!("{}{FILE_NAME}", "../".repeat(up));
    here.ancestors().take(depth + 1).enumerate().map(|(up, dir)| (dir.join(FILE_NAME), name(up))).collect()
}

fn from_stdin() -> Result<PipelineFile, Failure> {
    let text = bounded(io::stdin().lock()).map_err(|error| unreadable("standard input", &error))?;
    Ok(PipelineFile { name: "<stdin>".to_owned(), path: None, directory: PathBuf::new(), text })
}

fn read_file(path: &Path) -> Result<PipelineFile, Failure> {
    read_named(path, path.display().to_string())
}

fn read_named(path: &Path, name: String) -> Result<PipelineFile, Failure> {
    let text = File::open(path).and_then(bounded).map_err(|error| unreadable(&name, &error))?;
    let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(PipelineFile { name, path: Some(path.to_path_buf()), directory, text })
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    let what = if error.kind() == io::ErrorKind::NotFound { "does not exist" } else { "cannot be read" };
    let failure = Failure::new(Code::ConfigNotFound, format!("`{name}` {what}"));
    if error.kind() == io::ErrorKind::NotFound { failure } else { failure.because(error) }
}

/// Reads at most one byte more than the limit, so that what is too large is seen to be.
fn bounded(reader: impl Read) -> io::Result<String> {
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Reads the signers file of a pipeline.
///
/// # Errors
/// `signers-invalid`: without it no commit can be judged, and git's habit of going on would accept everything.
pub fn read_signers(pipeline: &Pipeline, file: &PipelineFile) -> Result<String, Failure> {
    let path = file.directory.join(&pipeline.trust.signers_file);
    File::open(path).and_then(bounded).map_err(|error| {
        let name = signers_name(pipeline, file);
        let message = format!("`{name}`, the signers file of pipeline `{}`, cannot be read", pipeline.name);
        Failure::new(Code::SignersInvalid, message).because(error)
    })
}

/// What messages call the signers file: beside the pipeline file, as that one is called.
#[must_use]
pub fn signers_name(pipeline: &Pipeline, file: &PipelineFile) -> String {
    let beside = Path::new(&file.name).parent().unwrap_or(Path::new(""));
    beside.join(&pipeline.trust.signers_file).display().to_string()
}

/// Why a signers file is refused, without its place.
#[must_use]
pub fn signers_reason(invalid: &InvalidSigners, pipeline: &Pipeline) -> Reason {
    let file = pipeline.trust.signers_file.display();
    Reason::new(Code::SignersInvalid, format!("`{file}` is refused: {}", invalid.problem))
}

/// The failure of a verb that needs a good pipeline and found findings.
fn invalid(findings: &[Finding], file: &PipelineFile) -> Failure {
    let errors: Vec<&Finding> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
    let first = errors.first().map_or(Code::InvalidValue, |finding| finding.reason.code);
    let shown: Vec<String> = errors.iter().map(|finding| diagnostic::finding(finding, &file.text, false)).collect();
    let count = errors.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut failure = Failure::new(first, format!("`{}` has {count} error{plural}", file.name));
    failure.preface = shown.join("\n") + "\n";
    failure.causes = errors.iter().map(|finding| finding.reason.message.clone()).collect();
    failure.with_hint("check it: lockmaster lint")
}
