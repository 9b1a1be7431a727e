//! Kinds of odd files, a line each: what a reader makes of them, and what nobody can tell.

use agent::collect::{Heard, Said};
use manifests::baseline::{Encoding, Format, Reader};
use manifests::evidence::{Odd, Why};
use manifests::value::Value;

/// What is expected: a value, its absence, no value, what is odd, or why it is unknown.
#[derive(Clone, Copy, Debug)]
enum Is {
    Text(&'static str),
    Number(i64),
    Yes,
    Absent,
    NoValue,
    Odd(Odd),
    Not(Why),
}

use Is::{Absent, NoValue, Not, Number, Odd as O, Text, Yes};

fn check_bytes(bytes: &[u8], format: Format, reader: Reader, encoding: Option<Encoding>, key: &str, is: Is) {
    let heard = match Said::of(bytes, format, reader, encoding) {
        Ok(said) => said.find_alone(key),
        Err(why) => Heard::Unknown(why),
    };
    let fits = match (&heard, is) {
        (Heard::Value(Value::Text(found), _), Text(expected)) => found == expected,
        (Heard::Value(Value::Integer(found), _), Number(expected)) => *found == expected,
        (Heard::Value(Value::Boolean(found), _), Yes) => *found,
        (Heard::Absent, Absent) | (Heard::NoValue(_), NoValue) => true,
        (Heard::Unclear(_, found), O(expected)) => *found == expected,
        (Heard::Unknown(found), Not(expected)) => *found == expected,
        _ => false,
    };
    let shown = String::from_utf8_lossy(bytes);
    assert!(fits, "{format:?} {reader} {encoding:?} {key}: {shown:?}: {heard:?}, expected {is:?}");
}

fn check(text: &str, format: Format, reader: Reader, key: &str, is: Is) {
    check_bytes(text.as_bytes(), format, reader, None, key, is);
}

fn ini(text: &str, is: Is) {
    check(text, Format::Ini, Reader::Strict, "queue.lock", is);
}

#[test]
fn an_ini_value_counts_where_all_readers_that_take_the_file_agree() {
    for clean in [
        "[queue]\nlock = exclusive\n",
        "[queue]\nlock=exclusive",
        "[queue]\r\nlock=exclusive\r\n",
        "# words\n; words\n\n[queue]\n\tlock = exclusive\n",
        "[other]\nlock = x\n[queue]\nlock = exclusive\n[third]\nlock = y\n",
        // Refused by git for its name, by configparser for the key alone, by GLib for the words behind `]`.
        "[queue]\nlock = exclusive\nlock_mode = x\n",
        "[queue]\nlock = exclusive\nskip-spool\n",
        "[queue] ; words\nlock = exclusive\n",
        "[queue]\nlock = exclusive\nlock = exclusive\n",
    ] {
        ini(clean, Text("exclusive"));
    }
    ini("[queue]\nlock = a:b\n", Text("a:b"));
    ini("[queue]\nlock = C:\\data\n", Text("C:\\data"));
    ini("[queue]\nlock = 100%\n", Text("100%"));
    ini("[queue]\nlock =\n", Text(""));
    ini("[queue]\nlock = 排他\n", Text("排他"));
    ini("[queue]\nother = 1\n", Absent);
    ini("", Absent);
    // git takes a name without a section, and has none of this one.
    ini("lock = exclusive\n", Absent);
}

#[test]
fn an_ini_value_is_unclear_where_two_readers_differ_and_says_why() {
    for (text, odd) in [
        ("[queue]\nlock = \"exclusive\"\n", Odd::Quotes),
        ("[queue]\nlock = 'exclusive'\n", Odd::Quotes),
        ("[queue]\nlock = \"ex\" \"cl\"\n", Odd::Quotes),
        ("[queue]\nlock = exclusive ; words\n", Odd::Comment),
        ("[queue]\nlock = exclusive # words\n", Odd::Comment),
        ("[queue]\nlock = exclusive;shared\n", Odd::Comment),
        ("[queue]\nlock = exclusive \n", Odd::Blanks),
        ("[queue]\nlock = exclusive\u{3000}\n", Odd::Blanks),
        ("[queue]\nlock = exclusive\u{a0}\n", Odd::Blanks),
        ("[queue]\nlock = exclusive\n  more = 1\n", Odd::Continuation),
        ("[queue]\nlock = exclusive\n\n  more = 1\n", Odd::Continuation),
        ("[queue]\nlock = exclusive\n\u{3000}more = 1\n", Odd::Continuation),
        ("[queue]\nbefore = a \\\nlock = exclusive\n", Odd::Continuation),
        ("[queue]\nlock = exclusive \\\nnext = 1\n", Odd::Continuation),
        ("[queue]\nlock = C:\\temp\\new\n", Odd::Escape),
        ("[queue]\nlock = 50%%\n", Odd::Interpolation),
        ("[queue]\nmode = x\nlock = %(mode)s\n", Odd::Interpolation),
        ("[queue]\nlock: exclusive?mode=x\n", Odd::Separator),
        ("[queue]\nlock = exclusive\nlock: none ; was lock = exclusive\n", Odd::Duplicate),
        ("[queue]\nLock = exclusive\n", Odd::Case),
        ("[Queue]\nlock = exclusive\n", Odd::Case),
        ("[queue]\nlock = exclusive\nLOCK = shared\n", Odd::Duplicate),
        ("[queue]\nlock = exclusive\nlock = shared\n", Odd::Duplicate),
        ("[queue]\nlock\n", Odd::NoValue),
        ("[DEFAULT]\nlock = exclusive\n[queue]\nx = 1\n", Odd::Section),
        ("[queue]\nx = 1\n[other]\n[queue]\nlock = exclusive\n", Odd::Readers),
        ("[ queue ]\nlock = exclusive\n", Odd::Section),
        ("[queue ]\nlock = exclusive\n", Odd::Section),
        ("\u{feff}[queue]\nlock = exclusive\n", Odd::ByteOrderMark),
        ("[queue]\n; words\rlock = exclusive\nnext = 1\n", Odd::LineEnd),
        ("[queue]\rlock = exclusive\r", Odd::LineEnd),
        ("[queue]\nlock = exclusive\n[include]\npath = other\n", Odd::Include),
    ] {
        ini(text, O(odd));
    }
}

#[test]
fn an_ini_file_that_no_two_readers_take_is_malformed() {
    for text in [
        "queue.lock = exclusive\n",
        "[queue\nlock = exclusive\n",
        "[queue]\nlock＝exclusive\n",
        "\u{feff}\u{feff}[queue]\nlock = exclusive\n",
        "[queue]\nlock = exclusive\0\n",
        // Taken by one alone, and another leaves a line of it out.
        "[queue]\nlock: exclusive\n",
        "[queue]\nlock = exclusive\n!include other\n",
        "[top]\nx = 1\n\u{feff}[queue]\nlock = exclusive\n",
    ] {
        ini(text, Not(Why::Malformed));
    }
}

#[test]
fn keys_of_an_ini_file_do_not_collide_by_their_dots() {
    let both = "[queue.print]\nlock = shared\n[queue]\nprint.lock = exclusive\n";
    let deep = "[queue]\nprint.lock = exclusive\n";
    let ask = |text: &str, key: &str, is| check(text, Format::Ini, Reader::Glib, key, is);
    ask(both, "queue.print.lock", O(Odd::Key));
    ask(both, "queue.\"print.lock\"", Text("exclusive"));
    ask(both, "\"queue.print\".lock", Text("shared"));
    ask(deep, "queue.print.lock", O(Odd::Key));
    ask("[queue.print]\nlock = shared\n", "queue.print.lock", Text("shared"));
    ask(deep, "\"queue.print\".lock", Absent);
}

#[test]
fn a_named_reader_settles_what_readers_take_differently() {
    let ask = |reader, text: &str, is| check(text, Format::Ini, reader, "queue.lock", is);
    let quoted = "[queue]\nlock = \"exclusive\" ; words\n";
    ask(Reader::Git, quoted, Text("exclusive"));
    ask(Reader::Glib, quoted, Text("\"exclusive\" ; words"));
    ask(Reader::Configparser, quoted, Text("\"exclusive\" ; words"));
    ask(Reader::Systemd, quoted, Text("\"exclusive\" ; words"));
    ask(Reader::Mariadb, "[queue]\nlock = 'exclusive' # words\n", Text("exclusive"));
    ask(Reader::Windows, "[QUEUE]\r\nLock='exclusive'\r\nlock=shared\r\n", Text("exclusive"));
    ask(Reader::Configparser, "[queue]\nlock: exclusive\n", Text("exclusive"));
    ask(Reader::Git, "[queue]\nlock: exclusive\n", Not(Why::Malformed));
    ask(Reader::Configparser, "[queue]\nLOCK = exclusive\n", Text("exclusive"));
    ask(Reader::Glib, "[queue]\nLOCK = exclusive\n", Absent);
    ask(Reader::Git, "[Queue]\nLOCK = exclusive\n", Text("exclusive"));
    ask(Reader::Configparser, "[DEFAULT]\nlock = exclusive\n[queue]\n", Text("exclusive"));
    ask(Reader::Configparser, "[queue]\nmode = ex\nlock = %(mode)sclusive\n", Text("exclusive"));
    ask(Reader::Configparser, "[queue]\nlock = 50%\n", Not(Why::Malformed));
    ask(Reader::Configparser, "[queue]\nlock = a\nlock = a\n", Not(Why::Malformed));
    ask(Reader::Configparser, "[queue]\nlock = a\n  b\n", Text("a\nb"));
    ask(Reader::Systemd, "[queue]\nlock = a \\\n  b\n", Text("a    b"));
    ask(Reader::Systemd, "\u{feff}[queue]\nlock = a\n", Text("a"));
    ask(Reader::Systemd, "[queue]\nno equals here\nlock = a\n", Text("a"));
    ask(Reader::Git, "[queue]\nlock\n", NoValue);
    ask(Reader::Mariadb, "[QUEUE]\nlock = a\\sb\n", Text("a b"));
    check("[q]\nlock_wait = 1\n", Format::Ini, Reader::Mariadb, "q.lock-wait", Text("1"));
    check("[queue \"Main\"]\nlock = 1\n", Format::Ini, Reader::Git, "queue.Main.lock", Text("1"));
    check("[queue \"Main\"]\nlock = 1\n", Format::Ini, Reader::Git, "queue.main.lock", Absent);
    // Twice with different values is a question to the operator, whoever reads it.
    for reader in [Reader::Git, Reader::Glib, Reader::Mariadb, Reader::Systemd] {
        ask(reader, "[queue]\nlock = a\nlock = b\n", O(Odd::Duplicate));
    }
}

// By the documentation of GetPrivateProfileString: no Windows is asked.
#[test]
fn windows_reads_as_its_documentation_says() {
    let ask = |text: &str, key: &str, is| check(text, Format::Ini, Reader::Windows, key, is);
    ask("[Queue]\r\nLock = exclusive \r\n", "queue.LOCK", Text("exclusive"));
    ask("[q]\na=\"x\"\nb='x'\nc=\"x'\nd=\"\"x\"\"\ne=\"\n", "q.a", Text("x"));
    ask("[q]\nb='x'\n", "q.b", Text("x"));
    ask("[q]\nc=\"x'\n", "q.c", Text("\"x'"));
    ask("[q]\nd=\"\"x\"\"\n", "q.d", Text("\"x\""));
    ask("[q]\nk=a;b # c\n", "q.k", Text("a;b # c"));
    ask("[q]\n;k=1\nk=2\nk=3\n[q]\nm=1\n", "q.k", Text("2"));
    ask("[q]\n[r]\n[q]\nm=1\n", "q.m", Absent);
    ask("k=1\n[q]\n", "k", Absent);
    ask("[ q ]\nk=1\n", "q.k", O(Odd::Section));
}

// By systemd.syntax(7): its reader of unit files cannot be asked by itself.
#[test]
fn systemd_reads_as_its_manual_says() {
    let ask = |text: &str, key: &str, is| check(text, Format::Ini, Reader::Systemd, key, is);
    ask("[A]\nK=v\n", "A.K", Text("v"));
    ask("[A]\n  K  =  v  \n", "A.K", Text("v"));
    ask("[A]\nK=a \\\n# words\n; more words\nb\n", "A.K", Text("a  b"));
    ask("[A]\nK=a \\\n\nL=b\n", "A.L", Text("b"));
    ask("[A]\nK=a\\\\\nL=b\n", "A.L", Text("b"));
    ask("[A]\nK=a # b\n", "A.K", Text("a # b"));
    ask("[A] # words\nK=v\n", "A.K", Not(Why::Malformed));
    ask("K=v\n[A]\n", "K", Absent);
    ask("[A]\nk=v\n", "A.K", Absent);
    ask("[A]\rK=v\r", "A.K", Text("v"));
}

#[test]
fn encodings_are_kept_to_strictly_and_a_byte_that_looks_like_a_backslash_is_none() {
    let sjis = |bytes: &[u8], format, reader, key: &str, is| {
        check_bytes(bytes, format, reader, Some(Encoding::ShiftJis), key, is);
    };
    // U+8868 is 95 5C.
    let table = b"[queue]\ntitle = \x95\x5c\nlock = exclusive\n";
    sjis(table, Format::Ini, Reader::Strict, "queue.lock", Text("exclusive"));
    sjis(table, Format::Ini, Reader::Strict, "queue.title", Text("表"));
    sjis(table, Format::Ini, Reader::Configparser, "queue.title", Text("表"));
    // git reads bytes: the line goes on.
    sjis(table, Format::Ini, Reader::Git, "queue.lock", Absent);
    sjis(b"lock=\x95\x5c\\u0041\n", Format::Properties, Reader::Java, "lock", Text("表A"));
    sjis(b"A=\x95\x5c\n", Format::Env, Reader::Systemd, "A", Not(Why::Undecodable));
    sjis("{\"a\": \"b\"}".as_bytes(), Format::Json, Reader::Strict, "a", Text("b"));
    check_bytes(
        b"[queue]\nlock = \xc7\xd3\xc2\xbe\n",
        Format::Ini,
        Reader::Strict,
        Some(Encoding::EucJp),
        "queue.lock",
        Text("排他"),
    );
    check_bytes(
        b"[queue]\nlock = \x94\x72\x91\xbc\n",
        Format::Ini,
        Reader::Strict,
        None,
        "queue.lock",
        Not(Why::Undecodable),
    );
    let wide: Vec<u8> = "\u{feff}[queue]\nlock = x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check_bytes(&wide, Format::Ini, Reader::Strict, None, "queue.lock", Text("x"));
    check_bytes(&wide, Format::Ini, Reader::Windows, None, "queue.lock", Text("x"));
    check_bytes(&wide, Format::Ini, Reader::Git, None, "queue.lock", Not(Why::Malformed));
    check_bytes(&wide, Format::Ini, Reader::Strict, Some(Encoding::ShiftJis), "queue.lock", Not(Why::Undecodable));
}

#[test]
fn properties_are_javas() {
    let ask = |text: &str, key: &str, is| check(text, Format::Properties, Reader::Java, key, is);
    ask("\u{feff}lock=exclusive\n", "lock", Absent);
    ask("\u{feff}#\nlock=exclusive\n", "lock", Text("exclusive"));
    ask("lock=exclusive\nl\\u006fck=none\n", "lock", O(Odd::Duplicate));
    ask("Lock=exclusive\n", "lock", Absent);
    ask("lock=\u{3000}exclusive \n", "lock", Text("\u{3000}exclusive "));
    ask("a.b\\.c=1\n", "a.b.c", Text("1"));
    ask("\\\n# words\nlock=x\n", "lock", Text("x"));
}

#[test]
fn toml_keys_in_quotes_are_their_own() {
    let ask = |text: &str, key: &str, is| check(text, Format::Toml, Reader::Strict, key, is);
    ask("\"queue.lock\" = \"exclusive\"\n", "queue.lock", Absent);
    ask("\"queue.lock\" = \"exclusive\"\n[queue]\nlock = \"shared\"\n", "queue.lock", Text("shared"));
    ask("\"queue.lock\" = \"exclusive\"\n", "\"queue.lock\"", Text("exclusive"));
    ask("queue.lock = \"exclusive\"\n", "queue.lock", Text("exclusive"));
    ask("[list]\n0 = \"exclusive\"\n", "list.0", O(Odd::Key));
    ask("[list]\n0 = \"exclusive\"\n", "list.\"0\"", Text("exclusive"));
    ask("list = [\"exclusive\"]\n", "list.0", Text("exclusive"));
    ask("\u{feff}lock = true\n", "lock", Yes);
    ask("lock = 1\rnext = 2\n", "lock", Not(Why::Malformed));
}

#[test]
fn xml_is_what_expat_takes() {
    let ask = |text: &str, key: &str, is| check(text, Format::Xml, Reader::Expat, key, is);
    let good = "<?xml version=\"1.0\"?>\n<p><q lock=\"exclusive\"/></p>\n";
    ask(good, "p/q/@lock", Text("exclusive"));
    ask("<!DOCTYPE p><p><q lock='x'/></p>", "p/q/@lock", Text("x"));
    ask("<!DOCTYPE p SYSTEM 'p.dtd'><p><q lock='x'/></p>", "p/q/@lock", Text("x"));
    ask("<!DOCTYPE p SYSTEM 'p.dtd'><p><q/></p>", "p/q/@lock", O(Odd::Doctype));
    ask("<!DOCTYPE p SYSTEM 'p.dtd'><p><q/></p>", "p/r", Absent);
    ask("<!DOCTYPE p SYSTEM 'p.dtd'><p><q>&e;</q></p>", "p/q", O(Odd::Doctype));
    ask("<!DOCTYPE p []><p><q/></p>", "p/q/@lock", Not(Why::Malformed));
    ask("<!DOCTYPE p [<!ATTLIST q lock CDATA 'x'>]><p><q/></p>", "p/q/@lock", Not(Why::Malformed));
    ask("<p><q lock='x'/><q/></p>", "p/q/@lock", O(Odd::Repeated));
    ask("<p><q><l>x</l></q><q/></p>", "p/q/l", O(Odd::Repeated));
    ask("<p><q lock='x'/><q lock='x'/></p>", "p/q/@lock", Text("x"));
    ask("<p><q lock='x'/><q lock='y'/></p>", "p/q/@lock", O(Odd::Duplicate));
    ask("<p xmlns:a='u' xmlns:b='u'><a:q>1</a:q><b:q>2</b:q></p>", "p/a:q", O(Odd::Duplicate));
    ask("<a:p xmlns:a='u'><a:q>1</a:q></a:p>", "p/q", NoValue);
    ask("<p xmlns='u'><q>1</q></p>", "p/q", Text("1"));
    ask("<p xmlns:xi='http://www.w3.org/2001/XInclude'><q>1</q><xi:include href='x'/></p>", "p/r", O(Odd::Include));
    for (declared, is) in [
        ("UTF-8", Text("排")),
        ("Shift_JIS", Not(Why::Undecodable)),
        ("UTF-16", Not(Why::Undecodable)),
        ("x", Not(Why::Undecodable)),
    ] {
        ask(&format!("<?xml version='1.0' encoding='{declared}'?><p>排</p>"), "p", is);
    }
    ask("<?xml version='1.0' encoding='Shift_JIS'?><p>a</p>", "p", Text("a"));
    ask("<?xml version='1.0' encoding='UTF-16'?><p>a</p>", "p", Not(Why::Undecodable));
    let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
    ask(&deep, "a", Not(Why::TooLarge));
}

#[test]
fn yaml_is_what_its_readers_agree_on() {
    let ask = |text: &str, is| check(text, Format::Yaml, Reader::Strict, "k", is);
    ask("k: exclusive\n", Text("exclusive"));
    ask("k: \"yes\"\n", Text("yes"));
    ask("k: 30\n", Number(30));
    ask("k: true\n", Yes);
    ask("k: 0x1F\n", Number(31));
    ask("k: ~\n", NoValue);
    ask("k:\n", NoValue);
    ask("k: http://x/?a=1&b:2*c\n", Text("http://x/?a=1&b:2*c"));
    ask("k: x & y # &b:c\n", Text("x & y"));
    ask("k: '&b:c'\n", Text("&b:c"));
    ask("k: {}\n", NoValue);
    ask("k: 1.5\n", Text("1.5"));
    for odd in ["yes", "No", "on", "010", "0o7", "1_000", "190:20:30", "0b11", "1e3", "2023-05-01", "+.5"] {
        ask(&format!("k: {odd}\n"), O(Odd::Type));
    }
    ask("k: 1\nk: 2\n", O(Odd::Duplicate));
    ask("base: &b {k: 1}\nm: {<<: *b}\nk: 2\n", Number(2));
    ask("1: x\nk: 2\n", Number(2));
    for refused in [
        "k: 1\n---\nk: 2\n",
        "k: !include x\n",
        "k: !!python/object:x {}\n",
        "k:\t1\n",
        "? k\n: 1\n",
        "k: &b:c---\n",
        "a: &b 1\nk: [*b:, 1]\n",
        "a: &b 1\n*b: x\n",
        "k: &\u{e9} 1\n",
        "k: 1\u{85}l: 2\n",
        "%TAG ! x\n---\nk: 1\n",
        "[k]: 1\n",
    ] {
        ask(refused, Not(Why::Malformed));
    }
    let merged = |reader, is| check("b: &b {k: 1}\nm:\n  <<: *b\n", Format::Yaml, reader, "m.k", is);
    merged(Reader::Strict, O(Odd::Readers));
    merged(Reader::Pyyaml, Number(1));
    merged(Reader::Snakeyaml, Number(1));
    check("k: yes\n", Format::Yaml, Reader::Pyyaml, "k", Yes);
    check("k: 010\n", Format::Yaml, Reader::Snakeyaml, "k", Number(8));
    check("yes: 1\n", Format::Yaml, Reader::Pyyaml, "yes", O(Odd::Type));
    check("a: {b: 1}\na: {c: 1}\n", Format::Yaml, Reader::Pyyaml, "a.b", O(Odd::Duplicate));
    // Each level names the one before nine times.
    let laughs: String =
        (1..20).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(","))).collect();
    check(&format!("l0: &l0 x\n{laughs}"), Format::Yaml, Reader::Pyyaml, "l0", Not(Why::TooLarge));
    check("a: &a [*a]\n", Format::Yaml, Reader::Pyyaml, "a", Not(Why::Malformed));
}

