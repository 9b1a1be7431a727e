//! The site view: stops, hosts, and of each host what fails, first.

use manifests::api::{HostRow, HostView, ItemRow, SiteView, StopView};
use manifests::outcome::{Detail, Judged, Outcome, Verdict};
use manifests::reason::Reason;
use manifests::text::{self, text, text_with};

use super::{Line, Tone, push};
use crate::model::{Model, SitePage};
use crate::standing::Shown;
use crate::words::{self, key_of};

const INDENT: usize = 2;

/// Every line of the open site; none if none is open.
pub fn lines(model: &Model) -> Vec<Line> {
    build(model).0
}

/// The lines at which hosts begin.
pub fn host_starts(model: &Model) -> Vec<usize> {
    build(model).1
}

fn build(model: &Model) -> (Vec<Line>, Vec<usize>) {
    let Some(page) = &model.site else { return (Vec::new(), Vec::new()) };
    let mut writer =
        PageWriter { model, page, width: usize::from(model.size.0), lines: Vec::new(), host_starts: Vec::new() };
    match &page.view {
        Some(view) => writer.site(view),
        None if page.loaded => writer.push(0, Tone::Bad, &text(model.lang, "reason-not-listed")),
        None if model.is_old() => writer.push(0, Tone::Bad, &text(model.lang, "data-none")),
        None => writer.push(0, Tone::Dim, &text(model.lang, "data-loading")),
    }
    (writer.lines, writer.host_starts)
}

struct PageWriter<'a> {
    model: &'a Model,
    page: &'a SitePage,
    width: usize,
    lines: Vec<Line>,
    host_starts: Vec<usize>,
}

