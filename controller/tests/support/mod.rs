//! A controller to test with: real server, real keys, port 0, a directory that goes with it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail by panicking")]

pub mod events;
pub mod faults;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use controller::role::Role;
use controller::store::Connection;
use controller::{clock, data::Data, init, serve, token};
use data_encoding::BASE64;
use manifests::api::{self, ErrorBody, Publish, Receipt};
use manifests::digest::Digest;
use manifests::enrolment::Enrolment;
use manifests::envelope::{Document, Sealed};
use manifests::evidence::{Agent, Cover, Evidence, Heartbeat, Held, SettingSeen, State, ValueSeen, v1};
use manifests::id::{HostId, ProductId};
use manifests::key::{PublicKey, SigningKey};
use manifests::stop::{Lift, StopRef};
use manifests::time::{Span, Time};
use manifests::tuf::repository::{LIFTS, REGISTRY, ROOT_LIFE, TARGETS_LIFE, baseline_path, lift_path, sign, unsigned};
use manifests::tuf::{ROOT, Root, SNAPSHOT, TARGETS, TIMESTAMP, Targets, metadata_path};
use manifests::value::Value;
use reqwest::{Client, Method, Response, StatusCode};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const PRODUCT: &str = "convenience-issuance";
pub const AP: &str = "402206-ap1";
pub const DB: &str = "402206-db1";
pub const OTHER: &str = "372013-ap1";
pub const HOSTS: [&str; 3] = [AP, DB, OTHER];
const DEADLINE: Duration = Duration::from_secs(20);

pub fn host(id: &str) -> HostId {
    id.parse().unwrap()
}

/// Waits for a future that must not take for ever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

/// Two release managers of two units, and one more of the first unit.
pub struct Managers {
    pub keys: Vec<SigningKey>,
    units: [&'static str; 3],
}

impl Managers {
    fn new() -> Self {
        Self {
            keys: (0..3).map(|_| SigningKey::generate().unwrap()).collect(),
            units: ["release management", "quality", "release management"],
        }
    }

    fn public(&self) -> Vec<PublicKey> {
        self.keys.iter().map(|key| key.public().clone()).collect()
    }
}

/// What release managers are about to sign.
#[derive(Clone)]
pub struct Draft {
    pub targets_version: u64,
    pub lifts_version: u64,
    pub baseline: String,
    pub registry: String,
    pub lifts: Vec<Lift>,
    /// Who signs targets and lifts, by index.
    pub signers: Vec<usize>,
    pub expires: Time,
}

pub struct World {
    directory: tempfile::TempDir,
    pub managers: Managers,
    /// The standby's permit key, which the registry lists.
    pub standby: SigningKey,
    pub client: Client,
    pub url: String,
    /// Whether to serve with an entrance for operators, and where it is.
    pub own_entrance: bool,
    pub operators_url: Option<String>,
    pub admin: String,
    stop: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl World {
    /// A running controller to which nothing was published yet.
    pub async fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let args =
            init::Args { data: data.clone(), id: "main".parse().unwrap(), product: product(), names: Vec::new() };
        init::run(args).await.unwrap();
        let managers = Managers::new();
        let public = Data::new(&data).public().unwrap();
        let mut root = Root::new(clock::now().after(ROOT_LIFE));
        for role in [ROOT, TARGETS] {
            root.set_role(role, &managers.public(), 2);
        }
        root.set_role(SNAPSHOT, &[public.snapshot_key], 1);
        root.set_role(TIMESTAMP, &[public.timestamp_key], 1);
        let bytes = signed(&unsigned(&root).unwrap(), &managers, &[0, 1]);
        std::fs::write(directory.path().join("root.json"), bytes).unwrap();
        let ca = std::fs::read(data.join("ca.pem")).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .timeout(DEADLINE)
            .build()
            .unwrap();
        let admin = std::fs::read_to_string(data.join("admin.token")).unwrap().trim().to_owned();
        let mut world = Self {
            directory,
            managers,
            standby: SigningKey::generate().unwrap(),
            client,
            url: String::new(),
            own_entrance: false,
            operators_url: None,
            admin,
            stop: CancellationToken::new(),
            task: None,
        };
        world.start().await;
        world
    }

    /// A running controller with a baseline and three hosts.
    pub async fn new() -> Self {
        let world = Self::empty().await;
        let answer = world.publish(&world.draft()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
        world
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn args(&self) -> serve::Args {
        let root = self.directory.path().join("root.json");
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let operators = self.own_entrance.then_some(any);
        serve::Args { data: self.data(), root, listen: any, operators, follow: Default::default() }
    }

    pub async fn start(&mut self) {
        self.stop = CancellationToken::new();
        let stopped = self.stop.clone().cancelled_owned();
        let (ready, address) = tokio::sync::oneshot::channel();
        let args = self.args();
        let task = tokio::spawn(async move { serve::run(args, |at| ready.send(at).unwrap(), stopped).await });
        match soon("the start", address).await {
            Ok(at) => {
                self.url = format!("https://{}", at.listen);
                self.operators_url = at.operators.map(|address| format!("https://{address}"));
            }
            Err(_) => panic!("{:?}", task.await),
        }
        self.task = Some(task);
    }

    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            soon("the stop", task).await.unwrap().unwrap();
        }
    }

