//! What a seed chooses: how many environments and agents, who does what, how long that goes on, and what goes wrong.

use super::cluster::Fate;
use super::content::{ABSENT, BROKEN, NAMES, OF_UNITS, OUTSIDE, UNIT_NAMES, UNITS};
use super::deeds::{Deed, Way};
use super::people::{EVE, LENA, MIA, OMAR, Who};
use super::play::{Act, Script, Span};
use super::random::Random;
use super::site::Shape;

/// One seed of so many plays an environment with units.
const UNITS_EVERY: u64 = 4;

pub(crate) fn script(seed: u64) -> Script {
    let mut random = Random::new(seed);
    if seed % UNITS_EVERY == UNITS_EVERY - 1 {
        return of_units(&mut random);
    }
    let count = [1, 1, 1, 2, 2, 2, 2, 3][random.below(8)];
    let shapes: Vec<Shape> = (0..count).map(|place| shape(&mut random, place)).collect();
    let agents = if random.chance(30) { 2 } else { 1 };
    let mut acts = vec![Act { place: 0, deed: Deed::Nothing, span: Span::Seconds(30), luck: None, unrest: 0 }];
    acts.extend(prelude(&mut random));
    for _ in 0..2 + random.below(5) + count {
        let place = if random.chance(45) { 0 } else { random.below(count) };
        let deed = deed(&mut random, place);
        let span = match random.below(8) {
            0..=2 => Span::Things(random.below(40)),
            3 => Span::Seconds(1),
            4 => Span::Seconds(8),
            5 | 6 => Span::Seconds(60),
            _ => Span::Seconds([400, 400, 400, 1000, 8000][random.below(5)]),
        };
        let luck = random.chance(80).then(|| random.number());
        let unrest = [0, 0, 3, 10][random.below(4)];
        let pushes = matches!(deed, Deed::Push { .. });
        acts.push(Act { place, deed, span, luck, unrest });
        if pushes && random.chance(12) {
            // Between what was planned and what is applied.
            let deed = Deed::Make { object: random.below(NAMES.len()) };
            acts.push(Act { place, deed, span: Span::Things(9), luck: None, unrest: 0 });
        }
    }
    Script { shapes, agents, acts, units: false, stuck: None, flaw: None }
}

fn of_units(random: &mut Random) -> Script {
    let shape = Shape { approvals: 0, finish: false, reverts: false, windows: false, ..shape(random, 0) };
    let agents = if random.chance(35) { 2 } else { 1 };
    let act = |deed, span| Act { place: 0, deed, span, luck: None, unrest: 0 };
    let mut acts = vec![act(Deed::Nothing, Span::Seconds(30))];
    acts.push(act(push_units(random), Span::Seconds([5, 60, 120][random.below(3)])));
    if random.chance(40) {
        acts.push(act(push_units(random), Span::Seconds(120)));
    }
    if random.chance(25) {
        // The tip moves while openings wait for the pen.
        let mut file = || Some(u8::try_from(random.below(8)).expect("because it is small"));
        let (first, second) = ([None, file(), file()], [file(), None, None]);
        for (own, things) in [(first, 8 + random.below(24)), (second, 30 + random.below(60))] {
            let deed = Deed::PushUnits { shared: [None; 2], own, who: Some(MIA) };
            acts.push(Act { luck: Some(random.number()), ..act(deed, Span::Things(things)) });
        }
    }
    for _ in 0..3 + random.below(7) {
        let deed = match random.below(20) {
            0..=9 => push_units(random),
            10 => hostile(random),
            11..=13 => state(random),
            14 => of_their_objects(meddle(random), random),
            15..=17 => of_their_objects(weather(random), random),
            _ => disturb(random),
        };
        let span = match random.below(8) {
            0..=3 => Span::Things(random.below(60)),
            4 => Span::Seconds(1),
            5 => Span::Seconds(8),
            6 => Span::Seconds(60),
            _ => Span::Seconds([400, 400, 400, 1000, 8000][random.below(5)]),
        };
        let luck = random.chance(85).then(|| random.number());
        let unrest = [0, 0, 3, 10][random.below(4)];
        acts.push(Act { place: 0, deed, span, luck, unrest });
    }
    let stuck = random.chance(30).then(|| random.below(UNITS.len() - 1));
    Script { shapes: vec![shape], agents, acts, units: true, stuck, flaw: None }
}

