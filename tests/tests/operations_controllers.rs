//! The commands of `docs/operations-controllers.md`, run as they stand there: only ports are put in their place.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use tests::installation::{HOST, Installation, MAIN, all_are_named};
use tests::world::{DEADLINE, until};

const PAGE: &str = "operations-controllers.md";
/// Arguments that lead an operator to the standby.
const STANDBY: &str = "--controller https://127.0.0.1:8444 --ca standby/ca.pem --token-file standby/admin.token";

#[tokio::test]
async fn every_command_of_the_page_does_what_it_says() -> Result<()> {
    let mut here = Installation::new(PAGE, &[]).await?;
    here.start_main().await?;
    here.start_block("standby", "standby").await?;
    let both = here.block("publish-both", 0).await?;
    ensure!(both.stdout.matches("published: ").count() == 2, "{}", both.stdout);
    here.enrol().await?;

    // Controller dead.
    here.end("main")?;
    here.ok("mkdir copy && cp main/controller.db* copy/").await?;
    here.says(here.text("standby-hosts")?, HOST).await?;
    here.block("standby-publish", 0).await?;
    here.block("standby-stops", 0).await?;

    // Restored from backup: first the host comes back, and gets permits that the copy knows nothing of.
    here.start_main().await?;
    let before = here.permit(MAIN).await?;
    here.end("agent")?;
    here.start_agent(HOST).await?;
    here.is_permitted_after(before).await?;
    here.opens(HOST).await?;
    here.end("main")?;
    here.ok("rm main/controller.db* && cp copy/* main/").await?;
    here.start_main().await?;
    here.notices_that_it_was_set_back().await?;
    here.block("looked-at", 0).await?;
    until("the host to be allowed again", DEADLINE, async || {
        let output = here.run(&format!("sekisho hosts {MAIN}")).await?;
        ensure!(output.success() && output.stderr.is_empty(), "{}{}", output.stdout, output.stderr);
        Ok(())
    })
    .await?;

    // A host's hardware replaced.
    here.end("agent")?;
    here.block("replace", 0).await?;
    here.block("enrol-replacement", 0).await?;
    here.start_agent("replacement").await?;
    here.opens("replacement").await?;

    // A controller's keys stolen: a third one takes its place. The word of the stolen one still counts.
    let before = here.permit(STANDBY).await?;
    here.end("main")?;
    until("the host to have a permit of the standby", DEADLINE, async || {
        ensure!(here.permit(STANDBY).await? > before, "it has not");
        Ok(())
    })
    .await?;
    here.block("new-controller", 0).await?;
    here.block("without-main", 0).await?;
    let root = here.path("replacement/state/trust/root.json");
    until("the host to have the set without the stolen keys", DEADLINE, async || {
        let text = fs::read_to_string(&root)?;
        ensure!(text.contains("\"version\": 2"), "{}", here.log("agent")?);
        Ok(())
    })
    .await?;
    here.opens("replacement").await?;
    here.block("unlisted", 0).await?;
    here.start_block("third", "third").await?;
    here.block("publish-third", 0).await?;
    Ok(())
}

/// A newer baseline of two release managers' signatures, for the release managers' directory of before is in `old`.
const NEWER: &str = "cp -a baseline old
    sed -i 's/^version = .*/version = \"0.2.0\"/' baseline/baseline.toml
    for n in 1 2; do sekisho-baseline sign --key manager-$n.pem baseline; done";

