//! From the events of one document to a JSON value: anchors, aliases and merge keys as go-yaml v2 has them.

use std::collections::{BTreeSet, HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput};
use serde_json::{Map, Value};

use super::scalar::{Scalar, Tag};
use super::split::Chunk;
use super::{DEPTH_LIMIT, Document, Fault, count};

/// Line and column in the file.
type Place = (u32, u32);

/// What aliases may still add to the values of a file: without it a few lines fill any memory.
pub(super) struct Budget {
    nodes: usize,
    bytes: usize,
    /// Bytes of the copies kept of anchored nodes, which may stand in each other.
    kept: usize,
}

impl Default for Budget {
    /// 100,000 nodes and 8 MiB of keys and text, far above what people write by hand; 64 MiB kept.
    fn default() -> Self {
        Budget { nodes: 100_000, bytes: 8 << 20, kept: 64 << 20 }
    }
}

/// Composes the first document of a chunk; what follows its `...` is ignored, as kubectl does. `None` where it is empty.
pub(super) fn document(chunk: &Chunk, budget: &mut Budget) -> Result<Option<Document>, Fault> {
    let mut options = granit_parser::options! { disallow_directives: true };
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(&chunk.text, options);
    let mut composer = Composer { parser, first_line: chunk.line, anchors: HashMap::new(), budget };
    loop {
        let (event, place) = composer.next()?;
        match event {
            Event::StreamEnd => return Ok(None),
            Event::StreamStart | Event::DocumentStart(..) => {}
            event => {
                let value = composer.node(event, place, 0)?.into_value(place)?;
                // The end is asked for because text after the first node is an error.
                composer.next()?;
                return Ok(Some(Document { value, line: place.0 }).filter(|document| !document.value.is_null()));
            }
        }
    }
}

/// A composed node; scalars stay what they are, because a key is written otherwise than a value.
#[derive(Clone)]
enum Node {
    Scalar(Scalar),
    Tree(Value),
}

impl Node {
    fn into_value(self, place: Place) -> Result<Value, Fault> {
        match self {
            Node::Scalar(scalar) => scalar.into_value().map_err(|found| Fault::invalid(found, place)),
            Node::Tree(value) => Ok(value),
        }
    }
}

/// A finished node with an anchor, and what one alias to it costs.
struct Anchored {
    node: Node,
    size: Size,
}

struct Composer<'text, 'budget> {
    parser: Parser<'text, StrInput<'text>>,
    first_line: u32,
    anchors: HashMap<usize, Anchored>,
    budget: &'budget mut Budget,
}

