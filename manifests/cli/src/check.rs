//! `check`: every mistake of the baseline, the registry and what belongs to them, each with its place.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use manifests::baseline::Baseline;
use manifests::digest::Digest;
use manifests::durable;
use manifests::registry::Registry;
use manifests::source::{self, Problem, SOURCE_BYTES_MAX};
use manifests::time::Time;
use manifests::tree::FileList;

use crate::directory::{BASELINE, Directory, DirectoryError, REGISTRY};
use crate::expiry;
use crate::failure::Failure;
use crate::people::People;
use crate::roots::Roots;

/// Finds every mistake of a baseline, a registry, or a whole directory.
///
/// Prints one line per mistake, `file:line:column: code: message (hint)`, and exits with 1 if there is any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory, or one file: a baseline or a registry.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
}

/// A mistake and the file it is in.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    file: PathBuf,
    problem: Problem,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.problem)
    }
}

/// A directory without mistakes.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Its baseline.
    pub(crate) baseline: Baseline,
    /// As it will be published.
    pub(crate) baseline_bytes: Vec<u8>,
    /// As it will be published.
    pub(crate) registry_bytes: Vec<u8>,
    /// Digests of `files/`; each file holds what its name says.
    pub(crate) files: Vec<(Digest, Vec<u8>)>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), Failure> {
    let mistakes = if args.path.is_dir() {
        let opened = Directory::open(&args.path)?;
        for warning in expiry::warnings(&opened, now) {
            eprintln!("warning: {warning}");
        }
        directory(&opened, now)?.err().unwrap_or_default()
    } else {
        file(&args.path)?
    };
    for mistake in &mistakes {
        println!("{mistake}");
    }
    match mistakes.len() {
        0 => {
            println!("{}: no mistakes", args.path.display());
            Ok(())
        }
        count => Err(Failure::Mistakes { count }),
    }
}

fn file(path: &Path) -> Result<Vec<Mistake>, Failure> {
    let bytes = durable::read_limited(path, SOURCE_BYTES_MAX as u64).map_err(DirectoryError::from)?;
    let text = String::from_utf8(bytes).map_err(|error| DirectoryError::Utf8 {
        path: path.to_owned(),
        valid_up_to: error.utf8_error().valid_up_to(),
    })?;
    let problems = if is_registry(path, &text) {
        source::registry(&text).err().unwrap_or_default()
    } else {
        source::baseline(&text).err().unwrap_or_default()
    };
    Ok(located(path, problems))
}

// By its name, else by what only a registry has.
fn is_registry(path: &Path, text: &str) -> bool {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(BASELINE) => false,
        Some(REGISTRY) => true,
        _ => toml::from_str::<toml::Table>(text)
            .is_ok_and(|table| ["site", "host", "signer", "controller"].iter().any(|key| table.contains_key(*key))),
    }
}

fn located(path: &Path, problems: Vec<Problem>) -> Vec<Mistake> {
    problems.into_iter().map(|problem| Mistake { file: path.to_owned(), problem }).collect()
}

/// Checks baseline, registry, and what they need of each other, of `files/` and of the root.
///
/// The outer error says that the question could not be asked, the inner one is the answer.
pub(crate) fn directory(directory: &Directory, now: Time) -> Result<Result<Checked, Vec<Mistake>>, Failure> {
    let (baseline_text, registry_text) = (directory.text(BASELINE)?, directory.text(REGISTRY)?);
    let mut mistakes = Vec::new();
    let baseline = source::baseline_with_places(&baseline_text)
        .map_err(|problems| mistakes.extend(located(&directory.place(BASELINE), problems)));
    let registry = source::registry(&registry_text)
        .map_err(|problems| mistakes.extend(located(&directory.place(REGISTRY), problems)));
    let mut files = Vec::new();
    for digest in directory.files()? {
        let name = format!("files/{}", digest.hex());
        let bytes = directory.read(&name)?;
        if Digest::of(&bytes) != digest {
            let message = format!("its SHA-256 is {}", Digest::of(&bytes).hex());
            let hint = "restore it from git, or capture the tree again";
            mistakes.push(whole(directory.place(&name), "file-damaged", message, hint));
        }
        files.push((digest, bytes));
    }
    if let Ok((baseline, _)) = &baseline {
        let problems = file_lists(baseline, &files, &baseline_text);
        mistakes.extend(located(&directory.place(BASELINE), problems));
    }
    if let Ok(registry) = &registry {
        mistakes.extend(located(&directory.place(REGISTRY), signers(directory, registry)?));
    }
    if let (Ok((baseline, places)), Ok(registry)) = (&baseline, &registry) {
        let problems = source::cross_check(baseline, places, registry, now);
        mistakes.extend(located(&directory.place(BASELINE), problems));
    }
    match baseline {
        Ok((baseline, _)) if mistakes.is_empty() => {
            let (baseline_bytes, registry_bytes) = (baseline_text.into_bytes(), registry_text.into_bytes());
            Ok(Ok(Checked { baseline, baseline_bytes, registry_bytes, files }))
        }
        _ => Ok(Err(mistakes)),
    }
}

