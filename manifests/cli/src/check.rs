//! `check`: every mistake of the baseline, the registry and what belongs to them, each with its place.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use manifests::baseline::{Baseline, Program, Requirement, Requires};
use manifests::digest::Digest;
use manifests::registry::{Registry, Signer};
use manifests::source::{self, PROBLEMS_MAX, Problem, SOURCE_BYTES_MAX};
use manifests::time::Time;
use manifests::tree::FileList;
use manifests::units::{Units, is_same_unit};

use crate::directory::{BASELINE, Directory, REGISTRY, read_regular};
use crate::exit::{CommandError, Exit, Fatal};
use crate::expiry;
use crate::links;
use crate::meaning;
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

/// How a check ends that found mistakes; they were printed one by one.
#[derive(Debug, thiserror::Error)]
#[error("{}{count} {}", if *is_cut { "the first " } else { "" }, if *count == 1 { "mistake" } else { "mistakes" })]
struct MistakesFound {
    count: usize,
    is_cut: bool,
}

impl Fatal for MistakesFound {
    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.problem)
    }
}

/// A directory without mistakes.
#[derive(Debug)]
pub(crate) struct CheckedDirectory {
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
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let mistakes = if args.path.is_dir() {
        let opened = Directory::open(&args.path)?;
        for warning in expiry::warnings(&opened, now).into_iter().chain(frailties(&opened)) {
            output::tell!("warning: {warning}");
        }
        match directory(&opened, now)? {
            Ok(checked) => {
                for warning in unmet(&checked.baseline).into_iter().chain(links_out(&checked)) {
                    output::tell!("warning: {}: {warning}", opened.place(BASELINE).display());
                }
                Vec::new()
            }
            Err(mistakes) => mistakes,
        }
    } else {
        file(&args.path)?
    };
    for mistake in &mistakes {
        output::say!("{mistake}");
    }
    match mistakes.len() {
        0 => {
            output::say!("{}: no mistakes", args.path.display());
            Ok(())
        }
        count => {
            // Of each file no more than so many are told.
            let of_file = |file: &Path| mistakes.iter().filter(|mistake| mistake.file == file).count();
            let is_cut = mistakes.iter().step_by(PROBLEMS_MAX).any(|mistake| of_file(&mistake.file) >= PROBLEMS_MAX);
            Err(MistakesFound { count, is_cut }.into())
        }
    }
}

fn file(path: &Path) -> Result<Vec<Mistake>, CommandError> {
    let bytes = read_regular(path, SOURCE_BYTES_MAX as u64)?;
    let problems = match source::utf8(&bytes) {
        Ok(text) if is_registry(path, text) => source::registry(text).err(),
        Ok(text) => source::baseline(text).err(),
        Err(problems) => Some(problems),
    };
    Ok(located(path, problems.unwrap_or_default()))
}

// By its name, else by what only a registry has.
fn is_registry(path: &Path, text: &str) -> bool {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(BASELINE) => false,
        Some(REGISTRY) => true,
        // By its lines, as a mistake anywhere would hide what can only be parsed.
        _ => text.lines().any(|line| {
            let name = line.trim_start().trim_start_matches('[').trim_start();
            ["site", "host", "signer", "controller"]
                .iter()
                .any(|key| name.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with([']', '='])))
        }),
    }
}

fn located(path: &Path, problems: Vec<Problem>) -> Vec<Mistake> {
    problems.into_iter().map(|problem| Mistake { file: path.to_owned(), problem }).collect()
}

/// Checks baseline, registry, and what they need of each other, of `files/` and of the root.
///
/// The outer error says that the question could not be asked, the inner one is the answer.
pub(crate) fn directory(
    directory: &Directory,
    now: Time,
) -> Result<Result<CheckedDirectory, Vec<Mistake>>, CommandError> {
    let (baseline_bytes, registry_bytes) = (directory.read(BASELINE)?, directory.read(REGISTRY)?);
    let mut mistakes = Vec::new();
    let baseline = source::utf8(&baseline_bytes)
        .and_then(|text| source::baseline_with_places(text).map(|(baseline, places)| (baseline, places, text)))
        .map_err(|problems| mistakes.extend(located(&directory.place(BASELINE), problems)));
    let registry = source::registry_from_bytes(&registry_bytes)
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
    if let Ok((baseline, _, text)) = &baseline {
        let mut problems = file_lists(baseline, &files, text);
        problems.extend(executables(baseline, &files, text));
        mistakes.extend(located(&directory.place(BASELINE), problems));
    }
    if let Ok(registry) = &registry {
        mistakes.extend(located(&directory.place(REGISTRY), signers(directory, registry)?));
    }
    if let (Ok((baseline, places, _)), Ok(registry)) = (&baseline, &registry) {
        let problems = source::cross_check(baseline, places, registry, now);
        mistakes.extend(located(&directory.place(BASELINE), problems));
    }
    match baseline {
        Ok((baseline, ..)) if mistakes.is_empty() => {
            Ok(Ok(CheckedDirectory { baseline, baseline_bytes, registry_bytes, files }))
        }
        _ => Ok(Err(mistakes)),
    }
}

