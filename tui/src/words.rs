//! Times, ages, counts and reasons as people read them; no colours, no layout.

use manifests::api::{Counts, Expiring, FleetView, SetBack, SetBackCause};
use manifests::reason::{Code, Reason};
use manifests::stop::Scope;
use manifests::text::{self, Lang, text, text_with};
use manifests::time::{Span, Time};
use manifests::warning::Warning;

use crate::cells;
use crate::standing::Shown;

mod detail;

pub use detail::{detail, expected};

/// Japan is nine hours ahead all year, and has been since 1951: no time zone database is needed.
const JST_AHEAD: Span = Span::from_s(9 * 3600);

/// Below this a column says reasons in a few words, so that rows read alike.
const SENTENCE_CELLS_MIN: usize = 50;

/// `2026-10-01T09:00:00`, in Japan.
fn in_japan(time: Time) -> String {
    let text = time.after(JST_AHEAD).to_string();
    text.get(..19).unwrap_or_default().to_owned()
}

fn part(text: &str, range: std::ops::Range<usize>) -> &str {
    text.get(range).unwrap_or_default()
}

/// `2026-10-01 09:00:00 JST`
pub fn moment(time: Time) -> String {
    let text = in_japan(time);
    format!("{} {} JST", part(&text, 0..10), part(&text, 11..19))
}

/// `09:00:00 JST`
pub fn clock(time: Time) -> String {
    format!("{} JST", part(&in_japan(time), 11..19))
}

/// `10-01 09:00`, 11 cells, under a head or beside a time that names the zone.
pub fn day_and_minute(time: Time) -> String {
    in_japan(time).get(5..16).unwrap_or_default().replace('T', " ")
}

/// `09:00` for a time of today, else `10-01`: 5 cells.
pub fn brief(time: Time, now: Time) -> String {
    let (text, today) = (in_japan(time), in_japan(now));
    if part(&text, 0..10) == part(&today, 0..10) {
        part(&text, 11..16).to_owned()
    } else {
        part(&text, 5..10).to_owned()
    }
}

/// `42 s`, `3 min`, `5 h`, `2 d`: rounded down.
pub fn age(lang: Lang, span: Span) -> String {
    let seconds = span.as_ms() / 1000;
    let (key, count) = match seconds {
        0..120 => ("age-seconds", seconds),
        120..7200 => ("age-minutes", seconds / 60),
        7200..172_800 => ("age-hours", seconds / 3600),
        _ => ("age-days", seconds / 86_400),
    };
    text_with(lang, key, &[("count", count.into())])
}

/// The counts in words, verified ones first, what is zero left out. Never a percentage.
/// `run_out` of those counted as verified have run out since. Each site is counted once, as what it is shown as;
/// that a stop covers more of them, and how few have reported under the baseline in force, is said beside.
pub fn counts(lang: Lang, fleet: &FleetView, run_out: u32) -> Vec<(Shown, String)> {
    let counts = &fleet.counts;
    let covered = fleet.sites.iter().filter(|row| Shown::is_stopped(row)).count();
    let also_stopped = u32::try_from(covered).unwrap_or(u32::MAX).saturating_sub(counts.stopped);
    let verified = counts.verified.saturating_sub(run_out);
    let first = text_with(lang, "count-verified", &[("verified", verified.into()), ("sites", counts.sites.into())]);
    // Of a controller of before nothing is known of it.
    let under = counts.under_baseline;
    let not_under = if counts.lapsed > 0 && under < counts.sites { Some(under) } else { None };
    let others = [
        (Shown::Held, "count-held", counts.held),
        (Shown::Silent, "count-silent", counts.silent),
        (Shown::Stopped, "count-stopped", counts.stopped),
        (Shown::Lapsed, "count-lapsed", counts.lapsed.saturating_add(run_out)),
        (Shown::Stopped, "count-also-stopped", also_stopped),
    ];
    let others = others.into_iter().filter(|(_, _, count)| *count > 0);
    let others = others.chain(not_under.map(|under| (Shown::Lapsed, "count-under-baseline", under)));
    std::iter::once((Shown::Verified, first))
        .chain(others.map(|(shown, key, count)| (shown, text_with(lang, key, &[("count", count.into())]))))
        .collect()
}

