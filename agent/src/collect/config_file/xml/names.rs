//! Namespaces in XML 1.0: what prefixes stand for.

use std::collections::HashMap;

use manifests::evidence::Why;

use super::chars;

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// Prefixes in scope.
#[derive(Default)]
pub(super) struct Namespaces {
    /// What each prefix stands for, innermost last; the default namespace has an empty one.
    bound: HashMap<String, Vec<String>>,
    /// What each open element has bound.
    opened: Vec<Vec<String>>,
}

impl Namespaces {
    /// An element opens that has these attributes.
    ///
    /// # Errors
    /// [`Why::Malformed`] for what no prefix may stand for.
    pub(super) fn open<'a>(&mut self, attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Why> {
        let mut opened = Vec::new();
        for (name, uri) in attributes {
            let prefix = match name.split_once(':') {
                None if name == "xmlns" => "",
                Some(("xmlns", prefix)) => prefix,
                _ => continue,
            };
            let is_allowed = match prefix {
                "" => uri != XML && uri != XMLNS,
                "xml" => uri == XML,
                "xmlns" => false,
                _ => !uri.is_empty() && uri != XML && uri != XMLNS,
            };
            if !is_allowed {
                return Err(Why::Malformed);
            }
            self.bound.entry(prefix.to_owned()).or_default().push(uri.to_owned());
            opened.push(prefix.to_owned());
        }
        self.opened.push(opened);
        Ok(())
    }

    /// The innermost element closes.
    pub(super) fn close(&mut self) {
        for prefix in self.opened.pop().unwrap_or_default() {
            if let Some(bound) = self.bound.get_mut(&prefix) {
                bound.pop();
            }
        }
    }

    fn uri(&self, prefix: &str) -> Option<&str> {
        match prefix {
            "xml" => Some(XML),
            "xmlns" => None,
            _ => self.bound.get(prefix)?.last().map(String::as_str),
        }
    }

    /// `{uri}name` of an element.
    ///
    /// # Errors
    /// [`Why::Malformed`] for a prefix that stands for nothing.
    pub(super) fn element(&self, name: &str) -> Result<String, Why> {
        match name.split_once(':') {
            Some((prefix, local)) => Ok(format!("{{{}}}{local}", self.uri(prefix).ok_or(Why::Malformed)?)),
            None => Ok(match self.uri("").filter(|uri| !uri.is_empty()) {
                Some(uri) => format!("{{{uri}}}{name}"),
                None => name.to_owned(),
            }),
        }
    }

    /// `{uri}name` of an attribute; one without a prefix is in no namespace.
    ///
    /// # Errors
    /// As [`Namespaces::element`].
    pub(super) fn attribute(&self, name: &str) -> Result<String, Why> {
        match name.split_once(':') {
            Some(("xmlns", _)) | None => Ok(name.to_owned()),
            Some(_) => self.element(name),
        }
    }
}

/// The length of the name at the beginning of `text`, in bytes: one name, or two with a colon between them.
pub(super) fn name_length(text: &str) -> Option<usize> {
    let plain = |text: &str| -> Option<usize> {
        let first = text.chars().next().filter(|c| chars::begins_name(*c))?;
        let rest = text.get(first.len_utf8()..)?;
        Some(first.len_utf8() + rest.find(|c| !chars::is_in_name(c)).unwrap_or(rest.len()))
    };
    let length = plain(text)?;
    match text.get(length..)?.strip_prefix(':') {
        // A colon that no name follows, or a second one, is no name.
        Some(rest) => {
            let second = plain(rest)?;
            (!rest.get(second..)?.starts_with(':')).then_some(length + 1 + second)
        }
        None => Some(length),
    }
}
