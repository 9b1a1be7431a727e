//! What the subcommands print.

use clap::Parser as _;
use manifests::api::{Allowed, Counts, FleetView, StopView};
use manifests::outcome::Verdict;
use manifests::reason::{Code, Reason};
use manifests::stop::Scope;
use manifests::text::Lang;
use tui::args::{Args, Command, Form};
use tui::commands::{End, Style, hosts, items, sites, stop, stops};
use tui::theme::Theme;

use crate::fixture;

fn style(lang: Lang) -> Style {
    Style { lang, theme: Theme { ascii: false, colour: true } }
}

fn printed(print: impl FnOnce(&mut Vec<u8>) -> std::io::Result<End>) -> (String, End) {
    let mut out = Vec::new();
    let end = print(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n'));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "no escape sequence: {text:?}");
    (text, end)
}

#[test]
fn sites_are_a_table_aligned_for_kanji() {
    let fleet = fixture::fleet();
    let (text, end) = printed(|out| sites::print(&fleet, Form::Table, style(Lang::Ja), out));
    assert_eq!(end, End::Bad);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("7 団体中 3 確認済み · 2 保留 · 1 無応答 · 1 停止中"));
    assert_eq!(lines.next(), Some("修正ベースライン 2023.7.2 · 2023-05-09 14:00:00 JST 現在"));
    let rows: Vec<&str> = lines.skip(1).collect();
    assert_eq!(rows.len(), 8);
    assert!(rows[1].starts_with("✗ 保留      402206  宗像市"), "{text}");
    assert!(rows[1].ends_with("必要な修正が適用されていません。(FIX-2019-0007) +1"), "{text}");
    // Every row's code begins in the same cell as the head's word.
    let cell = |line: &str, word: &str| tui::cells::width(&line[..line.find(word).unwrap()]);
    let code = cell(rows[0], "コード");
    for (row, site) in rows[1..].iter().zip(["402206", "473022", "372013", "131016", "011002", "052141", "462152"]) {
        assert_eq!(cell(row, site), code, "{text}");
    }
    assert!(text.contains("Evil\\u{1b}[2J\\u{202e}txt"), "{text}");
}

#[test]
fn sites_and_hosts_tell_warnings_and_end_as_without_them() {
    let mut fleet = fixture::warned();
    let (text, _) = printed(|out| sites::print(&fleet, Form::Table, style(Lang::En), out));
    assert!(text.lines().next().is_some_and(|line| line.ends_with(" · 2 with warnings")), "{text}");
    let row = |code: &str| text.lines().find(|line| line.contains(code)).unwrap();
    let warning = "⚠ A program that should run does not. (issuing-server)";
    assert!(row("011002").ends_with(&format!("{warning} +1")), "{text}");
    assert!(row("402206").ends_with(&format!("(FIX-2019-0007) +1 {warning}")), "{text}");
    let (json, _) = printed(|out| sites::print(&fleet, Form::Json, style(Lang::En), out));
    assert_eq!(serde_json::from_str::<FleetView>(&json).unwrap(), fleet);
    fleet.counts = Counts { sites: 7, verified: 7, ..Counts::default() };
    let (_, end) = printed(|out| sites::print(&fleet, Form::Table, style(Lang::En), out));
    assert_eq!(end, End::Good);
    let mut host = fixture::hosts()[0].clone();
    host.warnings = vec![fixture::not_running()];
    let now = fixture::at("2023-05-09T14:00:00+09:00");
    let (text, end) = printed(|out| hosts::print(&[host.clone()], Form::Table, style(Lang::Ja), now, out));
    assert_eq!(end, End::Good);
    let warning = "⚠ 稼働しているはずのプログラムが停止しています。(issuing-server)";
    assert!(text.trim_end().ends_with(warning), "{text}");
}

#[test]
fn json_is_what_the_controller_sent() {
    let fleet = fixture::fleet();
    let (text, end) = printed(|out| sites::print(&fleet, Form::Json, style(Lang::Ja), out));
    assert_eq!(end, End::Bad);
    assert_eq!(serde_json::from_str::<FleetView>(&text).unwrap(), fleet);
    let (text, _) = printed(|out| stop::print(&fixture::stop(), Form::Json, style(Lang::En), out));
    assert_eq!(serde_json::from_str::<StopView>(&text).unwrap(), fixture::stop());
}

#[test]
fn only_a_whole_verified_fleet_ends_well() {
    let mut fleet = fixture::fleet();
    let mut end = |counts| {
        fleet.counts = counts;
        printed(|out| sites::print(&fleet, Form::Table, style(Lang::En), out)).1
    };
    assert_eq!(end(Counts { sites: 7, verified: 7, ..Counts::default() }), End::Good);
    assert_eq!(end(Counts { sites: 7, verified: 6, held: 1, ..Counts::default() }), End::Bad);
    assert_eq!(end(Counts { sites: 7, verified: 6, stopped: 1, ..Counts::default() }), End::Bad);
    assert_eq!(end(Counts::default()), End::Bad, "no site is not all sites");
}

