//! Handing in what a controller does not know: stops as they were signed, with their chains, and the permits held.

use std::collections::BTreeSet;
use std::sync::Arc;

use manifests::api::{self, HANDED_PERMITS_MAX, HANDED_STOPS_MAX, Handed, HandedStop};
use manifests::digest::Digest;
use manifests::permit::SealedPermit;
use manifests::stop::StopRef;
use tracing::info;

use crate::client::{ClientError, Session};
use crate::parts::{HeldStop, Parts};

/// Most bytes of payloads handed in at once: as base64 in JSON they stay well below what a controller reads.
const HANDED_BYTES_MAX: usize = 2 << 20;

/// What a controller does not know.
pub struct Unknown {
    /// The newest stops of chains.
    pub stops: Vec<StopRef>,
    /// Number of a permit.
    pub permit: Option<u64>,
}

impl Parts {
    /// Hands in the stops and the permit that a controller named as unknown, beside everything else: nobody waits for it. Does
    /// nothing while it is under way.
    pub fn hand_in(self: &Arc<Self>, unknown: Unknown, session: Session) {
        let parts = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_alone) = parts.handing_in.try_lock() else { return };
            if let Err(error) = parts.hand_in_all(unknown, &session).await {
                // It is asked for again with the next receipt.
                parts.trouble("stops that the controller does not know were not handed in", &error);
            }
        });
    }

    async fn hand_in_all(&self, unknown: Unknown, session: &Session) -> Result<(), ClientError> {
        self.hand_in_chains(&unknown.stops, session).await?;
        let Some(number) = unknown.permit else { return Ok(()) };
        let kept = self.shared().asked_permits.get(&session.address).filter(|(asked, _)| *asked == number).cloned();
        let permits = kept.map_or_else(|| self.newest_permits(), |(_, permits)| permits);
        let handed = Handed { permit_number: Some(number), permits, ..Handed::default() };
        let body = serde_json::to_vec(&handed).unwrap_or_default(); // Strings and numbers only: cannot fail.
        self.client.post_in(session, api::HANDED, body).await?;
        info!(number, "the permit that the controller did not know is handed in");
        self.asks_for_permit(&session.address, None);
        self.report.notify_one(); // The next one goes on above it.
        Ok(())
    }

    async fn hand_in_chains(&self, unknown: &[StopRef], session: &Session) -> Result<(), ClientError> {
        let mut stops = self.chains_of(unknown).into_iter().peekable();
        while stops.peek().is_some() {
            let (mut handed, mut bytes) = (Handed::default(), 0);
            while let Some(HeldStop { stop, key }) = stops.next_if(|next| {
                handed.stops.is_empty()
                    || (handed.stops.len() < HANDED_STOPS_MAX && bytes + next.bytes() <= HANDED_BYTES_MAX)
            }) {
                bytes += stop.sealed().payload_bytes();
                handed.stops.push(HandedStop { key, stop: stop.sealed().clone() });
            }
            let count = handed.stops.len();
            let body = serde_json::to_vec(&handed).unwrap_or_default(); // Strings and numbers only: cannot fail.
            self.client.post_in(session, api::HANDED, body).await?;
            info!(count, "stops that the controller did not know are handed in");
        }
        Ok(())
    }

    /// A controller asks for the permit of this number, or for none. What it is to be handed is what this host has when
    /// it first asks: a permit that comes with its answer would take the place of the one that proves something.
    pub fn asks_for_permit(&self, address: &str, number: Option<u64>) {
        let permits = self.newest_permits();
        let mut shared = self.shared();
        match number {
            None => _ = shared.asked_permits.remove(address),
            Some(number) if shared.asked_permits.get(address).is_some_and(|(asked, _)| *asked == number) => {}
            Some(number) => _ = shared.asked_permits.insert(address.to_owned(), (number, permits)),
        }
    }

    /// The newest permit of each controller.
    fn newest_permits(&self) -> Vec<SealedPermit> {
        let shared = self.shared();
        let mut permits: Vec<_> = shared.permits.values().collect();
        permits.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        permits.into_iter().take(HANDED_PERMITS_MAX).map(|(_, sealed)| sealed.clone()).collect()
    }

    /// These stops and all before them, each behind the one that it follows.
    fn chains_of(&self, ends: &[StopRef]) -> Vec<HeldStop> {
        let shared = self.shared();
        let mut named: BTreeSet<Digest> = BTreeSet::new();
        let mut chains = Vec::new();
        for end in ends {
            let mut next = Some(end.digest);
            while let Some(held) =
                next.filter(|digest| named.insert(*digest)).and_then(|digest| shared.stops.get(&digest))
            {
                next = held.stop.previous;
                chains.push(held.clone());
            }
        }
        chains.sort_by_key(|held| held.stop.number);
        chains
    }
}
