//! `capture`: takes the file list of a program's tree into the directory and the baseline.
//!
//! The agent is the only walker and reader there is: what is captured is what it will later compare.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use manifests::digest::Digest;
use manifests::id::ItemId;
use manifests::source;
use manifests::tree::{FileList, FileListError};
use manifests::tuf::TARGET_FILE_BYTES_MAX;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TomlError, value};

use crate::directory::{BASELINE, Directory};
use crate::exit::{CommandError, Exit, Fatal};

/// Takes a tree as a release of a program: stores its file list and adds a [[program.release]] to the baseline.
///
/// Comments of the baseline are kept. Paths that the program's `exclude` names are left out.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Root of the tree, as installed.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The sekisho-agent that reads it.
    #[arg(long, value_name = "BIN")]
    agent: PathBuf,
    /// The release managers' directory.
    #[arg(long = "dir", value_name = "DIR")]
    directory: PathBuf,
    /// The [[program]] it is a release of.
    #[arg(long, value_name = "ID")]
    program: ItemId,
    /// The release's version.
    #[arg(long, value_name = "V")]
    version: String,
    /// The build, as split.
    #[arg(long, value_name = "X")]
    variant: Option<String>,
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// A file, or another thing that has no tree.
    #[error("{} is not a directory", path.display())]
    NoTree { path: PathBuf },
    /// The agent's program could not be started or read from.
    #[error("cannot run {} capture", agent.display())]
    Run { agent: PathBuf, source: io::Error },
    /// The agent said why on stderr.
    #[error("{} capture {} failed ({status}); nothing was taken", agent.display(), path.display())]
    Agent { agent: PathBuf, path: PathBuf, status: ExitStatus },
    /// More than a list may have.
    #[error("the file list of {} is larger than {TARGET_FILE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    /// The agent wrote something else.
    #[error("{} does not write a file list", agent.display())]
    List { agent: PathBuf, source: FileListError },
    /// A release without files would match a missing program.
    #[error("{} has no files that count; nothing was taken", path.display())]
    Empty { path: PathBuf },
    /// The baseline is no TOML.
    #[error("{BASELINE} cannot be edited; `check` shows where it is wrong")]
    Toml(#[source] TomlError),
    /// No such program.
    #[error("{BASELINE} has no [[program]] with id = \"{program}\"; add it first")]
    NoProgram { program: ItemId },
    /// The program is written in a form that cannot be added to.
    #[error("the releases of {program} are not written as [[program.release]]; write them so, then capture again")]
    Form { program: ItemId },
    /// One name for two trees.
    #[error(
        "release {name} of {program} is listed already with the tree {listed}, and this one is {found}. \
             Remove that release if it was never installed, or give this one another version or variant"
    )]
    Taken { program: ItemId, name: String, listed: String, found: Digest },
    /// With this release the baseline would be refused.
    #[error("release {name} of {program} would be a mistake, so nothing was taken: {}", mistakes.join("; "))]
    Mistakes { program: ItemId, name: String, mistakes: Vec<String> },
}

impl Fatal for CaptureError {
    fn exit(&self) -> Exit {
        match self {
            Self::Run { .. } => Exit::Io,
            _ => Exit::Refused,
        }
    }
}

