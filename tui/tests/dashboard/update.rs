//! What events do to the model.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use manifests::outcome::{Outcome, Verdict};
use manifests::reason::{Code, Reason};
use manifests::text::Lang;
use tui::effect::Effect;
use tui::event::{Event, NoContact};
use tui::model::{Link, Sort};
use tui::standing::Shown;
use tui::update::next_wake;

use crate::fixture::{Driver, fleet, site};

const SIZE: (u16, u16) = (80, 24);
const FETCH: Effect = Effect::Fetch { site: None };

fn live() -> Driver {
    Driver::live(Lang::En, SIZE)
}

fn failure() -> NoContact {
    crate::fixture::failure("connect")
}

#[test]
fn the_first_screen_does_not_wait_for_the_stream() {
    let (driver, effects) = Driver::start(Lang::En, SIZE);
    assert_eq!(effects, [Effect::Connect { after: None }, FETCH]);
    assert_eq!(driver.model.link, Link::Connecting);
}

#[test]
fn a_fetch_alone_is_not_contact() {
    let (mut driver, _) = Driver::start(Lang::En, SIZE);
    driver.fetched(fleet());
    assert_eq!(driver.model.link, Link::Connecting);
    assert_eq!(driver.model.table.rows.len(), 7);
    driver.later(200);
    driver.happen(Event::StreamOpened);
    driver.fetched(fleet());
    assert_eq!(driver.model.link, Link::Live);
}

#[test]
fn a_burst_of_events_is_one_fetch_now_and_one_later() {
    let mut driver = live();
    driver.later(1000);
    assert_eq!(driver.happen(Event::Changed { id: Some(4) }), [FETCH]);
    for id in 5..50 {
        assert_eq!(driver.happen(Event::Changed { id: Some(id) }), [], "one is under way");
    }
    assert_eq!(driver.fetched(fleet()), [], "not within 200 ms of the last one");
    assert!(next_wake(&driver.model) <= driver.now.after(manifests::time::Span::from_ms(200)));
    assert_eq!(driver.later(199), []);
    assert_eq!(driver.later(1), [FETCH]);
}

#[test]
fn without_events_the_fleet_is_asked_all_the_same() {
    let mut driver = live();
    assert_eq!(driver.later(9_000), []);
    assert_eq!(driver.later(1_000), [FETCH]);
}

#[test]
fn a_lost_stream_is_tried_again_ever_later_and_resumes() {
    let mut driver = live();
    driver.later(1000);
    driver.happen(Event::Changed { id: Some(41) });
    driver.fetched(fleet());
    let lost_at = driver.now;
    assert_eq!(driver.happen(Event::StreamFailed(failure())), [Effect::Disconnect]);
    assert_eq!(driver.happen(Event::FetchFailed(failure())), [], "one failure, reported twice");
    for wait in [1000, 2000, 4000, 8000, 15_000, 15_000] {
        assert_eq!(driver.later(wait - 1), [], "before {wait} ms");
        assert_eq!(driver.later(1), [Effect::Connect { after: Some(41) }], "after {wait} ms");
        assert_eq!(driver.happen(Event::StreamFailed(failure())), [Effect::Disconnect]);
    }
    assert!(matches!(driver.model.link, Link::Lost { since, attempt: 7, .. } if since == lost_at));
    assert_eq!(driver.press(KeyCode::Char('r')), [Effect::Connect { after: Some(41) }], "r does not wait");
    assert_eq!(driver.happen(Event::StreamOpened), [FETCH]);
    assert!(driver.model.is_old(), "an open stream alone shows nothing new");
    driver.fetched(fleet());
    assert_eq!(driver.model.link, Link::Live);
}

#[test]
fn a_failed_fetch_is_lost_contact_too() {
    let mut driver = live();
    driver.later(10_000);
    assert_eq!(driver.happen(Event::FetchFailed(failure())), [Effect::Disconnect]);
    assert!(driver.model.is_old());
}

#[test]
fn verified_does_not_outlive_its_evidence() {
    let mut driver = live();
    assert_eq!(driver.model.lapsed(), 0);
    driver.happen(Event::StreamFailed(failure()));
    // The controller's 14:09:30 counts, whatever this machine's clock says.
    driver.later(9 * 60_000 + 29_000);
    assert_eq!(driver.model.lapsed(), 0);
    driver.later(1000);
    assert_eq!(driver.model.lapsed(), 3);
}

#[test]
fn bad_news_comes_first_whatever_the_controller_sends() {
    let mut driver = live();
    assert_eq!(driver.codes(), ["402206", "473022", "372013", "131016", "011002", "052141", "462152"]);
    driver.press(KeyCode::Char('s'));
    assert_eq!(driver.model.table.sort, Sort::Code);
    assert_eq!(driver.codes(), ["011002", "052141", "131016", "372013", "402206", "462152", "473022"]);
}

