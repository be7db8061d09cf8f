//! A repository without a working tree, as forges have them: the agent may push to it.

use crate::stage::Stage;

/// Makes one of the stage's, and lets the pipeline follow it; says where it is.
pub(crate) fn remote(stage: &Stage) -> String {
    let bare = stage.folder().join("remote.git").display().to_string();
    stage.git(&["clone", "-q", "--bare", ".", &bare]);
    let file = stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let text = text.replace(&stage.repository.display().to_string(), &bare);
    std::fs::write(&file, text).expect("because it is ours");
    bare
}
