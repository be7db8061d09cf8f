//! Bad repositories, bad commits and bad signatures.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::control_plane::ControlPlane;
use crate::law::{Row, Yard, refuses};
use crate::stage::Who;

const CHANGED: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: black}\n";
/// Who made a commit, at a time when every key below was still valid.
const AUTHOR: &str = "Dana <dana@example.com> 1546300800 +0000";

/// Signers besides Dana: Omar signs and may not write, Kim's key has ended, Lena's has not begun.
fn yard(plane: &'static ControlPlane, stem: &str) -> Yard {
    let yard = Yard::new(
        plane,
        stem,
        ", roles: {writers: [dana@example.com, kim@example.com, lena@example.com]}",
        ", writers: [writers]",
    );
    let mut signers =
        std::fs::read_to_string(yard.stage.folder().join("allowed_signers")).expect("because it was made");
    for (name, window) in [("omar", ""), ("kim", ",valid-before=\"20200101Z\""), ("lena", ",valid-after=\"20990101Z\"")]
    {
        let public = key(&yard, name, &["-t", "ed25519"]);
        signers.push_str(&format!("{name}@example.com namespaces=\"git\"{window} {public}"));
    }
    std::fs::write(yard.stage.folder().join("allowed_signers"), signers).expect("because the folder is ours");
    yard
}

/// Makes a key and returns its public part.
fn key(yard: &Yard, name: &str, options: &[&str]) -> String {
    let file = yard.stage.folder().join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", name]).args(options).arg("-f").arg(&file).stdout(Stdio::null());
    assert!(command.status().expect("because ssh-keygen is there").success(), "because ssh-keygen makes keys");
    std::fs::read_to_string(file.with_extension("pub")).expect("because it was just made")
}

/// Writes an object of any content into the repository.
fn object(yard: &Yard, kind: &str, bytes: &[u8]) -> String {
    let file = yard.stage.folder().join("object");
    std::fs::write(&file, bytes).expect("because the folder is ours");
    yard.stage.git(&["hash-object", "-t", kind, "-w", "--literally", &file.display().to_string()])
}

/// An armored signature of bytes.
fn sign(yard: &Yard, key: &str, namespace: &str, bytes: &[u8]) -> String {
    let file = yard.stage.folder().join("payload");
    std::fs::write(&file, bytes).expect("because the folder is ours");
    let signature: PathBuf = file.with_extension("sig");
    drop(std::fs::remove_file(&signature));
    let status = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
        .arg(yard.stage.folder().join(key))
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("because ssh-keygen is there").success(), "because ssh-keygen signs");
    std::fs::read_to_string(signature).expect("because it was just made")
}

fn header(name: &str, armor: &str) -> String {
    format!("{name} {}\n", armor.trim_end().replace('\n', "\n "))
}

/// The tree with a changed setting.
fn tree(yard: &Yard) -> String {
    yard.stage.write("deploy/settings.yaml", CHANGED);
    yard.stage.git(&["add", "-A"]);
    yard.stage.git(&["write-tree"])
}

fn headers(yard: &Yard, tree: &str) -> String {
    let good = yard.good.as_deref().unwrap_or_default();
    format!("tree {tree}\nparent {good}\nauthor {AUTHOR}\ncommitter {AUTHOR}\n")
}

/// A commit of these headers, signed by a key in a namespace; `edit` works on the finished text.
fn raw(yard: &Yard, key: &str, namespace: &str, headers: &str, edit: impl Fn(&str) -> Vec<u8>) -> Option<String> {
    let armor = sign(yard, key, namespace, format!("{headers}\nsomething\n").as_bytes());
    let text = format!("{headers}{}\nsomething\n", header("gpgsig", &armor));
    Some(object(yard, "commit", &edit(&text)))
}

/// A row of a commit that is well signed by Dana, and then edited.
fn edited(name: &'static str, code: &'static str, edit: fn(&str) -> Vec<u8>) -> Row {
    Row::new(name, code, move |yard| raw(yard, "dana", "git", &headers(yard, &tree(yard)), edit)).shows(&["{tip}"])
}

