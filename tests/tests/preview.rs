//! Row 40 of the fault catalogue: a baseline with one wrong digest. Its signer is told whom it would hold
//! before it is signed, and what is told comes true.

use std::fs;

use anyhow::{Context, Result, ensure};
use manifests::api::Standing;
use manifests::digest::Digest;
use manifests::id::HostId;
use tests::baseline_text::{NEXT_VERSION, VERSION};
use tests::fleet::{Faults, Fleet, Part, small};
use tests::trees::Release;
use tests::world::{DEADLINE, until};

/// Puts a tree into the baseline in place of that of `release`, with one digit of one of its files wrong.
fn mistype(fleet: &Fleet, release: Release) -> Result<()> {
    let directory = fleet.managers.directory();
    let text = fs::read_to_string(directory.join("baseline.toml"))?;
    let of_release = text.split("[[program.release]]").find(|part| {
        let variant = part.split('\n').find(|line| line.starts_with("variant")).unwrap_or_default();
        let is_variant = release.variant().map_or(variant.is_empty(), |name| variant.contains(name));
        part.contains(&format!("version = \"{}\"", release.version())) && is_variant && part.contains("tree = ")
    });
    let tree = of_release.and_then(|part| part.split("sha256:").nth(1)).and_then(|rest| rest.get(..64));
    let tree = tree.context("the release is not in the baseline")?.to_owned();
    let list = fs::read_to_string(directory.join("files").join(&tree))?;
    let wrong = if list.starts_with('0') { "1" } else { "0" };
    let list = format!("{wrong}{}", list.get(1..).unwrap_or_default());
    let digest = Digest::of(list.as_bytes());
    fs::write(directory.join("files").join(digest.hex()), list)?;
    fleet.managers.edit("baseline.toml", |text| text.replace(&tree, &digest.hex()).replace(VERSION, NEXT_VERSION))
}

/// Waits until as many of these hosts' sites stand so.
async fn stand(fleet: &Fleet, hosts: &[HostId], standing: Standing) -> Result<()> {
    until("the sites to stand as they should", DEADLINE, async || {
        let view = fleet.controller.fleet().await?;
        for host in hosts {
            let site = view.sites.iter().find(|site| site.code == *host.site()).context("no such site")?;
            ensure!(site.standing == standing, "{site:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wrong_digest_names_every_site_with_that_program_before_it_is_signed() -> Result<()> {
    let mut fleet = small(6).await?;
    let hosts = [fleet.part(Part::LockShared)?.ap()?, fleet.part(Part::LockMissing)?.ap()?];
    fleet.start_hosts(&hosts, Faults::NONE, |_| {}).await?;
    stand(&fleet, &hosts, Standing::Verified).await?;

    mistype(&fleet, Release::Fixed)?;
    let before = fleet.controller.fleet().await?;
    let output = fleet.managers.try_preview(&fleet.controller).await?;
    ensure!(output.success(), "{output:?}");
    let sites = before.counts.sites;
    ensure!(output.stdout.contains(&format!("2 of {sites} sites would be newly held")), "{}", output.stdout);
    for host in &hosts {
        let line = output.stdout.lines().find(|line| line.contains(host.as_str())).context("a host is not named")?;
        ensure!(line.contains("altered issuing-server"), "{line}");
    }
    let after = fleet.controller.fleet().await?;
    ensure!(after.baseline == before.baseline, "{:?}", after.baseline);
    stand(&fleet, &hosts, Standing::Verified).await?;

    // Nobody is at a terminal: it is signed as before, and comes true.
    fleet.managers.sign_by_two().await?;
    fleet.managers.publish(&fleet.controller).await?;
    stand(&fleet, &hosts, Standing::Held).await
}
