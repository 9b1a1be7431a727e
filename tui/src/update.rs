//! What each event does to the model: pure, `now` handed in, effects returned as data.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use manifests::time::{Span, Time};

use crate::effect::Effect;
use crate::event::{Event, Fetched, NoContact};
use crate::keymap::{self, Action, Place};
use crate::model::{Link, Model, SitePage};
use crate::page;

mod table;

/// The least time from one fetch's begin to the next: a burst of events is one fetch.
pub const FETCH_EVERY: Span = Span::from_ms(200);
/// Without any event the data are fetched this often: what changes by time alone, and a dead stream, show.
pub const POLL_EVERY: Span = Span::from_s(10);
/// Ages and countdowns go on this often.
pub const TICK_EVERY: Span = Span::from_s(1);
/// The longest filter, in characters.
const FILTER_MAX: usize = 100;
/// Waits after failures in a row; the last one repeats.
const RETRY_AFTER: [Span; 5] = [Span::from_s(1), Span::from_s(2), Span::from_s(4), Span::from_s(8), Span::from_s(15)];

/// The first effects: the table must not wait for the stream.
pub fn start(model: &mut Model) -> Vec<Effect> {
    model.fetching.due = true;
    let mut effects = vec![Effect::Connect { after: None }];
    effects.extend(fetch_if_due(model));
    effects
}

/// When [`Event::Tick`] is wanted at the latest.
pub fn next_wake(model: &Model) -> Time {
    let mut wake = model.now.after(TICK_EVERY);
    if let Link::Lost { retry_at: Some(at), .. } = model.link {
        wake = wake.min(at);
    }
    if let (true, false, Some(began)) = (model.fetching.due, model.fetching.running, model.fetching.began) {
        wake = wake.min(began.after(FETCH_EVERY));
    }
    wake
}

/// Takes one event in at `now`.
pub fn update(model: &mut Model, event: Event, now: Time) -> Vec<Effect> {
    // The caller's clock does not run backwards; if it did, ages would stand still, not wrap.
    model.now = model.now.max(now);
    let mut effects = match event {
        Event::Key(key) => on_key(model, key),
        Event::Resized(columns, rows) => {
            model.size = (columns, rows);
            table::keep_cursor_visible(model);
            keep_scroll(model);
            Vec::new()
        }
        Event::Tick => Vec::new(),
        Event::StreamOpened => {
            model.stream_open = true;
            model.fetching.due = true; // Whatever happened while it was closed.
            Vec::new()
        }
        Event::Changed { id } => {
            model.last_event = id.or(model.last_event);
            model.fetching.due = true;
            Vec::new()
        }
        Event::Fetched(fetched) => {
            on_fetched(model, *fetched);
            Vec::new()
        }
        Event::FetchFailed(failure) => {
            model.fetching.running = false;
            on_failed(model, failure)
        }
        Event::StreamFailed(failure) => on_failed(model, failure),
        Event::Ended => vec![Effect::Quit],
    };
    // With every event: keys pressed without a pause leave no moment for a tick.
    effects.extend(on_time(model));
    effects.extend(fetch_if_due(model));
    effects
}

fn fetch_if_due(model: &mut Model) -> Option<Effect> {
    let fetching = &mut model.fetching;
    let soon = fetching.began.is_some_and(|began| model.now < began.after(FETCH_EVERY));
    let waiting = matches!(model.link, Link::Lost { .. }) && !model.stream_open;
    if !fetching.due || fetching.running || soon || waiting {
        return None;
    }
    fetching.due = false;
    fetching.running = true;
    fetching.began = Some(model.now);
    Some(Effect::Fetch { site: model.site.as_ref().map(|page| page.code.clone()) })
}

/// What is due by time alone.
fn on_time(model: &mut Model) -> Vec<Effect> {
    match &mut model.link {
        Link::Lost { retry_at, .. } if retry_at.is_some_and(|at| at <= model.now) => {
            *retry_at = None;
            vec![Effect::Connect { after: model.last_event }]
        }
        Link::Lost { .. } | Link::Connecting => Vec::new(),
        Link::Live => {
            let quiet = model.fetching.began.is_none_or(|began| began.after(POLL_EVERY) <= model.now);
            model.fetching.due |= quiet;
            Vec::new()
        }
    }
}

fn on_failed(model: &mut Model, failure: NoContact) -> Vec<Effect> {
    model.stream_open = false;
    let (since, attempt) = match model.link {
        // Stream and fetch fail together: the second report of one failure is not another attempt.
        Link::Lost { retry_at: Some(_), .. } => return Vec::new(),
        Link::Lost { since, attempt, retry_at: None, .. } => (since, attempt.saturating_add(1)),
        Link::Live | Link::Connecting => (model.now, 1),
    };
    let step = usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1);
    let wait = RETRY_AFTER.get(step).or(RETRY_AFTER.last()).copied().unwrap_or(Span::ZERO);
    model.link = Link::Lost { since, attempt, retry_at: Some(model.now.after(wait)), why: failure };
    vec![Effect::Disconnect]
}

