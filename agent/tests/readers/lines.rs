//! properties: Java. env: systemd. keyvalue: PostgreSQL.

use std::collections::BTreeMap;

use agent::collect::Heard;
use manifests::baseline::{Format, Reader};
use manifests::evidence::Odd;

use super::generate::{Random, document};
use super::oracle::{self, Files};
use super::{count, said};

fn files(documents: &[String]) -> Files {
    Files::new(&documents.iter().map(|document| document.clone().into_bytes()).collect::<Vec<_>>())
}

#[test]
fn java_takes_the_same() {
    const LINES: [&str; 18] = [
        "lock=exclusive",
        "lock = exclusive ",
        "lock: shared",
        "lock shared",
        "a.b = c",
        "a\\=b = c",
        "a\\ b=c",
        "k",
        "k = a,\\",
        "    b,\\",
        "# words",
        "! words",
        "  # words \\",
        "u=\\u6392\\u4ed6",
        "d=C:\\\\data",
        "e=\\t\\n\\q",
        "",
        "k==v",
    ];
    const PIECES: [&str; 20] = [
        "\\", "\\\\", "=", ":", " ", "\t", "\u{c}", "#", "!", "\\u", "\\u00", "\\u0041", "\r", "\n", "\\\n", "\\\r\n",
        "\u{3000}", "\u{feff}", "排", "\u{b}",
    ];
    let (mut random, seed) = Random::new();
    let documents: Vec<_> = (0..count(4000)).map(|_| document(&mut random, &LINES, &PIECES, 8)).collect();
    let Some(answers) = oracle::java("ReadProperties.java", None, &files(&documents)) else { return };
    for (document, answer) in documents.iter().zip(answers) {
        let ours = said(document, Format::Properties, Reader::Java);
        let theirs: Option<BTreeMap<String, String>> = serde_json::from_value::<Option<Vec<(String, String)>>>(answer)
            .unwrap()
            .map(|all| all.into_iter().collect());
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntheirs {theirs:?}");
        assert_eq!(ours.is_ok(), theirs.is_some(), "{context}");
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { continue };
        // The last of equal names counts.
        let ours: BTreeMap<String, String> = ours
            .entries()
            .into_iter()
            .map(|(steps, value, _)| (steps[0].clone(), value.unwrap().to_string()))
            .collect();
        assert_eq!(ours, theirs, "{context}");
    }
}

#[test]
fn systemd_takes_the_same_environment() {
    const LINES: [&str; 20] = [
        "A=1",
        "B = x ",
        "LOCK=exclusive",
        "LOCK=\"ex cl\"",
        "LOCK='ex cl' more",
        "C=a\\",
        "D=a\\ b",
        "E=\"a\\nb\"",
        "F='a\\nb'",
        "export G=1",
        "# words",
        "; words",
        "1H=2",
        "I=a\"b\"c",
        "J=a b",
        "K=\"two",
        "lines\"",
        "L=x # words",
        "",
        "M=a=b",
    ];
    const PIECES: [&str; 16] =
        ["\"", "'", "\\", "\\\\", " ", "\t", "=", "#", ";", "\r", "\n", "\\\n", "排", "\u{a0}", "\\\"", "\u{b}"];
    let (mut random, seed) = Random::new();
    let documents: Vec<_> = (0..count(700)).map(|_| document(&mut random, &LINES, &PIECES, 7)).collect();
    // The program that is asked puts other variables in the place of these two.
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.contains(['$', '%'])).collect();
    let Some(answers) = oracle::systemd_environment(&files(&documents)) else { return };
    let system = oracle::systemd_environment(&files(&[String::new()])).unwrap().remove(0);
    for (document, theirs) in documents.iter().zip(answers) {
        let ours = said(document, Format::Env, Reader::Systemd).unwrap();
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntheirs {theirs:?}");
        let theirs = theirs.strip_prefix(&system).unwrap_or(&theirs).to_owned();
        // A variable with nothing in it is left out by the program that is asked.
        let mut names: Vec<String> = Vec::new();
        let mut expected = BTreeMap::new();
        for (steps, value, _) in ours.entries() {
            names.push(steps[0].clone());
            match value {
                Some(value) => expected.insert(steps[0].clone(), Some(value.to_string())),
                None => expected.insert(steps[0].clone(), None),
            };
        }
        for (name, value) in &expected {
            // What versions of systemd take differently is not told.
            if matches!(ours.find(name), Heard::Unclear(_, Odd::Continuation)) {
                continue;
            }
            let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { continue };
            let is_there =
                quoted(value).iter().any(|value| format!("\n{theirs}").contains(&format!("\n{name}={value}\n")));
            assert!(is_there, "{name}={value:?} {context}");
        }
        let doubtful = names.iter().any(|name| matches!(ours.find(name), Heard::Unclear(_, Odd::Continuation)));
        let told = expected.values().filter(|value| value.as_deref().is_some_and(|value| !value.is_empty())).count();
        let lines = theirs.lines().filter(|line| line.contains('=')).count();
        let is_counted =
            !doubtful && !has_lines(&expected) && expected.values().flatten().all(|value| !value.is_empty());
        let is_counted = is_counted && expected.values().all(Option::is_some);
        assert!(!is_counted || told == lines, "{told} {lines} {context}");
    }
}

