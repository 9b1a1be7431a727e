//! `when` and `expect`: what is asked of facts and settings.

use super::LIST_MAX;
use super::names::{Kind, Scope};
use super::reader::Node;
use super::sheet::{is_unprintable, printable};
use crate::baseline::Fact;
use crate::condition::{Condition, DEPTH_MAX};
use crate::value::{Expect, Regex, VALUE_BYTES_MAX, Value};

/// The tests of a value.
const TESTS: [&str; 7] = ["equals", "one_of", "at_least", "at_most", "matches", "present", "absent"];

/// `{ fact = …, equals = … }`, or `all`, `any`, `not` of such.
pub(super) fn condition(node: &Node<'_>, scope: &Scope) -> Option<Condition> {
    nested(node, scope, 1)
}

fn nested(node: &Node<'_>, scope: &Scope, depth: usize) -> Option<Condition> {
    if depth > DEPTH_MAX {
        return node.refuse("condition-depth", format!("conditions nest at most {DEPTH_MAX} deep"));
    }
    let list = |node: Node<'_>| node.list(LIST_MAX, |n| nested(&n, scope, depth + 1));
    node.table(|t| match t.branch(&["fact", "all", "any", "not"])? {
        "all" => t.required("all", list).map(Condition::All),
        "any" => t.required("any", list).map(Condition::Any),
        "not" => t.required("not", |n| nested(&n, scope, depth + 1)).map(|inner| Condition::Not(Box::new(inner))),
        _ => {
            let id = t.required("fact", scope.names.of(Kind::Fact));
            let fact = id.as_ref().and_then(|id| scope.fact(id));
            let test = t.exactly_one(&TESTS).and_then(|test| {
                t.required(test, |n| {
                    if matches!(test, "present" | "absent") {
                        let message = format!("`{test}` cannot be asked of a fact: one whose key is absent is unknown");
                        return n.refuse("bad-word", message);
                    }
                    let expect = read_test(test, n.clone(), fact)?;
                    can_hold(&n, fact, &expect).then_some(expect)
                })
            });
            Some(Condition::Fact(id?, test?))
        }
    })
}

/// What a setting must be.
pub(super) fn expect(node: Node<'_>) -> Option<Expect> {
    node.table(|t| match t.exactly_one(&TESTS)? {
        "present" => t.required("present", only_true).map(|()| Expect::Present),
        "absent" => t.required("absent", only_true).map(|()| Expect::Absent),
        test => t.required(test, |n| read_test(test, n, None)),
    })
}

fn only_true(node: Node<'_>) -> Option<()> {
    if node.boolean()? { Some(()) } else { node.refuse("bad-word", "only `true` can be asked for here") }
}

fn read_test(test: &str, node: Node<'_>, fact: Option<&Fact>) -> Option<Expect> {
    let known = |node: Node<'_>| {
        let read = value(node.clone())?;
        known_value(&node, fact, &read).then_some(read)
    };
    match test {
        "equals" => known(node).map(Expect::Equals),
        "one_of" => node.list(LIST_MAX, known).map(Expect::OneOf),
        "at_least" => node.integer().map(Expect::AtLeast),
        "at_most" => node.integer().map(Expect::AtMost),
        _ => {
            let source = node.text("a regular expression in quotes")?;
            match Regex::new(source) {
                Ok(pattern) => Some(Expect::Matches(pattern)),
                // The compiler draws the expression over several lines; its last line says what is wrong.
                Err(error) => {
                    let why = error.lines().last().unwrap_or_default();
                    node.refuse("bad-pattern", printable(why.trim_start_matches("error: ")))
                }
            }
        }
    }
}

// A value outside `one_of` is never seen: the fact is unknown then.
fn known_value(node: &Node<'_>, fact: Option<&Fact>, value: &Value) -> bool {
    let Some(fact) = fact.filter(|fact| !fact.one_of.is_empty()) else { return true };
    if fact.one_of.iter().any(|known| known.is(value)) {
        return true;
    }
    let known: Vec<_> = fact.one_of.iter().map(Value::to_string).collect();
    let message = format!("`{}` is no value of the fact {}", printable(&value.to_string()), fact.id);
    let hint = super::near::nearest(&value.to_string(), known.iter().map(String::as_str))
        .map_or_else(|| format!("one of {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
    node.refuse_with::<()>("not-one-of", message, hint).is_some()
}

// The tests that name no value can miss every value as well.
fn can_hold(node: &Node<'_>, fact: Option<&Fact>, expect: &Expect) -> bool {
    let Some(fact) = fact.filter(|fact| !fact.one_of.is_empty()) else { return true };
    if fact.one_of.iter().any(|known| expect.accepts(known)) {
        return true;
    }
    node.refuse::<()>("not-one-of", format!("no value of the fact {} can fulfil this", fact.id)).is_some()
}

/// A value of a setting or fact.
pub(super) fn value(node: Node<'_>) -> Option<Value> {
    let value = node.scalar()?;
    match &value {
        Value::Text(text) if text.len() > VALUE_BYTES_MAX => {
            node.refuse("too-long", format!("a value has at most {VALUE_BYTES_MAX} bytes"))
        }
        Value::Text(text) if text.chars().any(is_unprintable) => {
            node.refuse("bad-text", "a value has no control or invisible characters")
        }
        Value::Text(_) | Value::Integer(_) | Value::Boolean(_) => Some(value),
    }
}
