//! A small fleet with one site of each kind, and a hostile one.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use manifests::api::{
    Allowed, BaselineRef, Counts, FleetView, HostRow, HostView, ItemRow, PermitRow, SiteRow, SiteView, Standing,
    StopView,
};
use manifests::baseline::Localized;
use manifests::digest::Digest;
use manifests::outcome::{Appraisal, Detail, ItemKind, Judged, Outcome, Verdict};
use manifests::reason::{Code, Reason};
use manifests::stop::{Scope, StopRef};
use manifests::text::Lang;
use manifests::time::Time;
use manifests::warning::{Warning, WarningCode};
use tui::effect::Effect;
use tui::event::{Event, Fetched, FetchedSite, NoContact};
use tui::model::Model;
use tui::update::{start, update};

pub(crate) fn at(text: &str) -> Time {
    Time::from_rfc3339(text).unwrap()
}

/// This machine's clock, 40 minutes behind the controller's on purpose.
pub(crate) fn local() -> Time {
    at("2023-05-09T13:20:00+09:00")
}

pub(crate) fn names(en: &str, ja: &str) -> Localized {
    Localized { en: en.to_owned(), ja: Some(ja.to_owned()) }
}

fn row(code: &str, en: &str, ja: &str, standing: Standing, reasons: Vec<Reason>) -> SiteRow {
    let verified = standing == Standing::Verified;
    SiteRow {
        code: code.parse().unwrap(),
        name: names(en, ja),
        standing,
        verdict: if verified { Verdict::Issue } else { Verdict::Hold },
        reasons,
        warnings: vec![],
        hosts: 1,
        since: at("2023-05-09T09:15:00+09:00"),
        verified_at: (standing != Standing::Silent).then(|| at("2023-05-09T13:59:30+09:00")),
        verified_until: (standing != Standing::Silent).then(|| at("2023-05-09T14:09:30+09:00")),
    }
}

fn lock_reason(code: Code) -> Reason {
    Reason::item(code, &"lock.print-wait".parse().unwrap())
}

pub(crate) fn fleet() -> FleetView {
    let fix = "FIX-2019-0007".parse().unwrap();
    let mut munakata = row(
        "402206",
        "Munakata",
        "宗像市",
        Standing::Held,
        vec![Reason::of(Code::SiteHold), Reason::item(Code::FixMissing, &fix), lock_reason(Code::LockDrifted)],
    );
    munakata.hosts = 2;
    munakata.since = at("2023-05-08T22:10:00+09:00");
    let hostile = "Evil\u{1b}[2J\u{202e}txt";
    FleetView {
        product: "convenience-issuance".parse().unwrap(),
        time: at("2023-05-09T14:00:00+09:00"),
        baseline: Some(BaselineRef { version: "2023.7.2".to_owned(), digest: Digest::of(b"baseline") }),
        set_back: None,
        counts: Counts { sites: 7, verified: 3, held: 2, silent: 1, stopped: 1, under_baseline: 7, lapsed: 0 },
        expiring: Vec::new(),
        sites: vec![
            row("011002", "Sapporo", "札幌市", Standing::Verified, vec![]),
            row("131016", "Chiyoda", "千代田区", Standing::Stopped, vec![Reason::of(Code::Stopped)]),
            munakata,
            row("372013", "Takamatsu", "高松市", Standing::Silent, vec![Reason::of(Code::Stale)]),
            row("473022", hostile, hostile, Standing::Held, vec![lock_reason(Code::LockAbsent)]),
            row("052141", "Nikaho", "にかほ市", Standing::Verified, vec![]),
            row("462152", "Satsumasendai", "薩摩川内市", Standing::Verified, vec![]),
        ],
    }
}

/// That a program which should run does not.
pub(crate) fn not_running() -> Warning {
    Warning { code: WarningCode::NotRunning, item: "issuing-server".parse().unwrap() }
}

/// The fleet with warnings at a site that is verified and at one that is held.
pub(crate) fn warned() -> FleetView {
    let mut fleet = fleet();
    let later = Warning { code: WarningCode::Unrecognized("later".to_owned()), item: "print".parse().unwrap() };
    fleet.sites[0].warnings = vec![not_running(), later];
    fleet.sites[2].warnings = vec![not_running()];
    fleet
}

