//! Keys: what a file's keys are within, and how a baseline writes them.
//!
//! Inside, a key is a list of steps, so that no two keys of a file are the same by their dots. A baseline
//! writes steps joined by dots; a step with a dot in it stands in quotes: `queue."print.lock"`.

use std::fmt::Write as _;

/// How the keys of a format are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One name, taken whole: properties, env, keyvalue.
    Flat,
    /// A section and a name: ini.
    Section,
    /// Names of tables and numbers of elements: toml, json, yaml.
    Tree,
    /// Names of elements joined by `/`, with `@` before an attribute's: xml.
    Path,
}

/// One step of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A name.
    Name(String),
    /// The number of a list's element, from 0.
    Element(usize),
}

/// A key as a file has it. Of [`Shape::Section`] the first step is the section, which a key before any
/// section does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Vec<Step>);

impl Key {
    /// Of one name.
    pub(crate) fn name(name: impl Into<String>) -> Self {
        Self(vec![Step::Name(name.into())])
    }

    /// Of a section and a name.
    pub(crate) fn in_section(section: Option<String>, name: String) -> Self {
        Self(section.into_iter().chain([name]).map(Step::Name).collect())
    }

    /// This key and one more step.
    pub(crate) fn child(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }

    /// The names of its steps with `fold` applied to each, given whether it is the last.
    pub(crate) fn folded(&self, fold: impl Fn(&str, bool) -> String) -> Self {
        let last = self.0.len().saturating_sub(1);
        let fold = |(at, step): (usize, &Step)| match step {
            Step::Name(name) => Step::Name(fold(name, at == last)),
            Step::Element(number) => Step::Element(*number),
        };
        Self(self.0.iter().enumerate().map(fold).collect())
    }

    /// As a baseline writes it.
    pub(crate) fn shown(&self, shape: Shape) -> String {
        let mut shown = String::new();
        let last = self.0.len().saturating_sub(1);
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                shown.push(if shape == Shape::Path { '/' } else { '.' });
            }
            match step {
                Step::Name(name) => {
                    let quoted = match shape {
                        Shape::Flat | Shape::Path => false,
                        // The section is all before the last dot.
                        Shape::Section if at < last => name.starts_with(['"', '\'']),
                        Shape::Section => name.is_empty() || name.contains(['.', '"', '\'']),
                        Shape::Tree => {
                            name.is_empty()
                                || name.contains(['.', '"', '\''])
                                || name.bytes().all(|b| b.is_ascii_digit())
                        }
                    };
                    if quoted { quote(name, &mut shown) } else { shown.push_str(name) }
                }
                Step::Element(number) => _ = write!(shown, "{number}"),
            }
        }
        shown
    }
}

/// How long a step is, with what joins it to the next.
pub(crate) fn step_bytes(step: &Step) -> usize {
    match step {
        Step::Name(name) => name.len() + 1,
        Step::Element(_) => 8,
    }
}

fn quote(name: &str, shown: &mut String) {
    shown.push('"');
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown.push('"');
}

/// A key of a baseline, as it may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What it says by the rules of `docs/readers.md`.
    pub(crate) key: Key,
    /// What else it may be meant to say: where a file has one of these, the key is unclear.
    pub(crate) also: Vec<Key>,
}

impl Wanted {
    /// What a baseline's `text` asks for.
    pub(crate) fn of(text: &str, shape: Shape) -> Self {
        match shape {
            Shape::Flat => Self { key: Key::name(text), also: Vec::new() },
            Shape::Path => {
                Self { key: Key(text.split('/').map(|step| Step::Name(step.to_owned())).collect()), also: Vec::new() }
            }
            Shape::Tree => tree(text),
            Shape::Section => section(text),
        }
    }
}

// A number is an element's; a table's key of digits stands in quotes.
fn tree(text: &str) -> Wanted {
    let steps = split(text);
    let bare = |step: &(String, bool)| match step.0.parse() {
        Ok(number) if !step.1 && step.0 == format!("{number}") => Step::Element(number),
        _ => Step::Name(step.0.clone()),
    };
    let key = Key(steps.iter().map(bare).collect());
    let has_numbers = key.0.iter().any(|step| matches!(step, Step::Element(_)));
    let also = Key(steps.into_iter().map(|(name, _)| Step::Name(name)).collect());
    Wanted { also: if has_numbers { vec![also] } else { Vec::new() }, key }
}

/// The most dots of an ini key of which every one is tried as the end of the section.
const SPLITS_MAX: usize = 64;