async fn tuf_is_gone(gone: &str) -> Result<()> {
    let mut here = Installation::issuing(PAGE, &[]).await?;
    here.ok(NEWER).await?;
    here.block("tuf-publish", 0).await?;
    here.says(&format!("sekisho sites {MAIN}"), "0.2.0").await?;
    here.ok(gone).await?;
    let doctor = here.block("tuf-doctor", 2).await?;
    ensure!(doctor.stdout.contains("BAD  repository"), "{}", doctor.stdout);
    // What serves goes on from memory.
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    here.opens(HOST).await?;
    // Put aside, it is written anew by the next publish, and nothing older comes back.
    here.block("tuf-aside", 0).await?;
    let old = here.text("tuf-publish")?.replace("publish baseline", "publish old");
    let refused = here.run(&old).await?;
    ensure!(!refused.success() && refused.stderr.contains("rollback"), "{}{}", refused.stdout, refused.stderr);
    here.block("tuf-publish", 0).await?;
    let doctor = here.block("tuf-doctor", 0).await?;
    ensure!(doctor.stdout.contains("ok   repository"), "{}", doctor.stdout);
    here.opens(HOST).await?;

    // One that does not serve.
    here.end("main")?;
    here.ok(gone).await?;
    here.ok("rm -rf main/tuf.before").await?;
    here.block("tuf-aside", 0).await?;
    here.start_block("main", "tuf-serve").await?;
    ensure!(here.log("main")?.contains("the TUF repository is lost"), "{}", here.log("main")?);
    let doctor = here.block("tuf-doctor", 2).await?;
    ensure!(doctor.stdout.contains("BAD  repository: it is lost"), "{}", doctor.stdout);
    here.holds(HOST, "permit-expired").await?;
    let refused = here.run(&old).await?;
    ensure!(
        !refused.success() && refused.stderr.contains("is older than targets"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    here.holds(HOST, "permit-expired").await?;

    here.block("tuf-publish", 0).await?;
    here.opens(HOST).await?;
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    let doctor = here.block("tuf-doctor", 0).await?;
    ensure!(doctor.stdout.contains("ok   repository"), "{}", doctor.stdout);
    Ok(())
}

#[tokio::test]
async fn a_lost_repository_is_published_again_and_nothing_older_comes_back() -> Result<()> {
    tuf_is_gone("rm -r main/tuf").await
}

#[tokio::test]
async fn a_damaged_repository_is_put_aside_and_published_again() -> Result<()> {
    tuf_is_gone("for file in main/tuf/*.targets.json; do printf '{' > $file; done").await
}

/// Arguments that lead an operator to the controller that should have been switched off.
const OLD: &str = "--controller https://127.0.0.1:8445 --ca old/ca.pem --token-file old/admin.token";
/// Later than this after a controller's start, in microseconds as permits are numbered, nobody else signs with its key.
const SURELY_LATER: u64 = 6_000_000;

#[tokio::test]
async fn of_two_controllers_with_one_key_one_is_ended_and_hosts_issue_again() -> Result<()> {
    let mut here = Installation::issuing(PAGE, &[]).await?;
    // The backup is served at the address that hosts know, and the one that it was made of goes on elsewhere.
    here.ok("sekisho-controller backup --with-keys --data main --to night").await?;
    here.end("agent")?;
    here.end("main")?;
    here.ok("mv main old; sekisho-controller restore --from night --data main; cp old/admin.token main/").await?;
    here.ok(&format!("sed -i.before 's/127.0.0.1:8443/127.0.0.1:8445/' {HOST}/agent.toml")).await?;
    let old = "exec sekisho-controller serve --data old --root root.json --listen 127.0.0.1:8445";
    here.start("old", old, "listening on https://").await?;
    here.start_main().await?;
    let began = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    // Some hosts still ask the old one.
    here.start_agent(HOST).await?;
    until("a permit that the old one signed while the other one served", DEADLINE, async || {
        ensure!(here.permit(OLD).await? > began + SURELY_LATER, "there is none");
        Ok(())
    })
    .await?;
    let doctor = here.block("twice-doctor", 0).await?;
    ensure!(doctor.stdout.contains("ok   set-back"), "{}", doctor.stdout);
    here.end("agent")?;
    here.ok(&format!("mv {HOST}/agent.toml.before {HOST}/agent.toml")).await?;
    here.start_agent(HOST).await?;

    // What the operator sees, at night.
    until("the restored one to notice", DEADLINE, async || {
        let output = here.run(&format!("sekisho hosts {MAIN}")).await?;
        ensure!(output.stderr.contains("another controller signs with this one's key"), "{}", output.stderr);
        Ok(())
    })
    .await?;
    let doctor = here.block("twice-doctor", 2).await?;
    let line =
        "BAD  set-back: another controller signs with this one's key, end one of the two: 402206-ap1 has its permit";
    ensure!(doctor.stdout.contains(line), "{}", doctor.stdout);
    here.opens(HOST).await?;
    here.holds(HOST, "permit-expired").await?;
    here.block("twice-stops", 2).await?;
    here.block("twice-stops-old", 0).await?;
    here.end("old")?;
    here.block("twice-keys", 0).await?;
    let again = here.run(old).await?;
    ensure!(!again.success() && again.stderr.contains("permit"), "{}{}", again.stdout, again.stderr);
    here.block("twice-publish", 0).await?;
    here.block("twice-looked-at", 0).await?;
    here.opens(HOST).await?;
    let hosts = here.text("twice-hosts")?.to_owned();
    until("the host to be allowed", DEADLINE, async || {
        let output = here.run(&hosts).await?;
        ensure!(output.success() && output.stderr.is_empty(), "{}{}", output.stdout, output.stderr);
        Ok(())
    })
    .await?;
    here.block("twice-hosts", 0).await?;
    let doctor = here.block("twice-doctor", 0).await?;
    ensure!(doctor.stdout.contains("ok   set-back"), "{}", doctor.stdout);
    Ok(())
}

#[test]
fn every_command_of_the_page_is_run() -> Result<()> {
    all_are_named(PAGE, include_str!("operations_controllers.rs"))
}
