//! Installed packages, from dpkg's status file. Other databases are `unsupported`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use manifests::evidence::{PackageSeen, Why};
use manifests::version::Version;

use crate::collect::read;

/// Where dpkg keeps what is installed.
pub(crate) const DPKG_STATUS: &str = "/var/lib/dpkg/status";
/// The largest status file read (256 MiB); a full desktop's has 5 MiB.
const STATUS_BYTES_MAX: u64 = 256 << 20;
/// The longest line looked at; longer ones are descriptions and lists that say nothing here.
const LINE_BYTES_MAX: usize = 4096;

/// What is installed of `wanted`: package name and the version asked for, which names the database.
pub(crate) fn look(wanted: &BTreeMap<&str, &Version>, status: &Path) -> BTreeMap<String, PackageSeen> {
    let dpkg: BTreeSet<&str> =
        wanted.iter().filter(|(_, version)| matches!(version, Version::Dpkg(_))).map(|(name, _)| *name).collect();
    let mut seen: BTreeMap<String, PackageSeen> =
        wanted.keys().map(|name| ((*name).to_owned(), PackageSeen::Unknown(Why::Unsupported))).collect();
    if dpkg.is_empty() {
        return seen;
    }
    let read = read::open_file(status).and_then(|fd| dpkg_versions(std::fs::File::from(fd), &dpkg));
    for name in dpkg {
        let package = match &read {
            Ok(found) => found.get(name).cloned().unwrap_or(PackageSeen::Absent),
            Err(why) => PackageSeen::Unknown(*why),
        };
        seen.insert(name.to_owned(), package);
    }
    seen
}

#[derive(Default)]
struct Stanza {
    package: String,
    status: String,
    version: String,
}

/// Reads stanzas until the end. Only `installed` counts as installed, and what waits for triggers,
/// whose files are in place; what is half-way is unknown.
fn dpkg_versions(file: impl Read, wanted: &BTreeSet<&str>) -> Result<BTreeMap<String, PackageSeen>, Why> {
    let mut reader = BufReader::new(file.take(STATUS_BYTES_MAX + 1));
    let mut found = BTreeMap::new();
    let mut stanza = Stanza::default();
    let mut line = Vec::new();
    let mut total: u64 = 0;
    loop {
        line.clear();
        let count = reader.read_until(b'\n', &mut line).map_err(|_| Why::IoError)?;
        total += count as u64;
        if total > STATUS_BYTES_MAX {
            return Err(Why::TooLarge);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if text.is_empty() {
            take(&mut found, std::mem::take(&mut stanza), wanted);
            if count == 0 {
                return Ok(found);
            }
            continue;
        }
        // A line that begins with a blank continues a field that says nothing here.
        if text.len() > LINE_BYTES_MAX || text.starts_with(b" ") || text.starts_with(b"\t") {
            continue;
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        if let Some((field, value)) = text.split_once(':') {
            match field {
                "Package" => value.trim().clone_into(&mut stanza.package),
                "Status" => value.trim().clone_into(&mut stanza.status),
                "Version" => value.trim().clone_into(&mut stanza.version),
                _ => {}
            }
        }
    }
}

fn take(found: &mut BTreeMap<String, PackageSeen>, stanza: Stanza, wanted: &BTreeSet<&str>) {
    if !wanted.contains(stanza.package.as_str()) {
        return;
    }
    let seen = match stanza.status.split_ascii_whitespace().nth(2) {
        Some("installed" | "triggers-pending" | "triggers-awaited") => PackageSeen::Version(stanza.version),
        Some("not-installed" | "config-files") => PackageSeen::Absent,
        _ => PackageSeen::Unknown(Why::UnexpectedValue),
    };
    // One package may be there for several architectures, each with its own stanza.
    let both = match (found.remove(&stanza.package), seen) {
        (None | Some(PackageSeen::Absent), seen) => seen,
        (Some(before), PackageSeen::Absent) => before,
        (Some(before), seen) if before == seen => seen,
        (Some(_), _) => PackageSeen::Unknown(Why::Ambiguous),
    };
    found.insert(stanza.package, both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_has_a_version() {
        let status = "Package: a\nStatus: install ok installed\nDescription: x\n Version: 9\nVersion: 1.0-1\n\n\
                      Package: b\nStatus: deinstall ok config-files\nVersion: 2\n\n\
                      Package: c\nStatus: install ok half-configured\nVersion: 3\n\n\
                      Package: d\nArchitecture: amd64\nStatus: install ok installed\nVersion: 4\n\n\
                      Package: d\nArchitecture: i386\nStatus: install ok installed\nVersion: 5\n\n\
                      Package: e\nStatus: install ok triggers-pending\nVersion: 6\n";
        let wanted = ["a", "b", "c", "d", "e", "f"].into_iter().collect();
        let found = dpkg_versions(status.as_bytes(), &wanted).unwrap();
        let version = |v: &str| PackageSeen::Version(v.to_owned());
        let expected = [
            ("a", version("1.0-1")),
            ("b", PackageSeen::Absent),
            ("c", PackageSeen::Unknown(Why::UnexpectedValue)),
            ("d", PackageSeen::Unknown(Why::Ambiguous)),
            ("e", version("6")),
        ];
        assert_eq!(found, expected.into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect());
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
