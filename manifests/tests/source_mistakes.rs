//! Every mistake of a file is told at once, at its place, and once.

use manifests::source;

const SAMPLE: &str = include_str!("data/source/baseline.toml");

/// Stands behind the sample, so that mistakes have items that nothing else refers to.
const MORE: &str = r#"
[[fix]]
id = "FIX-2021-0003"
sites = ["402206"]
when = { fact = "linkage.method", equals = "batch" }
requires = [ { program = "issuing-server", fixed_in = ">=3.3.0" } ]

[[waiver]]
item = "FIX-2019-0007"
hosts = ["402206-ap1"]
reason = "replaced after service hours on the 9th"
until = 2023-07-10T06:00:00+09:00
"#;

struct Mistake {
    sound: &'static str,
    mistaken: &'static str,
    expected: (u32, u32, &'static str),
}

const fn mistake(sound: &'static str, mistaken: &'static str, expected: (u32, u32, &'static str)) -> Mistake {
    Mistake { sound, mistaken, expected }
}

// In file order.
const MISTAKES: [Mistake; 13] = [
    mistake("heartbeat = \"30s\"", "heartbeat = 30", (7, 13, "wrong-type")),
    mistake("\"tmp/**\"]", "\"tmp/[a\"]", (38, 23, "bad-glob")),
    mistake("when = { fact = \"topology\", ", "when = { fact = \"topologie\", ", (45, 17, "dangling-fact")),
    mistake("31d001be7\"", "\"", (49, 8, "bad-digest")),
    mistake("config = \"print\"", "config = \"prnt\"", (63, 10, "dangling-config")),
    mistake(
        "owner = \"release management\"\nremediation = { en = \"Set",
        "ower = \"release management\"\nremediation = { en = \"Set",
        (68, 1, "unknown-key"),
    ),
    mistake("equals = \"on-demand-2\"", "equals = \"on-demand-3\"", (78, 54, "not-one-of")),
    mistake("fixed_in = \">=3.4.2\"", "fixed_in = \"^3.4.2\"", (80, 55, "bad-range")),
    mistake(
        "item = \"FIX-2019-0007\"\nhosts = [\"131211-ap1\"]",
        "item = \"lock.print-wait\"\nhosts = [\"131211-ap1\"]",
        (87, 8, "waiver-on-lock"),
    ),
    mistake("id = \"FIX-2021-0003\"", "id = \"FIX-2019-0007\"", (93, 6, "duplicate-id")),
    mistake("sites = [\"402206\"]", "sites = [\"402207\"]", (94, 10, "bad-code")),
    mistake(
        "requires = [ { program = \"issuing-server\", fixed_in = \">=3.3.0\"",
        "requires = [ { program = \"issuing-serve\", fixed_in = \">=3.3.0\"",
        (96, 26, "dangling-program"),
    ),
    mistake("until = 2023-07-10T06:00:00+09:00", "", (98, 1, "waiver-without-end")),
];

fn check(mistakes: &[&Mistake]) {
    let mut text = format!("{SAMPLE}{MORE}");
    for mistake in mistakes {
        assert_eq!(text.matches(mistake.sound).count(), 1, "{:?}", mistake.sound);
        text = text.replace(mistake.sound, mistake.mistaken);
    }
    let found = source::baseline(&text).err().unwrap_or_default();
    let places: Vec<_> = found.iter().map(|problem| (problem.line, problem.column, problem.code)).collect();
    let expected: Vec<_> = mistakes.iter().map(|mistake| mistake.expected).collect();
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn all_mistakes_of_one_file_are_told_with_line_and_column() {
    check(&MISTAKES.iter().collect::<Vec<_>>());
}

#[test]
fn any_twelve_mistakes_are_twelve_problems() {
    for left_out in 0..MISTAKES.len() {
        let twelve: Vec<_> = MISTAKES.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, m)| m).collect();
        check(&twelve);
    }
}

#[test]
fn of_too_many_mistakes_the_first_of_the_file_are_told() {
    // Facts are read before settings, and stand behind them here.
    let bad = |table: &str, count: usize| format!("[[{table}]]\nid = \"-\"\n").repeat(count);
    let head = "schema = 1\nproduct = \"p\"\nversion = \"1.0.0\"\n";
    let text = format!("{head}{}{}", bad("setting", 700), bad("fact", 1500));
    let lines: Vec<_> = source::baseline(&text).unwrap_err().iter().map(|problem| problem.line).collect();
    assert_eq!(lines.len(), source::PROBLEMS_MAX);
    assert_eq!(lines[0], 4);
    assert!(lines.is_sorted() && lines[999] < 4 + 2 * 700, "{lines:?}");
}

#[test]
fn a_byte_order_mark_is_no_character_and_what_is_cut_says_so() {
    let found = |text: &str| {
        let problems = source::baseline(text).unwrap_err();
        problems.iter().map(|problem| problem.to_string()).collect::<Vec<_>>()
    };
    let text = "sch = 1\nproduct = \"p\"\nversion = \"1.0.0\"\n";
    assert_eq!(found(&format!("\u{feff}{text}")), found(text));
    let cut = found(&SAMPLE.replacen("convenience-issuance", &"x".repeat(100), 1));
    assert!(cut.iter().all(|problem| problem.contains(&format!("`{}…`", "x".repeat(80)))), "{cut:?}");
    assert_eq!(source::utf8(b"\xef\xbb\xbfa\xff").unwrap_err()[0].column, 2);
}

#[test]
fn a_mistake_alone_is_one_problem() {
    for mistake in &MISTAKES {
        check(&[mistake]);
    }
    assert!(source::baseline(&format!("{SAMPLE}{MORE}")).is_ok());
}
