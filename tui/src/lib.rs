//! `sekisho`: the fleet on a terminal, and the same in plain tables and JSON.
//!
//! The dashboard is one loop: an event changes the [`model`] in [`update`], which says what to do
//! outside ([`effect`]), and [`view`] draws the model. Only the edge knows HTTP and the terminal.

use std::time::{Instant, SystemTime};

use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use manifests::time::{Span, Time};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::OperatorClient;
use crate::effect::Effect;
use crate::event::Event;
use crate::model::Model;
use crate::runner::Runner;
use crate::terminal::Terminal;
use crate::theme::Theme;

pub mod args;
pub mod cells;
pub mod client;
pub mod commands;
pub mod effect;
pub mod event;
pub mod keymap;
pub mod model;
pub mod page;
pub mod runner;
pub mod standing;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;
pub mod words;

/// Events that wait to be taken in. A fuller queue makes the stream wait, not the memory grow.
const EVENTS_MAX: usize = 256;

/// The wall clock at the start, moved on by the monotonic one: a clock that is set does not move it.
#[derive(Clone, Copy, Debug)]
struct Clock {
    wall: Time,
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Time::from(SystemTime::now()), start: Instant::now() }
    }

    fn now(&self) -> Time {
        self.wall.after(Span::from_ms(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }
}

/// What the dashboard is started with.
#[derive(Debug)]
pub struct Dashboard {
    /// The controller.
    pub client: OperatorClient,
    /// The language.
    pub lang: manifests::text::Lang,
    /// Colours and glyphs.
    pub theme: Theme,
    /// A word that is always shown, as `DEMO`.
    pub mark: Option<String>,
}

/// Shows the dashboard until it is quit or a signal ends it.
///
/// # Errors
/// Where the terminal fails. Losing the controller is no error: it is shown and tried again.
pub async fn run(dashboard: Dashboard) -> std::io::Result<()> {
    let Dashboard { client, lang, theme, mark } = dashboard;
    let clock = Clock::start();
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminal = Terminal::take()?;
    let mut keys = EventStream::new();
    let size = terminal.screen.size()?;
    let controller = client.address().to_owned();
    let mut model = Model::new(lang, controller, mark, (size.width, size.height), clock.now());
    let mut runner = Runner::new(client, sender);
    let mut effects = update::start(&mut model);
    loop {
        for effect in effects.drain(..) {
            if effect == Effect::Quit {
                return Ok(());
            }
            runner.run(effect);
        }
        terminal.screen.draw(|frame| view::draw(&model, theme, frame))?;
        let wait = update::next_wake(&model).since(clock.now()).to_std();
        let first = tokio::select! {
            Some(event) = events.recv() => event,
            input = keys.next() => match input {
                Some(Ok(input)) => match from_input(input) {
                    Some(event) => event,
                    None => continue,
                },
                // The terminal is gone: there is nobody to show anything to.
                Some(Err(error)) => return Err(error),
                None => Event::Ended,
            },
            _ = terminate.recv() => Event::Ended,
            _ = interrupt.recv() => Event::Ended,
            _ = hangup.recv() => Event::Ended,
            _ = quit.recv() => Event::Ended,
            () = tokio::time::sleep(wait) => Event::Tick,
        };
        effects = update::update(&mut model, first, clock.now());
        // What came meanwhile is taken in before the next drawing: a burst is drawn once.
        for _ in 0..EVENTS_MAX {
            let Ok(event) = events.try_recv() else { break };
            effects.extend(update::update(&mut model, event, clock.now()));
        }
    }
}

fn from_input(input: Input) -> Option<Event> {
    match input {
        Input::Key(key) if key.kind != KeyEventKind::Release => Some(Event::Key(key)),
        Input::Resize(columns, rows) => Some(Event::Resized(columns, rows)),
        Input::Key(_) | Input::FocusGained | Input::FocusLost | Input::Mouse(_) | Input::Paste(_) => None,
    }
}
