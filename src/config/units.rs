//! Units: directories below an environment's path that have releases of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;

use super::Environment;
use super::field::{Field, Fields, Findings};
use super::node::Value;
use crate::name::{Code, Reason, RepoPath, UnitName};
use crate::render::{EntryKind, Tree};

/// Which directories are units: a directory below the environment's path, and `*` for every name in it. `apps/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// As seen from the environment's path; the root for `*` alone.
    directory: RepoPath,
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.directory.as_str() {
            "" => f.write_str("*"),
            directory => write!(f, "{directory}/*"),
        }
    }
}

/// The units of a commit: a fact about its tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundUnits {
    /// The directories that are units.
    pub units: BTreeSet<UnitName>,
    /// Names of units at which something else stands, and why it cannot be rendered: a unit that stood there is not gone.
    pub refused: BTreeMap<UnitName, Reason>,
    /// Directories whose names are no names of units. They say nothing about any unit.
    pub reasons: Vec<Reason>,
}

impl Environment {
    /// Where a unit stands in the repository. `None` for `.`, and where the environment has no `units`.
    #[must_use]
    pub fn unit_path(&self, unit: &UnitName) -> Option<RepoPath> {
        let directory = self.units_directory().filter(|_| !unit.is_whole())?;
        Some(child(&directory, unit.as_str()))
    }

    /// The environment as one of its units sees it: its only path is the unit's, and it has no `units` of its own. Where
    /// [`Environment::unit_path`] knows none, the environment as it is.
    #[must_use]
    pub fn of_unit(&self, unit: &UnitName) -> Environment {
        let mut narrowed = self.clone();
        if let Some(path) = self.unit_path(unit) {
            narrowed.sources.paths = vec![path];
            narrowed.units = None;
            narrowed.unit = unit.clone();
        }
        narrowed
    }

    /// The units that a commit has, by its tree alone; exactly `.` where the environment has no `units`.
    ///
    /// A directory whose name begins with a dot is no unit, nor is a file. What a link leads to is not known here, so that
    /// one with the name of a unit is refused, as is a submodule.
    ///
    /// # Errors
    /// Nothing can be said about any unit, which never means that all are gone: `path-not-found` and `unsafe-path` where
    /// no directory stands before the `*`; `empty-render`, or what is wrong with the names, where it holds no unit.
    pub fn units_in(&self, tree: &Tree) -> Result<FoundUnits, Vec<Reason>> {
        let Some(directory) = self.units_directory() else {
            return Ok(FoundUnits { units: BTreeSet::from([UnitName::whole()]), ..FoundUnits::default() });
        };
        check_directory(tree, &directory).map_err(|reason| vec![reason])?;
        let mut found = FoundUnits::default();
        for (name, kind) in Children::of(tree, &directory) {
            found.add(&directory, name, kind);
        }
        if !found.units.is_empty() || !found.refused.is_empty() {
            return Ok(found);
        }
        if found.reasons.is_empty() {
            found.reasons.push(at(Code::EmptyRender, &directory, "holds no directory that could be a unit"));
        }
        Err(found.reasons)
    }

    /// The directory that the `*` stands in. `units` has exactly one path beside it.
    fn units_directory(&self) -> Option<RepoPath> {
        let (units, path) = (self.units.as_ref()?, self.sources.paths.first()?);
        Some(child(path, units.directory.as_str()))
    }
}

impl FoundUnits {
    /// Files in the place of the `*`, such as a README, are nobody's unit.
    fn add(&mut self, directory: &RepoPath, name: &str, kind: Option<EntryKind>) {
        if name.starts_with('.') || kind == Some(EntryKind::File) {
            return;
        }
        let path = child(directory, name);
        let what = match (name.parse::<UnitName>(), kind) {
            (Ok(unit), None) => {
                self.units.insert(unit);
                return;
            }
            (Ok(unit), Some(kind)) => {
                let what = if kind == EntryKind::Link {
                    "is a link: a unit is a directory, and only links to files are followed"
                } else {
                    "is a submodule"
                };
                self.refused.insert(unit, at(Code::UnsafePath, &path, what));
                return;
            }
            // As a README that is a file elsewhere.
            (Err(_), Some(EntryKind::Link | EntryKind::File)) => return,
            (Err(_), Some(EntryKind::Submodule)) => "is a submodule",
            (Err(_), None) => "cannot be a unit: the name of one is lower-case letters, digits and `-`, at most 63",
        };
        self.reasons.push(at(Code::UnsafePath, &path, what));
    }
}

/// The names in a directory of a tree, each with what it is, `None` for a directory; one look into the map for each.
struct Children<'t> {
    tree: &'t Tree,
    directory: RepoPath,
    next: Bound<RepoPath>,
}

impl<'t> Children<'t> {
    fn of(tree: &'t Tree, directory: &RepoPath) -> Self {
        // No name is smaller than this one, so that the first look finds what is inside, not beside.
        Children { tree, directory: directory.clone(), next: Bound::Included(child(directory, "\u{1}")) }
    }
}

