//! What a baseline may not say, a rule a line: the change of the sample, and the codes it leads to.

use manifests::baseline::{Format, Reader, Requirement, Requires};
use manifests::source;
use manifests::version::Version;

const SAMPLE: &str = include_str!("data/source/baseline.toml");

/// The codes that a change of the sample leads to, in file order.
fn check(sound: &str, mistaken: &str, expected: &[&str]) {
    assert!(SAMPLE.contains(sound), "{sound:?}");
    let found = source::baseline(&SAMPLE.replacen(sound, mistaken, 1)).map(|_| ()).err().unwrap_or_default();
    let codes: Vec<_> = found.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, expected, "{mistaken:?}: {found:#?}");
}

/// The codes that one more table behind the sample leads to.
fn check_more(more: &str, expected: &[&str]) {
    let last = "until = 2023-07-09T06:00:00+09:00         # mandatory\n";
    check(last, &format!("{last}{more}\n"), expected);
}

#[test]
fn the_header_says_what_is_read() {
    check("schema = 2 ", "schema = 3 \nof_schema_3 = true # ", &["unsupported-schema"]);
    check("schema = 2 ", "schema = 0 ", &["unsupported-schema"]);
    check("schema = 2 ", "schema = 1 ", &[]);
    check("schema = 2 ", "schema = \"2\" ", &["wrong-type"]);
    check("version = \"2023.7.2\"", "version = \"2023.7\"", &["bad-version"]);
    check("version = \"2023.7.2\"", "vresion = \"2023.7.2\"", &["unknown-key"]);
    check("product = \"convenience-issuance\"", "", &["missing-key"]);
    check("product = \"convenience-issuance\"", "product = \"Convenience\"", &["bad-id"]);
    let nothing = "schema = 1\nproduct = \"p\"\nversion = \"1.0.0\"\n";
    assert_eq!(source::baseline(nothing).unwrap_err()[0].code, "empty-baseline");
    let unpinned = format!("{nothing}[[config]]\nid = \"a\"\nfiles = [\"/a\"]\nformat = \"ini\"\n");
    assert_eq!(source::baseline(&unpinned).unwrap_err()[0].code, "empty-baseline");
    let pinned = format!("{unpinned}pinned = [\"sha256:{}\"]\nenforce = \"warn\"\n", "0".repeat(64));
    assert_eq!(source::baseline(&pinned).unwrap().configs[0].format, Format::Ini);
}

#[test]
fn what_is_refused_still_says_which_agent_it_asks_for() {
    let later = SAMPLE.replacen("schema = 2 ", "schema = 9 ", 1);
    assert!(source::baseline(&later).is_err());
    assert_eq!(source::min_agent(later.as_bytes()).map(|version| version.to_string()).as_deref(), Some("0.1.0"));
    assert_eq!(source::min_agent(b"\xff"), None);
}

#[test]
fn a_key_of_a_later_schema_is_unknown_and_the_hint_says_which() {
    let with_reader = SAMPLE.replacen("format = \"ini\"", "format = \"ini\"\nreader = \"git\"", 1);
    assert_eq!(source::baseline(&with_reader).unwrap().configs[1].reader, Reader::Git);
    let before = with_reader.replacen("schema = 2 ", "schema = 1 ", 1);
    let problems = source::baseline(&before).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!((problem.line, problem.code, problem.key.as_str()), (24, "unknown-key", "config[1].reader"));
    assert!(problem.hint.as_deref().is_some_and(|hint| hint.starts_with("write schema = 2")), "{problem}");
    // A file that does not say its schema has that mistake alone.
    let unsaid = with_reader.replacen("schema = 2 ", "# ", 1);
    assert_eq!(source::baseline(&unsaid).unwrap_err().iter().map(|p| p.code).collect::<Vec<_>>(), ["missing-key"]);
}

