//! A disk of the controller that is full, refuses to sync, or holds a million events: what is answered, and that all
//! goes on when it can.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use manifests::api;
use tests::baseline_text::PRODUCT;
use tests::fleet::{Fleet, small};
use tests::simulated::{SimulatedHost, post};
use tests::world::{DEADLINE, Process, until};

#[tokio::test]
async fn a_controller_whose_disk_was_full_for_a_moment_goes_on() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may mount a disk");
        return Ok(());
    }
    let mut fleet = small(6).await?;
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    let id = fleet.host_ids(false).into_iter().next().context("no host")?;
    let (id, token) = fleet.controller.host_tokens(&[id.as_str()]).await?.into_iter().next().context("no token")?;
    let mut host = SimulatedHost::new(&id, PRODUCT, baseline)?;
    host.enrol(&fleet.controller, &token).await?;
    fleet.controller.kill()?;
    let disk = fleet.controller.resume_on_small_disk(96).await?;
    post(&fleet.controller, api::EVIDENCE, &host.evidence(SimulatedHost::state("0"))?).await?.receipt()?;

    let ballast = disk.join("ballast");
    let mut file = File::create(&ballast)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let mut number = 0;
    until("a document to be refused for want of room", DEADLINE, async || {
        number += 1;
        let state = SimulatedHost::state(&number.to_string());
        let answer = post(&fleet.controller, api::EVIDENCE, &host.evidence(state)?).await?;
        ensure!(answer.status.as_u16() == 503, "{}", answer.status);
        Ok(())
    })
    .await?;
    // It tries at most once a second.
    until("it to say that it is not well", DEADLINE, async || {
        ensure!(!fleet.controller.is_healthy().await?, "it says that it is well");
        Ok(())
    })
    .await?;

    // Stops are written into room that is kept for them, and are there after kill -9.
    let output = fleet.controller.sekisho(&["stop", "--all", "--reason", "on a full disk"]).await?;
    ensure!(output.success(), "{output:?}");
    ensure!(fleet.controller.stops().await?.len() == 1);
    ensure!(fleet.controller.fleet().await?.baseline.is_some(), "nothing can be read");

    std::fs::remove_file(&ballast)?;
    until("documents to be taken again", DEADLINE, async || {
        let state = SimulatedHost::state("again");
        post(&fleet.controller, api::EVIDENCE, &host.evidence(state)?).await?.receipt().map(drop)
    })
    .await?;
    until("it to say that it is well", DEADLINE, async || {
        ensure!(fleet.controller.is_healthy().await?, "it says that it is not well");
        Ok(())
    })
    .await
}

/// Makes every sync of a running process fail until it is dropped; nothing where strace is missing.
async fn failing_syncs(fleet: &Fleet) -> Result<Option<Process>> {
    if !Path::new("/usr/bin/strace").exists() {
        eprintln!("skipped: strace is not installed");
        return Ok(None);
    }
    let id = fleet.controller.process_id().context("the controller is gone")?.to_string();
    let calls = "fsync,fdatasync";
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error=EIO"));
    let arguments = ["-f", "-e", &trace, "-e", &inject, "-p", &id];
    let strace = fleet.world.start("strace", Path::new("/usr/bin/strace"), &arguments)?;
    until("strace to be attached", DEADLINE, async || {
        let log = std::fs::read_to_string(fleet.logs().join("strace.err"))?;
        ensure!(log.contains("attached"), "{log}");
        Ok(())
    })
    .await?;
    Ok(Some(strace))
}

