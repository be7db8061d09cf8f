//! `lockmaster init`: a first pipeline from a working clone. It asks no cluster and no network, and overwrites nothing.

mod address;
mod branches;
mod draft;
mod layout;
mod signer;
mod survey;
mod telling;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::arguments::{self, Global};
use super::diagnostic::{self, Failure, Verdict};
use super::output::{Console, Document};
use super::pipeline::FILE_NAME;
use crate::config::{self, Transport};
use crate::edge::git::Workplace;
use crate::name::{Code, EnvironmentName, PipelineName, RepoPath};
use crate::signature::Signers;
use address::Address;
use branches::Branching;
use draft::{Draft, Environment};
use layout::{Found, Search, label};
use signer::Signer;
use survey::{Files, Said};
use telling::Told;

/// The name of the signers file that it writes.
const SIGNERS_NAME: &str = "allowed_signers";

/// Writes `lockmaster.yaml` and `allowed_signers`, and says what to run next.
///
/// # Errors
/// There is no clone, no key that could be trusted, nothing to deploy, or one of the files is there already.
pub(super) fn run(arguments: &arguments::Init, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    refuse(global)?;
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Code::ConfigNotFound, "the working directory is gone").because(error))?;
    let workplace = open(global, &here)?;
    let inside = within(&here, workplace.root());
    let folder = if inside { workplace.root().to_owned() } else { here };
    refuse_overwriting(&folder)?;
    let habits = workplace.habits().map_err(|error| error.reason())?;
    let signer = Signer::of(&habits)?;
    let files = Files::of(workplace.root())?;
    let found = environments(arguments, &files)?;
    let mut told = Told::new(&folder, inside, &habits);
    let draft = draft(&workplace, global, &files, found, &signer, &mut told)?;
    let text = draft.text();
    check(&text, &signer)?;
    write(&folder, &text, &signer.file())?;
    let body = told.body(&draft, &signer);
    let document = Document::new("init", &body).of(draft.name.as_str()).from("clone");
    console.result(&document, || told.text(&draft, &signer, console.hints()))?;
    Ok(Verdict::Good)
}

/// Flags that would mean something else here than for every other verb.
fn refuse(global: &Global) -> Result<(), Failure> {
    let given = [(global.file.is_some(), "--file"), (global.namespace.is_some(), "--namespace")];
    match given.iter().find(|(given, _)| *given) {
        Some((_, flag)) => {
            let text = format!("`{flag}` is not for init, which writes `{FILE_NAME}` here or at the top of the clone");
            Err(Failure::new(Code::Usage, text)
                .with_hint("leave it out, also as a variable: LOCKMASTER_FILE, LOCKMASTER_NAMESPACE"))
        }
        None => Ok(()),
    }
}

fn open(global: &Global, here: &Path) -> Result<Workplace, Failure> {
    let directory = match &global.repository {
        Some(given) if given.contains("://") => {
            let text = "the value of `--repository` is an address: init reads a working clone";
            return Err(Failure::new(Code::Usage, text).with_hint("name the folder of a clone: --repository CLONE"));
        }
        Some(given) => here.join(given),
        None => here.to_owned(),
    };
    Workplace::open(&directory).map_err(|error| {
        let message = format!("there is no working clone of a Git repository in or above `{}`", directory.display());
        let hint = "run it in a clone, or name one: lockmaster init --repository CLONE";
        Failure::new(Code::ConfigNotFound, message).because(error).with_hint(hint)
    })
}

fn within(here: &Path, root: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(here).starts_with(real(root))
}

fn refuse_overwriting(folder: &Path) -> Result<(), Failure> {
    let there = |name: &&&str| folder.join(name).symlink_metadata().is_ok();
    match [FILE_NAME, SIGNERS_NAME].iter().find(there) {
        Some(name) => Err(exists(&folder.join(name))),
        None => Ok(()),
    }
}

fn exists(file: &Path) -> Failure {
    let message = format!("`{}` is there already, and init overwrites nothing", file.display());
    Failure::new(Code::Usage, message)
        .with_hint("move it away, or write elsewhere: cd DIR && lockmaster init --repository CLONE")
}

