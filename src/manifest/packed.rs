//! The objects of a release, kept small: an index, and the canonical bytes compressed in blocks.
//!
//! A release stands for weeks and is needed one object at a time, when that object drifts. As values a few thousand
//! objects take a hundred megabytes; packed they take less than their names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::set::stored_lines;
use super::{Manifest, ManifestSet, Stage, canonical_json, scaling};
use crate::name::{GroupVersionKind, ObjectKey};

/// Bytes of a block before it is compressed: large enough that similar objects share, small enough that reading one
/// object costs a fraction of a millisecond.
const BLOCK: usize = 64 * 1024;

/// The compression level: higher ones win little on 64 KiB.
const LEVEL: i32 = 3;

/// The objects of a release that are applied together: one stage and wave.
pub type Group = (Stage, i32);

/// See the module.
#[derive(Clone, Default)]
pub struct Packed {
    places: BTreeMap<ObjectKey, Place>,
    kinds: Vec<GroupVersionKind>,
    groups: Vec<Group>,
    blocks: Vec<Block>,
    /// What the scalers among the objects scale.
    scaled: BTreeSet<ObjectKey>,
    /// The block that was read last: applies go in order.
    open: Option<(u32, Vec<u8>)>,
}

/// Where an object is.
#[derive(Clone, Copy)]
struct Place {
    kind: u16,
    group: u16,
    block: u32,
    start: u32,
    end: u32,
}

#[derive(Clone)]
struct Block {
    compressed: Box<[u8]>,
    size: usize,
}

impl Packed {
    /// Packs a set.
    #[must_use]
    pub fn new(set: &ManifestSet) -> Self {
        let mut packing = Packing::default();
        for manifest in set.manifests() {
            packing.add(manifest, &canonical_json(&manifest.value));
        }
        packing.end()
    }

    /// Packs what [`ManifestSet::to_bytes`] wrote, without ever holding all objects as values.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut packing = Packing::default();
        for stored in stored_lines(bytes)? {
            let (manifest, line) = stored?;
            if packing.packed.contains(&manifest.key) {
                return Err(format!("`{}` stands twice", manifest.key));
            }
            packing.add(&manifest, line);
        }
        Ok(packing.end())
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the release names this object.
    #[must_use]
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.places.contains_key(key)
    }

    /// Every object, in the order of the keys, with the kind that its manifest is written in and the index of its group.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectKey, &GroupVersionKind, u16)> {
        self.places.iter().map(|(key, place)| (key, &self.kinds[usize::from(place.kind)], place.group))
    }

    /// The kind that an object's manifest is written in.
    #[must_use]
    pub fn kind(&self, key: &ObjectKey) -> Option<&GroupVersionKind> {
        self.places.get(key).map(|place| &self.kinds[usize::from(place.kind)])
    }

    /// The kinds of all objects, each once.
    #[must_use]
    pub fn kinds(&self) -> &[GroupVersionKind] {
        &self.kinds
    }

    /// The groups in the order of apply.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// One manifest.
    pub fn get(&mut self, key: &ObjectKey) -> Option<Manifest> {
        let place = *self.places.get(key)?;
        if self.open.as_ref().is_none_or(|(block, _)| *block != place.block) {
            let block = self.blocks.get(usize::try_from(place.block).ok()?)?;
            let bytes = zstd::bulk::decompress(&block.compressed, block.size);
            self.open = Some((place.block, bytes.expect("because it was compressed here")));
        }
        let (_, bytes) = self.open.as_ref()?;
        let line = bytes.get(usize::try_from(place.start).ok()?..usize::try_from(place.end).ok()?)?;
        let (mut manifest, _) = stored_lines(line).ok()?.next()?.expect("because it was read before it was packed");
        manifest.scaled = scaling::is_left_to(&self.scaled, &manifest);
        Some(manifest)
    }

    /// Lets go of the block that was read last.
    pub fn close(&mut self) {
        self.open = None;
    }
}

/// How much there is, never what.
impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("objects", &self.places.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Packing {
    packed: Packed,
    block: Vec<u8>,
}

impl Packing {
    fn add(&mut self, manifest: &Manifest, line: &[u8]) {
        if !self.block.is_empty() && self.block.len() + line.len() > BLOCK {
            self.close();
        }
        self.packed.scaled.extend(scaling::target(manifest));
        let small = |number: usize| u32::try_from(number).expect("because limits keep releases below 4 GiB");
        let few = |number: usize| u16::try_from(number).expect("because limits keep kinds and waves below 65,536");
        let group = (manifest.stage, manifest.wave);
        if self.packed.groups.last() != Some(&group) {
            self.packed.groups.push(group);
        }
        let kinds = &mut self.packed.kinds;
        let kind = kinds.iter().position(|kind| *kind == manifest.kind).unwrap_or_else(|| {
            kinds.push(manifest.kind.clone());
            kinds.len() - 1
        });
        let start = self.block.len();
        self.block.extend_from_slice(line);
        self.block.push(b'\n');
        let place = Place {
            kind: few(kind),
            group: few(self.packed.groups.len() - 1),
            block: small(self.packed.blocks.len()),
            start: small(start),
            end: small(self.block.len()),
        };
        self.packed.places.insert(manifest.key.clone(), place);
    }

    fn close(&mut self) {
        let compressed = zstd::bulk::compress(&self.block, LEVEL).expect("because memory is all that it needs");
        self.packed.blocks.push(Block { compressed: compressed.into_boxed_slice(), size: self.block.len() });
        self.block.clear();
    }

    fn end(mut self) -> Packed {
        self.close();
        self.packed
    }
}