/// One unit, several, or what they share.
fn push_units(random: &mut Random) -> Deed {
    let mut own = [None; 3];
    for _ in 0..[0, 1, 1, 1, 2, 3][random.below(6)] {
        let file = u8::try_from(random.below(32)).expect("because it is small");
        // Seldom with the object that moves, nor gone, nor unreadable.
        let file = if random.chance(50) { file & !8 } else { file };
        let file = if random.chance(8) { file | ABSENT } else { file };
        own[random.below(3)] = Some(if random.chance(3) { [BROKEN, OUTSIDE][random.below(2)] } else { file });
    }
    let mut shared = [None; 2];
    if own == [None; 3] || random.chance(15) {
        shared[random.below(2)] = Some(u8::try_from(random.below(4)).expect("because it is small"));
    }
    let who = if random.chance(90) { Some([LENA, MIA, OMAR][random.below(3)]) } else { signer(random) };
    Deed::PushUnits { shared, own, who }
}

fn of_their_objects(deed: Deed, random: &mut Random) -> Deed {
    let object = OF_UNITS + random.below(UNIT_NAMES.len());
    match deed {
        Deed::Fate { fate, .. } => Deed::Fate { object: OF_UNITS + random.below(3), fate },
        Deed::Edit { .. } => Deed::Edit { object },
        Deed::Delete { .. } => Deed::Delete { object },
        Deed::Unlabel { .. } => Deed::Unlabel { object },
        Deed::Make { .. } => Deed::Make { object },
        Deed::Finalizer { .. } => Deed::Finalizer { object },
        Deed::Deny { .. } => Deed::Deny { object },
        other => other,
    }
}

/// What some seeds begin with, because it comes together too seldom by chance.
fn prelude(random: &mut Random) -> Vec<Act> {
    let act = |deed, seconds| Act { place: 0, deed, span: Span::Seconds(seconds), luck: None, unrest: 0 };
    let mut good =
        || Deed::Push { shared: [4 | shared(random)[0] & 11, 4 | shared(random)[1] & 27], own: 0, who: Some(MIA) };
    let (first, second) = (good(), good());
    match random.below(10) {
        // Releases to go back to.
        0 | 1 => vec![act(first, 120), act(second, 120)],
        // And a reason to do so, more than once.
        2 => {
            let (fails, bad) = (Deed::Fate { object: 1, fate: Fate::Fails }, push(random));
            vec![act(first, 120), act(second, 120), act(fails, 1), act(bad, 20)]
        }
        // What was made again, and is pruned soon.
        3 => vec![act(first, 120), act(Deed::Delete { object: 1 }, 4), act(second, 4)],
        4 => vec![act(Deed::Clock { agent: 0, seconds: 300 }, 9), act(Deed::Freeze { who: MIA, seconds: 300 }, 9)],
        _ => Vec::new(),
    }
}

fn shape(random: &mut Random, place: usize) -> Shape {
    let soak = [0, 0, 25, 90][random.below(4)];
    Shape {
        soak,
        approvals: if place > 0 && random.chance(35) { 1 + random.below(2) } else { 0 },
        finish: soak > 0 && random.chance(50),
        windows: random.chance(15),
        writers: place > 0 && random.chance(50),
        rolls_back: random.chance(40),
        reverts: random.chance(30),
    }
}

fn signer(random: &mut Random) -> Option<Who> {
    [Some(LENA), Some(MIA), Some(MIA), Some(MIA), Some(OMAR), Some(OMAR), Some(EVE), None][random.below(8)]
}

