//! xml: Expat. yaml: PyYAML and SnakeYAML. json: serde_json.

use agent::collect::{Heard, Said};
use manifests::baseline::{Format, Reader};
use manifests::value::Value;
use serde_json::Value as Json;

use super::generate::{Random, document};
use super::oracle::{self, Files};
use super::{count, said};

fn files(documents: &[String]) -> Files {
    Files::new(&documents.iter().map(|document| document.clone().into_bytes()).collect::<Vec<_>>())
}

#[test]
fn expat_takes_the_same() {
    const LINES: [&str; 26] = [
        "<queue lock=\"exclusive\"/>",
        "<queue lock='exclusive' n='1'></queue>",
        "<a>text</a>",
        "<a> text </a>",
        "<a><b/>x</a>",
        "<a>&lt;&#x6392;&amp;&quot;</a>",
        "<![CDATA[<b>&]]>",
        "<!-- words -->",
        "<?target words?>",
        "<n:a xmlns:n='u' n:b='1'/>",
        "<a xmlns='u'><b xmlns=''/></a>",
        "<排他 種別='1'/>",
        "<a b='x\ty'/>",
        "<a.b-c_d/>",
        "<a b='>'/>",
        "text",
        "<a b=\"&#9;&#10;\"/>",
        "<a></a >",
        "<a\nb='1'\n/>",
        "<a xml:lang='ja'/>",
        "<a>]]&gt;</a>",
        "<a>&unknown;</a>",
        "<b><b/></b>",
        "<a b = '1'/>",
        "<a xmlns:n='u' xmlns:m='u' n:b='1' m:c='2'/>",
        "",
    ];
    const PIECES: [&str; 40] = [
        "<",
        ">",
        "&",
        ";",
        "\"",
        "'",
        "=",
        " ",
        "/",
        "!",
        "?",
        "-",
        "--",
        "]]>",
        "<a>",
        "</a>",
        "<b/>",
        "&#",
        "&#x",
        "&amp;",
        "&#0;",
        "&#1;",
        "&#xFFFE;",
        "xmlns",
        "xmlns:n=''",
        ":",
        "n:",
        "1",
        "\r",
        "\u{1}",
        "\u{fffe}",
        "\u{85}",
        "é",
        "a",
        "<!DOCTYPE a>",
        "<!DOCTYPE a SYSTEM 'b'>",
        "<?xml version='1.0'?>",
        "<![CDATA[",
        "\u{feff}",
        "Ａ",
    ];
    let (mut random, seed) = Random::new();
    let make = |random: &mut Random| {
        let body = document(random, &LINES, &PIECES, 5);
        let before = random.one(&[
            "",
            "",
            "<?xml version=\"1.0\"?>\n",
            "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>",
            "<?xml version='1.0' encoding='utf-8'?>\n",
            "<!DOCTYPE root SYSTEM 'x.dtd'>",
            "<!DOCTYPE root PUBLIC '-//X' \"x.dtd\" >\n",
            "<!-- words -->\n",
            "\n<?xml version='1.0'?>",
        ]);
        match random.below(8) {
            0 => format!("{before}{body}"),
            _ => {
                format!("{before}<root>{body}</root>{}", random.one(&["", "\n", "<!-- x -->", "<?x y?>", "x", "<b/>"]))
            }
        }
    };
    let documents: Vec<_> = (0..count(6000)).map(|_| make(&mut random)).collect();
    let Some(answers) = oracle::script("read_expat.py", "xml.parsers.expat", &files(&documents)) else { return };
    let mut taken = 0;
    for (document, answer) in documents.iter().zip(answers) {
        let ours = said(document, Format::Xml, Reader::Expat);
        let theirs: Option<Vec<(String, Option<String>)>> = serde_json::from_value(answer).unwrap();
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntheirs {theirs:?}");
        // A document type with rules of its own is refused here, whatever Expat makes of it.
        assert!(theirs.is_some() || ours.is_err(), "{context}");
        if theirs.is_none() || (ours.is_err() && document.contains("<!DOCTYPE") && document.contains("[")) {
            continue;
        }
        let (Ok(ours), Some(theirs)) = (ours, theirs) else { panic!("{context}") };
        taken += 1;
        let mut entries: Vec<_> = ours
            .entries()
            .into_iter()
            .map(|(steps, value, _)| (steps.join("/"), value.map(|v| v.to_string())))
            .collect();
        let mut expected = theirs.clone();
        entries.sort();
        expected.sort();
        // What a document type elsewhere may fill is without a value here.
        assert!(entries == expected || document.contains("<!DOCTYPE"), "{context}");
    }
    assert!(taken * 10 > documents.len(), "{taken} of {} were taken", documents.len());
}

