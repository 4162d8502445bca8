//! Builds the tree from a stream of events, and holds its bounds: depth, nodes, aliases, duplicate keys.

use std::collections::HashMap;

use aegis_model::caps::{POLICY_DEPTH_MAX, POLICY_NODES_MAX};

use super::node::{Key, Kind, Node, Pair};
use crate::ast::Span;
use crate::check::report::Report;
use crate::diagnostic::Diagnostic;

/// The anchor of a node; 0: none.
pub(super) type Anchor = usize;

/// The file cannot be read any further; the reason is in the report.
#[derive(Debug)]
pub(super) struct Stopped;

/// A scalar as it comes, resolved, with what only matters if it turns out to be a key.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) node: Node,
    /// The text as written, without quotes.
    pub(super) text: Box<str>,
    pub(super) style: Style,
    /// Why the scalar is refused as a value; a key may still be fine.
    pub(super) refused: Option<Diagnostic>,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    DoubleQuoted,
    Other,
}

/// A tree in the making.
#[derive(Debug)]
pub(super) struct Builder<'r> {
    report: &'r mut Report,
    open: Vec<Frame>,
    documents: Vec<Node>,
    anchors: HashMap<Anchor, Shared>,
    nodes: usize,
}

#[derive(Debug)]
struct Frame {
    start: Span,
    anchor: Anchor,
    /// Levels of the deepest finished child.
    height: usize,
    /// Nodes made when the frame was opened.
    nodes_before: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Seq(Vec<Node>),
    Map { pairs: Vec<Pair>, key: Option<Key>, seen: HashMap<Box<str>, Span> },
}

/// A finished node with an anchor.
#[derive(Debug)]
struct Shared {
    node: Node,
    nodes: usize,
    height: usize,
}

impl<'r> Builder<'r> {
    pub(super) fn new(report: &'r mut Report) -> Self {
        Self { report, open: Vec::new(), documents: Vec::new(), anchors: HashMap::new(), nodes: 0 }
    }

    pub(super) fn report(&mut self) -> &mut Report {
        self.report
    }

    /// The finished documents, and how many nodes they have.
    pub(super) fn finish(self) -> (Vec<Node>, usize) {
        (self.documents, self.nodes)
    }

    pub(super) fn open_seq(&mut self, start: Span, anchor: Anchor) -> Result<(), Stopped> {
        self.open(start, anchor, Content::Seq(Vec::new()))
    }

    pub(super) fn open_map(&mut self, start: Span, anchor: Anchor) -> Result<(), Stopped> {
        self.open(start, anchor, Content::Map { pairs: Vec::new(), key: None, seen: HashMap::new() })
    }

    fn open(&mut self, start: Span, anchor: Anchor, content: Content) -> Result<(), Stopped> {
        self.refuse_as_key(start)?;
        if self.open.len() >= POLICY_DEPTH_MAX {
            return self.stop(too_deep(start));
        }
        self.count(1, start)?;
        self.open.push(Frame { start, anchor, height: 0, nodes_before: self.nodes, content });
        Ok(())
    }

