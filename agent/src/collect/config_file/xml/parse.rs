//! The grammar of XML 1.0, and everything that makes a document not well-formed.

use manifests::evidence::Why;

use super::chars::is_char;
use super::names::name_length;

/// Text as a document gives it.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) text: String,
    /// An entity that a document type elsewhere may define was left out of it.
    pub(super) is_torn: bool,
}

/// What stands in a document, in its order.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// An element begins at that byte.
    Open { name: &'a str, attributes: Vec<(&'a str, Text)>, at: usize },
    /// An element ends.
    Close { name: &'a str },
    /// Character data.
    Text(Text),
}

/// A document being read.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    encoding: Option<&'a str>,
    standalone: bool,
    /// Where a document type stands that is in another file.
    external: Option<usize>,
    has_doctype: bool,
    depth: usize,
    has_root: bool,
    /// The element that has just begun ends at once.
    closes: Option<&'a str>,
}

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

impl<'a> Parser<'a> {
    /// Reads the declaration, if there is one.
    ///
    /// # Errors
    /// [`Why::Malformed`] for a character that XML does not have anywhere, or a declaration that is none.
    pub(super) fn new(text: &'a str) -> Result<Self, Why> {
        if !text.chars().all(is_char) {
            return Err(Why::Malformed);
        }
        let mut parser = Self {
            text,
            at: 0,
            encoding: None,
            standalone: false,
            external: None,
            has_doctype: false,
            depth: 0,
            has_root: false,
            closes: None,
        };
        if let Some(behind) = text.strip_prefix("<?xml")
            && behind.starts_with(BLANK)
        {
            parser.at = "<?xml".len();
            parser.declaration()?;
        }
        Ok(parser)
    }