/// The environments that were named, or those that are found.
fn environments(arguments: &arguments::Init, files: &Files) -> Result<Vec<Found>, Failure> {
    if !arguments.environment.is_empty() {
        return named(&arguments.environment, files);
    }
    let hint = "say what is what: lockmaster init --environment dev=PATH prod=PATH";
    match files.layout().search() {
        Search::Environments(found) => Ok(found),
        Search::Several(paths) => {
            let shown: Vec<String> = paths.iter().take(5).map(|path| format!("`{path}`")).collect();
            let more = if paths.len() > 5 { " and more" } else { "" };
            let message = format!(
                "no directories look like environments, and several hold manifests: {}{more}",
                shown.join(", ")
            );
            Err(Failure::new(Code::PathNotFound, message).with_hint(hint))
        }
        Search::Nothing => {
            let charts = files.layout().charts;
            let also = charts.first().map(|chart| format!("; `{chart}` is a Helm chart, which is not supported yet"));
            let message = format!(
                "nothing to deploy was found: no kustomization and no Kubernetes manifest{}",
                also.unwrap_or_default()
            );
            Err(Failure::new(Code::PathNotFound, message).with_hint(hint))
        }
    }
}

/// `NAME=PATH`, each; a name that stands twice has several paths.
fn named(given: &[String], files: &Files) -> Result<Vec<Found>, Failure> {
    let mut all: Vec<Found> = Vec::new();
    for text in given {
        let wrong = |what: &str| {
            let text = format!("invalid value `{}` for `--environment`: {what}", diagnostic::escape(text));
            Failure::new(Code::Usage, text).with_hint("such as: lockmaster init --environment dev=overlays/dev")
        };
        let (name, path) = text.split_once('=').ok_or_else(|| wrong("expected `NAME=PATH`"))?;
        let name: EnvironmentName = name.parse().map_err(|invalid| wrong(&format!("{invalid}")))?;
        let path = RepoPath::root().join(path).map_err(|_| wrong("expected a path from the top of the clone"))?;
        if !files.holds(&path) {
            return Err(wrong(&format!("`{path}` is not in the clone")));
        }
        match all.iter_mut().find(|found| found.name == name) {
            Some(found) if found.paths.contains(&path) => return Err(wrong("it stands twice")),
            Some(found) => found.paths.push(path),
            None => all.push(Found { name, paths: vec![path] }),
        }
    }
    Ok(all)
}

fn draft(
    workplace: &Workplace,
    global: &Global,
    files: &Files,
    found: Vec<Found>,
    signer: &Signer,
    told: &mut Told,
) -> Result<Draft, Failure> {
    let address = address::of(workplace.origin().as_deref(), workplace.root());
    told.notes.extend(address.note.clone());
    let name = pipeline_name(global, &address)?;
    let signers = Signers::parse(&signer.file()).map_err(|invalid| {
        Failure::new(Code::SignersInvalid, format!("the signer cannot be written: {}", invalid.problem))
    })?;
    let branching = Branching::new(workplace, &address, signers)?;
    let chosen = branching.choose(&found, told)?;
    let introduction = branching.introduction(&found, &chosen, told);
    let mut taken = BTreeSet::new();
    let mut environments = Vec::new();
    for (found, branch) in found.into_iter().zip(chosen) {
        let said = files.say(&found.paths);
        environments.push(environment(found, branch, said, &name, &mut taken, told));
    }
    let login = (address.transport == Transport::Ssh).then(login);
    Ok(Draft { name, address, login, introduction, environments })
}

/// `-p`, else the name of the repository, else that of its folder.
fn pipeline_name(global: &Global, address: &Address) -> Result<PipelineName, Failure> {
    if let Some(name) = &global.pipeline {
        return name
            .parse()
            .map_err(|invalid| Failure::new(Code::Usage, format!("invalid value for `--pipeline`: {invalid}")));
    }
    let url = address.url.trim_end_matches('/');
    let last = url.rsplit(['/', ':']).next().unwrap_or(url);
    let name = label(last.strip_suffix(".git").unwrap_or(last)).unwrap_or_else(|| "pipeline".to_owned());
    name.parse().map_err(|invalid| Failure::new(Code::Bug, format!("{invalid}")))
}

