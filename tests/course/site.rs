//! What is configured for an environment of the model world.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lockmaster::course::Settings;
use lockmaster::deploylog::LogName;
use lockmaster::gate::{self, Layout};
use lockmaster::manifest::Fence;
use lockmaster::name::{GroupKind, Principal, RepoPath};
use lockmaster::plan::drift::HashKey;
use lockmaster::plan::{Adopt, OnDrift, Policy};
use lockmaster::render::{Renderer, Sources};
use lockmaster::revision::{Carriers, Ground, Trust};

use super::cluster::SET_ID;
use super::content::{ENVIRONMENTS, UNITS, path_of};
use super::people::{MIA, OMAR, PEOPLE, mail, signers};
use super::shop::NAMESPACE;

/// Seconds from the opening until what has not settled fails.
pub(crate) const DEADLINE: u64 = 300;

/// Seconds for which an approval counts.
pub(crate) const EXPIRES: u64 = 7200;

/// What one environment is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) soak: u64,
    pub(crate) approvals: usize,
    /// A promotion waits for the release before it.
    pub(crate) finish: bool,
    /// Promotions enter in working hours only.
    pub(crate) windows: bool,
    /// Only some may write.
    pub(crate) writers: bool,
    /// `onFailure: rollback`.
    pub(crate) rolls_back: bool,
    /// The agent has a writer key: it makes Git agree with a rollback.
    pub(crate) reverts: bool,
}

#[derive(Debug)]
pub(crate) struct Site {
    /// Its place in [`ENVIRONMENTS`].
    pub(crate) place: usize,
    pub(crate) rules: gate::Rules,
    pub(crate) trust: Trust,
    pub(crate) sources: Sources,
    pub(crate) shape: Shape,
    /// Which of [`UNITS`] it is narrowed to.
    pub(crate) unit: Option<usize>,
}

pub(crate) fn principals(who: &[usize]) -> BTreeSet<Principal> {
    who.iter().map(|who| mail(&PEOPLE[*who]).parse().expect("because it is a principal")).collect()
}

impl Site {
    /// One environment that renders one directory and takes what signers sign.
    pub(crate) fn plain() -> Self {
        Site::new(0, Shape::default(), vec![path_of("deploy")], Vec::new())
    }

    /// One of several environments.
    pub(crate) fn of(place: usize, shape: Shape) -> Self {
        let own = |place: usize| path_of(&format!("own/{}", ENVIRONMENTS[place]));
        let others = (0..ENVIRONMENTS.len()).filter(|other| *other != place);
        let others = others.map(own).chain([path_of("deploy")]).collect();
        Site::new(place, shape, vec![path_of("deploy"), own(place)], others)
    }

    /// One unit of the first environment.
    pub(crate) fn of_unit(unit: usize, shape: Shape) -> Self {
        let mut site = Site::new(0, shape, vec![path_of(&format!("apps/{}", UNITS[unit]))], Vec::new());
        (site.sources.renderer, site.unit, site.trust.ground) = (Renderer::Auto, Some(unit), Ground::Content);
        site
    }

    fn new(place: usize, shape: Shape, paths: Vec<RepoPath>, others: Vec<RepoPath>) -> Self {
        let environment = ENVIRONMENTS[place].parse().expect("because it is a name");
        let writers = shape.writers.then(|| principals(&[MIA, OMAR]));
        let layout = Layout { paths: paths.clone(), own: Vec::new(), others };
        let trust = Trust {
            ground: if place == 0 { Ground::Signatures } else { Ground::Upstream },
            environment,
            signers: signers(),
            writers: writers.clone(),
            carriers: Carriers::Plain,
        };
        let sources = Sources { paths, renderer: Renderer::Plain };
        Site { place, rules: rules(place, shape, layout, writers), trust, sources, shape, unit: None }
    }
}

fn rules(place: usize, shape: Shape, layout: Layout, writers: Option<BTreeSet<Principal>>) -> gate::Rules {
    let from = place.checked_sub(1).map(|up| {
        let site = Site::of(up, Shape::default());
        gate::From {
            environment: site.rules.environment,
            branch: site.rules.branch,
            layout: site.rules.layout,
            soak: Duration::from_secs(shape.soak),
            max_age: Duration::from_secs(30 * 86_400),
        }
    });
    let approvals = (shape.approvals > 0).then(|| gate::Approvals {
        count: shape.approvals,
        role: None,
        who: writers.clone(),
        exclude_author: true,
        expires: Duration::from_secs(EXPIRES),
    });
    let windows = if shape.windows {
        vec!["Mon-Fri 09:00-16:30 UTC".parse().expect("because it is a window")]
    } else {
        Vec::new()
    };
    gate::Rules {
        pipeline: "shop".parse().expect("because it is a name"),
        environment: ENVIRONMENTS[place].parse().expect("because it is a name"),
        branch: format!("env/{}", ENVIRONMENTS[place]),
        from,
        layout,
        own_images: Vec::new(),
        writers,
        carriers: Carriers::Plain,
        approvals,
        windows,
        freezes: Vec::new(),
        give_up: Duration::from_secs(14 * 86_400),
        finish: shape.finish,
        rollback_by: gate::RollbackBy::Anyone,
    }
}

pub(crate) fn policy() -> Policy {
    Policy { adopt: Adopt::Identical, on_drift: OnDrift::Heal, prune_share: 0.5, set_id: SET_ID.to_owned() }
}

pub(crate) fn settings(site: &Site, soak: Duration) -> Settings {
    Settings {
        environment: site.rules.environment.clone(),
        deadline: Duration::from_secs(DEADLINE),
        soak,
        rolls_back: site.shape.rolls_back,
        reverts: site.shape.reverts,
        promotes: false,
        checks: Vec::new(),
        keep: 3,
        policy: policy(),
        fence: fence(),
        hash_key: HashKey::new([7; 32]),
        files: BTreeMap::from([("signers".to_owned(), b"lena".to_vec())]),
        introduction: Vec::new(),
    }
}

pub(crate) fn log_name(site: &Site) -> LogName {
    LogName { pipeline: site.rules.pipeline.clone(), environment: site.rules.environment.clone() }
}

pub(crate) fn fence() -> Fence {
    Fence {
        namespaces: vec![NAMESPACE.to_owned()],
        default_namespace: Some(NAMESPACE.to_owned()),
        cluster_kinds: vec![GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")],
        agent_namespace: "lockmaster".to_owned(),
    }
}