fn on_fetched(model: &mut Model, fetched: Fetched) {
    model.fetching.running = false;
    let Fetched { fleet, site } = fetched;
    model.fleet = Some((fleet, model.now));
    table::load(model);
    if let (Some(site), Some(page)) = (site, &mut model.site)
        && site.code == page.code
    {
        page.view = site.view;
        page.items = site.items.into_iter().map(|item| (item.item.clone(), item)).collect();
        page.loaded = true;
        keep_scroll(model);
    }
    if model.stream_open {
        model.link = Link::Live;
    }
}

fn on_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if model.table.filter.typing && model.help.is_none() && model.site.is_none() {
        return type_filter(model, key);
    }
    let place = match (&model.help, &model.site) {
        (Some(_), _) => Place::Help,
        (None, Some(_)) => Place::Site,
        (None, None) => Place::Fleet,
    };
    let Some(action) = keymap::action(place, key) else { return Vec::new() };
    match (place, action) {
        (_, Action::Quit) => return vec![Effect::Quit],
        (_, Action::Refresh) => return refresh(model),
        (Place::Help, Action::Back) => model.help = None,
        (Place::Fleet | Place::Site, Action::Help) => model.help = Some(0),
        (Place::Help | Place::Site, action) if scroll_by(model, action).is_some() => scroll(model, action),
        (Place::Site, Action::Back) => model.site = None,
        (Place::Site, Action::Next) => to_host(model, true),
        (Place::Site, Action::Previous) => to_host(model, false),
        (Place::Fleet, Action::Open) => open(model),
        (Place::Fleet, action) => table::act(model, action),
        // The key table gives these places no such action.
        (Place::Help | Place::Site, _) => {}
    }
    Vec::new()
}

fn type_filter(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let filter = &mut model.table.filter;
    match key.code {
        KeyCode::Char('c') if control => return vec![Effect::Quit],
        KeyCode::Char('u') if control => filter.text.clear(),
        KeyCode::Char(character) if !control && filter.text.chars().count() < FILTER_MAX => {
            filter.text.push(character);
        }
        KeyCode::Backspace => {
            filter.text.pop();
        }
        KeyCode::Enter => filter.typing = false,
        KeyCode::Esc => {
            filter.typing = false;
            filter.text.clear();
        }
        KeyCode::Up => table::act(model, Action::Up),
        KeyCode::Down => table::act(model, Action::Down),
        _ => return Vec::new(),
    }
    table::refilter(model);
    Vec::new()
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    match &mut model.link {
        Link::Lost { retry_at, .. } if retry_at.is_some() => {
            *retry_at = None;
            vec![Effect::Connect { after: model.last_event }]
        }
        Link::Lost { .. } => Vec::new(), // It is being tried.
        Link::Live | Link::Connecting => {
            model.fetching.due = true;
            Vec::new()
        }
    }
}

fn open(model: &mut Model) {
    let Some(code) = model.row(model.table.cursor).map(|row| row.code.clone()) else { return };
    model.table.chosen = Some(code.clone());
    model.site = Some(SitePage { code, view: None, loaded: false, items: Default::default(), scroll: 0 });
    model.fetching.due = true;
}

/// How far `action` moves a page of text; nothing if it is no movement. `isize::MIN` and `MAX` are its ends.
fn scroll_by(model: &Model, action: Action) -> Option<isize> {
    let height = isize::try_from(model.page_height()).unwrap_or(1).max(2);
    match action {
        Action::Up => Some(-1),
        Action::Down => Some(1),
        Action::HalfUp => Some(-height / 2),
        Action::HalfDown => Some(height / 2),
        Action::PageUp => Some(1 - height),
        Action::PageDown => Some(height - 1),
        Action::First => Some(isize::MIN),
        Action::Last => Some(isize::MAX),
        Action::Open | Action::Back | Action::Filter | Action::Next | Action::Previous => None,
        Action::Sort | Action::Refresh | Action::Help | Action::Quit => None,
    }
}

fn scroll(model: &mut Model, action: Action) {
    let Some(by) = scroll_by(model, action) else { return };
    if let Some(top) = model.help {
        model.help = Some(top.saturating_add_signed(by));
    } else if let Some(page) = &mut model.site {
        page.scroll = page.scroll.saturating_add_signed(by);
    }
    keep_scroll(model);
}

/// No page is scrolled past its end.
fn keep_scroll(model: &mut Model) {
    let height = model.page_height();
    if let Some(top) = model.help {
        model.help = Some(top.min(page::help::lines(model).len().saturating_sub(height)));
    }
    let last = page::site::lines(model).len().saturating_sub(height);
    if let Some(page) = &mut model.site {
        page.scroll = page.scroll.min(last);
    }
}

fn to_host(model: &mut Model, forward: bool) {
    let starts = page::site::host_starts(model);
    let Some(page) = &mut model.site else { return };
    let target = if forward {
        starts.iter().find(|start| **start > page.scroll).or(starts.first())
    } else {
        starts.iter().rev().find(|start| **start < page.scroll).or(starts.last())
    };
    page.scroll = target.copied().unwrap_or(0);
    keep_scroll(model);
}
