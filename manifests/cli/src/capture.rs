//! `capture`: takes the file list of a program's tree into the directory and the baseline.
//!
//! The agent is the only walker and reader there is: what is captured is what it will later compare.

mod links;

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
/// Comments of the baseline are kept. Paths that the program's `exclude` names are left out. Symbolic links that
/// lead out of the tree are added to the program's `follow` under schema 2, and told; what lies behind them counts
/// then.
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

/// How often the agent is asked which links lead out: behind one that is followed there may be more. It follows
/// eight, one behind the other.
const LINK_ROUNDS_MAX: usize = 10;

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
    /// The agent wrote something else.
    #[error("{} does not tell which links lead out; is it as new as this program?", agent.display())]
    Links { agent: PathBuf, source: serde_json::Error },
    /// Each answer named new ones.
    #[error("{} has links that lead out, behind links that lead out, and so on: exclude some of them", path.display())]
    Endless { path: PathBuf },
    /// The links are written in a form that cannot be added to.
    #[error("`follow` of {program} is no list; write it as follow = [\"lib/print.mod\"], then capture again")]
    Follow { program: ItemId },
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
    let before = directory.text(BASELINE)?;
    let text = followed(args, &directory, &before)?;
    // Before anybody waits for a tree to be read; the tree itself is looked at below.
    let (id, variant) = (&args.program, args.variant.as_deref());
    if let Ok(Merged::Added(text)) = merge(&text, id, &args.version, variant, Digest::of(b"not known yet")) {
        refuse_mistakes(&text, id, &args.version, variant)?;
    }
    let bytes = ask(args, &text, &[])?;
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
    output::say!("{name}: {} entries of {}", list.len(), args.path.display());
    let release = release_name(&args.version, args.variant.as_deref());
    match merged {
        Merged::Added(text) => {
            directory.write(BASELINE, text.as_bytes())?;
            output::say!("{BASELINE}: added release {release} of {}:", args.program);
            output::say!("{}", table(&args.version, args.variant.as_deref(), tree).to_string().trim_end());
        }
        Merged::Listed => {
            if text != before {
                directory.write(BASELINE, text.as_bytes())?;
            }
            output::say!("{BASELINE}: release {release} of {} is listed with this tree", args.program);
        }
    }
    Ok(())
}

/// The baseline's text in which the program follows every link that leads out of the tree, under schema 2;
/// under schema 1 nothing can be followed. Each link is told.
fn followed(args: &Args, directory: &Directory, text: &str) -> Result<String, CommandError> {
    let mut text = text.to_owned();
    let can_follow = links::schema(&text)? >= 2;
    let mut told: Vec<links::Link> = Vec::new();
    for _ in 0..LINK_ROUNDS_MAX {
        let found = links::parse(&ask(args, &text, &["--links"])?)
            .map_err(|source| CaptureError::Links { agent: args.agent.clone(), source })?;
        let new: Vec<_> = found.into_iter().filter(|link| !told.contains(link)).collect();
        told.extend(new.iter().cloned());
        if !can_follow {
            new.iter().for_each(|link| {
                tell(link, "Exclude the link if that is right; with schema = 2 `follow` makes it count")
            });
            return Ok(text);
        }
        let (above, new): (Vec<_>, Vec<_>) = new.into_iter().partition(|link| link.leads_above(&args.path));
        above.iter().for_each(|link| tell(link, "The tree itself lies there. Exclude the link"));
        let (named, nameless): (Vec<_>, Vec<_>) = new.into_iter().partition(|link| link.glob().is_some());
        nameless.iter().for_each(|link| {
            tell(link, "No glob can name it alone: name it by a wider one in `follow`, or exclude it")
        });
        let before = text.clone();
        text = with_links(args, text, &named)?;
        for link in &named {
            let glob = link.glob().unwrap_or_default();
            if links::globs(&text, &args.program, "follow")?.contains(&glob) {
                output::tell!(
                    "{:?} leads out of the tree, to {:?}. It is in `follow` of {} now, so that what lies there counts. If \
                     it does not matter, take {glob:?} out of `follow`, write it under `exclude`, and capture again",
                    link.link,
                    link.leads_to,
                    args.program
                );
                tell_older(args, directory, &before, &link.link)?;
            } else {
                tell(link, "It cannot be followed, for the reason that the agent gives above. Exclude it");
            }
        }
        if text == before {
            return Ok(text);
        }
    }
    Err(CaptureError::Endless { path: args.path.clone() }.into())
}

fn tell(link: &links::Link, what_to_do: &str) {
    output::tell!(
        "{:?} leads out of the tree, to {:?}, and what lies there does not count. {what_to_do}",
        link.link,
        link.leads_to
    );
}

/// The text with those of the links in `follow` behind which there is a tree that can be taken: no socket, say.
fn with_links(args: &Args, text: String, links: &[links::Link]) -> Result<String, CaptureError> {
    let add = |text: &str, links: &[links::Link]| {
        let globs: Vec<_> = links.iter().filter_map(links::Link::glob).collect();
        links::with_follow(text, &args.program, &globs)
    };
    let can_be_taken = |text: &str| match ask(args, text, &["--links"]) {
        Ok(_) => Ok(true),
        Err(CaptureError::Agent { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    if links.is_empty() {
        return Ok(text);
    }
    let all = add(&text, links)?;
    if can_be_taken(&all)? {
        return Ok(all);
    }
    let mut text = text;
    for link in links {
        let next = add(&text, std::slice::from_ref(link))?;
        if can_be_taken(&next)? {
            text = next;
        }
    }
    Ok(text)
}

/// Tells of releases that were captured before the link was followed: no host has their trees any more.
fn tell_older(args: &Args, directory: &Directory, text: &str, link: &str) -> Result<(), CommandError> {
    let mut document: DocumentMut = text.parse().map_err(CaptureError::Toml)?;
    let releases = program(&mut document, &args.program)?.get("release").and_then(Item::as_array_of_tables);
    for release in releases.into_iter().flat_map(ArrayOfTables::iter) {
        let text_of = |key| release.get(key).and_then(Item::as_str);
        let Some(tree) = text_of("tree").and_then(|tree| tree.parse::<Digest>().ok()) else { continue };
        let list = directory.read_if_there(&format!("files/{}", tree.hex()))?;
        if list.and_then(|bytes| FileList::parse(&bytes).ok()).is_some_and(|list| links::lacks(&list, link)) {
            let name = release_name(text_of("version").unwrap_or_default(), text_of("variant"));
            output::tell!(
                "  Release {name} has this link, and was captured without what lies behind it: a host that has it is \
                 `altered` until you remove that release and capture it again"
            );
        }
    }
    Ok(())
}

fn release_name(version: &str, variant: Option<&str>) -> String {
    variant.map_or_else(|| version.to_owned(), |variant| format!("{version} ({variant})"))
}

/// What the agent writes of the tree, under the program's own globs: under others it would compute another digest.
fn ask(args: &Args, text: &str, more: &[&str]) -> Result<Vec<u8>, CaptureError> {
    let failed = |source| CaptureError::Run { agent: args.agent.clone(), source };
    // Absolute, so that no path is taken for an option.
    let path = std::path::absolute(&args.path).map_err(failed)?;
    let mut command = Command::new(&args.agent);
    command.arg("capture").arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
    for key in ["exclude", "follow"] {
        command.args(links::globs(text, &args.program, key)?.iter().map(|glob| format!("--{key}={glob}")));
    }
    command.args(more);
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
