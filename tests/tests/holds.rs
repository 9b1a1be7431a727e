//! A real agent holds, with the right code, whatever it is told and whatever its disk has become.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use data_encoding::HEXLOWER;
use manifests::canonical;
use manifests::digest::Digest;
use manifests::envelope::Sealed;
use manifests::id::HostId;
use manifests::key::SigningKey;
use manifests::permit::Permit;
use manifests::time::Time;
use serde_json::{Value, json};
use tests::between::Change;
use tests::case::Case;
use tests::host::Issued;
use tests::operator::Controller;
use tests::world::{DEADLINE, until};

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
    case.permit_on_disk().await?;
    case.between.script(|script| script.cut = true)?;
    // Untouched: the permit counts for the rest of its life, and no controller is there to renew it.
    case.restart(|_| Ok(())).await?;
    case.issues().await?;

    case.restart(|state| flip_in(&state.join("permit.json"), "\"payload\":\"")).await?;
    case.holds("a flipped byte of the permit", "permit-signature", DEADLINE).await?;
    case.restart(|state| flip_in(&state.join("permit.json"), "\"payload\":\"")).await?;

    let state = case.state()?;
    // Ended in its own time: a kill may leave a temporary file, which holds nothing.
    case.fleet.host_mut(&case.ap)?.agent()?.terminate(DEADLINE).await?;
    // As it is between two runs: what one case leaves behind is none of the next one's.
    let kept = state.with_file_name("state-kept");
    copy(&state, &kept)?;
    let mut truncated = Vec::new();
    let mut names = files_with_content(&kept)?;
    // The controller's word for this host's key decides nothing here, and comes again with the next receipt.
    names.retain(|name| name != "enrolment.json");
    // Written only now and then, so perhaps not yet.
    if !names.iter().any(|name| name == "clock.json") {
        names.push("clock.json".to_owned());
    }
    for name in &names {
        case.restart(|state| {
            fs::remove_dir_all(state)?;
            copy(&kept, state)?;
            // The size alone changes: 0600 stays.
            Ok(fs::File::options().write(true).create(true).truncate(true).open(state.join(name)).map(drop)?)
        })
        .await
        .with_context(|| name.clone())?;
        case.holds(&format!("{name} truncated to nothing"), "state-damaged", DEADLINE).await?;
        truncated.push(name.clone());
    }
    println!("truncated to nothing, each held with state-damaged: {}", truncated.join(", "));
    for name in ["permit.json", "sequence.json", "room", "trust/root.json"] {
        case.restart(|state| {
            fs::remove_dir_all(state)?;
            copy(&kept, state)?;
            fs::remove_file(state.join(name))?;
            Ok(fs::create_dir(state.join(name))?)
        })
        .await
        .with_context(|| name.to_owned())?;
        case.holds(&format!("a directory in the place of {name}"), "state-damaged", DEADLINE).await?;
    }
    // One bit of the room, in either place of the notes.
    for at in [20, 4096 + 60] {
        case.restart(|state| {
            fs::remove_dir_all(state)?;
            copy(&kept, state)?;
            let mut room = fs::read(state.join("room"))?;
            *room.get_mut(at).context("a short room")? ^= 4;
            Ok(fs::write(state.join("room"), room)?)
        })
        .await?;
        case.holds(&format!("byte {at} of the room changed"), "state-damaged", DEADLINE).await?;
    }
    for part in ["permit.json", "sequence.json", "clock.json", "host.key", "targets.json", "timestamp.json", "targets/"]
    {
        ensure!(truncated.iter().any(|name| name.contains(part)), "{part} is not among {truncated:?}");
    }

    case.restart(|state| {
        fs::remove_dir_all(state)?;
        Ok(fs::create_dir(state)?)
    })
    .await?;
    case.holds("an empty state", "no-baseline", DEADLINE).await
}