fn host(id: &str, role: &str, reasons: Vec<Reason>) -> HostRow {
    let verdict = if reasons.is_empty() { Verdict::Issue } else { Verdict::Hold };
    HostRow {
        allowed: Allowed { verdict, reasons: reasons.clone() },
        host: id.parse().unwrap(),
        roles: vec![role.parse().unwrap()],
        verdict,
        reasons,
        warnings: vec![],
        heard: Some(at("2023-05-09T13:59:48+09:00")),
        evidence: Some(at("2023-05-09T13:59:30+09:00")),
        agent: Some("0.1.0".to_owned()),
        baseline: Some(Digest::of(b"baseline")),
        state: Some(Digest::of(b"state")),
        permit: Some(PermitRow {
            number: 7,
            verdict: Verdict::Hold,
            until: at("2023-05-09T14:30:00+09:00"),
            received: false,
            overdue: !id.ends_with("ap1"),
        }),
        acknowledged: 0,
    }
}

pub(crate) fn hosts() -> Vec<HostRow> {
    let fix = Reason::item(Code::FixMissing, &"FIX-2019-0007".parse().unwrap());
    let mut silent = host("372013-ap1", "ap", vec![Reason::of(Code::Stale)]);
    (silent.heard, silent.evidence, silent.agent, silent.permit) = (None, None, None, None);
    vec![host("011002-ap1", "ap", vec![]), host("402206-ap1", "ap", vec![fix]), silent]
}

fn judged(item: &str, kind: ItemKind, outcome: Outcome, code: Option<Code>, details: Vec<Detail>) -> Judged {
    let verdict = match outcome {
        Outcome::Applied | Outcome::NotApplicable | Outcome::Waived | Outcome::Pending => Verdict::Issue,
        _ => Verdict::Hold,
    };
    let waived_until = (outcome == Outcome::Waived).then(|| at("2023-07-09T06:00:00+09:00"));
    Judged { item: item.parse().unwrap(), kind, outcome, verdict, code, waived_until, details }
}

fn detail(subject: &str, expected: &str, found: &str, file: Option<&str>, line: Option<u32>) -> Detail {
    let file = file.map(str::to_owned);
    Detail { subject: subject.to_owned(), expected: expected.to_owned(), found: found.to_owned(), file, line }
}

pub(crate) fn site() -> SiteView {
    let items = vec![
        judged(
            "FIX-2019-0007",
            ItemKind::Fix,
            Outcome::Missing,
            Some(Code::FixMissing),
            vec![detail("issuing-server", ">=3.4.2 or HF-0042", "3.4.1", None, None)],
        ),
        judged("FIX-2020-0001", ItemKind::Fix, Outcome::Applied, None, vec![]),
        judged("FIX-2021-0003", ItemKind::Fix, Outcome::Waived, None, vec![]),
        judged(
            "lock.print-wait",
            ItemKind::Lock,
            Outcome::Drifted,
            Some(Code::LockDrifted),
            vec![detail("queue.lock", "exclusive", "sha\u{1b}[31mred", Some("/etc/issuing/印刷.ini"), Some(12))],
        ),
        judged("issuing-server", ItemKind::Program, Outcome::Applied, None, vec![]),
    ];
    let reasons =
        vec![Reason::item(Code::FixMissing, &"FIX-2019-0007".parse().unwrap()), lock_reason(Code::LockDrifted)];
    let good = items.iter().filter(|item| item.outcome == Outcome::Applied).cloned().collect();
    let other = Reason { code: Code::SiteHold, item: None, host: Some("402206-ap1".parse().unwrap()) };
    let stop = StopView {
        stop: StopRef { number: 3, digest: Digest::of(b"stop") },
        scope: Scope::Prefecture { prefecture: 40 },
        reason: "wrong certificate printed / 誤交付の連絡".to_owned(),
        operator: "ops-1".to_owned(),
        time: at("2023-05-09T13:58:00+09:00"),
        acknowledged: vec!["402206-ap1".parse().unwrap()],
        outstanding: vec![("402206-db1".parse().unwrap(), Some(at("2023-05-09T14:30:00+09:00")))],
        lifted: vec![],
        counts: None,
    };
    let fleet = fleet();
    // Stop and neighbour hold what the host's own evidence does not.
    let mut ap = host("402206-ap1", "ap", reasons.clone());
    ap.allowed.reasons.insert(0, Reason::of(Code::Stopped));
    let mut db = host("402206-db1", "db", vec![]);
    db.allowed = Allowed { verdict: Verdict::Hold, reasons: vec![Reason::of(Code::Stopped), other] };
    SiteView {
        site: fleet.sites[2].clone(),
        hosts: vec![
            HostView {
                host: ap,
                appraisal: Appraisal {
                    verdict: Verdict::Hold,
                    reasons,
                    warnings: vec![],
                    items: items.into(),
                    changes_at: None,
                },
            },
            HostView {
                host: db,
                appraisal: Appraisal {
                    verdict: Verdict::Issue,
                    reasons: vec![],
                    warnings: vec![],
                    items: good,
                    changes_at: None,
                },
            },
        ],
        stops: vec![stop],
    }
}