fn has_lines(values: &BTreeMap<String, Option<String>>) -> bool {
    values.values().flatten().any(|value| value.contains(['\n', '=']))
}

/// A value as the program prints it: as it is, or in quotes with `\` before what a shell would take.
fn quoted(value: &str) -> [String; 2] {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' | '`' | '$' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    [value.to_owned(), quoted]
}

#[test]
fn postgresql_takes_the_same() {
    const LINES: [&str; 24] = [
        "a.lock = 'exclusive'",
        "a.lock 'exclusive'",
        "a.lock=exclusive",
        "a.LOCK = shared",
        "a.lock = on # words",
        "a.n = 4",
        "a.n 4MB",
        "a.n = -1.5e3",
        "a.n = 0x1F",
        "a.path = '/var/lib'",
        "a.path = C:/x",
        "a.t = 'it''s'",
        "a.t = 'it\\'s'",
        "a.t = 'a\\nb\\101'",
        "a.b.c = 1",
        "# words",
        "",
        "a.lock =",
        "a.lock = two words",
        "a.n = 1.",
        "a.n = .5",
        "a.n = a.b",
        "a.t = 'open",
        "work_mem = 4MB",
    ];
    const PIECES: [&str; 16] =
        ["'", "\\", "=", " ", "\t", "#", "\r", "\n", ".", "-", "_", "é", "\\\\", "''", "+", "\u{feff}"];
    let (mut random, seed) = Random::new();
    let documents: Vec<_> = (0..count(250)).map(|_| document(&mut random, &LINES, &PIECES, 3)).collect();
    let Some(postgres) = oracle::Postgres::new() else { return };
    let files = files(&documents);
    for (document, path) in documents.iter().zip(&files.paths) {
        let ours = said(document, Format::Keyvalue, Reader::Postgresql);
        // One that it always knows tells whether the file was taken.
        let taken = postgres.value(path, "server_version_num").is_some();
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntaken {taken}");
        let Ok(ours) = ours else {
            assert!(!taken, "{context}");
            continue;
        };
        let names: Vec<String> = ours.entries().iter().map(|(steps, ..)| steps[0].clone()).collect();
        // A name that is none of a parameter is refused when parameters are set, not when they are read.
        if !taken {
            let is_custom = |name: &String| name.starts_with("a.") && name.matches('.').count() == 1;
            assert!(!names.iter().all(is_custom), "{context}");
            continue;
        }
        for (steps, value, _) in ours.entries() {
            let name = &steps[0];
            if !name.starts_with("a.") || matches!(ours.find(name), Heard::Unclear(..)) {
                continue;
            }
            let theirs = postgres.value(path, name).map(|value| String::from_utf8_lossy(&value).into_owned());
            assert_eq!(value.map(|value| value.to_string()), theirs, "{name} {context}");
        }
    }
}
