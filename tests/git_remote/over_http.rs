//! Laws about remotes behind HTTP and HTTPS.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use lockmaster::edge::git::{Auth, GitError, Mirror, Remote};
use lockmaster::name::{Code, CommitId};

use crate::git_support::{Scene, assert_code, main_branch, reference, remote};
use crate::http::{Manners, Server};

const TOKEN: &str = "hunter2-token";

fn polite() -> Manners {
    Manners { cut: AtomicUsize::new(usize::MAX), ..Manners::default() }
}

fn with(url: String, auth: Auth) -> Remote {
    Remote { auth: Some(auth), ..remote(&url) }
}

#[track_caller]
fn assert_fetches(mirror: &Mirror, tip: &CommitId) {
    let listed = mirror.ls_remote().expect("because the server answers");
    assert_eq!(listed, BTreeMap::from([(main_branch(), tip.0.clone())]));
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
    assert_eq!(mirror.tree(tip).expect("because it was fetched").len(), 1);
}

pub(crate) fn fetches_over_http() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url()));
    assert_fetches(&mirror, &scene.id("main"));
    assert_fetches(&mirror, &scene.commit("a", "2"));
    let asked = server.requests().len();
    mirror.fetch(&[(main_branch(), scene.id("main"))]).expect("because it is there");
    assert_eq!(server.requests().len(), asked, "what is there is not asked for");
}

pub(crate) fn tags_are_fetched_over_http_without_what_they_are_on() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url()));
    mirror.fetch(&[(main_branch(), first)]).expect("because it is there");
    let packs = scene.packs();
    scene.commit("a", "2");
    let tip = scene.commit("a", "3");
    for name in ["approve/shop/prod/lena", "freeze/shop/prod/omar"] {
        scene.git(&["tag", "--annotate", "--message", "fine", name]);
    }
    let mut wanted: Vec<_> = mirror.ls_remote().expect("because the server answers").into_iter().collect();
    wanted.retain(|(name, _)| name.as_str().starts_with("refs/tags/"));
    let tags = mirror.tags(&wanted).expect("because the server answers");
    assert_eq!(tags.iter().map(|raw| (raw.name.clone(), raw.id.clone())).collect::<Vec<_>>(), wanted);
    assert_eq!(scene.packs(), packs, "what came with the tags is not kept");
    let asked = server.requests().len();
    assert_eq!(mirror.tags(&wanted).expect("because they are there"), tags);
    assert_eq!(server.requests().len(), asked, "what is there is not asked for");
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because tags are in nobody's way");
    assert_eq!(mirror.tree(&tip).expect("because it was fetched").len(), 1);
}

pub(crate) fn a_push_that_the_server_refuses_is_told_from_one_that_fails() {
    let scene = Scene::new();
    scene.git(&["config", "http.receivepack", "true"]);
    let first = scene.commit("a", "1");
    let second = scene.commit("a", "2");
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url()));
    mirror.fetch(&[(main_branch(), second.clone())]).expect("because it is there");
    mirror.push(&second, &reference("refs/heads/next")).expect("because nobody protects it");
    let is_refused = |pushed: Result<(), GitError>| matches!(pushed, Err(GitError::Refused { .. }));
    let rewound = mirror.push(&first, &reference("refs/heads/next"));
    assert!(is_refused(rewound), "nothing is pushed by force");
    // git protects the branch that is checked out (git-config, `receive.denyCurrentBranch`).
    scene.git(&["reset", "--quiet", "--hard", first.as_str()]);
    let protected = mirror.push(&second, &main_branch());
    assert!(
        matches!(&protected, Err(GitError::Refused { found, .. }) if found.contains("checked out")),
        "{protected:?}"
    );
    assert_code(protected, Code::FetchFailed);
    drop(server);
    let gone = mirror.push(&second, &reference("refs/heads/other"));
    assert!(gone.is_err() && !is_refused(gone), "nobody answered");
}