pub(crate) fn items() -> Vec<ItemRow> {
    let item = |item: &str, kind, title: Option<Localized>, remediation, outcomes, holds: &[&str]| ItemRow {
        item: item.parse().unwrap(),
        kind,
        title,
        remediation,
        outcomes,
        holds: holds.iter().map(|code| code.parse().unwrap()).collect(),
    };
    vec![
        item("lock.print-wait", ItemKind::Lock, None, None, vec![(Outcome::Applied, 8)], &[]),
        item(
            "FIX-2019-0007",
            ItemKind::Fix,
            Some(names("Print wait released while linkage runs", "随時連携中に印刷待ちが解除される")),
            Some(names(
                "Install 3.4.2, split variant; restart issuingd.",
                "3.4.2 (分離構成版) を導入し、issuingd を再起動する。",
            )),
            vec![(Outcome::Applied, 7), (Outcome::Missing, 1), (Outcome::Unknown, 0)],
            &["402206"],
        ),
    ]
}

pub(crate) fn stop() -> StopView {
    site().stops.remove(0)
}

pub(crate) fn failure(code: &'static str) -> NoContact {
    NoContact { code, cause: String::new() }
}

/// A dashboard and the clock that drives it.
pub(crate) struct Driver {
    pub(crate) model: Model,
    pub(crate) now: Time,
}

impl Driver {
    /// Started, nothing answered yet.
    pub(crate) fn start(lang: Lang, size: (u16, u16)) -> (Self, Vec<Effect>) {
        let mut model = Model::new(lang, "https://127.0.0.1:8443".to_owned(), None, size, local());
        let effects = start(&mut model);
        (Self { model, now: local() }, effects)
    }

    /// Connected, with the fleet on the screen.
    pub(crate) fn live(lang: Lang, size: (u16, u16)) -> Self {
        let (mut driver, _) = Self::start(lang, size);
        driver.happen(Event::StreamOpened);
        driver.fetched(fleet());
        driver.later(200);
        driver.fetched(fleet());
        driver
    }

    pub(crate) fn happen(&mut self, event: Event) -> Vec<Effect> {
        update(&mut self.model, event, self.now)
    }

    pub(crate) fn fetched(&mut self, fleet: FleetView) -> Vec<Effect> {
        self.happen(Event::Fetched(Box::new(Fetched { fleet, site: None })))
    }

    pub(crate) fn fetched_site(&mut self, view: Option<SiteView>) -> Vec<Effect> {
        let site = Some(FetchedSite { code: "402206".parse().unwrap(), view, items: items() });
        self.happen(Event::Fetched(Box::new(Fetched { fleet: fleet(), site })))
    }

    /// Lets milliseconds pass, with a tick at the end.
    pub(crate) fn later(&mut self, milliseconds: u64) -> Vec<Effect> {
        self.now = self.now.after(manifests::time::Span::from_ms(milliseconds));
        self.happen(Event::Tick)
    }

    pub(crate) fn press(&mut self, code: KeyCode) -> Vec<Effect> {
        self.happen(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            self.press(KeyCode::Char(character));
        }
    }

    /// Codes of the rows shown, in order.
    pub(crate) fn codes(&self) -> Vec<String> {
        (0..self.model.table.rows.len()).filter_map(|p| self.model.row(p)).map(|row| row.code.to_string()).collect()
    }
}
