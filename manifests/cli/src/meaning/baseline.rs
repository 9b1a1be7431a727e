//! What a baseline requires, and what is loosened in another.
//!
//! Compared by what stands in the file, item by item: whatever a key means, no change of it goes unseen, and of
//! two different texts something is said.
//! Where a change is sure to let more through it says *LOOSENS*, where it depends, *may loosen*.

use std::collections::BTreeMap;

use manifests::time::Span;
use toml::{Table, Value};

/// Kinds of which one that goes is required no more.
const REQUIRING: [&str; 3] = ["fix", "setting", "program"];
/// Keys of lengths of time that let a gate stay open longer.
const SPANS: [&str; 4] = ["heartbeat", "permit_ttl", "evidence_max_age", "expiry_grace"];
/// Keys by which more is looked at: without them, or with less in them, something need not be shown any more.
const SHOWING: [&str; 2] = ["follow", "loads"];
/// Keys that decide whom an item concerns, or what it accepts.
const DECIDING: [&str; 17] = [
    "requires",
    "when",
    "roles",
    "sites",
    "exclude",
    "required_from",
    "pinned",
    "files",
    "follow",
    "loads",
    "process",
    "touches_nobody",
    "no_fix_yet",
    "reader",
    "in_force",
    "replaces",
    "over",
];

/// Items by kind and id, each with its keys as text.
type Items = BTreeMap<String, BTreeMap<String, Value>>;

/// One line for each difference; both are texts of baselines.
pub(crate) fn changes(before: &str, after: &str) -> Vec<String> {
    let (old, new) = match (toml::from_str::<Table>(before), toml::from_str::<Table>(after)) {
        (Ok(old), Ok(new)) => (old, new),
        _ if before == after => return Vec::new(),
        _ => return vec!["it cannot be read, so nobody can say what changes".to_owned()],
    };
    let mut lines = compare(&items(&old), &items(&new));
    if lines.is_empty() && old != new {
        lines.push("~ the same items in another order".to_owned());
    } else if lines.is_empty() && before != after {
        lines.push("~ remarks, spaces or the order of keys, and nothing else".to_owned());
    }
    lines
}

fn compare(before: &Items, after: &Items) -> Vec<String> {
    let mut lines = Vec::new();
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        match (before.get(name), after.get(name)) {
            (None, Some(new)) => {
                // What another item brings with it admits nothing that was held before.
                let is_of_known = name.split_once(" of ").is_some_and(|(_, of)| before.contains_key(of));
                lines.push(format!("+ {}", added(name, new, is_of_known)));
            }
            (Some(old), None) => lines.push(format!("- {}", removed(name, old))),
            (Some(old), Some(new)) => {
                let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
                for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
                    let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                    let mark = mark(key, old.get(key), new.get(key));
                    let (old, new) = (text(old.get(key)), text(new.get(key)));
                    lines.push(format!("~ {name}: {mark}{key} is {new}, was {old}"));
                }
            }
            (None, None) => {}
        }
    }
    lines
}

fn added(name: &str, item: &BTreeMap<String, Value>, is_of_known: bool) -> String {
    if name.starts_with("waiver ") {
        let text = |key| item.get(key).map(ToString::to_string).unwrap_or_default();
        return format!("{name}: LOOSENS until {}, for {}", text("until"), text("reason"));
    }
    let admits = name.starts_with("release ") || name.starts_with("patch ");
    match (admits, item.contains_key("denied")) {
        (true, true) => format!("{name}, denied"),
        (true, false) if is_of_known => format!("{name}: LOOSENS, another tree is admitted"),
        (true, false) => format!("{name}: admitted"),
        _ => name.to_owned(),
    }
}

fn removed(name: &str, item: &BTreeMap<String, Value>) -> String {
    let is_required = REQUIRING.iter().any(|kind| name.starts_with(&format!("{kind} ")));
    if is_required || item.contains_key("denied") || item.contains_key("pinned") {
        format!("{name}: LOOSENS, it is required no more")
    } else {
        name.to_owned()
    }
}