#[test]
fn the_filter_finds_code_name_reason_and_state_in_both_languages() {
    for (typed, codes) in [
        ("402", &["402206"][..]),
        ("宗像", &["402206"]),
        ("munaKATA", &["402206"]),
        ("ＭＵＮＡＫＡＴＡ　ｈｅｌｄ", &["402206"]),
        ("！verified", &["402206", "473022", "372013", "131016"]),
        ("fix-2019", &["402206"]),
        ("fix missing", &["402206"]),
        ("修正未適用", &["402206"]),
        ("無応答", &["372013"]),
        ("silent", &["372013"]),
        ("held lock", &["402206", "473022"]),
        ("!verified", &["402206", "473022", "372013", "131016"]),
        ("!", &["402206", "473022", "372013", "131016", "011002", "052141", "462152"]),
        ("nothing like it", &[]),
    ] {
        let mut driver = live();
        driver.press(KeyCode::Char('/'));
        driver.type_text(typed);
        assert_eq!(driver.codes(), codes, "{typed}");
        driver.press(KeyCode::Esc);
        assert_eq!(driver.codes().len(), 7, "Esc drops the filter");
    }
}

#[test]
fn while_the_filter_is_typed_letters_are_text() {
    let mut driver = live();
    driver.press(KeyCode::Char('/'));
    assert_eq!(driver.press(KeyCode::Char('q')), []);
    assert_eq!(driver.model.table.filter.text, "q");
    driver.press(KeyCode::Backspace);
    driver.type_text("held");
    driver.press(KeyCode::Enter);
    assert_eq!(driver.press(KeyCode::Char('q')), [Effect::Quit]);
    assert_eq!(driver.codes().len(), 2);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    driver.press(KeyCode::Char('/'));
    assert_eq!(driver.happen(Event::Key(control_c)), [Effect::Quit]);
}

#[test]
fn tab_shows_one_state_after_the_other() {
    let mut driver = live();
    for only in Shown::ALL {
        driver.press(KeyCode::Tab);
        assert_eq!(driver.model.table.only, Some(only));
    }
    driver.press(KeyCode::Tab);
    assert_eq!(driver.model.table.only, None);
    driver.press(KeyCode::BackTab);
    assert_eq!(driver.codes(), ["011002", "052141", "462152"]);
    driver.press(KeyCode::Esc);
    assert_eq!(driver.codes().len(), 7);
}

