//! A whole fleet on one machine: release managers, a controller, and every host with its agent.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use manifests::digest::Digest;
use manifests::durable;
use manifests::id::{HostId, SiteCode};

use crate::baseline_text::{self, PRODUCT, Rhythm};
use crate::host::{Controllers, Host, Issued, Lock, Setup};
use crate::managers::Managers;
use crate::operator::{Controller, text};
use crate::sites::{self, MUNAKATA, Site, TAKAMATSU};
use crate::trees::{Masters, Release};
use crate::world::{DEADLINE, World, until};

/// Agents that start at the same time.
const STARTING_AT_A_TIME: usize = 6;

/// What a site is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Lacks the fix of 2019.
    Munakata,
    /// Joins late, with the wrong variant.
    Takamatsu,
    /// Its lock is set to `shared`.
    LockShared,
    /// Its lock's key is missing.
    LockMissing,
    /// The fix is on disk, the old process runs.
    NotLoaded,
    /// One module is altered.
    Altered,
    /// Stops reporting.
    Silent,
    /// In order.
    Good,
}

/// One site and its part.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The site.
    pub site: Site,
    /// Its part.
    pub part: Part,
}

impl Planned {
    /// Its hosts, the issuing one first.
    pub fn hosts(&self) -> Vec<HostId> {
        let roles = if self.site.split { &["ap1", "db1"][..] } else { &["ap1"] };
        roles.iter().filter_map(|role| format!("{}-{role}", self.site.code).parse().ok()).collect()
    }

    /// The issuing host.
    ///
    /// # Errors
    /// Never: a site's code and `-ap1` make a host id.
    pub fn ap(&self) -> Result<HostId> {
        self.hosts().into_iter().next().context("a site without a host")
    }
}

/// Which faults the files have. The demo leaves some out to show that it would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Those of Munakata and of the five demo states.
    pub planted: bool,
    /// Takamatsu gets the single-server build.
    pub wrong_variant: bool,
}

impl Faults {
    /// All of them.
    pub const ALL: Faults = Faults { planted: true, wrong_variant: true };
    /// Everything is in order.
    pub const NONE: Faults = Faults { planted: false, wrong_variant: false };
}

/// Gives each site its part: the two cities, and the first single-server sites the faults.
pub fn plan(sites: Vec<Site>) -> Vec<Planned> {
    let mut faults = [Part::LockShared, Part::LockMissing, Part::NotLoaded, Part::Altered, Part::Silent].into_iter();
    sites
        .into_iter()
        .map(|site| {
            let part = match site.code.as_str() {
                MUNAKATA => Part::Munakata,
                TAKAMATSU => Part::Takamatsu,
                _ if !site.split => faults.next().unwrap_or(Part::Good),
                _ => Part::Good,
            };
            Planned { site, part }
        })
        .collect()
}

/// A fleet. Fields end in this order: hosts, then the controller, then the files.
pub struct Fleet {
    /// Hosts prepared, by id.
    pub hosts: BTreeMap<HostId, Host>,
    /// The controller in service.
    pub controller: Controller,
    /// The standby, where there is one.
    pub standby: Option<Controller>,
    /// The release managers.
    pub managers: Managers,
    /// What is installed where.
    pub masters: Masters,
    /// Every site and its part.
    pub plan: Vec<Planned>,
    /// What agents are installed with.
    pub controllers: Controllers,
    /// Times of the gates.
    pub rhythm: Rhythm,
    /// Where all of it lies.
    pub world: Arc<World>,
}