#[test]
fn what_a_program_follows_and_loads_and_that_it_should_run_are_keys_of_schema_2() {
    let keys = "follow = [\"lib/*.so\"]\nloads = [\"/usr/lib/issuing/*.so\"]\nexpect_running = true";
    let with = |keys: &str| SAMPLE.replacen("exclude = [", &format!("{keys}\nexclude = ["), 1);
    let program = source::baseline(&with(keys)).unwrap().programs[0].clone();
    assert!(program.follow.excludes(std::path::Path::new("lib/a.so"), false) && program.expect_running);
    assert_eq!(program.loads, ["/usr/lib/issuing/*.so"]);
    let none = source::baseline(SAMPLE).unwrap().programs[0].clone();
    assert!(none.follow.sources().is_empty() && none.loads.is_empty() && !none.expect_running);
    let before = source::baseline(&with(keys).replacen("schema = 2 ", "schema = 1 ", 1)).unwrap_err();
    let unknown: Vec<_> = before.iter().map(|problem| (problem.code, problem.key.as_str())).collect();
    let key = |key| ("unknown-key", key);
    assert_eq!(unknown, [key("program[0].follow"), key("program[0].loads"), key("program[0].expect_running")]);
    for (mistaken, code) in [
        ("follow = [\"a[\"]", "bad-glob"),
        ("follow = \"lib\"", "wrong-type"),
        ("loads = [\"lib/a.so\"]", "bad-path"),
        ("loads = [\"/opt/issuing/lib/a.so\"]", "bad-path"),
        ("loads = [\"/usr/*/a.so\"]", "bad-glob"),
        ("loads = [\"/a\", \"/a\"]", "duplicate-value"),
        ("expect_running = \"yes\"", "wrong-type"),
    ] {
        let problems = source::baseline(&with(mistaken)).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), [code], "{mistaken}");
    }
    assert!(source::baseline(&with("loads = [\"/opt/issuing-common/a.so\"]")).is_ok());
    let process = SAMPLE.lines().find(|line| line.starts_with("process = ")).unwrap();
    let nobody = with("expect_running = true").replacen(process, "", 1);
    let problems = source::baseline(&nobody).unwrap_err();
    assert!(problems.iter().any(|problem| problem.code == "no-process"), "{problems:#?}");
}

#[test]
fn a_reader_reads_the_formats_it_is_known_for() {
    let formats = ["toml", "ini", "properties", "xml", "json", "yaml", "env", "keyvalue"];
    for format in formats {
        let of = |reader: &str| {
            let text = format!("format = \"{format}\"{reader}");
            source::baseline(&SAMPLE.replacen("format = \"ini\"", &text, 1))
        };
        let default = of("").unwrap().configs[1].clone();
        assert_eq!(default.format.readers().first(), Some(&default.reader));
        for (word, reader) in Reader::ALL {
            let read = of(&format!("\nreader = \"{word}\""));
            if default.format.readers().contains(&reader) {
                assert_eq!(read.unwrap().configs[1].reader, reader, "{format} {word}");
            } else {
                let problems = read.unwrap_err();
                assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), ["reader-mismatch"], "{format} {word}");
            }
        }
    }
    check("format = \"ini\"", "format = \"ini\"\nreader = \"pythn\"", &["bad-word"]);
    // Of a format that is itself wrong no reader can be.
    check("format = \"ini\"", "format = \"int\"\nreader = \"git\"", &["bad-word"]);
}

#[test]
fn the_gate_keeps_its_times_within_bounds() {
    check("permit_ttl = \"30m\"", "permit_ttl = \"59s\"", &["out-of-range"]);
    check("permit_ttl = \"30m\"", "permit_ttl = \"25h\"", &["out-of-range"]);
    check("permit_ttl = \"30m\"", "permit_ttl = \"5m\"", &["out-of-range"]); // evidence_max_age is 10m.
    check("permit_ttl = \"30m\"", "permit_ttl = \"half an hour\"", &["bad-span"]);
    check("evidence_max_age = \"10m\"", "evidence_max_age = \"3s\"", &["out-of-range"]);
    check("evidence_max_age = \"10m\"", "evidence_max_age = \"59s\"", &["out-of-range"]); // heartbeat is 30s.
    check("heartbeat = \"30s\"", "heartbeat = \"301s\"", &["out-of-range"]);
    check("heartbeat = \"30s\"", "heartbeat = \"999ms\"", &["out-of-range"]);
    check("heartbeat = \"30s\"", "", &[]);
    check("verify_hold = \"250ms\"", "verify_hold = \"6s\"", &["out-of-range"]);
    check("expiry_grace = \"14d\"", "expiry_grace = \"31d\"", &["out-of-range"]);
}

