//! The word that was probably meant.

/// The nearest of `words` to `text`, if it is near enough to be a slip of the keyboard.
pub(super) fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    const CHARS_MAX: usize = 64;
    const WORDS_MAX: usize = 1000;
    let typed = folded(text);
    if typed.len() > CHARS_MAX {
        return None;
    }
    let near = words.into_iter().take(WORDS_MAX).filter_map(|word| {
        let meant = folded(word);
        let allowed = (meant.len().min(typed.len()) / 3).clamp(1, 3);
        (meant.len() <= CHARS_MAX).then(|| (distance(&typed, &meant), word)).filter(|(steps, _)| *steps <= allowed)
    });
    near.min_by_key(|(steps, _)| *steps).map(|(_, word)| word)
}

// Capitals and the kind of dash are not what tells two keys apart.
fn folded(text: &str) -> Vec<char> {
    text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

// Levenshtein's distance, one row at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for ((to, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            left = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_none() {
        let words = ["requires", "required_from", "roles", "id"];
        for (text, word) in
            [("require", "requires"), ("required-from", "required_from"), ("Roles", "roles"), ("idd", "id")]
        {
            assert_eq!(nearest(text, words), Some(word), "{text}");
        }
        for text in ["sites", "", "x", "colour"] {
            assert_eq!(nearest(text, words), None, "{text}");
        }
    }

    #[test]
    fn distance_counts_single_edits() {
        let steps = |a: &str, b: &str| distance(&folded(a), &folded(b));
        assert_eq!((steps("", "abc"), steps("abc", ""), steps("kitten", "sitting")), (3, 3, 3));
    }
}
