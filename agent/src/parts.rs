//! What the agent's tasks share, and how the gate's effects are carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use manifests::api;
use manifests::chain::chain;
use manifests::digest::Digest;
use manifests::enrolment::Enrolled;
use manifests::envelope::{EnvelopeError, Sealed, Verified};
use manifests::evidence::{ConfigPrint, Cover, State, StateDigests};
use manifests::gate::{CLOCK_DRIFT_MAX, Clocks, Effect, Event};
use manifests::id::ItemId;
use manifests::key::{KeyId, PublicKey, SigningKey};
use manifests::permit::{SealedPermit, VerifiedPermit};
use manifests::stop::{Acknowledgement, Stop, StopRef};
use manifests::time::Time;
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

use crate::acknowledge::Unknown;
use crate::client::{Controllers, Session};
use crate::clock;
use crate::config::Config;
use crate::identity::Identity;
use crate::keeper::Keeper;
use crate::state::{KeptStop, Sent, StateDirectory, envelope_json};
use crate::troubles::{Telling, Troubles};
use crate::trust::{Trust, TrustedSet};
use crate::writer::{self, Writer};

/// Everything the tasks of one agent share.
pub struct Parts {
    /// Checked configuration.
    pub config: Config,
    /// The state directory. While tasks run, the writer alone writes to it.
    pub state: StateDirectory,
    /// The gate.
    pub keeper: Arc<Keeper>,
    /// The way to controllers.
    pub client: Controllers,
    /// The way to signed sets.
    pub trust: Trust,
    /// The host's key; none before enrolment.
    pub key: Option<SigningKey>,
    /// What documents say of the host.
    pub identity: Identity,
    /// Asks for a look at the host.
    pub look: Notify,
    /// Tells that everything is watched that the sets name.
    pub watch_stands: Notify,
    /// Asks for a document to be sent.
    pub report: Notify,
    /// Asks for the repository to be followed.
    pub follow: Notify,
    /// Asks for stops to be acknowledged.
    pub acknowledge: Notify,
    /// Bearer of the newest receipt.
    pub session: watch::Sender<Option<Session>>,
    shared: Mutex<Shared>,
    /// Held while a controller is handed what it does not know.
    pub handing_in: tokio::sync::Mutex<()>,
    /// Held while file lists are handed in, which may take longer than a heartbeat.
    pub handing_in_lists: tokio::sync::Mutex<()>,
    /// What is kept on disk.
    pub writer: Writer,
    /// The highest number of a permit that is kept on disk: a host that names a lower one than before looks like
    /// a copy of itself, so that none above is named.
    pub kept_permit: AtomicU64,
    /// Held while sets come and go: one that is new must not be dropped before the gate names it.
    sets: Mutex<()>,
}

/// What changes while the agent runs.
#[derive(Default)]
pub struct Shared {
    /// Verified sets by their baseline: those that the gate names, and the newest.
    pub sets: BTreeMap<Digest, Arc<TrustedSet>>,
    /// The set verified last.
    pub newest: Option<Arc<TrustedSet>>,
    /// The newest pass under each of them, by baseline.
    pub seen: BTreeMap<Digest, Arc<Seen>>,
    /// The newest permit of each controller, by the key that signed it: what a controller that was set back does not
    /// know is not the newest any more once another one has answered.
    pub permits: BTreeMap<KeyId, (u64, SealedPermit)>,
    /// What a controller asked for and has not got yet, by its address: the number, and the newest permits when it
    /// asked. Those that came since say nothing of what it had forgotten.
    pub asked_permits: BTreeMap<String, (u64, Vec<SealedPermit>)>,
    /// A controller's word for this host's key, to be shown to one that does not know it.
    pub enrolment: Option<Sealed<Enrolled>>,
    /// Every stop that this host knows, on disk or not yet, with the key that signed it.
    pub stops: BTreeMap<Digest, HeldStop>,
    /// Stops that are to be written.
    pub storing: BTreeSet<Digest>,
    /// Stops on disk that no controller has the acknowledgement of.
    pub unacknowledged: Vec<KeptStop>,
    /// Which of them the controller did not know.
    pub unknown: Unknown,
    /// Stops that are not on disk yet.
    pub unstored: Vec<KeptStop>,
    /// How changes are noticed, in words.
    pub watching: String,
    /// Why not every process of the host can be seen, in words, and what is missing.
    pub processes: Option<&'static str>,
    /// When a controller last answered.
    pub contact: Option<Time>,
    /// The last thing that went wrong, in words, and when.
    pub trouble: Option<(Time, String)>,
    troubles: Troubles,
}

