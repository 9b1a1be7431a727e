//! A document of the events that the library gives, and what of YAML is let pass.
//!
//! The library reads YAML 1.2; PyYAML and SnakeYAML read 1.1. What the two versions build differently is
//! refused here, so that nothing depends on which of them a program follows.

use std::collections::HashMap;
use std::rc::Rc;

use manifests::evidence::Why;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::super::{DEPTH_MAX, ENTRIES_MAX};

/// A text without a type yet.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// It stands without quotes, and without a tag that says it is a text.
    pub(super) is_plain: bool,
    pub(super) line: u32,
}

impl Scalar {
    /// Whether it is the key that merges mappings in YAML 1.1.
    pub(super) fn is_merge(&self) -> bool {
        self.is_plain && self.text == "<<"
    }
}

/// A value of a document. What an alias names is shared.
#[derive(Debug)]
pub(super) enum Node {
    Scalar(Scalar),
    Sequence(Vec<Rc<Node>>, u32),
    Mapping(Vec<(Rc<Node>, Rc<Node>)>, u32),
}

impl Node {
    /// The line it begins in.
    pub(super) fn line(&self) -> u32 {
        match self {
            Node::Scalar(scalar) => scalar.line,
            Node::Sequence(_, line) | Node::Mapping(_, line) => *line,
        }
    }

    /// Every scalar once that is not behind an alias, keys among them.
    pub(super) fn scalars<'n>(&'n self, scalars: &mut Vec<&'n Scalar>) {
        let mut met = std::collections::HashSet::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            if !met.insert(std::ptr::from_ref(node)) {
                continue;
            }
            match node {
                Node::Scalar(scalar) => scalars.push(scalar),
                Node::Sequence(elements, _) => open.extend(elements.iter().map(Rc::as_ref)),
                Node::Mapping(pairs, _) => {
                    open.extend(pairs.iter().flat_map(|(key, value)| [key.as_ref(), value.as_ref()]))
                }
            }
        }
    }
}

/// A collection that is not closed yet.
struct Open {
    anchor: usize,
    line: u32,
    is_mapping: bool,
    nodes: Vec<Rc<Node>>,
}

pub(super) fn build(text: &str) -> Result<Rc<Node>, Why> {
    // SnakeYAML and PyYAML skip a byte order mark at the beginning.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(is_printable) || has_directive(text) {
        return Err(Why::Malformed);
    }
    let length = text.chars().count();
    let last_line = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    let is_open_ended = !last_line.trim_matches(' ').is_empty();
    let mut quoted = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    let mut root: Option<Rc<Node>> = None;
    let (mut nodes, mut documents) = (0, 0);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|_| Why::Malformed)?;
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        nodes += 1;
        // Twice: what opens also closes.
        if nodes > 2 * ENTRIES_MAX {
            return Err(Why::TooLarge);
        }
        let (node, anchor) = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            Event::DocumentStart(_) => {
                documents += 1;
                // Which of several a program takes is its own.
                if documents > 1 {
                    return Err(Why::Malformed);
                }
                continue;
            }
            // Inside of itself an anchor names nothing yet.
            Event::Alias(anchor) => (anchors.get(&anchor).cloned().ok_or(Why::Malformed)?, 0),
            Event::Scalar(text, style, anchor, tag) => {
                if style != ScalarStyle::Plain {
                    quoted.push(span);
                } else if !is_plain_to_all(&text) {
                    return Err(Why::Malformed);
                }
                let is_plain = style == ScalarStyle::Plain && !is_text(tag.as_deref())?;
                let mut text = text.into_owned();
                // The library ends a block with a line end that the file does not have.
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // Of blanks alone in the last line it makes now one line end, now two.
                if is_block && !last_line.is_empty() && !is_open_ended {
                    return Err(Why::Malformed);
                }
                if is_block && is_open_ended && span.end.index() >= length && text.ends_with('\n') {
                    text.pop();
                }
                (Rc::new(Node::Scalar(Scalar { text, is_plain, line })), anchor)
            }
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) if tag.is_some() => {
                let _ = anchor;
                return Err(Why::Malformed);
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open { anchor, line, is_mapping: false, nodes: Vec::new() });
                continue;
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open { anchor, line, is_mapping: true, nodes: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => closed(open.pop().ok_or(Why::Malformed)?)?,
        };
        if open.len() > DEPTH_MAX {
            return Err(Why::TooLarge);
        }
        if anchor != 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            Some(parent) => parent.nodes.push(node),
            None => root = Some(node),
        }
    }
    if has_odd_outside(text, &quoted) {
        return Err(Why::Malformed);
    }
    // An empty document is null.
    Ok(root.unwrap_or_else(|| Rc::new(Node::Scalar(Scalar { text: String::new(), is_plain: true, line: 1 }))))
}

fn closed(open: Open) -> Result<(Rc<Node>, usize), Why> {
    let node = if open.is_mapping {
        let mut nodes = open.nodes.into_iter();
        let mut pairs = Vec::with_capacity(nodes.len() / 2);
        while let Some(key) = nodes.next() {
            pairs.push((key, nodes.next().ok_or(Why::Malformed)?));
        }
        Node::Mapping(pairs, open.line)
    } else {
        Node::Sequence(open.nodes, open.line)
    };
    Ok((Rc::new(node), open.anchor))
}

/// Whether a tag says that the scalar is a text. Other tags make objects that a program defines.
fn is_text(tag: Option<&Tag>) -> Result<bool, Why> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        Some(_) => Err(Why::Malformed),
    }
}

// As YAML 1.1 has it, without the line ends that 1.2 does not have.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

// `%YAML` and `%TAG` change what follows.
fn has_directive(text: &str) -> bool {
    text.lines().any(|line| line.starts_with('%'))
}

/// Whether a text without quotes is one to YAML 1.1 as well.
fn is_plain_to_all(text: &str) -> bool {
    !text.starts_with([':', '?']) && !text.contains('\t')
}

/// Whether something outside of quotes, blocks and comments is taken otherwise by YAML 1.1: a tab, a `?` that
/// begins a key, or a name of an anchor with more in it than letters, digits, `-` and `_` (where `&b:c` ends
/// is then different to each).
fn has_odd_outside(text: &str, quoted: &[Span]) -> bool {
    let mut quoted = quoted.iter().peekable();
    let (mut in_comment, mut in_name, mut before) = (false, false, '\n');
    for (at, c) in text.chars().enumerate() {
        while quoted.next_if(|span| span.end.index() <= at).is_some() {}
        let is_quoted = quoted.peek().is_some_and(|span| span.start.index() <= at);
        let begins = matches!(before, ' ' | '\n' | '\r' | ',' | '[' | '{');
        if matches!(c, '\n' | '\r') {
            (in_comment, in_name) = (false, false);
        } else if is_quoted || in_comment {
            in_name = false;
        } else if c == '#' && matches!(before, ' ' | '\n' | '\r') {
            (in_comment, in_name) = (true, false);
        } else if c == '\t' || (c == '?' && begins) {
            return true;
        } else if in_name {
            in_name = !matches!(c, ' ' | ',' | ']' | '}');
            if in_name && !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
                return true;
            }
        } else {
            in_name = matches!(c, '&' | '*') && begins;
        }
        before = c;
    }
    false
}
