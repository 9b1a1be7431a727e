//! ini: configparser, git, GLib, MariaDB.

use std::collections::BTreeMap;

use agent::collect::Heard;
use manifests::baseline::{Format, Reader};
use manifests::evidence::Odd;
use manifests::value::Value;

use super::generate::{Random, document};
use super::oracle::{self, Files};
use super::{count, said};

const LINES: [&str; 40] = [
    "[queue]",
    "[queue]",
    "[a]",
    "[a.b]",
    "[Queue]",
    "[ queue ]",
    "[queue] ; words",
    "[queue \"main\"]",
    "[DEFAULT]",
    "lock = exclusive",
    "lock=exclusive",
    "lock = exclusive ",
    "lock = \"exclusive\"",
    "lock = 'exclusive'",
    "lock = exclusive ; words",
    "lock = exclusive # words",
    "Lock = shared",
    "lock: shared",
    "lock",
    "n = 4",
    "m=a=b",
    "path = C:\\data",
    "path = C:\\temp\\new",
    "x = %(n)s",
    "y = 50%%",
    "z = 50%",
    "  more = 1",
    "\tmore = 1",
    "text = a \\",
    "; words",
    "# words",
    "; a = b",
    "",
    "  ",
    "name-1 = v",
    "name_1 = v",
    "k =",
    "= v",
    "排他 = する",
    "u = \"a\\\"b\" c",
];
const PIECES: [&str; 40] = [
    "[", "]", "=", ":", " ", "  ", "\t", ";", "#", "\"", "'", "\\", "\\\\", "\\n", "\\s", "%", "%(", ")s", "%(lock)s",
    "!", ".", "-", "_", "\r", "\n", "\n\n", "\u{3000}", "\u{a0}", "\u{85}", "\u{2028}", "\u{feff}", "\u{b}", "\u{c}",
    "\u{1c}", "à", "排", "DEFAULT", "a", "\n ", "]]",
];

fn documents(seed_of: &mut Random, most: usize) -> Vec<String> {
    (0..most).map(|_| document(seed_of, &LINES, &PIECES, 8)).collect()
}

fn bytes(documents: &[String]) -> Files {
    Files::new(&documents.iter().map(|document| document.clone().into_bytes()).collect::<Vec<_>>())
}

/// The last value of each section and name.
fn last(entries: impl IntoIterator<Item = (Vec<String>, Option<String>)>) -> BTreeMap<Vec<String>, Option<String>> {
    entries.into_iter().collect()
}

