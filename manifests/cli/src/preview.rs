//! `preview`: whom a draft would hold, asked of a controller before anybody signs.

mod kept;

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_encoding::BASE64;
use manifests::api::{PREVIEW, Preview, PreviewRequest, PreviewSite};
use manifests::digest::Digest;
use manifests::reference::Reference;
use manifests::time::Time;
use manifests::tuf::repository::{REGISTRY, baseline_path, file_path};

use crate::check::{self, CheckedDirectory};
use crate::directory::Directory;
use crate::exit::{CommandError, Exit, Fatal};
use crate::people::People;
use crate::remote::{self, Remote};
use crate::sign::SignError;

pub(crate) use kept::{Kept, question};

/// Asks a controller whom what is here would hold, by what every host reports now.
///
/// Nothing is signed and nothing changes. Sites that would be newly held come first; apart from them those of
/// which the draft asks what their hosts do not report yet. What came out is kept in preview.json, which git
/// ignores: for a day `sign` shows it under the same draft.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How the answer is printed; json is as the controller sent it.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    remote: remote::Args,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
enum PreviewError {
    /// Whatever it says, it is not the answer.
    #[error("the controller answers for another draft (baseline {baseline}, registry {registry}); nothing is kept")]
    OtherDraft { baseline: Digest, registry: Digest },
    /// Never for a real one.
    #[error("the answer cannot be written")]
    Text(#[source] serde_json::Error),
}

impl Fatal for PreviewError {
    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let product = People::read(&directory)?.product;
    let checked = check::directory(&directory, now)?.map_err(|mistakes| SignError::Mistakes { mistakes })?;
    let remote = Remote::new(&args.remote)?;
    let preview: Preview = remote.send(PREVIEW, &request(&checked, product.as_str()))?;
    let (baseline, registry) = (Digest::of(&checked.baseline_bytes), Digest::of(&checked.registry_bytes));
    if (preview.baseline.digest, preview.registry.digest) != (baseline, registry) {
        let (baseline, registry) = (preview.baseline.digest, preview.registry.digest);
        return Err(PreviewError::OtherDraft { baseline, registry }.into());
    }
    Kept { baseline, registry, time: now, counts: preview.counts }.write(&directory)?;
    match args.output {
        Form::Json => output::say!("{}", output::json(&preview).map_err(PreviewError::Text)?),
        Form::Text => lines(&preview).iter().for_each(|line| output::say!("{line}")),
    }
    Ok(())
}

fn request(checked: &CheckedDirectory, product: &str) -> PreviewRequest {
    let needed = Reference::lists_needed(&checked.baseline);
    let lists = checked.files.iter().filter(|(digest, _)| needed.contains(digest));
    let lists = lists.map(|(digest, bytes)| (file_path(digest), bytes));
    let mut targets: BTreeMap<String, String> = lists.map(|(path, bytes)| (path, BASE64.encode(bytes))).collect();
    targets.insert(baseline_path(product), BASE64.encode(&checked.baseline_bytes));
    targets.insert(REGISTRY.to_owned(), BASE64.encode(&checked.registry_bytes));
    PreviewRequest { targets }
}

fn lines(preview: &Preview) -> Vec<String> {
    let counts = preview.counts;
    let of = format!("of {} {}", counts.sites, sites(counts.sites));
    let in_force = match &preview.in_force {
        Some(before) => format!("against baseline {} in force", before.version.escape_debug()),
        None => "no baseline is in force".to_owned(),
    };
    let mut lines =
        vec![format!("baseline {} at {}, {in_force}:", preview.baseline.version.escape_debug(), preview.time)];
    lines.push(format!("{} {of} would be newly held", counts.newly_held));
    lines.extend(by_prefecture(&preview.newly_held));
    if counts.not_collected > 0 {
        let what = "cannot be told: the draft asks what their hosts do not report yet";
        lines.push(format!("{} {of} {what}", counts.not_collected));
        lines.extend(by_prefecture(&preview.not_collected));
    }
    if counts.opened > 0 {
        lines.push(format!("{} {of} would be opened", counts.opened));
        lines.extend(by_prefecture(&preview.opened));
    }
    lines.push(format!("{} {of} would stay as they are", counts.unchanged));
    for (codes, what) in [
        (&preview.registry.joining, "joins, and holds until its hosts report"),
        (&preview.registry.leaving, "leaves the registry"),
    ] {
        lines.extend(codes.iter().map(|code| format!("  {code} {what}")));
    }
    lines
}

fn sites(count: u32) -> &'static str {
    if count == 1 { "site" } else { "sites" }
}

fn by_prefecture(sites: &[PreviewSite]) -> Vec<String> {
    let mut prefectures: BTreeMap<u8, Vec<&PreviewSite>> = BTreeMap::new();
    for site in sites {
        prefectures.entry(site.code.prefecture()).or_default().push(site);
    }
    let mut lines = Vec::new();
    for (prefecture, sites) in prefectures {
        lines.push(format!("  prefecture {prefecture:02}: {}", sites.len()));
        for site in sites {
            let ja = site.name.ja.as_ref().map(|ja| format!(" ({})", ja.escape_debug())).unwrap_or_default();
            lines.push(format!("    {} {}{ja}", site.code, site.name.en.escape_debug()));
            for host in &site.hosts {
                let reasons = host.reasons.iter().map(ToString::to_string);
                let not_collected = host.not_collected.iter().map(|item| format!("not collected: {item}"));
                let words: Vec<String> = reasons.chain(not_collected).collect();
                lines.push(format!("      {}: {}", host.host, words.join(", ")));
            }
        }
    }
    lines
}