#[test]
fn configurations_and_facts() {
    check("[\"/etc/issuing/print.ini\"]", "[\"etc/issuing/print.ini\"]", &["bad-path"]);
    check("[\"/etc/issuing/print.ini\"]", "[\"/etc/../print.ini\"]", &["bad-path"]);
    check("[\"/etc/issuing/print.ini\"]", "[\"/etc/a\\u0000\"]", &["bad-path"]);
    check("[\"/etc/issuing/print.ini\"]", "[\"/etc/*/print.ini\"]", &["bad-glob"]);
    check("[\"/etc/issuing/print.ini\"]", "\"/etc/issuing/print.ini\"", &["wrong-type"]);
    check("format = \"ini\"", "format = \"int\"", &["bad-word"]);
    check("format = \"ini\"", "format = \"ini\"\nenforce = \"warn\"", &["no-effect"]);
    check("format = \"ini\"", "format = \"ini\"\npinned = []", &["empty-list"]);
    check(
        "format = \"xml\"",
        "format = \"xml\"\nprogram = \"issuing-server\"\nsensitive = true\nfirst_wins = true #",
        &[],
    );
    check("format = \"ini\"", "format = \"ini\"\nprogram = \"print\"", &["dangling-program"]);
    check("key = \"linkage/mode\"", "key = \"\"", &["bad-key"]);
    check("registry = \"topology\"", "registry = \"topologies\"", &["bad-word"]);
    check("registry = \"topology\"", "registry = \"topology\"\nconfig = \"print\"", &["exactly-one"]);
    check("registry = \"topology\"", "", &["exactly-one"]);
    check("registry = \"topology\"", "registri = \"topology\"", &["unknown-key"]);
    check("registry = \"topology\"", "registry = \"topology\"\none_of = [\"double\"]", &["not-one-of"]);
}

#[test]
fn programs_releases_and_patches() {
    check("root = \"/opt/issuing\"", "root = \"/opt/issuing/\"", &["bad-path"]);
    check("exclude = [\"logs/**\"", "exclude = [\"**\"", &["bad-glob"]);
    check("exe = \"bin/issuingd\"", "exe = \"../bin/issuingd\"", &["bad-path"]);
    check("exe = \"bin/issuingd\"", "exe = \"/usr/bin/java\", args = \"*issuing*\"", &[]);
    check("version = \"3.4.2\"", "version = \"3.4\"", &["bad-version"]);
    check("over = [\"3.4.1\"]", "over = [\"3.4.0\"]", &["dangling-release"]);
    check("\"lib/print_queue.so\"", "\"/lib/print_queue.so\"", &["bad-path"]);
    check("denied = \"prints another resident under load\"", "denied = \"\"", &["empty-text"]);
    check("denied = \"prints another resident under load\"", "denied = true", &["wrong-type"]);
    let trees: Vec<_> = SAMPLE.lines().filter(|line| line.starts_with("tree = ")).collect();
    check(trees[1], trees[2], &["ambiguous-tree"]);
    check(
        "roles = [\"ap\"]\nenforce = \"hold\"",
        "scheme = \"vl\"",
        &["bad-version", "bad-version", "bad-version", "bad-version", "bad-range"],
    );
    check("roles = [\"ap\"]\nenforce = \"hold\"", "scheme = \"v1\"", &["bad-word"]);
    let none = format!("[[program]]\nid = \"{}\"\nroot = \"/opt/other\"", "other");
    check_more(&none, &["missing-key"]);
}

