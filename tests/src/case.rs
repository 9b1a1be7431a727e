//! One issuing host of a small fleet, with somebody between it and the controller.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use manifests::api::HostRow;
use manifests::digest::Digest;
use manifests::id::HostId;

use crate::between::Between;
use crate::fleet::{Faults, Fleet, Part, small};
use crate::world::{DEADLINE, until};

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
        self.fleet.start_hosts(std::slice::from_ref(&self.ap), Faults::NONE, |_| {}).await
    }

    /// Waits until the gate opens.
    ///
    /// # Errors
    /// If it does not.
    pub async fn issues(&self) -> Result<()> {
        self.fleet.issues(&self.ap).await
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
        self.fleet.controller.host_row(&self.ap).await
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
    /// If it opens, or does not hold for that in time: what it answered last.
    pub async fn holds(&self, what: &str, code: &str, within: Duration) -> Result<()> {
        self.fleet.holds(&self.ap, what, code, within).await
    }

    /// Waits until the gate holds for `code`.
    ///
    /// # Errors
    /// If it does not within that time: what it answered last.
    pub async fn holds_at_last(&self, code: &str, within: Duration) -> Result<()> {
        self.fleet.holds_at_last(&self.ap, code, within).await
    }
}
