//! The screen: three lines above, a table or a page, one line below. Pure: changes nothing.

use manifests::text::{text, text_with};
use manifests::time::Span as Length;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::cells;
use crate::event::NoContact;
use crate::keymap::{self, Place};
use crate::model::{Link, Model, ROWS_ABOVE, SIZE_MIN};
use crate::page::Tone;
use crate::standing::Shown;
use crate::theme::Theme;
use crate::words;

mod fleet;
mod page;

/// From this width on, times carry their date and names both scripts.
const WIDE: u16 = 110;

/// Draws everything.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    // The frame's size is the truth; the model's may be one event behind.
    if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
        let size = [("width", area.width.to_string().into()), ("height", area.height.to_string().into())];
        for (row, line) in
            cells::wrap(&text_with(model.lang, "too-small", &size), usize::from(area.width)).iter().enumerate()
        {
            put(frame, row_of(area, u16::try_from(row).unwrap_or(u16::MAX)), Line::raw(line.clone()));
        }
        return;
    }
    put(frame, row_of(area, 0), title(model, theme, area.width));
    put(frame, row_of(area, 1), counts(model, theme, area.width));
    put(frame, row_of(area, 2), status(model, theme, area.width));
    let body = Rect { y: area.y + ROWS_ABOVE, height: area.height - ROWS_ABOVE - 1, ..area };
    let below = |lines: usize, top: usize| lines.saturating_sub(top + usize::from(body.height));
    let below = if let Some(top) = model.help {
        let lines = crate::page::help::lines(model);
        page::draw(&lines, top, theme, false, body, frame);
        below(lines.len(), top)
    } else if let Some(site) = &model.site {
        let lines = crate::page::site::lines(model);
        page::draw(&lines, site.scroll, theme, model.is_old(), body, frame);
        below(lines.len(), site.scroll)
    } else {
        fleet::draw(model, theme, body, frame);
        0
    };
    put(frame, row_of(area, area.height - 1), footer(model, theme, area.width, below));
}

fn row_of(area: Rect, row: u16) -> Rect {
    Rect { y: area.y.saturating_add(row), height: 1, ..area }.intersection(area)
}

fn put(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    frame.render_widget(line, area);
}

/// `left` and, at the right end, `right` if there is room for it.
fn ends<'a>(mut left: Vec<Span<'a>>, right: Span<'a>, width: u16) -> Line<'a> {
    let used: usize = left.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used);
    if right.width() < room {
        left.push(Span::raw(" ".repeat(room - right.width())));
        left.push(right);
    }
    Line::from(left)
}

fn title<'a>(model: &Model, theme: Theme, width: u16) -> Line<'a> {
    let mut left = vec![Span::styled("Sekisho", theme.title())];
    if let Some((fleet, _)) = &model.fleet {
        left.push(Span::raw(format!("  {}", cells::clean(fleet.product.as_str()))));
    }
    let baseline = match model.fleet.as_ref().map(|(fleet, _)| &fleet.baseline) {
        Some(Some(baseline)) => {
            text_with(model.lang, "baseline-version", &[("version", cells::cut(&baseline.version, 24).into())])
        }
        Some(None) => text(model.lang, "baseline-none"),
        None => String::new(),
    };
    if let Some(mark) = &model.mark {
        let mark = cells::cut(mark, 20);
        let used: usize = left.iter().map(Span::width).sum();
        let room = usize::from(width).saturating_sub(used + 5 + cells::width(&baseline));
        let long = text_with(model.lang, "demo-mark", &[("mark", mark.as_str().into())]);
        // The baseline's version is not given up for an explanation.
        let mark = if cells::width(&long) <= room { long } else { mark };
        left.push(Span::raw("  "));
        left.push(Span::styled(format!(" {mark} "), theme.stamp()));
    }
    ends(left, Span::raw(baseline), width)
}

