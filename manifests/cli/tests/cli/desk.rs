//! A release manager's desk: a directory, three key files and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use manifests::key::{PublicKey, SigningKey};
use manifests::tuf::Targets;
use manifests::tuf::repository;
use serde_json::json;
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse";

/// A baseline and hosts that fit each other.
pub(crate) const BASELINE: &str = r#"schema = 1
product = "convenience-issuance"
version = "1.0.0"
min_agent = "0.1.0"

[gate]
heartbeat = "30s"
permit_ttl = "30m"
evidence_max_age = "10m"
verify_hold = "250ms"
expiry_grace = "14d"

[[config]]
id = "print"
files = ["/etc/issuing/print.ini"]
format = "ini"
roles = ["ap"]

[[program]]                    # reviewed on Fridays
id = "issuing-server"
root = "/opt/issuing"
exclude = ["logs/**", "*.tmp"]
roles = ["ap"]
enforce = "hold"
[[program.release]]
version = "3.4.1"
tree = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[[setting]]
id = "lock.print-wait"
kind = "exclusive-lock"
pattern = "misconfiguration"
config = "print"
key = "queue.lock"
expect = { equals = "exclusive" }
enforce = "hold"
"#;

/// The file list of its release, which has no files.
pub(crate) const FILE_LIST: &str = "d/files/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) const HOSTS: &str = r#"
[[site]]
code = "402206"
name = { en = "Munakata", ja = "宗像市" }
[[site]]
code = "372013"
name = { en = "Takamatsu", ja = "高松市" }
[[host]]
id = "402206-ap1"
roles = ["ap"]
joined = 2023-04-01T00:00:00+09:00
[[host]]
id = "372013-ap1"
roles = ["ap"]
joined = 2023-04-01T00:00:00+09:00
"#;

/// Runs the program with a passphrase in the environment.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).env("SEKISHO_PASSPHRASE", PASSPHRASE).output().unwrap()
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-baseline"));
    for variable in ["SEKISHO_PASSPHRASE", "SEKISHO_CONTROLLER", "SEKISHO_CA", "SEKISHO_TOKEN_FILE"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// Asserts on the exit code and on words of stdout and stderr together, which it returns.
#[track_caller]
pub(crate) fn check(output: &Output, code: i32, words: &[&str]) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Online keys of one controller.
pub(crate) struct Online {
    pub(crate) snapshot: SigningKey,
    pub(crate) timestamp: SigningKey,
}

pub(crate) struct Desk {
    pub(crate) temporary: TempDir,
    pub(crate) online: Online,
}

impl Desk {
    /// Keys and controllers, nothing else.
    pub(crate) fn empty() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        for KeyPair { name, key, public } in signer_keys() {
            let path = temporary.path().join(name);
            fs::write(&path, key).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            fs::write(path.with_extension("pem.pub"), public).unwrap();
        }
        let new = || SigningKey::generate().unwrap();
        let online = Online { snapshot: new(), timestamp: new() };
        let main =
            [new().public(), new().public(), online.snapshot.public(), online.timestamp.public()].map(PublicKey::clone);
        let standby = [(); 4].map(|()| new().public().clone());
        for (id, [permit, log, snapshot, timestamp]) in [("main", main), ("standby", standby)] {
            let text = json!({ "id": id, "permit_key": permit, "log_key": log, "snapshot_key": snapshot,
                "timestamp_key": timestamp });
            fs::write(temporary.path().join(format!("{id}.json")), text.to_string()).unwrap();
        }
        Self { temporary, online }
    }

    /// After `init`, with a baseline and hosts written.
    pub(crate) fn new() -> Self {
        let desk = Self::empty();
        check(&desk.init(&["a;Quality", "b;Operations", "c;Design"], true), 0, &["1.root.json"]);
        let registry = desk.read("d/registry.toml") + HOSTS;
        desk.write("d/registry.toml", &registry);
        desk.write("d/baseline.toml", BASELINE);
        desk.write(FILE_LIST, "");
        desk
    }

    /// After a and b have signed everything.
    pub(crate) fn signed() -> Self {
        let desk = Self::new();
        check(&desk.sign("a"), 0, &["1.targets.json"]);
        check(&desk.sign("b"), 0, &["complete"]);
        desk
    }

    /// Another desk with the same files.
    pub(crate) fn copy(&self) -> Self {
        fn copy(from: &Path, to: &Path) {
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let to = to.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    fs::create_dir(&to).unwrap();
                    copy(&entry.path(), &to);
                } else {
                    fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        let temporary = tempfile::tempdir().unwrap();
        copy(self.temporary.path(), temporary.path());
        let new = || SigningKey::generate().unwrap();
        Self { temporary, online: Online { snapshot: new(), timestamp: new() } }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    #[track_caller]
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{from:?} is not in {name}");
        self.write(name, &text.replacen(from, to, 1));
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// `init` with signers `name;unit` whose key file bears the same name.
    pub(crate) fn init(&self, signers: &[&str], standby: bool) -> Output {
        run(&self.init_arguments(signers, standby).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The arguments of [`Desk::init`].
    pub(crate) fn init_arguments(&self, signers: &[&str], standby: bool) -> Vec<String> {
        let mut arguments = vec!["init".to_owned(), self.text("d"), "--product".to_owned()];
        arguments.push("convenience-issuance".to_owned());
        for signer in signers {
            let key = self.text(&format!("{}.pem.pub", &signer[..1]));
            arguments.extend(["--signer".to_owned(), format!("manager {signer};{key}")]);
        }
        arguments.extend(["--controller".to_owned(), self.text("main.json")]);
        if standby {
            arguments.extend(["--controller".to_owned(), self.text("standby.json")]);
        }
        arguments
    }

    pub(crate) fn sign(&self, who: &str) -> Output {
        run(&["sign", &self.text("d"), "--key", &self.text(&format!("{who}.pem"))])
    }

    pub(crate) fn check(&self) -> Output {
        run(&["check", &self.text("d")])
    }

    /// Key ids under a document, in the order of their signatures.
    pub(crate) fn signatures(&self, name: &str) -> Vec<String> {
        let file: serde_json::Value = serde_json::from_str(&self.read(&format!("d/metadata/{name}"))).unwrap();
        let signatures = file["signatures"].as_array().unwrap();
        signatures.iter().map(|signature| signature["keyid"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn targets(&self, name: &str) -> Targets {
        repository::read_unverified(&fs::read(self.path(&format!("d/metadata/{name}"))).unwrap()).unwrap()
    }
}

struct KeyPair {
    name: &'static str,
    key: Vec<u8>,
    public: Vec<u8>,
}

// Made once by the real program: protecting a key is slow on purpose.
fn signer_keys() -> &'static [KeyPair] {
    static KEYS: OnceLock<[KeyPair; 3]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        ["a.pem", "b.pem", "c.pem"].map(|name| {
            let path: &Path = &directory.path().join(name);
            check(&run(&["keygen", path.to_str().unwrap()]), 0, &[]);
            let (key, public) = (fs::read(path).unwrap(), fs::read(path.with_extension("pem.pub")).unwrap());
            KeyPair { name, key, public }
        })
    })
}
