//! Entries about several units.

use super::*;

/// Two units open together, one is proven, the other fails; then one opens alone, and somebody freezes the environment.
fn of_units() -> Vec<Proposal> {
    let ends = |name: &str, phase| Proposal { units: vec![unit(name)], ..outcome(phase, 1, commit_id('a')) };
    let failed = Reason::new(Code::ObjectFailed, "`web` crashes");
    let stated = Stated { payload_hash: Digest::of(b"tag"), until: Some(minute(99)), reason: "a fair".to_owned() };
    vec![
        Proposal { units: Vec::new(), ..genesis(&key(7)) },
        Proposal::joint(vec![opened_unit("web", 'a', "one"), opened_unit("cart", 'a', "two")]),
        Proposal::joint(vec![ends("cart", Phase::Proven)]),
        Proposal::joint(vec![Proposal { reasons: vec![failed], ..ends("web", Phase::Failed) }]),
        Proposal::joint(vec![opened_unit("web", 'b', "three")]),
        Proposal { units: Vec::new(), statement: Some(stated), ..proposal(Action::Freeze, None) },
    ]
}

fn read_by_units(proposals: &[Proposal]) -> Replay {
    let mut replay = Replay::new(name("dev"), key(7).fingerprint());
    for entry in &chain(&name("dev"), &key(7), proposals) {
        replay.add(entry).expect("because the chain is good");
    }
    replay
}

pub(crate) fn each_unit_reads_a_joint_entry_as_its_own() {
    let replay = read_by_units(&of_units());
    let whole = &replay.log().entries[1].body;
    assert_eq!(whole.units, [unit("web"), unit("cart")]);
    assert_eq!((whole.release, whole.parts.len()), (None, 2), "what differs stands in the parts");
    assert_eq!(whole.gates.len(), 1, "and what does not, once");
    for (name, release) in [("web", "one"), ("cart", "two")] {
        let log = replay.of_unit(&unit(name));
        let alone = opened_unit(name, 'a', release);
        let statement = "evidence/statements/lena".to_owned();
        assert_eq!(log.entries[1].body, alone, "{name}");
        assert!(log.entries[1].body.files.contains_key(&statement), "what the entry rests on is everybody's");
        assert_eq!(log.entries[1].hash, replay.log().entries[1].hash);
    }
}

pub(crate) fn a_unit_reads_what_is_about_it_and_about_the_environment_and_nothing_else() {
    let replay = read_by_units(&of_units());
    let sequences = |name| replay.of_unit(&unit(name)).entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>();
    assert_eq!(sequences("web"), [0, 1, 3, 4, 5]);
    assert_eq!(sequences("cart"), [0, 1, 2, 5]);
    assert_eq!(sequences("never-seen"), [0, 5]);
    assert_eq!(replay.log().entries.len(), 6);
    let stands = |name: &str| replay.of_unit(&unit(name)).standing.expect("because it was opened");
    assert_eq!((stands("web").sequence, stands("web").outcome), (4, None));
    assert_eq!(stands("cart").outcome.map(|(phase, _)| phase), Some(Phase::Proven));
    assert_eq!(replay.log().standing, None, "no unit of them is the whole");
}

pub(crate) fn an_entry_is_news_for_the_units_it_names_and_for_all_where_it_ships_something_new() {
    let replay = read_by_units(&of_units());
    let mut audience = Audience::default();
    assert!(audience.read(replay.log()) && !audience.read(replay.log()), "the same log again adds nothing");
    let of = |entries: usize| {
        let mut log = replay.log().clone();
        log.entries.truncate(entries + 1);
        let mut audience = Audience::default();
        audience.read(&log);
        audience.since(u64::try_from(entries).expect("because it is small"))
    };
    let alone = |name: &str| Hearers::Units([unit(name)].into());
    let (all, web, cart) = (Hearers::All, alone("web"), alone("cart"));
    assert_eq!([0, 1, 2, 3, 4, 5].map(of), [all.clone(), all.clone(), cart, web, all.clone(), all]);
    assert_eq!(audience.since(6), Hearers::Units([].into()), "nothing was added behind the last");
    assert_eq!(audience.since(7), Hearers::All, "another log may be read in its place");
}

pub(crate) fn what_one_unit_opens_moves_the_accepted_head_of_all() {
    let replay = read_by_units(&of_units());
    for name in ["web", "cart", "never-seen"] {
        let log = replay.of_unit(&unit(name));
        assert_eq!(log.accepted.map(|commit| commit.id.clone()), Some(commit_id('b')), "{name}");
        assert_eq!(log.accepted_before, Some(commit_id('a')), "{name}");
    }
    assert!(replay.of_unit(&unit("web")).is_accepted(&commit_id('b')));
    assert!(!replay.of_unit(&unit("cart")).is_accepted(&commit_id('b')), "it did not open there");
}

pub(crate) fn the_files_of_a_named_unit_belong_to_one_entry() {
    let replay = read_by_units(&of_units());
    assert!(replay.log().attached.keys().all(|path| path == "policy.yaml"), "{:?}", replay.log().attached);
    let inputs = |name| replay.of_unit(&unit(name)).standing.map(|standing| standing.inputs);
    assert_eq!(inputs("web"), Some(Digest::of(b"file of three\n")));
    assert_eq!(inputs("cart"), Some(Digest::of(b"file of two\n")));
}

pub(crate) fn only_what_does_the_same_is_joined() {
    let web = opened_unit("web", 'a', "one");
    assert!(web.is_like(&opened_unit("cart", 'a', "two")));
    for other in [
        opened_unit("cart", 'b', "two"),
        Proposal { actor: "omar@example.com".to_owned(), ..opened_unit("cart", 'a', "two") },
        Proposal { units: vec![unit("cart")], ..outcome(Phase::Proven, 1, commit_id('a')) },
    ] {
        assert!(!web.is_like(&other));
        panics("because only what does the same is joined", || Proposal::joint(vec![web.clone(), other.clone()]));
    }
}
