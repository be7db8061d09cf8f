//! Tools that tests need besides Rust and git: where one is missing, its tests are listed as ignored, with the reason.

/// Whether a program is in the path.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Why tests that need these programs are ignored; `None`: they run.
pub(crate) fn missing(programs: &[&str]) -> Option<String> {
    let missing = programs.iter().find(|program| !is_there(program))?;
    Some(format!("no {missing} in PATH"))
}
