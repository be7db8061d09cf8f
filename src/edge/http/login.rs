//! Who may ask: whoever knows the agent's own token, and in a cluster whoever its API server knows and gives the right.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long the API server may take to judge a login.
const REVIEW_WAIT: Duration = Duration::from_secs(10);
/// Logins that are being judged at once: strangers must not make the agent flood the API server.
const REVIEWS: usize = 4;
/// How long a granted login is not judged again, so that a page that looks each second does not cost two requests each.
const GRANTED_FOR: Duration = Duration::from_secs(10);
/// How many granted logins are remembered.
const REMEMBERED: usize = 256;

/// Who may ask.
pub struct Login {
    token: SecretString,
    reviewer: Option<Reviewer>,
}

/// What a login is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Granted,
    /// Nobody, or nobody who is known.
    NoIdentity,
    /// Somebody without the right.
    NoRight,
    /// The API server did not say.
    Unjudged,
}

/// Asks the API server.
struct Reviewer {
    client: kube::Client,
    namespace: String,
    seats: Semaphore,
    /// Until when logins are granted, by the hash of their token.
    granted: Mutex<HashMap<[u8; 32], Instant>>,
    /// Why the last login could not be judged.
    trouble: Mutex<Option<String>>,
}

impl Login {
    /// Whoever shows this token may ask. An empty one lets nobody in.
    #[must_use]
    pub fn new(token: SecretString) -> Self {
        Login { token, reviewer: None }
    }

    /// Other tokens are judged by the API server: it must know whose they are (TokenReview), and that identity must have
    /// the right to `get` `pipelines.lockmaster.dev` in the namespace (SubjectAccessReview).
    #[must_use]
    pub fn reviewed_by(mut self, client: kube::Client, namespace: &str) -> Self {
        let (namespace, seats) = (namespace.to_owned(), Semaphore::new(REVIEWS));
        self.reviewer =
            Some(Reviewer { client, namespace, seats, granted: Mutex::default(), trouble: Mutex::default() });
        self
    }

    pub(super) async fn judge(&self, headers: &HeaderMap) -> Entry {
        let Some(token) = bearer(headers) else { return Entry::NoIdentity };
        if bool::from(self.token.expose_secret().as_bytes().ct_eq(token.as_bytes())) {
            return Entry::Granted;
        }
        match &self.reviewer {
            Some(reviewer) => reviewer.judge(token).await,
            None => Entry::NoIdentity,
        }
    }
}

/// The one bearer token of a request; an empty one is none (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Reviewer {
    async fn judge(&self, token: &str) -> Entry {
        let hash: [u8; 32] = Sha256::digest(token).into();
        if self.is_granted(&hash) {
            return Entry::Granted;
        }
        let reviewed = async {
            let _seat = self.seats.acquire().await.expect("because nobody closes it");
            self.review(token).await.map_err(|error| error.to_string())
        };
        let reviewed = tokio::time::timeout(REVIEW_WAIT, reviewed).await;
        match reviewed.unwrap_or_else(|_| Err(format!("no answer within {} s", REVIEW_WAIT.as_secs()))) {
            Ok(entry) => {
                self.say(None);
                if entry == Entry::Granted {
                    self.remember(hash);
                }
                entry
            }
            Err(reason) => {
                self.say(Some(reason));
                Entry::Unjudged
            }
        }
    }

    async fn review(&self, token: &str) -> kube::Result<Entry> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        let Some(user) = user.filter(|user| user.username.as_ref().is_some_and(|name| !name.is_empty())) else {
            return Ok(Entry::NoIdentity);
        };
        let review = SubjectAccessReview { spec: self.question(user), ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        Ok(if status.allowed && status.denied != Some(true) { Entry::Granted } else { Entry::NoRight })
    }

    /// Whether this user may read the pipelines.
    fn question(&self, user: UserInfo) -> SubjectAccessReviewSpec {
        let attributes = ResourceAttributes {
            namespace: Some(self.namespace.clone()),
            verb: Some("get".to_owned()),
            group: Some("lockmaster.dev".to_owned()),
            resource: Some("pipelines".to_owned()),
            ..ResourceAttributes::default()
        };
        SubjectAccessReviewSpec {
            user: user.username,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        }
    }

    fn is_granted(&self, hash: &[u8; 32]) -> bool {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.get(hash).is_some_and(|until| Instant::now() < *until)
    }

    fn remember(&self, hash: [u8; 32]) {
        let now = Instant::now();
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|_, until| now < *until);
        if granted.len() < REMEMBERED {
            granted.insert(hash, now + GRANTED_FOR);
        }
    }

    /// Logs why logins cannot be judged when that is news, not at every request.
    fn say(&self, reason: Option<String>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *trouble != reason {
            match &reason {
                Some(reason) => tracing::warn!(reason, "login-not-judged"),
                None => tracing::info!("login-judged-again"),
            }
            *trouble = reason;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().expect("because it is a header"));
        }
        headers
    }

    #[test]
    fn a_login_is_one_bearer_token_that_is_not_empty() {
        for (values, expected) in [
            (&["Bearer abc"][..], Some("abc")),
            (&["bearer abc"], Some("abc")),
            (&["Bearer "], None),
            (&["Bearer"], None),
            (&["Bearer    "], None),
            (&["Basic YTpi"], None),
            (&["abc"], None),
            (&["Bearer abc", "Bearer def"], None),
            (&[], None),
        ] {
            assert_eq!(bearer(&headers(values)), expected, "{values:?}");
        }
    }

    #[tokio::test]
    async fn only_the_whole_token_counts_and_an_empty_one_lets_nobody_in() {
        let login = Login::new(SecretString::from("s3cret"));
        for (value, expected) in [
            ("Bearer s3cret", Entry::Granted),
            ("Bearer s3cre", Entry::NoIdentity),
            ("Bearer s3cret2", Entry::NoIdentity),
            ("Bearer ", Entry::NoIdentity),
        ] {
            assert_eq!(login.judge(&headers(&[value])).await, expected, "{value}");
        }
        let empty = Login::new(SecretString::from(""));
        assert_eq!(empty.judge(&headers(&["Bearer "])).await, Entry::NoIdentity);
        assert_eq!(empty.judge(&headers(&["Bearer x"])).await, Entry::NoIdentity);
    }
}
