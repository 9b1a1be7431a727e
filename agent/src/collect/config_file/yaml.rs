//! YAML: keys are paths of names, a sequence's elements are numbered from 0. Mappings, sequences and nulls are
//! there without a value.
//!
//! The library gives events and places, without types. What a plain text is, `yes` or `010`, is where readers
//! part; how a document is built is the same to all of them, within what `build` lets pass.

mod build;
mod types;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use manifests::baseline::Reader;
use manifests::evidence::{Odd, Why};
use manifests::value::Value;

use super::DEPTH_MAX;
use super::Reading;
use super::decode::Content;
use super::document::{Document, Entries, Found, as_written};
use super::key::{Key, Shape, Step};
use build::{Node, Scalar};
use types::{Rules, Type};

pub(super) fn read(content: &Content<'_>, reader: Reader) -> Result<Reading, Why> {
    let root = build::build(&content.text)?;
    let rules: Vec<Rules> = match reader {
        Reader::Pyyaml => vec![Rules::Pyyaml],
        Reader::Snakeyaml => vec![Rules::Snakeyaml],
        _ => Rules::ALL.to_vec(),
    };
    // A reader that refuses a value refuses the file, and has no say.
    let mut scalars = Vec::new();
    root.scalars(&mut scalars);
    let takes = |rules: &Rules| scalars.iter().all(|scalar| rules.type_of(scalar).is_some());
    let rules: Vec<Rules> = rules.into_iter().filter(takes).collect();
    if rules.is_empty() {
        return Err(Why::Malformed);
    }
    let mut walk = Walk { rules: &rules, entries: Entries::default(), doubts: Vec::new(), met: 0 };
    walk.node(&root, Key::default(), 0, None)?;
    let mut document = Document::new(Shape::Tree, walk.entries.0, as_written);
    for (key, lines, odd, itself) in walk.doubts {
        document.doubt(key, lines, odd, itself);
    }
    Ok(Reading::One(document))
}

struct Walk<'a> {
    rules: &'a [Rules],
    entries: Entries,
    doubts: Vec<(Key, Vec<u32>, Odd, bool)>,
    /// Nodes met so far: an alias is met each time it stands.
    met: usize,
}

/// What a mapping holds: a name, its line, its value, and whether only some readers find it there.
type Pair<'n> = (String, u32, &'n Rc<Node>, bool);

impl Walk<'_> {
    fn node(&mut self, node: &Node, path: Key, depth: usize, line: Option<u32>) -> Result<(), Why> {
        self.met += 1;
        if depth > DEPTH_MAX || self.met > super::ENTRIES_MAX {
            return Err(Why::TooLarge);
        }
        let line = line.unwrap_or(node.line());
        let found = match node {
            Node::Scalar(scalar) => self.found(scalar),
            Node::Sequence(..) | Node::Mapping(..) => Found::Nothing,
        };
        // The whole document may be one value, which no key names.
        if !path.0.is_empty() {
            self.entries.push(path.clone(), found, line)?;
        }
        match node {
            Node::Scalar(_) => Ok(()),
            Node::Sequence(elements, _) => elements.iter().enumerate().try_for_each(|(number, element)| {
                self.node(element, path.child(Step::Element(number)), depth + 1, None)
            }),
            Node::Mapping(pairs, _) => {
                for (name, line, value, is_merged) in self.pairs(pairs, &path, 0)? {
                    let key = path.child(Step::Name(name));
                    if is_merged && self.rules.iter().any(|rules| !rules.merges()) {
                        self.doubts.push((key.clone(), vec![line], Odd::Readers, true));
                    }
                    self.node(value, key, depth + 1, Some(line))?;
                }
                Ok(())
            }
        }
    }

    /// What readers make of a scalar, where they agree.
    fn found(&self, scalar: &Scalar) -> Found {
        let types: HashSet<Type> = self.rules.iter().filter_map(|rules| rules.type_of(scalar)).collect();
        let mut types = types.into_iter();
        match (types.next(), types.next()) {
            (Some(one), None) => one.found(scalar),
            _ => Found::doubtful(scalar.text.clone(), Odd::Type),
        }
    }

    /// The names of a mapping; what `<<` brings goes before what stands there itself.
    fn pairs<'n>(&mut self, pairs: &'n [(Rc<Node>, Rc<Node>)], path: &Key, depth: usize) -> Result<Vec<Pair<'n>>, Why> {
        if depth > DEPTH_MAX {
            return Err(Why::TooLarge);
        }
        let mut own: Vec<Pair<'n>> = Vec::new();
        let mut lines: HashMap<String, u32> = HashMap::new();
        let mut merged: Vec<Pair<'n>> = Vec::new();
        for (key, value) in pairs {
            self.met += 1;
            if self.met > super::ENTRIES_MAX {
                return Err(Why::TooLarge);
            }
            // A mapping or a sequence as a key: Python cannot hold it, and no baseline can name it.
            let Node::Scalar(scalar) = key.as_ref() else { return Err(Why::Malformed) };
            let is_merge = scalar.is_merge() && self.rules.iter().any(|rules| rules.merges());
            if is_merge {
                for source in sources(value)? {
                    let brought = self.pairs(source, path, depth + 1)?;
                    merged.extend(brought.into_iter().map(|(name, line, value, _)| (name, line, value, true)));
                }
                if self.rules.iter().all(|rules| rules.merges()) {
                    continue;
                }
            }
            let name = scalar.text.clone();
            let is_text = self.rules.iter().all(|rules| rules.type_of(scalar) == Some(Type::Text));
            if !is_text && !is_merge {
                // Another key than the text that it reads as.
                self.doubts.push((path.child(Step::Name(name.clone())), vec![scalar.line], Odd::Type, true));
            }
            if let Some(before) = lines.insert(name.clone(), scalar.line) {
                let key = path.child(Step::Name(name.clone()));
                self.doubts.push((key, vec![before, scalar.line], Odd::Duplicate, false));
            }
            own.push((name, scalar.line, value, false));
        }
        // The first mapping that brings a name has it.
        let mut names: HashSet<String> = lines.into_keys().collect();
        merged.retain(|(name, ..)| names.insert(name.clone()));
        merged.extend(own);
        Ok(merged)
    }
}

type Pairs = [(Rc<Node>, Rc<Node>)];

/// The mappings that a `<<` merges: one, or a sequence of them.
fn sources(value: &Node) -> Result<Vec<&Pairs>, Why> {
    match value {
        Node::Mapping(pairs, _) => Ok(vec![pairs]),
        Node::Sequence(elements, _) => elements
            .iter()
            .map(|element| match element.as_ref() {
                Node::Mapping(pairs, _) => Ok(pairs.as_slice()),
                _ => Err(Why::Malformed),
            })
            .collect(),
        Node::Scalar(_) => Err(Why::Malformed),
    }
}

impl Type {
    fn found(self, scalar: &Scalar) -> Found {
        match self {
            Type::Null => Found::Nothing,
            Type::Boolean(boolean) => Found::Value(Value::Boolean(boolean)),
            Type::Integer(number) => Found::Value(Value::Integer(number)),
            // A number that is none of ours, a date and a time are the text that stands there.
            Type::Text | Type::Large(_) | Type::Float | Type::Time => Found::text(scalar.text.clone()),
        }
    }
}
