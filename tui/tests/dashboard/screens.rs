//! What stands on the screen, against kept screens in `tests/screens`.
//!
//! `UPDATE_SCREENS=1 cargo test -p tui` writes them anew; read the difference before keeping it.

use std::path::Path;

use crossterm::event::KeyCode;
use manifests::api::{Allowed, SetBack, SetBackCause, SetBackProof};
use manifests::outcome::Verdict;
use manifests::text::Lang;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use tui::event::{Event, NoContact};
use tui::model::Model;
use tui::theme::Theme;
use unicode_width::UnicodeWidthChar;

use crate::fixture::{Driver, site};

const COLOUR: Theme = Theme { ascii: false, colour: true };
const ASCII: Theme = Theme { ascii: true, colour: false };
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (60, 15)];

pub(crate) fn draw(model: &Model, theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| tui::view::draw(model, theme, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The rows as text; the second cell of a wide character is left out, as on a terminal.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut covered = 0;
        for x in 0..buffer.area.width {
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            covered = tui::cells::width(symbol).saturating_sub(1);
            row.push_str(symbol);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Compares with a kept screen.
fn check(name: &str, model: &Model, theme: Theme) {
    let drawn = draw(model, theme);
    let seen = text(&drawn);
    for line in seen.lines() {
        assert!(tui::cells::width(line) <= usize::from(model.size.0), "{name}: {line}");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{name}: {line:?}");
        // On a terminal that shows ambiguous characters wide, this mode must not shear.
        let same = |c: char| UnicodeWidthChar::width(c) == UnicodeWidthChar::width_cjk(c);
        assert!(!theme.ascii || line.chars().all(same), "{name}: {line:?}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/screens/{name}.txt"));
    if std::env::var_os("UPDATE_SCREENS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &seen).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == seen, "{name} differs from {}\n--- kept\n{kept}--- drawn\n{seen}", path.display());
}

fn each(theme: Theme, what: &str, build: impl Fn(Lang, (u16, u16)) -> Driver) {
    for lang in [Lang::En, Lang::Ja] {
        for size in SIZES {
            let name = format!("{what}-{}-{}x{}", lang.tag(), size.0, size.1);
            check(&name, &build(lang, size).model, theme);
        }
    }
}

fn open_site(lang: Lang, size: (u16, u16)) -> Driver {
    let mut driver = Driver::live(lang, size);
    driver.press(KeyCode::Enter);
    driver.fetched_site(Some(site()));
    driver
}

fn lost(lang: Lang, size: (u16, u16)) -> Driver {
    let mut driver = Driver::live(lang, size);
    driver.later(40_000);
    driver.fetched(crate::fixture::fleet());
    driver.later(2_000);
    for wait in [1_000, 2_000, 500] {
        driver.happen(Event::StreamFailed(crate::fixture::failure("connect")));
        driver.later(wait);
    }
    driver
}

#[test]
fn the_fleet() {
    each(COLOUR, "fleet", Driver::live);
}

#[test]
fn the_fleet_in_ascii() {
    each(ASCII, "fleet-ascii", Driver::live);
}

#[test]
fn a_site() {
    each(COLOUR, "site", open_site);
}

fn warned(lang: Lang, size: (u16, u16)) -> Driver {
    let mut driver = Driver::live(lang, size);
    driver.later(40_000);
    driver.fetched(crate::fixture::warned());
    driver
}

#[test]
fn warnings_stand_beside_the_state_and_hold_nobody() {
    each(COLOUR, "warned", warned);
    check("warned-ascii-ja-80x24", &warned(Lang::Ja, (80, 24)).model, ASCII);
    let mut driver = warned(Lang::En, (80, 24));
    driver.press(KeyCode::Enter);
    let mut site = site();
    site.hosts[1].host.warnings = vec![crate::fixture::not_running()];
    driver.fetched_site(Some(site));
    let lines: Vec<String> = tui::page::site::lines(&driver.model).into_iter().map(|line| line.text).collect();
    let host = lines.iter().position(|line| line.contains("402206-db1")).unwrap();
    let warning = lines.iter().position(|line| line.contains("A program that should run does not. (issuing-server)"));
    assert!(warning.is_some_and(|warning| warning > host), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Start it, unless")), "{lines:#?}");
}

#[test]
fn a_site_in_ascii() {
    check("site-ascii-ja-80x24", &open_site(Lang::Ja, (80, 24)).model, ASCII);
    check("lost-ascii-ja-80x24", &lost(Lang::Ja, (80, 24)).model, ASCII);
}

#[test]
fn a_lost_connection() {
    each(COLOUR, "lost", lost);
}

#[test]
fn the_help_names_every_key_that_works() {
    for lang in [Lang::En, Lang::Ja] {
        let mut driver = Driver::live(lang, (80, 40));
        driver.press(KeyCode::Char('?'));
        check(&format!("help-{}-80x40", lang.tag()), &driver.model, COLOUR);
    }
}

#[test]
fn a_filter_being_typed_a_mark_and_nothing_found() {
    let mut driver = Driver::live(Lang::En, (80, 24));
    driver.model.mark = Some("DEMO".to_owned());
    driver.press(KeyCode::Char('/'));
    driver.type_text("held 宗");
    check("filter-en-80x24", &driver.model, COLOUR);
    driver.type_text("zzz");
    driver.press(KeyCode::Enter);
    check("filter-nothing-en-80x24", &driver.model, COLOUR);
    let mut driver = Driver::live(Lang::Ja, (80, 24));
    driver.model.mark = Some("DEMO".to_owned());
    driver.press(KeyCode::Tab);
    check("filter-ja-80x24", &driver.model, COLOUR);
}

#[test]
fn before_the_first_answer_and_in_too_small_a_window() {
    check("connecting-ja-80x24", &Driver::start(Lang::Ja, (80, 24)).0.model, COLOUR);
    for (lang, size) in [(Lang::En, (59, 15)), (Lang::Ja, (60, 14)), (Lang::Ja, (10, 3)), (Lang::En, (1, 1))] {
        check(&format!("small-{}-{}x{}", lang.tag(), size.0, size.1), &Driver::live(lang, size).model, COLOUR);
    }
}

#[test]
fn the_banner_says_why_there_is_no_contact_and_when_it_is_tried_again() {
    let certificate = "invalid peer certificate: UnknownIssuer";
    let refused = "Connection refused (os error 111)";
    for (cause, lang, width, said) in [
        (refused, Lang::En, 80, " NO CONTACT for 0 s: Connection refused (os error 111). Next attempt in 1 s. "),
        (refused, Lang::Ja, 60, " 通信断 0 秒: Connection refused。次の接続まで 1 秒。"),
        (
            certificate,
            Lang::En,
            120,
            " NO CONTACT for 0 s: cannot connect: invalid peer certificate: UnknownIssuer. Next attempt in 1 s.",
        ),
        (certificate, Lang::En, 80, " NO CONTACT for 0 s: cannot connect: UnknownIssuer. Next attempt in 1 s. https"),
        (certificate, Lang::En, 60, " NO CONTACT for 0 s: UnknownIssuer. Next attempt in 1 s. h"),
        (certificate, Lang::Ja, 80, " 通信断 0 秒: invalid peer certificate: UnknownIssuer。次の接続まで 1 秒。http"),
    ] {
        let (mut driver, _) = Driver::start(lang, (width, 24));
        driver.happen(Event::FetchFailed(NoContact { code: "connect", cause: cause.to_owned() }));
        let screen = text(&draw(&driver.model, COLOUR));
        assert!(screen.lines().any(|line| line.starts_with(said)), "{screen}");
        assert!(!screen.contains("loading") && !screen.contains("読み込んで"), "{screen}");
    }
}

#[test]
fn a_site_opened_without_contact_does_not_load_for_ever() {
    let mut driver = Driver::live(Lang::En, (80, 24));
    driver.press(KeyCode::Enter);
    assert!(text(&draw(&driver.model, COLOUR)).contains("\nloading\n"));
    driver.happen(Event::FetchFailed(crate::fixture::failure("connect")));
    let screen = text(&draw(&driver.model, COLOUR));
    assert!(screen.contains("\nNo data yet: there is no contact with the controller.\n"), "{screen}");
}

#[test]
fn half_width_kana_do_not_shift_the_row() {
    let mut driver = Driver::live(Lang::Ja, (80, 24));
    let mut fleet = crate::fixture::fleet();
    fleet.sites[2].name.ja = Some("ﾊﾟﾌﾞﾄﾞ".to_owned());
    driver.fetched(fleet);
    let buffer = draw(&driver.model, COLOUR);
    let row = |begin: &str| {
        let rows: Vec<String> = (0..24).map(|y| (0..80).map(|x| buffer[(x, y)].symbol()).collect()).collect();
        let y = rows.iter().position(|row| row.contains(begin)).unwrap();
        (0..80u16).rfind(|x| buffer[(*x, u16::try_from(y).unwrap())].symbol() == "-")
    };
    // The last column of a held and of a silent site begins in the same cell.
    assert_eq!(row("402206"), row("372013"));
    assert!(text(&buffer).contains("パブド"));
}

#[test]
fn the_last_line_keeps_the_way_out_the_filters_end_and_what_is_below() {
    let last = |driver: &Driver| text(&draw(&driver.model, COLOUR)).lines().last().unwrap().to_owned();
    for lang in [Lang::En, Lang::Ja] {
        let quit = format!("q {}", manifests::text::text(lang, "key-quit"));
        for width in 60..100 {
            let mut driver = Driver::live(lang, (width, 15));
            assert!(last(&driver).contains(&quit), "{width}: {}", last(&driver));
            driver.press(KeyCode::Char('/'));
            driver.type_text(&"宗像".repeat(20));
            driver.type_text("の終わり");
            assert!(last(&driver).contains("..") && last(&driver).contains("の終わり"), "{width}: {}", last(&driver));
            driver.press(KeyCode::Esc);
            driver.press(KeyCode::Enter);
            driver.fetched_site(Some(site()));
            assert!(last(&driver).contains(&quit), "{width}: {}", last(&driver));
            let more = manifests::text::text_with(lang, "page-more", &[("count", 7_u64.into())]);
            let (before, after) = more.split_once('7').unwrap();
            for key in ['?', 'g'] {
                driver.press(KeyCode::Char(key));
                assert!(last(&driver).contains(before) && last(&driver).ends_with(after), "{}", last(&driver));
            }
            driver.press(KeyCode::Char('G'));
            assert!(!last(&driver).ends_with(after), "{width}: {}", last(&driver));
        }
    }
}

#[test]
fn nothing_is_green_without_contact() {
    for build in [lost, |lang, size| {
        let mut driver = open_site(lang, size);
        driver.happen(Event::StreamFailed(crate::fixture::failure("timeout")));
        driver
    }] {
        let buffer = draw(&build(Lang::En, (120, 40)).model, COLOUR);
        for cell in buffer.content() {
            assert!(cell.fg != Color::Green && cell.fg != Color::LightGreen, "{cell:?}");
        }
        assert!(buffer.content().iter().any(|cell| cell.bg == Color::Red), "the banner is red");
    }
}

#[test]
fn a_host_that_may_not_issue_has_no_mark_of_a_good_one() {
    let mut view = site();
    view.hosts.remove(0);
    let line = |driver: &Driver| {
        let lines = text(&draw(&driver.model, COLOUR));
        lines.lines().find(|line| line.contains("402206-db1")).unwrap().to_owned()
    };
    let mut driver = open_site(Lang::En, (80, 24));
    driver.fetched_site(Some(view.clone()));
    assert_eq!(line(&driver), "✗ 402206-db1  db  hold", "stopped, whatever its own evidence says");
    view.hosts[0].host.allowed = Allowed { verdict: Verdict::Issue, reasons: vec![] };
    driver.fetched_site(Some(view));
    assert_eq!(line(&driver), "✓ 402206-db1  db  issue");
    // Its permit ends at 14:30, and no answer came since 14:00.
    driver.happen(Event::StreamFailed(crate::fixture::failure("connect")));
    driver.later(29 * 60_000);
    assert_eq!(line(&driver), "✓ 402206-db1  db  issue");
    driver.later(60_000);
    assert_eq!(line(&driver), "⚠ 402206-db1  db  unknown");
}

#[test]
fn without_colour_no_colour_is_used_and_the_banner_still_stands_out() {
    let theme = Theme { ascii: false, colour: false };
    for driver in [lost(Lang::En, (80, 24)), open_site(Lang::En, (80, 24)), Driver::live(Lang::En, (80, 24))] {
        for cell in draw(&driver.model, theme).content() {
            assert!(cell.fg == Color::Reset && cell.bg == Color::Reset, "{cell:?}");
        }
    }
    let buffer = draw(&lost(Lang::En, (80, 24)).model, theme);
    assert!(buffer[(1, 2)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn ascii_marks_are_ascii_and_states_differ_by_word_letter_and_shape() {
    let screen = text(&draw(&Driver::live(Lang::En, (80, 24)).model, ASCII));
    assert!(screen.is_ascii(), "{screen}");
    for theme in [COLOUR, ASCII] {
        for (index, shown) in tui::standing::Shown::ALL.into_iter().enumerate() {
            for other in tui::standing::Shown::ALL.into_iter().skip(index + 1) {
                assert_ne!(theme.glyph(shown), theme.glyph(other));
                assert_ne!(shown.letter(), other.letter());
                assert_ne!(shown.key(), other.key());
            }
        }
    }
}

#[test]
fn only_the_rows_on_the_screen_are_made() {
    // With ten thousand sites the last screen is as right as the first.
    let mut driver = Driver::live(Lang::Ja, (80, 24));
    let mut many = crate::fixture::fleet();
    let row = many.sites[0].clone();
    many.sites = vec![row; 10_000];
    driver.fetched(many);
    driver.press(KeyCode::Char('G'));
    assert_eq!(driver.model.table.offset, 10_000 - driver.model.table_height());
    assert!(text(&draw(&driver.model, COLOUR)).contains(">✓ V 確認済み 011002"));
}

#[test]
fn a_controller_that_was_set_back_is_on_every_screen() {
    let build = |lang: Lang, size: (u16, u16)| {
        let mut driver = Driver::live(lang, size);
        let mut fleet = crate::fixture::fleet();
        fleet.set_back = Some(SetBack {
            noticed: fleet.time,
            host: Some("402206-ap1".parse().unwrap()),
            controller: None,
            proof: SetBackProof::Permit,
            number: 1_790_845_203_400_000,
            cause: SetBackCause::SetBack,
        });
        driver.fetched(fleet);
        driver
    };
    each(COLOUR, "set-back", build);
    let mut twice = build(Lang::En, SIZES[0]);
    let mut fleet = crate::fixture::fleet();
    fleet.set_back = twice.model.fleet.as_ref().and_then(|(fleet, _)| fleet.set_back.clone());
    fleet.set_back.iter_mut().for_each(|set_back| set_back.cause = SetBackCause::KeyUsedTwice);
    twice.fetched(fleet);
    assert!(text(&draw(&twice.model, COLOUR)).contains("ANOTHER CONTROLLER SIGNS WITH THIS ONE'S KEY"));
    let mut opened = build(Lang::En, SIZES[0]);
    opened.press(KeyCode::Enter);
    assert!(text(&draw(&opened.model, COLOUR)).contains("SET BACK"), "an open site hides it not");
}
