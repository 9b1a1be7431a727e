//! `POST /v1/publish`: new metadata and target files, all or nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use manifests::api::{BaselineRef, Publish, Published};
use manifests::strict;

use crate::app::App;
use crate::auth::Operator;
use crate::body::Payer;
use crate::chain::chain;
use crate::error::HttpError;
use crate::store::PublishRow;
use crate::{body, clock, load};

/// After this it is tried again to put in force what was published.
const INSTALL_AGAIN: Duration = Duration::from_millis(500);
/// Largest publish, in bytes of its JSON.
pub(super) const BYTES_MAX: usize = 256 << 20;

/// Verifies everything, then changes everything.
///
/// # Errors
/// 400 for what is no publish; 422 with the code of what does not verify or breaks a rule, and every
/// problem in the message. Nothing has changed then.
pub async fn publish(
    State(app): State<Arc<App>>,
    Extension(operator): Extension<Operator>,
    request: Request,
) -> Result<Json<Published>, HttpError> {
    let bytes = body::read(request, &app.bodies, Payer::Operator(operator.name.clone()), BYTES_MAX).await?;
    // Not written again to be compared, as other requests are: that would take its size twice more, and
    // nobody hashes it.
    let publish = strict::check(&bytes).and_then(|()| serde_json::from_slice::<Publish>(&bytes));
    let publish = publish.map_err(|error| HttpError::malformed(error.to_string()))?;
    drop(bytes);
    // In a task of its own: once the files are written, the rest happens whether or not somebody
    // waits for the answer.
    let work = tokio::spawn(async move { put_in_force(app, operator.name, publish).await });
    work.await.map_err(|_| HttpError::unavailable("the publish broke off"))?.map(Json)
}

async fn put_in_force(app: Arc<App>, operator: String, publish: Publish) -> Result<Published, HttpError> {
    let now = clock::now();
    let mut repository = app.repository_owned().await;
    // Under the repository's lock no other publish comes between.
    let mut publishes = app.store.publishes().await?;
    let work = tokio::task::spawn_blocking(move || {
        let candidate = repository.candidate(publish, now)?;
        let set = candidate.set();
        let row = PublishRow::new(set, candidate.versions(), operator, now);
        publishes.insert(0, row.clone());
        let previous = load::previous(&repository, set, &publishes, now);
        let policy = load::policy(repository.put_in_force(candidate)?, previous);
        Ok::<_, HttpError>((repository, policy, row))
    });
    let (repository, policy, row) = work.await.map_err(|_| HttpError::unavailable("the publish broke off"))??;
    let baseline = BaselineRef { version: row.version.clone(), digest: row.baseline };
    let versions = row.versions;
    // The files are in force, and hosts follow them: until the fleet is judged by them too, it would
    // call every host outdated.
    while let Err(error) = app.refresh(&repository, Some((policy.clone(), row.clone()))).await {
        tracing::error!(error = chain(&error), "what was published is not in force yet; it is tried again");
        tokio::select! {
            () = app.shutdown.cancelled() => return Err(error.into()),
            () = tokio::time::sleep(INSTALL_AGAIN) => {}
        }
    }
    Ok(Published { baseline: Some(baseline), versions })
}