const YAML_LINES: [&str; 50] = [
    "queue:",
    "  lock: exclusive",
    "  lock: \"exclusive\"",
    "  n: 4",
    "  n: 010",
    "  n: 0o7",
    "  n: 1_000",
    "  n: 190:20:30",
    "  n: 0x1F",
    "  n: 1e3",
    "  n: 1.5",
    "  n: .5",
    "  n: +1",
    "  n: 0b11",
    "  b: yes",
    "  b: No",
    "  b: true",
    "  b: on",
    "  b: y",
    "  v: ~",
    "  v: null",
    "  v:",
    "  d: 2023-05-01",
    "  d: 2023-05-01T10:00:00Z",
    "  t: 'it''s'",
    "  t: \"a\\nb\\x41\"",
    "  s: a b # words",
    "  s: a#b",
    "list:",
    "- a",
    "- b: 1",
    "  c: 2",
    "flow: {a: 1, b: [x, y]}",
    "flow2: [1, 2,]",
    "# words",
    "",
    "base: &base {x: 1}",
    "copy: *base",
    "merged:",
    "  <<: *base",
    "text: |",
    "  line one",
    "  line two",
    "folded: >-",
    "  words",
    "one: two three",
    "\"quoted key\": 1",
    "1: one",
    "排他: する",
    "url: http://x/#y",
];
const YAML_PIECES: [&str; 36] = [
    ":", ": ", "- ", "#", " #", "\"", "'", "{", "}", "[", "]", ",", "&a ", "*a", "!", "!!str ", "|", ">", "%", "@",
    "`", "?", "? ", "\t", " ", "  ", "\n", "\r", "---\n", "...\n", "\u{85}", "\u{2028}", "\u{feff}", "\\", "~", "=",
];

fn yaml_documents(random: &mut Random, most: usize) -> Vec<String> {
    (0..most).map(|_| document(random, &YAML_LINES, &YAML_PIECES, 7)).collect()
}

/// Everything that ours says is what theirs has at that place. What ours refuses or leaves in doubt is not told.
fn yaml_agrees(ours: &Said, theirs: &Json, path: &str, context: &str) {
    if let Some(pairs) = theirs.get("map").and_then(Json::as_array) {
        for pair in pairs {
            let (kind, name) = (pair[0][0].as_str().unwrap_or_default(), pair[0][1].as_str().unwrap_or_default());
            if kind == "text" {
                let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
                let path = if path.is_empty() { quoted } else { format!("{path}.{quoted}") };
                yaml_agrees(ours, &pair[1], &path, context);
            }
        }
    } else if let Some(list) = theirs.get("list").and_then(Json::as_array) {
        for (number, one) in list.iter().enumerate() {
            let path = if path.is_empty() { number.to_string() } else { format!("{path}.{number}") };
            yaml_agrees(ours, one, &path, context);
        }
    }
    if path.is_empty() {
        return;
    }
    let (kind, text) = (theirs[0].as_str().unwrap_or("collection"), theirs[1].as_str().unwrap_or_default());
    match (ours.find(path), kind) {
        (Heard::Value(Value::Boolean(ours), _), "bool") => assert_eq!(ours.to_string(), text, "{path} {context}"),
        (Heard::Value(Value::Integer(ours), _), "int") => assert_eq!(ours.to_string(), text, "{path} {context}"),
        (Heard::Value(Value::Text(ours), _), "text") => assert_eq!(ours, text, "{path} {context}"),
        (Heard::Value(Value::Text(_), _), "int" | "float" | "time") => {}
        (Heard::NoValue(_), "null" | "collection") | (Heard::Unclear(..), _) => {}
        (ours, theirs) => panic!("{path}: ours {ours:?}, theirs {theirs} {text:?} {context}"),
    }
}

