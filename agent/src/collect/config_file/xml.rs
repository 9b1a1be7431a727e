//! XML: `root/child/@attribute` and `root/child`.
//!
//! - Names are compared as written, prefix included. Repeated elements share one key.
//! - An element's text is its character data and CDATA joined, trimmed of blanks and line ends; it
//!   is given where there is some, or where the element has no child element. An element with child
//!   elements alone is there without a value, and so is a name that differs in prefixes only.
//! - An attribute's value has its line ends and tabs as blanks (XML 1.0, 3.3.3) and is not trimmed.
//! - Only the five predefined entities and character references stand for anything. A document
//!   type could define others, or pull in files: it is refused as malformed.

use manifests::evidence::Why;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::{DEPTH_MAX, Entries, Entry, Found, Lines};

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Whether two keys have the same names without their prefixes. `xmlns:x` names no attribute `x`.
pub(super) fn same_but_for_prefixes(one: &str, other: &str) -> bool {
    fn local(part: &str) -> (bool, &str) {
        let name = part.strip_prefix('@');
        let is_attribute = name.is_some();
        let name = name.unwrap_or(part);
        let local = name.split_once(':').filter(|(prefix, _)| *prefix != "xmlns");
        (is_attribute, local.map_or(name, |(_, local)| local))
    }
    one.split('/').map(local).eq(other.split('/').map(local))
}

struct Open {
    path_len: usize,
    text: String,
    has_child: bool,
    line: u32,
}

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Why> {
    let lines = Lines::of(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut document = Document::default();
    loop {
        let start = usize::try_from(reader.buffer_position()).map_err(|_| Why::TooLarge)?;
        let event = reader.read_event().map_err(|_| Why::Malformed)?;
        match event {
            Event::Start(element) => document.open(&element, lines.at(start))?,
            Event::Empty(element) => {
                document.open(&element, lines.at(start))?;
                document.close()?;
            }
            Event::End(_) => document.close()?,
            Event::Text(piece) => document.text(&piece.xml10_content())?,
            Event::CData(piece) => document.cdata(&piece.xml10_content())?,
            Event::GeneralRef(reference) => document.text_reference(&reference)?,
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::DocType(_) => return Err(Why::Malformed),
            Event::Eof => break,
        }
    }
    document.end()
}

#[derive(Default)]
struct Document {
    path: String,
    open: Vec<Open>,
    entries: Entries,
    has_root: bool,
}

impl Document {
    fn open(&mut self, element: &BytesStart<'_>, line: u32) -> Result<(), Why> {
        match self.open.last_mut() {
            Some(parent) => parent.has_child = true,
            None if self.has_root => return Err(Why::Malformed),
            None => self.has_root = true,
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Why::TooLarge);
        }
        let path_len = self.path.len();
        if path_len > 0 {
            self.path.push('/');
        }
        self.path.push_str(element.name().as_ref());
        self.open.push(Open { path_len, text: String::new(), has_child: false, line });
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|_| Why::Malformed)?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| Why::Malformed)?;
            let key = format!("{}/@{}", self.path, attribute.key.as_ref());
            self.entries.push(key, Found::text(value.into_owned()), line)?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Why> {
        let element = self.open.pop().ok_or(Why::Malformed)?;
        let text = element.text.trim_matches(BLANK);
        let is_nested = text.is_empty() && element.has_child;
        let found = if is_nested { Found::Nested } else { Found::text(text.to_owned()) };
        self.entries.push(self.path.clone(), found, element.line)?;
        self.path.truncate(element.path_len);
        Ok(())
    }

    fn text(&mut self, piece: &str) -> Result<(), Why> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(piece),
            None if piece.trim_matches(BLANK).is_empty() => {}
            None => return Err(Why::Malformed),
        }
        Ok(())
    }

    fn cdata(&mut self, piece: &str) -> Result<(), Why> {
        self.open.last_mut().ok_or(Why::Malformed)?.text.push_str(piece);
        Ok(())
    }

    fn text_reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Why> {
        let element = self.open.last_mut().ok_or(Why::Malformed)?;
        if let Some(character) = reference.resolve_char_ref().map_err(|_| Why::Malformed)? {
            if character == '\0' {
                return Err(Why::Malformed);
            }
            element.text.push(character);
            return Ok(());
        }
        element.text.push(match &**reference {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => return Err(Why::Malformed),
        });
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Entry>, Why> {
        if !self.has_root || !self.open.is_empty() {
            return Err(Why::Malformed);
        }
        // Texts are known when an element closes; a file's order is by line.
        self.entries.0.sort_by_key(|entry| entry.line);
        Ok(self.entries.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifests::value::Value;

    fn check(text: &str, expected: &[(&str, &str, u32)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v, line)| Entry {
                key: (*k).to_owned(),
                value: Found::Value(Value::Text((*v).to_owned())),
                line: *line,
            })
            .collect();
        let mut entries = parse(text).unwrap();
        entries.retain(|entry| entry.value != Found::Nested);
        assert_eq!(entries, expected, "{text:?}");
    }

    #[test]
    fn elements_and_attributes_have_paths_and_lines() {
        check(
            "<?xml version=\"1.0\"?>\n<linkage>\n  <!-- <mode>x</mode> -->\n  <mode> batch\n  </mode>\n  <db host='a' port=\"1\"/>\n</linkage>\n",
            &[
                ("linkage/mode", "batch", 4),
                ("linkage/db/@host", "a", 6),
                ("linkage/db/@port", "1", 6),
                ("linkage/db", "", 6),
            ],
        );
        check("<a><b>1</b><b>2</b></a>", &[("a/b", "1", 1), ("a/b", "2", 1)]);
        check("<a>x<b/>y</a>", &[("a/b", "", 1), ("a", "xy", 1)]);
        check("<n:a n:b='1'/>", &[("n:a/@n:b", "1", 1), ("n:a", "", 1)]);
        check("<a>&lt;&#x6392;&amp;<![CDATA[<b>&]]></a>", &[("a", "<排&<b>&", 1)]);
        check("<a b='&quot;&#65; '/>", &[("a/@b", "\"A ", 1), ("a", "", 1)]);
        check("<排他>1</排他>", &[("排他", "1", 1)]);
    }

    #[test]
    fn an_element_of_elements_and_another_prefix_are_there_without_a_value() {
        let entries = parse("<a>\n<b><c/></b></a>").unwrap();
        let nested = entries.iter().filter(|entry| entry.value == Found::Nested);
        assert_eq!(nested.map(|entry| (entry.key.as_str(), entry.line)).collect::<Vec<_>>(), [("a", 1), ("a/b", 2)]);
        for (one, other, same) in [
            ("n:a/n:b", "m:a/b", true),
            ("a/@n:b", "a/@b", true),
            ("a/@b", "a/b", false),
            ("a/@xmlns:b", "a/@b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(same_but_for_prefixes(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_not_well_formed_or_brings_its_own_entities_is_malformed() {
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b='1' b='2'/>",
            "<a b=1/>",
            "<a>&own;</a>",
            "<a b='&own;'/>",
            "<a>&#0;</a>",
            "<a>&#xD800;</a>",
            "<!DOCTYPE a [<!ENTITY own 'x'>]><a>&own;</a>",
            "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
            "<a",
            "<a><!-- x",
            "</a>",
        ] {
            assert_eq!(parse(text), Err(Why::Malformed), "{text}");
        }
        let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
        assert_eq!(parse(&deep), Err(Why::TooLarge));
    }
}