pub(crate) fn row_01_a_missing_repository_is_a_failed_fetch() {
    let scene = Scene::new();
    let server = Server::start(&scene, polite());
    let url = server.url().replace("/work/", "/nowhere/");
    let message = assert_code(scene.mirror_of(remote(&url)).ls_remote(), Code::FetchFailed);
    assert!(message.contains("not found") && message.contains(&url), "{message}");
    drop(server);
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("because loopback has a free port");
    let url = format!("http://{}/a.git", port.local_addr().expect("because it is bound"));
    drop(port);
    assert_code(scene.mirror_of(remote(&url)).ls_remote(), Code::FetchFailed);
}

pub(crate) fn row_02_good_credentials_are_sent_and_bad_ones_once() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let server = Server::start(&scene, Manners { login: Some(("x-access-token", TOKEN)), ..polite() });
    assert_fetches(&scene.mirror_of(with(server.url(), Auth::Token(TOKEN.into()))), &tip);
    let basic = |password: &str| Auth::Basic { username: "x-access-token".to_owned(), password: password.into() };
    assert_fetches(&scene.mirror_of(with(server.url(), basic(TOKEN))), &tip);
    let before = server.requests().len();
    let message = assert_code(
        scene.mirror_of(with(server.url(), basic("wrong-hunter3"))).ls_remote(),
        Code::AuthenticationFailed,
    );
    assert!(!message.contains("hunter"), "{message}");
    let sent: Vec<bool> = server.requests()[before..].iter().map(|(_, header)| header.is_some()).collect();
    assert_eq!(sent, [false, true], "asked once without, once with credentials, and never again without");
    assert_code(scene.mirror_of(remote(&server.url())).ls_remote(), Code::AuthenticationFailed);
}

pub(crate) fn row_02_a_forbidden_repository_is_a_failed_authentication() {
    let scene = Scene::new();
    let server = Server::start(&scene, Manners { status: Some("403 Forbidden"), ..polite() });
    assert_code(scene.mirror_of(remote(&server.url())).ls_remote(), Code::AuthenticationFailed);
    let server = Server::start(&scene, Manners { status: Some("503 Service Unavailable"), ..polite() });
    assert_code(scene.mirror_of(remote(&server.url())).ls_remote(), Code::FetchFailed);
}

pub(crate) fn redirects_to_another_host_are_not_followed() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let other = Server::start(&scene, polite());
    let target = other.url().replace("/work/.git", "").replace("127.0.0.1", "localhost");
    let server = Server::start(&scene, Manners { redirect: Some(target), ..polite() });
    let mirror = scene.mirror_of(with(server.url(), Auth::Token(TOKEN.into())));
    assert_code(mirror.ls_remote(), Code::FetchFailed);
    assert_code(mirror.fetch(&[(main_branch(), tip)]), Code::FetchFailed);
    assert_eq!(other.requests(), [], "nothing went to the other server");
}

pub(crate) fn row_08_a_pack_with_flipped_bytes_is_refused_and_dropped() {
    let scene = Scene::new();
    scene.commit("a", "some content\n".repeat(400));
    let tip = scene.commit("a", "other content\n".repeat(400));
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url()));
    server.manners.flip.store(true, Ordering::SeqCst);
    let message = assert_code(mirror.fetch(&[(main_branch(), tip.clone())]), Code::CorruptObject);
    assert!(message.contains("pack from"), "{message}");
    assert_eq!(scene.packs(), Vec::<String>::new());
    server.manners.flip.store(false, Ordering::SeqCst);
    assert_fetches(&mirror, &tip);
}

pub(crate) fn row_09_a_shallow_server_is_an_incomplete_history() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let tip = scene.commit("a", "2");
    let url = format!("file://{}", scene.work().display());
    scene.git(&["clone", "--quiet", "--bare", "--depth=1", &url, "../shallow"]);
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url().replace("/work/.git", "/shallow")));
    assert_code(mirror.ls_remote(), Code::IncompleteHistory);
    assert_code(mirror.fetch(&[(main_branch(), tip)]), Code::IncompleteHistory);
    assert_eq!(scene.packs(), Vec::<String>::new());
}

