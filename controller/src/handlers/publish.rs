//! `POST /v1/publish`: new metadata and target files, all or nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use manifests::api::{HostEvent, Publish, Published};
use manifests::fleet::{Policy, Previous};
use manifests::set::VerifiedSet;

use crate::app::App;
use crate::auth::Operator;
use crate::error::Failure;
use crate::store::PublishRow;
use crate::streams::Item;
use crate::{body, clock};

/// Largest publish, in bytes of its JSON.
const BYTES_MAX: usize = 256 << 20;

/// Verifies everything, then changes everything.
///
/// # Errors
/// 400 for what is no publish; 422 with the code of what does not verify or breaks a rule, and every
/// problem in the message. Nothing has changed then.
pub async fn publish(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<Json<Published>, Failure> {
    let publish: Publish = body::json(request, BYTES_MAX).await?;
    // In a task of its own: once the files are written, the rest happens whether or not somebody
    // waits for the answer.
    let work = tokio::spawn(async move { install(app, operator.name, publish).await });
    work.await.map_err(|_| Failure::unavailable("the publish broke off"))?.map(Json)
}

async fn install(app: Arc<App>, operator: String, publish: Publish) -> Result<Published, Failure> {
    let now = clock::now();
    let mut repository = app.repository_owned().await;
    // Under the repository's lock no other publish comes between; a stop may, and then a lift of it
    // is refused here and can be published again.
    let stops = app.fleet().stops().iter().map(|known| known.reference.digest).collect();
    let work = tokio::task::spawn_blocking(move || {
        let candidate = repository.candidate(publish, &stops, now)?;
        let set = repository.install(candidate)?;
        Ok::<_, Failure>((repository, set))
    });
    let (repository, set) = work.await.map_err(|_| Failure::unavailable("the publish broke off"))??;
    let versions = repository.versions();
    let baseline = manifests::api::BaselineRef {
        version: set.reference.baseline().version.to_string(),
        digest: set.reference.digest(),
    };
    let row =
        PublishRow { time: now, operator, baseline: baseline.digest, version: baseline.version.clone(), versions };
    app.fleet_mut().set_online_until(repository.online_until());
    app.set_timestamp(versions.timestamp);
    let previous = previous(&app, &set);
    app.writer.install(policy(set, previous), row).await?;
    app.streams.push_all(&Item::new(&HostEvent::Refresh(versions.timestamp)));
    drop(repository);
    Ok(Published { baseline: Some(baseline), versions })
}

/// The most baselines before the one in force under which hosts may report.
const PREVIOUS_MAX: usize = 8;

/// The baseline that this set replaces, and those replaced a moment ago.
fn previous(app: &App, set: &VerifiedSet) -> Vec<Previous> {
    let now = clock::now();
    let fleet = app.fleet();
    let mut previous: Vec<_> = fleet.previous().iter().filter(|previous| now < previous.until).cloned().collect();
    if let Some(current) = fleet.reference().filter(|current| current.digest() != set.reference.digest()) {
        let until = now.after(set.reference.baseline().gate.evidence_max_age);
        previous.push(Previous { reference: Arc::clone(current), until });
    }
    // The newest ones: nobody publishes so often in earnest.
    let surplus = previous.len().saturating_sub(PREVIOUS_MAX);
    previous.split_off(surplus)
}

/// As the fleet is judged by it.
pub(crate) fn policy(set: VerifiedSet, previous: Vec<Previous>) -> Policy {
    Policy {
        current: Arc::new(set.reference),
        previous,
        registry: set.registry,
        expires: set.expires,
        lifts: set.lifts,
    }
}
