//! What targets are to say: baseline, registry, file lists, and who speaks for lifts.

use manifests::digest::Digest;
use manifests::registry::Registry;
use manifests::source;
use manifests::succession;
use manifests::tuf::repository::{REGISTRY, baseline_path, file_path};
use manifests::tuf::{TargetFile, Targets};
use serde_json::json;

use crate::check;
use crate::directory::{self, Directory};
use crate::exit::CommandError;
use crate::meaning;
use crate::people::People;
use crate::preview;
use crate::role_metadata::{RoleContent, RoleMetadata};
use crate::roots::Signers;
use crate::sign::{Question, SignError, Signing};
use crate::signed;

/// Member of the baseline's `custom` with its version, so that the next one can be seen to have grown
/// without the old file at hand.
const VERSION: &str = "version";

/// The content, if the directory is without mistakes and the baseline's version has grown with it.
pub(super) fn content(
    signing: &Signing<'_>,
    signers: Signers<'_>,
    last: Option<&RoleMetadata>,
) -> Result<RoleContent, CommandError> {
    let checked =
        check::directory(signing.directory, signing.now)?.map_err(|mistakes| SignError::Mistakes { mistakes })?;
    let path = baseline_path(signing.people.product.as_str());
    let version = &checked.baseline.version;
    let (mut baseline, digest) = (TargetFile::of(&checked.baseline_bytes), Digest::of(&checked.baseline_bytes));
    baseline.custom = Some(json!({ VERSION: version.to_string() }));
    if let Some(last) = last {
        require_growth(last, &path, &baseline, (digest, version))?;
    }
    // Version and expiry are the document's.
    let mut targets = Targets::new(1, signing.now);
    targets.targets.insert(path, baseline);
    targets.add(REGISTRY, &checked.registry_bytes);
    for (digest, bytes) in &checked.files {
        targets.add(&file_path(digest), bytes);
    }
    Ok(RoleContent { targets: targets.targets, delegations: signers.delegations() })
}

/// What the directory has otherwise than the last complete version says, by meaning.
pub(super) fn changes(
    directory: &Directory,
    people: &People,
    complete: Option<&RoleMetadata>,
) -> Result<Vec<String>, CommandError> {
    let mut lines = Vec::new();
    let baseline_path = baseline_path(people.product.as_str());
    for (path, name) in [(REGISTRY.to_owned(), directory::REGISTRY), (baseline_path, directory::BASELINE)] {
        let bytes = directory.read(name)?;
        let before = match complete.and_then(|complete| complete.targets.targets.get(&path)) {
            Some(listed) if listed.verify(&bytes).is_ok() => {
                lines.push(format!("{name}: nothing"));
                continue;
            }
            Some(listed) => Some(signed::read(directory, listed)?),
            None => None,
        };
        lines.push(format!("{name}:"));
        match before {
            Some(Some(before)) => {
                lines.extend(differences(name, &before, &bytes).into_iter().map(|l| format!("  {l}")))
            }
            Some(None) => {
                lines.push(
                    "  the one signed before is not in signed/, so nobody can say what changes; all of it:".to_owned(),
                );
                lines.extend(whole(name, &bytes));
            }
            None => lines.extend(whole(name, &bytes)),
        }
    }
    let listed = |path: &String| complete.is_some_and(|complete| complete.targets.targets.contains_key(path));
    let files: Vec<String> = directory.files()?.iter().map(file_path).collect();
    lines.extend(files.iter().filter(|path| !listed(path)).map(|path| format!("+ {path}")));
    let gone = complete.into_iter().flat_map(|complete| complete.targets.targets.keys());
    let gone = gone.filter(|path| path.starts_with("files/") && !files.contains(path));
    lines.extend(gone.map(|path| format!("- {}", path.escape_debug())));
    Ok(lines)
}

/// Says what a preview of the draft told, where baseline or registry are others than in the last complete version;
/// and what its signer is asked.
pub(super) fn previewed(
    signing: &Signing<'_>,
    (content, complete): (&RoleContent, Option<&RoleMetadata>),
    lines: &mut Vec<String>,
) -> Question {
    let path = baseline_path(signing.people.product.as_str());
    let hashes = |path: &str| content.targets.get(path).map(|file| &file.hashes);
    let listed = |path: &str| Some(&complete?.targets.targets.get(path)?.hashes);
    if [path.as_str(), REGISTRY].iter().all(|path| listed(path) == hashes(path)) {
        return Question::YesOrNo;
    }
    let digest = |path: &str| hashes(path).and_then(|hashes| hashes.sha256());
    // What is signed always has both.
    let Some(draft) = digest(&path).zip(digest(REGISTRY)) else { return Question::YesOrNo };
    let (line, question) = preview::question(signing.directory, draft, signing.now);
    lines.push(line);
    question
}

fn differences(name: &str, before: &[u8], after: &[u8]) -> Vec<String> {
    if name == directory::BASELINE {
        return meaning::baseline::changes(&String::from_utf8_lossy(before), &String::from_utf8_lossy(after));
    }
    match (source::registry_from_bytes(before), source::registry_from_bytes(after)) {
        (Ok(before), Ok(after)) => match meaning::registry::changes(&before, &after) {
            lines if lines.is_empty() => vec!["~ remarks, spaces, order or schema, and nothing else".to_owned()],
            lines => lines,
        },
        _ => vec!["it cannot be read".to_owned()],
    }
}

// As if nothing had been there before.
fn whole(name: &str, bytes: &[u8]) -> Vec<String> {
    if name == directory::BASELINE {
        let lines = meaning::baseline::changes("", &String::from_utf8_lossy(bytes));
        return lines.into_iter().map(|line| format!("  {line}")).collect();
    }
    let Ok(registry) = source::registry_from_bytes(bytes) else { return Vec::new() };
    let nobody = Registry { signers: vec![], controllers: vec![], sites: vec![], hosts: vec![], ..registry.clone() };
    meaning::registry::changes(&nobody, &registry).into_iter().map(|line| format!("  {line}")).collect()
}

/// Keeps what is about to be signed, so that the next signer can be shown what changes.
pub(super) fn keep(directory: &Directory) -> Result<(), CommandError> {
    for name in [directory::BASELINE, directory::REGISTRY] {
        signed::keep(directory, &directory.read(name)?)?;
    }
    Ok(())
}

fn require_growth(
    last: &RoleMetadata,
    path: &str,
    baseline: &TargetFile,
    (digest, version): (Digest, &semver::Version),
) -> Result<(), SignError> {
    let Some(listed) = last.targets.targets.get(path) else { return Ok(()) };
    if listed.hashes == baseline.hashes {
        return Ok(());
    }
    let before = listed.custom.as_ref().and_then(|custom| {
        let version: semver::Version = custom.get(VERSION)?.as_str()?.parse().ok()?;
        Some((listed.hashes.sha256()?, version))
    });
    let before = before.ok_or_else(|| SignError::NoVersion { name: last.name.clone() })?;
    succession::require_growth((before.0, &before.1), (digest, version))
        .map_err(|source| SignError::DoesNotFollow { name: last.name.clone(), source })
}
