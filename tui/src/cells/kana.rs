//! Half-width kana and full-width Latin: the forms that Japanese input methods and old systems write.
//!
//! The part of NFKC that such text needs. A half-width voiced mark is a character of one cell to the
//! terminal and to ratatui, and one of none to `unicode-width`: joined with its kana it is neither.

use std::borrow::Cow;

const VOICED: char = '\u{ff9e}';
const HALF_VOICED: char = '\u{ff9f}';

/// U+FF61 to U+FF9F, in full width.
const FULL: &str = "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン゛゜";

/// `text` with half-width voiced marks joined to their kana: `ｶﾞ` is `ガ`.
pub(super) fn joined(text: &str) -> Cow<'_, str> {
    if text.contains([VOICED, HALF_VOICED]) { Cow::Owned(widened(text, false)) } else { Cow::Borrowed(text) }
}

/// `text` as it is compared: half-width kana in full width, full-width Latin in half, all in lower case.
pub fn folded(text: &str) -> String {
    let latin = |character: char| match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        '\u{3000}' => ' ',
        other => other,
    };
    widened(text, true).chars().map(latin).collect::<String>().to_lowercase()
}

/// Half-width kana in full width: every one, or only those with a voiced mark behind them.
fn widened(text: &str, every: bool) -> String {
    let mut wide = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(full) = full(character) else {
            wide.push(character);
            continue;
        };
        if let Some(one) = characters.peek().and_then(|mark| with_mark(full, *mark)) {
            wide.push(one);
            characters.next();
        } else if every || matches!(character, VOICED | HALF_VOICED) {
            wide.push(full);
        } else {
            wide.push(character);
        }
    }
    wide
}

fn full(half: char) -> Option<char> {
    let place = u32::from(half).checked_sub(0xff61)?;
    FULL.chars().nth(usize::try_from(place).ok()?)
}

/// The kana with its mark, where the two make one.
fn with_mark(full: char, mark: char) -> Option<char> {
    let behind = |by: u32| char::from_u32(u32::from(full) + by);
    match (full, mark) {
        ('ウ', VOICED) => Some('ヴ'),
        ('ワ', VOICED) => Some('ヷ'),
        ('ヲ', VOICED) => Some('ヺ'),
        ('ハ' | 'ヒ' | 'フ' | 'ヘ' | 'ホ', HALF_VOICED) => behind(2),
        ('カ'..='ト' | 'ハ' | 'ヒ' | 'フ' | 'ヘ' | 'ホ', VOICED) if full != 'ッ' => behind(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_join_their_kana_and_nothing_else_changes() {
        assert_eq!(joined("ｶﾞｷﾞﾊﾟﾊﾞﾎﾟﾄﾞﾂﾞｳﾞ"), "ガギパバポドヅヴ");
        assert_eq!(joined("ﾑﾅｶﾀ ABC 宗像"), "ﾑﾅｶﾀ ABC 宗像");
        assert_eq!(joined("ｱﾞa\u{ff9f}\u{ff9e}"), "ｱ゛a゜゛", "a mark alone stands alone");
        let half: String = ('\u{ff61}'..='\u{ff9f}').collect();
        assert_eq!(half.chars().count(), FULL.chars().count());
    }

    #[test]
    fn what_is_written_in_another_width_compares_equal() {
        assert_eq!(folded("ＡＤＡＣＨＩ　１２"), "adachi 12");
        assert_eq!(folded("ｱﾀﾞﾁ"), folded("アダチ"));
        assert_eq!(folded("宗像ー！"), "宗像ー!");
    }
}
