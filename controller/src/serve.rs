//! `serve`: from a data directory to a running controller.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use manifests::api::{Expiring, Versions};
use manifests::durable;
use manifests::fleet::Change;
use manifests::tuf::ROOT_BYTES_MAX;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::broadcast;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::chain::chain;
use crate::data::Data;
use crate::descriptors::{self, OPERATORS_LISTENER_MAX, Plan};
use crate::expiry::{self, Announced};
use crate::queue::Writer;
use crate::repository::{ControllerIdentity, Repository};
use crate::server::Entrance;
use crate::server::connection::Pools;
use crate::session::Sessions;
use crate::store::{PublishRow, Store};
use crate::tls::Current;
use crate::tokens::{LOOK, Tokens};
use crate::{clock, follow, load, router, server, writer};

/// Events that a reader may lag behind before it must read the store.
const EVENTS_WAITING_MAX: usize = 1024;
/// How often it is asked whether timestamp and snapshot are to be signed anew.
const RENEW_INTERVAL: Duration = Duration::from_secs(60);

/// What `serve` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The controller's directory, made by init
    #[arg(long)]
    pub data: PathBuf,
    /// The release managers' first root.json, kept outside the directory
    #[arg(long)]
    pub root: PathBuf,
    /// Address to listen on; port 0 lets the system choose
    #[arg(long)]
    pub listen: SocketAddr,
    /// A second address, for operators alone, which nobody else can keep busy
    #[arg(long)]
    pub operators: Option<SocketAddr>,
    /// Whom to take over from.
    #[command(flatten)]
    pub follow: follow::Args,
}

/// Where a controller answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Everybody.
    pub listen: SocketAddr,
    /// Operators.
    pub operators: Option<SocketAddr>,
}

/// Threads kept for the writer and for the operators' own listener: whatever a crowd does to the others,
/// the system gives these their part of the processor.
struct Kept(Option<Runtime>);

/// How many: one may be judging a fleet.
const KEPT_THREADS: usize = 2;

impl Kept {
    fn new() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(KEPT_THREADS)
            .thread_name("sekisho-kept")
            .enable_all()
            .build()
            .map(|kept| Self(Some(kept)))
    }

    fn handle(&self) -> Handle {
        // There until it is dropped.
        self.0.as_ref().map_or_else(Handle::current, |kept| kept.handle().clone())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A runtime that waited for its tasks here would block whoever drives this one.
        if let Some(kept) = self.0.take() {
            kept.shutdown_background();
        }
    }
}

/// Serves until `shutdown`. `ready` is told the address when requests are answered.
///
/// # Errors
/// If the directory is not a controller's, is damaged, or is served already.
pub async fn run(args: Args, ready: impl FnOnce(Addresses), shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let data = Data::new(args.data);
    let now = clock::now();
    // The lock first: two controllers on one directory must not even read.
    let store = Store::open(data.directory()).await.context("cannot open the store")?;
    durable::remove_temporaries(data.directory()).context("what a killed controller left cannot be removed")?;
    let mut connection = store.writer().await?;
    let (id, product) = connection.controller().await.context("the directory was not made by init")?;
    let public = data.public()?;
    if public.id.as_str() != id {
        bail!("controller.json is of {}, the database of {id}", public.id);
    }
    let permit_key = data.key("permit")?;
    let first_root = durable::read_limited(&args.root, ROOT_BYTES_MAX).context("cannot read the first root")?;
    let identity = ControllerIdentity {
        id: public.id,
        product: product.clone(),
        permit_key: permit_key.public().clone(),
        snapshot_key: data.key("snapshot")?,
        timestamp_key: data.key("timestamp")?,
    };
    let (mut repository, set) =
        Repository::open(data.repository(), first_root, identity).context("the TUF repository cannot be used")?;
    let mut publishes = store.publishes().await?;
    if let Some(last) = publishes.first() {
        let directory = data.repository();
        repository.expect(last.versions, last.time, now).context(
            "the TUF repository was set back: restore it, or move it away and have the release managers publish again",
        )?;
        if repository.versions() == Versions::default() {
            tracing::error!(
                directory = %directory.display(),
                baseline = last.version,
                "the TUF repository is lost: no permit is signed until the release managers publish again, or it is restored; \
                 hosts hold when the permits that they have end"
            );
        }
    }
    if let Err(error) = repository.renew(now) {
        tracing::error!(error = chain(&error), "timestamp and snapshot cannot be signed; no permits will be");
    }
    let loaded = load::load(&mut connection, product, permit_key.public()).await.context("the store is damaged")?;
    if let Some(set) = &set {
        let row = PublishRow::new(set, repository.versions(), "restart".to_owned(), now);
        // A crash between the files and the row: the files are what is in force.
        if publishes.first().is_none_or(|newest| newest.baseline != row.baseline) {
            let mut transaction = connection.begin().await?;
            transaction.publish(&row).await?;
            transaction.commit().await?;
            publishes.insert(0, row);
        }
    }
    let previous = match &set {
        Some(set) => load::previous(&repository, set, &publishes, now),
        None => Vec::new(),
    };
    let certificate = Current::read(&data)?;
    let tls = tls(Arc::clone(&certificate));
    let followed = follow::Followed::new(&args.follow).context("the controller to follow cannot be asked")?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let kept = Kept::new().context("cannot start threads")?;
    let own = match args.operators {
        Some(address) => {
            let _inside = kept.handle().enter();
            let own = std::net::TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
            own.set_nonblocking(true)?;
            Some(TcpListener::from_std(own)?)
        }
        None => None,
    };
    let operators = own.as_ref().map(TcpListener::local_addr).transpose()?;
    let address = listener.local_addr()?;
    let plan = Plan::of(descriptors::raise());
    let pools = Pools::new(plan);
    let tokens = Tokens::load(&store).await.context("the tokens cannot be read")?;
    let (writer, queue) = Writer::new();
    let (events, _) = broadcast::channel(EVENTS_WAITING_MAX);
    let sessions = Sessions::new().map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    let stop = CancellationToken::new();
    // Before there is anybody to ask: the start reads all of it and changes what time alone has changed.
    let mut change = Change::default();
    let mut fleet = loaded.fleet;
    fleet.set_online_until(repository.online_until());
    fleet.begins(clock::now());
    if let Some(set) = set {
        fleet.put_in_force(load::policy(set, previous), now, &mut change);
    }
    let app = Arc::new(App::new(
        store,
        writer,
        fleet,
        loaded.keys,
        loaded.stops,
        tokens,
        permit_key,
        repository,
        events,
        sessions,
        stop.clone(),
    ));
    writer::save_start(&mut connection, &app, &change).await?;
    let mut writing = kept.handle().spawn(writer::run(Arc::clone(&app), connection, queue));
    let renewing = kept.handle().spawn(renew(Arc::clone(&app), data.clone()));
    let following = kept.handle().spawn(certificate.follow(data, stop.clone()));
    let fetching = followed.map(|followed| tokio::spawn(follow::run(Arc::clone(&app), followed)));
    let looking = kept.handle().spawn(look_for_tokens(Arc::clone(&app), pools.clone()));
    let router = router::router(Arc::clone(&app));
    let own = own.map(|listener| {
        let pools = pools.with_own_strangers(OPERATORS_LISTENER_MAX);
        let entrance = Entrance { listener, pools, most: plan.operators + OPERATORS_LISTENER_MAX, operators: true };
        kept.handle().spawn(server::serve(entrance, Arc::clone(&tls), router.clone(), stop.clone()))
    });
    let entrance = Entrance { listener, pools, most: plan.total(), operators: false };
    let serving = tokio::spawn(server::serve(entrance, tls, router, stop.clone()));
    tracing::info!(
        controller = id,
        %address,
        operators = operators.as_ref().map(tracing::field::display),
        connections = ?plan,
        "serving"
    );
    ready(Addresses { listen: address, operators });
    let ended = tokio::select! {
        () = shutdown => None,
        // Without it nothing can be answered; a new process starts from what is on disk.
        ended = &mut writing => Some(ended),
    };
    tracing::info!("stopping");
    stop.cancel();
    // Waited for: whoever starts again in this process finds the directory free.
    for task in [renewing, following, looking].into_iter().chain(fetching) {
        task.abort();
        let _ = task.await;
    }
    serving.await.context("the server failed")?;
    if let Some(own) = own {
        own.await.context("the operators' server failed")?;
    }
    let ended = match ended {
        Some(ended) => ended,
        None => writing.await,
    };
    let connection = ended.context("the writer failed")?.context("the disk failed")?;
    // A publish goes on without its client, and reads the store: it ends first, and no other one begins.
    let _repository = app.repository_owned().await;
    app.store.close(connection).await.context("the store was not closed")
}

