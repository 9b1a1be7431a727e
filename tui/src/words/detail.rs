//! What the appraiser writes into details, in the reader's language.
//!
//! A detail travels in English: an appraisal is the same bytes for everybody. Its words are few, and
//! are told apart here; values, versions, paths and digests stay as they are.

use manifests::text::{self, Lang, text_with};

/// Where values stand beside the words of a pattern.
#[derive(Clone, Copy)]
enum Values {
    None,
    Before,
    After,
    /// On both sides.
    Around,
    /// On both sides, words of the appraiser there as well.
    Between,
    /// Behind: a file, and in parentheses words of the appraiser.
    File,
    /// Behind: a code that says why something is not known.
    Why,
    /// On both sides; behind is such a code.
    AroundWhy,
    /// Behind: lines, and a code that says what is odd in them.
    Odd,
}

/// Words, the key of their text, and where values stand. The first that fits counts.
const PATTERNS: &[(&str, &str, Values)] = &[
    ("absent", "detail-absent", Values::None),
    ("present", "detail-present", Values::None),
    ("unknown", "detail-unknown", Values::None),
    ("not running", "detail-not-running", Values::None),
    ("not in evidence", "detail-not-in-evidence", Values::None),
    ("not required yet", "detail-not-required-yet", Values::None),
    ("a listed release", "detail-a-listed-release", Values::None),
    ("not on this host", "detail-not-on-this-host", Values::None),
    ("value in force not in evidence", "detail-in-force-not-in-evidence", Values::None),
    ("value in force cannot be compared", "detail-in-force-incomparable", Values::None),
    ("held", "older-held", Values::None),
    ("changed since it was read", "older-changed", Values::None),
    ("changed after the start, before the first look", "older-before-first-look", Values::None),
    ("something may have been removed after the start", "older-may-have-gone", Values::None),
    ("mounted, perhaps after the start", "older-mounted", Values::None),
    ("runs from a copy", "older-copy", Values::None),
    ("taken from outside of the tree", "older-shadowed", Values::None),
    (" on disk, ", "detail-on-disk", Values::Between),
    ("a process has an older ", "detail-process-older", Values::File),
    ("a process sees another ", "detail-process-another", Values::After),
    ("a process runs ", "detail-process-runs", Values::After),
    ("processes unknown: ", "detail-processes-unknown", Values::Why),
    ("what programs have read is not in evidence", "detail-read-not-in-evidence", Values::None),
    (" files not listed", "detail-files-not-listed", Values::Before),
    ("different values in lines ", "detail-different-values", Values::After),
    ("unclear in lines ", "detail-unclear", Values::Odd),
    ("one of ", "detail-one-of", Values::After),
    ("matches ", "detail-matches", Values::After),
    ("package ", "detail-package", Values::After),
    ("variant ", "detail-variant", Values::After),
    ("sealed ", "detail-sealed", Values::After),
    ("unknown: ", "detail-unknown-why", Values::Why),
    ("in force unknown: ", "detail-in-force-unknown", Values::Why),
    (" unknown: ", "detail-named-unknown", Values::AroundWhy),
    (", known bad: ", "detail-known-bad", Values::Around),
    (", no listed release", "detail-no-listed-release", Values::Before),
    (" in force", "detail-in-force", Values::Before),
];

/// A subject, or what was expected or found, as it is read in `lang`.
pub fn detail(lang: Lang, said: &str) -> String {
    // English is what it came in, but for the code of what is odd.
    if lang == Lang::En && !said.starts_with("unclear in lines ") {
        return said.to_owned();
    }
    if let Some((said, more)) = said.strip_suffix(" more").and_then(|said| said.rsplit_once(" and "))
        && !more.is_empty()
        && more.bytes().all(|byte| byte.is_ascii_digit())
    {
        return text_with(lang, "detail-and-more", &[("before", detail(lang, said).into()), ("after", more.into())]);
    }
    for (words, key, values) in PATTERNS {
        let parts = match values {
            Values::None => (said == *words).then_some(("", "")),
            Values::Before => said.strip_suffix(words).map(|before| (before, "")),
            Values::After | Values::Why | Values::Odd => said.strip_prefix(words).map(|after| ("", after)),
            Values::File => said.strip_prefix(words).and_then(|file| file.strip_suffix(')')?.rsplit_once(" (")),
            Values::Around | Values::Between | Values::AroundWhy => said.split_once(words),
        };
        let Some((before, after)) = parts else { continue };
        if let (Values::Odd, Some((lines, code))) = (values, after.split_once(": ")) {
            let odd = text::text(lang, &format!("odd-{code}"));
            return text_with(lang, key, &[("before", lines.into()), ("after", odd.into())]);
        }
        let after = match values {
            Values::Why | Values::AroundWhy => why(lang, after),
            Values::Between | Values::File => detail(lang, after),
            Values::None | Values::Before | Values::After | Values::Around | Values::Odd => after.to_owned(),
        };
        return text_with(lang, key, &[("before", detail(lang, before).into()), ("after", after.into())]);
    }
    said.to_owned()
}

