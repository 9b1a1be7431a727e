//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args as Group, Parser, Subcommand, ValueEnum};
use manifests::digest::Digest;
use manifests::id::SiteCode;
use manifests::text::Lang;

/// Shows how every site of the fleet stands, and stops sites.
///
/// Without a subcommand it opens the dashboard, which needs a terminal.
#[derive(Debug, Parser)]
#[command(name = "sekisho", version, after_help = EXIT_CODES)]
pub struct Args {
    /// Address of the controller.
    #[arg(long, global = true, env = "SEKISHO_CONTROLLER", value_name = "URL")]
    #[arg(help = "Address of the controller, as https://controller.example:8443")]
    pub controller: Option<String>,
    /// File with the controller's CA certificate (PEM)
    #[arg(long, global = true, env = "SEKISHO_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File with the operator's token
    #[arg(long, global = true, env = "SEKISHO_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Language of the texts; the locale's without it
    #[arg(long, global = true, value_enum)]
    pub lang: Option<Language>,
    /// ASCII marks only, for terminals that show ambiguous characters wide (or SEKISHO_AMBIGUOUS=wide)
    #[arg(long, global = true)]
    pub ascii: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes of the subcommands:
  0   all are verified; after stop: it is in force
  2   something is held, silent or stopped
  3   not known: no contact, or the controller refused
  64  wrong usage

NO_COLOR is respected.";

/// The languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English
    En,
    /// Japanese
    Ja,
}

impl From<Language> for Lang {
    fn from(language: Language) -> Lang {
        match language {
            Language::En => Lang::En,
            Language::Ja => Lang::Ja,
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List sites, bad news first
    Sites(Output),
    /// List hosts
    Hosts(Output),
    /// List the baseline's items and how many hosts stand how
    Items(Output),
    /// List stops, newest first, with their digests and who has them
    Stops(Output),
    /// List stops that hosts have under keys that the registry does not list
    Unlisted(Output),
    /// Take over such a stop with its chain: from then on it holds everybody whom it covers
    TakeOver(TakeOverArgs),
    /// Say that you have looked at it that the controller was set back to an earlier moment: hosts may issue again
    LookedAt {
        /// What was found, for the record
        #[arg(long, value_parser = reason)]
        note: String,
    },
    /// Stop sites at once. Only a lift signed by two release managers ends a stop
    Stop(StopArgs),
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Group)]
pub struct Output {
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Form::Table)]
    pub output: Form,
}

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    Table,
    /// As the controller sent it
    Json,
}

/// Which stop to take over.
#[derive(Clone, Debug, Group)]
pub struct TakeOverArgs {
    /// Its digest, as `sekisho unlisted` shows it
    #[arg(value_name = "sha256:…")]
    pub stop: Digest,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

/// Whom to stop, and why.
#[derive(Clone, Debug, Group)]
#[command(group(ArgGroup::new("whom").required(true).args(["all", "site"])))]
pub struct StopArgs {
    /// Every site
    #[arg(long)]
    pub all: bool,
    /// These sites, by code
    #[arg(long, value_name = "CODE", num_args = 1..)]
    pub site: Vec<SiteCode>,
    /// Why, for the people there
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: Output,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !manifests::stop::is_reason(text) {
        let longest = manifests::stop::REASON_BYTES_MAX;
        return Err(format!("a reason is one line of 1 to {longest} bytes, without control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_stop_names_whom_and_why() {
        for wrong in [
            &["sekisho", "stop", "--reason", "x"][..],
            &["sekisho", "stop", "--all"],
            &["sekisho", "stop", "--all", "--site", "402206", "--reason", "x"],
            &["sekisho", "stop", "--site", "402207", "--reason", "x"],
            &["sekisho", "stop", "--all", "--reason", " "],
        ] {
            assert!(Args::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
        let nothing = Args::try_parse_from(["sekisho", "stop"]).unwrap_err().to_string();
        assert!(nothing.contains("<--all|--site <CODE>...>"), "not --all alone: {nothing}");
        let args = Args::try_parse_from(["sekisho", "stop", "--site", "402206", "372013", "--reason", "x"]).unwrap();
        let Some(Command::Stop(stop)) = args.command else { panic!("{args:?}") };
        assert_eq!(stop.site.len(), 2);
    }
}
