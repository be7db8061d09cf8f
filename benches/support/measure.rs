//! Whether a bench measures at all, and how much.

use std::process::ExitCode;

/// Runs a bench, if `cargo bench` asks for it.
pub(crate) fn measure(name: &str, bench: impl FnOnce()) -> ExitCode {
    if std::env::args().any(|argument| argument == "--bench") {
        bench();
    } else {
        println!("{name}: nothing was measured; a bench runs by: cargo bench --bench {name}");
    }
    ExitCode::SUCCESS
}

/// `LOCKMASTER_BENCH_SCALE`: by what every count is multiplied; 1 if it is not set.
pub(crate) fn scale() -> f64 {
    let text = std::env::var("LOCKMASTER_BENCH_SCALE").unwrap_or_default();
    text.parse().ok().filter(|scale| *scale > 0.0).unwrap_or(1.0)
}

/// A count at the scale of this run, at least `least`.
pub(crate) fn scaled(count: usize, least: usize) -> usize {
    ((count as f64 * scale()) as usize).max(least)
}

/// Says what is being done, so that a person who waits knows.
pub(crate) fn progress(text: &str) {
    eprintln!("… {text}");
}
