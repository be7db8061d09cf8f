//! A real Prometheus server that scrapes this process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use lockmaster::edge::metrics::{Metrics, TIME_LIMIT};
use lockmaster::health::check::{Bad, Check, Probe, Query, Reading, Run, Samples, Verdict};
use rustls::RootCertStore;

use crate::control_plane::process::{Kept, free_ports};
use crate::control_plane::{ControlPlane, eventually};
use crate::{at, check};

/// The query of the design: the share of requests that failed, 0 where there are none.
const ERRORS: &str = "(sum(rate(requests_total{code=~\"5..\"}[2s])) / sum(rate(requests_total[2s])) > 0) or vector(0)";

/// How many failed requests each scrape adds, of a hundred.
type Failing = Arc<AtomicU64>;

/// A server with real samples of this process.
struct Measured {
    url: String,
    failing: Failing,
    exporter: tokio::task::JoinHandle<()>,
    _server: Kept,
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.exporter.abort();
    }
}

impl Measured {
    /// Starts one and waits until it has scraped; `more` is added to its configuration.
    fn start(plane: &ControlPlane, more: &str) -> Measured {
        let failing = Failing::default();
        let listener = plane.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("because loopback has ports");
        let target = listener.local_addr().expect("because it listens");
        let (served, counted) = (Arc::clone(&failing), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let exposition = move || {
            let failing = served.load(Ordering::SeqCst);
            let good = counted[0].fetch_add(100 - failing, Ordering::SeqCst);
            let bad = counted[1].fetch_add(failing, Ordering::SeqCst);
            let text = format!(
                "# TYPE requests_total counter\nrequests_total{{code=\"200\"}} {good}\nrequests_total{{code=\"500\"}} {bad}\n\
                 # TYPE broken gauge\nbroken NaN\n"
            );
            std::future::ready(text)
        };
        let router = Router::new().route("/metrics", get(exposition));
        let exporter = plane.runtime().spawn(async move { drop(axum::serve(listener, router).await) });

        let folder = tempfile::Builder::new().prefix("lockmaster-prometheus-").tempdir();
        let folder = folder.expect("because the temporary folder is writable").keep();
        let config = format!(
            "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
             scrape_configs: [{{job_name: test, static_configs: [{{targets: [\"{target}\"]}}]}}]\n{more}\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).expect("because the folder is ours");
        let [port, ..] = free_ports();
        let arguments = [
            format!("--config.file={}", folder.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--log.level=warn".to_owned(),
        ];
        let program = find("prometheus");
        let server = Kept::start("prometheus", &program, &arguments, &folder);
        Measured { url: format!("http://127.0.0.1:{port}"), failing, exporter, _server: server }
    }

    fn query(&self, query: &str) -> Query {
        let url = self.url.parse().expect("because it is an address");
        let max = Some("1%".parse().expect("because it is a limit"));
        Query { url, query: query.to_owned(), min: None, max, samples: Samples::One, min_samples: None }
    }

    fn ask(&self, plane: &ControlPlane, query: &str) -> Reading {
        let metrics = Metrics::with_roots(TIME_LIMIT, RootCertStore::empty());
        plane.block_on(metrics.prometheus(&self.query(query)))
    }

    /// Waits until a query has this one value.
    fn await_value(&self, plane: &ControlPlane, query: &str, expected: impl Fn(f64) -> bool) {
        eventually(query, || match self.ask(plane, query) {
            Reading::Samples(samples) => {
                samples.first().filter(|value| samples.len() == 1 && expected(**value)).map(|_| ())
            }
            _ => None,
        });
    }
}

fn find(program: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).map(|folder| folder.join(program));
    folders.find(|file| Path::is_file(file)).expect("because its absence was asked for before")
}

pub(crate) fn kinds(plane: &'static ControlPlane) {
    let measured = Measured::start(plane, "");
    measured.await_value(plane, "up", |up| up == 1.0);
    for (query, expected) in [
        ("up", Ok(vec![1.0])),
        ("absent_metric", Ok(vec![])),
        ("vector(0.25)", Ok(vec![0.25])),
        ("0.25", Ok(vec![0.25])),
        ("vector(1) / 0", Ok(vec![f64::INFINITY])),
        ("count(requests_total)", Ok(vec![2.0])),
        ("requests_total * 0", Ok(vec![0.0, 0.0])),
        ("up[1m]", Err("is a matrix")),
        ("\"text\"", Err("is a string")),
        ("sum(", Err("bad_data")),
        ("up + on() requests_total", Err("execution")),
    ] {
        match (measured.ask(plane, query), expected) {
            (Reading::Samples(found), Ok(expected)) => assert_eq!(found, expected, "{query}"),
            (Reading::Unknown(reason), Err(expected)) => assert!(reason.contains(expected), "{query}: {reason}"),
            (found, expected) => panic!("{query}: {found:?}, expected {expected:?}"),
        }
    }
    for query in ["broken", "vector(0) / 0"] {
        let reading = measured.ask(plane, query);
        assert!(matches!(&reading, Reading::Samples(values) if values[0].is_nan()), "{query}: {reading:?}");
    }
}

/// The verdict of ten looks, the readings real and the times told.
fn judge(plane: &ControlPlane, measured: &Measured, check: Check) -> (Verdict, String) {
    let mut run = Run::new(check, at(0));
    for look in 0..10 {
        run.file(&measured.ask(plane, ERRORS), at(10 * look));
    }
    (run.verdict(at(90)), run.value())
}

pub(crate) fn verdicts(plane: &'static ControlPlane) {
    let measured = Measured::start(plane, "");
    let check = Check {
        for_: Duration::from_secs(90),
        bad: Bad { count: 3, of: 5 },
        ..check(Probe::Prometheus(measured.query(ERRORS)))
    };
    measured.await_value(plane, "sum(rate(requests_total[2s]))", |rate| rate > 0.0);
    let (verdict, value) = judge(plane, &measured, check.clone());
    assert_eq!((verdict, value.as_str()), (Verdict::Passed, "0 %, max 1 %, good for 1m 30s of 1m 30s"));
    measured.failing.store(30, Ordering::SeqCst);
    measured.await_value(plane, ERRORS, |share| share > 0.25);
    let (verdict, value) = judge(plane, &measured, check.clone());
    assert!(matches!(verdict, Verdict::Failed { rolls_back: true, .. }), "{verdict:?}");
    assert!(value.ends_with(" %, max 1 %"), "{value}");
    measured.failing.store(0, Ordering::SeqCst);
    measured.await_value(plane, ERRORS, |share| share == 0.0);
    let (verdict, _) = judge(plane, &measured, check);
    assert_eq!(verdict, Verdict::Passed);
}

/// A store that Prometheus reads from besides its own is down: it answers with what it has, and a warning.
pub(crate) fn partial(plane: &'static ControlPlane) {
    let [closed, ..] = free_ports();
    let more = format!("remote_read: [{{url: \"http://127.0.0.1:{closed}/\", read_recent: true}}]");
    let measured = Measured::start(plane, &more);
    let reason = eventually("it answers", || match measured.ask(plane, "up") {
        Reading::Unknown(reason) if reason.contains("partial") => Some(reason),
        Reading::Unknown(_) => None,
        reading => panic!("{reading:?}"),
    });
    assert!(reason.contains("remote_read"), "{reason}");
    assert_eq!(measured.ask(plane, "vector(1)"), Reading::Samples(vec![1.0]), "what needs no store is whole");
}