// A patch says what it replaces, and the rest of the tree is the release's; where a host differs, only
// the list can say in which file. A denied release holds by its digest alone, and its files may never
// have been seen here.
fn file_lists(baseline: &Baseline, files: &[(Digest, Vec<u8>)], text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for program in &baseline.programs {
        let patched = |version| program.patches.iter().any(|patch| patch.over.contains(version));
        for release in &program.releases {
            if !seen.insert(release.tree) {
                continue;
            }
            let refuse = |code, message: String| {
                let (line, column) = place_of(text, &release.tree.to_string());
                let hint = format!("capture {} {} again, or restore the file from git", program.id, release.version);
                Problem { line, column, code, message, hint: Some(hint), key: String::new() }
            };
            let name = release.tree.hex();
            match files.iter().find(|(digest, _)| *digest == release.tree) {
                None if release.denied.is_some() && !patched(&release.version) => {}
                None => problems.push(refuse(
                    "file-list-missing",
                    format!("the file list of release {} of {}, files/{name}, is missing", release.version, program.id),
                )),
                Some((_, bytes)) => {
                    if let Err(error) = FileList::parse(bytes) {
                        problems.push(refuse("file-list-malformed", format!("files/{name} is no file list: {error}")));
                    }
                }
            }
        }
    }
    problems
}

// Threshold and units are judged by the registry, signatures by the root: they must speak of the same people.
fn signers(directory: &Directory, registry: &Registry) -> Result<Vec<Problem>, Failure> {
    let people = People::read(directory)?;
    let roots = Roots::read(directory)?;
    let Some(file) = roots.in_force(&people) else { return Ok(Vec::new()) };
    let of_root = file.signers()?.public();
    let extra = registry.signers.iter().filter(|signer| !of_root.iter().any(|key| key.is_same_key(&signer.key)));
    let mut problems: Vec<_> =
        extra.map(|signer| format!("signer {:?} is not among the keys of {}", signer.name, file.name)).collect();
    let missing = of_root.iter().filter(|key| !registry.signers.iter().any(|signer| signer.key.is_same_key(key)));
    problems.extend(missing.map(|key| format!("key {} of {} is no signer's", key.id(), file.name)));
    let hint = Some(format!("signers change with a new root; list exactly the keys of {}", file.name));
    Ok(problems
        .into_iter()
        .map(|message| Problem {
            line: 1,
            column: 1,
            code: "signers-differ",
            message,
            hint: hint.clone(),
            key: "signer".to_owned(),
        })
        .collect())
}

fn whole(file: PathBuf, code: &'static str, message: String, hint: &str) -> Mistake {
    let problem = Problem { line: 1, column: 1, code, message, hint: Some(hint.to_owned()), key: String::new() };
    Mistake { file, problem }
}

// Line and column of the first occurrence, both from 1.
fn place_of(text: &str, part: &str) -> (u32, u32) {
    let before = text.find(part).and_then(|offset| text.get(..offset)).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        assert_eq!(place_of("あ = 1\n# 本 sha256:ab", "sha256:ab"), (2, 5));
        assert_eq!(place_of("sha256:ab", "sha256:ab"), (1, 1));
    }
}
