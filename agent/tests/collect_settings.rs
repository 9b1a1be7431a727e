//! Settings and facts: layers, duplicates, encodings, and what is not known.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of test functions")]

#[path = "support/baseline.rs"]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use agent::collect::{Collector, Limits, Pass};
use manifests::digest::Digest;
use manifests::evidence::{
    ConfigContent, FactSeen, FileSeen, InForceSeen, Odd, PackageSeen, SettingSeen, State, ValueSeen, Why,
};
use manifests::id::ItemId;
use manifests::value::Value;
use support::baseline;

fn id(text: &str) -> ItemId {
    text.parse().unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Files of a host, and what its baseline says of configurations.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        for (name, content) in files {
            host.write(name, content);
        }
        host
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A configuration `c` of these files, with a setting `s` of this key.
    fn part(&self, files: &[&str], format: &str, config: &str, key: &str, setting: &str) -> String {
        let files: Vec<_> = files.iter().map(|file| format!("{:?}", self.path().join(file))).collect();
        format!(
            "[[config]]\nid = \"c\"\nfiles = [{}]\nformat = \"{format}\"\nreload = \"live\"\n{config}\n\
             [[setting]]\nid = \"s\"\nconfig = \"c\"\nkey = {key:?}\npattern = \"misconfiguration\"\n\
             enforce = \"hold\"\nowner = \"o\"\nremediation = {{ en = \"r\" }}\n{setting}\n",
            files.join(", ")
        )
    }

    fn pass(&self, part: &str) -> Pass {
        Collector::new([7; 32], None).pass(&baseline(part), None, &Limits::default(), &|| {})
    }

    fn value(&self, files: &[&str], format: &str, config: &str, key: &str) -> ValueSeen {
        let part = self.part(files, format, config, key, "expect = { present = true }");
        self.pass(&part).state.settings[&id("s")].value.clone()
    }

    fn file(&self, file: &str) -> String {
        self.path().join(file).to_str().unwrap().to_owned()
    }

    fn found(&self, value: Value, file: &str, line: u32) -> ValueSeen {
        ValueSeen::Value { value, file: self.file(file), line }
    }
}

#[test]
fn the_winning_file_and_line_are_kept() {
    let host = Host::new(&[
        ("a.ini", b"[q]\nlock=shared\nonly=a\n"),
        ("d/20.ini", b"[q]\n\n\nlock=exclusive\n"),
        ("d/10.ini", b"[q]\nlock=none\n"),
        ("d/.hidden.ini", b"[q]\nlock=hidden\n"),
        ("d/30.ini~", b"not read"),
    ]);
    let files = ["a.ini", "d/*.ini"];
    assert_eq!(host.value(&files, "ini", "", "q.lock"), host.found(text("exclusive"), "d/20.ini", 4));
    assert_eq!(host.value(&files, "ini", "", "q.only"), host.found(text("a"), "a.ini", 3));
    assert_eq!(host.value(&files, "ini", "first_wins = true", "q.lock"), host.found(text("shared"), "a.ini", 2));
    assert_eq!(host.value(&files, "ini", "", "q.none"), ValueSeen::Absent);
    assert_eq!(host.value(&["d/?0.ini"], "ini", "", "q.lock"), host.found(text("exclusive"), "d/20.ini", 4));
    assert_eq!(host.value(&["none.ini", "e/*.ini"], "ini", "", "q.lock"), ValueSeen::Unknown(Why::FileAbsent));
}

