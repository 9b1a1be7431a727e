//! Subcommands: what they print, on whatever is handed in, and how they end.

use std::io::{self, Write};

use anyhow::Context as _;
use manifests::api::LookedAt;
use manifests::text::{Lang, text, text_with};
use manifests::time::Time;
use serde::Serialize;

use crate::args::{Command, Form};
use crate::client::{ClientError, OperatorClient};
use crate::theme::Theme;
use crate::words;

pub mod hosts;
pub mod items;
pub mod sites;
pub mod stop;
pub mod stops;
mod table;
pub mod unlisted;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All that was asked about is verified, or the stop is in force: 0.
    Good,
    /// Something is held, silent or stopped: 2.
    Bad,
}

impl End {
    fn of(good: bool) -> Self {
        if good { End::Good } else { End::Bad }
    }
}

/// How tables are written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// The language.
    pub lang: Lang,
    /// Glyphs; colours are never written.
    pub theme: Theme,
}

/// Asks the controller and prints the answer.
///
/// # Errors
/// No contact, or the output cannot be written.
pub async fn run(
    command: Command,
    client: &OperatorClient,
    style: Style,
    now: Time,
    out: &mut impl Write,
) -> anyhow::Result<End> {
    let fleet = match command {
        Command::Hosts(_) | Command::Items(_) | Command::Stops(_) => Some(client.fleet().await?),
        Command::Sites(_) | Command::Stop(_) | Command::LookedAt { .. } => None,
        Command::Unlisted(_) | Command::TakeOver(_) => None,
    };
    let written = match command {
        Command::LookedAt { note } => {
            client.looked_at(&LookedAt { note }).await?;
            writeln!(out, "{}", text(style.lang, "set-back-looked-at")).map(|()| End::Good)
        }
        Command::Sites(form) => sites::print(&client.fleet().await?, form.output, style, out),
        Command::Hosts(form) => hosts::print(&client.hosts().await?, form.output, style, now, out),
        Command::Items(form) => items::print(&client.items().await?, form.output, style, out),
        Command::Stops(form) => {
            let stops = client.stops().await?;
            // The stops are what was asked for: whether others wait stands beside them.
            match beside(client.unlisted().await, "unlisted-unknown", style.lang) {
                Ok(unlisted) => {
                    if let Some(note) = unlisted::note(unlisted.map_or(0, |unlisted| unlisted.len()), style) {
                        output::tell!("{note}");
                    }
                }
                Err(said) => output::tell!("{said}"),
            }
            stops::print(&stops, form.output, style, out)
        }
        Command::Unlisted(form) => unlisted::print(&client.unlisted().await?, form.output, style, out),
        Command::TakeOver(stop) => {
            let view = stop::settled(client, client.take_over(&stop.stop).await?).await;
            stop::print(&view, stop.output.output, style, out)
        }
        Command::Stop(stop) => {
            let (request, id) = (stop::request(&stop), stop::new_id()?);
            let made = stop::made(client, &request, &id, style.lang).await?;
            let view = stop::settled(client, made).await;
            stop::print(&view, stop.output.output, style, out)
        }
    };
    let mut end = written.context("cannot write the output")?;
    if let Some(fleet) = fleet {
        // A list of hosts or items says what each one showed last; whether that counts, the fleet says.
        let lapsed = fleet.counts.lapsed;
        let values = [("count", lapsed.into()), ("sites", fleet.counts.sites.into())];
        if lapsed > 0 {
            output::tell!("{}", text_with(style.lang, "not-verified", &values));
            end = End::Bad;
        }
        words::expiring(style.lang, &fleet).iter().for_each(|sentence| output::tell!("{sentence}"));
    }
    out.flush().context("cannot write the output")?;
    // Beside every answer: as long as nobody has looked, no list tells the whole truth. Behind it, so that nothing
    // stands before a stop.
    match beside(client.set_back().await, "set-back-unknown", style.lang) {
        Ok(view) => {
            if let Some(set_back) = view.and_then(|view| view.set_back) {
                output::tell!("{}", words::set_back(style.lang, &set_back));
            }
        }
        Err(said) => output::tell!("{said}"),
    }
    Ok(end)
}

/// What is asked beside what the command is for: nothing of a controller of before, which does not have it (404).
///
/// # Errors
/// That it cannot be told, in words: the text `key`.
fn beside<T>(answer: Result<T, ClientError>, key: &str, lang: Lang) -> Result<Option<T>, String> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => {
            let cause = format!("{:#}", anyhow::Error::new(error));
            Err(text_with(lang, key, &[("cause", crate::cells::clean(&cause).into_owned().into())]))
        }
    }
}

/// The wire type as it is, indented, with a newline.
fn json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", output::json(value)?)
}

/// Prints `value` as it is, or what `table` makes of it.
fn print_as<W: Write>(
    form: Form,
    value: &impl Serialize,
    out: &mut W,
    table: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    match form {
        Form::Json => json(value, out),
        Form::Table => table(out),
    }
}