impl<'t> Iterator for Children<'t> {
    type Item = (&'t str, Option<EntryKind>);

    fn next(&mut self) -> Option<Self::Item> {
        let (path, entry) = self.tree.range((self.next.clone(), Bound::Unbounded)).next()?;
        if !path.is_within(&self.directory) {
            return None;
        }
        let inside = path.as_str()[self.directory.as_str().len()..].trim_start_matches('/');
        match inside.split_once('/') {
            Some((name, _)) => {
                // `0` is the character after `/`: nothing of the directory stands behind it.
                self.next = Bound::Included(child(&self.directory, &format!("{name}0")));
                Some((name, None))
            }
            None => {
                self.next = Bound::Excluded(path.clone());
                Some((inside, Some(entry.kind)))
            }
        }
    }
}

/// Whether a directory stands there, and no link or submodule on the way to it.
fn check_directory(tree: &Tree, directory: &RepoPath) -> Result<(), Reason> {
    let mut way = directory.clone();
    while !way.as_str().is_empty() {
        match tree.get(&way).map(|entry| entry.kind) {
            Some(EntryKind::Link) => {
                return Err(at(Code::UnsafePath, &way, "is a link: only links to files are followed"));
            }
            Some(EntryKind::Submodule) => return Err(at(Code::UnsafePath, &way, "is a submodule")),
            Some(EntryKind::File) => {
                return Err(at(Code::PathNotFound, &way, "is a file, not the directory of the units"));
            }
            None => way = way.parent(),
        }
    }
    match Children::of(tree, directory).next() {
        Some(_) => Ok(()),
        None => Err(at(Code::PathNotFound, directory, "is not in the commit, and its directories would be the units")),
    }
}

fn at(code: Code, path: &RepoPath, what: &str) -> Reason {
    Reason::new(code, format!("`{path}` {what}")).at_file(path.to_string(), None, None)
}

fn child(directory: &RepoPath, path: &str) -> RepoPath {
    directory.join(path).expect("because no part of it goes up")
}

/// The key `units`, which stands beside exactly one path.
pub(super) fn units(fields: &mut Fields<'_>, findings: &mut Findings<'_>) -> Option<Option<Units>> {
    let Some(field) = fields.take("units") else { return Some(None) };
    let units = pattern(&field, findings);
    let fits = one_path(fields, &field, findings) & no_automatic_promotion(fields, findings);
    units.filter(|_| fits).map(Some)
}

fn one_path(fields: &mut Fields<'_>, units: &Field<'_>, findings: &mut Findings<'_>) -> bool {
    let Some(Value::List(paths)) = fields.take("paths").map(|field| &field.node.value) else { return true };
    if paths.len() < 2 {
        return true;
    }
    let message =
        format!("{} stands beside {} paths, expected one: units are its directories", units.label, paths.len());
    findings.error(Code::InvalidValue, &units.node.span, message);
    false
}

fn no_automatic_promotion(fields: &mut Fields<'_>, findings: &mut Findings<'_>) -> bool {
    let Some(field) = fields.take("promote") else { return true };
    let auto = matches!(&field.node.value, Value::Scalar { text, .. } if text == "auto");
    if auto {
        let message = format!("`auto` for {} beside `units` is not supported yet", field.label);
        findings.error(Code::InvalidValue, &field.node.span, message);
    }
    !auto
}

fn pattern(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Units> {
    let text = field.text(findings)?;
    match read(text) {
        Ok(units) => Some(units),
        Err(problem) => {
            let message = format!("{} is `{text}`, {problem}", field.label);
            findings.suggest(Code::InvalidValue, &field.node.span, message, meant(text).as_deref());
            None
        }
    }
}

fn read(text: &str) -> Result<Units, &'static str> {
    let (directory, last) = text.rsplit_once('/').map_or((None, text), |(directory, last)| (Some(directory), last));
    if directory == Some("") || text.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(
            "expected a path below the environment's, such as `apps/*`, without `.`, `..`, or `/` at either end",
        );
    }
    let directory = directory.unwrap_or_default();
    if directory.contains(['*', '?', '[', ']', '{', '}', '\\']) || (last != "*" && last.contains('*')) {
        return Err("expected `*` as the whole of the last part and no other wildcard, such as `apps/*`");
    }
    if last != "*" {
        return Err("expected `*` as the last part, such as `apps/*`: every directory there is a unit");
    }
    let directory = directory.parse().map_err(|_| "expected a path inside the repository")?;
    Ok(Units { directory })
}

/// The pattern that may have been meant.
fn meant(text: &str) -> Option<String> {
    let mut parts: Vec<&str> = text.split('/').filter(|part| !["", "."].contains(part)).collect();
    if parts.last().is_none_or(|last| *last != "*") {
        parts.pop_if(|last| *last == "**");
        parts.push("*");
    }
    let meant = parts.join("/");
    read(&meant).is_ok().then_some(meant)
}