/// What was expected: [`detail`], or one thing or another.
pub fn expected(lang: Lang, said: &str) -> String {
    // These quote what the baseline says, which may have any words.
    let quotes = ["= ", "one of ", "matches "].iter().any(|begin| said.starts_with(begin));
    match said.split_once(" or ").filter(|_| lang != Lang::En && !quotes) {
        Some((one, other)) => {
            let (one, other) = (detail(lang, one), expected(lang, other));
            text_with(lang, "detail-or", &[("before", one.into()), ("after", other.into())])
        }
        None => detail(lang, said),
    }
}

/// A code of a later version stays a code.
fn why(lang: Lang, code: &str) -> String {
    let key = format!("why-{code}");
    let words = text::text(lang, &key);
    if words == key { code.to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unclear_says_what_is_odd_and_what_settles_it_in_both_languages() {
        for (code, _) in manifests::evidence::Odd::ALL {
            let said = format!("unclear in lines 2, 4: {code}");
            for lang in [Lang::En, Lang::Ja] {
                let read = detail(lang, &said);
                assert!(read.contains("2, 4") && !read.contains(&format!("odd-{code}")), "{read}");
                assert!(read.contains("reader") || read.contains("files") || code == "duplicate", "{read}");
            }
        }
        assert_eq!(detail(Lang::En, "unclear in lines 2: later"), "unclear in lines 2: odd-later");
    }

    #[test]
    fn the_appraisers_words_are_japanese_and_values_stay() {
        for (said, read) in [
            ("absent", "なし"),
            ("unknown: undecodable", "不明: 文字コードが異なる"),
            ("unknown: of-a-later-version", "不明: of-a-later-version"),
            ("issuing-server unknown: timed-out", "issuing-server 不明: 時間切れ"),
            ("processes unknown: process-unreadable", "プロセスは不明: プロセスを調べられない"),
            ("in force unknown: not-answering", "稼働中の値は不明: 応答なし"),
            ("a listed release", "登録された版"),
            ("sha256:00, no listed release", "sha256:00 (登録された版ではない)"),
            (
                "3.4.2 split on disk, a process has an older /a.so (held)",
                "3.4.2 split を導入済み、プロセスは古い /a.so を使用中 (使用中のファイル)",
            ),
            (
                "a process has an older lib/a (1).so (changed since it was read) and 12 more",
                "プロセスは古い lib/a (1).so を使用中 (読み込み後に変更)、ほか 12 件",
            ),
            (
                "3.4.2 on disk, processes unknown: process-unreadable",
                "3.4.2 を導入済み、プロセスは不明: プロセスを調べられない",
            ),
            ("3.4.2 on disk, a process runs sha256:00", "3.4.2 を導入済み、実行中のプロセスは sha256:00"),
            (
                "3.3.0, known bad: prints wrong on disk, a process sees another /b",
                "3.3.0 (使用禁止: prints wrong) を導入済み、プロセスから見えるのは別の /b",
            ),
            ("shared in force", "稼働中の値は shared"),
            ("different values in lines 3, 9", "3, 9 行目で値が異なる"),
            ("package libcups2", "パッケージ libcups2"),
            ("3.4.1", "3.4.1"),
            ("exclusive", "exclusive"),
            ("print queue.lock", "print queue.lock"),
        ] {
            assert_eq!(detail(Lang::Ja, said), read);
            assert_eq!(detail(Lang::En, said), said);
        }
        assert_eq!(expected(Lang::Ja, ">=3.4.2 or HF-0042"), ">=3.4.2 または HF-0042");
        assert_eq!(expected(Lang::Ja, "= this or that"), "= this or that");
        assert_eq!(expected(Lang::Ja, "one of a, b"), "a, b のいずれか");
    }

    #[test]
    fn every_pattern_has_its_text_and_says_in_english_what_came() {
        for (words, key, values) in PATTERNS {
            let (before, after) = ("B".into(), "A".into());
            let said = text_with(Lang::En, key, &[("before", before), ("after", after)]);
            let whole = match values {
                Values::None => (*words).to_owned(),
                Values::Before => format!("B{words}"),
                Values::After | Values::Why => format!("{words}A"),
                Values::Around | Values::Between | Values::AroundWhy => format!("B{words}A"),
                Values::File => format!("{words}B (A)"),
                Values::Odd => format!("{words}B: A"),
            };
            assert_eq!(said, whole, "{key}");
            assert_ne!(text_with(Lang::Ja, key, &[]), *key);
        }
    }

    #[test]
    fn every_pattern_is_still_said_by_the_appraiser() {
        let source = |name: &str| {
            let path = format!("{}/../manifests/src/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        let files = [
            "judge/appraise.rs",
            "judge/appraise/loaded.rs",
            "judge/appraise/program.rs",
            "judge/appraise/requirement.rs",
            "judge/appraise/setting.rs",
            "words/value.rs",
        ];
        let all = files.map(source).concat();
        for (words, key, _) in PATTERNS {
            // The code and the word before it are put together from two strings.
            let said = words.trim_end_matches("unknown: ").trim_end();
            assert!(all.contains(said), "{key}: the appraiser does not say {said:?} any more");
        }
    }
}