/// What merging did to the baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Merged {
    /// The new text.
    Added(String),
    /// The release stands there with this tree.
    Listed,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    // What is not there, or not to be seen by this user, is the agent's to say.
    if args.path.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(CaptureError::NoTree { path: args.path.clone() }.into());
    }
    let directory = Directory::open(&args.directory)?;
    let text = directory.text(BASELINE)?;
    let excludes = excludes(&text, &args.program)?;
    // Before anybody waits for a tree to be read; the tree itself is looked at below.
    let (id, variant) = (&args.program, args.variant.as_deref());
    if let Ok(Merged::Added(text)) = merge(&text, id, &args.version, variant, Digest::of(b"not known yet")) {
        refuse_mistakes(&text, id, &args.version, variant)?;
    }
    let bytes = list(args, &excludes)?;
    let list = FileList::parse(&bytes).map_err(|source| CaptureError::List { agent: args.agent.clone(), source })?;
    if list.is_empty() {
        return Err(CaptureError::Empty { path: args.path.clone() }.into());
    }
    let tree = Digest::of(&bytes);
    let merged = merge(&text, id, &args.version, variant, tree)?;
    if let Merged::Added(text) = &merged {
        refuse_mistakes(text, id, &args.version, variant)?;
    }
    // The list first: a baseline must not name a list that is not there.
    let name = format!("files/{}", tree.hex());
    if directory.read_if_there(&name)?.as_deref() != Some(bytes.as_slice()) {
        directory.write(&name, &bytes)?;
    }
    println!("{name}: {} entries of {}", list.len(), args.path.display());
    let release = release_name(&args.version, args.variant.as_deref());
    match merged {
        Merged::Added(text) => {
            directory.write(BASELINE, text.as_bytes())?;
            println!("{BASELINE}: added release {release} of {}:", args.program);
            print!("{}", table(&args.version, args.variant.as_deref(), tree));
        }
        Merged::Listed => println!("{BASELINE}: release {release} of {} is listed with this tree", args.program),
    }
    Ok(())
}

fn release_name(version: &str, variant: Option<&str>) -> String {
    variant.map_or_else(|| version.to_owned(), |variant| format!("{version} ({variant})"))
}

fn list(args: &Args, excludes: &[String]) -> Result<Vec<u8>, CaptureError> {
    let failed = |source| CaptureError::Run { agent: args.agent.clone(), source };
    // Absolute, so that no path is taken for an option.
    let path = std::path::absolute(&args.path).map_err(failed)?;
    let mut command = Command::new(&args.agent);
    command.arg("capture").arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
    for glob in excludes {
        command.arg(format!("--exclude={glob}"));
    }
    let mut child = command.spawn().map_err(failed)?;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        Some(output) => output.take(TARGET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes),
        None => Ok(0),
    };
    // The pipe is closed by now: an agent that still writes ends.
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    if !u64::try_from(bytes.len()).is_ok_and(|length| length <= TARGET_FILE_BYTES_MAX) {
        return Err(CaptureError::TooLarge { path: args.path.clone() });
    }
    if status.success() {
        Ok(bytes)
    } else {
        Err(CaptureError::Agent { agent: args.agent.clone(), path: args.path.clone(), status })
    }
}

// The program's own globs: under others agents would compute another digest.
fn excludes(text: &str, id: &ItemId) -> Result<Vec<String>, CaptureError> {
    let mut document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    let program = program(&mut document, id)?;
    Ok(program
        .get("exclude")
        .and_then(Item::as_array)
        .map(|globs| globs.iter().filter_map(|glob| glob.as_str().map(str::to_owned)).collect())
        .unwrap_or_default())
}

fn program<'a>(document: &'a mut DocumentMut, id: &ItemId) -> Result<&'a mut Table, CaptureError> {
    document
        .get_mut("program")
        .and_then(Item::as_array_of_tables_mut)
        .and_then(|programs| {
            programs.iter_mut().find(|program| program.get("id").and_then(Item::as_str) == Some(id.as_str()))
        })
        .ok_or_else(|| CaptureError::NoProgram { program: id.clone() })
}

fn merge(text: &str, id: &ItemId, version: &str, variant: Option<&str>, tree: Digest) -> Result<Merged, CaptureError> {
    let mut document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    let program = program(&mut document, id)?;
    let releases = program
        .entry("release")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(|| CaptureError::Form { program: id.clone() })?;
    let text_of = |release: &Table, key| release.get(key).and_then(Item::as_str).map(str::to_owned);
    let same = releases.iter().find(|release| {
        text_of(release, "version").as_deref() == Some(version) && text_of(release, "variant").as_deref() == variant
    });
    if let Some(release) = same {
        let listed = text_of(release, "tree").unwrap_or_default();
        if listed == tree.to_string() {
            return Ok(Merged::Listed);
        }
        let name = release_name(version, variant);
        return Err(CaptureError::Taken { program: id.clone(), name, listed, found: tree });
    }
    releases.push(table(version, variant, tree));
    Ok(Merged::Added(document.to_string()))
}

