//! A baseline as text: `1.<version>.<generation>.<three hashes, base64url>`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Baseline;

/// The form that this code writes; another one is not read.
const FORM: &str = "1";

pub(super) fn write(baseline: &Baseline) -> String {
    let Baseline { entry, metadata, rest, version, generation } = baseline;
    let hashes: Vec<u8> = [entry, metadata, rest].iter().flat_map(|hash| hash.to_be_bytes()).collect();
    let generation = generation.map(|number| number.to_string()).unwrap_or_default();
    format!("{FORM}.{version}.{generation}.{}", URL_SAFE_NO_PAD.encode(hashes))
}

pub(super) fn read(text: &str) -> Option<Baseline> {
    let parts: Vec<&str> = text.split('.').collect();
    let [FORM, version, generation, hashes] = parts[..] else { return None };
    let hashes: [u8; 48] = URL_SAFE_NO_PAD.decode(hashes).ok()?.try_into().ok()?;
    let hash = |place: usize| {
        let bytes = hashes[place * 16..][..16].try_into().expect("because 16 bytes were taken");
        u128::from_be_bytes(bytes)
    };
    let baseline = Baseline {
        entry: hash(0),
        metadata: hash(1),
        rest: hash(2),
        version: version.parse().ok()?,
        generation: if generation.is_empty() { None } else { Some(generation.parse().ok()?) },
    };
    // One text for each baseline: what is written otherwise was not written here.
    (write(&baseline) == text).then_some(baseline)
}