/// What ends within 30 days or has ended, a sentence each.
pub fn expiring(lang: Lang, fleet: &FleetView) -> Vec<String> {
    let sentence = |end: &Expiring| {
        let (what, left) = (key_of("expiring", &end.what), end.until.since(fleet.time));
        let what = text(lang, &what);
        let what = end.name.as_ref().map_or_else(|| what.clone(), |name| format!("{what} {name}"));
        let key = if end.until <= fleet.time { "expiring-ended" } else { "expiring-ends" };
        let values = [("what", what.into()), ("time", moment(end.until).into()), ("left", age(lang, left).into())];
        cells::clean(&text_with(lang, key, &values)).into_owned()
    };
    fleet.expiring.iter().map(sentence).collect()
}

/// The word of a state, as `held`.
pub fn state(lang: Lang, shown: Shown) -> String {
    text(lang, shown.key())
}

/// The reason worth a table's one cell: what is wrong here, before what that does to neighbours.
pub fn main_reason(reasons: &[Reason]) -> Option<&Reason> {
    reasons.iter().find(|reason| reason.code != Code::SiteHold).or_else(|| reasons.first())
}

/// ` +2`: how many reasons there are beside the main one, neighbours' apart.
fn more(lang: Lang, reasons: &[Reason], main: &Reason) -> String {
    match reasons.iter().filter(|other| *other != main && other.code != Code::SiteHold).count() {
        0 => String::new(),
        others => format!(" {}", text_with(lang, "more-reasons", &[("count", others.into())])),
    }
}

/// The main reason as a sentence, and how many others there are.
pub fn sentence(lang: Lang, reasons: &[Reason]) -> String {
    let Some(main) = main_reason(reasons) else { return String::new() };
    format!("{}{}", text::reason(lang, main), more(lang, reasons, main))
}

/// Reasons in at most `cells`: the main one as a sentence if that fits, else in a few words with its
/// item or host, and how many others there are.
pub fn reasons(lang: Lang, reasons: &[Reason], cells: usize) -> String {
    let Some(main) = main_reason(reasons) else { return String::new() };
    let more = more(lang, reasons, main);
    if cells >= SENTENCE_CELLS_MIN {
        let sentence = sentence(lang, reasons);
        if cells::width(&sentence) <= cells {
            return sentence;
        }
    }
    let short = text::reason_short(lang, main.code);
    let about = main.item.as_ref().map(|i| i.as_str()).or(main.host.as_ref().map(|h| h.as_str())).unwrap_or_default();
    let room = cells.saturating_sub(cells::width(&more));
    let named = if about.is_empty() { short } else { format!("{short} {about}") };
    format!("{}{more}", cells::cut(&named, room))
}

/// How many sites have warnings; nothing if none has.
pub fn warned(lang: Lang, fleet: &FleetView) -> Option<String> {
    let count = fleet.sites.iter().filter(|row| !row.warnings.is_empty()).count();
    (count > 0).then(|| text_with(lang, "count-warned", &[("count", count.into())]))
}

/// The first warning as a sentence behind its mark, and how many others there are.
fn warned_of(lang: Lang, mark: &str, warnings: &[Warning]) -> Option<String> {
    let (first, others) = warnings.split_first()?;
    let more = match others.len() {
        0 => String::new(),
        others => format!(" {}", text_with(lang, "more-reasons", &[("count", others.into())])),
    };
    Some(format!("{mark} {}{more}", text::warning(lang, first)))
}

/// The main reason and the first warning as sentences.
pub fn sentences(lang: Lang, mark: &str, reasons: &[Reason], warnings: &[Warning]) -> String {
    let reason = Some(sentence(lang, reasons)).filter(|sentence| !sentence.is_empty());
    reason.into_iter().chain(warned_of(lang, mark, warnings)).collect::<Vec<_>>().join(" ")
}

/// The first warning in at most `cells`.
pub fn warning(lang: Lang, warnings: &[Warning], cells: usize) -> String {
    let Some((first, others)) = warnings.split_first() else { return String::new() };
    let more = match others.len() {
        0 => String::new(),
        others => format!(" {}", text_with(lang, "more-reasons", &[("count", others.into())])),
    };
    let sentence = format!("{}{more}", text::warning(lang, first));
    if cells >= SENTENCE_CELLS_MIN && cells::width(&sentence) <= cells {
        return sentence;
    }
    let room = cells.saturating_sub(cells::width(&more));
    format!("{}{more}", cells::cut(&text::warning_short(lang, first), room))
}