#[test]
fn each_site_is_counted_once_and_a_stop_is_told_and_found_at_silent_and_held_ones_too() {
    let mut driver = live();
    let mut all = fleet();
    for row in &mut all.sites {
        row.reasons.push(Reason::of(Code::Stopped));
    }
    let said = |fleet: &_| {
        let counts = tui::words::counts(Lang::En, fleet, 0);
        counts.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(said(&fleet()), "3 of 7 verified, 2 held, 1 silent, 1 stopped");
    assert_eq!(said(&all), "3 of 7 verified, 2 held, 1 silent, 1 stopped, a stop covers 6 of these too");
    driver.fetched(all);
    while driver.model.table.only != Some(Shown::Stopped) {
        driver.press(KeyCode::Tab);
    }
    assert_eq!(driver.codes().len(), 7);
}

#[test]
fn keys_without_a_pause_do_not_keep_the_fleet_from_being_asked() {
    let mut driver = live();
    driver.press(KeyCode::Char('/'));
    let mut asked = 0;
    for _ in 0..400 {
        // No tick comes: every key is there before one is due.
        driver.now = driver.now.after(manifests::time::Span::from_ms(100));
        if driver.press(KeyCode::Char('a')).contains(&FETCH) {
            asked += 1;
            driver.fetched(fleet());
        }
    }
    assert_eq!(asked, 4, "once in ten seconds");
}

#[test]
fn a_site_that_cannot_be_called_verified_is_not_and_what_ends_is_said() {
    let mut all = fleet();
    for row in &mut all.sites {
        if row.standing == manifests::api::Standing::Verified {
            row.standing = manifests::api::Standing::Lapsed;
            row.reasons = vec![Reason::of(Code::BaselineOutdated)];
        }
    }
    (all.counts.verified, all.counts.lapsed, all.counts.under_baseline) = (0, 3, 4);
    let said: Vec<String> = tui::words::counts(Lang::En, &all, 0).into_iter().map(|(_, words)| words).collect();
    assert_eq!(said.join(", "), "0 of 7 verified, 2 held, 1 silent, 1 stopped, 3 unknown, 4 under this baseline");
    let expiring = manifests::api::Expiring {
        what: "certificate".to_owned(),
        name: None,
        until: all.time.after(manifests::time::Span::from_s(5 * 86_400)),
    };
    all.expiring.push(expiring);
    let sentences = tui::words::expiring(Lang::En, &all);
    assert!(sentences[0].starts_with("The controller's TLS certificate ends in 5 d"), "{sentences:?}");
}

#[test]
fn a_chosen_site_stays_chosen_when_rows_move() {
    let mut driver = live();
    driver.press(KeyCode::Down);
    driver.press(KeyCode::Down);
    assert_eq!(driver.model.row(driver.model.table.cursor).unwrap().code.as_str(), "372013");
    let mut changed = fleet();
    for row in &mut changed.sites {
        if row.code.as_str() != "372013" {
            row.standing = manifests::api::Standing::Verified;
        }
    }
    driver.fetched(changed);
    assert_eq!(driver.model.table.cursor, 0);
    assert_eq!(driver.model.row(0).unwrap().code.as_str(), "372013");
}

#[test]
fn the_cursor_stays_inside_the_rows_and_the_window() {
    let mut driver = Driver::live(Lang::En, (80, 15));
    let mut many = fleet();
    let row = many.sites[0].clone();
    many.sites = (0..1000).map(|_| row.clone()).collect();
    driver.fetched(many);
    let height = driver.model.table_height();
    for key in ['G', 'j', 'k', 'g', 'k', 'G'] {
        driver.press(KeyCode::Char(key));
        let table = &driver.model.table;
        assert!(table.cursor < 1000 && table.offset <= table.cursor && table.cursor < table.offset + height, "{key}");
    }
    assert_eq!(driver.model.table.cursor, 999);
    driver.happen(Event::Resized(80, 60));
    assert_eq!(driver.model.table.offset, 1000 - driver.model.table_height(), "no empty rows below the last");
    driver.fetched(fleet());
    assert!(driver.model.table.cursor < 7);
}

#[test]
fn a_site_opens_scrolls_and_closes_and_escape_never_quits() {
    let mut driver = live();
    driver.later(1000);
    let munakata = Effect::Fetch { site: Some("402206".parse().unwrap()) };
    assert_eq!(driver.press(KeyCode::Enter), [munakata]);
    driver.fetched_site(Some(site()));
    driver.press(KeyCode::Char('G'));
    let end = driver.model.site.as_ref().unwrap().scroll;
    assert!(end > 0);
    driver.press(KeyCode::Down);
    assert_eq!(driver.model.site.as_ref().unwrap().scroll, end, "not past the end");
    driver.press(KeyCode::Char('g'));
    driver.press(KeyCode::Tab);
    let line = &tui::page::site::lines(&driver.model)[driver.model.site.as_ref().unwrap().scroll];
    assert!(line.text.starts_with("402206-"), "{line:?}");
    assert_eq!(driver.press(KeyCode::Esc), []);
    assert!(driver.model.site.is_none());
    for _ in 0..3 {
        assert_eq!(driver.press(KeyCode::Esc), []);
    }
}

#[test]
fn a_site_that_left_the_registry_says_so() {
    let mut driver = live();
    driver.press(KeyCode::Enter);
    driver.fetched_site(None);
    let lines = tui::page::site::lines(&driver.model);
    assert!(lines[0].text.contains("not in the registry"), "{lines:?}");
}

#[test]
fn what_is_stale_is_looked_for_not_repaired() {
    let mut driver = live();
    driver.press(KeyCode::Enter);
    let mut view = site();
    let stale = Reason::of(Code::Stale);
    for host in &mut view.hosts {
        host.appraisal.reasons = vec![stale.clone()];
        host.host.allowed.reasons = vec![stale.clone()];
        for item in Arc::make_mut(&mut host.appraisal.items) {
            (item.outcome, item.verdict) = (Outcome::Stale, Verdict::Hold);
            (item.code, item.details) = (Some(Code::Stale), vec![]);
        }
    }
    let hosts = view.hosts.len();
    driver.fetched_site(Some(view));
    let lines = tui::page::site::lines(&driver.model);
    let to_do: Vec<_> = lines.iter().filter(|line| line.text.starts_with("To do:")).collect();
    assert_eq!(to_do.len(), hosts, "{to_do:?}");
    assert!(to_do.iter().all(|line| line.text.contains("Check that the host is up")), "{to_do:?}");
}

#[test]
fn details_are_read_in_the_readers_language() {
    let mut driver = Driver::live(Lang::Ja, SIZE);
    driver.press(KeyCode::Enter);
    let mut view = site();
    let detail = &mut Arc::make_mut(&mut view.hosts[0].appraisal.items)[0].details[0];
    detail.found = "3.4.2 on disk, processes unknown: timed-out".to_owned();
    driver.fetched_site(Some(view));
    let lines: Vec<String> = tui::page::site::lines(&driver.model).into_iter().map(|line| line.text).collect();
    let text = lines.concat();
    assert!(text.contains("期待値 >=3.4.2 または HF-0042"), "{text}");
    assert!(text.contains("3.4.2 を導入済み、プロセスは不明: 時間切れ"), "{text}");
}

#[test]
fn q_in_the_help_closes_it() {
    let mut driver = live();
    driver.press(KeyCode::Char('?'));
    assert!(driver.model.help.is_some());
    assert_eq!(driver.press(KeyCode::Char('q')), []);
    assert!(driver.model.help.is_none());
    assert_eq!(driver.press(KeyCode::Char('q')), [Effect::Quit]);
}

#[test]
fn a_signal_ends_it() {
    assert_eq!(live().happen(Event::Ended), [Effect::Quit]);
}