#[test]
fn settings_and_locks() {
    check("enforce = \"hold\"                          # or", "enforce = \"warn\" # or", &["lock-warn"]);
    check("kind = \"exclusive-lock\"", "kind = \"exclusive-lock\"\nwaivable = true", &["waiver-on-lock"]);
    check("expect = { equals = \"exclusive\" }", "expect = { absent = true }", &["lock-absent"]);
    check("expect = { equals = \"exclusive\" }", "expect = { equals = \"a\", at_least = 1 }", &["exactly-one"]);
    check("expect = { equals = \"exclusive\" }", "expect = {}", &["exactly-one"]);
    check("expect = { equals = \"exclusive\" }", "expect = { equal = \"exclusive\" }", &["unknown-key"]);
    check("expect = { equals = \"exclusive\" }", "expct = { equals = \"exclusive\" }", &["unknown-key"]);
    check("expect = { equals = \"exclusive\" }", "expect = { matches = \"(\" }", &["bad-pattern"]);
    check("expect = { equals = \"exclusive\" }", "expect = { matches = \"a)|(b\" }", &["bad-pattern"]);
    check("expect = { equals = \"exclusive\" }", "expect = { present = false }", &["bad-word"]);
    check("expect = { equals = \"exclusive\" }", "expect = { at_most = 9007199254740992 }", &["out-of-range"]);
    check("expect = { equals = \"exclusive\" }", "expect = { equals = 0.5 }", &["wrong-type"]);
    check("pointer = \"/queue/lock\"", "pointer = \"queue.lock\"", &["bad-pointer"]);
    for url in [
        "https://127.0.0.1/",
        "http://192.0.2.1/",
        "http://127.0.0.1@192.0.2.1/",
        "http://localhost.example/",
        "http://127.0.0.1:0/",
    ] {
        check("http://127.0.0.1:8080/status/config", url, &["bad-url"]);
    }
    for url in ["http://localhost:8080", "http://[::1]:8080/x", "http://[::1]/x?y=1", "http://127.9.9.9/"] {
        check("http://127.0.0.1:8080/status/config", url, &[]);
    }
    check("owner = \"release management\"", "owner = \"release\\u001b[31m management\"", &["bad-text"]);
    check("owner = \"release management\"", "owner = \"release\\nmanagement\"", &["bad-text"]);
    check("owner = \"release management\"", "owner = \" release management\"", &["bad-text"]);
    check("owner = \"release management\"", &format!("owner = \"{}\"", "x".repeat(201)), &["too-long"]);
}

#[test]
fn fixes_and_their_requirements() {
    const REQUIRES: &str = "requires = [ { program = \"issuing-server\", fixed_in = \">=3.4.2\", or_patch = \"HF-0042\" }, { setting = \"lock.print-wait\" } ]";
    let digest = "0".repeat(64);
    check(REQUIRES, "", &["exactly-one"]);
    check(REQUIRES, "requires = []", &["empty-list"]);
    check(REQUIRES, "require = []", &["unknown-key"]);
    check(REQUIRES, "no_fix_yet = { due = 2026-01-01T00:00:00Z, compensating = \"prints are checked by hand\" }", &[]);
    check(
        REQUIRES,
        "no_fix_yet = { due = 2026-01-01, compensating = \"prints are checked by hand\" }",
        &["local-time"],
    );
    check(REQUIRES, &format!("{REQUIRES}\nno_fix_yet = {{}}"), &["exactly-one"]);
    check(REQUIRES, "requires = [ { setting = \"lock\" } ]", &["dangling-setting"]);
    check(REQUIRES, "requires = [ { setting = \"print\" } ]", &["dangling-setting"]);
    check(REQUIRES, "requires = [ { setting = \"lock.print-wait\", program = \"issuing-server\" } ]", &["exactly-one"]);
    check(REQUIRES, "requires = [ { program = \"issuing-server\" } ]", &["missing-key"]);
    check(REQUIRES, "requires = [ { programm = \"issuing-server\", fixed_in = \">=1.0.0\" } ]", &["unknown-key"]);
    check(REQUIRES, "requires = [ { fixed_in = \">=1.0.0\" } ]", &["exactly-one"]);
    check(
        REQUIRES,
        "requires = [ { program = \"issuing-server\", fixed_in = \">=1.0.0\", or_patch = \"HF-42\" } ]",
        &["dangling-patch"],
    );
    check(REQUIRES, &format!("requires = [ {{ file = \"/usr/lib/x.so\", sha256 = [\"sha256:{digest}\"] }} ]"), &[]);
    check(REQUIRES, "requires = [ { file = \"/usr/lib/x.so\", sha256 = [] } ]", &["empty-list"]);
    check(REQUIRES, "requires = [ { package = \"openssl\", at_least = \"3.0.9-1\", database = \"dpkg\" } ]", &[]);
    check(REQUIRES, "requires = [ { package = \"openssl\", at_least = \"3.0.9-1\" } ]", &["missing-key"]);
    check(
        REQUIRES,
        "requires = [ { package = \"open ssl\", at_least = \"3.0 9\", database = \"rpm\" } ]",
        &["bad-id", "bad-version"],
    );
    check("required_from = 2023-05-01T00:00:00+09:00", "required_from = 2023-05-01T00:00:00", &["local-time"]);
    check("required_from = 2023-05-01T00:00:00+09:00", "required_from = 2023-05-01 00:00+09:00", &[]);
    check("required_from = 2023-05-01T00:00:00+09:00", "required_from = 1969-05-01T00:00:00+09:00", &["bad-time"]);

    let text = SAMPLE.replace(REQUIRES, "requires = [ { package = \"a\", at_least = \"1:2-3\", database = \"rpm\" } ]");
    let Requires::All(all) = source::baseline(&text).unwrap().fixes.remove(0).requires else { panic!() };
    assert!(matches!(&all[0], Requirement::Package { at_least: Version::Rpm(text), .. } if text == "1:2-3"));
}