/// Line two: the fleet's counts or the open site, and the time of the data.
fn counts<'a>(model: &Model, theme: Theme, width: u16) -> Line<'a> {
    let Some((fleet, _)) = &model.fleet else {
        let key = if model.is_old() { "data-none" } else { "data-loading" };
        return Line::raw(text(model.lang, key));
    };
    let old = model.is_old();
    let style = |style: Style| if old { theme.old() } else { style };
    let mut left = Vec::new();
    if let (Some(site), None) = (&model.site, model.help) {
        left = site_head(model, theme, &site.code, width);
    } else {
        for (index, (shown, words)) in words::counts(model.lang, fleet, model.lapsed()).into_iter().enumerate() {
            if index > 0 {
                left.push(Span::styled(theme.separator(), style(Style::new())));
            }
            let good = words::all_verified(&fleet.counts) && model.lapsed() == 0;
            // Green only when every site is: a green word beside a red one is what the eye believes.
            let own = if shown == Shown::Verified && !good { theme.title() } else { theme.state(shown) };
            left.push(Span::styled(words, style(own)));
        }
        if let Some(warned) = words::warned(model.lang, fleet) {
            left.push(Span::styled(theme.separator(), style(Style::new())));
            left.push(Span::styled(format!("{} {warned}", theme.mark(Tone::Warn)), style(theme.tone(Tone::Warn))));
        }
    }
    let used: usize = left.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used + 1);
    let as_of = |time: String| text_with(model.lang, "data-as-of", &[("time", time.into())]);
    let age = text_with(model.lang, "data-last-known", &[("age", words::age(model.lang, model.data_age()).into())]);
    let (full, clock) = (words::moment(fleet.time), words::clock(fleet.time));
    let choices = match model.link {
        Link::Lost { .. } => [format!("{age}, {}", as_of(full)), format!("{age}, {clock}"), age],
        Link::Connecting | Link::Live => [as_of(full), as_of(clock.clone()), clock],
    };
    let fitting = choices.into_iter().find(|choice| cells::width(choice) <= room).unwrap_or_default();
    ends(left, Span::styled(fitting, style(Style::new())), width)
}

fn site_head<'a>(model: &Model, theme: Theme, code: &manifests::id::SiteCode, width: u16) -> Vec<Span<'a>> {
    let lang = model.lang;
    let listed = model.fleet.as_ref().and_then(|(fleet, _)| fleet.sites.iter().find(|row| row.code == *code));
    let opened = model.site.as_ref().and_then(|page| page.view.as_ref()).map(|view| &view.site);
    let Some(row) = listed.or(opened) else { return vec![Span::raw(code.to_string())] };
    let shown = model.shown(row);
    let style = if model.is_old() { theme.old() } else { theme.state(shown) };
    let mut name = cells::cut(row.name.text(lang), 24);
    if width >= WIDE && name != row.name.en {
        name = format!("{name} {}", cells::cut(&row.name.en, 24));
    }
    let since = text_with(lang, "site-since", &[("time", words::day_and_minute(row.since).into())]);
    vec![
        Span::styled(state_text(lang, theme, shown), style),
        Span::styled(format!("  {code} {name}"), theme.title()),
        Span::raw(format!("  {since}")),
    ]
}

/// `✗ H held`
fn state_text(lang: manifests::text::Lang, theme: Theme, shown: Shown) -> String {
    format!("{} {} {}", theme.glyph(shown), shown.letter(), words::state(lang, shown))
}

/// Line three: contact, or a banner without it; and what the table is narrowed to.
fn status<'a>(model: &Model, theme: Theme, width: u16) -> Line<'a> {
    let lang = model.lang;
    match &model.link {
        Link::Lost { since, retry_at, why, .. } => {
            let key = if retry_at.is_some() { "link-lost" } else { "link-lost-trying" };
            let wait = retry_at.map_or(Length::ZERO, |at| round_up(at.since(model.now)));
            let banner = |why: &str, controller: &str| {
                let values = [
                    ("age", words::age(lang, model.now.since(*since)).into()),
                    ("why", why.into()),
                    ("wait", words::age(lang, wait).into()),
                    ("controller", controller.into()),
                ];
                format!(" {}", text_with(lang, key, &values))
            };
            // The controller's address may be cut off, the next attempt not.
            let reasons = whys(lang, why);
            let fits = |why: &&String| cells::width(banner(why, "").trim_end()) <= usize::from(width);
            let why = reasons.iter().find(fits).or(reasons.last()).map_or("", String::as_str);
            Line::styled(cells::fit(&banner(why, &model.controller), usize::from(width)), theme.banner())
        }
        Link::Connecting => {
            let connecting = text_with(lang, "link-connecting", &[("controller", model.controller.as_str().into())]);
            Line::raw(cells::cut(&connecting, usize::from(width)))
        }
        Link::Live if model.fleet.as_ref().is_some_and(|(fleet, _)| fleet.set_back.is_some()) => {
            let set_back = model.fleet.as_ref().and_then(|(fleet, _)| fleet.set_back.as_ref());
            let words = set_back.map(|set_back| words::set_back_brief(lang, set_back)).unwrap_or_default();
            Line::styled(cells::fit(&format!(" {words}"), usize::from(width)), theme.banner())
        }
        Link::Live => {
            let link = Span::styled(text(lang, "link-live"), Style::new());
            if model.site.is_some() {
                return Line::from(link);
            }
            let mut left = vec![link];
            let narrowed = narrowed(model, theme);
            let ends_soon = model.fleet.as_ref().and_then(|(fleet, _)| words::expiring(lang, fleet).into_iter().next());
            if let Some(sentence) = ends_soon {
                let used = left.iter().map(Span::width).sum::<usize>() + cells::width(&narrowed) + 5;
                let sentence = cells::cut(&sentence, usize::from(width).saturating_sub(used));
                left.push(Span::styled(format!("  {} {sentence}", theme.mark(Tone::Warn)), theme.tone(Tone::Warn)));
            }
            ends(left, Span::raw(narrowed), width)
        }
    }
}

