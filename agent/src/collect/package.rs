//! Installed packages, from dpkg's database. Other databases are `unsupported`.
//!
//! dpkg rewrites its status file seldom. Meanwhile each change of a package is a file of its own in
//! `updates/`, named by a number, and counts over the status file and over every lower number, as
//! dpkg's own reader takes it (`cleanupdates` in dpkg's `lib/dpkg/dbmodify.c`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use manifests::evidence::{PackageSeen, Why};
use manifests::version::Version;
use rustix::io::Errno;

use crate::collect::read;
use crate::collect::stamp::Stamp;

/// Where dpkg keeps what is installed.
pub(crate) const DPKG_STATUS: &str = "/var/lib/dpkg/status";
/// The files of `updates/` that count, for whoever watches them: all digits. dpkg's own `tmp.i` is none.
pub(crate) const DPKG_UPDATES: [&str; 10] = ["0*", "1*", "2*", "3*", "4*", "5*", "6*", "7*", "8*", "9*"];
/// The largest status file read, updates included (256 MiB); a full desktop's has 5 MiB.
const STATUS_BYTES_MAX: u64 = 256 << 20;
/// The most updates read; dpkg merges them after 250.
const UPDATES_MAX: usize = 1000;
/// The longest name of an update (`IMPORTANTMAXLEN` of dpkg).
const UPDATE_NAME_MAX: usize = 10;
/// The longest line looked at; longer ones are descriptions and lists that say nothing here.
const LINE_BYTES_MAX: usize = 4096;

/// The directory of updates that belongs to a status file.
pub(crate) fn updates_of(status: &Path) -> PathBuf {
    status.with_file_name("updates")
}

/// What is installed of `wanted`: package name and the version asked for, which names the database.
pub(crate) fn look(wanted: &BTreeMap<&str, &Version>, status: &Path) -> BTreeMap<String, PackageSeen> {
    let dpkg: BTreeSet<&str> =
        wanted.iter().filter(|(_, version)| matches!(version, Version::Dpkg(_))).map(|(name, _)| *name).collect();
    let mut seen: BTreeMap<String, PackageSeen> =
        wanted.keys().map(|name| ((*name).to_owned(), PackageSeen::Unknown(Why::Unsupported))).collect();
    if dpkg.is_empty() {
        return seen;
    }
    let found = read::twice(|| whole(status, &dpkg));
    for name in dpkg {
        let package = match &found {
            Ok(found) => found.get(name).cloned().unwrap_or(PackageSeen::Absent),
            Err(why) => PackageSeen::Unknown(*why),
        };
        seen.insert(name.to_owned(), package);
    }
    seen
}

/// Status file and updates, as they were at one moment.
fn whole(status: &Path, wanted: &BTreeSet<&str>) -> Result<BTreeMap<String, PackageSeen>, Why> {
    let before = Files::now(status)?;
    let mut instances = Instances::default();
    let mut bytes_left = STATUS_BYTES_MAX;
    for (at, path) in before.paths(status).iter().enumerate() {
        let file = match read::open_file(path) {
            // dpkg has merged it into the status file, which may have been read before that.
            Err(Why::FileAbsent) if at > 0 => return Err(Why::Changing),
            other => std::fs::File::from(other?),
        };
        stanzas(file, &mut bytes_left, |stanza| {
            if wanted.contains(stanza.package.as_str()) {
                instances.take(stanza, at);
            }
        })?;
    }
    if Files::now(status)? != before {
        return Err(Why::Changing);
    }
    Ok(instances.packages())
}

/// Which files the database has, and which content as far as the kernel tells.
#[derive(PartialEq)]
struct Files {
    status: Option<Stamp>,
    updates: BTreeMap<String, Option<Stamp>>,
}