#[tokio::test]
async fn a_host_whose_disk_takes_nothing_goes_on_reporting() -> Result<()> {
    let mut case = Case::new().await?;
    case.start().await?;
    case.issues().await?;
    // A directory with something in it is in the way of every new version of the file.
    case.restart(|state| {
        for name in ["permit.json", "sequence.json", "room"] {
            let taken = state.join(name);
            remove(&taken)?;
            fs::create_dir(&taken)?;
            fs::write(taken.join("inside"), b"")?;
        }
        Ok(())
    })
    .await?;
    case.issues().await?;
    let heard = async |case: &Case| anyhow::Ok(case.row().await?.heard);
    let deadline = Duration::from_secs(case.fleet.rhythm.evidence_max_age_s) + DEADLINE;
    for _ in 0..3 {
        let before = heard(&case).await?;
        until("another document", deadline, async || {
            ensure!(heard(&case).await? > before, "none");
            Ok(())
        })
        .await?;
    }
    case.issues().await?;
    let log = case.fleet.host_mut(&case.ap)?.agent()?.log();
    ensure!(log.contains("the permit counts now"), "{log}");
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
        let served = vouched_for(&case.fleet.controller, name, targets.to_string().into_bytes()).await?;
        case.between.script(|script| script.serve = served)?;
        if first {
            case.start().await?;
            first = false;
        } else {
            // As if it had never heard of the first: what is under test is who signed, not which version.
            case.restart(forget_trust).await?;
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
            ensure!(log.contains("1.targets.json") && log.contains("threshold"), "{what}: {log}");
            Ok(())
        })
        .await?;
    }
    case.between.script(|script| script.serve.clear())?;
    case.restart(forget_trust).await?;
    case.issues().await
}