fn mark(key: &str, old: Option<&Value>, new: Option<&Value>) -> &'static str {
    let is = |value: Option<&Value>, text: &str| value.and_then(Value::as_str) == Some(text);
    let span = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse::<Span>().ok());
    match key {
        "enforce" if is(new, "warn") => "LOOSENS, ",
        "kind" if is(old, "exclusive-lock") => "LOOSENS, ",
        "denied" | "pinned" | "process" | "in_force" if new.is_none() => "LOOSENS, ",
        "waivable" if old.and_then(Value::as_bool) == Some(false) => "LOOSENS, ",
        "tree" => "LOOSENS, ",
        "pinned" if old.is_some() && is_less(new, old) => "LOOSENS, ",
        _ if SHOWING.contains(&key) && is_less(old, new) => "LOOSENS, ",
        "requires" if is_less(old, new) && is_less_or_same(new, old) => "LOOSENS, ",
        "until" => "may loosen, ",
        "expect" if !is_within(old, new) => "LOOSENS, ",
        _ if SPANS.contains(&key) && span(new) > span(old) => "LOOSENS, ",
        _ if DECIDING.contains(&key) => "may loosen, ",
        _ => "",
    }
}

// Whether something of the old value is not in the new one: all of it, or an entry of a list.
fn is_less(old: Option<&Value>, new: Option<&Value>) -> bool {
    !is_less_or_same(old, new)
}

// Whether all of `one` is in `other`.
fn is_less_or_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (None, _) => true,
        (Some(Value::Array(one)), Some(Value::Array(other))) => one.iter().all(|value| other.contains(value)),
        (Some(one), Some(other)) => one == other,
        (Some(_), None) => false,
    }
}

// Whether everything that the new expectation accepts was accepted before.
fn is_within(old: Option<&Value>, new: Option<&Value>) -> bool {
    let accepted = |value: Option<&Value>| -> Option<Vec<Value>> {
        let table = value?.as_table().filter(|table| table.len() == 1)?;
        match (table.get("equals"), table.get("one_of")) {
            (Some(one), None) => Some(vec![one.clone()]),
            (None, Some(Value::Array(several))) => Some(several.clone()),
            _ => None,
        }
    };
    match (accepted(old), accepted(new)) {
        (Some(old), Some(new)) => new.iter().all(|value| old.contains(value)),
        _ => false,
    }
}

fn items(table: &Table) -> Items {
    let mut items = Items::new();
    collect(&mut items, "baseline", table, None);
    items
}

// A second one of the same name stands beside the first, never in its place.
fn insert(items: &mut Items, name: &str, item: BTreeMap<String, Value>) {
    let mut own = name.to_owned();
    let mut count = 1;
    while items.contains_key(&own) {
        count += 1;
        own = format!("{name} [{count}]");
    }
    items.insert(own, item);
}

// Tables that are lists of their own become items, and so do those that stand in the document itself, for
// which `of` is none; everything else is a value of the one it stands in.
fn collect(items: &mut Items, name: &str, table: &Table, of: Option<&str>) {
    let is_item = |key: &str, value: &Value| match value {
        Value::Array(array) => !array.is_empty() && array.iter().all(Value::is_table) && key != "requires",
        Value::Table(_) => of.is_none(),
        _ => false,
    };
    let own = table.iter().filter(|(key, value)| !is_item(key, value));
    insert(items, name, own.map(|(key, value)| (key.escape_debug().to_string(), value.clone())).collect());
    for (key, value) in table.iter().filter(|(key, value)| is_item(key, value)) {
        let key = key.escape_debug();
        match value {
            Value::Array(array) => {
                for (index, inner) in array.iter().filter_map(Value::as_table).enumerate() {
                    let id = id(inner).unwrap_or_else(|| format!("{}", index + 1));
                    let name = format!("{key} {id}{}", of.unwrap_or_default());
                    collect(items, &name, inner, Some(&format!(" of {name}")));
                }
            }
            Value::Table(inner) => collect(items, &key.to_string(), inner, Some("")),
            _ => {}
        }
    }
}