/// Why there is no contact, from all that is known to the least that tells it from others.
fn whys(lang: manifests::text::Lang, why: &NoContact) -> Vec<String> {
    let words = text(lang, &format!("link-{}", why.code));
    if why.cause.is_empty() {
        return vec![words];
    }
    // `Connection refused (os error 111)`: the number tells people nothing that the words do not.
    let end = why.cause.rsplit(": ").next().and_then(|end| end.split(" (os error").next()).unwrap_or_default();
    vec![format!("{words}: {}", why.cause), why.cause.clone(), format!("{words}: {end}"), end.to_owned()]
}

/// A countdown ends at one second, not at none.
fn round_up(length: Length) -> Length {
    Length::from_s(length.as_ms().div_ceil(1000))
}

fn narrowed(model: &Model, theme: Theme) -> String {
    let lang = model.lang;
    let table = &model.table;
    let mut parts = Vec::new();
    let all = model.fleet.as_ref().map_or(0, |(fleet, _)| fleet.sites.len());
    if table.rows.len() != all {
        parts.push(text_with(lang, "filter-shown", &[("shown", table.rows.len().into()), ("all", all.into())]));
    }
    if let Some(only) = table.only {
        parts.push(text_with(lang, "show-only", &[("standing", words::state(lang, only).into())]));
    }
    if !table.filter.text.is_empty() {
        parts.push(format!("/{}", cells::cut(&table.filter.text, 20)));
    }
    parts.push(text_with(lang, "sort-by", &[("column", text(lang, table.sort.key()).into())]));
    parts.join(theme.separator())
}

/// The last line: the filter while it is typed, else the keys most needed, and what is below.
fn footer<'a>(model: &Model, theme: Theme, width: u16, below: usize) -> Line<'a> {
    let lang = model.lang;
    let more = match below {
        0 => Span::raw(""),
        _ => Span::styled(text_with(lang, "page-more", &[("count", below.into())]), theme.title()),
    };
    if model.help.is_some() {
        let room = usize::from(width).saturating_sub(more.width() + 1);
        return ends(vec![Span::styled(cells::cut(&text(lang, "help-close"), room), theme.old())], more, width);
    }
    if model.table.filter.typing && model.site.is_none() {
        let keys = format!("Enter {}  Esc {}", text(lang, "key-apply"), text(lang, "key-cancel"));
        let prompt = text(lang, "filter-prompt");
        // What is being typed is at the end; a cell for the space before it, one for the cursor.
        let room = usize::from(width).saturating_sub(cells::width(&prompt) + 2);
        let left = vec![
            Span::styled(prompt, theme.title()),
            Span::raw(format!(" {}", cells::cut_front(&model.table.filter.text, room))),
            Span::styled(" ", theme.cursor()),
        ];
        return ends(left, Span::raw(keys), width);
    }
    let place = if model.site.is_some() { Place::Site } else { Place::Fleet };
    let mut hints: Vec<[Span<'_>; 2]> = keymap::bindings_at(place)
        .filter(|binding| binding.hint)
        .map(|binding| {
            let key = binding.label.split(' ').next().unwrap_or_default();
            [Span::styled(key, theme.title()), Span::raw(format!(" {}  ", text(lang, binding.text)))]
        })
        .collect();
    // The last two, help and the way out, stay in any window: the help has the others.
    let room = usize::from(width).saturating_sub(if below > 0 { more.width() } else { 0 });
    while hints.len() > 2 && hints.iter().flatten().map(Span::width).sum::<usize>() > room + 2 {
        hints.remove(hints.len() - 3);
    }
    ends(hints.into_iter().flatten().collect(), more, width)
}
