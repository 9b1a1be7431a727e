//! `sign`: puts one release manager's signature under every draft that lacks it.
//!
//! Root, targets and lifts are signed apart: a baseline that is being written, or that its signers
//! disagree on, does not hold up a lift.

mod consent;
mod lifts;
mod signer;
mod targets;

use std::path::PathBuf;

use manifests::key::{PublicKey, SigningKey};
use manifests::succession::{self, SuccessionError};
use manifests::time::Time;
use manifests::tuf::repository;
use manifests::tuf::{Root, TARGETS};
use manifests::units::{Units, is_same_unit};

use crate::check::{self, Mistake};
use crate::directory::Directory;
use crate::exit::{CommandError, Exit, Fatal};
use crate::expiry;
use crate::meaning;
use crate::people::{People, SignatureState};
use crate::remote::{self, Remote};
use crate::role_metadata::{self, Plan, Renewal, RoleContent, RoleVersions, SignedRole, Step};
use crate::roots::{RootFile, Roots, RootsError};
use crate::signed;

pub(crate) use consent::{Consent, Question};
pub(crate) use signer::SignerArgs;

/// Signs every draft that lacks this key's signature: root, targets and lifts.
///
/// The first signer makes the next version of targets and lifts from what is in the directory; each
/// further signer signs the same bytes, after a check that they still fit the directory. Nothing with
/// mistakes is signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The release managers' directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// Signs this part alone; mistakes elsewhere are shown and stand in nobody's way.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    #[command(flatten)]
    remote: remote::OptionalArgs,
}

/// What is signed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Who may sign.
    Root,
    /// Baseline, registry and file lists.
    Targets,
    /// Ends of stops.
    Lifts,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// A key of somebody else.
    #[error("key {key} is no signer's of {name}; its signature would count for nothing")]
    NotASigner { key: String, name: String },
    /// What no release manager should sign, and no controller would take.
    #[error("{name} is not signed")]
    Refused { name: String, source: SuccessionError },
    /// A file with more in it than this program, or whoever reviews it, can see.
    #[error("{name} is not signed: it has members that this program does not write")]
    Members { name: String },
    /// Whatever stands there, its growth cannot be judged.
    #[error("{name} does not say which baseline version it lists; restore it from git")]
    NoVersion { name: String },
    /// A lift that no release manager should sign.
    #[error("{name} is not signed: {why}")]
    Lift { name: String, why: String },
    /// The directory does not go on from what was signed last.
    #[error("what is here does not follow {name}")]
    DoesNotFollow { name: String, source: SuccessionError },
    /// A lift that `lift` would refuse.
    #[error("no lift is signed; these were to be:{}\nin the way stand:{}", indented(shown), indented(obstacles))]
    Open { shown: Vec<String>, obstacles: Vec<String> },
    /// What stands in the way of a signature.
    #[error("nothing with mistakes is signed:{}", lines(mistakes))]
    Mistakes { mistakes: Vec<Mistake> },
    /// The parts were printed one by one; `exit` is the worst of them.
    #[error("not everything was signed")]
    Partly { exit: Exit },
}

impl Fatal for SignError {
    fn exit(&self) -> Exit {
        match self {
            Self::Partly { exit } => *exit,
            _ => Exit::Refused,
        }
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n{mistake}")).collect()
}

/// What all parts of a signing need.
pub(crate) struct Signing<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) people: &'a People,
    pub(crate) key: &'a SigningKey,
    pub(crate) renewal: Renewal,
    pub(crate) consent: Consent,
    pub(crate) remote: Option<Remote>,
    pub(crate) now: Time,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args, now: Time) -> Result<(), CommandError> {
    let directory = Directory::open(&args.directory)?;
    let people = people(&directory, args.only)?;
    let roots = Roots::read(&directory)?;
    if args.only.is_some_and(|only| only != Part::Targets) {
        for mistake in check::directory(&directory, now).ok().and_then(Result::err).unwrap_or_default() {
            output::tell!("note: {mistake}");
        }
    }
    let remote = args.remote.remote()?;
    let (key, consent) = (args.signer.key()?, args.signer.consent());
    let renewal = Renewal::WhenNear;
    let signing = Signing { directory: &directory, people: &people, key: &key, renewal, consent, remote, now };
    signing.require_signer(&roots)?;
    let parts = match args.only {
        Some(part) => vec![part],
        None => vec![Part::Root, Part::Targets, Part::Lifts],
    };
    signing.sign(&parts)
}