#[test]
fn a_commented_missing_or_empty_lock_is_not_the_lock() {
    let check = |content: &str, expected: fn(&Host) -> ValueSeen| {
        let host = Host::new(&[("a.ini", content.as_bytes())]);
        assert_eq!(host.value(&["a.ini"], "ini", "", "q.lock"), expected(&host), "{content:?}");
    };
    check("[q]\n;lock=exclusive\n", |_| ValueSeen::Absent);
    check("[q]\n#lock=exclusive\n", |_| ValueSeen::Absent);
    check("lock=exclusive\n", |_| ValueSeen::Absent);
    check("[R]\nlock=exclusive\n", |_| ValueSeen::Absent);
    check("[q]\nlock=\n", |host| host.found(text(""), "a.ini", 2));
    let unclear = |lines: &[u32], odd: Odd| {
        let lines = lines.to_vec();
        move |host: &Host| ValueSeen::Ambiguous { file: host.file("a.ini"), lines: lines.clone(), odd }
    };
    let check = |content: &str, expected: &dyn Fn(&Host) -> ValueSeen| {
        let host = Host::new(&[("a.ini", content.as_bytes())]);
        assert_eq!(host.value(&["a.ini"], "ini", "", "q.lock"), expected(&host), "{content:?}");
    };
    check("[q]\nlock=exclusive ; words\n", &unclear(&[2], Odd::Comment));
    check("[Q]\nlock=exclusive\n", &unclear(&[2], Odd::Case));
    check("\u{feff}[q]\r\nlock=exclusive\r\n", &unclear(&[2], Odd::ByteOrderMark));
}

#[test]
fn a_key_given_twice_in_the_winning_file_is_ambiguous_only_if_the_values_differ() {
    let host = Host::new(&[
        ("differ.ini", b"[q]\nlock=a\n[r]\n[q]\nlock=b\n"),
        ("same.ini", b"[q]\nlock=a\n[q]\nlock=a\n"),
        ("one.ini", b"[q]\nlock=c\n"),
        ("differ.xml", b"<r>\n<m>1</m>\n<m>2</m></r>"),
        ("same.properties", b"k=1\nk : 1\n"),
    ]);
    let ambiguous = |file: &str, lines: &[u32]| ValueSeen::Ambiguous {
        file: host.path().join(file).to_str().unwrap().to_owned(),
        lines: lines.to_vec(),
        odd: Odd::Duplicate,
    };
    assert_eq!(host.value(&["differ.ini"], "ini", "", "q.lock"), ambiguous("differ.ini", &[2, 5]));
    assert_eq!(host.value(&["differ.ini"], "ini", "first_wins = true", "q.lock"), ambiguous("differ.ini", &[2, 5]));
    assert_eq!(host.value(&["same.ini"], "ini", "", "q.lock"), host.found(text("a"), "same.ini", 4));
    assert_eq!(host.value(&["same.ini"], "ini", "first_wins = true", "q.lock"), host.found(text("a"), "same.ini", 2));
    assert_eq!(host.value(&["differ.ini", "one.ini"], "ini", "", "q.lock"), host.found(text("c"), "one.ini", 2));
    assert_eq!(host.value(&["differ.xml"], "xml", "", "r/m"), ambiguous("differ.xml", &[2, 3]));
    assert_eq!(host.value(&["same.properties"], "properties", "", "k"), host.found(text("1"), "same.properties", 2));
}

