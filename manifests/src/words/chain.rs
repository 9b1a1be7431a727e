//! An error with its causes, as logs, terminals and answers show it.

use std::error::Error;

/// An error and its causes in one line. Some libraries put the cause into their own words already: it
/// is not said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Told {
        words: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(words: &'static str, source: Option<Told>) -> Told {
        Told { words, source: source.map(Box::new) }
    }

    #[test]
    fn every_cause_is_said_once() {
        assert_eq!(chain(&told("a", Some(told("b", Some(told("c", None)))))), "a: b: c");
        assert_eq!(chain(&told("a: b", Some(told("b", Some(told("c", None)))))), "a: b: c");
        assert_eq!(chain(&told("a", None)), "a");
    }
}