/// Keeps the tokens in memory as the store has them; connections of those that are gone end.
async fn look_for_tokens(app: Arc<App>, pools: Pools) {
    loop {
        tokio::time::sleep(LOOK).await;
        // Whoever brought an unknown token may have seen the news first: the connections are looked at each time.
        app.tokens.look(&app.store).await;
        pools.end_operators(|token| app.tokens.known_operator(token).is_some());
    }
}

/// Keeps timestamp and snapshot fresh. The repository is held until everybody knows, so that no publish comes between.
async fn renew(app: Arc<App>, data: Data) {
    let mut ticks = tokio::time::interval(RENEW_INTERVAL);
    let mut announced = Announced::default();
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let mut repository = app.repository_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let renewed = repository.renew(clock::now());
            (renewed, repository)
        });
        let (renewed, repository) = match work.await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "renewing broke off");
                continue;
            }
        };
        let (version, until) = (repository.versions().timestamp, repository.online_until());
        announce(&app, &data, &repository, &mut announced).await;
        if let Err(error) = renewed {
            tracing::error!(error = chain(&error), %until, "timestamp and snapshot cannot be signed");
        }
        // Asked by version: what could not be told the last time is told now.
        if version != app.timestamp() {
            match app.refresh(&repository, None).await {
                Ok(()) => tracing::info!(version, %until, "timestamp signed anew"),
                Err(error) => tracing::error!(error = chain(&error), version, "hosts are not told of the timestamp"),
            }
        }
    }
}

/// Says what ends soon, once at each stage, and keeps it for whoever looks.
async fn announce(app: &App, data: &Data, repository: &Repository, announced: &mut Announced) {
    let now = clock::now();
    let signed = repository.ends().into_iter();
    let mut ends: Vec<Expiring> =
        signed.map(|(what, until)| Expiring { what: what.to_owned(), name: None, until }).collect();
    // One that cannot be read the server speaks of when it reads it, and the doctor.
    ends.extend(expiry::certificates(data).into_iter().filter_map(|(_, end)| end.ok()));
    match app.store.tokens_ending(now).await {
        Ok(tokens) => ends.extend(tokens),
        Err(error) => tracing::error!(error = chain(&error), "which tokens end cannot be read"),
    }
    let near = expiry::near(ends, now);
    let news: Vec<String> = announced.news(&near, now).into_iter().map(|end| expiry::words(end, now)).collect();
    app.set_expiring(near);
    news.iter().for_each(|news| tracing::warn!("{news}"));
    if !news.is_empty()
        && let Err(error) = app.writer.expires(news).await
    {
        tracing::error!(error = chain(&error), "what ends is not among the events");
    }
}

fn tls(certificate: Arc<Current>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}