impl Fleet {
    /// Everything but the hosts' processes: keys, baseline and registry signed and published, a
    /// controller that serves them, and the files of all hosts. Takamatsu is not in the registry yet.
    ///
    /// # Errors
    /// If a program refuses, or a file cannot be made.
    pub async fn found(world: Arc<World>, plan: Vec<Planned>, faults: Faults, note: impl Fn(&str)) -> Result<Self> {
        note("files of every release");
        let masters = Masters::make(&world.path().join("masters"), &world.program("issuingd"))?;
        note("files of every host");
        let mut hosts = BTreeMap::new();
        for (index, planned) in plan.iter().enumerate() {
            for id in planned.hosts() {
                let setup = setup(planned, &id, index, faults);
                hosts.insert(id.clone(), Host::prepare(&world, &masters, id, setup)?);
                // A signal is seen between two hosts.
                tokio::task::yield_now().await;
            }
            let Some(ap) = hosts.get(&planned.ap()?) else { continue };
            match planned.part {
                Part::Altered if faults.planted => ap.alter_module()?,
                // Its own copies of what will change, so that a change touches no other host's files.
                Part::Munakata | Part::NotLoaded if faults.planted => ap.install(&masters, Release::Unfixed)?,
                _ => {}
            }
        }
        note("two controllers, three release managers");
        let data = Controller::init(&world, "main", PRODUCT).await?;
        let standby = Controller::init(&world, "standby", PRODUCT).await?;
        let public = [data.join("controller.json"), standby.join("controller.json")];
        let managers = Managers::new(&world, PRODUCT, &public).await?;
        note("baseline and registry, signed by two of three");
        let rhythm = Rhythm::for_hosts(hosts.len());
        managers.edit("baseline.toml", |_| baseline_text::baseline(rhythm))?;
        for release in Release::ALL {
            managers.capture(&masters, release).await?;
        }
        managers.edit("baseline.toml", |text| baseline_text::place_releases(&text))?;
        managers.edit("registry.toml", |text| {
            let early = plan.iter().filter(|planned| planned.part != Part::Takamatsu);
            early.fold(text, |text, planned| text + &baseline_text::registry_entry(&planned.site))
        })?;
        managers.sign_by_two().await?;
        // Installed from the release managers' hands, not from a controller.
        let root = world.path().join("root.json");
        std::fs::copy(managers.first_root(), &root)?;
        let controller = Controller::start(&world, data, root.clone()).await?;
        managers.publish(&controller).await?;
        let controllers =
            Controllers { product: PRODUCT.to_owned(), urls: vec![controller.url()], ca: controller.ca(), root };
        Ok(Self { hosts, controller, standby: None, managers, masters, plan, controllers, rhythm, world })
    }

    /// Starts the standby, which follows the controller in service and has the same set, and has agents that are
    /// enrolled from here on know both.
    ///
    /// # Errors
    /// If it does not come up, or does not take the set.
    pub async fn start_standby(&mut self) -> Result<Controller> {
        let data = self.world.path().join("standby");
        let viewer = self.world.path().join("standby-viewer.token");
        let main = text(self.controller.data())?;
        let token = self
            .world
            .run("sekisho-controller", &["token", "operator", "standby", "--role", "viewer", "--data", main])
            .await?;
        durable::replace(&viewer, token.as_bytes(), durable::PRIVATE)?;
        let (url, ca) = (self.controller.url(), self.controller.ca());
        let follow = ["--follow", &url, "--follow-ca", text(&ca)?, "--follow-token-file", text(&viewer)?];
        let follow = follow.map(str::to_owned).to_vec();
        let standby = Controller::start_with(&self.world, data, self.controllers.root.clone(), follow).await?;
        self.managers.publish(&standby).await?;
        let both = self.world.path().join("both-ca.pem");
        let cas = [fs::read(self.controller.ca())?, fs::read(standby.ca())?].concat();
        fs::write(&both, cas)?;
        self.controllers.ca = both;
        self.controllers.urls.push(standby.url());
        Ok(standby)
    }

    /// The hosts of all sites but Takamatsu, or of that one.
    pub fn host_ids(&self, late: bool) -> Vec<HostId> {
        let chosen = self.plan.iter().filter(|planned| (planned.part == Part::Takamatsu) == late);
        chosen.flat_map(Planned::hosts).collect()
    }

    /// Starts `issuingd` and the agent of each host, a few at a time; `each` is told of every one that is up.
    ///
    /// # Errors
    /// If one does not come up.
    pub async fn start_hosts(&mut self, ids: &[HostId], faults: Faults, each: impl Fn(&HostId)) -> Result<()> {
        let names: Vec<&str> = ids.iter().map(HostId::as_str).collect();
        let tokens: BTreeMap<String, String> = self.controller.host_tokens(&names).await?.into_iter().collect();
        let unloaded = self.plan.iter().find(|planned| planned.part == Part::NotLoaded).map(Planned::ap).transpose()?;
        let (controllers, masters) = (&self.controllers, &self.masters);
        let starting = self.hosts.iter_mut().filter(|(id, _)| ids.contains(id)).map(|(id, host)| {
            let token = tokens.get(id.as_str());
            let fix_after_start = faults.planted && unloaded.as_ref() == Some(id);
            let each = &each;
            async move {
                if host.issues() {
                    host.start_issuer().await?;
                }
                if fix_after_start {
                    // The fix reaches the disk while the old process runs on.
                    host.install(masters, Release::Fixed)?;
                }
                host.enrol(controllers, token.context("no token was made")?).await?;
                host.start_agent().await?;
                each(id);
                anyhow::Ok(())
            }
        });
        let mut starting = futures_util::stream::iter(starting).buffer_unordered(STARTING_AT_A_TIME);
        while let Some(started) = starting.next().await {
            started?;
        }
        Ok(())
    }

    /// One host.
    ///
    /// # Errors
    /// If there is none of that id.
    pub fn host(&self, id: &HostId) -> Result<&Host> {
        self.hosts.get(id).with_context(|| format!("no host {id}"))
    }