fn section(text: &str) -> Wanted {
    let exact = |section: Option<&str>, name: String| {
        let section = section.map(|section| match whole_quoted(section) {
            Some(section) => section,
            None => section.to_owned(),
        });
        Wanted { key: Key::in_section(section, name), also: Vec::new() }
    };
    // A quoted name at the end leaves nothing to guess.
    let starts = text.match_indices(['"', '\'']).map(|(at, _)| at).filter(|at| *at == 0 || text[..*at].ends_with('.'));
    for at in starts.take(SPLITS_MAX) {
        if let Some(name) = text.get(at..).and_then(whole_quoted) {
            return exact(at.checked_sub(1).and_then(|end| text.get(..end)), name);
        }
    }
    let Some((section, name)) = text.rsplit_once('.') else {
        return Wanted { key: Key::name(text), also: Vec::new() };
    };
    let mut wanted = exact(Some(section), name.to_owned());
    if whole_quoted(section).is_none() {
        let others = section.match_indices('.').take(SPLITS_MAX);
        let others = others.filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)));
        wanted.also.extend(others.map(|(s, n)| Key::in_section(Some(s.to_owned()), n.to_owned())));
        wanted.also.push(Key::name(text));
    }
    wanted
}

/// The steps between dots, and whether each stands in quotes.
fn split(text: &str) -> Vec<(String, bool)> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        if let Some((name, behind)) = quoted(rest)
            && (behind.is_empty() || behind.starts_with('.'))
        {
            steps.push((name, true));
            match behind.strip_prefix('.') {
                Some(behind) => rest = behind,
                None => return steps,
            }
            continue;
        }
        match rest.split_once('.') {
            Some((name, behind)) => {
                steps.push((name.to_owned(), false));
                rest = behind;
            }
            None => {
                steps.push((rest.to_owned(), false));
                return steps;
            }
        }
    }
}

/// The text in quotes that `text` is, with nothing around it.
fn whole_quoted(text: &str) -> Option<String> {
    quoted(text).and_then(|(name, behind)| behind.is_empty().then_some(name))
}

/// The text in quotes at the beginning, and what stands behind it. `\"` and `\\` are characters between
/// double quotes; between single quotes every character is itself.
fn quoted(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (name, behind) = rest.split_once('\'')?;
        return Some((name.to_owned(), behind));
    }
    let rest = text.strip_prefix('"')?;
    let mut name = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, rest.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\') => name.push(c),
                _ => return None,
            },
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Key {
        Key(names.iter().map(|name| Step::Name((*name).to_owned())).collect())
    }

    #[test]
    fn a_key_of_an_ini_file_is_a_section_and_a_name() {
        let wanted = |text: &str| Wanted::of(text, Shape::Section);
        assert_eq!(wanted("queue.lock").key, names(&["queue", "lock"]));
        assert_eq!(wanted("queue.lock").also, [names(&["queue.lock"])]);
        let deep = wanted("queue.print.lock");
        assert_eq!(deep.key, names(&["queue.print", "lock"]));
        assert_eq!(deep.also, [names(&["queue", "print.lock"]), names(&["queue.print.lock"])]);
        for (text, key) in [
            ("queue.\"print.lock\"", names(&["queue", "print.lock"])),
            ("queue.'print.lock'", names(&["queue", "print.lock"])),
            ("\"queue.print\".lock", names(&["queue.print", "lock"])),
            ("\"a.b\"", names(&["a.b"])),
            ("q.\"a\\\"b\\\\\"", names(&["q", "a\"b\\"])),
        ] {
            assert_eq!(wanted(text), Wanted { key, also: vec![] }, "{text}");
        }
        assert_eq!(wanted("queue \"main\".lock").key, names(&["queue \"main\"", "lock"]));
        assert_eq!(wanted("lock"), Wanted { key: names(&["lock"]), also: vec![] });
    }

    #[test]
    fn a_key_of_a_tree_is_names_and_numbers() {
        let wanted = |text: &str| Wanted::of(text, Shape::Tree);
        assert_eq!(wanted("a.\"b.c\".d").key, names(&["a", "b.c", "d"]));
        assert_eq!(wanted("a.b"), Wanted { key: names(&["a", "b"]), also: vec![] });
        let list = wanted("list.0");
        assert_eq!(list.key.0, [Step::Name("list".into()), Step::Element(0)]);
        assert_eq!(list.also, [names(&["list", "0"])]);
        assert_eq!(wanted("list.\"0\""), Wanted { key: names(&["list", "0"]), also: vec![] });
        assert_eq!(wanted("list.00").key, names(&["list", "00"]));
    }

    #[test]
    fn what_is_shown_is_what_asks_for_the_key() {
        let odd = ["a", "a.b", "", "0", "a\"b", "'", "a\\", "排他", "x.\"y\"", "\"q\"", "a b"];
        for one in odd {
            for other in odd {
                let key = names(&[one, other]);
                for shape in [Shape::Tree, Shape::Section] {
                    let shown = key.shown(shape);
                    assert_eq!(Wanted::of(&shown, shape).key, key, "{shown:?} {shape:?}");
                }
            }
            assert_eq!(Wanted::of(&names(&[one]).shown(Shape::Tree), Shape::Tree).key, names(&[one]));
            assert_eq!(Wanted::of(&names(&[one]).shown(Shape::Section), Shape::Section).key, names(&[one]));
        }
        assert_eq!(Key(vec![Step::Name("l".into()), Step::Element(3)]).shown(Shape::Tree), "l.3");
    }
}
