//! What came out of the newest preview, kept beside the draft for its signer alone.

use manifests::api::PreviewCounts;
use manifests::digest::Digest;
use manifests::time::{Span, Time};
use serde::{Deserialize, Serialize};

use super::PreviewError;
use crate::directory::Directory;
use crate::exit::CommandError;
use crate::sign::Question;

/// Name of the file. Git ignores it: what one signer was told is no other's.
const PREVIEW_FILE: &str = "preview.json";
/// Where git is told so.
const IGNORED: &str = ".gitignore";
/// From then on hosts may stand otherwise.
const LIFE: Span = Span::from_s(24 * 3600);

/// A preview of one draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// SHA-256 of the baseline, as it would be signed.
    pub(crate) baseline: Digest,
    /// The same of the registry.
    pub(crate) registry: Digest,
    /// When it was asked for.
    pub(crate) time: Time,
    /// How many sites.
    pub(crate) counts: PreviewCounts,
}

impl Kept {
    /// Replaces the one before, and has git ignore it.
    pub(crate) fn write(&self, directory: &Directory) -> Result<(), CommandError> {
        let line = format!("/{PREVIEW_FILE}");
        let ignored = directory.read_if_there(IGNORED)?.unwrap_or_default();
        if !ignored.split(|byte| *byte == b'\n').any(|known| known == line.as_bytes()) {
            let newline = if ignored.is_empty() || ignored.ends_with(b"\n") { "" } else { "\n" };
            let more = format!("{newline}{line}\n");
            directory.write(IGNORED, &[ignored.as_slice(), more.as_bytes()].concat())?;
        }
        Ok(directory.write(PREVIEW_FILE, &serde_json::to_vec(self).map_err(PreviewError::Text)?)?)
    }

    /// The one of exactly this draft, if it is not older than a day. One that cannot be read is none. Nobody signs it:
    /// it guards the one who asked against slips, and says nothing to anybody else.
    fn of(directory: &Directory, (baseline, registry): (Digest, Digest), now: Time) -> Option<Self> {
        let bytes = directory.read_if_there(PREVIEW_FILE).ok()??;
        let kept: Self = serde_json::from_slice(&bytes).ok()?;
        let is_recent = kept.time <= now && now <= kept.time.after(LIFE);
        (is_recent && (kept.baseline, kept.registry) == (baseline, registry)).then_some(kept)
    }
}

/// What a signer of this draft is told of its preview, and asked.
pub(crate) fn question(directory: &Directory, draft: (Digest, Digest), now: Time) -> (String, Question) {
    match Kept::of(directory, draft, now) {
        Some(Kept { time, counts, .. }) => {
            let (held, sites) = (counts.newly_held, counts.sites);
            let mut line = format!("previewed at {time}: {held} of {sites} sites would be newly held");
            if counts.not_collected > 0 {
                line += &format!(", {} cannot be told", counts.not_collected);
            }
            (line, if held == 0 { Question::YesOrNo } else { Question::NewlyHeld(held) })
        }
        None => {
            let line = "nobody has previewed this draft here in the last 24 hours: `preview` says whom it would hold";
            (line.to_owned(), Question::YesOrNo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_of_one_draft_and_of_one_day_and_git_ignores_it_once() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::create(temporary.path()).unwrap();
        directory.write(IGNORED, b"*.swp").unwrap();
        let time = Time::from_unix_ms(1_700_000_000_000);
        let (baseline, registry) = (Digest::of(b"baseline"), Digest::of(b"registry"));
        let counts = PreviewCounts { sites: 5, newly_held: 3, not_collected: 1, ..PreviewCounts::default() };
        let kept = Kept { baseline, registry, time, counts };
        kept.write(&directory).unwrap();
        kept.write(&directory).unwrap();
        assert_eq!(directory.read(IGNORED).unwrap(), b"*.swp\n/preview.json\n");

        let draft = (baseline, registry);
        let (line, asked) = question(&directory, draft, time);
        assert!(line.contains("3 of 5 sites would be newly held, 1 cannot be told"), "{line}");
        assert_eq!(asked, Question::NewlyHeld(3));
        let other = Digest::of(b"another");
        let days = |s| time.after(Span::from_s(s));
        for (draft, now) in [
            ((other, registry), time),
            ((baseline, other), time),
            (draft, days(24 * 3600 + 1)),
            (draft, time.before(Span::from_s(1))),
        ] {
            let (line, asked) = question(&directory, draft, now);
            assert!(line.starts_with("nobody has previewed"), "{line}");
            assert_eq!(asked, Question::YesOrNo);
        }
        let counts = PreviewCounts { newly_held: 0, ..counts };
        Kept { counts, ..kept }.write(&directory).unwrap();
        assert_eq!(question(&directory, draft, days(24 * 3600)).1, Question::YesOrNo);
        directory.write(PREVIEW_FILE, b"{").unwrap();
        assert!(question(&directory, draft, time).0.starts_with("nobody"));
    }
}
