//! A baseline as text: `1.<version>.<generation>.<three hashes, base64url>.<unset places>`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Baseline;

/// The form that this code writes; another one is not read.
const FORM: &str = "1";

pub(super) fn write(baseline: &Baseline) -> String {
    let Baseline { entry, metadata, rest, version, generation, unset } = baseline;
    let hashes: Vec<u8> = [entry, metadata, rest].iter().flat_map(|hash| hash.to_be_bytes()).collect();
    let hashes = URL_SAFE_NO_PAD.encode(hashes);
    let generation = generation.map(|number| number.to_string()).unwrap_or_default();
    let unset: Vec<String> = unset.iter().flatten().map(u32::to_string).collect();
    format!("{FORM}.{version}.{generation}.{hashes}.{}", unset.join(","))
}

pub(super) fn read(text: &str) -> Option<Baseline> {
    let parts: Vec<&str> = text.split('.').collect();
    let [FORM, version, generation, hashes, unset] = parts[..] else { return None };
    let hashes: [u8; 48] = URL_SAFE_NO_PAD.decode(hashes).ok()?.try_into().ok()?;
    let hash = |place: usize| {
        let bytes = hashes[place * 16..][..16].try_into().expect("because 16 bytes were taken");
        u128::from_be_bytes(bytes)
    };
    let unset = unset.split(',').filter(|_| !unset.is_empty()).map(|place| place.parse().ok());
    let unset = unset.collect::<Option<Vec<u32>>>()?;
    let baseline = Baseline {
        entry: hash(0),
        metadata: hash(1),
        rest: hash(2),
        version: version.parse().ok()?,
        generation: if generation.is_empty() { None } else { Some(generation.parse().ok()?) },
        unset: Some(unset.into_boxed_slice()).filter(|places| !places.is_empty()),
    };
    // One text for each baseline, and its places in order: what is written otherwise was not written here.
    let is_rising = baseline.unset.as_deref().is_none_or(|places| places.is_sorted());
    (is_rising && write(&baseline) == text).then_some(baseline)
}