    /// Closes the innermost collection, which ends at byte `end`.
    pub(super) fn close(&mut self, end: u32) -> Result<(), Stopped> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let nodes = self.nodes - frame.nodes_before + 1;
        let kind = match frame.content {
            Content::Seq(items) => Kind::Seq(items),
            Content::Map { pairs, .. } => Kind::Map(pairs),
        };
        let span = Span { end: end.max(frame.start.end), ..frame.start };
        let node = Node { span, kind };
        self.share(frame.anchor, &node, nodes, frame.height + 1)?;
        self.place(node, frame.height + 1);
        Ok(())
    }

    pub(super) fn scalar(&mut self, scalar: Scalar, anchor: Anchor) -> Result<(), Stopped> {
        self.count(1, scalar.node.span)?;
        if self.wants_key() {
            return self.key(scalar);
        }
        if let Some(refused) = scalar.refused {
            self.report.push(refused);
        }
        self.share(anchor, &scalar.node, 1, 0)?;
        self.place(scalar.node, 0);
        Ok(())
    }

    pub(super) fn alias(&mut self, span: Span, anchor: Anchor) -> Result<(), Stopped> {
        self.refuse_as_key(span)?;
        let Some(shared) = self.anchors.get(&anchor) else {
            return self.stop(
                Diagnostic::error("alias-cycle", span, "this alias stands inside the node that it refers to")
                    .help("a policy is a tree: an alias may only repeat something that is already complete"),
            );
        };
        let (nodes, height) = (shared.nodes, shared.height);
        if self.open.len() + height > POLICY_DEPTH_MAX {
            return self.stop(too_deep(span));
        }
        self.count(nodes, span)?;
        if let Some(node) = self.anchors.get(&anchor).map(|shared| shared.node.clone()) {
            self.place(node, height);
        }
        Ok(())
    }

    /// Keeps a copy for aliases. The copy counts as nodes too, so that memory stays within the bound.
    fn share(&mut self, anchor: Anchor, node: &Node, nodes: usize, height: usize) -> Result<(), Stopped> {
        if anchor == 0 {
            return Ok(());
        }
        self.count(nodes, node.span)?;
        self.anchors.insert(anchor, Shared { node: node.clone(), nodes, height });
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stopped> {
        self.nodes += nodes;
        if self.nodes <= POLICY_NODES_MAX {
            return Ok(());
        }
        self.stop(
            Diagnostic::error(
                "too-many-nodes",
                span,
                format!("the file has more than {POLICY_NODES_MAX} nodes, aliases expanded"),
            )
            .help("split it into several files, and use fewer aliases"),
        )
    }

    fn stop<T>(&mut self, why: Diagnostic) -> Result<T, Stopped> {
        self.report.push(why);
        Err(Stopped)
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    fn refuse_as_key(&mut self, span: Span) -> Result<(), Stopped> {
        if !self.wants_key() {
            return Ok(());
        }
        self.stop(
            Diagnostic::error("bad-key", span, "a key has to be a string")
                .help("write the key out; lists, mappings and aliases cannot be keys"),
        )
    }

    fn key(&mut self, scalar: Scalar) -> Result<(), Stopped> {
        let Scalar { node, text, style, .. } = scalar;
        let span = node.span;
        if style == Style::Plain {
            self.check_plain_key(&node, &text)?;
        }
        let Some(Frame { content: Content::Map { key, seen, pairs }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        if let Some(first) = first_of(&text, span, pairs, seen) {
            let twice =
                Diagnostic::error("duplicate-key", span, format!("the key `{}` stands here twice", &*text))
                    .label(format!("first at line {}, column {}", first.line, first.column))
                    .help("readers disagree which of the two counts: remove one");
            self.report.push(twice);
        }
        *key = Some(Key { text, span, double_quoted: style == Style::DoubleQuoted });
        Ok(())
    }

    fn check_plain_key(&mut self, node: &Node, text: &str) -> Result<(), Stopped> {
        if text == "<<" {
            return self.stop(
                Diagnostic::error("merge-key", node.span, "merge keys are not part of YAML 1.2")
                    .help("repeat the fields, or alias a whole value: `conditions: *name`"),
            );
        }
        // `on` is a field of `redact`; as a key, no reader of ours takes it for a boolean.
        if text != "on" && !matches!(node.kind, Kind::Text(_)) {
            let problem = Diagnostic::error(
                "ambiguous-key",
                node.span,
                format!("the unquoted key `{text}` is not a string to all readers of YAML"),
            )
            .help(format!("quote it: \"{text}\""));
            self.report.push(problem);
        }
        Ok(())
    }

    fn place(&mut self, node: Node, height: usize) {
        let Some(frame) = self.open.last_mut() else {
            self.documents.push(node);
            return;
        };
        frame.height = frame.height.max(height);
        match &mut frame.content {
            Content::Seq(items) => items.push(node),
            Content::Map { pairs, key, .. } => {
                if let Some(key) = key.take() {
                    pairs.push(Pair { key, value: node });
                }
            }
        }
    }
}

/// Up to so many members are compared one by one; beyond, their names are kept in a map.
const COMPARED_MAX: usize = 16;

/// Where the key `text` stood before in its mapping; notes it otherwise.
fn first_of(text: &str, span: Span, pairs: &[Pair], seen: &mut HashMap<Box<str>, Span>) -> Option<Span> {
    if pairs.len() < COMPARED_MAX {
        return pairs.iter().find(|pair| &*pair.key.text == text).map(|pair| pair.key.span);
    }
    if seen.is_empty() {
        seen.extend(pairs.iter().map(|pair| (pair.key.text.clone(), pair.key.span)));
    }
    match seen.get(text) {
        Some(first) => Some(*first),
        None => {
            seen.insert(text.into(), span);
            None
        }
    }
}

/// The problem of a node that lies too deep.
pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("too-deep", span, format!("the nesting is deeper than {POLICY_DEPTH_MAX} levels"))
        .help("a policy needs few levels; groups of conditions can often be written side by side")
}
