//! A controller whose database was set back to an earlier moment notices it: something that its own key signed, and
//! that it does not know, is proof. What it has forgotten since nobody can tell, so it lets nobody issue until an
//! operator has looked.

use super::{Change, Fleet};
use crate::api::{EventKind, SetBack, SetBackCause, SetBackProof};
use crate::id::HostId;
use crate::permit::Permit;
use crate::time::{Span, Time};

/// Who showed a controller something that it has forgotten.
#[derive(Clone, Copy, Debug)]
pub enum ShownBy<'a> {
    /// A host.
    Host(&'a HostId),
    /// Another controller, by its address.
    Controller(&'a str),
}

/// How far the clocks of two machines may lie apart: what was signed so shortly after this process began may have
/// been signed before.
const CLOCKS_APART: Span = Span::from_s(5);

impl Fleet {
    /// From `now` on this process knows all that it signs: what its key signed later, and it does not know, another
    /// one signed.
    pub fn begins(&mut self, now: Time) {
        self.began = now;
    }

    /// Takes up what is stored: that this controller was set back and nobody has looked yet, and when somebody
    /// looked last. Call before the first [`Fleet::put_in_force`].
    pub fn restore_set_back(&mut self, set_back: Option<SetBack>, looked_at: Option<Time>) {
        self.set_back = set_back;
        self.looked_at = looked_at.unwrap_or(Time::MIN);
    }

    /// That this controller was set back, while no operator has looked at it.
    pub fn set_back(&self) -> Option<&SetBack> {
        self.set_back.as_ref()
    }

    /// A permit that the host named, of which this controller knows nothing, and that the host can hand in.
    pub fn unknown_permit_of(&self, id: &HostId) -> Option<u64> {
        self.hosts.get(id)?.unknown_permit()
    }

    /// A host handed in the permit that was asked for, signed by this controller (`is_own`) or by another one of
    /// the registry, or has no such permit. Whatever it is, the next one goes on above `number`. What was noticed
    /// by it is to be written.
    pub fn permit_handed_in(
        &mut self,
        id: &HostId,
        number: u64,
        own: Option<&Permit>,
        now: Time,
        change: &mut Change,
    ) -> Option<SetBack> {
        let host = self.hosts.get_mut(id)?;
        // A mere number counts for this host alone, and no higher than it named itself.
        let number = number.min(host.record.permit_named.max(host.permit_asked.unwrap_or(0)));
        let is_news = own.is_some_and(|permit| !host.knows_permit(permit.number));
        host.permit_asked = host.permit_asked.filter(|asked| *asked > number);
        host.permit_floor = host.permit_floor.max(number);
        host.settle_permits(number);
        change.hosts.insert(id.clone());
        let permit = own.filter(|permit| is_news && permit.host == *id && permit.product == self.product)?;
        self.notice_set_back(ShownBy::Host(id), (SetBackProof::Permit, permit.number), permit.issued, now, change)
    }

    /// Something that this controller's own key signed at `signed`, and that it does not know, was shown to it.
    /// Nothing if it is noticed already, or an operator has looked since it was signed. That the key is used twice is
    /// noticed also after it seemed to be set back.
    pub fn notice_set_back(
        &mut self,
        shown_by: ShownBy<'_>,
        (proof, number): (SetBackProof, u64),
        signed: Time,
        now: Time,
        change: &mut Change,
    ) -> Option<SetBack> {
        let cause = match signed > self.began.after(CLOCKS_APART) {
            true => SetBackCause::KeyUsedTwice,
            false => SetBackCause::SetBack,
        };
        if self.set_back.as_ref().is_some_and(|open| open.cause >= cause) || signed <= self.looked_at {
            return None;
        }
        let (host, controller) = match shown_by {
            ShownBy::Host(host) => (Some(host.clone()), None),
            ShownBy::Controller(address) => (None, Some(address.to_owned())),
        };
        let set_back = SetBack { noticed: now, host, controller, proof, number, cause };
        self.set_back = Some(set_back.clone());
        let who = set_back.shown_by();
        let proof = proof.as_str();
        let note = match cause {
            SetBackCause::SetBack => format!(
                "this controller was set back to an earlier moment: {who} has its {proof} {number}, which is not known here; \
                 nobody may issue until an operator has looked at it"
            ),
            SetBackCause::KeyUsedTwice => format!(
                "another controller signs with this one's key: {who} has {proof} {number}, signed while this one was \
                 serving and not known here; end one of the two; nobody may issue until an operator has looked at it"
            ),
        };
        self.note(change, now, EventKind::SetBack, None, note);
        Some(set_back)
    }

    /// An operator says that it was looked at: permits are signed again. Says whether there was anything.
    pub fn look_at_set_back(&mut self, operator: &str, note: &str, now: Time, change: &mut Change) -> bool {
        if self.set_back.take().is_none() {
            return false;
        }
        self.looked_at = now;
        self.note(change, now, EventKind::SetBack, None, format!("{operator} has looked at it: {note}"));
        let sites: Vec<_> = self.sites.keys().cloned().collect();
        for code in sites {
            self.settle(&code, None, now, change);
        }
        true
    }
}
