//! Bytes of a configuration file to text, strictly: what does not decode is not guessed.

use encoding_rs::{EUC_JP, SHIFT_JIS, UTF_16BE, UTF_16LE};
use manifests::baseline::Encoding;
use manifests::evidence::Why;

const BOM_UTF8: &[u8] = b"\xef\xbb\xbf";
const BOM_UTF16LE: &[u8] = b"\xff\xfe";
const BOM_UTF16BE: &[u8] = b"\xfe\xff";

/// A file's content.
#[derive(Debug)]
pub(super) struct Content<'a> {
    /// Its bytes.
    pub(super) raw: &'a [u8],
    /// The same as text. A byte order mark of UTF-8 is its first character: whether it says something is
    /// the reader's to tell. That of UTF-16 is no character.
    pub(super) text: String,
    encoding: Option<Encoding>,
}

impl<'a> Content<'a> {
    /// Decodes a whole file. Without an encoding a byte order mark decides, then it must be UTF-8.
    ///
    /// # Errors
    /// [`Why::Undecodable`] for bytes that are no text in the encoding, and for a byte order mark that
    /// contradicts it; [`Why::Malformed`] for a NUL, which no text format has.
    pub(super) fn new(raw: &'a [u8], encoding: Option<Encoding>) -> Result<Self, Why> {
        let text = decode(raw, encoding)?;
        if text.contains('\0') { Err(Why::Malformed) } else { Ok(Self { raw, text, encoding }) }
    }

    /// The text without a byte order mark, for formats in which it says nothing.
    pub(super) fn unmarked(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }

    /// A piece of the bytes as text, if it is one.
    pub(super) fn decode_piece(&self, bytes: Vec<u8>) -> Option<String> {
        match self.encoding {
            None | Some(Encoding::Utf16) => String::from_utf8(bytes).ok(),
            Some(Encoding::ShiftJis) => {
                SHIFT_JIS.decode_without_bom_handling_and_without_replacement(&bytes).map(Into::into)
            }
            Some(Encoding::EucJp) => EUC_JP.decode_without_bom_handling_and_without_replacement(&bytes).map(Into::into),
        }
    }

    /// The encoding that the bytes are decoded by.
    pub(super) fn encoding(&self) -> Decoded {
        match self.encoding {
            Some(Encoding::ShiftJis) => Decoded::ShiftJis,
            Some(Encoding::EucJp) => Decoded::EucJp,
            Some(Encoding::Utf16) => Decoded::Utf16,
            None if self.raw.starts_with(BOM_UTF16LE) || self.raw.starts_with(BOM_UTF16BE) => Decoded::Utf16,
            None => Decoded::Utf8,
        }
    }
}

/// How bytes were decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Utf8,
    Utf16,
    ShiftJis,
    EucJp,
}

fn decode(bytes: &[u8], encoding: Option<Encoding>) -> Result<String, Why> {
    let has_utf8_mark = bytes.starts_with(BOM_UTF8);
    let (decoder, body) = if let Some(body) = bytes.strip_prefix(BOM_UTF16LE) {
        (UTF_16LE, body)
    } else if let Some(body) = bytes.strip_prefix(BOM_UTF16BE) {
        (UTF_16BE, body)
    } else {
        match encoding {
            None => return std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Why::Undecodable),
            Some(Encoding::ShiftJis) => (SHIFT_JIS, bytes),
            Some(Encoding::EucJp) => (EUC_JP, bytes),
            Some(Encoding::Utf16) => (UTF_16LE, bytes),
        }
    };
    let is_utf16 = decoder == UTF_16LE || decoder == UTF_16BE;
    let contradicted = match encoding {
        None => false,
        Some(Encoding::Utf16) => has_utf8_mark,
        Some(Encoding::ShiftJis | Encoding::EucJp) => has_utf8_mark || is_utf16,
    };
    let (text, had_errors) = decoder.decode_without_bom_handling(body);
    if contradicted || had_errors {
        return Err(Why::Undecodable);
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_strictly_or_not_at_all() {
        let sjis = Some(Encoding::ShiftJis);
        let euc = Some(Encoding::EucJp);
        let utf16 = Some(Encoding::Utf16);
        let ok = |text: &str| Ok(text.to_owned());
        type Case<'a> = (&'a [u8], Option<Encoding>, Result<String, Why>);
        let cases: &[Case<'_>] = &[
            ("排他".as_bytes(), None, ok("排他")),
            (b"\xef\xbb\xbfa=1", None, ok("\u{feff}a=1")),
            (b"\xff\xfea\0=\0", None, ok("a=")),
            (b"\xfe\xff\0a\0=", None, ok("a=")),
            (b"\x94\x72\x91\xbc", sjis, ok("排他")),
            (b"\x94\x72\x91\xbc", None, Err(Why::Undecodable)),
            // The wave dash of Windows' Shift_JIS is U+FF5E, not U+301C.
            (b"\x81\x60", sjis, ok("\u{ff5e}")),
            (b"\xc7\xd3\xc2\xbe", euc, ok("排他")),
            (b"\xa1\xc1", euc, ok("\u{ff5e}")),
            (b"\x94", sjis, Err(Why::Undecodable)),
            (b"a\0b\0", utf16, ok("ab")),
            (b"\xff\xfea\0", utf16, ok("a")),
            (b"a\0b", utf16, Err(Why::Undecodable)),
            (b"\xef\xbb\xbfa", sjis, Err(Why::Undecodable)),
            (b"\xff\xfea\0", euc, Err(Why::Undecodable)),
            (b"a\0b", None, Err(Why::Malformed)),
            (b"", sjis, ok("")),
        ];
        for (bytes, encoding, expected) in cases {
            assert_eq!(
                &Content::new(bytes, *encoding).map(|content| content.text),
                expected,
                "{bytes:x?} {encoding:?}"
            );
        }
    }
}
