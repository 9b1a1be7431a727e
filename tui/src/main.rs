//! Arguments, the choice between dashboard and command, and the exit code.

use std::io;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Parser as _;
use manifests::time::Time;
use tui::args::Args;
use tui::client::{ClientError, OperatorClient};
use tui::commands::{self, End, Style};
use tui::theme::Theme;
use tui::{Dashboard, terminal};

const BAD: u8 = 2;
const UNKNOWN: u8 = 3;
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing can be said where neither stream can be written.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let (Some(controller), Some(ca), Some(token_file)) = (&args.controller, &args.ca, &args.token_file) else {
        output::tell!(
            "sekisho: --controller, --ca and --token-file are needed, or SEKISHO_CONTROLLER, SEKISHO_CA and SEKISHO_TOKEN_FILE"
        );
        return ExitCode::from(USAGE);
    };
    if let (None, Some(what)) = (&args.command, terminal::lack()) {
        output::tell!("sekisho: {what}; or use a subcommand, as: sekisho sites --output json");
        return ExitCode::from(USAGE);
    }
    let client = match OperatorClient::new(controller, ca, token_file) {
        Ok(client) => client,
        Err(error) => {
            let code = if matches!(error, ClientError::Address { .. }) { USAGE } else { UNKNOWN };
            output::tell!("sekisho: {:#}", anyhow::Error::new(error));
            return ExitCode::from(code);
        }
    };
    match run(args, client) {
        Ok(End::Good) => output::exit(0),
        Ok(End::Bad) => output::exit(BAD),
        Err(error) => {
            output::tell!("sekisho: {error:#}");
            ExitCode::from(UNKNOWN)
        }
    }
}

fn run(args: Args, client: OperatorClient) -> anyhow::Result<End> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let lang = match args.lang {
        Some(language) => language.into(),
        None => output::lang(),
    };
    let wide = set("SEKISHO_AMBIGUOUS").is_some_and(|value| value == "wide");
    let theme = Theme { ascii: args.ascii || wide || !output::is_utf8(), colour: set("NO_COLOR").is_none() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match args.command {
        Some(command) => {
            let mut out = io::BufWriter::new(output::Stdout);
            let style = Style { lang, theme };
            runtime.block_on(commands::run(command, &client, style, now(), &mut out))
        }
        None => {
            let mark = set("SEKISHO_MARK").map(|mark| mark.to_string_lossy().into_owned());
            runtime.block_on(tui::run(Dashboard { client, lang, theme, mark })).context("the terminal failed")?;
            Ok(End::Good)
        }
    }
}

fn now() -> Time {
    Time::from(SystemTime::now())
}