#[test]
fn conditions_can_hold_and_do_not_nest_for_ever() {
    const WHEN: &str = "when = { fact = \"topology\", equals = \"split\" }";
    check(WHEN, "when = { fact = \"topology\", equals = \"Split\" }", &["not-one-of"]);
    check(WHEN, "when = { fact = \"topology\", one_of = [\"split\", \"twofold\"] }", &["not-one-of"]);
    check(WHEN, "when = { fact = \"topology\", matches = \"s.*t\" }", &[]);
    check(WHEN, "when = { fact = \"topology\", matches = \"x\" }", &["not-one-of"]);
    check(WHEN, "when = { fact = \"linkage.method\", at_least = 3 }", &["not-one-of"]);
    check(WHEN, "when = { fact = \"topology\", present = true }", &["bad-word"]);
    check(WHEN, "when = { fact = \"topology\" }", &["exactly-one"]);
    check(WHEN, "when = { all = [] }", &["empty-list"]);
    check(WHEN, "when = { fact = \"topology\", equals = \"split\", any = [] }", &["exactly-one"]);
    let nested = |depth: usize| {
        format!(
            "when = {}{{ fact = \"topology\", equals = \"split\" }}{}",
            "{ not = ".repeat(depth),
            " }".repeat(depth)
        )
    };
    check(WHEN, &nested(15), &[]);
    check(WHEN, &nested(16), &["condition-depth"]);
}

#[test]
fn waivers_end_and_name_what_can_be_waived() {
    check("item = \"FIX-2019-0007\"", "item = \"FIX-2019-0008\"", &["dangling-item"]);
    check("item = \"FIX-2019-0007\"", "item = \"print\"", &["waiver-not-waivable"]);
    check("triggered_by", "waivable = false\ntriggered_by", &["waiver-not-waivable"]);
    check("until = 2023-07-09T06:00:00+09:00", "untill = 2023-07-09T06:00:00+09:00", &["unknown-key"]);
    check("until = 2023-07-09T06:00:00+09:00", "until = 2023-07-09T06:00:00", &["local-time"]);
    check("reason = \"replaced after service hours on the 8th\"", "", &["missing-key"]);
    check("hosts = [\"131211-ap1\"]", "hosts = []", &["empty-list"]);
    check("hosts = [\"131211-ap1\"]", "hosts = [\"131211-ap1\", \"131211-ap1\"]", &["duplicate-value"]);
    check("hosts = [\"131211-ap1\"]", "hosts = [\"131212-ap1\"]", &["bad-code"]);
    check("hosts = [\"131211-ap1\"]", "hosts = [\"131211-AP1\"]", &["bad-id"]);
}

#[test]
fn what_can_never_work_is_refused() {
    check("fixed_in = \">=3.4.2\"", "fixed_in = \">=4.0.0, <3.0.0\"", &["bad-range"]);
    check("[\"logs/**\", \"tmp/**\"]", "[\"/*\"]", &["bad-glob"]);
    check("[\"logs/**\", \"tmp/**\"]", "[\"/*\", \"!/bin\", \"!/lib\"]", &[]);
    check("[\"logs/**\", \"tmp/**\"]", "[\"bin/\"]", &["exclude-covers"]);
    check("[\"logs/**\", \"tmp/**\"]", "[\"*.so\"]", &["exclude-covers"]);
    check("exe = \"bin/issuingd\"", "exe = \"/opt/issuing/tmp/x\"", &["exclude-covers"]);
    check("exe = \"bin/issuingd\"", "exe = \"/opt/other/tmp/x\"", &[]);
}