    pub fn draft(&self) -> Draft {
        Draft {
            targets_version: 1,
            lifts_version: 0,
            baseline: baseline("1.0.0"),
            registry: self.registry(&HOSTS),
            lifts: Vec::new(),
            signers: vec![0, 1],
            expires: clock::now().after(TARGETS_LIFE),
        }
    }

    pub fn registry(&self, hosts: &[&str]) -> String {
        let public = Data::new(self.data()).public().unwrap();
        let mut text = format!("schema = 1\nproduct = \"{PRODUCT}\"\n");
        for (number, (key, unit)) in self.managers.keys.iter().zip(self.managers.units).enumerate() {
            text += &format!(
                "[[signer]]\nname = \"manager {number}\"\nunit = \"{unit}\"\nkey = \"{}\"\n",
                hex(key.public())
            );
        }
        let log = SigningKey::generate().unwrap();
        text += &format!(
            "[[controller]]\nid = \"main\"\npermit_key = \"{}\"\nlog_key = \"{}\"\n",
            hex(&public.permit_key),
            hex(&public.log_key)
        );
        text += &format!(
            "[[controller]]\nid = \"standby\"\nstandby = true\npermit_key = \"{}\"\nlog_key = \"{}\"\n",
            hex(self.standby.public()),
            hex(log.public())
        );
        let mut sites: Vec<String> = hosts.iter().map(|id| host(id).site().to_string()).collect();
        sites.sort();
        sites.dedup();
        for code in sites {
            text += &format!("[[site]]\ncode = \"{code}\"\nname = {{ en = \"City {code}\", ja = \"市\" }}\n");
        }
        for id in hosts {
            text += &format!("[[host]]\nid = \"{id}\"\nroles = [\"ap\"]\njoined = 2020-04-01T00:00:00+09:00\n");
        }
        text
    }

    /// The files of a draft, signed.
    pub fn signed(&self, draft: &Draft) -> Publish {
        let mut publish = Publish::default();
        let mut add = |path: &str, bytes: &[u8]| {
            publish.targets.insert(path.to_owned(), BASE64.encode(bytes));
        };
        let mut targets = Targets::new(draft.targets_version, draft.expires);
        targets.delegate_lifts(&self.managers.public(), 2);
        for (path, text) in [(baseline_path(PRODUCT), &draft.baseline), (REGISTRY.to_owned(), &draft.registry)] {
            targets.add(&path, text.as_bytes());
            add(&path, text.as_bytes());
        }
        let mut lifts = Targets::new(draft.lifts_version.max(1), draft.expires);
        for (number, lift) in (1..).zip(&draft.lifts) {
            let bytes = serde_json::to_vec(lift).unwrap();
            lifts.add(&lift_path(&lift.stop, number), &bytes);
            add(&lift_path(&lift.stop, number), &bytes);
        }
        let mut metadata = BTreeMap::from([(
            metadata_path(TARGETS, draft.targets_version),
            signed(&unsigned(&targets).unwrap(), &self.managers, &draft.signers),
        )]);
        if draft.lifts_version > 0 {
            let bytes = signed(&unsigned(&lifts).unwrap(), &self.managers, &draft.signers);
            metadata.insert(metadata_path(LIFTS, draft.lifts_version), bytes);
        }
        publish.metadata = metadata.into_iter().map(|(name, bytes)| (name, BASE64.encode(&bytes))).collect();
        publish
    }

    pub async fn publish(&self, draft: &Draft) -> Response {
        self.ask(Method::POST, api::PUBLISH, &self.admin, Some(&self.signed(draft))).await
    }