fn forget_trust(state: &Path) -> Result<()> {
    match fs::remove_dir_all(state.join("trust")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// What a controller would serve that vouches for these bytes as `1.targets.json`: a snapshot and a
/// timestamp that list them, signed with its own keys.
async fn vouched_for(controller: &Controller, name: &str, targets: Vec<u8>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut timestamp: Value = serde_json::from_slice(&controller.metadata("timestamp.json").await?)?;
    let version = timestamp.pointer("/signed/meta/snapshot.json/version").and_then(Value::as_u64).context("version")?;
    let snapshot_name = format!("{version}.snapshot.json");
    let mut snapshot: Value = serde_json::from_slice(&controller.metadata(&snapshot_name).await?)?;
    list(&mut snapshot, "targets.json", &targets)?;
    let snapshot = signed(snapshot, &controller.online_key("snapshot")?)?;
    list(&mut timestamp, "snapshot.json", &snapshot)?;
    let timestamp = signed(timestamp, &controller.online_key("timestamp")?)?;
    let at = |name: &str| format!("{}/{name}", manifests::api::TUF);
    Ok([(at(name), targets), (at(&snapshot_name), snapshot), (at("timestamp.json"), timestamp)].into())
}

fn list(metadata: &mut Value, name: &str, bytes: &[u8]) -> Result<()> {
    let meta = metadata.pointer_mut("/signed/meta").and_then(|meta| meta.get_mut(name)).context("not listed")?;
    let meta = meta.as_object_mut().context("no object")?;
    meta.insert("length".to_owned(), json!(bytes.len()));
    meta.insert("hashes".to_owned(), json!({ "sha256": Digest::of(bytes).hex() }));
    Ok(())
}

fn signed(mut metadata: Value, key: &SigningKey) -> Result<Vec<u8>> {
    let body = metadata.get("signed").context("nothing signed")?;
    let signature = HEXLOWER.encode(&key.sign(&canonical::to_vec(body)?));
    let signatures = json!([{ "keyid": key.public().id(), "sig": signature }]);
    metadata.as_object_mut().context("no object")?.insert("signatures".to_owned(), signatures);
    Ok(serde_json::to_vec(&metadata)?)
}

#[tokio::test]
async fn an_older_baseline_never_takes_the_place_of_a_newer() -> Result<()> {
    let mut case = Case::new().await?;
    let old_timestamp = case.fleet.controller.metadata("timestamp.json").await?;
    case.start().await?;
    case.issues().await?;
    let newest = case.fleet.publish_newer().await?;
    case.is_under(newest).await?;
    case.between.script(|script| script.serve.insert("/tuf/timestamp.json".to_owned(), old_timestamp))?;
    case.restart(|_| Ok(())).await?;
    case.issues().await?;
    assert_eq!(case.under().await?, Some(newest), "an older baseline took over");
    until("the agent to say that it was offered an older one", DEADLINE, async || {
        let log = case.fleet.host_mut(&case.ap)?.agent()?.log();
        ensure!(log.contains("rollback") || log.contains("older") || log.contains("lower"), "{log}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn under_an_older_baseline_nothing_opens() -> Result<()> {
    let mut case = Case::new().await?;
    let old_timestamp = case.fleet.controller.metadata("timestamp.json").await?;
    case.start().await?;
    case.issues().await?;
    // As both were before the newer baseline.
    let state = case.state()?;
    let (old_state, old_data) = (state.with_file_name("state-old"), state.with_file_name("data-old"));
    case.restart(|state| copy(state, &old_state)).await?;
    case.fleet.controller.kill()?;
    copy(case.fleet.controller.data(), &old_data)?;
    case.fleet.controller.resume().await?;
    case.issues().await?;

    // The agent is kept from the newer one: a host may be late, but not for ever.
    case.between.script(|script| script.serve.insert("/tuf/timestamp.json".to_owned(), old_timestamp))?;
    let newest = case.fleet.publish_newer().await?;
    let age = Duration::from_secs(case.fleet.rhythm.evidence_max_age_s);
    until("the controller to call its evidence outdated", age + DEADLINE, async || {
        let answer = case.fleet.host(&case.ap)?.ask_gate().await?;
        ensure!(matches!(&answer, Issued::Refused(codes) if codes == &["baseline-outdated"]), "{answer}");
        Ok(())
    })
    .await?;
    case.between.script(|script| script.serve.clear())?;
    case.is_under(newest).await?;

    // Its own trust is set back, and nobody is there who could bring the newer one.
    case.between.script(|script| script.cut = true)?;
    // Ended in its own time, so that the permit for the newer one is on disk.
    case.fleet.host_mut(&case.ap)?.agent()?.terminate(DEADLINE).await?;
    case.restart(|state| {
        fs::remove_file(state.join("active"))?;
        std::os::unix::fs::symlink(fs::read_link(old_state.join("active"))?, state.join("active"))?;
        for part in ["trust", "sets", "targets"] {
            fs::remove_dir_all(state.join(part))?;
            copy(&old_state.join(part), &state.join(part))?;
        }
        Ok(())
    })
    .await?;
    case.holds("an older baseline in the agent's own state", "permit-mismatch", DEADLINE).await?;
    case.between.script(|script| script.cut = false)?;
    case.is_under(newest).await?;

    // The controller itself is set back: what it appraises by is older than what the host holds.
    case.fleet.controller.kill()?;
    let data = case.fleet.controller.data().to_owned();
    fs::remove_dir_all(&data)?;
    copy(&old_data, &data)?;
    case.fleet.controller.resume().await?;
    until("the controller of the past to call its evidence outdated", DEADLINE, async || {
        let answer = case.fleet.host(&case.ap)?.ask_gate().await?;
        ensure!(matches!(&answer, Issued::Refused(codes) if codes == &["baseline-outdated"]), "{answer}");
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

/// Every regular file below `directory` that is not empty, by its path in it. The lock file has
/// nothing to lose.
fn files_with_content(directory: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| anyhow!("{name:?} is not UTF-8"))?;
        let metadata = entry.metadata()?; // Of a link itself.
        if name.ends_with(".tmp") {
            continue; // Of an earlier kill.
        }
        if metadata.is_dir() {
            files.extend(files_with_content(&entry.path())?.into_iter().map(|below| format!("{name}/{below}")));
        } else if metadata.is_file() && metadata.len() > 0 {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a directory with its links and modes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(source)?, target)?;
        } else if kind.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(source, target)?;
        }
    }
    Ok(())
}
