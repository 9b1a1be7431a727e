//! One issuing host of a small fleet, with somebody between it and the controller.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api::HostRow;
use manifests::digest::Digest;
use manifests::id::HostId;

use crate::baseline_text;
use crate::between::Between;
use crate::fleet::{Faults, Fleet, Part, small};
use crate::host::Issued;
use crate::world::until;

/// How long anything may take that a program does by itself.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// A fleet in which everything is in order.
pub const NO_FAULTS: Faults = Faults { planted: false, wrong_variant: false };

/// The host, its fleet, and who stands between.
pub struct Case {
    /// Nobody else of it runs.
    pub fleet: Fleet,
    /// What the agent takes for the controller.
    pub between: Between,
    /// The host.
    pub ap: HostId,
}

impl Case {
    /// Founded; nothing runs but the controller and the one between.
    ///
    /// # Errors
    /// As [`small`].
    pub async fn new() -> Result<Self> {
        let mut fleet = small(6).await?;
        let between = Between::start(&fleet.world, &fleet.controller).await?;
        fleet.controllers.urls = vec![between.url()];
        fleet.controllers.ca = between.ca();
        let ap = fleet.part(Part::Munakata)?.ap()?;
        Ok(Self { fleet, between, ap })
    }

    /// Enrols and starts the agent, beside its issuing program.
    ///
    /// # Errors
    /// If either does not come up.
    pub async fn start(&mut self) -> Result<()> {
        self.fleet.start_hosts(std::slice::from_ref(&self.ap), NO_FAULTS, |_| {}).await
    }

    /// Waits until the gate opens.
    ///
    /// # Errors
    /// If it does not.
    pub async fn issues(&self) -> Result<()> {
        until("the gate to open", DEADLINE, async || {
            let answer = self.fleet.host(&self.ap)?.ask_gate().await?;
            ensure!(answer == Issued::Certificate, "{answer}");
            Ok(())
        })
        .await
    }

    /// How long a permit counts.
    pub fn permit_ttl(&self) -> Duration {
        Duration::from_secs(self.fleet.rhythm.permit_ttl_s)
    }

    /// What the controller shows of the host.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn row(&self) -> Result<HostRow> {
        let rows = self.fleet.controller.hosts().await?;
        rows.into_iter().find(|row| row.host == self.ap).context("the host is not shown")
    }

    /// The agent's state directory.
    ///
    /// # Errors
    /// If there is no such host.
    pub fn state(&self) -> Result<PathBuf> {
        Ok(self.fleet.host(&self.ap)?.own().join("state"))
    }

    /// Changes the state directory while the agent is down.
    ///
    /// # Errors
    /// If the change fails, or the agent does not come up.
    pub async fn restart(&mut self, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let state = self.state()?;
        let host = self.fleet.host_mut(&self.ap)?;
        if host.agent().is_ok() {
            host.kill_agent()?;
        }
        change(&state)?;
        host.start_agent().await
    }

    /// A permit opens the gate as it arrives and is on disk a moment later.
    ///
    /// # Errors
    /// If it is not, in time.
    pub async fn permit_on_disk(&self) -> Result<()> {
        let path = self.state()?.join("permit.json");
        until("the permit to be on disk", DEADLINE, async || {
            ensure!(path.exists(), "it is not");
            Ok(())
        })
        .await
    }

    /// The baseline under which the controller sees the agent.
    ///
    /// # Errors
    /// If the controller does not answer.
    pub async fn under(&self) -> Result<Option<Digest>> {
        Ok(self.row().await?.baseline)
    }

    /// Publishes a newer baseline that changes nothing for the host; its digest.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn publish_newer(&self) -> Result<Digest> {
        let other = self.fleet.good(true).next().context("no split site")?.site.code.clone();
        let managers = &self.fleet.managers;
        managers.edit("baseline.toml", |text| baseline_text::next_baseline(&text, other.as_str()))?;
        managers.sign_by_two().await?;
        managers.publish(&self.fleet.controller).await?;
        Ok(self.fleet.controller.fleet().await?.baseline.context("no baseline")?.digest)
    }

    /// Waits until the agent runs under that baseline, and issues.
    ///
    /// # Errors
    /// If it does not.
    pub async fn is_under(&self, baseline: Digest) -> Result<()> {
        until("the agent to run under the newer baseline", DEADLINE, async || {
            ensure!(self.under().await? == Some(baseline), "not yet");
            Ok(())
        })
        .await?;
        self.issues().await
    }

    /// Waits until the gate holds for `code`, and sees no 200 on the way.
    ///
    /// # Errors
    /// If it does not hold in time: what it answered last.
    ///
    /// # Panics
    /// If it opens.
    pub async fn holds(&self, what: &str, code: &str, deadline: Duration) -> Result<()> {
        until(&format!("{what}: {code}"), deadline, async || {
            let answer = self.fleet.host(&self.ap)?.ask_gate().await?;
            assert_ne!(answer, Issued::Certificate, "{what} opened the gate");
            ensure!(matches!(&answer, Issued::Refused(codes) if codes.iter().any(|found| found == code)), "{answer}");
            Ok(())
        })
        .await
    }

    /// Waits until the gate holds for `code`.
    ///
    /// # Errors
    /// If it does not within `deadline`: what it answered last.
    pub async fn holds_at_last(&self, code: &str, deadline: Duration) -> Result<()> {
        until(&format!("a hold for {code}"), deadline, async || {
            let answer = self.fleet.host(&self.ap)?.ask_gate().await?;
            ensure!(matches!(&answer, Issued::Refused(codes) if codes.iter().any(|found| found == code)), "{answer}");
            Ok(())
        })
        .await
    }
}