/// A stop and the key that signed it: it was in the registry when the stop came.
#[derive(Clone, Debug)]
pub struct HeldStop {
    /// The stop.
    pub stop: Verified<Stop>,
    /// The key.
    pub key: PublicKey,
}

impl HeldStop {
    /// The length of its payload.
    pub fn bytes(&self) -> usize {
        self.stop.sealed().payload_bytes()
    }
}

/// What one pass saw under one baseline.
#[derive(Debug)]
pub struct Seen {
    /// What appraisal read.
    pub state: State,
    /// Its digests.
    pub digest: StateDigests,
    /// For the cover.
    pub configs: BTreeMap<ItemId, ConfigPrint>,
    /// File lists by digest, as they are sent.
    pub lists: BTreeMap<Digest, Arc<Vec<u8>>>,
    /// When the pass began.
    pub started: Clocks,
}

impl Seen {
    /// What a pass saw that began at `started`.
    pub fn new(
        state: State,
        configs: BTreeMap<ItemId, ConfigPrint>,
        lists: BTreeMap<Digest, Arc<Vec<u8>>>,
        started: Clocks,
    ) -> Self {
        Self { digest: StateDigests::of(&state), state, configs, lists, started }
    }

    /// The cover of a document of `now` that says `sent`, and `stops` as the newest ones known.
    pub fn cover(&self, identity: &Identity, baseline: Digest, sent: Sent, stops: Vec<StopRef>, now: Clocks) -> Cover {
        Cover {
            sequence: sent.sequence,
            permit: sent.permit,
            stops,
            configs: self.configs.clone(),
            lists: self.lists.keys().copied().collect(),
            ..identity.cover(now, self.started.wall, baseline)
        }
    }
}

