//! The closure of an environment's paths: which renderer takes each, and what it will read.

use std::collections::BTreeMap;

use super::walk::{Lead, Walk, refused};
use super::{Closing, Closure, Contents, Part, Renderer, Sources, Tree, kustomize, plain};
use crate::deploylog::Inputs;
use crate::name::{Code, Digest, Reason, RepoPath};

/// Finds the closure of inputs, or says what to read next.
///
/// # Errors
/// `path-not-found`, `unsafe-path`, `remote-input-forbidden`, `render-failed` (cycle, missing file), `limit-exceeded`,
/// `invalid-yaml`.
pub fn close(tree: &Tree, sources: &Sources, contents: &Contents) -> Result<Closing, Reason> {
    let mut walk = Walk::new(tree, contents);
    let mut listings = BTreeMap::new();
    let mut parts = Vec::new();
    for path in &sources.paths {
        parts.push(close_path(&mut walk, &mut listings, path, sources.renderer)?);
    }
    if !walk.needs().is_empty() {
        return Ok(Closing::Needs(walk.needs().iter().cloned().collect()));
    }
    let files = walk.into_files();
    let digests = files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect();
    Ok(Closing::Closed(Closure { parts, inputs: Inputs { files: digests, listings }, files }))
}

fn close_path(
    walk: &mut Walk<'_>,
    listings: &mut BTreeMap<RepoPath, Digest>,
    path: &RepoPath,
    renderer: Renderer,
) -> Result<Part, Reason> {
    let lead = walk.lead(path)?;
    if lead == Lead::Missing {
        return Err(refused(Code::PathNotFound, format!("`{path}` is not in the commit"), path));
    }
    match chosen(walk, path, renderer) {
        Renderer::Kustomize => {
            kustomize::close(walk, path)?;
            Ok(Part::Kustomize { path: path.clone() })
        }
        Renderer::Helm => Err(refused(
            Code::RenderFailed,
            format!("`{path}` is a Helm chart: helm is not supported yet; commit the output of `helm template`"),
            path,
        )),
        Renderer::Auto | Renderer::Plain => {
            let files = if lead == Lead::Directory { plain::close(walk, listings, path)? } else { vec![path.clone()] };
            for file in &files {
                walk.read(file)?;
            }
            Ok(Part::Plain { path: path.clone(), files })
        }
    }
}

/// What takes the path; never `Auto`.
fn chosen(walk: &Walk<'_>, path: &RepoPath, renderer: Renderer) -> Renderer {
    if renderer != Renderer::Auto {
        renderer
    } else if !kustomize::kustomization_files(walk, path).is_empty() {
        Renderer::Kustomize
    } else if walk.holds(path, "Chart.yaml") {
        Renderer::Helm
    } else {
        Renderer::Plain
    }
}
