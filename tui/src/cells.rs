//! Text in terminal cells: measured, cut, padded, wrapped, and freed of what could steer a terminal.
//!
//! A kanji takes two cells. Cuts fall between a character with its combining marks and the next, so
//! that no mark lands on a stranger.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

mod kana;

pub use kana::folded;

/// What stands where text was cut. Two full stops, because an ellipsis is as wide as the terminal likes.
const CUT: &str = "..";

/// Characters that must not begin a line in Japanese.
const NOT_FIRST: &str = "、。，．」』）)]】！？ーっゃゅょッャュョ";

/// How many cells `text` takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` with every character escaped that could move the cursor, turn the writing direction or hide,
/// and with half-width voiced marks joined to their kana.
///
/// Names, paths and values come from hosts; one of them may be hostile.
pub fn clean(text: &str) -> Cow<'_, str> {
    let text = kana::joined(text);
    match output::clean(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(cleaned) => Cow::Owned(cleaned),
    }
}

/// Characters, each with the zero-width ones that follow it (combining marks, variation selectors).
fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices();
        characters.next()?;
        let end = characters.find(|(_, c)| c.width() != Some(0)).map_or(rest.len(), |(index, _)| index);
        let (cluster, tail) = rest.split_at(end);
        rest = tail;
        Some(cluster)
    })
}

/// The end of cleaned `text` in at most `cells`; what is cut begins with two full stops.
pub fn cut_front(text: &str, cells: usize) -> String {
    let text = clean(text);
    if width(&text) <= cells {
        return text.into_owned();
    }
    let mut used = CUT.len();
    let mut kept: Vec<&str> = clusters(&text).collect::<Vec<_>>();
    let fitting = kept.iter().rev().take_while(|cluster| {
        used += width(cluster);
        used <= cells
    });
    let first = kept.len() - fitting.count();
    format!("{}{}", CUT.get(..cells.min(CUT.len())).unwrap_or_default(), kept.split_off(first).concat())
}

/// At most `cells` of cleaned `text`; what is cut ends in two full stops.
pub fn cut(text: &str, cells: usize) -> String {
    let text = clean(text);
    if width(&text) <= cells {
        return text.into_owned();
    }
    let room = cells.saturating_sub(CUT.len());
    let mut kept = String::new();
    let mut used = 0;
    for cluster in clusters(&text) {
        let more = width(cluster);
        if used + more > room {
            break;
        }
        kept.push_str(cluster);
        used += more;
    }
    kept.push_str(CUT.get(..cells.min(CUT.len())).unwrap_or_default());
    kept
}

/// Exactly `cells` of cleaned `text`, cut or filled with spaces on the right.
pub fn fit(text: &str, cells: usize) -> String {
    let mut text = cut(text, cells);
    let missing = cells.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Exactly `cells` of cleaned `text`, cut or filled with spaces on the left.
pub fn fit_right(text: &str, cells: usize) -> String {
    let text = cut(text, cells);
    format!("{}{text}", " ".repeat(cells.saturating_sub(width(&text))))
}

/// Cleaned `text` in lines of at most `cells`: broken at spaces, and between wide characters.
/// At least one line; a word that is too long is broken where it must be.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let text = clean(text);
    let cells = cells.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(&text) {
        if width(&line) + width(word.trim_end()) <= cells {
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            let carried =
                if word.starts_with(|c| NOT_FIRST.contains(c)) { take_last(&mut line) } else { String::new() };
            lines.push(std::mem::replace(&mut line, carried).trim_end().to_owned());
        }
        for cluster in clusters(word) {
            if width(&line) + width(cluster) > cells {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            line.push_str(cluster);
        }
    }
    if !line.trim_end().is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Pieces that stay together: words with the spaces after them, and single wide characters.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = 0;
        let mut spaces = false;
        for cluster in clusters(rest) {
            let wide = width(cluster) > 1;
            if end > 0 && (wide || (spaces && cluster != " ")) {
                break;
            }
            spaces |= cluster == " ";
            end += cluster.len();
            if wide {
                break;
            }
        }
        let (word, tail) = rest.split_at(end);
        rest = tail;
        (!word.is_empty()).then_some(word)
    })
}

fn take_last(line: &mut String) -> String {
    let Some(last) = clusters(line).last().map(str::len) else { return String::new() };
    line.split_off(line.len() - last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kanji_are_padded_and_cut_by_cells() {
        assert_eq!(fit("宗像市", 8), "宗像市  ");
        assert_eq!(fit("宗像市", 5), "宗.. ", "half a kanji is never shown");
        assert_eq!(fit("宗像市", 6), "宗像市");
        assert_eq!(fit("abcdef", 4), "ab..");
        assert_eq!(fit("abc", 1), ".");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit_right("7", 3), "  7");
        assert_eq!(cut_front("宗像市", 5), "..市");
        assert_eq!(cut_front("宗像市", 6), "宗像市");
        assert_eq!(cut_front("abc", 1), ".");
    }

    #[test]
    fn a_mark_stays_with_its_character() {
        assert_eq!(cut("か\u{3099}か\u{3099}か\u{3099}", 4), "か\u{3099}..");
        assert_eq!(cut("葛\u{e0100}城市", 6), "葛\u{e0100}城市");
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(clean("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(clean("\u{202e}abc\r\n\u{9b}"), "\\u{202e}abc\\u{d}\\u{a}\\u{9b}");
        assert_eq!(clean("宗像市 ✓"), "宗像市 ✓");
        assert_eq!(clean("ｶﾞ\u{1b}"), "ガ\\u{1b}");
    }

    #[test]
    fn lines_break_at_spaces_and_between_kanji() {
        assert_eq!(wrap("install the release again", 12), ["install the", "release", "again"]);
        assert_eq!(wrap("設定を期待値に戻します。", 8), ["設定を期", "待値に戻", "します。"]);
        assert_eq!(wrap("設定を戻。", 8), ["設定を", "戻。"], "a full stop does not begin a line");
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let text = "3.4.2 以上 or HF-0042、見つかった値は \u{1b}]0;x\u{7} lib/印刷/print_queue.so です。";
        for cells in 2..60 {
            for line in wrap(text, cells) {
                assert!(width(&line) <= cells, "{cells}: {line}");
            }
            assert_eq!(width(&fit(text, cells)), cells);
        }
    }
}