#[tokio::test]
async fn what_a_sync_refused_is_never_acknowledged_and_the_disk_has_the_last_word() -> Result<()> {
    let mut fleet = small(6).await?;
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    let id = fleet.host_ids(false).into_iter().next().context("no host")?;
    let token = fleet.controller.host_tokens(&[id.as_str()]).await?.pop().context("no token")?.1;
    let mut host = SimulatedHost::new(id.as_str(), PRODUCT, baseline)?;
    host.enrol(&fleet.controller, &token).await?;
    post(&fleet.controller, api::EVIDENCE, &host.evidence(SimulatedHost::state("kept"))?).await?.receipt()?;
    let Some(strace) = failing_syncs(&fleet).await? else { return Ok(()) };
    // Documents and stops alike: 503 says that it will never appear; an end without an answer says nothing.
    let document = post(&fleet.controller, api::EVIDENCE, &host.evidence(SimulatedHost::state("lost?"))?).await;
    let stop = serde_json::json!({ "scope": { "kind": "all" }, "reason": "lost?" });
    let url = format!("{}{}", fleet.controller.url(), api::STOPS);
    let asked = fleet.controller.client().post(&url).bearer_auth(fleet.controller.token()).json(&stop).send().await;
    if let Ok(answer) = &document {
        ensure!(answer.status.as_u16() == 503, "{answer:?}");
    }
    if let Ok(answer) = &asked {
        ensure!(answer.status().as_u16() == 503, "{}", answer.status());
    }
    // Where it cannot be told what the disk has, the process ends, and whoever starts it again asks the disk.
    if document.is_err() || asked.is_err() {
        until("the process to end", DEADLINE, async || {
            ensure!(!fleet.controller.process()?.runs(), "it runs");
            Ok(())
        })
        .await?;
    }
    drop(strace);
    if fleet.controller.process()?.runs() {
        fleet.controller.kill()?;
    }
    fleet.controller.resume().await?;
    let row = fleet.controller.host_row(&id).await?;
    let (kept, lost) = (SimulatedHost::state("kept").digest(), SimulatedHost::state("lost?").digest());
    let was_refused = document.as_ref().is_ok_and(|answer| answer.status.as_u16() == 503);
    ensure!(row.state == Some(kept) || (row.state == Some(lost) && !was_refused), "{row:?}");
    let stops = fleet.controller.stops().await?;
    let was_refused = asked.as_ref().is_ok_and(|answer| answer.status().as_u16() == 503);
    ensure!(stops.is_empty() || !was_refused, "a stop of which 503 said that it would never appear: {stops:?}");
    post(&fleet.controller, api::EVIDENCE, &host.evidence(SimulatedHost::state("after"))?).await?.receipt()?;
    Ok(())
}

/// Rows of a table that grew for years under a controller of before, by a program that knows nothing of ours.
const MANY_EVENTS: &str = r#"
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
newest, body = store.execute("SELECT id, json_set(body, '$.kind', 'stop') FROM events ORDER BY id DESC").fetchone()
rows = ((newest + 1 + n, body, "stop", n) for n in range(int(sys.argv[2])))
store.executemany("INSERT INTO events (id, body, kind, number) VALUES (?, ?, ?, ?)", rows)
store.commit()
"#;

#[tokio::test]
async fn a_million_events_are_cut_to_what_is_kept_and_everything_is_answered() -> Result<()> {
    let mut fleet = small(6).await?;
    fleet.controller.kill()?;
    let store = fleet.controller.data().join("controller.db");
    let filled = tokio::process::Command::new("python3").args(["-c", MANY_EVENTS]).arg(&store).arg("1000000").status();
    let filled = filled.await?;
    ensure!(filled.success(), "python3: {filled}");
    fleet.controller.resume().await?;
    let ids = fleet.host_ids(false);
    let baseline = fleet.controller.fleet().await?.baseline.context("no baseline is in force")?.digest;
    let id = ids.first().context("no host")?;
    let token = fleet.controller.host_tokens(&[id.as_str()]).await?.pop().context("no token")?.1;
    let host = SimulatedHost::new(id.as_str(), PRODUCT, baseline)?;
    host.enrol(&fleet.controller, &token).await?;
    // The next event of that kind pushes the others out.
    let output = fleet.controller.sekisho(&["stop", "--all", "--reason", "a drill"]).await?;
    ensure!(output.success(), "{output:?}");
    ensure!(fleet.controller.hosts().await?.len() == ids.len());
    fleet.controller.kill()?;
    let count =
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM events').fetchone()[0])";
    let counted = tokio::process::Command::new("python3").args(["-c", count]).arg(&store).output().await?;
    let left: u64 = String::from_utf8(counted.stdout)?.trim().parse()?;
    // A hundred thousand of a kind, and the few of the others.
    ensure!(left <= 101_000, "{left} events are kept");
    Ok(())
}
