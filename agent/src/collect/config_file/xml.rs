//! XML 1.0 with namespaces, as Expat reads it: `root/child/@attribute` and `root/child`.
//!
//! - Names are compared as written, prefix included. Repeated elements share one key; where not all of them
//!   have what is asked for, it is unclear.
//! - An element's text is its character data and CDATA joined, trimmed of blanks and line ends; it is given
//!   where there is some, or where the element has no child element. An element with child elements alone is
//!   there without a value, and so is a name that differs in prefixes only.
//! - An attribute's value has its line ends and tabs as blanks (XML 1.0, 3.3.3) and is not trimmed.
//! - The five predefined entities and character references stand for something. A document type may stand
//!   in another file: then what is not there may come from it. One with rules of its own is malformed.

mod chars;
mod names;
mod parse;

use std::collections::{HashMap, HashSet};

use manifests::evidence::{Odd, Why};
use manifests::value::Value;

use super::DEPTH_MAX;
use super::Lines;
use super::decode::{Content, Decoded};
use super::document::{Document, Entries, Found};
use super::include::{Include, Target};
use super::key::{Key, Shape, Step};
use names::Namespaces;
use parse::{Event, Parser, Text};

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];
const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// The same names without their prefixes. `xmlns:x` names no attribute `x`.
fn without_prefixes(key: &Key) -> Key {
    key.folded(|name, _| {
        let (mark, name) = match name.strip_prefix('@') {
            Some(name) => ("@", name),
            None => ("", name),
        };
        let local = name.split_once(':').filter(|(prefix, _)| *prefix != "xmlns");
        format!("{mark}{}", local.map_or(name, |(_, local)| local))
    })
}

pub(super) fn read(content: &Content<'_>) -> Result<Document, Why> {
    let text = content.unmarked();
    let mut parser = Parser::new(text)?;
    if let Some(declared) = parser.encoding()
        && !agrees(declared, content.encoding(), text)
    {
        return Err(Why::Undecodable);
    }
    let mut tree = Tree { lines: Lines::of(text.as_bytes()), ..Tree::default() };
    while let Some(event) = parser.next_event()? {
        match event {
            Event::Open { name, attributes, at } => tree.open(name, attributes, at)?,
            Event::Close { name } => tree.close(name)?,
            Event::Text(text) => tree.text(text),
        }
    }
    Ok(tree.finish(parser.external_doctype()))
}

