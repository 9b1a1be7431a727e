//! Whatever the text, reading it ends, without a panic, and says something printable.

use manifests::source::{self, Problem};
use proptest::prelude::*;

const BASELINE: &str = include_str!("data/source/baseline.toml");
const REGISTRY: &str = include_str!("data/source/registry.toml");

fn check(text: &str) -> Result<(), TestCaseError> {
    for result in [source::baseline(text).map(|_| ()), source::registry(text).map(|_| ())] {
        let Err(problems) = result else { continue };
        prop_assert!(!problems.is_empty() && problems.len() <= source::PROBLEMS_MAX);
        prop_assert!(problems.is_sorted_by_key(|p: &Problem| (p.line, p.column)), "{problems:#?}");
        let lines = text.matches('\n').count() as u32 + 1;
        for problem in problems {
            prop_assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem:?}");
            let shown = format!("{problem} {}", problem.key);
            prop_assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        }
    }
    Ok(())
}

/// One change of a text, at a place given as a share of its length.
fn mutated(text: &str, (place, kind, insert): &(usize, u8, String)) -> String {
    let mut start = place % (text.len() + 1);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let (before, after) = text.split_at(start);
    let rest_of_line = after.split_once('\n').map_or("", |(_, rest)| rest);
    match kind % 5 {
        0 => format!("{before}{insert}{after}"),
        1 => format!("{before}{}", after.chars().skip(1).collect::<String>()),
        2 => format!("{before}{insert}\n{rest_of_line}"),
        3 => format!("{before}\n{rest_of_line}"),
        _ => format!("{before}\n{after}\n{before}"),
    }
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\[\\]{}=\"',.#\\\\\n a-z0-9-]{0,12}",
        prop::sample::select(vec![
            "[[fix]]",
            "[fix]",
            "id = 1",
            "= {",
            "\u{1b}[2J",
            "\u{202e}",
            "\"\"\"",
            "0x",
            "1979-05-27",
            "a.b.c",
            "\r",
            "nan",
            "[[program.release]]",
            "'",
            "{ all = [] }",
            "inf",
            "\\u0000",
            "ed25519:",
            "[[host]]",
            "[site]",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_ends_in_problems(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_toml_like_text_ends_in_problems(lines in prop::collection::vec(fragment(), 0..40)) {
        check(&lines.join("\n"))?;
        check(&lines.concat())?;
    }

    #[test]
    fn any_change_of_a_sample_is_read_or_refused(
        is_registry: bool,
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), fragment()), 1..6),
    ) {
        let sample = if is_registry { REGISTRY } else { BASELINE };
        check(&changes.iter().fold(sample.to_owned(), |text, change| mutated(&text, change)))?;
    }
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    for deep in [
        format!("{} = 1", ["a"; 100_000].join(".")),
        format!("[{}]", ["a"; 100_000].join(".")),
        format!(
            "{key} = {{ {key} = 1 }}\n[[{other}]]\n{key} = 1",
            key = ["a"; 240].join("."),
            other = ["b"; 500].join(".")
        ),
        format!("when = {}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("when = {}1{}", "{ not = ".repeat(100_000), "}".repeat(100_000)),
        format!("[[setting]]\nwhen = {}1{}", "{ not = ".repeat(70), "}".repeat(70)),
    ] {
        assert!(!source::baseline(&deep).unwrap_err().is_empty());
    }
}

#[test]
fn a_file_beyond_its_size_or_encoding_is_refused_unread() {
    let big = vec![b'#'; source::SOURCE_BYTES_MAX + 1];
    assert_eq!(source::baseline_from_bytes(&big).unwrap_err()[0].code, "too-large");
    assert_eq!(source::registry_from_bytes(&big).unwrap_err()[0].code, "too-large");
    let problem = source::registry_from_bytes("schema = 1\n宗\u{50cf}".as_bytes().split_last().unwrap().1).unwrap_err();
    assert_eq!((problem[0].code, problem[0].line, problem[0].column), ("not-utf8", 2, 2));
    assert!(source::baseline_from_bytes(BASELINE.as_bytes()).is_ok());
}
