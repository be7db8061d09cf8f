//! One child: bounded in time and output, killed with everything it started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::cannot;
use crate::name::{Code, Reason, RepoPath};

/// The most that a child may print, in bytes: as much as a unit may have of inputs (DESIGN §8).
const OUTPUT_LIMIT: u64 = 64 << 20;

/// How much of the child's complaints is kept, in bytes; the rest is read and dropped so that it never blocks.
const ERRORS_LIMIT: u64 = 64 << 10;

/// What to run, and where.
pub(super) struct Line {
    pub(super) words: Vec<OsString>,
    pub(super) directory: PathBuf,
    pub(super) home: PathBuf,
}

/// How a child ended by itself.
pub(super) enum Ended {
    /// Well, with this output.
    Printed(Vec<u8>),
    /// Not well, with these complaints.
    Failed(Vec<u8>),
}

/// Runs a child to its end, or kills it.
pub(super) async fn run(line: &Line, deadline: Duration, path: &RepoPath) -> Result<Ended, Reason> {
    let mut command = Command::new(&line.words[0]);
    command.args(&line.words[1..]).current_dir(&line.directory).env_clear().env("HOME", &line.home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let start = |error| cannot(&format!("run `{}`", line.words[0].display()), &error);
    let mut child = command.spawn().map_err(start)?;
    // Declared after the child: it is dropped first, while the child's id cannot yet be another's.
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let Ok(ended) = tokio::time::timeout(deadline, talk(&mut child)).await else {
        let message = format!("kustomize ran longer than the deadline of {}s on `{path}`", deadline.as_secs_f64());
        return Err(Reason::new(Code::LimitExceeded, message).at_file(path.to_string(), None, None));
    };
    let (status, output, errors) = ended.map_err(|error| cannot("read the output", &error))?;
    let Some(status) = status else {
        let message = format!("kustomize printed more than the limit of {OUTPUT_LIMIT} bytes for `{path}`");
        return Err(Reason::new(Code::LimitExceeded, message).at_file(path.to_string(), None, None));
    };
    group.0 = None;
    Ok(if status.success() { Ended::Printed(output) } else { Ended::Failed(errors) })
}

/// Whether this `unshare` can start a child without network.
pub(super) fn can_unshare(unshare: &Path) -> bool {
    let mut probe = std::process::Command::new(unshare);
    probe.args(["--net", "--map-root-user", "--"]).arg(unshare).arg("--version").env_clear();
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

type Talk = (Option<std::process::ExitStatus>, Vec<u8>, Vec<u8>);

/// Reads both pipes to their ends and waits; no status if the output is over its limit.
async fn talk(child: &mut Child) -> std::io::Result<Talk> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = async {
        let (bytes, over) = read(stdout, OUTPUT_LIMIT).await?;
        // An error here ends the other reader too, and the child is killed.
        if over { Err(None) } else { Ok(bytes) }
    };
    let errors = async {
        let mut stderr = stderr;
        let (mut bytes, over) = read(stderr.as_mut(), ERRORS_LIMIT).await?;
        if let (true, Some(rest)) = (over, &mut stderr) {
            tokio::io::copy(rest, &mut tokio::io::sink()).await.map_err(Some)?;
        }
        bytes.truncate(usize::try_from(ERRORS_LIMIT).unwrap_or(usize::MAX));
        Ok::<Vec<u8>, Option<std::io::Error>>(bytes)
    };
    match tokio::try_join!(output, errors) {
        Ok((output, errors)) => Ok((Some(child.wait().await?), output, errors)),
        Err(None) => Ok((None, Vec::new(), Vec::new())),
        Err(Some(error)) => Err(error),
    }
}

/// Reads at most one byte more than the limit, and says whether it was there.
async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<(Vec<u8>, bool), Option<std::io::Error>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit + 1).read_to_end(&mut bytes).await.map_err(Some)?;
    }
    let over = bytes.len() as u64 > limit;
    Ok((bytes, over))
}

/// A process group that is killed when this is dropped, also when nobody waits for the build any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It fails only where nothing is left to kill.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
