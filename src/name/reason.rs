//! A reason: why something is not as it was asked for.

use super::{Code, CommitId, ObjectKey};

/// Why a candidate waits or is refused, or what went wrong: a stable code, one line, and the place.
///
/// `message` follows the message form: object in backticks, what was found; lower case, no full stop. The hint is not
/// part of a reason: `cli::diagnostic` words it from the code and the place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The stable code.
    pub code: Code,
    /// One line that names file, object or commit; further lines list details, one each.
    pub message: String,
    /// The commit it is about.
    pub commit: Option<CommitId>,
    /// The object it is about.
    pub object: Option<ObjectKey>,
    /// The file it is about, as a path inside the repository or as given on the command line.
    pub file: Option<String>,
    /// The line in `file`, counted from 1.
    pub line: Option<u32>,
    /// The column in `line`, counted from 1 in characters.
    pub column: Option<u32>,
}

impl Reason {
    /// A reason without a place.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Reason { code, message: message.into(), commit: None, object: None, file: None, line: None, column: None }
    }

    /// The same reason, about this commit.
    #[must_use]
    pub fn at_commit(mut self, commit: CommitId) -> Self {
        self.commit = Some(commit);
        self
    }

    /// The same reason, about this object.
    #[must_use]
    pub fn at_object(mut self, object: ObjectKey) -> Self {
        self.object = Some(object);
        self
    }

    /// The same reason, about this place in a file.
    #[must_use]
    pub fn at_file(mut self, file: impl Into<String>, line: Option<u32>, column: Option<u32>) -> Self {
        self.file = Some(file.into());
        self.line = line;
        self.column = column;
        self
    }
}