    /// One host, to act on it.
    ///
    /// # Errors
    /// If there is none of that id.
    pub fn host_mut(&mut self, id: &HostId) -> Result<&mut Host> {
        self.hosts.get_mut(id).with_context(|| format!("no host {id}"))
    }

    /// Waits until the gate of a host opens.
    ///
    /// # Errors
    /// If it does not.
    pub async fn issues(&self, id: &HostId) -> Result<()> {
        until(&format!("the gate of {id} to open"), DEADLINE, async || {
            let answer = self.host(id)?.ask_gate().await?;
            ensure!(answer == Issued::Certificate, "{answer}");
            Ok(())
        })
        .await
    }

    /// Waits until the gate of a host holds for `code`, and sees no 200 on the way.
    ///
    /// # Errors
    /// If it opens, or does not hold for that in time: what it answered last.
    pub async fn holds(&self, id: &HostId, what: &str, code: &str, within: Duration) -> Result<()> {
        let held = until(&format!("{what}: {code}"), within, async || {
            let answer = self.host(id)?.ask_gate().await?;
            ensure!(answer == Issued::Certificate || answer.is_refused_for(code), "{answer}");
            Ok(answer != Issued::Certificate)
        })
        .await?;
        ensure!(held, "{what}: the gate of {id} opened");
        Ok(())
    }

    /// Waits until the gate of a host holds for `code`, whatever it answers before.
    ///
    /// # Errors
    /// If it does not within that time: what it answered last.
    pub async fn holds_at_last(&self, id: &HostId, code: &str, within: Duration) -> Result<()> {
        until(&format!("the gate of {id} to hold for {code}"), within, async || {
            let answer = self.host(id)?.ask_gate().await?;
            ensure!(answer.is_refused_for(code), "{answer}");
            Ok(())
        })
        .await
    }

    /// Publishes a newer baseline, which changes something for one good split site alone; its digest.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn publish_newer(&self) -> Result<Digest> {
        let other = self.good(true).next().context("no split site")?.site.code.clone();
        self.managers.edit("baseline.toml", |text| baseline_text::next_baseline(&text, other.as_str()))?;
        self.managers.sign_by_two().await?;
        self.managers.publish(&self.controller).await?;
        Ok(self.controller.fleet().await?.baseline.context("no baseline")?.digest)
    }

    /// The first site with that part.
    ///
    /// # Errors
    /// If none has it.
    pub fn part(&self, part: Part) -> Result<&Planned> {
        self.plan.iter().find(|planned| planned.part == part).with_context(|| format!("no site plays {part:?}"))
    }

    /// Sites in order, `split` or not, in code order.
    pub fn good(&self, split: bool) -> impl Iterator<Item = &Planned> {
        self.plan.iter().filter(move |planned| planned.part == Part::Good && planned.site.split == split)
    }

    /// The site of that code.
    ///
    /// # Errors
    /// If it is not planned.
    pub fn site(&self, code: &SiteCode) -> Result<&Planned> {
        self.plan.iter().find(|planned| planned.site.code == *code).with_context(|| format!("no site {code}"))
    }

    /// Where the programs' logs are.
    pub fn logs(&self) -> PathBuf {
        self.world.path().join("logs")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All are told before any is waited for: ending hundreds one by one takes half a minute.
        self.hosts.values_mut().for_each(Host::end);
    }
}

/// A small fleet for a test: founded, nothing at fault, no host started.
///
/// # Errors
/// As [`Fleet::found`].
pub async fn small(sites: usize) -> Result<Fleet> {
    let plan = plan(sites::choose(sites, 3)?);
    Fleet::found(Arc::new(World::new()?), plan, Faults::NONE, |_| {}).await
}

/// How one host is set up. `index` spreads what is not judged here: some sites run the older
/// release with a linkage that the fix does not concern.
fn setup(planned: &Planned, id: &HostId, index: usize, faults: Faults) -> Setup {
    let split = planned.site.split;
    if id.as_str().ends_with("-db1") {
        return Setup { release: Release::Register, lock: Lock::Exclusive, linkage: "batch" };
    }
    let fixed = if split { Release::FixedSplit } else { Release::Fixed };
    let good = Setup { release: fixed, lock: Lock::Exclusive, linkage: "on-demand-2" };
    match planned.part {
        Part::LockShared if faults.planted => Setup { lock: Lock::Shared, ..good },
        Part::LockMissing if faults.planted => Setup { lock: Lock::Missing, ..good },
        Part::Munakata | Part::NotLoaded if faults.planted => Setup { release: Release::Unfixed, ..good },
        Part::Takamatsu if faults.wrong_variant => Setup { release: Release::Fixed, ..good },
        Part::Good if index % 7 == 6 => {
            let unfixed = if split { Release::UnfixedSplit } else { Release::Unfixed };
            Setup { release: unfixed, linkage: "batch", ..good }
        }
        _ => good,
    }
}