#[test]
fn an_include_makes_unclear_what_it_could_override_unless_its_files_are_listed() {
    let host = Host::new(&[
        ("before.ini", b"[include]\npath = more.ini\n[q]\nlock = exclusive\n"),
        ("behind.ini", b"[q]\nlock = exclusive\n[include]\npath = more.ini\n"),
        ("more.ini", b"[q]\nother = 1\n"),
        ("below.ini", b"[q]\nlow = 1\nlock = shared\n"),
        ("my.cnf", b"[q]\nlock=exclusive\n!includedir conf.d\n"),
        ("conf.d/a.cnf", b"[q]\nother=1\n"),
        ("pg.conf", b"lock = on\ninclude_if_exists 'more.conf'\n"),
    ]);
    let unclear =
        |file: &str, line| ValueSeen::Ambiguous { file: host.file(file), lines: vec![line], odd: Odd::Include };
    let git = "reader = \"git\"";
    assert_eq!(host.value(&["before.ini"], "ini", git, "q.lock"), host.found(text("exclusive"), "before.ini", 4));
    assert_eq!(host.value(&["behind.ini"], "ini", git, "q.lock"), unclear("behind.ini", 4));
    assert_eq!(host.value(&["behind.ini"], "ini", "", "q.lock"), unclear("behind.ini", 4));
    assert_eq!(host.value(&["before.ini"], "ini", git, "q.none"), unclear("before.ini", 2));
    // Of a layer below the one that includes nothing is known either; of one above it everything.
    assert_eq!(host.value(&["below.ini", "behind.ini"], "ini", git, "q.low"), unclear("behind.ini", 4));
    assert_eq!(
        host.value(&["behind.ini", "below.ini"], "ini", git, "q.lock"),
        host.found(text("shared"), "below.ini", 3)
    );
    let listed = ["behind.ini", "more.ini"];
    assert_eq!(host.value(&listed, "ini", git, "q.lock"), host.found(text("exclusive"), "behind.ini", 2));
    let mariadb = "reader = \"mariadb\"";
    assert_eq!(host.value(&["my.cnf"], "ini", mariadb, "q.lock"), unclear("my.cnf", 3));
    assert_eq!(host.value(&["my.cnf", "conf.d/a.cnf"], "ini", mariadb, "q.lock"), unclear("my.cnf", 3));
    let listed = ["my.cnf", "conf.d/*.cnf"];
    assert_eq!(host.value(&listed, "ini", mariadb, "q.lock"), host.found(text("exclusive"), "my.cnf", 2));
    assert_eq!(host.value(&["pg.conf"], "keyvalue", "", "lock"), unclear("pg.conf", 2));
    assert_eq!(host.value(&["pg.conf", "more.conf"], "keyvalue", "", "lock"), host.found(text("on"), "pg.conf", 1));
}

#[test]
fn a_layer_that_cannot_be_read_makes_every_key_unknown() {
    let host = Host::new(&[
        ("good.ini", b"[q]\nlock=exclusive\n"),
        ("malformed.ini", b"[q\n"),
        ("sjis.ini", b"; \x94\x72\x91\xbc\n[q]\nlock=exclusive\n"),
        ("nul.ini", b"[q]\nlock=\0\n"),
        ("large.ini", &vec![b'\n'; (4 << 20) + 1]),
        ("directory.ini/x", b""),
    ]);
    symlink("loop.ini", host.path().join("loop.ini")).unwrap();
    for (file, why) in [
        ("malformed.ini", Why::Malformed),
        ("sjis.ini", Why::Undecodable),
        ("nul.ini", Why::Malformed),
        ("large.ini", Why::TooLarge),
        ("directory.ini", Why::NotAFile),
        ("loop.ini", Why::NotAFile),
    ] {
        // Below the good one as above it: what it would say of the key is not known.
        for files in [["good.ini", file], [file, "good.ini"]] {
            let part = host.part(&files, "ini", "", "q.lock", "expect = { equals = \"exclusive\" }");
            let pass = host.pass(&part);
            assert_eq!(pass.state.settings[&id("s")].value, ValueSeen::Unknown(why), "{files:?}");
            assert!(pass.state.coverage.iter().any(|gap| gap.what.ends_with(file) && gap.why == why), "{file}");
            assert_eq!(pass.configs[&id("c")].values, None);
        }
    }
    assert_eq!(
        host.value(&["sjis.ini"], "ini", "encoding = \"shift_jis\"", "q.lock"),
        host.found(text("exclusive"), "sjis.ini", 3)
    );
}