impl Files {
    fn now(status: &Path) -> Result<Self, Why> {
        let stamp = |path: &Path| rustix::fs::stat(path).ok().map(|stat| Stamp::from(&stat));
        let directory = updates_of(status);
        let mut updates = BTreeMap::new();
        let listing = match std::fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) => {
                return match Errno::from_io_error(&error).map_or(Why::IoError, read::why) {
                    Why::FileAbsent => Ok(Self { status: stamp(status), updates }),
                    why => Err(why),
                };
            }
        };
        for entry in listing {
            let name = entry.map_err(|_| Why::IoError)?.file_name();
            let Some(name) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else {
                continue;
            };
            // dpkg refuses these, and nobody can tell what counts.
            if name.len() > UPDATE_NAME_MAX || updates.keys().any(|other: &String| other.len() != name.len()) {
                return Err(Why::UnexpectedValue);
            }
            if updates.len() >= UPDATES_MAX {
                return Err(Why::TooLarge);
            }
            updates.insert(name.to_owned(), stamp(&directory.join(name)));
        }
        Ok(Self { status: stamp(status), updates })
    }

    /// In the order in which they count, the last one most.
    fn paths(&self, status: &Path) -> Vec<PathBuf> {
        let directory = updates_of(status);
        std::iter::once(status.to_owned()).chain(self.updates.keys().map(|name| directory.join(name))).collect()
    }
}

#[derive(Default)]
struct Stanza {
    package: String,
    architecture: String,
    status: String,
    version: String,
}

impl Stanza {
    /// Only what is installed has a version, and what waits for triggers, whose files are in place; what is
    /// half-way, or marked as to be installed again, is unknown. What the administrator wants of it (the first
    /// word) does not matter.
    fn seen(self) -> PackageSeen {
        let words: Vec<&str> = self.status.split_ascii_whitespace().collect();
        match words.as_slice() {
            [_, "ok", "installed" | "triggers-pending" | "triggers-awaited"] => PackageSeen::Version(self.version),
            [_, "ok", "not-installed" | "config-files"] => PackageSeen::Absent,
            _ => PackageSeen::Unknown(Why::UnexpectedValue),
        }
    }
}

/// Packages by name and architecture, each with the file that said so.
#[derive(Default)]
struct Instances(BTreeMap<(String, String), (PackageSeen, usize)>);

impl Instances {
    fn take(&mut self, stanza: Stanza, file: usize) {
        let instance = (stanza.package.clone(), stanza.architecture.clone());
        let seen = stanza.seen();
        match self.0.get(&instance) {
            // Twice in one file, and not the same: nobody can tell.
            Some((before, from)) if *from == file && *before != seen => {
                self.0.insert(instance, (PackageSeen::Unknown(Why::Ambiguous), file));
            }
            _ => _ = self.0.insert(instance, (seen, file)),
        }
    }

    /// One package may be there for several architectures.
    fn packages(self) -> BTreeMap<String, PackageSeen> {
        let mut packages = BTreeMap::new();
        for ((package, _), (seen, _)) in self.0 {
            let both = match (packages.remove(&package), seen) {
                (None | Some(PackageSeen::Absent), seen) => seen,
                (Some(before), PackageSeen::Absent) => before,
                (Some(before), seen) if before == seen => seen,
                (Some(PackageSeen::Version(_)), PackageSeen::Version(_)) => PackageSeen::Unknown(Why::Ambiguous),
                (Some(before @ PackageSeen::Unknown(_)), _) => before,
                (Some(_), seen) => seen,
            };
            packages.insert(package, both);
        }
        packages
    }
}

