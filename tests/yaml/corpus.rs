//! Documents that parsers disagree about, and what we read. Each is the value of `v` in a manifest, or a whole file.

use serde_json::{Value, json};

/// What we make of a document.
pub(crate) enum Expected {
    /// The value of `v`.
    Says(Value),
    /// The values of `v` of all documents.
    All(Vec<Value>),
    /// An error.
    Refused,
}

/// Whether kubectl agrees.
pub(crate) enum Kubectl {
    Same,
    /// It does otherwise, on purpose or without harm; why.
    Differs(&'static str),
    /// 1.36 does the same; 1.32 refuses what is not all JSON.
    ByVersion,
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
    pub(crate) kubectl: Kubectl,
}

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: t}\n";

/// A manifest, `v` of which is this text.
fn value(name: &'static str, text: &str, says: Value) -> Case {
    body(name, &format!("v: {text}\n"), says)
}

/// A manifest with these lines.
fn body(name: &'static str, lines: &str, says: Value) -> Case {
    file(name, format!("{HEAD}{lines}").into_bytes(), Expected::Says(says))
}

fn refused(name: &'static str, lines: &str) -> Case {
    file(name, format!("{HEAD}{lines}").into_bytes(), Expected::Refused)
}

fn file(name: &'static str, bytes: Vec<u8>, expected: Expected) -> Case {
    Case { name, bytes, expected, kubectl: Kubectl::Same }
}

fn unlike_kubectl(case: Case, why: &'static str) -> Case {
    Case { kubectl: Kubectl::Differs(why), ..case }
}

fn by_version(case: Case) -> Case {
    Case { kubectl: Kubectl::ByVersion, ..case }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = scalars();
    cases.extend(numbers());
    cases.extend(tags());
    cases.extend(keys());
    cases.extend(merges());
    cases.extend(streams());
    cases.extend(json_files());
    cases.extend(hostile());
    cases
}