#[test]
fn hosts_say_when_they_were_heard_and_why_they_hold() {
    let now = fixture::at("2023-05-09T14:00:00+09:00");
    let (text, end) = printed(|out| hosts::print(&fixture::hosts(), Form::Table, style(Lang::En), now, out));
    assert_eq!(end, End::Bad);
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[1].starts_with("372013-ap1  ap     hold   -      -"), "{text}");
    assert!(rows[2].contains("hold   12 s   30 s      0.1.0  hold 2023-05-09 14:30:00 JST  A required fix"), "{text}");
    let (_, end) = printed(|out| hosts::print(&fixture::hosts()[..1], Form::Table, style(Lang::En), now, out));
    assert_eq!(end, End::Good);
    let mut stopped = fixture::hosts()[0].clone();
    stopped.allowed = Allowed { verdict: Verdict::Hold, reasons: vec![Reason::of(Code::Stopped)] };
    for (lang, words) in [(Lang::En, " ap     hold "), (Lang::Ja, " ap    保留 ")] {
        let (text, end) = printed(|out| hosts::print(&[stopped.clone()], Form::Table, style(lang), now, out));
        assert_eq!(end, End::Bad, "its own evidence is good, and yet it may not issue");
        let reason = manifests::text::reason(lang, &Reason::of(Code::Stopped));
        assert!(text.contains(words) && text.trim_end().ends_with(&reason), "{text}");
    }
    let (_, end) = printed(|out| hosts::print(&[], Form::Json, style(Lang::En), now, out));
    assert_eq!(end, End::Bad);
}

#[test]
fn items_that_hold_sites_come_first() {
    let (text, end) = printed(|out| items::print(&fixture::items(), Form::Table, style(Lang::En), out));
    assert_eq!(end, End::Bad);
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[1].starts_with("fix   FIX-2019-0007    1: 402206   missing 1, applied 7  Print wait"), "{text}");
    assert!(rows[2].starts_with("lock  lock.print-wait  -"), "{text}");
}

#[test]
fn a_stop_names_itself_and_who_has_not_confirmed_it() {
    let (text, end) = printed(|out| stop::print(&fixture::stop(), Form::Table, style(Lang::En), out));
    assert_eq!(end, End::Good);
    let digest = fixture::stop().stop.digest.to_string();
    assert_eq!(
        text,
        format!(
            "Stop 3 is in force: prefecture 40.\nDigest: {digest}\nAcknowledged (1):\n  402206-ap1\n\
             Outstanding (1), able to issue until their permit ends:\n  402206-db1 until 2023-05-09 14:30:00 JST\n"
        )
    );
}

#[test]
fn stops_show_digest_progress_and_lifts_and_end_well_once_all_is_lifted() {
    let mut other = fixture::stop();
    other.scope = Scope::Sites { sites: vec!["372013".parse().unwrap(), "402206".parse().unwrap()] };
    other.lifted = vec!["372013".parse().unwrap()];
    let both = [fixture::stop(), other.clone()];
    let (text, end) = printed(|out| stops::print(&both, Form::Table, style(Lang::En), out));
    assert_eq!(end, End::Bad);
    let rows: Vec<&str> = text.lines().collect();
    let digest = fixture::stop().stop.digest.to_string();
    assert!(rows[1].starts_with("     3  2023-05-09 13:58:00 JST  prefecture 40     ops-1     1"), "{text}");
    assert!(rows[1].contains(&format!("  1: 402206-db1  -          {digest}  wrong certificate printed")), "{text}");
    assert!(rows[2].contains("  2: 372013 402206  ") && rows[2].contains("  1: 372013  "), "{text}");
    other.lifted.push("402206".parse().unwrap());
    let (text, end) = printed(|out| stops::print(&[other.clone()], Form::Table, style(Lang::Ja), out));
    assert_eq!(end, End::Good);
    assert!(text.contains("  すべて解除  "), "{text}");
    let (text, end) = printed(|out| stops::print(&[], Form::Table, style(Lang::Ja), out));
    assert_eq!((text.as_str(), end), ("停止はまだありません。\n", End::Good));
    let (text, _) = printed(|out| stops::print(&both, Form::Json, style(Lang::Ja), out));
    assert_eq!(serde_json::from_str::<Vec<StopView>>(&text).unwrap(), both);
}

#[test]
fn a_site_named_twice_is_stopped_once() {
    let command = ["sekisho", "stop", "--site", "402206", "131016", "402206", "--reason", "x"];
    let Some(Command::Stop(asked)) = Args::try_parse_from(command).unwrap().command else { panic!() };
    let sites = vec!["131016".parse().unwrap(), "402206".parse().unwrap()];
    assert_eq!(stop::request(&asked).scope, Scope::Sites { sites });
}
