//! A real agent holds, with the right code, whatever it is told and whatever its disk has become.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::id::HostId;
use manifests::key::SigningKey;
use manifests::permit::Permit;
use manifests::time::Time;
use serde_json::{Value, json};
use tests::between::{Between, Change};
use tests::fleet::{Faults, Fleet, Part, small};
use tests::host::Issued;
use tests::world::until;

const DEADLINE: Duration = Duration::from_secs(30);
const NO_FAULTS: Faults = Faults { planted: false, wrong_variant: false };

/// One issuing host of a small fleet, with somebody between it and the controller.
struct Case {
    fleet: Fleet,
    between: Between,
    ap: HostId,
}

impl Case {
    async fn new() -> Result<Self> {
        let mut fleet = small(6).await?;
        let between = Between::start(&fleet.world, &fleet.controller).await?;
        fleet.controllers.urls = vec![between.url()];
        fleet.controllers.ca = between.ca();
        let ap = fleet.part(Part::Munakata)?.ap()?;
        Ok(Self { fleet, between, ap })
    }

    /// Enrols and starts the agent, beside its issuing program.
    async fn start(&mut self) -> Result<()> {
        self.fleet.start_hosts(std::slice::from_ref(&self.ap), NO_FAULTS, |_| {}).await
    }

    fn state(&self) -> Result<PathBuf> {
        Ok(self.fleet.host(&self.ap)?.own().join("state"))
    }

    /// Changes the state directory while the agent is down.
    async fn restart(&mut self, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let state = self.state()?;
        let host = self.fleet.host_mut(&self.ap)?;
        if host.agent().is_ok() {
            host.kill_agent()?;
        }
        change(&state)?;
        host.start_agent().await
    }

    async fn issues(&self) -> Result<()> {
        until("the gate to open", DEADLINE, async || {
            let answer = self.fleet.host(&self.ap)?.ask_gate().await?;
            ensure!(answer == Issued::Certificate, "{answer}");
            Ok(())
        })
        .await
    }

    /// Waits until the gate holds for `code`, and sees no 200 on the way.
    async fn holds(&self, what: &str, code: &str, deadline: Duration) -> Result<()> {
        until(&format!("{what}: {code}"), deadline, async || {
            let answer = self.fleet.host(&self.ap)?.ask_gate().await?;
            assert_ne!(answer, Issued::Certificate, "{what} opened the gate");
            ensure!(matches!(&answer, Issued::Refused(codes) if codes.iter().any(|found| found == code)), "{answer}");
            Ok(())
        })
        .await
    }
}

#[tokio::test]
async fn a_permit_that_does_not_fit_opens_nothing() -> Result<()> {
    let mut case = Case::new().await?;
    let stranger = SigningKey::generate()?;
    let change = |with: fn(&mut Permit)| -> Change {
        let key = case.between.permit_key();
        Box::new(move |mut permit| {
            with(&mut permit);
            Ok(Sealed::seal(&permit, &key)?)
        })
    };
    let other_host: HostId = "372013-ap1".parse()?;
    let key = case.between.permit_key();
    let of_another_host: Change = Box::new(move |mut permit| {
        permit.host = other_host.clone();
        Ok(Sealed::seal(&permit, &key)?)
    });
    let cases: Vec<(&str, &str, Change)> = vec![
        ("a permit of another host", "permit-wrong-host", of_another_host),
        ("a permit for another state", "permit-mismatch", change(|p| p.state = Some(Digest::of(b"other")))),
        ("a permit for another baseline", "permit-mismatch", change(|p| p.baseline = Digest::of(b"other"))),
        ("a permit until 2099", "permit-too-long", change(|p| p.until = year_2099())),
        ("a permit from tomorrow", "permit-future", change(|p| shift(p, 86_400_000))),
        ("a permit for an unasked question", "permit-unasked", change(|p| p.answers += 1_000)),
        ("a stranger's permit", "permit-signature", Box::new(move |permit| Ok(Sealed::seal(&permit, &stranger)?))),
    ];
    // Enrolled without anybody between, so that the first permit is already a changed one.
    let mut first = true;
    for (what, code, change) in cases {
        case.between.script(|script| script.permit = Some(change))?;
        if first {
            case.start().await?;
            first = false;
        } else {
            case.restart(|state| remove(&state.join("permit.json"))).await?;
        }
        case.holds(what, code, DEADLINE).await.with_context(|| what.to_owned())?;
    }
    // The same agent opens as soon as nobody changes what it is sent.
    case.between.script(|script| script.permit = None)?;
    case.restart(|_| Ok(())).await?;
    case.issues().await
}