/// A row of a commit whose headers are bad before they are signed; some of them libgit2 does not even carry.
fn headed(name: &'static str, code: &'static str, edit: fn(&str) -> String) -> Row {
    let make = move |yard: &Yard| raw(yard, "dana", "git", &edit(&headers(yard, &tree(yard))), whole);
    Row::new(name, code, make)
}

/// A row of a well-made commit that this key signed in this namespace.
fn signed(name: &'static str, code: &'static str, key: &'static str, namespace: &'static str) -> Row {
    Row::new(name, code, move |yard| raw(yard, key, namespace, &headers(yard, &tree(yard)), whole)).shows(&["{tip}"])
}

fn whole(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(crate) fn who_signed(plane: &'static ControlPlane) {
    let yard = yard(plane, "who").standing(&[]);
    let unsigned = Row::new("16 unsigned", "unsigned-commit", |yard| {
        yard.stage.write("deploy/settings.yaml", CHANGED);
        Some(yard.stage.commit(Who::Nobody, "hotfix"))
    });
    let deep = Row::new("16 unsigned, deep in a merged side branch", "unsigned-commit", |yard| {
        yard.stage.git(&["checkout", "-q", "-B", "side"]);
        yard.brings(&[("deploy/one.yaml", &configmap("one"))]);
        yard.stage.write("deploy/two.yaml", &configmap("two"));
        yard.stage.commit(Who::Nobody, "smuggled");
        yard.brings(&[("deploy/three.yaml", &configmap("three"))]);
        yard.stage.git(&["checkout", "-q", "work"]);
        yard.brings(&[("deploy/four.yaml", &configmap("four"))]);
        yard.stage.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge side", "side"]);
        Some(yard.stage.head())
    });
    let unknown = Row::new("18 unknown key", "unknown-signer", |yard| {
        yard.stage.write("deploy/settings.yaml", CHANGED);
        Some(yard.stage.commit(Who::Mallory, "mine"))
    });
    let late = Row::new("20 a good commit over one by a key that has ended", "key-not-valid", |yard| {
        let first = raw(yard, "kim", "git", &headers(yard, &tree(yard)), whole)?;
        yard.stage.git(&["reset", "-q", "--hard", &first]);
        yard.brings(&[("deploy/one.yaml", &configmap("one"))])
    });
    refuses(
        &yard,
        &[
            unsigned.shows(&["{tip} \"hotfix\", claimed author dana@example.com", "1 new since the accepted head"]),
            deep.shows(&["brings 1 unsigned commit, 5 new since", "\"smuggled\", claimed author dana@example.com"]),
            unknown.shows(&["{tip} \"mine\"", "SHA256:", "is in no signers file"]),
            signed("19 a signer who is no writer", "unauthorised-signer", "omar", "git")
                .shows(&["omar@example.com is no writer here"]),
            signed("20 a key that has ended, backdated", "key-not-valid", "kim", "git")
                .shows(&["kim@example.com is valid until 2020-01-01 00:00:00Z, first seen "]),
            signed("20 a key that has not begun", "key-not-valid", "lena", "git")
                .shows(&["lena@example.com is valid from 2099-01-01 00:00:00Z"]),
            late.shows(&["kim@example.com"]),
        ],
    );
}

pub(crate) fn what_was_signed(plane: &'static ControlPlane) {
    let yard = yard(plane, "what").standing(&[]);
    key(&yard, "weak", &["-t", "rsa", "-b", "1024"]);
    refuses(
        &yard,
        &[
            edited("17 other bytes than were signed", "bad-signature", |text| {
                text.replace("something", "anything").into()
            }),
            edited("17 another tree than was signed", "bad-signature", |text| {
                text.replace("1546300800", "1546300801").into()
            }),
            edited("17 a signature that is none", "bad-signature", |text| {
                text.replace("SSH SIGNATURE", "SIGNATURE").into()
            }),
            signed("23 a signature for files", "bad-signature", "dana", "file").shows(&["`file`"]),
            signed("24 an RSA key of 1024 bits", "bad-signature", "weak", "git"),
            edited("25 two signatures", "ambiguous-signature", twice),
            edited("25 a second signature under another name", "ambiguous-signature", |text| {
                text.replace("\n\nsomething", "\ngpgsig-sha256 junk\n\nsomething").into()
            }),
            edited("25 text behind the signature", "ambiguous-signature", |text| {
                text.replace("END SSH SIGNATURE-----", "END SSH SIGNATURE-----\n more").into()
            }),
            headed("26 two trees", "corrupt-object", |text| {
                format!("{}\n{text}", text.lines().next().unwrap_or_default())
            })
            .no_candidate(),
            headed("26 two committers", "malformed-commit", |text| {
                format!("{text}{}\n", text.lines().last().unwrap_or_default())
            }),
            headed("26 the committer before the author", "corrupt-object", |text| {
                let lines: Vec<&str> = text.lines().collect();
                format!("{}\n{}\n{}\n{}\n", lines[0], lines[1], lines[3], lines[2])
            })
            .no_candidate(),
            headed("26 a header that nobody knows", "malformed-commit", |text| format!("{text}surprise yes\n")),
            headed("26 a time beyond all times", "corrupt-object", |text| {
                text.replace("1546300800", "99999999999999999999")
            })
            .no_candidate(),
            edited("26 NUL in the author", "malformed-commit", |text| {
                text.replace("author Dana", "author Da\0na").into()
            }),
        ],
    );
}

/// The whole signature header a second time.
fn twice(text: &str) -> Vec<u8> {
    let start = text.find("gpgsig").unwrap_or_default();
    let end = text.find("\n\n").unwrap_or_default() + 1;
    format!("{}{}{}", &text[..end], &text[start..end], &text[end..]).into()
}

fn configmap(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

pub(crate) fn bad_repository(plane: &'static ControlPlane) {
    let yard = yard(plane, "where").standing(&[]);
    let gone = Row::new("1 the repository is gone", "fetch-failed", |yard| {
        let good = yard.good.clone();
        std::fs::rename(&yard.stage.repository, yard.stage.folder().join("away")).expect("because it is ours");
        good
    });
    let rewound = Row::new("5 moved back", "ref-rewound", |yard| Some(yard.stage.git(&["rev-parse", "HEAD~1"])));
    let diverged = Row::new("6 forced elsewhere", "ref-diverged", |yard| {
        yard.stage.git(&["reset", "-q", "--hard", "HEAD~1"]);
        yard.brings(&[("deploy/one.yaml", &configmap("one"))])
    });
    let unrelated = Row::new("6 forced to another history", "ref-diverged", |yard| {
        yard.stage.git(&["checkout", "-q", "--orphan", "other"]);
        yard.brings(&[("deploy/one.yaml", &configmap("one"))])
    });
    let twin = Row::new("6 another id over the accepted payload", "ref-twin", |yard| {
        let text = yard.stage.git(&["cat-file", "commit", "HEAD"]) + "\n";
        let start = text.find("gpgsig").unwrap_or_default();
        let end = text.find("\n\n").unwrap_or_default() + 1;
        let payload = format!("{}{}", &text[..start], &text[end..]);
        let armor = sign(yard, "omar", "git", payload.as_bytes());
        Some(object(
            yard,
            "commit",
            format!("{}{}{}", &text[..start], header("gpgsig", &armor), &text[end..]).as_bytes(),
        ))
    });
    let shallow = Row::new("9 a part of the history", "incomplete-history", |yard| {
        let good = yard.good.clone()?;
        let next = yard.brings(&[("deploy/one.yaml", &configmap("one"))]);
        std::fs::write(yard.stage.repository.join(".git/shallow"), format!("{good}\n")).expect("because it is ours");
        next
    });
    let parentless = Row::new("9 a parent that is not there", "fetch-failed", |yard| {
        let headers = headers(yard, &tree(yard)).replace("\nauthor", &format!("\nparent {}\nauthor", "1".repeat(40)));
        raw(yard, "dana", "git", &headers, whole)
    });
    refuses(
        &yard,
        &[
            gone.no_candidate().impossible().shows(&["no repository: "]),
            Row::new("3 the branch is gone", "ref-not-found", |_| None)
                .no_candidate()
                .shows(&["`refs/heads/env/dev` is not in the repository"]),
            rewound.shows(&["`refs/heads/env/dev` moved back to {tip}, an ancestor of the accepted head"]),
            diverged.shows(&["at {tip} does not descend from the accepted head", "merge base "]),
            unrelated.shows(&["at {tip} does not descend from the accepted head", "no merge base"]),
            twin.shows(&["{tip}"]),
            Row::new("7 a branch that leads to a tree", "ref-not-found", |yard| Some(tree(yard))).no_candidate(),
            shallow.no_candidate(),
            parentless.no_candidate().impossible().shows(&["1111111"]),
            Row::new("11 a tree with `..` in it", "corrupt-object", |yard| raw_tree(yard, ".."))
                .shows(&["`..` is no name of a file"]),
            Row::new("11 a tree with `.GIT` in it", "corrupt-object", |yard| raw_tree(yard, ".GIT"))
                .shows(&["`.GIT` may stand for `.git`"]),
        ],
    );
}

/// A signed commit whose tree has a file of this name.
fn raw_tree(yard: &Yard, name: &str) -> Option<String> {
    let blob = object(yard, "blob", b"text");
    let id: Vec<u8> = (0..40).step_by(2).filter_map(|at| u8::from_str_radix(&blob[at..at + 2], 16).ok()).collect();
    let mut bytes = format!("100644 {name}\0").into_bytes();
    bytes.extend(id);
    let tree = object(yard, "tree", &bytes);
    raw(yard, "dana", "git", &headers(yard, &tree), whole)
}

/// Nobody can say who is trusted: nothing is judged, and nothing is written.
pub(crate) fn signers_file(plane: &'static ControlPlane) {
    let yard = yard(plane, "signers").standing(&[]);
    let file = yard.stage.folder().join("allowed_signers");
    let good = std::fs::read_to_string(&file).expect("because it was made");
    let tip = yard.brings(&[("deploy/one.yaml", &configmap("one"))]);
    yard.point(tip.as_deref());
    let before = yard.live();
    yard.stage.proxy.forget();
    let bad = ["mallory\n", "* ssh-ed25519 AAAA\n", "a@example.com sometimes ssh-ed25519 AAAA\n"];
    for line in bad {
        std::fs::write(&file, format!("{good}{line}")).expect("because the folder is ours");
        for verb in [&["run", "--once"][..], &["status"], &["verify", "dev"], &["plan", "dev"]] {
            let ran = yard.stage.lockmaster(verb);
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line:?}: {ran:?}");
            assert!(ran.stderr.contains("[signers-invalid]: "), "{line:?}: {ran:?}");
            assert!(ran.stderr.contains("allowed_signers:5"), "{line:?}: {ran:?}");
        }
    }
    assert_eq!(yard.stage.proxy.writes(), Vec::new());
    assert_eq!(yard.live(), before);
    std::fs::write(&file, good).expect("because the folder is ours");
    yard.stage.run_once(0);
    assert_ne!(yard.live(), before, "it comes once they are good");
}

pub(crate) fn first_release(plane: &'static ControlPlane) {
    let yard = yard(plane, "first");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: {ns}}\n";
    refuses(
        &yard,
        &[
            Row::new("4 nothing was ever committed", "ref-not-found", |_| None).no_candidate(),
            Row::new("16 unsigned", "unsigned-commit", |yard| {
                yard.stage.write("deploy/settings.yaml", CHANGED);
                Some(yard.stage.commit(Who::Nobody, "hotfix"))
            })
            .shows(&["1 new, none accepted before"]),
            Row::file(
                "37 a key twice",
                "invalid-yaml",
                "deploy/a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nkind: Secret\n",
            )
            .at("deploy/a.yaml:3:1"),
            Row::file("53 no object", "empty-render", "deploy/a.yaml", "# nothing\n"),
            Row::file("no namespace", "namespace-not-found", "deploy/a.yaml", CHANGED)
                .by_the_cluster()
                .shows(&["`{ns}`"]),
            Row::new("51 one bad object among good ones", "invalid-object", move |yard| {
                yard.brings(&[
                    ("deploy/namespace.yaml", &yard.filled(namespace)),
                    ("deploy/settings.yaml", CHANGED),
                    ("deploy/z.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z, uid: abc}\n"),
                ])
            })
            .at("deploy/z.yaml:1"),
        ],
    );
    assert_eq!(yard.stage.plane.get("/api/v1/namespaces/first"), None, "nothing was left behind");
}