impl<'text> Composer<'text, '_> {
    fn next(&mut self) -> Result<(Event<'text>, Place), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span.start.line(), span.start.col()))),
            Some(Err(error)) => Err(self.scan_fault(&error)),
            None => Ok((Event::StreamEnd, (self.first_line, 1))),
        }
    }

    fn place(&self, line: usize, column: usize) -> Place {
        (self.first_line.saturating_add(count(line.saturating_sub(1))), count(column + 1))
    }

    fn scan_fault(&self, error: &ScanError) -> Fault {
        let place = self.place(error.marker().line(), error.marker().col());
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => too_deep(place),
            ErrorKind::UnknownAnchor => Fault::invalid("an alias without an anchor before it", place),
            ErrorKind::DirectiveDisallowed => Fault::invalid("a `%` directive, which kubectl does not take", place),
            _ => Fault::invalid(error.info(), place),
        }
    }

    /// Composes the node that begins with an event, inside `depth` mappings and sequences.
    fn node(&mut self, event: Event<'text>, place: Place, depth: usize) -> Result<Node, Fault> {
        let anchor = event.anchor_id();
        let node = match event {
            Event::Scalar(text, style, _, tag) => {
                let tag = scalar_tag(tag.as_deref(), style);
                Node::Scalar(Scalar::resolve(tag, &text).map_err(|found| Fault::invalid(found, place))?)
            }
            Event::Alias(id) => return self.alias(id, place, depth),
            Event::SequenceStart(..) => Node::Tree(Value::Array(self.sequence(place, depth + 1)?)),
            Event::MappingStart(..) => Node::Tree(Value::Object(self.mapping(place, depth + 1)?)),
            _ => return Err(Fault::invalid("no node where one is expected", place)),
        };
        if let Some(id) = anchor {
            let size = Size::of(&node);
            let left = self.budget.kept.checked_sub(size.bytes + size.nodes * size_of::<Value>());
            self.budget.kept = left.ok_or_else(|| Fault::limit("anchored nodes take more than 64 MiB", place))?;
            self.anchors.insert(id, Anchored { node: node.clone(), size });
        }
        Ok(node)
    }

    /// A copy of an anchored node, paid from the budget. An anchor is known only after its node: within it, it is an error.
    fn alias(&mut self, id: usize, place: Place, depth: usize) -> Result<Node, Fault> {
        let anchored = self.anchors.get(&id).ok_or_else(|| Fault::invalid("an anchor that contains itself", place))?;
        if depth + anchored.size.height > DEPTH_LIMIT {
            return Err(too_deep(place));
        }
        let left =
            self.budget.nodes.checked_sub(anchored.size.nodes).zip(self.budget.bytes.checked_sub(anchored.size.bytes));
        let (nodes, bytes) = left.ok_or_else(|| {
            let Budget { nodes, bytes, kept: _ } = Budget::default();
            Fault::limit(format!("aliases expand to more than {nodes} nodes or {bytes} bytes"), place)
        })?;
        self.budget.nodes = nodes;
        self.budget.bytes = bytes;
        Ok(anchored.node.clone())
    }

    fn sequence(&mut self, place: Place, depth: usize) -> Result<Vec<Value>, Fault> {
        within_depth(depth, place)?;
        let mut items = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, place, depth)?.into_value(place)?);
        }
    }

    fn mapping(&mut self, place: Place, depth: usize) -> Result<Map<String, Value>, Fault> {
        within_depth(depth, place)?;
        let mut members = Map::new();
        let mut written = BTreeSet::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(members);
            }
            if is_merge(&event) {
                self.merge(&mut members, depth)?;
                continue;
            }
            let key = self.key(event, place, depth)?;
            if !written.insert(key.clone()) {
                return Err(Fault::invalid(format!("key `{key}` stands twice in one mapping"), place));
            }
            let (event, place) = self.next()?;
            let value = self.node(event, place, depth)?.into_value(place)?;
            members.insert(key, value);
        }
    }

    fn key(&mut self, event: Event<'text>, place: Place, depth: usize) -> Result<String, Fault> {
        match self.node(event, place, depth)? {
            Node::Scalar(scalar) => scalar.into_key().map_err(|found| Fault::invalid(found, place)),
            Node::Tree(_) => Err(Fault::invalid("a key that is a mapping or a sequence", place)),
        }
    }

    /// The value of `<<`: its members replace those written before it, and are replaced by those written after it
    /// (go-yaml v2, `decode.go`, `merge`). In a sequence the first mapping wins.
    fn merge(&mut self, members: &mut Map<String, Value>, depth: usize) -> Result<(), Fault> {
        let (event, place) = self.next()?;
        let is_sequence = matches!(event, Event::SequenceStart(..));
        let no_mapping = || Fault::invalid("`<<` over what is no mapping", place);
        match self.node(event, place, depth)?.into_value(place)? {
            Value::Object(merged) => members.extend(merged),
            Value::Array(items) if is_sequence => {
                for item in items.into_iter().rev() {
                    let Value::Object(merged) = item else { return Err(no_mapping()) };
                    members.extend(merged);
                }
            }
            _ => return Err(no_mapping()),
        }
        Ok(())
    }
}

fn is_merge(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, style, _, tag) if text == "<<" => match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => matches!(tag.to_string().as_str(), "!" | "tag:yaml.org,2002:merge"),
        },
        _ => false,
    }
}

fn scalar_tag(tag: Option<&granit_parser::Tag>, style: ScalarStyle) -> Tag {
    match tag {
        Some(tag) => Tag::of_uri(&tag.to_string()),
        None if style == ScalarStyle::Plain => Tag::Implicit,
        None => Tag::Text,
    }
}

fn within_depth(depth: usize, place: Place) -> Result<(), Fault> {
    if depth > DEPTH_LIMIT { Err(too_deep(place)) } else { Ok(()) }
}

fn too_deep(place: Place) -> Fault {
    Fault::limit(format!("more than {DEPTH_LIMIT} levels"), place)
}

/// How much a node is: nodes, bytes of keys and text, and levels.
struct Size {
    nodes: usize,
    bytes: usize,
    height: usize,
}

impl Size {
    fn of(node: &Node) -> Size {
        match node {
            Node::Scalar(Scalar::Text(text)) => Size { nodes: 1, bytes: text.len(), height: 0 },
            Node::Scalar(_) => Size { nodes: 1, bytes: 0, height: 0 },
            Node::Tree(value) => Size::of_value(value),
        }
    }

    fn of_value(value: &Value) -> Size {
        let mut size = Size { nodes: 1, bytes: 0, height: 0 };
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => size.bytes = text.len(),
            Value::Array(items) => items.iter().for_each(|item| size.hold(&Size::of_value(item))),
            Value::Object(members) => members.iter().for_each(|(key, member)| {
                size.hold(&Size::of_value(member));
                size.bytes += key.len();
            }),
        }
        if value.is_array() || value.is_object() {
            size.height += 1;
        }
        size
    }

    fn hold(&mut self, inner: &Size) {
        self.nodes += inner.nodes;
        self.bytes += inner.bytes;
        self.height = self.height.max(inner.height);
    }
}
