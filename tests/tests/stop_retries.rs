//! `sekisho stop` where what is between it and the controller fails: however often it tries, one stop is made, and
//! what it says of it is true.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use hyper::StatusCode;
use manifests::api::StopRequest;
use tests::between::{Between, StopFate};
use tests::fleet::{Fleet, small};

/// What a try may come to that makes another one follow.
const FAILURES: [StopFate; 4] = [
    StopFate::AnswerLost,
    StopFate::Cut,
    StopFate::Answered(StatusCode::SERVICE_UNAVAILABLE),
    StopFate::Answered(StatusCode::BAD_GATEWAY),
];
/// A refusal for what the request says: nothing is tried after it.
const REFUSED: StopFate = StopFate::Answered(StatusCode::FORBIDDEN);
/// Ends with 0: the stop is in force.
const IN_FORCE: i32 = 0;
/// Ends with this where nobody has said so.
const UNKNOWN: i32 = 3;

/// One run of the command: what the first tries come to, and what every later one does.
#[derive(Clone, Debug)]
struct Run {
    first: Vec<StopFate>,
    rest: StopFate,
}

impl Run {
    /// Names the run in the stop, so that its tries are known from others'.
    fn reason(&self) -> String {
        format!("synthetic: {:?}, then {:?}", self.first, self.rest)
    }

    fn fate(&self, tried: usize) -> StopFate {
        self.first.get(tried).copied().unwrap_or(self.rest)
    }

    /// Whether the controller heard of it.
    fn is_made(&self) -> bool {
        let reached = |fate: &StopFate| matches!(fate, StopFate::PassedOn | StopFate::AnswerLost);
        self.first.iter().chain([&self.rest]).any(reached)
    }

    /// Whether a try may have been heard for all that the command can tell.
    fn may_be_made(&self) -> bool {
        let refusals = [REFUSED, StopFate::Answered(StatusCode::SERVICE_UNAVAILABLE)];
        self.first.iter().chain([&self.rest]).any(|fate| !refusals.contains(fate))
    }

    async fn check(&self, fleet: &Fleet, between: &Between) -> Result<()> {
        let reason = self.reason();
        let stop = ["--lang", "en", "stop", "--all", "--reason", &reason];
        let output = fleet.controller.sekisho_at(&between.url(), &between.ca(), &stop).await?;
        let (code, words) = match (self.rest, self.may_be_made()) {
            (StopFate::PassedOn, _) => (IN_FORCE, " is in force: "),
            (_, true) => (UNKNOWN, "The stop may be in force or not: "),
            (_, false) => (UNKNOWN, "Nothing was stopped: "),
        };
        let all = [" is in force: ", "The stop may be in force or not: ", "Nothing was stopped: "];
        let said = format!("{}{}", output.stdout, output.stderr);
        let said: Vec<_> = all.into_iter().filter(|words| said.contains(words)).collect();
        ensure!(said == [words] && output.status.code() == Some(code), "{reason}: {output:?}");
        let stops = fleet.controller.stops().await?;
        let made = stops.iter().filter(|stop| stop.reason == reason).count();
        ensure!(made == usize::from(self.is_made()), "{reason}: {made} stops\n{output:?}");
        Ok(())
    }
}

/// Every row of none, one or two failures, then `rest`.
fn runs(rest: StopFate, longest: usize) -> Vec<Run> {
    let mut rows: Vec<Vec<StopFate>> = vec![vec![]];
    for length in 0..longest {
        let longer: Vec<_> = rows.iter().filter(|row| row.len() == length).cloned().collect();
        rows.extend(longer.iter().flat_map(|row| FAILURES.map(|fate| [row.as_slice(), &[fate]].concat())));
    }
    rows.into_iter().map(|first| Run { first, rest }).collect()
}

/// All at once: each tries for half a minute where nothing ends it. Fewer stops than one operator may make in a
/// minute.
async fn check(runs: Vec<Run>) -> Result<()> {
    let fleet = small(3).await?;
    let between = Between::start(&fleet.world, &fleet.controller).await?;
    let by_reason: BTreeMap<_, _> = runs.iter().map(|run| (run.reason(), run.clone())).collect();
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    between.script(|script| {
        script.on_stop = Some(Box::new(move |request: &StopRequest| {
            let before = tried.entry(request.reason.clone()).or_default();
            *before += 1;
            by_reason.get(&request.reason).map_or(StopFate::PassedOn, |run| run.fate(*before - 1))
        }));
    })?;
    try_join_all(runs.iter().map(|run| run.check(&fleet, &between))).await.context("a run")?;
    Ok(())
}

#[tokio::test]
async fn a_stop_that_comes_through_in_the_end_is_one_and_in_force() -> Result<()> {
    check(runs(StopFate::PassedOn, 2)).await
}

#[tokio::test]
async fn a_stop_that_never_comes_through_is_not_said_to_be_in_force_nor_to_be_none_where_it_may_be() -> Result<()> {
    let mut all = runs(REFUSED, 2);
    all.extend(FAILURES.map(|rest| Run { first: vec![], rest }));
    all.push(Run { first: vec![StopFate::AnswerLost], rest: StopFate::Answered(StatusCode::SERVICE_UNAVAILABLE) });
    check(all).await
}