#[test]
fn a_value_in_force_must_be_one_that_can_be_known() {
    check("key = \"queue.lock\"", "key = \"queue.lock\"\nsensitive = true", &["in-force-unknowable"]);
    check("id = \"print\"", "id = \"print\"\nsensitive = true", &["in-force-unknowable"]);
    check("id = \"print\"", "id = \"print\"\nprogram = \"issuing-server\"", &[]);
    let other = |process: &str| {
        let tree = "0".repeat(64);
        format!(
            "[[program]]\nid = \"other\"\nroot = \"/opt/other\"\n{process}\
             [[program.release]]\nversion = \"1.0.0\"\ntree = \"sha256:{tree}\""
        )
    };
    check_more(&other(""), &[]);
    check_more(&other("process = { exe = \"a\" }\n"), &["in-force-unknowable"]);
    let named = SAMPLE.replacen("id = \"print\"", "id = \"print\"\nprogram = \"other\"", 1);
    let codes =
        |text: String| source::baseline(&text).err().unwrap_or_default().iter().map(|p| p.code).collect::<Vec<_>>();
    assert_eq!(codes(format!("{named}\n{}\n", other(""))), ["in-force-unknowable"]);
    assert!(codes(format!("{named}\n{}\n", other("process = { exe = \"a\" }\n"))).is_empty());
}

#[test]
fn a_bad_item_does_not_make_its_references_dangle() {
    check("kind = \"exclusive-lock\"", "kind = \"exclusiv-lock\"", &["bad-word"]);
    check("id = \"lock.print-wait\"", "id = 7", &["wrong-type"]);
    check("id = \"lock.print-wait\"", "", &["missing-key"]);
    check("id = \"lock.print-wait\"", "idd = \"lock.print-wait\"", &["unknown-key"]);
    check("[[setting]]", "[[seting]]", &["unknown-key"]);
    check("[[setting]]", "[setting]", &["wrong-type"]);
    check("[[program.patch]]", "[[program.path]]", &["unknown-key"]);
    check("id = \"linkage\"", "id = \"link age\"", &["bad-id"]);
    check("id = \"linkage\"", &format!("id = \"{}\"", "x".repeat(65)), &["bad-id"]);
    let both = SAMPLE.replace("\"lock.print-wait\"", "\"lock print-wait\"");
    let codes: Vec<_> = source::baseline(&both).unwrap_err().iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["bad-id"]);
    check("kind = \"exclusive-lock\"", "kind = \"exclusive-lock\"\nwaivable = \"false\"", &["wrong-type"]);
    check("kind = \"exclusive-lock\"", "kind = \"exclusive-lock\"\nwaivable = true", &["waiver-on-lock"]);
    check("format = \"xml\"", "format = \"html\"", &["bad-word"]);
}

#[test]
fn errors_of_syntax_have_a_place_and_do_not_hide_the_others() {
    let text =
        SAMPLE.replace("heartbeat = \"30s\"", "heartbeat = 30s").replace("enforce = \"hold\"", "enforce = \"halt\"");
    let problems = source::baseline(&text).unwrap_err();
    let found: Vec<_> = problems.iter().map(|problem| (problem.line, problem.code)).collect();
    assert_eq!(found, [(7, "syntax"), (41, "bad-word"), (67, "bad-word"), (81, "bad-word")], "{problems:#?}");
    check("key = \"queue.lock\"", "key = \"queue.lock\"\nkey = \"queue.lock\"", &["duplicate-key"]);
    // A list that is not closed takes in the rest of the file.
    check("\"https://example.org/notice/7\"]", "\"https://example.org/notice/7\"", &["syntax"]);
    check("\"tmp/**\"]", "\"tmp/**\"", &["syntax"]);
    check("linkage.d/*.xml\"]", "linkage.d/*.xml\"", &["syntax"]);
    check("until = 2023-07-09T06:00:00+09:00 ", "until = [ 2023-07-09T06:00:00+09:00 ", &["syntax"]);
    check("\"batch\", ", "\"batch\" ", &["syntax"]);
    check("key = \"queue.lock\"", "key \"queue.lock\"", &["syntax"]);
    check("id = \"print\"", "id = \"print", &["syntax"]);
}

#[test]
fn a_problem_reads_as_one_line_with_its_hint_and_key() {
    let text = SAMPLE.replacen("{ setting = \"lock.print-wait\" }", "{ setting = \"lock.print_wait\" }", 1);
    let problems = source::baseline(&text).unwrap_err();
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!(problem.key, "fix[0].requires[1].setting");
    assert_eq!(
        problem.to_string(),
        "80:102: dangling-setting: no setting has the id `lock.print_wait` (hint: did you mean `lock.print-wait`?)"
    );
}
