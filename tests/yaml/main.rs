//! YAML is read as kubectl reads it: one table of documents, held against ourselves and against the real kubectl.
//!
//! kubectl is `KUBEBUILDER_ASSETS/kubectl` or the one on `PATH`; without it its trials are listed as ignored.

mod corpus;
mod kubectl;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use corpus::{Case, Expected, Kubectl};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use lockmaster::manifest::read_values;
use serde_json::Value;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let kubectl = kubectl::find();
    let stub = kubectl.as_ref().map(|_| Arc::new(kubectl::Stub::start()));
    let mut trials = Vec::new();
    for case in corpus::cases() {
        let case = Arc::new(case);
        let ours = Arc::clone(&case);
        trials.push(Trial::test(format!("reads {}", case.name), move || reads(&ours)));
        let (kubectl, stub) = (kubectl.clone(), stub.clone());
        let name = format!("agrees with kubectl on {}", case.name);
        trials.push(Trial::ignorable_test(name, move || agrees(&case, kubectl.zip(stub))));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The values of `v` that we read, or the error.
fn ours(case: &Case) -> Result<Vec<Value>, String> {
    let file = "t.yaml".parse().expect("because it is a path");
    let values = read_values(&file, &case.bytes).map_err(|reason| reason.message)?;
    Ok(values.into_iter().map(|mut value| value["v"].take()).collect())
}

fn reads(case: &Case) -> Result<(), Failed> {
    let read = ours(case);
    let good = match (&case.expected, &read) {
        (Expected::Says(value), Ok(values)) => values.as_slice() == std::slice::from_ref(value),
        (Expected::All(expected), Ok(values)) => values == expected,
        (Expected::Refused, Err(_)) => true,
        (Expected::Says(_) | Expected::All(_), Err(_)) | (Expected::Refused, Ok(_)) => false,
    };
    if good { Ok(()) } else { Err(format!("read {read:?}").into()) }
}

fn agrees(case: &Case, kubectl: Option<(PathBuf, Arc<kubectl::Stub>)>) -> Result<Completion, Failed> {
    let Some((program, stub)) = kubectl else {
        return Ok(Completion::ignored_with("no kubectl in KUBEBUILDER_ASSETS or on PATH"));
    };
    let theirs = kubectl::read(&program, &stub, &case.bytes);
    let read = ours(case);
    let same = match (&read, &theirs) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (Err(_), Err(_)) => true,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    };
    match case.kubectl {
        Kubectl::Same if !same => Err(format!("kubectl reads {theirs:?}\nwe read {read:?}").into()),
        Kubectl::Differs(why) if same => Err(format!("kubectl agrees, against `{why}`: {theirs:?}").into()),
        Kubectl::Same | Kubectl::Differs(_) | Kubectl::ByVersion => Ok(Completion::Completed),
    }
}