/// An environment with namespaces of its own: no two may share one, and what the manifests say comes first.
fn environment(
    found: Found,
    branch: String,
    said: Said,
    pipeline: &PipelineName,
    taken: &mut BTreeSet<String>,
    told: &mut Told,
) -> Environment {
    let name = found.name.to_string();
    if let Some(problem) = said.problem {
        told.notes.push(format!("`{name}` cannot be rendered as it is: {problem}"));
    }
    // A name that Kubernetes would refuse is a placeholder for one.
    let named: BTreeSet<String> =
        said.namespaces.into_iter().filter(|name| name.parse::<EnvironmentName>().is_ok()).collect();
    let (shared, own): (Vec<String>, Vec<String>) = named.into_iter().partition(|name| taken.contains(name));
    let remark = match (own.is_empty(), shared.first()) {
        (_, Some(shared)) => Some(format!(
            "its manifests also name `{shared}`, which another environment owns: give it a namespace of its own there"
        )),
        (true, None) => {
            Some("no manifest names a namespace: this one must exist, or stand in the manifests".to_owned())
        }
        (false, None) => None,
    };
    told.notes.extend(remark.as_ref().map(|remark| format!("`{name}`: {remark}")));
    let made = [name.clone(), format!("{pipeline}-{name}")].into_iter().chain((2..).map(|n| format!("{name}-{n}")));
    let namespaces = match own.is_empty() {
        false => own,
        true => made.filter(|name| !taken.contains(name) && name.len() <= 63).take(1).collect(),
    };
    taken.extend(namespaces.iter().cloned());
    let cluster_kinds = said.cluster_kinds.into_iter().collect();
    Environment { name, branch, paths: found.paths, namespaces, cluster_kinds, remark }
}

/// The key and the known hosts that ssh would use for this user.
fn login() -> (String, String) {
    let key = ["id_ed25519", "id_ecdsa", "id_rsa"].into_iter().find_map(home_ssh);
    let shown =
        |file: Option<PathBuf>, else_: &str| file.map_or_else(|| else_.to_owned(), |file| file.display().to_string());
    (shown(key, "deploy_key"), shown(home_ssh("known_hosts"), "known_hosts"))
}

/// A file of `~/.ssh`, if it is there.
fn home_ssh(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(&home).join(".ssh").join(name)).filter(|file| file.is_file())
}

/// What is written is what `lint` accepts.
fn check(text: &str, signer: &Signer) -> Result<(), Failure> {
    let bug = |what: String| Failure::new(Code::Bug, format!("the pipeline that init made is not good: {what}"));
    let signers = Signers::parse(&signer.file()).map_err(|invalid| bug(invalid.to_string()))?;
    let pipelines = config::read(FILE_NAME, text);
    let findings = match pipelines {
        Err(findings) => findings,
        Ok(pipelines) => pipelines.iter().flat_map(|pipeline| config::check_signers(pipeline, &signers)).collect(),
    };
    findings.first().map_or(Ok(()), |finding| Err(bug(finding.reason.message.clone())))
}

/// Writes both files, or none.
fn write(folder: &Path, pipeline: &str, signers: &str) -> Result<(), Failure> {
    let written = [folder.join(FILE_NAME), folder.join(SIGNERS_NAME)];
    new_file(&written[0], pipeline)?;
    new_file(&written[1], signers).inspect_err(|_| drop(std::fs::remove_file(&written[0])))
}

fn new_file(file: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut made = std::fs::File::create_new(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(file),
        _ => unwritten(file, error),
    })?;
    made.write_all(text.as_bytes()).map_err(|error| {
        drop(std::fs::remove_file(file));
        unwritten(file, error)
    })
}

fn unwritten(file: &Path, error: std::io::Error) -> Failure {
    Failure::new(Code::Usage, format!("`{}` cannot be written", file.display())).because(error)
}