#[test]
fn a_key_that_is_there_without_a_value_is_not_absent() {
    let host = Host::new(&[
        ("a.toml", b"list = []\ntables = {}\nlock = \"exclusive\"\n[[queue]]\nlock = 1\n"),
        ("high.toml", b"lock = [\"exclusive\"]\n"),
        ("a.xml", b"<n:a xmlns:n='x'><n:m>1</n:m><n:list><n:i/></n:list></n:a>"),
        ("b.xml", b"<n:a xmlns:n='x'><n:m>2</n:m></n:a>"),
    ]);
    let there = ValueSeen::Unknown(Why::UnexpectedValue);
    for key in ["list", "tables", "queue", "queue.0"] {
        assert_eq!(host.value(&["a.toml"], "toml", "", key), there, "{key}");
    }
    for key in ["list.0", "q", "queue.1", "queue.lock"] {
        assert_eq!(host.value(&["a.toml"], "toml", "", key), ValueSeen::Absent, "{key}");
    }
    // In the layer that wins; below another one it does not matter.
    assert_eq!(host.value(&["a.toml", "high.toml"], "toml", "", "lock"), there);
    assert_eq!(host.value(&["high.toml", "a.toml"], "toml", "", "lock"), host.found(text("exclusive"), "a.toml", 3));
    for key in ["n:a/n:list", "a/m", "a/list", "m:a/n:m"] {
        assert_eq!(host.value(&["a.xml"], "xml", "", key), there, "{key}");
    }
    assert_eq!(host.value(&["a.xml"], "xml", "", "n:a/n:m"), host.found(text("1"), "a.xml", 1));
    assert_eq!(host.value(&["a.xml", "b.xml"], "xml", "", "a/@n"), ValueSeen::Absent);
}

#[test]
fn every_format_gives_values_with_their_lines() {
    let host = Host::new(&[
        ("a.toml", b"[queue]\nlock = \"exclusive\"\nretries = 3\n"),
        ("a.xml", "<?xml version=\"1.0\"?>\n<linkage>\n<mode kind='即時'>on-demand-2</mode>\n</linkage>".as_bytes()),
        ("a.properties", b"queue.lock = \\\n  exclusive\n"),
        ("sjis.xml", b"<l>\n<m>\x91\xa6\x8e\x9e</m></l>"),
        ("a.json", b"{\n\"queue\": {\"lock\": \"exclusive\",\n\"retries\": 3}}"),
        ("a.yaml", b"queue:\n  # words\n  lock: exclusive\n  retries: 3\n"),
        ("a.env", b"# words\nQUEUE_LOCK=\"exclusive\"\n"),
        ("a.conf", b"queue.lock = 'exclusive' # words\nqueue.retries 3\n"),
    ]);
    let check = |file: &str, format: &str, config: &str, key: &str, value: Value, line: u32| {
        assert_eq!(host.value(&[file], format, config, key), host.found(value, file, line), "{file} {key}");
    };
    check("a.toml", "toml", "", "queue.lock", text("exclusive"), 2);
    check("a.toml", "toml", "", "queue.retries", Value::Integer(3), 3);
    check("a.xml", "xml", "", "linkage/mode", text("on-demand-2"), 3);
    check("a.xml", "xml", "", "linkage/mode/@kind", text("即時"), 3);
    check("a.properties", "properties", "", "queue.lock", text("exclusive"), 1);
    check("sjis.xml", "xml", "encoding = \"shift_jis\"", "l/m", text("即時"), 2);
    check("a.json", "json", "", "queue.lock", text("exclusive"), 2);
    check("a.json", "json", "", "queue.retries", Value::Integer(3), 3);
    check("a.yaml", "yaml", "", "queue.lock", text("exclusive"), 3);
    check("a.yaml", "yaml", "reader = \"pyyaml\"", "queue.retries", Value::Integer(3), 4);
    check("a.env", "env", "", "QUEUE_LOCK", text("exclusive"), 2);
    check("a.conf", "keyvalue", "", "queue.lock", text("exclusive"), 1);
    check("a.conf", "keyvalue", "", "QUEUE.retries", text("3"), 2);
}