    /// The encoding that the document declares.
    pub(super) fn encoding(&self) -> Option<&'a str> {
        self.encoding
    }

    /// Where it names a document type of another file.
    pub(super) fn external_doctype(&self) -> Option<usize> {
        self.external
    }

    /// What stands next; nothing at the end.
    ///
    /// # Errors
    /// [`Why::Malformed`] for what is not well-formed.
    pub(super) fn next_event(&mut self) -> Result<Option<Event<'a>>, Why> {
        if let Some(name) = self.closes.take() {
            self.depth -= 1;
            return Ok(Some(Event::Close { name }));
        }
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return if self.depth == 0 && self.has_root { Ok(None) } else { Err(Why::Malformed) };
            }
            if rest.starts_with("<!--") {
                self.comment()?;
            } else if rest.starts_with("<?") {
                self.instruction()?;
            } else if rest.starts_with("<!DOCTYPE") {
                self.doctype()?;
            } else if rest.starts_with("<![CDATA[") && self.depth > 0 {
                return self.cdata().map(|text| Some(Event::Text(text)));
            } else if rest.starts_with("</") {
                return self.end_tag().map(Some);
            } else if rest.starts_with('<') {
                return self.start_tag().map(Some);
            } else if self.depth > 0 {
                return self.characters().map(|text| Some(Event::Text(text)));
            } else {
                // Outside of the root nothing but blanks.
                let blanks = self.blanks();
                if blanks == 0 {
                    return Err(Why::Malformed);
                }
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, expected: &str) -> Result<(), Why> {
        if !self.rest().starts_with(expected) {
            return Err(Why::Malformed);
        }
        self.at += expected.len();
        Ok(())
    }

    fn blanks(&mut self) -> usize {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches(BLANK).len();
        self.at += blanks;
        blanks
    }

    fn some_blanks(&mut self) -> Result<(), Why> {
        if self.blanks() > 0 { Ok(()) } else { Err(Why::Malformed) }
    }

    fn name(&mut self) -> Result<&'a str, Why> {
        let length = name_length(self.rest()).ok_or(Why::Malformed)?;
        let name = self.rest().get(..length).unwrap_or_default();
        self.at += length;
        Ok(name)
    }

    /// Everything before `end`, which is taken as well.
    fn until(&mut self, end: &str) -> Result<&'a str, Why> {
        let (before, _) = self.rest().split_once(end).ok_or(Why::Malformed)?;
        self.at += before.len() + end.len();
        Ok(before)
    }

    /// The text between two equal quotes.
    fn literal(&mut self) -> Result<&'a str, Why> {
        for quote in ["\"", "'"] {
            if self.rest().starts_with(quote) {
                self.at += 1;
                return self.until(quote);
            }
        }
        Err(Why::Malformed)
    }

    // `version`, then perhaps `encoding`, then perhaps `standalone` (2.8).
    fn declaration(&mut self) -> Result<(), Why> {
        let mut names = ["version", "encoding", "standalone"].into_iter();
        let mut has_version = false;
        loop {
            let blanks = self.blanks();
            if self.rest().starts_with("?>") {
                self.at += 2;
                return if has_version { Ok(()) } else { Err(Why::Malformed) };
            }
            let name = names.find(|name| self.rest().starts_with(name)).filter(|_| blanks > 0).ok_or(Why::Malformed)?;
            self.at += name.len();
            self.blanks();
            self.take("=")?;
            self.blanks();
            let value = self.literal()?;
            match name {
                "version" => {
                    let minor = value.strip_prefix("1.").filter(|minor| !minor.is_empty());
                    has_version = minor.is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()));
                }
                _ if !has_version => return Err(Why::Malformed),
                "encoding" => {
                    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                    if !value.starts_with(|c: char| c.is_ascii_alphabetic()) || !value.bytes().all(is_part) {
                        return Err(Why::Malformed);
                    }
                    self.encoding = Some(value);
                }
                _ => match value {
                    "yes" => self.standalone = true,
                    "no" => {}
                    _ => return Err(Why::Malformed),
                },
            }
        }
    }

    fn comment(&mut self) -> Result<(), Why> {
        self.take("<!--")?;
        let _said = self.until("--")?;
        self.take(">")
    }

    fn instruction(&mut self) -> Result<(), Why> {
        self.take("<?")?;
        let target = self.name()?;
        // `xml` is the declaration's, which stands at the beginning alone; no prefix has a meaning here.
        if target.eq_ignore_ascii_case("xml") || target.contains(':') {
            return Err(Why::Malformed);
        }
        if self.rest().starts_with("?>") {
            return self.take("?>");
        }
        self.some_blanks()?;
        self.until("?>").map(|_| ())
    }

    fn doctype(&mut self) -> Result<(), Why> {
        if self.has_doctype || self.has_root {
            return Err(Why::Malformed);
        }
        self.has_doctype = true;
        let at = self.at;
        self.take("<!DOCTYPE")?;
        self.some_blanks()?;
        self.name()?;
        if self.blanks() > 0 {
            let is_public = self.rest().starts_with("PUBLIC");
            if is_public || self.rest().starts_with("SYSTEM") {
                self.at += "PUBLIC".len();
                if is_public {
                    self.some_blanks()?;
                    let is_part = |c: char| c.is_ascii_alphanumeric() || " \r\n-'()+,./:=?;!*#@$_%".contains(c);
                    if !self.literal()?.chars().all(is_part) {
                        return Err(Why::Malformed);
                    }
                }
                self.some_blanks()?;
                self.literal()?;
                self.external = Some(at);
                self.blanks();
            }
        }
        // Rules of its own would be followed by a reader, and are not here.
        self.take(">")
    }

    fn cdata(&mut self) -> Result<Text, Why> {
        self.take("<![CDATA[")?;
        let text = self.until("]]>")?;
        Ok(Text { text: one_line_end(text), is_torn: false })
    }

    fn characters(&mut self) -> Result<Text, Why> {
        let rest = self.rest();
        let piece = rest.get(..rest.find('<').unwrap_or(rest.len())).unwrap_or_default();
        if piece.contains("]]>") {
            return Err(Why::Malformed);
        }
        self.at += piece.len();
        let mut text = Text::default();
        self.references(piece, &mut text, |plain, text| text.push_str(&one_line_end(plain)))?;
        Ok(text)
    }

    /// Adds a piece with what its references stand for; `plain` adds what stands between them.
    fn references(&self, piece: &str, text: &mut Text, plain: impl Fn(&str, &mut String)) -> Result<(), Why> {
        let mut rest = piece;
        while let Some((before, behind)) = rest.split_once('&') {
            plain(before, &mut text.text);
            let (name, behind) = behind.split_once(';').ok_or(Why::Malformed)?;
            rest = behind;
            if let Some(number) = name.strip_prefix('#') {
                text.text.push(character(number).ok_or(Why::Malformed)?);
                continue;
            }
            text.text.push(match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "apos" => '\'',
                "quot" => '"',
                _ => {
                    let is_name = name_length(name) == Some(name.len()) && !name.contains(':');
                    if !is_name || self.external.is_none() || self.standalone {
                        return Err(Why::Malformed);
                    }
                    text.is_torn = true;
                    continue;
                }
            });
        }
        plain(rest, &mut text.text);
        Ok(())
    }

    fn start_tag(&mut self) -> Result<Event<'a>, Why> {
        if self.depth == 0 && self.has_root {
            return Err(Why::Malformed);
        }
        let at = self.at;
        self.take("<")?;
        let name = self.name()?;
        let mut attributes: Vec<(&str, Text)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            let blanks = self.blanks();
            let rest = self.rest();
            if rest.starts_with("/>") {
                self.at += 2;
                self.closes = Some(name);
                break;
            }
            if rest.starts_with('>') {
                self.at += 1;
                break;
            }
            if blanks == 0 {
                return Err(Why::Malformed);
            }
            let attribute = self.name()?;
            if !names.insert(attribute) {
                return Err(Why::Malformed);
            }
            self.blanks();
            self.take("=")?;
            self.blanks();
            let value = self.literal()?;
            if value.contains('<') {
                return Err(Why::Malformed);
            }
            let mut text = Text::default();
            self.references(value, &mut text, |plain, text| {
                text.extend(one_line_end(plain).chars().map(|c| if BLANK.contains(&c) { ' ' } else { c }));
            })?;
            attributes.push((attribute, text));
        }
        self.depth += 1;
        self.has_root = true;
        Ok(Event::Open { name, attributes, at })
    }

    fn end_tag(&mut self) -> Result<Event<'a>, Why> {
        self.take("</")?;
        let name = self.name()?;
        self.blanks();
        self.take(">")?;
        self.depth = self.depth.checked_sub(1).ok_or(Why::Malformed)?;
        Ok(Event::Close { name })
    }
}

/// CR LF and a CR alone are a LF (2.11).
fn one_line_end(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

fn character(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| char::from(byte).is_digit(radix));
    // Zeros before a number count nothing, however many.
    let digits = digits.trim_start_matches('0');
    let code = if is_digits && digits.len() <= 8 { u32::from_str_radix(digits, radix).ok()? } else { return None };
    char::from_u32(code).filter(|c| is_char(*c))
}