// A lift must not wait for a registry in which somebody is writing: the one in force names people, too.
fn people(directory: &Directory, only: Option<Part>) -> Result<People, CommandError> {
    match (People::read(directory), only) {
        (Err(error), Some(Part::Lifts)) => match signed::registry(directory) {
            Some(people) => {
                output::tell!("note: {error}; the registry that was signed last is asked in its place");
                Ok(people)
            }
            None => Err(error.into()),
        },
        (read, _) => Ok(read?),
    }
}

impl Signing<'_> {
    /// Signs the parts one after the other; what stands in one's way does not hold up the next.
    pub(crate) fn sign(&self, parts: &[Part]) -> Result<(), CommandError> {
        let mut worst = None;
        for part in parts {
            let result = match part {
                Part::Root => self.root(),
                Part::Targets => self.document(SignedRole::Targets),
                Part::Lifts => self.document(SignedRole::Lifts),
            };
            match result {
                Ok(line) if line.is_empty() => {}
                Ok(line) => output::say!("{line}"),
                Err(error) => {
                    output::tell!("error: {error}");
                    worst = worst.max(Some(error.exit()));
                }
            }
        }
        // As it stands now: what was just signed may not be complete, so that the last one still counts.
        for warning in expiry::warnings(self.directory, self.now) {
            output::tell!("warning: {warning}");
        }
        worst.map_or(Ok(()), |exit| Err(SignError::Partly { exit }.into()))
    }

    pub(crate) fn require_signer(&self, roots: &Roots) -> Result<(), CommandError> {
        let id = self.key.public().id();
        let newest = roots.newest();
        if newest.is_some_and(|file| roots.may_sign(file, &id)) {
            return Ok(());
        }
        let name = newest.map(|file| file.name.clone()).unwrap_or_default();
        Err(SignError::NotASigner { key: id.to_string(), name }.into())
    }

    fn root(&self) -> Result<String, CommandError> {
        let roots = Roots::read(self.directory)?;
        let id = self.key.public().id();
        let Some(file) = roots.newest() else { return Ok(String::new()) };
        let standings = roots.standings(file, self.people);
        let (before, step) = if standings.iter().all(SignatureState::is_complete) {
            (standings, "nothing to sign")
        } else if standings.iter().any(|standing| standing.has(&id)) {
            (standings, "signed by you before")
        } else {
            self.check_root(file)?;
            // By name also whoever leaves.
            let people = match signed::registry(self.directory) {
                Some(before) => self.people.clone().and(&before),
                None => self.people.clone(),
            };
            let lines = match roots.in_force(self.people).filter(|before| before.root.version < file.root.version) {
                Some(before) => meaning::root::changes(&before.root, &file.root, &people, self.now),
                None => meaning::root::whole(&file.root, self.people, self.now),
            };
            if !self.consent.given(&file.name, &lines, Question::YesOrNo)? {
                return Ok(format!("{}: not signed", file.name));
            }
            let refused = |source| RootsError::Tuf { version: file.root.version, source };
            let bytes = repository::sign(&file.bytes, self.key).map_err(refused)?;
            let signed = RootFile { bytes, ..file.clone() };
            let standings = roots.standings(&signed, self.people);
            self.directory.write(&file.name, &signed.bytes)?;
            (standings, "signed")
        };
        let words: Vec<_> = before.iter().map(SignatureState::to_string).collect();
        Ok(format!("{}: {step}; {}", file.name, words.join("; and by the root before: ")))
    }

    // Whoever made the file could have put anything in it.
    fn check_root(&self, file: &RootFile) -> Result<(), SignError> {
        let signers: Vec<_> = self.people.signers().collect();
        succession::check_root(&file.root, &signers, self.now)
            .map_err(|source| SignError::Refused { name: file.name.clone(), source })?;
        // What is signed must be all that the file says.
        let own = repository::unsigned(&file.root).and_then(|own| repository::signable_bytes(&own));
        match (own, repository::signable_bytes(&file.bytes)) {
            (Ok(own), Ok(found)) if own == found => Ok(()),
            _ => Err(SignError::Members { name: file.name.clone() }),
        }
    }

    fn document(&self, kind: SignedRole) -> Result<String, CommandError> {
        // Read again, as a root may have been completed a moment ago.
        let roots = Roots::read(self.directory)?;
        let Some(root) = roots.in_force(self.people) else { return Ok(String::new()) };
        let coming = roots.newest().filter(|newest| newest.root.version > root.root.version);
        let signers = root.signers()?;
        let id = self.key.public().id();
        if !signers.who.keyids.contains(&id) {
            let is_coming = coming.is_some_and(|newest| newest.signers().is_ok_and(|who| who.who.keyids.contains(&id)));
            return match coming.filter(|_| is_coming) {
                Some(newest) => {
                    Ok(format!("{}: not signed; this key counts once {} is complete", kind.role(), newest.name))
                }
                None => Err(SignError::NotASigner { key: id.to_string(), name: root.name.clone() }.into()),
            };
        }
        if kind == SignedRole::Targets
            && let Some(newest) = coming
            && !is_of(&root.root, self.people)
        {
            // The registry names the people of the root to come.
            return Ok(format!("targets: not signed; they wait for {} to be complete", newest.name));
        }
        let documents = RoleVersions::read(kind, self.directory, (signers, &roots), self.people)?;
        let last = documents.last();
        let content = match kind {
            SignedRole::Targets => targets::content(self, signers, last)?,
            SignedRole::Lifts => {
                RoleContent { targets: lifts::content(self.directory, &self.people.product, last)?, delegations: None }
            }
        };
        let done = match role_metadata::plan(kind, &documents, &content, self.renewal, (&id, self.now))? {
            Plan::Nothing(done) => done,
            Plan::Sign { version, bytes, step } => {
                let mut lines = Vec::new();
                if let Some(of_before) = &documents.of_before {
                    lines.push(format!(
                        "{} is of before the new ceremony, and nothing says that it ever counted: all is shown as new",
                        of_before.name
                    ));
                }
                lines.extend(match kind {
                    SignedRole::Targets => targets::changes(self.directory, self.people, documents.complete.as_ref())?,
                    SignedRole::Lifts => lifts::changes(self, &documents)?,
                });
                let question = match kind {
                    SignedRole::Targets => {
                        targets::previewed(self, (&content, documents.complete.as_ref()), &mut lines)
                    }
                    SignedRole::Lifts => Question::YesOrNo,
                };
                if !self.consent.given(&kind.name(version), &lines, question)? {
                    return Ok(format!("{}: not signed", kind.name(version)));
                }
                if kind == SignedRole::Targets {
                    targets::keep(self.directory)?;
                }
                let counted = documents.last().map_or(0, |last| last.targets.version);
                roots.note_counted(self.directory, kind, (root, counted))?;
                role_metadata::put(kind, self.directory, (version, &bytes, step), (signers, self.people), self.key)?
            }
        };
        let step = match done.step {
            Step::NothingToSign => "nothing to sign",
            Step::AlreadySigned => "signed by you before",
            Step::Joined => "signed",
            Step::Made => "made and signed",
            Step::Renewed if self.renewal == Renewal::Now => "renewed and signed",
            Step::Renewed => "renewed, as the version before it ends soon, and signed",
            Step::SignersChanged => {
                "made anew, as those who signed the version before it are not enough any more, and signed"
            }
            Step::MadeAnew => "made anew from what is here, and signed",
        };
        let under = if root.root.expires <= self.now && step != "nothing to sign" {
            format!("; under {}, which has expired: it needs a new root to count for long", root.name)
        } else {
            String::new()
        };
        Ok(format!("{}: {step}; {}{under}", kind.name(done.version), done.standing))
    }
}

// Whether the registry names exactly the people of this root.
fn is_of(root: &Root, people: &People) -> bool {
    let keys = meaning::root::keys(root, TARGETS);
    let named: Vec<_> = people.signers().collect();
    let units = Units::of_root(root);
    let is_named = |(key, unit): &(&PublicKey, &str)| {
        keys.iter().any(|other| other.is_same_key(key))
            && units.as_ref().and_then(|units| units.of(key)).is_none_or(|named| is_same_unit(named, unit))
    };
    keys.len() == named.len() && named.iter().all(is_named)
}
