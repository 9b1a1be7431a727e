//! Conditions on facts, in three-valued logic (Kleene): what is not known is neither true nor false.

use std::fmt;

use crate::id::ItemId;
pub use crate::value::Truth;
use crate::value::{Expect, Value};

/// The deepest nesting of a condition that a baseline may have.
pub const DEPTH_MAX: usize = 16;

/// A `when` of a baseline: `{ fact = "topology", equals = "split" }`, joined by `all`, `any`, `not`.
#[derive(Clone, Debug)]
pub enum Condition {
    /// A fact's value is as expected; never [`Expect::Present`] or [`Expect::Absent`], which a baseline cannot say here: a fact whose key is absent is unknown.
    Fact(ItemId, Expect),
    /// All hold; true if there are none.
    All(Vec<Condition>),
    /// At least one holds; false if there are none.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// What is known of one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Its value.
    Value(&'a Value),
    /// Nothing.
    Nothing,
}

impl Condition {
    /// Its truth, given what is known of each fact.
    pub fn truth<'a>(&self, known: &impl Fn(&ItemId) -> Known<'a>) -> Truth {
        match self {
            Condition::Fact(fact, expect) => match known(fact) {
                Known::Value(value) => expect.holds(value),
                Known::Nothing => Truth::Unknown,
            },
            // Worst first: one false decides `all`, one true decides `any`, whatever is unknown.
            Condition::All(conditions) => {
                conditions.iter().map(|c| c.truth(known)).fold(Truth::True, |a, b| match (a, b) {
                    (Truth::False, _) | (_, Truth::False) => Truth::False,
                    (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                    (Truth::True, Truth::True) => Truth::True,
                })
            }
            Condition::Any(conditions) => {
                conditions.iter().map(|c| c.truth(known)).fold(Truth::False, |a, b| match (a, b) {
                    (Truth::True, _) | (_, Truth::True) => Truth::True,
                    (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                    (Truth::False, Truth::False) => Truth::False,
                })
            }
            Condition::Not(condition) => !condition.truth(known),
        }
    }

    /// The facts it names, in reading order, repetitions included.
    pub fn facts(&self) -> Vec<&ItemId> {
        match self {
            Condition::Fact(fact, _) => vec![fact],
            Condition::All(conditions) | Condition::Any(conditions) => {
                conditions.iter().flat_map(Condition::facts).collect()
            }
            Condition::Not(condition) => condition.facts(),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, conditions: &[Condition]| {
            write!(f, "{name}(")?;
            for (index, condition) in conditions.iter().enumerate() {
                write!(f, "{}{condition}", if index == 0 { "" } else { ", " })?;
            }
            f.write_str(")")
        };
        match self {
            Condition::Fact(fact, expect) => write!(f, "{fact} {expect}"),
            Condition::All(conditions) => list(f, "all", conditions),
            Condition::Any(conditions) => list(f, "any", conditions),
            Condition::Not(condition) => write!(f, "not({condition})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(condition: &Condition) -> Truth {
        let value = Value::Text("split".to_owned());
        condition.truth(&|fact| if fact.as_str() == "topology" { Known::Value(&value) } else { Known::Nothing })
    }

    #[test]
    fn an_unknown_fact_decides_only_where_it_must() {
        let fact = |name: &str, value: &str| {
            Condition::Fact(name.parse().unwrap(), Expect::Equals(Value::Text(value.to_owned())))
        };
        let (yes, no, open) = (fact("topology", "split"), fact("topology", "single"), fact("method", "batch"));
        let check = |condition: Condition, expected| assert_eq!(truth(&condition), expected, "{condition}");
        check(Condition::All(vec![yes.clone(), open.clone()]), Truth::Unknown);
        check(Condition::All(vec![open.clone(), no.clone()]), Truth::False);
        check(Condition::Any(vec![open.clone(), yes.clone()]), Truth::True);
        check(Condition::Any(vec![no.clone(), open.clone()]), Truth::Unknown);
        check(Condition::Not(Box::new(open)), Truth::Unknown);
        check(Condition::Not(Box::new(no)), Truth::True);
        check(Condition::All(vec![]), Truth::True);
        check(Condition::Any(vec![]), Truth::False);
    }
}
