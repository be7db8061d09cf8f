//! From the pieces of single days to the stretches in which something is open.

use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};

use super::window::Window;
use super::{HORIZON_DAYS, State};

/// An opening: its first instant, and the one after its last.
pub(super) type Piece = (Timestamp, Timestamp);

/// What these windows say together.
pub(super) fn state(windows: &[Window], now: Timestamp) -> State {
    let within = |edge: Timestamp| Some(edge).filter(|edge| *edge <= horizon(now));
    match stretches(windows, now, HORIZON_DAYS + 2).find(|(_, end)| *end > now) {
        Some((start, end)) if start <= now => State::Open { closes: within(end) },
        Some((start, _)) => State::Shut { opens: within(start) },
        None => State::Shut { opens: None },
    }
}

/// The next openings of a window that start at `from` or later, within the horizon.
pub(super) fn openings(window: &Window, from: Timestamp, count: usize) -> Vec<Piece> {
    let horizon = horizon(from);
    // Twice the horizon: what opens near its end is told with its true close.
    let coming = stretches(std::slice::from_ref(window), from, 2 * HORIZON_DAYS).filter(|(start, _)| *start >= from);
    coming.take_while(|(start, _)| *start <= horizon).take(count).collect()
}

/// The last instant that is looked at from `from`.
fn horizon(from: Timestamp) -> Timestamp {
    from.saturating_add(SignedDuration::from_hours(i64::from(HORIZON_DAYS) * 24)).unwrap_or(Timestamp::MAX)
}

/// The stretches in which any of these windows is open, in order: all that end after `from`, and some before.
fn stretches(windows: &[Window], from: Timestamp, days: i32) -> Joined<impl Iterator<Item = Piece>> {
    let of = |window| Days::of(window, from, days).peekable();
    let mut days: Vec<_> = windows.iter().map(of).collect();
    let pieces = std::iter::from_fn(move || {
        let starts = days.iter_mut().enumerate().filter_map(|(index, days)| Some((days.peek()?.0, index)));
        let (_, first) = starts.min()?;
        days[first].next()
    });
    Joined { pieces, held: None }
}

/// The pieces of one window, day after day; reads only as far as it is asked.
struct Days<'w> {
    window: &'w Window,
    next: Option<Date>,
    last: Date,
    pieces: std::vec::IntoIter<Piece>,
}

impl<'w> Days<'w> {
    fn of(window: &'w Window, from: Timestamp, days: i32) -> Self {
        let last = window.zone().wall(from).date().saturating_add(Span::new().days(days));
        Days { window, next: Some(window.first_date(from)), last, pieces: Vec::new().into_iter() }
    }
}

impl Iterator for Days<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.pieces.next() {
                return Some(piece);
            }
            let date = self.next.filter(|date| *date <= self.last)?;
            self.pieces = self.window.pieces(date).into_iter();
            self.next = date.tomorrow().ok();
        }
    }
}

/// Pieces in the order of their starts, with those that touch or overlap made one.
struct Joined<I> {
    pieces: I,
    held: Option<Piece>,
}

impl<I: Iterator<Item = Piece>> Iterator for Joined<I> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (start, mut end) = self.held.take().or_else(|| self.pieces.next())?;
        for piece in self.pieces.by_ref() {
            if piece.0 > end {
                self.held = Some(piece);
                break;
            }
            end = end.max(piece.1);
        }
        Some((start, end))
    }
}