/// Every key that ours has is one that theirs has.
fn yaml_has(ours: &Said, theirs: &Json, context: &str) {
    for (steps, ..) in ours.entries() {
        let mut at = theirs;
        for step in &steps {
            let in_map = at.get("map").and_then(Json::as_array);
            // Of equal names the last counts.
            let named = in_map.and_then(|pairs| pairs.iter().rev().find(|pair| pair[0][1].as_str() == Some(step)));
            let in_list =
                at.get("list").and_then(Json::as_array).and_then(|list| list.get(step.parse::<usize>().ok()?));
            match named.map(|pair| &pair[1]).or(in_list) {
                Some(below) => at = below,
                // Another type than a text, or in the shadow of an equal name.
                None => {
                    let shown: Vec<_> = steps.iter().map(|step| format!("\"{step}\"")).collect();
                    let is_told = (1..=shown.len()).any(|len| {
                        let unquoted = steps.get(..len).unwrap_or_default().join(".");
                        let quoted = shown.get(..len).unwrap_or_default().join(".");
                        [unquoted, quoted].iter().any(|key| matches!(ours.find(key), Heard::Unclear(..)))
                    });
                    assert!(is_told, "{steps:?} {context}");
                    break;
                }
            }
        }
    }
}

fn yaml_compare(reader: Reader, seed: u64, documents: &[String], answers: Vec<Json>) {
    let (mut taken, mut refused) = (0, 0);
    for (document, answer) in documents.iter().zip(answers) {
        let ours = said(document, Format::Yaml, reader);
        let context = format!("seed {seed}, {reader}: {document:?}\nours {ours:?}\ntheirs {answer}");
        let (Ok(ours), Some(theirs)) = (ours, answer.get("yaml")) else {
            refused += usize::from(answer.get("yaml").is_some());
            continue;
        };
        taken += 1;
        yaml_agrees(&ours, theirs, "", &context);
        yaml_has(&ours, theirs, &context);
    }
    eprintln!("{reader}: {taken} documents compared, {refused} refused that it takes");
    assert!(taken * 20 > documents.len(), "{taken} of {} were taken", documents.len());
}

#[test]
fn pyyaml_takes_the_same() {
    let (mut random, seed) = Random::new();
    let documents = yaml_documents(&mut random, count(6000));
    let Some(answers) = oracle::script("read_pyyaml.py", "yaml", &files(&documents)) else { return };
    yaml_compare(Reader::Pyyaml, seed, &documents, answers);
}

#[test]
fn snakeyaml_takes_the_same() {
    let (mut random, seed) = Random::new();
    let documents = yaml_documents(&mut random, count(6000));
    let library = Some("/usr/share/java/snakeyaml.jar");
    let Some(answers) = oracle::java("ReadYaml.java", library, &files(&documents)) else { return };
    yaml_compare(Reader::Snakeyaml, seed, &documents, answers);
}

#[test]
fn json_is_what_serde_json_takes() {
    const LINES: [&str; 12] = [
        "{\"queue\": {\"lock\": \"exclusive\"}}",
        "{\"n\": -1.5e3, \"m\": 0}",
        "[1, 2, null]",
        "{\"a.b\": [true, false]}",
        "\"\\u6392\\n\"",
        "{}",
        "[]",
        "{\"a\": 9007199254740993}",
        "{\"a\": {}, \"b\": []}",
        "4",
        "{\"x\": \"\\ud83d\\ude00\"}",
        "{\"a\": 1,\n\"b\": 2}",
    ];
    const PIECES: [&str; 24] = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "0", "1", "-", "+", ".", "e", "true", "null", " ", "\n",
        "//x", "\t", "\u{1}", "'", "\u{a0}",
    ];
    let (mut random, seed) = Random::new();
    for _ in 0..count(20_000) {
        let document = document(&mut random, &LINES, &PIECES, 1);
        let ours = said(&document, Format::Json, Reader::Strict);
        let theirs: Result<Json, _> = serde_json::from_str(&document);
        let context = format!("seed {seed}: {document:?}\nours {ours:?}\ntheirs {theirs:?}");
        // A NUL is a character of JSON and of no document here; a number beyond all bounds is none there.
        let is_beyond =
            document.contains("\\u0000") || theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
        assert!(is_beyond || ours.is_ok() == theirs.is_ok(), "{context}");
    }
}
