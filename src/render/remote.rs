//! What kustomize would fetch from elsewhere.

/// Whether kustomize could take this text for a URL or a repository to clone (kustomize, `api/internal/git/repospec.go`
/// and `api/internal/loader/fileloader.go`); rather too often than too seldom.
pub(super) fn is_remote(text: &str) -> bool {
    let text = text.trim_start().to_ascii_lowercase();
    let text = text.strip_prefix("./").unwrap_or(&text);
    let begins = ["git::", "gh:", "git@", "github.com/", "github.com:", "http:", "https:", "ssh:", "file:"];
    let first_line = text.lines().next().unwrap_or("");
    // A query names a branch, and a doubled slash the directory inside a repository.
    let parts = ["://", "@github.com", "?ref=", "&ref="];
    begins.iter().any(|start| text.starts_with(start))
        || is_path(first_line) && (parts.iter().any(|part| first_line.contains(part)) || is_doubled(first_line))
        || first_line.split_once('@').is_some_and(|(user, rest)| !user.contains([':', ' ']) && rest.contains(':'))
}

/// The text without what may be a credential in it: no user, no query.
pub(super) fn redacted(text: &str) -> String {
    let text = text.lines().next().unwrap_or("");
    let text = text.split(['?', ' ', '{']).next().unwrap_or("");
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => text.to_owned(),
    }
}

/// An inline configuration holds blanks or braces, a path hardly ever.
fn is_path(line: &str) -> bool {
    !line.contains([' ', '{'])
}

fn is_doubled(line: &str) -> bool {
    line.trim_start_matches('/').contains("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kustomize_would_fetch_is_remote() {
        for text in [
            "https://example.com/a.yaml",
            "HTTP://example.com",
            " https://example.com",
            "git@github.com:o/r.git",
            "deploy@git.example.com:o/r.git",
            "github.com/o/r",
            "me@github.com/o/r",
            "GitHub.com/o/r//base?ref=v1",
            "gh:o/r",
            "git::ssh://example.com/r",
            "file:///etc",
            "example.com/o/r?ref=main",
            "example.com/o/r//base",
        ] {
            assert!(is_remote(text), "{text}");
        }
    }

    #[test]
    fn a_path_of_the_repository_is_not_remote() {
        for text in [
            "../base",
            "a.yaml",
            "./x/y",
            "apiVersion: v1\n# https://example.com\n",
            "a@b/c",
            "git/hub.com",
            "{a: 'http://b'}",
        ] {
            assert!(!is_remote(text), "{text}");
        }
    }

    #[test]
    fn no_credential_is_shown() {
        assert_eq!(redacted("https://me:token@example.com/a?key=1"), "https://example.com/a");
        assert_eq!(redacted("me@example.com:a.git"), "example.com:a.git");
        assert_eq!(redacted("github.com/a?token=1"), "github.com/a");
    }
}