    pub async fn ask(&self, method: Method, path: &str, token: &str, body: Option<&impl Serialize>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    pub async fn see<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.ask(Method::GET, path, &self.admin, None::<&()>).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    pub async fn operator(&self, name: &str, role: Role) -> String {
        let mut connection = Connection::open(&self.data()).await.unwrap();
        let token = token::random().unwrap();
        connection.add_operator(&token, name, role, clock::now()).await.unwrap();
        token
    }

    pub async fn token(&self, id: &str, replaces: bool, life: Span) -> String {
        let mut connection = Connection::open(&self.data()).await.unwrap();
        let token = token::random().unwrap();
        let now = clock::now();
        connection.add_token(&token, &host(id), replaces, now, now.after(life)).await.unwrap();
        token
    }

    pub fn enrolment(&self, id: &str, key: &PublicKey, token: &str) -> Enrolment {
        Enrolment {
            product: product(),
            host: host(id),
            key: key.clone(),
            token: Digest::of(token.as_bytes()),
            time: clock::now(),
        }
    }

    pub async fn enrol(&self, id: &str, key: &SigningKey, token: &str) -> Response {
        let sealed = Sealed::seal(&self.enrolment(id, key.public(), token), key).unwrap();
        self.ask(Method::POST, api::ENROLMENTS, token, Some(&sealed)).await
    }

    /// An enrolled host.
    pub async fn host(&self, id: &str) -> Host {
        let key = SigningKey::generate().unwrap();
        let token = self.token(id, true, token::HOST_TOKEN_LIFE).await;
        let answer = self.enrol(id, &key, &token).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
        Host {
            id: host(id),
            key,
            sequence: 0,
            permit: 0,
            stops: Vec::new(),
            enrolment: None,
            baseline: baseline("1.0.0"),
        }
    }

    pub async fn send<T: Document>(&self, sealed: &Sealed<T>) -> Response {
        let path = if T::PAYLOAD_TYPE.contains("evidence") { api::EVIDENCE } else { api::HEARTBEATS };
        self.ask(Method::POST, path, "", Some(sealed)).await
    }

    pub async fn receipt<T: Document>(&self, sealed: &Sealed<T>) -> Receipt {
        let answer = self.send(sealed).await;
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
        answer.json().await.unwrap()
    }
}

/// One machine, as its agent would speak.
pub struct Host {
    pub id: HostId,
    pub key: SigningKey,
    pub sequence: u64,
    pub permit: u64,
    pub stops: Vec<StopRef>,
    pub enrolment: Option<Digest>,
    pub baseline: String,
}

impl Host {
    pub fn cover(&mut self) -> Cover {
        self.sequence += 1;
        let now = clock::now();
        Cover {
            product: product(),
            host: self.id.clone(),
            sequence: self.sequence,
            resumed: false,
            boot_id: "6f3c1d1e-7f43-4b0e-9d0d-0f6a3a2c9c11".to_owned(),
            wall: now,
            boot_ms: 1000 + self.sequence,
            pass_started: now,
            agent: Agent { version: semver::Version::new(0, 1, 0), digest: Digest::of(b"agent") },
            baseline: Digest::of(self.baseline.as_bytes()),
            permit: self.permit,
            stops: self.stops.clone(),
            enrolment: self.enrolment,
            checkpoint: None,
            configs: BTreeMap::new(),
            lists: Vec::new(),
        }
    }

    pub fn evidence(&mut self, lock: &str) -> Sealed<Evidence> {
        let evidence = Evidence { cover: self.cover(), state: state(lock) };
        Sealed::seal(&evidence, &self.key).unwrap()
    }

    pub fn evidence_v1(&mut self, state: v1::State) -> Sealed<v1::Evidence> {
        let evidence = v1::Evidence { cover: self.cover(), state };
        Sealed::seal(&evidence, &self.key).unwrap()
    }

    pub fn heartbeat_v1(&mut self, state: Digest) -> Sealed<v1::Heartbeat> {
        let heartbeat = v1::Heartbeat { cover: self.cover(), state };
        Sealed::seal(&heartbeat, &self.key).unwrap()
    }

    pub fn heartbeat(&mut self, lock: &str) -> Sealed<Heartbeat> {
        let cover = self.cover();
        let heartbeat = Heartbeat { since: cover.sequence, cover, state: state(lock).digest() };
        Sealed::seal(&heartbeat, &self.key).unwrap()
    }
}

pub fn state(lock: &str) -> State {
    let value =
        ValueSeen::Value { value: Value::Text(lock.to_owned()), file: "/etc/issuing/print.ini".to_owned(), line: 3 };
    let lock = ("lock.print-wait".parse().unwrap(), SettingSeen { value, in_force: None });
    let readers = BTreeMap::from([("print".parse().unwrap(), Held::default())]);
    State { settings: BTreeMap::from([lock]), readers, ..State::default() }
}

pub fn product() -> ProductId {
    PRODUCT.parse().unwrap()
}

pub fn baseline(version: &str) -> String {
    format!(
        r#"schema = 1
product = "{PRODUCT}"
version = "{version}"
min_agent = "0.1.0"

[gate]
heartbeat = "30s"
permit_ttl = "30m"
evidence_max_age = "10m"
verify_hold = "250ms"
expiry_grace = "14d"

[[config]]
id = "print"
files = ["/etc/issuing/print.ini"]
format = "ini"
roles = ["ap"]
reload = "live"

[[setting]]
id = "lock.print-wait"
kind = "exclusive-lock"
pattern = "misconfiguration"
config = "print"
key = "queue.lock"
expect = {{ equals = "exclusive" }}
enforce = "hold"
owner = "release management"
remediation = {{ en = "Set queue.lock = exclusive.", ja = "queue.lock を exclusive にする。" }}
"#
    )
}

pub fn signed(metadata: &[u8], managers: &Managers, signers: &[usize]) -> Vec<u8> {
    signers.iter().fold(metadata.to_vec(), |bytes, signer| sign(&bytes, &managers.keys[*signer]).unwrap())
}

pub async fn failure(answer: Response) -> (u16, ErrorBody) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}")))
}

pub async fn code(answer: Response) -> (u16, String) {
    let (status, body) = failure(answer).await;
    (status, body.code)
}

fn hex(key: &PublicKey) -> String {
    let bytes = key.ed25519_bytes().unwrap();
    format!("ed25519:{}", data_encoding::HEXLOWER.encode(bytes))
}
