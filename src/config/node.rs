//! A small YAML tree in which every key and value knows its bytes.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError};

use crate::name::Code;

/// Nodes of all documents together, aliases written out: far above any real pipeline, far below what hurts.
const NODE_LIMIT: usize = 50_000;

/// A value and the bytes it was read from.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

/// What a node says.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A scalar; `plain` where it stands without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text, each key once.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and the bytes it was read from.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// Its content.
    pub(super) root: Node,
    /// The bytes from its start to the start of the next.
    pub(super) text: Range<usize>,
}

/// Why a text cannot be read as a tree.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

impl Node {
    /// Whether this is what YAML reads as nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if ["", "~", "null", "Null", "NULL"].contains(&text.as_str()))
    }

    /// What kind of value this is, with its article.
    pub(super) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "empty",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Reads every document that is not empty.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, Problem> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let parser = Parser::new_from_str_with_options(text, options);
    let mut composer = Composer { parser, anchors: HashMap::new(), nodes: 0 };
    let mut documents: Vec<Document> = Vec::new();
    while let Some((event, span)) = composer.next()? {
        match event {
            Event::DocumentStart(..) => composer.anchors.clear(),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            event => {
                let root = composer.node(event, span)?;
                if !root.is_null() {
                    let start = documents.last().map_or(0, |last| separator(text, last.text.end, root.span.start));
                    documents.last_mut().into_iter().for_each(|last| last.text.end = start);
                    documents.push(Document { text: start..root.span.end, root });
                }
            }
        }
    }
    documents.last_mut().into_iter().for_each(|last| last.text.end = text.len());
    Ok(documents)
}

/// Where the last `---` line between two documents begins.
fn separator(text: &str, from: usize, to: usize) -> usize {
    let from = from.min(to);
    text.get(from..to).and_then(|between| between.rfind("---")).map_or(to, |offset| from + offset)
}

struct Composer<'t, P: Iterator<Item = Result<(Event<'t>, granit_parser::Span), ScanError>>> {
    parser: P,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'t, P: Iterator<Item = Result<(Event<'t>, granit_parser::Span), ScanError>>> Composer<'t, P> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, Problem> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let start = span.start.byte_offset().unwrap_or(0);
                Ok(Some((event, start..span.end.byte_offset().unwrap_or(start))))
            }
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(0);
                Err(Problem { code: Code::InvalidYaml, span: at..at, message: format!("not YAML: {}", error.info()) })
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Range<usize>) -> Result<Node, Problem> {
        let before = self.nodes;
        self.count(1, &span)?;
        let (value, anchor, tagged) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (Node { value: Value::Scalar { text: text.into_owned(), plain }, span }, anchor, tag.is_some())
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(span)?, anchor, tag.is_some()),
            Event::MappingStart(_, anchor, tag) => (self.map(span)?, anchor, tag.is_some()),
            Event::Alias(id) => return self.alias(id, &span),
            _ => return Err(invalid(span, "not YAML: a value was expected here")),
        };
        if tagged {
            return Err(invalid(value.span, "a pipeline uses no YAML tags"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before));
        }
        Ok(value)
    }

    fn list(&mut self, span: Range<usize>) -> Result<Node, Problem> {
        let mut items = Vec::new();
        while let Some((event, at)) = self.next()? {
            if event == Event::SequenceEnd {
                return Ok(Node { value: Value::List(items), span: span.start..at.end.max(span.end) });
            }
            items.push(self.node(event, at)?);
        }
        Err(invalid(span, "not YAML: the list does not end"))
    }

    fn map(&mut self, span: Range<usize>) -> Result<Node, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some((event, at)) = self.next()? {
            if event == Event::MappingEnd {
                return Ok(Node { value: Value::Map(entries), span: span.start..at.end.max(span.end) });
            }
            let Node { value: Value::Scalar { text, .. }, span: at } = self.node(event, at)? else {
                return Err(invalid(span, "a key is not text"));
            };
            if entries.iter().any(|(key, _)| key.text == text) {
                return Err(invalid(at, &format!("key `{text}` stands twice in one map")));
            }
            let key = Key { text, span: at };
            let Some((event, at)) = self.next()? else { break };
            entries.push((key, self.node(event, at)?));
        }
        Err(invalid(span, "not YAML: the map does not end"))
    }

    fn alias(&mut self, id: usize, span: &Range<usize>) -> Result<Node, Problem> {
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(invalid(span.clone(), "an alias names an anchor that contains it"));
        };
        self.count(size, span)?;
        Ok(node)
    }

    /// Counts before anything is copied, so that a small text cannot become a large tree.
    fn count(&mut self, nodes: usize, span: &Range<usize>) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes <= NODE_LIMIT {
            return Ok(());
        }
        let message = format!("the file holds more than {NODE_LIMIT} values");
        Err(Problem { code: Code::LimitExceeded, span: span.clone(), message })
    }
}

fn invalid(span: Range<usize>, message: &str) -> Problem {
    Problem { code: Code::InvalidYaml, span, message: message.to_owned() }
}