pub(crate) fn fault_32_a_pack_cut_at_any_byte_leaves_nothing_and_the_next_fetch_succeeds() {
    let scene = Scene::new();
    (0..20).for_each(|n| drop(scene.commit("a", format!("line {n}\n").repeat(30))));
    let tip = scene.id("main");
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url()));
    for cut in [0, 1, 4, 8, 12, 30, 50, 100, 333, 500, 1000, 1500, 2000] {
        server.manners.cut.store(cut, Ordering::SeqCst);
        assert_code(mirror.fetch(&[(main_branch(), tip.clone())]), Code::FetchFailed);
        assert_eq!(scene.packs(), Vec::<String>::new(), "after {cut} bytes");
        assert_code(mirror.facts(&main_branch(), &tip, None, &[]), Code::RefNotFound);
    }
    server.manners.cut.store(usize::MAX, Ordering::SeqCst);
    assert_fetches(&mirror, &tip);
    assert_eq!(mirror.facts(&main_branch(), &tip, None, &[]).expect("because it is whole").new.len(), 20);
}

pub(crate) fn fault_31_a_server_that_is_down_leaves_the_mirror_readable() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let server = Server::start(&scene, polite());
    let mirror = scene.mirror_of(remote(&server.url()));
    assert_fetches(&mirror, &tip);
    server.manners.cut.store(0, Ordering::SeqCst);
    let next = scene.commit("a", "2");
    assert_code(mirror.fetch(&[(main_branch(), next)]), Code::FetchFailed);
    drop(server);
    assert_eq!(mirror.tree(&tip).expect("because it was fetched").len(), 1);
}

pub(crate) fn https_is_believed_by_the_file_of_certificates_alone() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let (authority, file) = Authority::new(&scene, "ca.pem");
    let (_, other_file) = Authority::new(&scene, "other.pem");
    let login = Some(("x-access-token", TOKEN));
    let server = Server::start(&scene, Manners { login, identity: Some(authority.issue("127.0.0.1")), ..polite() });
    let auth = || Some(Auth::Token(TOKEN.into()));
    let trusting = Remote { url: server.url(), auth: auth(), ca_file: Some(file.clone()) };
    assert_fetches(&scene.mirror_of(trusting), &tip);
    let before = server.requests().len();
    for ca_file in [None, Some(other_file)] {
        let doubting = Remote { url: server.url(), auth: auth(), ca_file };
        let message = assert_code(scene.mirror_of(doubting).ls_remote(), Code::AuthenticationFailed);
        assert!(message.contains("certificate"), "{message}");
    }
    assert_eq!(server.requests().len(), before, "no request was sent to a server that is not believed");
    let stranger = Server::start(&scene, Manners { identity: Some(authority.issue("10.0.0.1")), ..polite() });
    let misled = Remote { url: stranger.url(), auth: auth(), ca_file: Some(file) };
    assert_code(scene.mirror_of(misled).ls_remote(), Code::AuthenticationFailed);
    assert_eq!(stranger.requests(), []);
    let missing = Remote { url: server.url(), auth: None, ca_file: Some(scene.root().join("missing.pem")) };
    assert_code(scene.mirror_of(missing).ls_remote(), Code::FetchFailed);
}

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new(scene: &Scene, file: &str) -> (Authority, std::path::PathBuf) {
        let key = rcgen::KeyPair::generate().expect("because ring makes keys");
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, file);
        let certificate = parameters.self_signed(&key).expect("because the key is ours");
        let file = scene.root().join(file);
        std::fs::write(&file, certificate.pem()).expect("because the test may write");
        (Authority { issuer: rcgen::Issuer::new(parameters, key) }, file)
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("because ring makes keys");
        let parameters = rcgen::CertificateParams::new([name.to_owned()]).expect("because it is a name");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("because the issuer has a key");
        (certificate.pem(), key.serialize_pem())
    }
}