/// Whether a declared encoding is the one that the bytes were decoded by. Of ASCII alone every encoding that
/// has it makes the same.
fn agrees(declared: &str, decoded: Decoded, text: &str) -> bool {
    let declared = declared.to_ascii_lowercase();
    let is = |names: &[&str]| names.contains(&declared.as_str());
    const UTF16: [&str; 3] = ["utf-16", "utf-16le", "utf-16be"];
    const SHIFT_JIS: [&str; 9] =
        ["shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "csshiftjis", "windows-31j", "cswindows31j", "cp932"];
    const EUC_JP: [&str; 4] = ["euc-jp", "eucjp", "x-euc-jp", "cseucpkdfmtjapanese"];
    const OTHERS: [&str; 5] = ["us-ascii", "ascii", "iso-8859-1", "windows-1252", "ms932"];
    let is_utf8 = is(&["utf-8", "utf8"]);
    match decoded {
        Decoded::Utf16 => is(&UTF16),
        _ if text.is_ascii() => is_utf8 || is(&SHIFT_JIS) || is(&EUC_JP) || is(&OTHERS),
        Decoded::Utf8 => is_utf8,
        Decoded::ShiftJis => is(&SHIFT_JIS) || declared == "ms932",
        Decoded::EucJp => is(&EUC_JP),
    }
}

struct Open {
    name: String,
    text: String,
    /// What a document type elsewhere would put here is missing.
    is_torn: bool,
    children: HashSet<String>,
    line: u32,
}

/// Elements as they open and close.
#[derive(Default)]
struct Tree {
    lines: Lines,
    path: Key,
    /// The path by what names mean, not how they are written.
    meant: Key,
    open: Vec<Open>,
    entries: Entries,
    twins: Vec<Key>,
    namespaces: Namespaces,
    /// How many elements a path names, and in how many of them each name below it stands.
    elements: HashMap<Key, usize>,
    parents: HashMap<Key, (usize, u32)>,
    includes: Vec<Include>,
}

impl Tree {
    fn push(&mut self, key: Key, twin: Key, found: Found, line: u32) -> Result<(), Why> {
        self.entries.push(key, found, line)?;
        self.twins.push(twin);
        Ok(())
    }

    fn open(&mut self, name: &str, attributes: Vec<(&str, Text)>, at: usize) -> Result<(), Why> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Why::TooLarge);
        }
        let line = self.lines.at(at);
        self.namespaces.open(attributes.iter().map(|(name, value)| (*name, value.text.as_str())))?;
        let meaning = self.namespaces.element(name)?;
        if meaning.split_once('}').is_some_and(|(uri, _)| uri.strip_prefix('{') == Some(XINCLUDE)) {
            self.includes.push(Include { target: Target::Unknown, line, entries_before: usize::MAX });
        }
        if let Some(parent) = self.open.last_mut() {
            parent.children.insert(name.to_owned());
        }
        self.path.0.push(Step::Name(name.to_owned()));
        self.meant.0.push(Step::Name(meaning));
        *self.elements.entry(self.path.clone()).or_default() += 1;
        let mut open =
            Open { name: name.to_owned(), text: String::new(), is_torn: false, children: HashSet::new(), line };
        let mut meanings = HashSet::new();
        for (attribute, value) in attributes {
            let meaning = self.namespaces.attribute(attribute)?;
            if !meanings.insert(meaning.clone()) {
                return Err(Why::Malformed);
            }
            let name = format!("@{attribute}");
            let key = self.path.child(Step::Name(name.clone()));
            open.children.insert(name);
            let found = found(value.text, value.is_torn);
            self.push(key, self.meant.child(Step::Name(format!("@{meaning}"))), found, line)?;
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), Why> {
        let element = self.open.pop().filter(|open| open.name == name).ok_or(Why::Malformed)?;
        let text = element.text.trim_matches(BLANK).to_owned();
        let has_child = element.children.iter().any(|name| !name.starts_with('@'));
        let is_nested = text.is_empty() && has_child && !element.is_torn;
        for child in element.children {
            let key = self.path.child(Step::Name(child));
            self.parents.entry(key).or_insert((0, element.line)).0 += 1;
        }
        let found = if is_nested { Found::Nothing } else { found(text, element.is_torn) };
        self.push(self.path.clone(), self.meant.clone(), found, element.line)?;
        self.path.0.pop();
        self.meant.0.pop();
        self.namespaces.close();
        Ok(())
    }

    fn text(&mut self, text: Text) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(&text.text);
            element.is_torn |= text.is_torn;
        }
    }

    fn finish(self, external: Option<usize>) -> Document {
        let mut uneven = Vec::new();
        for (key, (parents, line)) in &self.parents {
            let parent = Key(key.0.split_last().map_or(Vec::new(), |(_, above)| above.to_vec()));
            if self.elements.get(&parent).is_some_and(|elements| elements > parents) {
                uneven.push((key.clone(), *line));
            }
        }
        // Texts are known when an element closes; a file's order is by line.
        let mut both: Vec<_> = self.entries.0.into_iter().zip(self.twins).collect();
        both.sort_by_key(|(entry, _)| entry.line);
        let (entries, twins) = both.into_iter().unzip();
        let mut document =
            Document::new(Shape::Path, entries, super::document::as_written).with_twins(twins, without_prefixes);
        for (key, line) in uneven {
            document.doubt(key, vec![line], Odd::Repeated, true);
        }
        if let Some(at) = external {
            document.absent_is_unclear(
                self.lines.at(at),
                Odd::Doctype,
                |key| matches!(key.0.last(), Some(Step::Name(name)) if name.starts_with('@')),
            );
        }
        document.includes = self.includes;
        document
    }
}

fn found(text: String, is_torn: bool) -> Found {
    match Found::text(text) {
        Found::Value(Value::Text(text)) if is_torn => Found::doubtful(text, Odd::Doctype),
        Found::TooLong(_) if is_torn => Found::Refused,
        found => found,
    }
}
