//! Is the release well, seen from outside?
//!
//! A [`Check`] is a rule that judges a release after it settled: an HTTP answer, a Prometheus query, a Job, the restarts
//! of its containers. In: one [`Reading`] after the other, each with the time it was taken. Out: the [`Verdict`] of the
//! [`Run`]. Whoever takes readings waits until [`Run::next_look`], looks, and files what was seen.
//!
//! A reading is good, bad or *unknown*. No data, several samples where one is expected, NaN, infinity, an error and a
//! warning about partial data are unknown. Unknown never passes and never counts as bad; a check that is unknown when
//! its time is up fails with `check-unknown`, on which `onFailure: rollback` does not act unless the check asks for it.
//!
//! What an answer of Prometheus or of an HTTP server means is decided here too ([`prometheus::reading`],
//! [`http::reading`]); the edges only carry bytes.

pub mod http;
pub mod job;
pub mod prometheus;

mod address;
mod limit;
mod predicate;
mod run;

use std::time::Duration;

use jiff::Timestamp;

use crate::name::CheckName;

pub use address::{Address, InvalidAddress};
pub use limit::{InvalidLimit, Limit};
pub use predicate::{InvalidPredicate, Predicate};
pub use run::{Run, Verdict};

/// A rule that judges a release after it settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name.
    pub name: CheckName,
    /// What is looked at.
    pub probe: Probe,
    /// How long it must be good without interruption; zero: one moment is enough. A bad or unknown reading begins anew.
    pub for_: Duration,
    /// How long after its start it must have passed. Longer than `for_`.
    pub within: Duration,
    /// How long from one look to the next.
    pub interval: Duration,
    /// How many readings in a row must be good.
    pub good: u32,
    /// How many bad readings fail it at once.
    pub bad: Bad,
    /// What its failing as unknown means.
    pub unknown: OnUnknown,
}

/// So many bad readings among the last so many known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// That many; at least 1, at most `of`.
    pub count: u32,
    /// Of that many.
    pub of: u32,
}

/// What it means that a check is still unknown when its time is up. It fails in either case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnknown {
    /// The release is not proven, and stands: nobody knows that it is bad.
    #[default]
    Stop,
    /// As if the check had been bad: `onFailure` applies.
    Fail,
}

/// What a check looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// One HTTP answer.
    Http {
        /// Asked by GET.
        url: Address,
        /// What must be true of the answer.
        expect: Predicate,
    },
    /// An instant query of the Prometheus HTTP API.
    Prometheus(Query),
    /// A Job that must complete.
    Job(JobProbe),
    /// Restarts of the containers of the release's pods, since the check began.
    Restarts {
        /// The most that is good.
        max: u64,
    },
}

/// A Prometheus query and what its samples must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The server, with the prefix of its API where it has one.
    pub url: Address,
    /// PromQL.
    pub query: String,
    /// The least that is good.
    pub min: Option<Limit>,
    /// The most that is good.
    pub max: Option<Limit>,
    /// How many samples are expected, and which of them must be good.
    pub samples: Samples,
    /// How much must have been measured for the answer to mean anything.
    pub min_samples: Option<MinSamples>,
}

/// Which samples of an answer must be good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Samples {
    /// The only one; an answer with several is unknown.
    #[default]
    One,
    /// Each of them, at least one.
    All,
    /// One of them.
    Any,
}

/// A second query that says how much was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct MinSamples {
    /// PromQL with one sample.
    pub query: String,
    /// A lower value makes the check's reading unknown.
    pub count: u32,
}

/// What runs as a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProbe {
    /// The image of its only container.
    pub image: String,
    /// The entry point; empty: the image's.
    pub command: Vec<String>,
    /// The arguments; empty, without `command`: the image's.
    pub args: Vec<String>,
    /// Whose rights it has in the cluster; `None`: no token is mounted.
    pub service_account: Option<String>,
}

/// What one look saw: a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Samples, to be held against the limits of a [`Query`].
    Samples(Vec<f64>),
    /// A question that was answered.
    Answer {
        /// Whether the answer is the expected one.
        good: bool,
        /// What was seen, for people.
        seen: String,
    },
    /// The containers of the release's pods, to be held against [`Probe::Restarts`].
    Containers(Vec<Container>),
    /// A Job is not done yet; with what it says.
    Running(String),
    /// Nothing that could be judged; with the reason.
    Unknown(String),
}

/// How often a container has restarted since its pod was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The uid of its pod and its name.
    pub id: String,
    /// How often.
    pub restarts: u64,
    /// When the run before its present one ended, if there was one.
    pub last_ended: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