fn text(value: Option<Value>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Both are the same, but for values of which the agent says that it does not know.
fn agree(ours: &BTreeMap<Vec<String>, Option<String>>, theirs: &BTreeMap<Vec<String>, Option<String>>) -> bool {
    ours.keys().eq(theirs.keys()) && ours.iter().all(|(key, ours)| ours.is_none() || ours == &theirs[key])
}

fn compare_sections(reader: Reader, seed: u64, documents: &[String], answers: Vec<serde_json::Value>) {
    let mut taken = 0;
    for (document, answer) in documents.iter().zip(answers) {
        let ours = said(document, Format::Ini, reader);
        let theirs: Option<Vec<(String, String, Option<String>)>> = serde_json::from_value(answer).unwrap();
        let context = format!("seed {seed}, {reader}: {document:?}\nours {ours:?}\ntheirs {theirs:?}");
        assert_eq!(ours.is_ok(), theirs.is_some(), "{context}");
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { continue };
        taken += 1;
        let ours = last(ours.entries().into_iter().map(|(steps, value, _)| (steps, text(value))));
        let ours: BTreeMap<_, _> =
            ours.into_iter().filter(|(steps, _)| reader != Reader::Configparser || steps[0] != "DEFAULT").collect();
        let theirs = last(theirs.into_iter().map(|(section, name, value)| (vec![section, name], value)));
        assert!(agree(&ours, &theirs), "{context}");
    }
    assert!(taken * 20 > documents.len(), "{taken} of {} documents were taken: the rest shows little", documents.len());
}

#[test]
fn configparser_takes_the_same() {
    let (mut random, seed) = Random::new();
    let documents = documents(&mut random, count(4000));
    let Some(answers) = oracle::script("read_configparser.py", "configparser", &bytes(&documents)) else { return };
    compare_sections(Reader::Configparser, seed, &documents, answers);
}

#[test]
fn glib_takes_the_same() {
    let (mut random, seed) = Random::new();
    let documents = documents(&mut random, count(4000));
    let Some(answers) = oracle::glib(&bytes(&documents)) else { return };
    compare_sections(Reader::Glib, seed, &documents, answers);
}

#[test]
fn git_takes_the_same() {
    let (mut random, seed) = Random::new();
    let documents = documents(&mut random, count(1000));
    let Some(answers) = oracle::git(&bytes(&documents)) else { return };
    for (document, theirs) in documents.iter().zip(answers) {
        let ours = said(document, Format::Ini, Reader::Git);
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntheirs {theirs:?}");
        assert_eq!(ours.is_ok(), theirs.is_some(), "{context}");
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { continue };
        let values: Vec<_> = ours.entries().into_iter().map(|(_, value, _)| text(value)).collect();
        let same = |(ours, (_, theirs)): (&Option<String>, &(String, Option<String>))| ours.is_none() || ours == theirs;
        assert!(values.len() == theirs.len() && values.iter().zip(&theirs).all(same), "{context}");
        // By the name that git gives them.
        for (key, value) in theirs.iter().filter(|(key, _)| key.contains('.') && !key.starts_with('.')) {
            match ours.find(key) {
                Heard::Value(found, _) => {
                    let last = theirs.iter().rfind(|(other, _)| other == key).and_then(|(_, value)| value.as_ref());
                    assert_eq!(Some(&found.to_string()), last, "{key} {value:?} {context}");
                }
                Heard::NoValue(_) => assert_eq!(*value, None, "{key} {context}"),
                Heard::Unclear(_, Odd::Duplicate | Odd::Blanks) => {}
                other => panic!("{key} {other:?} {context}"),
            }
        }
    }
}

#[test]
fn mariadb_takes_the_same() {
    let (mut random, seed) = Random::new();
    let documents = documents(&mut random, count(1000));
    // Nothing is included here: what the files of a directory say is another file's.
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.contains("!include")).collect();
    // What stands before an `=` at the beginning of a line is read from memory that is none of the line's.
    let is_sound = |document: &String| !document.lines().any(|line| line.trim_start().starts_with('='));
    let documents: Vec<_> = documents.into_iter().filter(is_sound).collect();
    let files = bytes(&documents);
    let Some(answers) = oracle::mariadb(&files, "QUEUE") else { return };
    for (document, theirs) in documents.iter().zip(answers) {
        let ours = said(document, Format::Ini, Reader::Mariadb);
        let shown = theirs.as_deref().map(String::from_utf8_lossy);
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntheirs {shown:?}");
        assert_eq!(ours.is_ok(), theirs.is_some(), "{context}");
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { continue };
        let is_group = |steps: &[String]| steps.len() == 2 && steps[0].eq_ignore_ascii_case("queue");
        let entries: Vec<_> = ours.entries().into_iter().filter(|(steps, ..)| is_group(steps)).collect();
        // A name or value whose bytes are no text is left out, or without its value, here.
        let Ok(theirs) = String::from_utf8(theirs) else { continue };
        let line = |(steps, value, _): (Vec<String>, Option<Value>, u32)| match text(value) {
            Some(value) => format!("--{}={value}\n", steps[1]),
            None => format!("--{}\n", steps[1]),
        };
        let ours: String = entries.into_iter().map(line).collect();
        assert_eq!(ours, theirs, "{context}");
    }
}
