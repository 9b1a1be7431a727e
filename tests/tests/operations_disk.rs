//! The commands of `docs/operations-disk.md`, run as they stand there, on disks that are full: only ports and the
//! service's directories are put in their place.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rcgen::{CertificateParams, Issuer, KeyPair};
use tests::disks::Disk;
use tests::installation::{HOST, Installation, MAIN, all_are_named};
use tests::world::{DEADLINE, until};

const PAGE: &str = "operations-disk.md";
const PLACES: [(&str, &str); 5] = [
    ("/etc/sekisho-agent", "402206-ap1"),
    ("/var/lib/sekisho-agent", "402206-ap1/state"),
    ("/var/lib/sekisho-controller", "main"),
    ("/var/backups/sekisho", "backups"),
    ("/mnt/keys", "kept"),
];
/// As the page takes it to be set.
const OPERATOR: &str = "export SEKISHO_CONTROLLER=https://127.0.0.1:8443 SEKISHO_CA=main/ca.pem \
                        SEKISHO_TOKEN_FILE=main/admin.token\n";

async fn issuing() -> Result<Installation> {
    Installation::issuing(PAGE, &PLACES).await
}

fn as_operator(here: &Installation, block: &str) -> Result<String> {
    Ok(format!("{OPERATOR}{}", here.text(block)?))
}

#[tokio::test]
async fn a_host_with_a_full_disk_shows_it_and_goes_on_when_there_is_room() -> Result<()> {
    let mut here = issuing().await?;
    here.end("agent")?;
    let Some(disk) = Disk::over(&here.path(HOST).join("state"), 16)? else { return Ok(()) };
    here.start_agent(HOST).await?;
    here.opens(HOST).await?;
    disk.fill()?;
    here.ok(&format!("sekisho stop --all --reason 'on a full disk' {MAIN}")).await?;
    here.holds(HOST, "stopped").await?;
    until("the agent to tell its trouble", DEADLINE, async || {
        let shown = here.block("host-look", 0).await?.stdout;
        ensure!(shown.contains("No space left on device") && shown.contains("100%"), "{shown}");
        Ok(())
    })
    .await?;
    disk.read_only(true)?;
    let shown = here.block("host-look", 0).await?.stdout;
    ensure!(shown.contains("ro,"), "{shown}");
    disk.read_only(false)?;
    disk.empty()?;
    let stops = as_operator(&here, "host-mended")?;
    until("the stop to be acknowledged", DEADLINE, async || {
        // It stands, and so this ends with 2.
        let shown = here.run(&stops).await?.stdout;
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(words.contains("all sites admin 1 -"), "{shown}");
        Ok(())
    })
    .await?;
    drop(here);
    drop(disk);
    Ok(())
}

#[tokio::test]
async fn a_controller_with_a_full_disk_shows_it_and_goes_on_when_there_is_room() -> Result<()> {
    let mut here = issuing().await?;
    here.end("main")?;
    let Some(disk) = Disk::over(&here.path("main"), 96)? else { return Ok(()) };
    here.start_main().await?;
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    disk.fill()?;
    let doctor = here.block("controller-look", 2).await?;
    ensure!(doctor.stdout.contains("BAD  disk"), "{}", doctor.stdout);
    here.opens(HOST).await?;
    disk.empty()?;
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    let doctor = here.block("controller-look", 0).await?;
    ensure!(doctor.stdout.contains("ok   disk: it can be written and synced"), "{}", doctor.stdout);
    here.says(&as_operator(&here, "controller-mended")?, "verified").await?;
    drop(here);
    drop(disk);
    Ok(())
}

/// Puts a certificate of the controller's own CA in its place, that was over yesterday.
fn end_the_certificate(here: &Installation) -> Result<()> {
    let main = here.path("main");
    let read = |name: &str| fs::read_to_string(main.join(name)).context(name.to_owned());
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem")?, KeyPair::from_pem(&read("ca.key")?)?)?;
    let mut over = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let day = Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    (over.not_before, over.not_after) = ((now - 30 * day).into(), (now - day).into());
    fs::write(main.join("tls.pem"), over.signed_by(&KeyPair::from_pem(&read("tls.key")?)?, &issuer)?.pem())?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_is_over_is_renewed_while_it_is_served() -> Result<()> {
    let here = issuing().await?;
    end_the_certificate(&here)?;
    until("nobody to reach the controller any more", DEADLINE, async || {
        let output = here.run(&format!("sekisho sites {MAIN}")).await?;
        ensure!(!output.success(), "{}", output.stdout);
        Ok(())
    })
    .await?;
    let doctor = here.block("ends", 2).await?;
    ensure!(doctor.stdout.contains("BAD  ends"), "{}", doctor.stdout);
    here.block("renew", 0).await?;
    until("the controller to be reached again", DEADLINE, async || here.permit(MAIN).await.map(drop)).await?;
    ensure!(here.log("main")?.contains("another TLS certificate is served"), "{}", here.log("main")?);
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    here.opens(HOST).await?;
    here.block("ends", 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_controller_is_restored_from_the_backup_of_the_night() -> Result<()> {
    let mut here = issuing().await?;
    here.ok("mkdir kept && cp -a main/keys main/tls.key main/ca.key kept/").await?;
    here.block("backup", 0).await?;
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    here.end("main")?;
    here.ok("mv main lost").await?;
    here.block("restore", 0).await?;
    // A token file is in no backup; the token itself is.
    here.ok("cp -p lost/admin.token main/").await?;
    here.start_main().await?;
    // The page sends whoever restores on to the other page.
    here.notices_that_it_was_set_back().await?;
    here.ok(&format!("sekisho looked-at --note 'Restored; tokens and hosts were compared.' {MAIN}")).await?;
    let before = here.permit(MAIN).await?;
    here.is_permitted_after(before).await?;
    here.opens(HOST).await
}

#[test]
fn every_command_of_the_page_is_run() -> Result<()> {
    all_are_named(PAGE, include_str!("operations_disk.rs"))
}