#[test]
fn a_fact_outside_its_values_is_unknown() {
    let host = Host::new(&[("a.ini", b"[l]\nmode=batch\nodd=batch ; words\nbad=unheard\n[m]\nx=1\n[m]\nx=2\n")]);
    let fact = |key: &str, one_of: &str| {
        let part = host.part(&["a.ini"], "ini", "", "l.mode", "expect = { present = true }");
        let part = format!("{part}[[fact]]\nid = \"f\"\nconfig = \"c\"\nkey = \"{key}\"\n{one_of}\n");
        host.pass(&part).state.facts[&id("f")].clone()
    };
    let file = host.path().join("a.ini").to_str().unwrap().to_owned();
    let known = |value: &str, line| FactSeen::Value { value: text(value), file: file.clone(), line };
    let two = "one_of = [\"batch\", \"on-demand\"]";
    assert_eq!(fact("l.mode", two), known("batch", 2));
    assert_eq!(fact("l.mode", ""), known("batch", 2));
    assert_eq!(fact("l.bad", two), FactSeen::Unknown(Why::UnexpectedValue));
    assert_eq!(fact("l.bad", ""), known("unheard", 4));
    assert_eq!(fact("l.none", two), FactSeen::Unknown(Why::KeyAbsent));
    let unclear = |lines: &[u32], odd| FactSeen::Ambiguous { file: file.clone(), lines: lines.to_vec(), odd };
    assert_eq!(fact("m.x", ""), unclear(&[6, 8], Odd::Duplicate));
    // What a program takes out of this nobody can say; guessing would make a fix not applicable.
    assert_eq!(fact("l.odd", ""), unclear(&[3], Odd::Comment));
    assert_eq!(fact("l.odd", "one_of = [\"batch ; words\"]"), unclear(&[3], Odd::Comment));
}

#[test]
fn a_sensitive_value_leaves_only_as_a_keyed_digest() {
    let secret = "correct horse battery staple";
    let host = Host::new(&[("a.ini", format!("[q]\npassword={secret}\nport=1\n").as_bytes())]);
    let part = host.part(&["a.ini"], "ini", "", "q.password", "sensitive = true\nexpect = { matches = \"correct.*\" }");
    let pass = host.pass(&part);
    let SettingSeen { value: ValueSeen::Sealed { keyed, as_expected, line, .. }, .. } = &pass.state.settings[&id("s")]
    else {
        panic!("{:?}", pass.state.settings)
    };
    assert!(*as_expected && *line == 2);
    assert_ne!(*keyed, Digest::of(secret.as_bytes()));
    let other = Collector::new([8; 32], None).pass(&baseline(&part), None, &Limits::default(), &|| {});
    let ValueSeen::Sealed { keyed: others, .. } = &other.state.settings[&id("s")].value else { panic!() };
    assert_ne!(keyed, others, "two hosts must not be comparable by it");
    let sent = serde_json::to_string(&(&pass.state, &pass.configs)).unwrap();
    assert!(!sent.contains("horse"), "{sent}");
    assert_ne!(pass.configs[&id("c")].values, other.configs[&id("c")].values);
}

