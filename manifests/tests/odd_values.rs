//! Whatever odd way a number, a boolean or a word is written in: it never makes a condition false, so that nothing
//! is not applicable for it, and never makes a setting fit.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made is a test that fails")]

use manifests::condition::{Condition, Known, Truth};
use manifests::value::{Expect, Value};
use proptest::prelude::*;
use proptest::sample::select;

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// Blanks as they stand around values.
fn blanks() -> impl Strategy<Value = String> {
    prop::collection::vec(select(vec![" ", "\t", "\r", "\u{a0}", "\u{3000}"]), 0..3).prop_map(|blanks| blanks.concat())
}

fn wide(text: &str) -> String {
    text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic()).unwrap_or(c)).collect()
}

/// A number written in some way that is not the one TOML has for it.
fn number_oddly(number: i64) -> impl Strategy<Value = String> {
    let plain = number.to_string();
    let (sign, digits) = if number < 0 { ("-", number.unsigned_abs().to_string()) } else { ("", plain.clone()) };
    let forms = vec![
        plain.clone(),
        if sign.is_empty() { format!("+{plain}") } else { format!("-00{digits}") },
        format!("{sign}0{digits}"),
        format!("{sign}000{digits}"),
        format!("{plain}.0"),
        format!("{plain}."),
        format!("{plain}e0"),
        format!("{plain}0e-1"),
        format!("{sign}0x{:x}", number.unsigned_abs()),
        format!("{sign}0o{:o}", number.unsigned_abs()),
        format!("{sign}0{:o}", number.unsigned_abs()),
        format!("{sign}0b{:b}", number.unsigned_abs()),
        format!("{sign}{}_{}", &digits[..1], &digits[1..]),
        wide(&plain),
    ];
    (select(forms), blanks(), blanks()).prop_map(|(form, before, behind)| format!("{before}{form}{behind}"))
}

/// `fact` as the only fact that is known.
fn truth(condition: &Condition, value: &Value) -> Truth {
    condition.truth(&|fact| if fact.as_str() == "f" { Known::Value(value) } else { Known::Nothing })
}

/// Nothing is known of the fact, and no setting fits.
fn nothing_is_known(value: &Value, expect: Expect) -> Result<(), TestCaseError> {
    prop_assert_ne!(expect.fulfilled(value), Truth::True, "{:?} fits {}", value, expect);
    let fact = Condition::Fact("f".parse().unwrap(), expect);
    let unknown = Condition::Fact("g".parse().unwrap(), Expect::Present);
    for condition in [
        fact.clone(),
        Condition::Not(Box::new(fact.clone())),
        Condition::All(vec![fact.clone()]),
        Condition::Any(vec![fact.clone(), unknown.clone()]),
        Condition::Not(Box::new(Condition::All(vec![unknown, fact]))),
    ] {
        prop_assert_eq!(truth(&condition, value), Truth::Unknown, "{:?}: {}", value, condition);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_number_written_oddly_is_no_number(
        (number, odd) in (-100_i64..100_000).prop_flat_map(|number| (Just(number), number_oddly(number))),
        other in -100_i64..100_000,
    ) {
        prop_assume!(odd != number.to_string());
        for expect in [
            Expect::Equals(Value::Integer(number)),
            Expect::Equals(Value::Integer(other)),
            Expect::OneOf(vec![Value::Integer(other), Value::Integer(number)]),
            Expect::AtLeast(other),
            Expect::AtMost(other),
            // The number in quotes: the same may be read.
            Expect::Equals(text(number.to_string())),
        ] {
            nothing_is_known(&text(odd.clone()), expect)?;
        }
    }

    #[test]
    fn a_boolean_written_otherwise_is_none(
        word in select(vec!["TRUE", "True", "yes", "on", "1", "FALSE", "no", "off", "0", "", "t", "ｔｒｕｅ", "\"true\""]),
        before in blanks(), behind in blanks(), expected: bool,
    ) {
        nothing_is_known(&text(format!("{before}{word}{behind}")), Expect::Equals(Value::Boolean(expected)))?;
    }

    #[test]
    fn a_word_written_otherwise_is_not_known_to_be_another(
        word in "[a-z]{1,12}(-[a-z0-9]{1,3})?", before in blanks(), behind in blanks(), capitals: bool, is_wide: bool,
    ) {
        let mut odd = if capitals { word.to_uppercase() } else { word.clone() };
        if is_wide {
            odd = wide(&odd);
        }
        let odd = format!("{before}{odd}{behind}");
        prop_assume!(odd != word);
        nothing_is_known(&text(odd), Expect::Equals(text(word)))?;
    }

    #[test]
    fn any_text_that_spells_no_number_is_unknown_where_one_is_compared(any in any::<String>(), other: i64) {
        prop_assume!(any.parse::<i64>().map_or(true, |number| number.to_string() != any));
        nothing_is_known(&text(any.clone()), Expect::Equals(Value::Integer(other)))?;
        nothing_is_known(&text(any.clone()), Expect::AtLeast(other))?;
        nothing_is_known(&text(any), Expect::AtMost(other))?;
    }

    #[test]
    fn a_number_beyond_all_bounds_is_unknown(digits in "[1-9][0-9]{19,60}", other: i64) {
        nothing_is_known(&text(digits.clone()), Expect::AtLeast(other))?;
        nothing_is_known(&text(digits), Expect::AtMost(other))?;
    }
}