/// Whom a stop stops.
pub fn scope(lang: Lang, scope: &Scope) -> String {
    match scope {
        Scope::All => text(lang, "stop-scope-all"),
        Scope::Sites { sites } => text_with(lang, "stop-scope-sites", &[("count", sites.len().into())]),
        Scope::Prefecture { prefecture } => {
            text_with(lang, "stop-scope-prefecture", &[("prefecture", format!("{prefecture:02}").into())])
        }
        Scope::Unrecognized(_) => text(lang, "stop-scope-unrecognized"),
    }
}

/// A wire value's text key, as `outcome-missing` for `Outcome::Missing`.
pub fn key_of(prefix: &str, value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => format!("{prefix}-{word}"),
        Ok(_) | Err(_) => prefix.to_owned(), // Unreachable: the wire's words are all texts.
    }
}

/// Whether everything is verified: a registry without sites is not.
pub fn all_verified(counts: &Counts) -> bool {
    counts.sites > 0 && counts.verified == counts.sites
}

/// That the controller was set back, and what to do, in a line or two.
pub fn set_back(lang: Lang, set_back: &SetBack) -> String {
    let key = match set_back.cause {
        SetBackCause::SetBack => "set-back",
        SetBackCause::KeyUsedTwice => "key-used-twice",
    };
    text_with(lang, key, &set_back_values(set_back))
}

/// The same as a banner has room for.
pub fn set_back_brief(lang: Lang, set_back: &SetBack) -> String {
    let key = match set_back.cause {
        SetBackCause::SetBack => "set-back-brief",
        SetBackCause::KeyUsedTwice => "key-used-twice-brief",
    };
    text_with(lang, key, &set_back_values(set_back))
}

fn set_back_values(set_back: &SetBack) -> [(&'static str, text::Argument<'static>); 3] {
    [
        ("host", crate::cells::clean(set_back.shown_by()).into_owned().into()),
        ("proof", format!("{} {}", set_back.proof.as_str(), set_back.number).into()),
        ("time", moment(set_back.noticed).into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::from_rfc3339(text).unwrap()
    }

    #[test]
    fn times_are_japanese_and_say_so() {
        let time = at("2023-04-30T15:04:05Z");
        assert_eq!(moment(time), "2023-05-01 00:04:05 JST");
        assert_eq!(clock(time), "00:04:05 JST");
        assert_eq!(day_and_minute(time), "05-01 00:04");
        assert_eq!(brief(time, at("2023-05-01T23:59:59+09:00")), "00:04");
        assert_eq!(brief(time, at("2023-05-02T00:00:00+09:00")), "05-01");
    }

    #[test]
    fn counts_are_of_all_sites_and_never_a_percentage() {
        let fleet = FleetView {
            product: "convenience-issuance".parse().unwrap(),
            time: at("2023-04-30T15:04:05Z"),
            baseline: None,
            set_back: None,
            counts: Counts { sites: 123, verified: 119, held: 1, silent: 3, ..Counts::default() },
            sites: Vec::new(),
            expiring: Vec::new(),
        };
        let said =
            |lang, lapsed| counts(lang, &fleet, lapsed).into_iter().map(|(_, t)| t).collect::<Vec<_>>().join(" · ");
        assert_eq!(said(Lang::En, 0), "119 of 123 verified · 1 held · 3 silent");
        assert_eq!(said(Lang::Ja, 0), "123 団体中 119 確認済み · 1 保留 · 3 無応答");
        assert_eq!(said(Lang::En, 9), "110 of 123 verified · 1 held · 3 silent · 9 unknown");
    }

    #[test]
    fn the_cause_is_shown_before_its_effect_on_neighbours() {
        let item = "FIX-2019-0007".parse().unwrap();
        let all = [Reason::of(Code::SiteHold), Reason::item(Code::FixMissing, &item), Reason::of(Code::Unknown)];
        assert_eq!(reasons(Lang::En, &all, 26), "fix missing FIX-2019-.. +1");
        assert_eq!(reasons(Lang::En, &all, 80), "A required fix is not on the disk. (FIX-2019-0007) +1");
        assert_eq!(reasons(Lang::Ja, &all, 28), "修正未適用 FIX-2019-0007 +1");
        assert_eq!(reasons(Lang::En, &[], 27), "");
    }
}