#[test]
fn prints_tell_any_change_and_values_only_changes_of_meaning() {
    let host = Host::new(&[("a.ini", b"[q]\na=1\nb=2\n")]);
    let part = host.part(&["a.ini"], "ini", "", "q.a", "expect = { present = true }");
    let print = |content: &[u8]| {
        host.write("a.ini", content);
        host.pass(&part).configs[&id("c")].clone()
    };
    let first = print(b"[q]\na=1\nb=2\n");
    let rewritten = print(b"; words\n[q]\nb = 2\na = 1\n");
    assert_eq!(first.values, rewritten.values);
    assert_ne!(first.layers, rewritten.layers);
    assert_ne!(print(b"[q]\na=1\nb=3\n").values, first.values);
    assert_ne!(print(b"[q]\na=1\nb=2\nc=3\n").values, first.values);
    // As written in the documentation of the digest.
    assert_eq!(first.values, Some(Digest::of(br#"[["q.a","1"],["q.b","2"]]"#)));
}

#[test]
fn a_pinned_configuration_is_its_bytes_in_layer_order() {
    let host = Host::new(&[("b.conf", b"one"), ("a.conf", b"two")]);
    let pinned = |files: &[&str]| {
        let digest = Digest::of(b"any");
        let config =
            format!("pinned = [\"{digest}\"]\nenforce = \"hold\"\nowner = \"o\"\nremediation = {{ en = \"r\" }}");
        let part = host.part(files, "keyvalue", &config, "k", "expect = { present = true }");
        host.pass(&part).state.configs[&id("c")].clone()
    };
    assert_eq!(pinned(&["b.conf"]), ConfigContent::Digest(Digest::of(b"one")));
    assert_eq!(pinned(&["none.conf"]), ConfigContent::Absent);
    let line =
        |file: &str, content: &[u8]| format!("{}  {}\n", Digest::of(content).hex(), host.path().join(file).display());
    let both = format!("{}{}", line("b.conf", b"one"), line("a.conf", b"two"));
    assert_eq!(pinned(&["b.conf", "a.conf"]), ConfigContent::Digest(Digest::of(both.as_bytes())));
    fs::create_dir(host.path().join("c.conf")).unwrap();
    assert_eq!(pinned(&["b.conf", "c.conf"]), ConfigContent::Unknown(Why::NotAFile));
}

fn state_of_fix(host: &Host, requirement: &str) -> State {
    let part = host.part(&["a.ini"], "ini", "", "k", "expect = { present = true }");
    let fix = format!(
        "[[fix]]\nid = \"FIX-1\"\ntitle = {{ en = \"t\" }}\npattern = \"missed-fix\"\nrequires = [{requirement}]\n\
         enforce = \"hold\"\norigin = \"o\"\nowner = \"o\"\nremediation = {{ en = \"r\" }}\n"
    );
    host.pass(&format!("{part}{fix}")).state
}

#[test]
fn files_and_packages_that_fixes_name_are_looked_at() {
    let host = Host::new(&[("there", b"content")]);
    let path = |name: &str| host.path().join(name).to_str().unwrap().to_owned();
    let file = |name: &str| format!("{{ file = {:?}, sha256 = [\"{}\"] }}", path(name), Digest::of(b"x"));
    let state = state_of_fix(&host, &format!("{}, {}", file("there"), file("none")));
    assert_eq!(state.files[&path("there")], FileSeen::Digest(Digest::of(b"content")).into());
    assert_eq!(state.files[&path("none")], FileSeen::Absent.into());
    let state = state_of_fix(&host, "{ package = \"bash\", database = \"dpkg\", at_least = \"1\" }");
    if Path::new("/var/lib/dpkg/status").exists() {
        assert!(matches!(&state.packages["bash"], PackageSeen::Version(_)), "{:?}", state.packages);
    }
}

#[test]
fn the_value_in_force_is_asked_of_the_running_program() {
    let host = Host::new(&[("a.ini", b"[q]\nlock=exclusive\n")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/status", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"queue\":{\"lock\":\"shared\"}}").unwrap();
        // Closed when this ends: from then on the address refuses.
    });
    let in_force =
        format!("expect = {{ equals = \"exclusive\" }}\nin_force = {{ url = \"{url}\", pointer = \"/queue/lock\" }}");
    let part = host.part(&["a.ini"], "ini", "", "q.lock", &in_force);
    let seen = || host.pass(&part).state.settings[&id("s")].in_force.clone();
    assert_eq!(seen(), Some(InForceSeen::Value(text("shared"))));
    server.join().unwrap();
    // Nobody can say that it does not run, so it has to answer.
    assert_eq!(seen(), Some(InForceSeen::Unknown(Why::NotAnswering)));
    let root = host.path().to_str().unwrap().to_owned();
    let program = |process: &str| {
        let program = format!(
            "[[program]]\nid = \"p\"\nroot = {root:?}\n{process}enforce = \"hold\"\nowner = \"o\"\n\
             remediation = {{ en = \"r\" }}\n[[program.release]]\nversion = \"1.0.0\"\ntree = \"TREE\"\n"
        );
        host.pass(&format!("{part}{program}")).state.settings[&id("s")].in_force.clone()
    };
    assert_eq!(program("process = { exe = \"bin/p\" }\n"), Some(InForceSeen::NotRunning));
    assert_eq!(program(""), Some(InForceSeen::Unknown(Why::NotAnswering)));
}
