//! Keyed hashes of values, whatever the order of their keys.

use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use super::HashKey;

/// What is hashed, so that no hash stands for another thing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Entry = 1,
    Metadata = 2,
    Rest = 3,
}

/// SHA-256 over the key and a prefix-free encoding, cut to 128 bits, so that nothing can be appended to what is hashed.
pub(super) struct Hasher(Sha256);

impl Hasher {
    pub(super) fn new(key: &HashKey, purpose: Purpose) -> Self {
        let mut hash = Sha256::new();
        hash.update(key.0);
        hash.update([purpose as u8]);
        Hasher(hash)
    }

    /// Adds a byte that says what follows.
    pub(super) fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    /// Adds a count or a place.
    pub(super) fn count(&mut self, count: usize) {
        // No collection in memory has more than 2^64 elements.
        self.0.update((count as u64).to_le_bytes());
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }

    /// Adds a map.
    pub(super) fn map(&mut self, members: &Map<String, Value>) {
        self.tag(b'{');
        self.count(members.len());
        for (name, value) in sorted(members) {
            self.text(name);
            self.value(value);
        }
    }

    /// Adds a value.
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.tag(b'0'),
            Value::Bool(false) => self.tag(b'f'),
            Value::Bool(true) => self.tag(b't'),
            Value::Number(number) => self.number(number),
            Value::String(text) => {
                self.tag(b'"');
                self.text(text);
            }
            Value::Array(elements) => {
                self.tag(b'[');
                self.count(elements.len());
                elements.iter().for_each(|element| self.value(element));
            }
            Value::Object(members) => self.map(members),
        }
    }

    /// What is no i64 is a float64 to Kubernetes, however it is written.
    fn number(&mut self, number: &Number) {
        if let Some(whole) = number.as_i64() {
            self.tag(b'i');
            self.0.update(whole.to_le_bytes());
        } else {
            self.tag(b'd');
            self.0.update(number.as_f64().unwrap_or(f64::NAN).to_bits().to_le_bytes());
        }
    }

    pub(super) fn finish(self) -> u128 {
        let [high @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = <[u8; 32]>::from(self.0.finalize());
        u128::from_be_bytes(high)
    }
}

/// The members of a map by name, also where a feature of `serde_json` elsewhere in the tree keeps them in another order.
pub(super) fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    sorted
}