#[tokio::test]
async fn an_older_permit_does_not_prolong_what_is_over() -> Result<()> {
    let mut case = Case::new().await?;
    case.start().await?;
    case.issues().await?;
    let key = case.between.permit_key();
    case.between.script(|script| {
        script.permit = Some(Box::new(move |mut permit| {
            // One hour older than any received, and otherwise as fresh as can be.
            permit.number -= 3_600_000_000;
            Ok(Sealed::seal(&permit, &key)?)
        }));
    })?;
    let ttl = Duration::from_secs(case.fleet.rhythm.permit_ttl_s);
    until("the older permits to count for nothing", ttl + DEADLINE, async || {
        let answer = case.fleet.host(&case.ap)?.ask_gate().await?;
        ensure!(matches!(&answer, Issued::Refused(codes) if codes.iter().any(|code| code == "permit-old")), "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_damaged_state_holds_and_an_untouched_one_issues_without_a_controller() -> Result<()> {
    let mut case = Case::new().await?;
    case.start().await?;
    case.issues().await?;
    case.between.script(|script| script.cut = true)?;
    // Untouched: the permit counts for the rest of its life, and no controller is there to renew it.
    case.restart(|_| Ok(())).await?;
    case.issues().await?;

    case.restart(|state| flip_in(&state.join("permit.json"), "\"payload\":\"")).await?;
    case.holds("a flipped byte of the permit", "permit-signature", DEADLINE).await?;
    case.restart(|state| flip_in(&state.join("permit.json"), "\"payload\":\"")).await?;

    let state = case.state()?;
    let files = files_below(&state)?;
    let of_interest =
        ["permit.json", "clock.json", "sequence.json", "host.key", "root.json", "targets.json", "baseline.toml"];
    let mut truncated = 0;
    for file in files {
        let name = file.strip_prefix(&state)?.display().to_string();
        // Locks hold nothing, and a metadata file may have its version in its name.
        if name == "lock" {
            continue;
        }
        if fs::metadata(&file)?.len() == 0 {
            continue;
        }
        let host = case.fleet.host_mut(&case.ap)?;
        if host.agent().is_ok() {
            host.kill_agent()?;
        }
        let kept = state.with_extension("kept");
        copy(&state, &kept)?;
        case.restart(|_| Ok(fs::write(&file, b"")?)).await.with_context(|| name.clone())?;
        case.holds(&format!("{name} truncated to nothing"), "state-damaged", DEADLINE).await?;
        truncated += 1;
        // All of it: an agent that found damage may have put something else in its place.
        case.fleet.host_mut(&case.ap)?.kill_agent()?;
        fs::remove_dir_all(&state)?;
        fs::rename(&kept, &state)?;
    }
    ensure!(truncated >= of_interest.len(), "only {truncated} files were truncated");

    case.restart(|state| {
        fs::remove_dir_all(state)?;
        Ok(fs::create_dir(state)?)
    })
    .await?;
    case.holds("an empty state", "no-baseline", DEADLINE).await
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(status.success(), "cp -a: {status}");
    Ok(())
}

/// Which signatures are left of those there were.
type Choice = fn(&[Value]) -> Vec<Value>;

#[tokio::test]
async fn a_baseline_without_two_signers_is_none() -> Result<()> {
    let signatures: [(&str, Choice); 2] = [
        ("one signature", |all| all.iter().take(1).cloned().collect()),
        ("one signer's signature twice", |all| all.iter().take(1).chain(all.iter().take(1)).cloned().collect()),
    ];
    let mut case = Case::new().await?;
    let name = "1.targets.json";
    let honest = case.fleet.controller.metadata(name).await?;
    let mut first = true;
    for (what, choose) in signatures {
        let mut targets: Value = serde_json::from_slice(&honest)?;
        let all = targets.get("signatures").and_then(Value::as_array).context("signatures")?.clone();
        ensure!(all.len() == 2, "{} signatures", all.len());
        *targets.get_mut("signatures").context("signatures")? = json!(choose(&all));
        let path = format!("{}/{name}", manifests::api::TUF);
        case.between.script(|script| script.serve.insert(path.clone(), targets.to_string().into_bytes()))?;
        if first {
            case.start().await?;
            first = false;
        } else {
            case.restart(|_| Ok(())).await?;
        }
        let before = case.between.script(|script| script.asked)?;
        // It has tried again since, and still has none.
        until("the agent to ask again", DEADLINE, async || {
            ensure!(case.between.script(|script| script.asked)? > before + 2, "it has not");
            Ok(())
        })
        .await?;
        case.holds(what, "no-baseline", DEADLINE).await?;
        until("its log to say why", DEADLINE, async || {
            let log = case.fleet.host_mut(&case.ap)?.agent()?.log();
            // The honest snapshot lists the honest file, and that alone refuses this one. The threshold
            // itself, under a snapshot that lists what is served, is a rule of the TUF client's own tests.
            ensure!(log.contains("1.targets.json is not what is listed"), "{what}: {log}");
            Ok(())
        })
        .await?;
    }
    case.between.script(|script| script.serve.clear())?;
    case.restart(|_| Ok(())).await?;
    case.issues().await
}

#[tokio::test]
async fn an_older_baseline_never_takes_the_place_of_a_newer() -> Result<()> {
    let mut case = Case::new().await?;
    let old_timestamp = case.fleet.controller.metadata("timestamp.json").await?;
    case.start().await?;
    case.issues().await?;
    let other = case.fleet.good(true).next().context("no split site")?.site.code.clone();
    case.fleet.managers.edit("baseline.toml", |text| tests::baseline_text::next_baseline(&text, other.as_str()))?;
    case.fleet.managers.sign_by_two().await?;
    case.fleet.managers.publish(&case.fleet.controller).await?;
    let newest = case.fleet.controller.fleet().await?.baseline.context("no baseline")?.digest;
    let under = async |case: &Case| {
        let rows = case.fleet.controller.hosts().await?;
        anyhow::Ok(rows.into_iter().find(|row| row.host == case.ap).context("not shown")?.baseline)
    };
    until("the agent to run under the newer baseline", DEADLINE, async || {
        ensure!(under(&case).await? == Some(newest), "not yet");
        Ok(())
    })
    .await?;
    case.between.script(|script| script.serve.insert("/tuf/timestamp.json".to_owned(), old_timestamp))?;
    case.restart(|_| Ok(())).await?;
    case.issues().await?;
    assert_eq!(under(&case).await?, Some(newest), "an older baseline took over");
    until("the agent to say that it was offered an older one", DEADLINE, async || {
        let log = case.fleet.host_mut(&case.ap)?.agent()?.log();
        ensure!(log.contains("rollback") || log.contains("older") || log.contains("lower"), "{log}");
        Ok(())
    })
    .await
}

fn year_2099() -> Time {
    Time::from_unix_ms(4_070_908_800_000)
}

fn shift(permit: &mut Permit, ms: i64) {
    permit.issued = Time::from_unix_ms(permit.issued.unix_ms() + ms);
    permit.until = Time::from_unix_ms(permit.until.unix_ms() + ms);
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Changes the case of a letter some way behind `marker`; done twice it is as before.
fn flip_in(path: &Path, marker: &str) -> Result<()> {
    let mut bytes = fs::read(path)?;
    let from = String::from_utf8(bytes.clone())?.find(marker).context("no such marker")? + marker.len() + 30;
    // It stays a letter of base64, so that the signature is what refuses it.
    let letter = bytes.iter_mut().skip(from).find(|byte| byte.is_ascii_alphabetic()).context("no letter")?;
    *letter ^= 0x20;
    Ok(fs::write(path, bytes)?)
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
