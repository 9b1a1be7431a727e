//! The largest and most tangled files that are read: each ends soon, with what it says or as too large. A reader
//! whose time grows with the square of the size would not end at all.

use agent::collect::{Heard, Said};
use manifests::baseline::{Format, Reader};
use manifests::evidence::Why;

const BYTES: usize = 1 << 20;

/// As many of `piece` as fit, numbered where it says `#`.
fn filled(before: &str, piece: &str) -> Vec<u8> {
    let mut text = before.to_owned();
    for number in 0.. {
        let next = piece.replace('@', &number.to_string());
        if text.len() + next.len() > BYTES {
            break;
        }
        text.push_str(&next);
    }
    text.into_bytes()
}

fn read_by_all(format: Format, before: &str, piece: &str) {
    let bytes = filled(before, piece);
    for reader in format.readers() {
        match Said::of(&bytes, format, *reader, None) {
            // Whether it is one or the other is the reader's; that it ends is asked.
            Ok(said) => assert!(!matches!(said.find("queue.lock"), Heard::Value(..)), "{reader}"),
            Err(why) => assert!(matches!(why, Why::Malformed | Why::TooLarge), "{reader} {why:?}"),
        }
    }
}

#[test]
fn ini_files_end() {
    for (before, piece) in [
        ("[a]\n", "k@ = v\n"),
        ("[a]\n", "k = v\n"),
        ("[a]\nk = v\n", "  more\n"),
        ("[a]\nk = ", "x \\\n"),
        ("[a]\n", "# words\n"),
        ("", "["),
        ("", "[s@]\n"),
        ("[DEFAULT]\na = 1\nb = 2\nc = 3\n", "[s@]\n"),
        ("[a]\nk = ", "\""),
        ("[a]\nk = ", " "),
        ("[a]\nk = ", "\\"),
        ("[a]\n", "\n"),
        ("[a]\nb = 1\n", "k@ = %(b)s%(b)s%(b)s\n"),
        ("[a]\n", "!include x@\n"),
        ("[include]\n", "path = x@\n"),
        ("[a \"", "\\\""),
        ("[a]\r", "\r"),
    ] {
        read_by_all(Format::Ini, before, piece);
    }
}

#[test]
fn values_that_name_each_other_are_bounded() {
    let chain: String = (1..12).map(|n| format!("v{n} = {}\n", format!("%(v{})s", n - 1).repeat(10))).collect();
    for value in ["x", ""] {
        let text = format!("[a]\nv0 = {value}\n{chain}");
        let said = Said::of(text.as_bytes(), Format::Ini, Reader::Configparser, None);
        assert_eq!(said.err(), Some(Why::TooLarge));
    }
}

#[test]
fn trees_end() {
    for (before, piece) in
        [("", "["), ("", "{\"a\":"), ("[", "1,"), ("{", "\"k@\":1,"), ("\"", "\\u0041"), ("[\"", "x")]
    {
        read_by_all(Format::Json, before, piece);
    }
    for (before, piece) in [
        ("", "k@: v\n"),
        ("", "- "),
        ("", "["),
        ("", "{a: "),
        ("", "- x\n"),
        ("k: \"", "x\n"),
        ("k: |\n", "  x\n"),
        ("k: >\n", "  x\n\n"),
        ("k: ", "x "),
        ("", "# words\n"),
        ("a: &a [x]\nb: [", "*a, "),
        ("", "&a "),
        ("", "? "),
        ("k:\n", "  "),
        ("", "!"),
    ] {
        read_by_all(Format::Yaml, before, piece);
    }
    for (before, piece) in [
        ("", "k@ = 1\n"),
        ("", "[t@]\n"),
        ("", "[[t]]\n"),
        ("a = [", "1,"),
        ("a = ", "["),
        ("a = {", "b = {"),
        ("a = '''", "x\n"),
        ("a = \"", "\\u0041"),
        ("", "a.@.b = 1\n"),
    ] {
        read_by_all(Format::Toml, before, piece);
    }
    for (before, piece) in [
        ("<a>", "<b/>"),
        ("<a>", "<b>"),
        ("<a>", "x"),
        ("<a>", "&amp;"),
        ("<a>", "<![CDATA[x]]>"),
        ("<a>", "<!-- x -->"),
        ("<a>", "<?x y?>"),
        ("<a", " b@='1'"),
        ("<a b='", "&#65;"),
        ("<a", " xmlns:n@='u'"),
        ("<a>", "<b xmlns:n='u@'/>"),
        ("<", "a"),
        ("<!--", "-"),
    ] {
        read_by_all(Format::Xml, before, piece);
    }
}

#[test]
fn lines_end() {
    for (before, piece) in [("", "k@=v\n"), ("k=", "x\\\n"), ("", "\\"), ("", "# x\n"), ("k=", "\\u0041"), ("", "\\\n")]
    {
        read_by_all(Format::Properties, before, piece);
    }
    for (before, piece) in [("", "K@=v\n"), ("K=", "x\\\n"), ("K='", "x\n"), ("# ", "\\\n"), ("K=", " ")] {
        read_by_all(Format::Env, before, piece);
    }
    for (before, piece) in
        [("", "k@ = v\n"), ("k = '", "x"), ("k = '", "''"), ("", "include 'x@'\n"), ("", "# x\n"), ("k", " ")]
    {
        read_by_all(Format::Keyvalue, before, piece);
    }
}
