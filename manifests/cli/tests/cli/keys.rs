//! Key files: whose they are, who may read them, and that other tools open them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::desk::{Desk, PASSPHRASE, check, command, run};

#[test]
fn a_key_is_never_overwritten_and_needs_a_passphrase() {
    let desk = Desk::empty();
    let before = desk.read("a.pem");
    check(&run(&["keygen", &desk.text("a.pem")]), 1, &["exists already"]);
    assert_eq!(desk.read("a.pem"), before);
    desk.write("new.pem.pub", "somebody's");
    check(&run(&["keygen", &desk.text("new.pem")]), 1, &["new.pem.pub exists"]);
    assert!(!desk.exists("new.pem"));
    let short = command(&["keygen", &desk.text("n.pem")]).env("SEKISHO_PASSPHRASE", "short").output().unwrap();
    check(&short, 1, &["8 to 1024"]);
    assert!(!desk.exists("n.pem"));
    check(&run(&["keygen", &desk.text("no/where.pem")]), 74, &["cannot write"]);
}

#[test]
fn a_wrong_passphrase_a_foreign_key_and_an_open_file_sign_nothing() {
    let desk = Desk::new();
    let sign = |passphrase: &str, key: &str| {
        let arguments = ["sign", &desk.text("d"), "--key", &desk.text(key)].map(str::to_owned);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        command(&arguments).env("SEKISHO_PASSPHRASE", passphrase).output().unwrap()
    };
    check(&sign("correct horsf", "a.pem"), 1, &["passphrase does not open"]);
    check(&run(&["keygen", &desk.text("x.pem")]), 0, &[]);
    check(&sign(PASSPHRASE, "x.pem"), 1, &["no signer's"]);
    fs::set_permissions(desk.path("a.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    check(&sign(PASSPHRASE, "a.pem"), 1, &["open to others", "chmod 600"]);
    check(&sign(PASSPHRASE, "d"), 1, &["/d is a directory\n"]);
    check(&sign(PASSPHRASE, "nowhere.pem"), 74, &["nowhere.pem"]);
    assert!(desk.signatures("1.root.json").is_empty());
    assert!(!desk.exists("d/metadata/1.targets.json"));
}

#[test]
fn a_passphrase_may_come_from_the_first_line_of_a_file() {
    let desk = Desk::new();
    desk.write("passphrase", &format!("{PASSPHRASE}\r\nsecond line\n"));
    let mode = |mode| fs::set_permissions(desk.path("passphrase"), fs::Permissions::from_mode(mode)).unwrap();
    let arguments =
        ["sign", &desk.text("d"), "--key", &desk.text("a.pem"), "--passphrase-file", &desk.text("passphrase")]
            .map(str::to_owned);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // A file that is named wins over the environment.
    let sign = || command(&arguments).env("SEKISHO_PASSPHRASE", "another one").output().unwrap();
    mode(0o640);
    check(&sign(), 1, &["passphrase is open to others (mode 640)", "chmod 600", "change the passphrase"]);
    mode(0o600);
    let output = sign();
    check(&output, 0, &["1.root.json: signed"]);
}

#[test]
fn openssl_and_this_program_open_each_others_key_files() {
    let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).output();
    if openssl(&["version"]).is_err() {
        eprintln!("openssl is not installed: this test has tested nothing");
        return;
    }
    let desk = Desk::new();
    let pass = format!("pass:{PASSPHRASE}");
    let shown = openssl(&["pkey", "-in", &desk.text("a.pem"), "-passin", &pass, "-noout", "-text_pub"]).unwrap();
    let registry: String = String::from_utf8_lossy(&shown.stdout)
        .lines()
        .filter(|line| line.starts_with("    "))
        .map(|line| line.trim().replace(':', ""))
        .collect();
    assert!(registry.len() == 64 && desk.read("a.pem.pub").contains(&registry), "{shown:?}");
    // Back through openssl, which protects with PBKDF2 by itself.
    for option in ["-v2", "-scrypt"] {
        let path = desk.text("again.pem");
        let mut arguments =
            vec!["pkcs8", "-topk8", "-in", "", "-passin", &pass, "-passout", &pass, "-out", &path, option];
        let from = desk.text("a.pem");
        arguments[3] = &from;
        if option == "-v2" {
            arguments.push("aes-256-cbc");
        }
        let made = openssl(&arguments).unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        check(&run(&["sign", &desk.text("d"), "--key", &path]), 0, &["1.root.json: signed"]);
    }
}

#[test]
fn usage_errors_exit_with_64_and_help_with_0() {
    for arguments in [&[][..], &["sing"], &["sign"], &["keygen", "a", "b"], &["lift", "d", "--stop", "sha256:00"]] {
        check(&run(arguments), 64, &[]);
    }
    check(&run(&["--help"]), 0, &["keygen", "publish", "Exit codes"]);
    check(&run(&["sign", "--help"]), 0, &["--passphrase-file"]);
}