// What is wrong with the release that was added last, whatever else is wrong in the text.
fn refuse_mistakes(text: &str, id: &ItemId, version: &str, variant: Option<&str>) -> Result<(), CaptureError> {
    let document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    let programs = document.get("program").and_then(Item::as_array_of_tables);
    let mut programs = programs.into_iter().flat_map(ArrayOfTables::iter).enumerate();
    let found = programs.find(|(_, program)| program.get("id").and_then(Item::as_str) == Some(id.as_str()));
    let releases =
        found.and_then(|(index, program)| Some((index, program.get("release")?.as_array_of_tables()?.len())));
    let Some((index, count)) = releases else { return Ok(()) };
    let release = format!("program[{index}].release[{}]", count.saturating_sub(1));
    let problems = source::baseline(text).err().unwrap_or_default();
    let of_release = problems.into_iter().filter(|problem| problem.key.starts_with(&release));
    let mistakes: Vec<_> = of_release.map(|problem| format!("{}: {}", problem.code, problem.message)).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(CaptureError::Mistakes { program: id.clone(), name: release_name(version, variant), mistakes })
}

fn table(version: &str, variant: Option<&str>, tree: Digest) -> Table {
    let mut release = Table::new();
    release.insert("version", value(version));
    if let Some(variant) = variant {
        release.insert("variant", value(variant));
    }
    release.insert("tree", value(tree.to_string()));
    release
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASELINE: &str = "\
# Reviewed on Fridays.
[[program]]
id = \"issuing-server\"   # the AP
root = \"/opt/issuing\"
[[program.release]]
version = \"3.4.1\"
tree = \"sha256:0\" # old
[[program.patch]]
id = \"HF-1\"

[[program]]
id = \"other\"
[[setting]]
id = \"lock\" # last
";

    fn check(id: &str, version: &str, expected: &str) {
        let merged = merge(BASELINE, &id.parse().unwrap(), version, Some("split"), Digest::of(b"")).unwrap();
        let Merged::Added(text) = merged else { panic!("{merged:?}") };
        assert_eq!(text, expected);
        let again = merge(&text, &id.parse().unwrap(), version, Some("split"), Digest::of(b"")).unwrap();
        assert_eq!(again, Merged::Listed);
        let other = merge(&text, &id.parse().unwrap(), version, Some("split"), Digest::of(b"x"));
        assert!(matches!(other, Err(CaptureError::Taken { .. })));
    }

    #[test]
    fn a_release_is_added_to_its_program_and_comments_stay() {
        let release = format!(
            "\n[[program.release]]\nversion = \"3.4.2\"\nvariant = \"split\"\ntree = \"{}\"\n",
            Digest::of(b"")
        );
        let after = |place: &str| BASELINE.replace(place, &format!("{place}{release}"));
        check("issuing-server", "3.4.2", &after("tree = \"sha256:0\" # old\n"));
        check("other", "3.4.2", &after("id = \"other\"\n"));
    }

    #[test]
    fn a_program_that_is_not_there_or_not_written_as_tables_is_refused() {
        let digest = Digest::of(b"");
        let merge = |text: &str| merge(text, &"x".parse().unwrap(), "1.0.0", None, digest);
        assert!(matches!(merge(BASELINE), Err(CaptureError::NoProgram { .. })));
        assert!(matches!(merge("program = 3"), Err(CaptureError::NoProgram { .. })));
        assert!(matches!(merge("[[program]]\nid = \"x\"\nrelease = []\n"), Err(CaptureError::Form { .. })));
        assert!(matches!(merge("[[program"), Err(CaptureError::Toml(_))));
    }
}