// No mistake, as the release may be yet to come: but until it is listed, the fix holds every host.
fn unmet(baseline: &Baseline) -> Vec<String> {
    let mut warnings = Vec::new();
    for fix in &baseline.fixes {
        let Requires::All(requirements) = &fix.requires else { continue };
        for requirement in requirements {
            let Requirement::Program { program: id, fixed_in, or_patch: None } = requirement else { continue };
            let releases = baseline.programs.iter().filter(|program| program.id == *id).flat_map(|p| &p.releases);
            let mut admitted = releases.filter(|release| release.denied.is_none());
            if !admitted.any(|release| fixed_in.contains(&release.version)) {
                warnings.push(format!("{} requires {id} {fixed_in}, which no listed release is", fix.id));
            }
        }
    }
    warnings
}

// No mistake, as there may be nobody else: but the loss of one key or person would be the end of signing.
fn frailties(directory: &Directory) -> Vec<String> {
    let (Ok(people), Ok(roots)) = (People::read(directory), Roots::read(directory)) else { return Vec::new() };
    roots.in_force(&people).map(|file| meaning::root::frailties(file, &people)).unwrap_or_default()
}

// No mistake of a release that was signed before: what is installed is what was captured.
fn links_out(checked: &CheckedDirectory) -> Vec<String> {
    let list = |tree: &Digest| {
        let (_, bytes) = checked.files.iter().find(|(digest, _)| digest == tree)?;
        FileList::parse(bytes).ok()
    };
    let of_program = |program: &Program| -> Vec<String> {
        let releases = program.releases.iter();
        releases
            .filter_map(|release| links::warning(program, &release.version.to_string(), &list(&release.tree)?))
            .collect()
    };
    checked.baseline.programs.iter().flat_map(of_program).collect()
}

// Of an executable that no release has no process can ever be found.
fn executables(baseline: &Baseline, files: &[(Digest, Vec<u8>)], text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for program in &baseline.programs {
        let Some(process) = &program.process else { continue };
        let exe = match process.exe.strip_prefix(&program.root).and_then(|rest| rest.strip_prefix('/')) {
            Some(inside) => inside,
            None if process.exe.starts_with('/') => continue, // An interpreter of the host.
            None => process.exe.as_str(),
        };
        let lists: Vec<FileList> = program
            .releases
            .iter()
            .filter_map(|release| files.iter().find(|(digest, _)| *digest == release.tree))
            .filter_map(|(_, bytes)| FileList::parse(bytes).ok())
            .collect();
        let brought = program.patches.iter().any(|patch| patch.replaces.contains_key(exe));
        if lists.is_empty() || brought || lists.iter().any(|list| has(list, exe)) {
            continue;
        }
        let (line, column) = place_of(text, &format!("{:?}", process.exe));
        let message = format!("no release of {} has {exe}, so that its process would never be found", program.id);
        let hint = Some("name the executable as the file lists in files/ do, relative to the root".to_owned());
        problems.push(Problem { line, column, code: "exe-not-listed", message, hint, key: String::new() });
    }
    problems
}

// As a file or link, or below a link, behind which the list does not say what is.
fn has(list: &FileList, path: &str) -> bool {
    let is_link = |path: &Path| list.digest_of(format!("{}//", path.display()).as_bytes()).is_some();
    list.digest_of(path.as_bytes()).is_some() || Path::new(path).ancestors().any(is_link)
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
fn signers(directory: &Directory, registry: &Registry) -> Result<Vec<Problem>, CommandError> {
    let people = People::read(directory)?;
    let roots = Roots::read(directory)?;
    let Some(file) = roots.in_force(&people) else { return Ok(Vec::new()) };
    let of_root = file.signers()?.public();
    let extra = registry.signers.iter().filter(|signer| !of_root.iter().any(|key| key.is_same_key(&signer.key)));
    let mut problems: Vec<_> =
        extra.map(|signer| format!("signer {:?} is not among the keys of {}", signer.name, file.name)).collect();
    let units = Units::of_root(&file.root);
    let unit_of = |signer: &Signer| units.as_ref().and_then(|units| units.of(&signer.key));
    problems.extend(registry.signers.iter().filter_map(|signer| {
        let named = unit_of(signer).filter(|named| !is_same_unit(named, &signer.unit))?;
        Some(format!(
            "signer {:?} is of the unit {:?} here, and of {named:?} in {}",
            signer.name, signer.unit, file.name
        ))
    }));
    let missing = of_root.iter().filter(|key| !registry.signers.iter().any(|signer| signer.key.is_same_key(key)));
    problems.extend(missing.map(|key| format!("key {} of {} is no signer's", key.id(), file.name)));
    let hint = Some(format!("signers change with a new root; list exactly the keys and units of {}", file.name));
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
    // A byte order mark is no character of the first line.
    let before = before.trim_start_matches('\u{feff}');
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