/// The two shared files; equal numbers are equal files, and others are others.
fn shared(random: &mut Random) -> [u8; 2] {
    let mut file = |count: usize| {
        let file = u8::try_from(random.below(count)).expect("because it is small");
        if random.chance(3) { [BROKEN, OUTSIDE][random.below(2)] } else { file }
    };
    [file(16), file(32)]
}

fn deed(random: &mut Random, place: usize) -> Deed {
    match random.below(20) {
        0..=6 if place > 0 => merge(random),
        0..=6 => push(random),
        7 | 8 if place > 0 => approve(random),
        7 => push(random),
        8..=10 => hostile(random),
        11..=13 => state(random),
        14 => meddle(random),
        15..=17 => weather(random),
        _ => disturb(random),
    }
}

fn push(random: &mut Random) -> Deed {
    Deed::Push { shared: shared(random), own: u8::from(random.chance(50)), who: signer(random) }
}

fn merge(random: &mut Random) -> Deed {
    if random.chance(15) {
        return push(random);
    }
    let way = [Way::Merge, Way::Merge, Way::Squash, Way::FastForward, Way::Partial][random.below(5)];
    Deed::Merge { way, proven: random.chance(60), who: signer(random) }
}

fn approve(random: &mut Random) -> Deed {
    let who = [MIA, OMAR, MIA, OMAR, LENA, EVE][random.below(6)];
    let seconds = [None, None, Some(20), Some(3000)][random.below(4)];
    Deed::Approve { who, back: [0, 0, 0, 1][random.below(4)], seconds, twice: random.chance(25) }
}

fn hostile(random: &mut Random) -> Deed {
    let back = 1 + random.below(2);
    match random.below(8) {
        0 | 1 => Deed::Revert { back, who: signer(random) },
        2 => Deed::Rewind { back },
        3 => Deed::Diverge { back, shared: shared(random), who: signer(random) },
        4 => Deed::Twin,
        5 => Deed::DeleteBranch,
        6 => Deed::RestoreBranch,
        _ => Deed::Unreachable(random.chance(50)),
    }
}

fn state(random: &mut Random) -> Deed {
    let who = [MIA, OMAR, MIA, LENA, EVE][random.below(5)];
    match random.below(12) {
        0..=2 => Deed::Freeze { who, seconds: [30, 300, 5000][random.below(3)] },
        3 => Deed::Unfreeze { who },
        4 => Deed::DeleteTags,
        5 => approve(random),
        6 | 7 => Deed::Hold { who, back: random.below(3) },
        8 => Deed::Unhold { who },
        _ => Deed::RollBack { who, back: 1 + random.below(3) },
    }
}

fn meddle(random: &mut Random) -> Deed {
    let object = random.below(NAMES.len());
    match random.below(5) {
        0 => Deed::Edit { object },
        1 => Deed::Delete { object },
        2 => Deed::Unlabel { object },
        _ => Deed::Make { object },
    }
}

fn weather(random: &mut Random) -> Deed {
    let object = random.below(NAMES.len());
    match random.below(8) {
        0..=2 => {
            let fate = [Fate::Never, Fate::Fails, Fate::WellAfter(40), Fate::WellAfter(0)][random.below(4)];
            Deed::Fate { object: [1, 4][random.below(2)], fate }
        }
        3 => Deed::Finalizer { object },
        4 => Deed::Deny { object },
        5 => Deed::Journal { writable: false },
        6 => Deed::Journal { writable: true },
        _ => Deed::Recover,
    }
}

fn disturb(random: &mut Random) -> Deed {
    let agent = random.below(2);
    match random.below(6) {
        0 => Deed::Sleep { agent },
        1 => Deed::Wake,
        2 => Deed::Crash { agent },
        3 => Deed::Relist { agent },
        _ => Deed::Clock { agent, seconds: [-9000, -300, -20, 20, 300, 9000][random.below(6)] },
    }
}