impl PageWriter<'_> {
    fn push(&mut self, indent: usize, tone: Tone, text: &str) {
        push(&mut self.lines, self.width, indent, false, tone, text);
    }

    fn push_marked(&mut self, indent: usize, tone: Tone, text: &str) {
        push(&mut self.lines, self.width, indent, true, tone, text);
    }

    fn say(&self, key: &str, values: &[(&str, text::Argument<'_>)]) -> String {
        text_with(self.model.lang, key, values)
    }

    fn site(&mut self, view: &SiteView) {
        let until = match view.site.verified_until {
            Some(until) => self.say("site-until", &[("time", words::moment(until).into())]),
            None => self.say("site-never", &[]),
        };
        self.push(0, Tone::Plain, &until);
        for stop in &view.stops {
            self.stop(stop);
        }
        for host in &view.hosts {
            if !self.lines.is_empty() {
                self.lines.push(Line::blank());
            }
            self.host_starts.push(self.lines.len());
            self.host(host);
        }
    }

    fn stop(&mut self, stop: &StopView) {
        let code = &self.page.code;
        let lifted = stop.lifted.contains(code);
        let head = self.say(
            "stop-line",
            &[
                ("number", stop.stop.number.to_string().into()),
                ("scope", words::scope(self.model.lang, &stop.scope).into()),
                ("operator", stop.operator.as_str().into()),
                ("time", words::moment(stop.time).into()),
            ],
        );
        self.push_marked(0, if lifted { Tone::Dim } else { Tone::Bad }, &head);
        // Alone on its line: it is copied into the lift, and has 71 cells.
        self.push(INDENT, Tone::Plain, &stop.stop.digest.to_string());
        let reason = self.say("stop-reason", &[("reason", stop.reason.as_str().into())]);
        self.push(INDENT, Tone::Plain, &reason);
        if lifted {
            let lifted = self.say("stop-lifted-here", &[]);
            self.push(INDENT, Tone::Plain, &lifted);
            return;
        }
        let acknowledged = stop.acknowledged.iter().filter(|host| host.site() == code).count();
        let outstanding = stop.outstanding.iter().filter(|(host, _)| host.site() == code).count();
        let progress =
            self.say("stop-progress", &[("acknowledged", acknowledged.into()), ("outstanding", outstanding.into())]);
        self.push(INDENT, Tone::Plain, &progress);
    }

    fn host(&mut self, view: &HostView) {
        let row = &view.host;
        // What was allowed until a moment that has passed is not known any more.
        let over = row.permit.as_ref().is_none_or(|permit| permit.until <= self.model.server_now());
        let (tone, key) = match row.allowed.verdict {
            Verdict::Issue if over => (Tone::Warn, Shown::Lapsed.key().to_owned()),
            Verdict::Issue => (Tone::Good, key_of("verdict", &row.allowed.verdict)),
            Verdict::Hold => (Tone::Bad, key_of("verdict", &row.allowed.verdict)),
        };
        let roles: Vec<&str> = row.roles.iter().map(|role| role.as_str()).collect();
        let verdict = self.say(&key, &[]);
        self.push_marked(0, tone, &format!("{}  {}  {verdict}", row.host, roles.join(" ")));
        let about = self.about(row);
        self.push(INDENT, Tone::Dim, &about);

        // What concerns the whole host. The items' own reasons are said with the items.
        let mut whole: Vec<&Reason> =
            row.allowed.reasons.iter().chain(&view.appraisal.reasons).filter(|reason| reason.item.is_none()).collect();
        whole.sort();
        whole.dedup();
        for reason in whole {
            self.push_marked(INDENT, Tone::Bad, &text::reason(self.model.lang, reason));
            self.action(&text::reason_action(self.model.lang, reason.code));
        }
        for warning in &row.warnings {
            self.push_marked(INDENT, Tone::Warn, &text::warning(self.model.lang, warning));
            if let Some(action) = text::warning_action(self.model.lang, warning) {
                self.action(&action);
            }
        }
        self.items(&view.appraisal.items);
    }

    fn about(&self, row: &HostRow) -> String {
        let lang = self.model.lang;
        let now = self.model.server_now();
        let age = |time| words::age(lang, now.since(time));
        let heard = match row.heard {
            Some(time) => self.say("host-heard", &[("age", age(time).into())]),
            None => self.say("host-never-heard", &[]),
        };
        let evidence = match row.evidence {
            Some(time) => self.say("host-evidence", &[("age", age(time).into())]),
            None => self.say("host-no-evidence", &[]),
        };
        let permit = match &row.permit {
            Some(permit) => {
                let key = if permit.overdue { "host-permit-unreceived" } else { "host-permit" };
                let verdict = self.say(&key_of("verdict", &permit.verdict), &[]);
                let until = words::moment(permit.until);
                self.say(key, &[("verdict", verdict.into()), ("time", until.into())])
            }
            None => self.say("host-no-permit", &[]),
        };
        let agent = row.agent.as_ref().map(|agent| self.say("host-agent", &[("version", agent.as_str().into())]));
        [Some(heard), Some(evidence), agent, Some(permit)].into_iter().flatten().collect::<Vec<_>>().join(" | ")
    }

    fn items(&mut self, items: &[Judged]) {
        // What does not concern this host is neither good nor bad here.
        let (elsewhere, here): (Vec<&Judged>, Vec<&Judged>) = items.iter().partition(|item| is_elsewhere(item));
        let mut failing: Vec<&Judged> = here.iter().copied().filter(|item| !is_good(item)).collect();
        // What holds first, and of that the worst first.
        failing.sort_by_key(|item| std::cmp::Reverse((item.verdict, item.outcome)));
        for item in &failing {
            self.item(item);
        }
        if items.is_empty() {
            let none = self.say("host-items-none", &[]);
            self.push(INDENT, Tone::Dim, &none);
            return;
        }
        let good = here.len() - failing.len();
        if good > 0 {
            let good = self.say("host-items-good", &[("count", good.into())]);
            self.push_marked(INDENT, Tone::Good, &good);
        }
        if !elsewhere.is_empty() {
            let elsewhere = self.say("host-items-elsewhere", &[("count", elsewhere.len().into())]);
            self.push(INDENT, Tone::Dim, &elsewhere);
        }
    }

    fn item(&mut self, item: &Judged) {
        let lang = self.model.lang;
        let about: Option<&ItemRow> = self.page.items.get(&item.item);
        let title = about.and_then(|row| row.title.as_ref()).map_or("", |title| title.text(lang));
        let kind = self.say(&key_of("kind", &item.kind), &[]);
        let outcome = self.say(&key_of("outcome", &item.outcome), &[]);
        let tone = if item.verdict == Verdict::Hold { Tone::Bad } else { Tone::Warn };
        self.push_marked(INDENT, tone, format!("{outcome}  {kind} {}  {title}", item.item).trim_end());
        if item.outcome == Outcome::Stale {
            // What it needs is not known. What the host needs is said with the host, once.
            return;
        }
        let inner = INDENT + super::MARK_CELLS;
        if let Some(code) = item.code {
            self.push(inner, Tone::Plain, &text(lang, &format!("reason-{code}")));
        }
        for detail in &item.details {
            self.detail(inner, detail);
        }
        if let Some(until) = item.waived_until {
            let waived = self.say("waived-until", &[("time", words::moment(until).into())]);
            self.push(inner, Tone::Warn, &waived);
        }
        let remediation = about.and_then(|row| row.remediation.as_ref()).map(|remedy| remedy.text(lang).to_owned());
        if let Some(action) = remediation.or_else(|| item.code.map(|code| text::reason_action(lang, code))) {
            self.action(&action);
        }
    }

    fn detail(&mut self, indent: usize, detail: &Detail) {
        let lang = self.model.lang;
        let compared = self.say(
            "detail-expected",
            &[
                ("subject", words::detail(lang, &detail.subject).into()),
                ("expected", words::expected(lang, &detail.expected).into()),
                ("found", words::detail(lang, &detail.found).into()),
            ],
        );
        self.push(indent, Tone::Plain, &compared);
        let place = match (&detail.file, detail.line) {
            (Some(file), Some(line)) => {
                // Colon and number as editors and compilers take them.
                format!("{file}:{line}")
            }
            (Some(file), None) => file.clone(),
            (None, _) => return,
        };
        self.push(indent, Tone::Strong, &place);
    }

    fn action(&mut self, action: &str) {
        let to_do = self.say("to-do", &[("action", action.into())]);
        self.push(INDENT + super::MARK_CELLS, Tone::Strong, &to_do);
    }
}

fn is_elsewhere(item: &Judged) -> bool {
    item.verdict == Verdict::Issue && item.outcome == Outcome::NotApplicable
}

fn is_good(item: &Judged) -> bool {
    item.verdict == Verdict::Issue && item.outcome == Outcome::Applied
}
