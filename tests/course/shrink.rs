//! Makes the script of a failing seed small, so that its story can be read: without acts that the law breaks without,
//! without faults, in plain order, shorter, with fewer agents and environments.

use super::deeds::Deed;
use super::play::{Script, Span, play};
use super::story::Story;

/// Plays that one shrink may take.
const PLAYS: usize = 400;

/// The smallest script that was found to break the same law.
pub(crate) fn shrunk(script: Script, law: &str) -> Script {
    let mut shrink = Shrink { best: script, law, plays: 0 };
    loop {
        let before = shrink.best.clone();
        shrink.drop_acts();
        shrink.drop_places();
        shrink.simplify_acts();
        if shrink.best == before || shrink.plays >= PLAYS {
            return shrink.best;
        }
    }
}

struct Shrink<'l> {
    best: Script,
    law: &'l str,
    plays: usize,
}

impl Shrink<'_> {
    /// Takes a script if it breaks the law as well.
    fn attempt(&mut self, script: Script) -> bool {
        if script == self.best || self.plays >= PLAYS {
            return false;
        }
        self.plays += 1;
        let breaks = play(&script, Story::default()).broken.is_some_and(|(law, _)| law == self.law);
        if breaks {
            self.best = script;
        }
        breaks
    }

    /// Without whole runs of acts, ever shorter ones.
    fn drop_acts(&mut self) {
        let mut many = self.best.acts.len();
        while many > 0 {
            let mut at = 0;
            while at < self.best.acts.len() {
                let mut script = self.best.clone();
                script.acts.drain(at..(at + many).min(script.acts.len()));
                if !self.attempt(script) {
                    at += many;
                }
            }
            many /= 2;
        }
    }

    fn drop_places(&mut self) {
        let mut script = self.best.clone();
        script.agents = 1;
        self.attempt(script);
        let mut script = self.best.clone();
        if script.shapes.len() > 1 {
            script.shapes.pop();
            self.attempt(script);
        }
        for place in 0..self.best.shapes.len() {
            let mut script = self.best.clone();
            script.shapes[place] = Default::default();
            self.attempt(script);
        }
    }

    fn simplify_acts(&mut self) {
        for at in 0..self.best.acts.len() {
            let simpler: [fn(&mut super::play::Act); 7] = [
                |act| act.deed = Deed::Nothing,
                |act| act.unrest = 0,
                |act| act.luck = None,
                |act| act.span = Span::Things(0),
                |act| act.span = Span::Seconds(1),
                |act| act.span = Span::Seconds(60),
                |act| {
                    if let Span::Things(things) = act.span {
                        act.span = Span::Things(things / 2);
                    }
                },
            ];
            for simplify in simpler {
                let mut script = self.best.clone();
                simplify(&mut script.acts[at]);
                self.attempt(script);
            }
        }
    }
}

/// The story of a failing seed, shrunk, with the command that tells it again.
pub(crate) fn tell(script: Script, law: &str, again: &str) -> String {
    let small = shrunk(script, law);
    let outcome = play(&small, Story::told());
    let shape = |place: usize| format!("{}: {:?}", super::content::ENVIRONMENTS[place], small.shapes[place]);
    let shapes: Vec<String> = (0..small.shapes.len()).map(shape).collect();
    let head = format!("{law}, by {} agent(s) in {}", small.agents, shapes.join(", "));
    format!("{head}\n{}{again}\n", outcome.story.numbered())
}