fn id(table: &Table) -> Option<String> {
    let text = |key: &str| table.get(key).map(|value| value.to_string().trim_matches('"').escape_debug().to_string());
    match (text("id"), text("item"), text("version")) {
        (Some(id), ..) => Some(id),
        (None, Some(item), _) => Some(format!("{item} on {}", text("hosts").unwrap_or_default())),
        (None, None, Some(version)) => {
            let variant = text("variant").map(|variant| format!(" ({variant})"));
            Some(format!("{version}{}", variant.unwrap_or_default()))
        }
        (None, None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"
version = "1.0.0"
[gate]
permit_ttl = "30m"
[[program]]
id = "server"
[[program.release]]
version = "3.4.1"
tree = "sha256:aa"
[[program.release]]
version = "3.3.0"
denied = "prints another"
[[setting]]
id = "lock"
kind = "exclusive-lock"
expect = { equals = "exclusive" }
enforce = "hold"
[[fix]]
id = "FIX-2019-0007"
requires = [ { program = "server", fixed_in = ">=3.4.1" } ]
"#;

    #[track_caller]
    fn check(from: &str, to: &str, line: &str) {
        assert!(BEFORE.contains(from), "{from}");
        let lines = changes(BEFORE, &BEFORE.replacen(from, to, 1));
        assert!(lines.iter().any(|found| found == line), "{line:?} is not in {lines:#?}");
    }

    #[test]
    fn what_is_loosened_is_called_so() {
        check(
            "{ equals = \"exclusive\" }",
            "{ one_of = [\"exclusive\", \"shared\"] }",
            "~ setting lock: LOOSENS, expect is { one_of = [\"exclusive\", \"shared\"] }, was { equals = \"exclusive\" }",
        );
        check("enforce = \"hold\"", "enforce = \"warn\"", "~ setting lock: LOOSENS, enforce is \"warn\", was \"hold\"");
        check("permit_ttl = \"30m\"", "permit_ttl = \"24h\"", "~ gate: LOOSENS, permit_ttl is \"24h\", was \"30m\"");
        check(
            "denied = \"prints another\"",
            "",
            "~ release 3.3.0 of program server: LOOSENS, denied is nothing, was \"prints another\"",
        );
        check(
            "[[fix]]\nid = \"FIX-2019-0007\"\nrequires = [ { program = \"server\", fixed_in = \">=3.4.1\" } ]\n",
            "[[waiver]]\nitem = \"lock\"\nhosts = [\"402206-ap1\"]\nreason = \"r\"\nuntil = 2099-01-01T00:00:00Z\n",
            "- fix FIX-2019-0007: LOOSENS, it is required no more",
        );
        check(
            "fixed_in = \">=3.4.1\"",
            "fixed_in = \">=3\"",
            "~ fix FIX-2019-0007: may loosen, requires is [{ fixed_in = \">=3\", program = \"server\" }], was [{ fixed_in = \">=3.4.1\", program = \"server\" }]",
        );
    }

    #[test]
    fn what_need_not_be_shown_any_more_and_trees_that_are_admitted_are_loosened() {
        check(
            "[[program.release]]",
            "[[program.release]]\nversion = \"3.4.2\"\ntree = \"x\"\n[[program.release]]",
            "+ release 3.4.2 of program server: LOOSENS, another tree is admitted",
        );
        check(
            "\"sha256:aa\"",
            "\"sha256:bb\"",
            "~ release 3.4.1 of program server: LOOSENS, tree is \"sha256:bb\", was \"sha256:aa\"",
        );
        let two = "requires = [ { program = \"server\", fixed_in = \">=3.4.1\" }, { setting = \"lock\" } ]";
        let one = "requires = [ { setting = \"lock\" } ]";
        let config = "[[config]]\nid = \"print\"\npinned = [\"a\", \"b\"]\n";
        let more = BEFORE.replace("requires = [ { program = \"server\", fixed_in = \">=3.4.1\" } ]", two) + config;
        let marks = |from: &str, to: &str| {
            let lines = changes(&more, &more.replacen(from, to, 1));
            assert!(lines.len() == 1 && more.contains(from), "{from}: {lines:#?}");
            lines[0].split(" is ").next().unwrap().to_owned()
        };
        assert_eq!(marks(two, one), "~ fix FIX-2019-0007: LOOSENS, requires");
        assert_eq!(
            marks("{ setting = \"lock\" }", "{ setting = \"other\" }"),
            "~ fix FIX-2019-0007: may loosen, requires"
        );
        assert_eq!(marks("pinned = [\"a\", \"b\"]\n", ""), "~ config print: LOOSENS, pinned");
        assert_eq!(marks("\"b\"]", "\"b\", \"c\"]"), "~ config print: LOOSENS, pinned");
        assert_eq!(marks("\"a\", ", ""), "~ config print: may loosen, pinned");
        let followed =
            more.replace("id = \"server\"", "id = \"server\"\nfollow = [\"/a\", \"/b\"]\nprocess = { exe = \"x\" }");
        let less = changes(&followed, &followed.replace(", \"/b\"", ""));
        assert_eq!(less, ["~ program server: LOOSENS, follow is [\"/a\"], was [\"/a\", \"/b\"]"]);
        let less = changes(&followed, &followed.replace("process = { exe = \"x\" }\n", ""));
        assert_eq!(less, ["~ program server: LOOSENS, process is nothing, was { exe = \"x\" }"]);
        // Of a program that comes with its releases nothing was held before.
        let all = changes("version = \"1\"", BEFORE);
        assert!(all.contains(&"+ release 3.4.1 of program server: admitted".to_owned()), "{all:#?}");
    }

    #[test]
    fn what_is_not_loosened_is_shown_too() {
        assert_eq!(changes(BEFORE, BEFORE), Vec::<String>::new());
        check("version = \"1.0.0\"", "version = \"1.0.1\"", "~ baseline: version is \"1.0.1\", was \"1.0.0\"");
        check("permit_ttl = \"30m\"", "permit_ttl = \"20m\"", "~ gate: permit_ttl is \"20m\", was \"30m\"");
    }

    #[test]
    fn items_of_one_name_stand_beside_each_other() {
        let twice = format!("{BEFORE}[[setting]]\nid = \"lock\"\nenforce = \"hold\"\n[baseline]\nx = 1\n");
        assert_eq!(changes(BEFORE, &twice), ["+ baseline [2]", "+ setting lock [2]"]);
        let weaker = twice.replacen("enforce = \"hold\"", "enforce = \"warn\"", 1);
        assert_eq!(changes(&twice, &weaker), ["~ setting lock: LOOSENS, enforce is \"warn\", was \"hold\""]);
    }

    /// Every document that differs from `value` in one place: gone, other, or there twice.
    fn others(value: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        match value {
            Value::Table(table) => {
                for (key, inner) in table {
                    let mut gone = table.clone();
                    gone.remove(key);
                    found.push(Value::Table(gone));
                    for other in others(inner).into_iter().chain([Value::from("another")]) {
                        let mut table = table.clone();
                        table.insert(key.clone(), other);
                        found.push(Value::Table(table));
                    }
                }
            }
            Value::Array(array) => {
                for (index, inner) in array.iter().enumerate() {
                    let with = |values: Vec<Value>| {
                        let mut array = array.clone();
                        array.splice(index..=index, values);
                        Value::Array(array)
                    };
                    found.extend([with(vec![]), with(vec![inner.clone(), inner.clone()])]);
                    found.extend(others(inner).into_iter().map(|other| with(vec![other])));
                }
                found.extend([array.iter().rev().cloned().collect()].map(Value::Array));
            }
            _ => found.push(Value::from("another")),
        }
        found
    }

    #[test]
    fn of_two_different_documents_something_is_said_whatever_else_changed() {
        let twice =
            format!("{BEFORE}[[setting]]\nid = \"lock\"\n[[fix]]\nid = \"FIX-2019-0007\"\n[baseline.gate]\nx = 1\n");
        for before in [BEFORE, &twice] {
            let value = Value::Table(before.parse().unwrap());
            let others: Vec<_> = others(&value).into_iter().filter(|other| *other != value).collect();
            assert!(others.len() > 50, "{}", others.len());
            for other in others {
                let after = toml::to_string(&other).unwrap();
                let lines = changes(before, &after);
                assert!(!lines.is_empty(), "{after}");
                // Nothing hides behind the version, which changes each time.
                let is_order = lines.iter().any(|line| line.contains("another order"));
                if other.get("version") == value.get("version") && !is_order {
                    let mut other = other.clone();
                    other.as_table_mut().unwrap().insert("version".to_owned(), "2.0.0".into());
                    let with_version = changes(before, &toml::to_string(&other).unwrap());
                    assert_eq!(with_version.len(), lines.len() + 1, "{with_version:#?}");
                }
            }
        }
        for (before, after) in [(BEFORE, &format!("{BEFORE}# a remark\n")), ("x = ", &"y = ".to_owned())] {
            assert_eq!(changes(before, after).len(), 1);
        }
    }
}