#[test]
fn json_env_and_keyvalue_have_their_own_kinds() {
    check("{\"a\": 1, \"a\": 2}", Format::Json, Reader::Strict, "a", O(Odd::Duplicate));
    check("{\"a\": {\"b\": 1}, \"a\": {}}", Format::Json, Reader::Strict, "a.b", O(Odd::Duplicate));
    check("{\"a\": 1,}", Format::Json, Reader::Strict, "a", Not(Why::Malformed));
    check("// x\n{\"a\": 1}", Format::Json, Reader::Strict, "a", Not(Why::Malformed));
    check(
        "{\"a\": 123456789012345678901234567890}",
        Format::Json,
        Reader::Strict,
        "a",
        Text("123456789012345678901234567890"),
    );
    check("\u{feff}{\"a\": 1}", Format::Json, Reader::Strict, "a", Number(1));
    let env = |text: &str, is| check(text, Format::Env, Reader::Systemd, "LOCK", is);
    env("export LOCK=exclusive\n", Absent);
    env("LOCK=exclusive # words\n", Text("exclusive # words"));
    env("LOCK=\"exclusive\"\n", Text("exclusive"));
    env("LOCK='exclusive' # words\n", Text("exclusive# words"));
    env("LOCK=${MODE}\n", Text("${MODE}"));
    env("LOCK=a\\\nb\n", Text("ab"));
    env("# words \\\nLOCK=exclusive\n", O(Odd::Continuation));
    env("LOCK=a\nLOCK=b\n", O(Odd::Duplicate));
    env("lock=a\n", Absent);
    env("\u{feff}LOCK=a\n", Absent);
    let keyvalue = |text: &str, is| check(text, Format::Keyvalue, Reader::Postgresql, "lock", is);
    keyvalue("LOCK = 'it''s' # words\n", Text("it's"));
    keyvalue("lock exclusive\n", Text("exclusive"));
    keyvalue("lock = two words\n", Not(Why::Malformed));
    keyvalue("lock = 'open\n", Not(Why::Malformed));
    keyvalue("lock = a\nlock = b\n", O(Odd::Duplicate));
    keyvalue("lock = a\ninclude 'x'\n", O(Odd::Include));
    keyvalue("include 'x'\nlock = a\n", Text("a"));
}