fn scalars() -> Vec<Case> {
    vec![
        value(
            "words of yes",
            "[y, Y, yes, Yes, YES, true, on, On, ON]",
            json!([true, true, true, true, true, true, true, true, true]),
        ),
        value(
            "words of no",
            "[n, N, no, No, NO, false, off, Off, OFF]",
            json!([false, false, false, false, false, false, false, false, false]),
        ),
        value("half-capital words", "[yEs, oN, tRUE, nO]", json!(["yEs", "oN", "tRUE", "nO"])),
        value("quoted words", "['yes', \"no\", 'null', '1', \"0x1\"]", json!(["yes", "no", "null", "1", "0x1"])),
        value("nulls", "[~, null, Null, NULL]", json!([null, null, null, null])),
        value("half-capital null", "[nUll, nul]", json!(["nUll", "nul"])),
        body("null by nothing", "v:\n", json!(null)),
        value("date", "2024-01-01", json!("2024-01-01")),
        value("time", "2024-01-01T10:00:00Z", json!("2024-01-01T10:00:00Z")),
        value("sexagesimal", "[1:30, 22:22, 190:20:30]", json!(["1:30", "22:22", "190:20:30"])),
        value(
            "version words",
            "[1.2.3, v1, 1e, e3, 0x, '.', +, -1-]",
            json!(["1.2.3", "v1", "1e", "e3", "0x", ".", "+", "-1-"]),
        ),
        value("literal block", "|\n  yes\n  no\n", json!("yes\nno\n")),
        value("folded block", ">-\n  1\n  2\n", json!("1 2")),
        value("escapes", r#""\x41\u00e9\n\t""#, json!("A\u{e9}\n\t")),
        unlike_kubectl(value("escaped slash", r#""\/""#, json!("/")), "go-yaml lacks this escape; JSON has it"),
        value("empty text", "''", json!("")),
        value("plain over lines", "a\n  b\n\n  c", json!("a b\nc")),
        unlike_kubectl(
            value("surrogate pair", r#""\ud83d\ude00""#, json!("\u{1f600}")),
            "go-yaml refuses surrogate escapes; JSON has them",
        ),
        unlike_kubectl(
            body("line separator", "v: \"a\u{2028}  b\"\n", json!("a\u{2028}  b")),
            "U+2028 is a line break in YAML 1.1 only",
        ),
    ]
}

fn numbers() -> Vec<Case> {
    vec![
        value("octal", "[0644, 0o644, 0O644, -012, 00]", json!([420, 420, 420, -10, 0])),
        value("no octal", "[08, 09, 019]", json!([8, 9, 19])),
        value("binary", "[0b101, 0B101, -0b101]", json!([5, 5, -5])),
        value("hexadecimal", "[0x1F, -0x1F, 0X1f]", json!([31, -31, 31])),
        value("underscores", "[1_000, 1__0, 1_0.5, 0x_1F]", json!([1000, 10, 10.5, 31])),
        value("leading underscore", "_1", json!("_1")),
        value("exponents", "[1e3, 1E3, 1e+3, 1.5e3]", json!([1000, 1000, 1000, 1500])),
        value("floats", "[1.0, 1., .5, -0.5, +1.5]", json!([1, 1, 0.5, -0.5, 1.5])),
        value("signs", "[+1, -1, -0, +0.0]", json!([1, -1, 0, 0])),
        value("small exponent", "1e-3", json!(0.001)),
        value("2^63-1", "9223372036854775807", json!(i64::MAX)),
        value("2^63", "9223372036854775808", json!(9_223_372_036_854_775_808.0)),
        value("2^64", "18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        value("30 digits", "123456789012345678901234567890", json!(123_456_789_012_345_678_901_234_567_890.0)),
        value("1e400", "1e400", json!("1e400")),
        value("1e100", "1e100", json!(1e100)),
        refused("infinity", "v: .inf\n"),
        refused("negative infinity", "v: -.Inf\n"),
        refused("not a number", "v: .nan\n"),
    ]
}

fn tags() -> Vec<Case> {
    vec![
        value("binary tag", "!!binary aGVsbG8=", json!("hello")),
        refused("binary tag over nonsense", "v: !!binary '*'\n"),
        value("int tag", "!!int \"3\"", json!(3)),
        value("bool tag", "!!bool \"yes\"", json!(true)),
        value("float tag", "!!float 1", json!(1)),
        value("str tag", "[!!str 1, !!str yes, !!str ~]", json!(["1", "yes", "~"])),
        value("null tag", "!!null ''", json!(null)),
        value("unknown tag", "[!custom x, !custom 3, !custom {a: 1}]", json!(["x", "3", {"a": 1}])),
        refused("tag that lies", "v: !!int three\n"),
        value("verbatim tag", "!<tag:yaml.org,2002:int> \"7\"", json!(7)),
    ]
}

fn keys() -> Vec<Case> {
    vec![
        value("boolean keys", "{on: 1, n: 2}", json!({"true": 1, "false": 2})),
        value("number keys", "{1: a, 0x10: b, 1.5: c}", json!({"1": "a", "16": "b", "1.5": "c"})),
        value("large float key", "{1e6: a, 100.0: b}", json!({"1e+06": "a", "100": "b"})),
        value("date key", "{2024-01-01: a}", json!({"2024-01-01": "a"})),
        value("quoted keys", "{'on': 1, \"1\": 2}", json!({"on": 1, "1": 2})),
        value("explicit key", "{? a : 1}", json!({"a": 1})),
        refused("null key", "v: {~: 1}\n"),
        refused("mapping as key", "v: {{a: 1}: 1}\n"),
        refused("sequence as key", "? [a]\n: 1\n"),
        unlike_kubectl(refused("key twice", "v: {a: 1, a: 2}\n"), "we refuse a key twice; kubectl takes the last"),
        unlike_kubectl(refused("two words of yes", "on: 1\ntrue: 2\n"), "the same key twice"),
    ]
}

fn merges() -> Vec<Case> {
    let base = "b: &b {q: 1, r: 2}\nc: &c {q: 5, s: 6}\n";
    let merged = |name, lines: &str, says| body(name, &format!("{base}{lines}"), says);
    vec![
        merged("merge", "v: {<<: *b}\n", json!({"q": 1, "r": 2})),
        merged("merge before", "v: {<<: *b, q: 3}\n", json!({"q": 3, "r": 2})),
        merged("merge after", "v: {q: 3, <<: *b}\n", json!({"q": 1, "r": 2})),
        merged("merge of a list", "v: {<<: [*b, *c]}\n", json!({"q": 1, "r": 2, "s": 6})),
        merged("two merges", "v:\n  <<: *b\n  <<: *c\n", json!({"q": 5, "r": 2, "s": 6})),
        merged("quoted merge", "v: {\"<<\": *b}\n", json!({"<<": {"q": 1, "r": 2}})),
        merged("merge inline", "v: {<<: {z: 1}, y2: 2}\n", json!({"z": 1, "y2": 2})),
        refused("merge of text", "v: {<<: text}\n"),
        body("alias", "a: &a [1, x]\nv: [*a, *a]\n", json!([[1, "x"], [1, "x"]])),
        body("alias as key", "a: &a key\nv: {*a : 1}\n", json!({"key": 1})),
        body("anchor twice", "a: &a 1\nb: &a 2\nv: *a\n", json!(2)),
        refused("alias without anchor", "v: *none\n"),
        refused("anchor in itself", "v: &v [*v]\n"),
    ]
}

fn streams() -> Vec<Case> {
    let two = |between: &str| format!("{HEAD}v: 1\n{between}{HEAD}v: 2\n").into_bytes();
    let all = |values: &[i32]| Expected::All(values.iter().map(|v| json!(v)).collect());
    let repeated = |count: usize| format!("{HEAD}v: 1\n---\n").repeat(count).into_bytes();
    vec![
        file("two documents", two("---\n"), all(&[1, 2])),
        file("separator with a comment", two("--- # next\n"), all(&[1, 2])),
        file("separator with spaces", two("---  \t\n"), all(&[1, 2])),
        file("empty documents", two("---\n\n---\n# nothing\n---\nnull\n---\n"), all(&[1, 2])),
        file("separator first", [b"---\n".to_vec(), two("---\n")].concat(), all(&[1, 2])),
        file("four dashes", two("----\n"), Expected::Refused),
        file(
            "document on the separator line",
            b"--- {apiVersion: v1, kind: ConfigMap, metadata: {name: t}, v: 1}\n".to_vec(),
            Expected::Refused,
        ),
        file("text after the end", format!("{HEAD}v: 1\n...\nmore: [\n").into_bytes(), all(&[1])),
        file("YAML 1.1 directive", format!("%YAML 1.1\n---\n{HEAD}v: 1\n").into_bytes(), Expected::Refused),
        file("YAML 1.2 directive", format!("%YAML 1.2\n---\n{HEAD}v: 1\n").into_bytes(), Expected::Refused),
        file("byte order mark", format!("\u{feff}{HEAD}v: 1\n").into_bytes(), all(&[1])),
        file(
            "carriage returns",
            format!("{HEAD}v: |\n  a\n  b\n").replace('\n', "\r\n").into_bytes(),
            Expected::Says(json!("a\nb\n")),
        ),
        file("no newline at the end", format!("{HEAD}v: 1").into_bytes(), all(&[1])),
        file("2,000 documents", repeated(2000), Expected::All(vec![json!(1); 2000])),
        unlike_kubectl(
            file("empty file", Vec::new(), all(&[])),
            "kubectl says `no objects passed`; an empty file is none here",
        ),
    ]
}

fn json_files() -> Vec<Case> {
    let object = |v: &str| {
        format!("{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"t\"}}, \"v\": {v}}}")
    };
    let one = |name, v: &str, says| file(name, object(v).into_bytes(), Expected::Says(says));
    vec![
        one(
            "JSON",
            r#"["yes", 1.0, 1e3, -0, 0.5, null, "\ud83d\ude00", "\/"]"#,
            json!(["yes", 1, 1000, 0, 0.5, null, "\u{1f600}", "/"]),
        ),
        one("JSON with tabs", "\n\t{\n\t\t\"a\": 1\n\t}\n", json!({"a": 1})),
        by_version(one("JSON with YAML inside", "[yes, 'a', 0644]", json!([true, "a", 420]))),
        by_version(file(
            "JSON, then YAML",
            format!("{}\n---\n{HEAD}v: 2\n", object("1")).into_bytes(),
            Expected::All(vec![json!(1), json!(2)]),
        )),
        unlike_kubectl(
            file("JSON key twice", object("{\"a\": 1, \"a\": 2}").into_bytes(), Expected::Refused),
            "a key twice",
        ),
        file("JSON cut off", object("1").trim_end_matches('}').as_bytes().to_vec(), Expected::Refused),
    ]
}

fn hostile() -> Vec<Case> {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &"bcdefghi"
            .chars()
            .zip("abcdefgh".chars())
            .map(|(new, old)| format!("{new}: &{new} [{}]\n", vec![format!("*{old}"); 9].join(", ")))
            .collect::<String>();
    let deep = |levels: usize| format!("v: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    let utf16 = format!("{HEAD}v: 1\n").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let uses = vec!["*a"; 300].join(", ");
    vec![
        refused("alias bomb", &bomb),
        body("300 uses of an anchor", &format!("a: &a {{k: 1}}\nv: [{uses}]\n"), json!(vec![json!({"k": 1}); 300])),
        unlike_kubectl(refused("100 levels", &deep(100)), "we take 64 levels"),
        refused("tab for indentation", "v:\n\ta: 1\n"),
        unlike_kubectl(file("UTF-16", [vec![0xff, 0xfe], utf16].concat(), Expected::Refused), "we take UTF-8 only"),
        unlike_kubectl(
            file(
                "invalid UTF-8 in JSON",
                b"{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"t\"}, \"v\": \"\xff\"}"
                    .to_vec(),
                Expected::Refused,
            ),
            "kubectl replaces the byte",
        ),
        unlike_kubectl(
            file("invalid UTF-8", [HEAD.as_bytes(), b"v: \xff\n"].concat(), Expected::Refused),
            "kubectl replaces the byte",
        ),
        refused("NUL", "v: \"a\0b\"\n"),
        refused("unclosed quote", "v: 'a\n"),
        refused("colon twice", "v: a: b\n"),
        refused("unclosed sequence", "v: [1, 2\n"),
        refused("wrong indentation", "v:\n    a: 1\n  b: 2\n"),
    ]
}
