//! Why a subcommand did not do what it was asked for, and the exit code that says so.

use std::process::ExitCode;

use crate::capture::CaptureError;
use crate::check::Mistake;
use crate::directory::DirectoryError;
use crate::document::DocumentError;
use crate::init::InitError;
use crate::key_file::KeyFileError;
use crate::lift::LiftError;
use crate::people::PeopleError;
use crate::publish::PublishError;
use crate::remote::RemoteError;
use crate::roots::RootsError;
use crate::sign::SignError;

/// Refused, or mistakes were found.
pub(crate) const REFUSED: u8 = 1;
/// The command line is wrong (sysexits.h `EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// The controller cannot be reached (`EX_UNAVAILABLE`).
pub(crate) const UNREACHABLE: u8 = 69;
/// A file cannot be read or written (`EX_IOERR`).
pub(crate) const IO: u8 = 74;

/// Any failure; each is said by the part that met it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error(transparent)]
    Lift(#[from] LiftError),
    #[error(transparent)]
    People(#[from] PeopleError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(transparent)]
    Sign(#[from] SignError),
    /// They were printed one by one.
    #[error("{}{count} {}", if *is_cut { "the first " } else { "" }, if *count == 1 { "mistake" } else { "mistakes" })]
    Mistakes { count: usize, is_cut: bool },
    /// What stands in the way of a signature.
    #[error("nothing with mistakes is signed:{}", lines(mistakes))]
    Unchecked { mistakes: Vec<Mistake> },
    /// The parts were printed one by one.
    #[error("not everything was signed")]
    Partly { code: u8 },
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n{mistake}")).collect()
}

impl Failure {
    /// What the program exits with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// As a number.
    pub(crate) fn code(&self) -> u8 {
        let is_io = match self {
            Failure::Capture(error) => error.is_io(),
            Failure::Directory(error) | Failure::People(PeopleError::Directory(error)) => error.is_io(),
            Failure::Document(error) => error.is_io(),
            Failure::Init(error) => error.is_io(),
            Failure::KeyFile(error) => error.is_io(),
            Failure::Roots(error) => error.is_io(),
            Failure::Remote(error) => return error.exit_code(),
            Failure::Partly { code } => return *code,
            Failure::Lift(_)
            | Failure::People(_)
            | Failure::Publish(_)
            | Failure::Sign(_)
            | Failure::Mistakes { .. }
            | Failure::Unchecked { .. } => false,
        };
        if is_io { IO } else { REFUSED }
    }
}