impl Parts {
    /// Parts with nothing seen or trusted yet, and their writing thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(
        config: Config,
        state: StateDirectory,
        keeper: Arc<Keeper>,
        client: Controllers,
        trust: Trust,
        key: Option<SigningKey>,
        identity: Identity,
    ) -> std::io::Result<Arc<Self>> {
        let (writer, jobs) = writer::new();
        let parts = Arc::new(Self {
            config,
            state,
            keeper,
            client,
            trust,
            key,
            identity,
            look: Notify::new(),
            watch_stands: Notify::new(),
            report: Notify::new(),
            follow: Notify::new(),
            acknowledge: Notify::new(),
            session: watch::channel(None).0,
            shared: Mutex::new(Shared::default()),
            handing_in: tokio::sync::Mutex::default(),
            handing_in_lists: tokio::sync::Mutex::default(),
            writer,
            kept_permit: AtomicU64::new(0),
            sets: Mutex::new(()),
        });
        jobs.start(Arc::downgrade(&parts))?;
        Ok(parts)
    }

    /// What changes. Each change is whole when the lock is given back, so a panic elsewhere harms nothing here.
    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sets that rule or will: the one in use first.
    pub fn sets(&self) -> Vec<Arc<TrustedSet>> {
        let named = self.named_sets();
        let shared = self.shared();
        named.iter().filter_map(|baseline| shared.sets.get(baseline).cloned()).collect()
    }

    /// Version of the newest `timestamp.json` verified; 0 before the first.
    pub fn newest_timestamp(&self) -> u64 {
        self.shared().newest.as_ref().map_or(0, |set| set.timestamp)
    }

    /// The baselines of the set in use and of the set to come.
    fn named_sets(&self) -> Vec<Digest> {
        let named = self.keeper.read(|gate| [gate.active(), gate.candidate()].map(|set| set.map(|set| set.baseline)));
        named.into_iter().flatten().flatten().collect()
    }

    /// Whether the clocks moved apart since the newest pass: it is dated by a clock that was wrong then
    /// or is wrong now, and only a new pass can be judged.
    pub fn have_clocks_moved_since_pass(&self) -> bool {
        let now = clock::now();
        let newest = self.shared().seen.values().map(|seen| seen.started).max_by_key(|started| started.boot_ms);
        newest.is_some_and(|then| {
            let wall = now.wall.unix_ms() - then.wall.unix_ms();
            let boot = i64::try_from(now.boot_ms.saturating_sub(then.boot_ms)).unwrap_or(i64::MAX);
            wall.abs_diff(boot) > CLOCK_DRIFT_MAX.as_ms()
        })
    }

    /// For as long as it is held, no set comes or goes. Nothing is written to a disk under it.
    pub fn holding_sets(&self) -> MutexGuard<'_, ()> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The controllers' keys for permits and stops.
    pub fn permit_keys(&self) -> Vec<PublicKey> {
        self.sets().iter().flat_map(|set| set.registry.permit_keys().cloned().collect::<Vec<_>>()).collect()
    }

    /// Notes trouble for the log and for whoever asks.
    pub fn trouble(&self, what: &str, error: &(dyn std::error::Error + 'static)) {
        self.trouble_is(format!("{what}: {}", chain(error)));
    }

    /// The same, in words. What comes again and again is told once, then how often.
    pub fn trouble_is(&self, text: String) {
        let mut shared = self.shared();
        match shared.troubles.note(&text, Instant::now()) {
            Telling::New => warn!("{text}"),
            Telling::Again { count, within } => warn!(count, within_s = within.as_secs(), "again: {text}"),
            Telling::NotNow => debug!("{text}"),
        }
        shared.trouble = Some((clock::now().wall, text));
    }

    /// Keeps it among [`Shared::permits`].
    pub fn keep_newest(&self, permit: &VerifiedPermit) {
        let newest = (permit.number, permit.sealed().clone());
        let mut shared = self.shared();
        // Keys that the registry had once are few.
        match shared.permits.get_mut(permit.signer()) {
            Some(known) if known.0 < newest.0 => *known = newest,
            Some(_) => {}
            None => drop(shared.permits.insert(permit.signer().clone(), newest)),
        }
    }

    /// A controller's word for this host's key came with a receipt: kept if it is one.
    pub fn enrolled(&self, word: Sealed<Enrolled>) {
        let sets = self.sets();
        let verified = sets.iter().find_map(|set| set.registry.verify_enrolled(word.clone()).ok());
        let own = self.key.as_ref().map(SigningKey::public);
        let is_ours = |word: &Enrolled| {
            word.product == self.config.product && word.host == self.config.host && Some(&word.key) == own
        };
        if let Some(word) = verified.filter(|word| is_ours(word)) {
            self.shared().enrolment = Some(word.sealed().clone());
            self.writer.enrolment(word.sealed().clone());
        }
    }

    /// Shows the word to the controller asked next, which does not know this host's key. Says whether it counts there.
    pub async fn show_enrolment(&self) -> bool {
        let Some(word) = self.shared().enrolment.clone() else { return false };
        match self.client.post::<()>(api::CARRIED, envelope_json(&word)).await {
            Ok(()) => {
                info!("this host's key is carried over to another controller");
                true
            }
            Err(error) => {
                self.trouble("the word for this host's key does not count there", &error);
                false
            }
        }
    }

    /// A permit arrived, from a receipt or the stream.
    pub fn permit(&self, sealed: SealedPermit) {
        let event = match sealed.verify(&self.permit_keys()) {
            Ok(permit) => {
                info!(number = permit.number, verdict = ?permit.verdict, "permit received");
                self.keep_newest(&permit);
                Event::Permit(permit)
            }
            Err(error) => {
                self.trouble("a permit is refused", &error);
                self.follow.notify_one(); // The registry may have a new controller's key by now.
                Event::PermitUnverified
            }
        };
        self.step(event);
    }

    /// A stop arrived.
    pub fn stop(&self, sealed: Sealed<Stop>) {
        let keys = self.permit_keys();
        // The key itself is kept with the stop: by the time it is to be stored, the registry in use may list it no more.
        let verified = sealed.verify(&keys).and_then(|stop| {
            let key = keys.iter().find(|key| key.id() == *stop.signer()).ok_or(EnvelopeError::Signature)?;
            Ok((stop, key.clone()))
        });
        let (stop, key) = match verified {
            Ok(verified) => verified,
            Err(error) => {
                self.trouble("a stop is refused", &error);
                self.follow.notify_one(); // The registry may have a new controller's key by now.
                return;
            }
        };
        let effects = self.keeper.step(Event::Stop(stop.clone()));
        if effects.is_empty() {
            self.known_stop(stop, key);
            return;
        }
        warn!(number = stop.number, reason = ?stop.reason, "stop received");
        for effect in effects {
            match effect {
                Effect::StoreStop(stop) => self.store_stop(stop, key.clone()),
                other => self.carry_out(vec![other]),
            }
        }
    }

    /// Lets something happen to the gate and carries out what follows. Waits for no disk.
    pub fn step(&self, event: Event) {
        let effects = self.keeper.step(event);
        self.carry_out(effects);
    }

    /// Carries out effects, or has them carried out.
    pub fn carry_out(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::StorePermit(_) => self.writer.permit(),
                // Of a stop that came, and there the key is at hand. It holds in any case.
                Effect::StoreStop(stop) => {
                    self.trouble_is(format!("stop {} counts until a restart: nobody has the key with it", stop.number));
                }
                Effect::Switch(_) => self.switch(),
                Effect::Collect => self.look.notify_one(),
                Effect::Report => self.report.notify_one(),
            }
        }
    }

    /// A stop came again: its controller does not know that it is on disk here. It is written once more, and
    /// acknowledged then; at once, if it waits to be acknowledged and is known by now.
    fn known_stop(&self, stop: Verified<Stop>, key: PublicKey) {
        let digest = stop.digest();
        if self.shared().unknown.is_known(&digest) {
            self.acknowledge.notify_one();
        }
        let is_under_way = {
            let shared = self.shared();
            !shared.stops.contains_key(&digest)
                || shared.storing.contains(&digest)
                || shared.unstored.iter().any(|waiting| waiting.stop.digest() == digest)
                || shared.unacknowledged.iter().any(|waiting| waiting.stop.digest() == digest)
        };
        if !is_under_way {
            self.store_stop(stop, key);
        }
    }

    /// Has a stop stored with the key that verified it. It acts already, and is acknowledged only when it is on disk.
    pub fn store_stop(&self, stop: Verified<Stop>, key: PublicKey) {
        {
            let mut shared = self.shared();
            let held = HeldStop { stop: stop.clone(), key: key.clone() };
            shared.stops.entry(stop.digest()).or_insert(held);
            shared.storing.insert(stop.digest());
        }
        self.writer.stop(stop, key);
    }

    fn switch(&self) {
        {
            let _holding = self.holding_sets();
            let named = self.named_sets();
            let mut shared = self.shared();
            shared.sets.retain(|baseline, _| named.contains(baseline));
            shared.seen.retain(|baseline, _| named.contains(baseline));
        }
        self.writer.activate();
    }

    /// The set in use at this moment.
    pub fn set_in_use_now(&self) -> Option<Arc<TrustedSet>> {
        let baseline = self.keeper.read(|gate| gate.active().map(|set| set.baseline)).flatten()?;
        self.shared().sets.get(&baseline).cloned()
    }

    /// An acknowledgement of a stop on disk, sealed with the host's key; none before enrolment.
    pub fn acknowledgement(&self, stop: &Verified<Stop>) -> Option<Sealed<Acknowledgement>> {
        let document = Acknowledgement {
            product: self.config.product.clone(),
            host: self.config.host.clone(),
            stop: StopRef { number: stop.number, digest: stop.digest() },
            time: clock::now().wall,
        };
        Sealed::seal(&document, self.key.as_ref()?).ok()
    }
}