/// Reads stanzas until the end.
fn stanzas(file: impl Read, bytes_left: &mut u64, mut take: impl FnMut(Stanza)) -> Result<(), Why> {
    let mut reader = BufReader::new(file.take(*bytes_left + 1));
    let mut stanza = Stanza::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line).map_err(|_| Why::IoError)?;
        *bytes_left = bytes_left.checked_sub(count as u64).ok_or(Why::TooLarge)?;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if text.is_empty() {
            take(std::mem::take(&mut stanza));
            if count == 0 {
                return Ok(());
            }
            continue;
        }
        // A line that begins with a blank continues a field that says nothing here.
        if text.len() > LINE_BYTES_MAX || text.starts_with(b" ") || text.starts_with(b"\t") {
            continue;
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        if let Some((field, value)) = text.split_once(':') {
            // dpkg takes names of fields in any case.
            let fields = [
                ("package", &mut stanza.package),
                ("architecture", &mut stanza.architecture),
                ("status", &mut stanza.status),
                ("version", &mut stanza.version),
            ];
            for (_, of_field) in fields.into_iter().filter(|(name, _)| field.trim_end().eq_ignore_ascii_case(name)) {
                value.trim().clone_into(of_field);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn version(text: &str) -> PackageSeen {
        PackageSeen::Version(text.to_owned())
    }

    const HALF_WAY: PackageSeen = PackageSeen::Unknown(Why::UnexpectedValue);
    const AMBIGUOUS: PackageSeen = PackageSeen::Unknown(Why::Ambiguous);

    /// A database with these updates: names and contents.
    fn database(status: &str, updates: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("status"), status).unwrap();
        fs::create_dir(directory.path().join("updates")).unwrap();
        for (name, content) in updates {
            fs::write(directory.path().join("updates").join(name), content).unwrap();
        }
        directory
    }

    fn seen(database: &tempfile::TempDir, names: &[&str]) -> Vec<PackageSeen> {
        let wanted = Version::parse("1", manifests::version::Scheme::Dpkg).unwrap();
        let wanted = names.iter().map(|name| (*name, &wanted)).collect();
        let seen = look(&wanted, &database.path().join("status"));
        names.iter().map(|name| seen[*name].clone()).collect()
    }

    fn stanza(package: &str, architecture: &str, status: &str, version: &str) -> String {
        format!(
            "Package: {package}\nStatus: {status}\nMaintainer: Nobody <nobody@example.org>\n\
             Architecture: {architecture}\nVersion: {version}\nDescription: x\n Version: 9\n .\n Package: f\n"
        )
    }

    #[test]
    fn only_what_is_installed_has_a_version() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let status: String = [
            ("a", "amd64", "install ok installed", "1.0-1"),
            ("b", "amd64", "deinstall ok config-files", "2"),
            ("c", "amd64", "install ok half-configured", "3"),
            ("d", "amd64", "install ok installed", "4"),
            ("d", "i386", "install ok installed", "5"),
            ("e", "amd64", "install ok triggers-pending", "6"),
            ("g", "amd64", "hold ok installed", "7"),
            ("h", "amd64", "deinstall ok installed", "8"),
            ("i", "amd64", "install ok unpacked", "9"),
            ("j", "amd64", "install reinstreq half-installed", "10"),
            ("k", "amd64", "install reinstreq installed", "11"),
            ("l", "amd64", "install ok triggers-awaited", "12"),
        ]
        .map(|(package, architecture, status, version)| stanza(package, architecture, status, version) + "\n")
        .concat();
        let absent = PackageSeen::Absent;
        let expected = [
            version("1.0-1"),
            absent.clone(),
            HALF_WAY,
            AMBIGUOUS,
            version("6"),
            absent,
            version("7"),
            version("8"),
            HALF_WAY,
            HALF_WAY,
            HALF_WAY,
            version("12"),
        ];
        assert_eq!(seen(&database(&status, &[]), &names), expected);
        assert_eq!(
            seen(&database("package: a\nSTATUS: install ok installed\nVersion: 1", &[]), &["a"]),
            [version("1")]
        );
    }

    #[test]
    fn an_update_counts_over_the_status_file_and_over_lower_numbers() {
        let installed = |version: &str| stanza("a", "amd64", "install ok installed", version);
        let status = installed("2");
        let check = |updates: &[(&str, &str)], expected: PackageSeen| {
            assert_eq!(seen(&database(&status, updates), &["a"]), [expected], "{updates:?}");
        };
        check(&[], version("2"));
        check(&[("0001", &installed("1"))], version("1"));
        check(&[("0000", &installed("3")), ("0010", &installed("1")), ("0009", &installed("4"))], version("1"));
        check(&[("0000", &stanza("a", "amd64", "install ok half-configured", "2"))], HALF_WAY);
        check(&[("0000", &stanza("a", "amd64", "purge ok not-installed", ""))], PackageSeen::Absent);
        // Of another package, of another architecture.
        check(&[("0000", &stanza("b", "amd64", "install ok installed", "1"))], version("2"));
        check(&[("0000", &stanza("a", "i386", "install ok installed", "2"))], version("2"));
        check(&[("0000", &stanza("a", "i386", "install ok installed", "1"))], AMBIGUOUS);
        // What is none, and what dpkg refuses.
        check(&[("tmp.i", &installed("1")), ("0000.bak", &installed("1"))], version("2"));
        check(&[("0000", &installed("1")), ("00000", &installed("1"))], HALF_WAY);
        check(&[("00000000000", &installed("1"))], HALF_WAY);
        // The last stanza of a file counts, and two of one file must agree.
        check(&[("0000", &(installed("1") + "\n" + &installed("1")))], version("1"));
        check(&[("0000", &(installed("1") + "\n" + &installed("3")))], AMBIGUOUS);
    }

    #[test]
    fn dpkg_itself_reads_random_databases_in_the_same_way() {
        let query = |database: &tempfile::TempDir, package: &str| {
            let mut command = std::process::Command::new("dpkg-query");
            command.arg(format!("--admindir={}", database.path().display()));
            command.args(["-W", "-f", "${db:Status-Eflag} ${db:Status-Status} ${Version}\\n", package]);
            command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        if query(&database("", &[]), "a").is_none() {
            eprintln!("skipped: dpkg-query cannot be run");
            return;
        }
        let mut state = std::process::id();
        let seed = state;
        let mut draw = |count: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % count
        };
        let statuses = [
            "install ok installed",
            "hold ok installed",
            "install ok unpacked",
            "install reinstreq half-installed",
            "install ok half-configured",
            "install ok triggers-pending",
            "deinstall ok config-files",
        ];
        for _ in 0..25 {
            let mut any = |package: &str| {
                let status = statuses[draw(statuses.len())];
                // dpkg takes no such status without the fields that belong to it.
                let more = match status {
                    "install ok triggers-pending" => "Triggers-Pending: x\n",
                    "install ok half-configured" | "install ok unpacked" => "Config-Version: 0.1\n",
                    _ => "",
                };
                stanza(package, "amd64", status, &format!("{}.0-{}", draw(3) + 1, draw(2))) + more
            };
            let status = any("a") + "\n" + &any("b");
            let updates: Vec<_> =
                ["0000", "0001", "0010"].map(|name| (name, any(if name == "0001" { "b" } else { "a" }))).into();
            let updates: Vec<_> = updates.iter().map(|(name, content)| (*name, content.as_str())).collect();
            let database = database(&status, &updates);
            for (package, ours) in ["a", "b"].into_iter().zip(seen(&database, &["a", "b"])) {
                let theirs = query(&database, package).unwrap();
                let words: Vec<&str> = theirs.split_ascii_whitespace().collect();
                let expected = match words.as_slice() {
                    ["ok", "installed" | "triggers-pending", found] => version(found),
                    ["ok", "config-files", _] => PackageSeen::Absent,
                    [_, _, _] => HALF_WAY,
                    other => panic!("seed {seed}: dpkg-query says {other:?} of {status}{updates:?}"),
                };
                assert_eq!(ours, expected, "seed {seed}: {package} of {status}{updates:?}");
            }
        }
    }

    #[test]
    fn a_database_that_cannot_be_read_is_unknown() {
        let (dpkg, rpm) = (
            Version::parse("1", manifests::version::Scheme::Dpkg).unwrap(),
            Version::parse("1", manifests::version::Scheme::Rpm).unwrap(),
        );
        let wanted = [("a", &dpkg), ("b", &rpm)].into_iter().collect();
        let seen = look(&wanted, Path::new("/nonexistent/status"));
        assert_eq!(seen["a"], PackageSeen::Unknown(Why::FileAbsent));
        assert_eq!(seen["b"], PackageSeen::Unknown(Why::Unsupported));
    }
}
