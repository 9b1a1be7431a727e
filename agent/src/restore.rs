//! What the state directory holds, taken up before the first question: each thing verified as if it
//! had just arrived.

use manifests::envelope::EnvelopeError;
use manifests::gate::{Clocks, Event, Gate};
use manifests::key::PublicKey;

use crate::parts::HeldStop;
use crate::state::{KeptStop, Sent, StateDirectory, StateError};

/// What came of it, besides the gate.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// All stops.
    pub(crate) stops: Vec<HeldStop>,
    /// Stops of which no controller has the acknowledgement.
    pub(crate) unacknowledged: Vec<KeptStop>,
    /// Stops that are not on disk yet.
    pub(crate) unstored: Vec<KeptStop>,
    /// The highest number of a permit that may have been named.
    pub(crate) permit: u64,
    /// Why the stored permit is none.
    pub(crate) permit_refused: Option<EnvelopeError>,
    /// Files that cannot be used.
    pub(crate) damaged: Vec<StateError>,
}

/// Takes up in `gate` what the host noted: stops, what was sent, and the permit. The sets come before
/// it: they have the times and `keys` by which permits are judged. `boot_id` is this boot's.
pub(crate) fn restore(
    gate: &mut Gate,
    state: &StateDirectory,
    sent: Sent,
    keys: &[PublicKey],
    boot_id: &str,
    now: Clocks,
) -> Restored {
    let mut restored = Restored { permit: sent.permit, ..Restored::default() };
    match state.stops() {
        Ok(kept) => {
            restored.damaged = kept.damaged;
            kept.stops.iter().for_each(|kept| gate.restore_stop(&kept.stop));
            let held = |kept: &KeptStop| HeldStop { stop: kept.stop.clone(), key: kept.key.clone() };
            restored.stops = kept.stops.iter().map(held).collect();
            let open = kept.stops.into_iter().filter(|kept| !kept.acknowledged);
            (restored.unacknowledged, restored.unstored) = open.partition(|kept| kept.on_disk);
        }
        Err(error) => restored.damaged.push(error),
    }
    gate.restore_sent(sent.sequence, sent.permit);
    // The newest alone: whatever it says, none before it counts any more.
    match state.permits().map(|permits| permits.into_iter().max_by_key(|permit| permit.claimed_number())) {
        Ok(None) => {}
        Ok(Some(stored)) => {
            let (received, same_boot) = stored.received(boot_id);
            match stored.into_permit().verify(keys) {
                Ok(permit) => {
                    restored.permit = sent.permit.max(permit.number);
                    gate.restore_permit(permit, received, same_boot, now);
                }
                Err(error) => {
                    // Nothing follows from it: nothing is in use yet that it could change.
                    let _ = gate.step(Event::PermitUnverified, now);
                    restored.permit_refused = Some(error);
                }
            }
        }
        Err(error) => restored.damaged.push(error),
    }
    gate.restored(restored.permit);
    restored
}
