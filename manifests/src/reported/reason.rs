//! Why a gate holds: stable codes. The texts for people are in `manifests/locale`, key `reason-CODE`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{HostId, ItemId};

/// One reason to hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The stable code.
    pub code: Code,
    /// The item, where it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The host, where it is another one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
}

impl Reason {
    /// A reason that is no item's.
    pub fn of(code: Code) -> Self {
        Self { code, item: None, host: None }
    }

    /// A reason of one item.
    pub fn item(code: Code, item: &ItemId) -> Self {
        Self { code, item: Some(item.clone()), host: None }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        if let Some(item) = &self.item {
            write!(f, " {item}")?;
        }
        if let Some(host) = &self.host {
            write!(f, " {host}")?;
        }
        Ok(())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Stable code of a reason, in lower-case ASCII with hyphens.
        ///
        /// In the order in which they are shown: what concerns the whole host first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The code's text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The gate failed inside; also the answer to anything unforeseen.
    Error = "error",
    /// A file of the agent's state is damaged.
    StateDamaged = "state-damaged",
    /// No baseline verified yet.
    NoBaseline = "no-baseline",
    /// Past the expiry of targets or root plus the grace.
    BaselineExpired = "baseline-expired",
    /// The baseline asks for a newer agent, or it or the registry is of a schema that only a newer one reads.
    AgentTooOld = "agent-too-old",
    /// The host is not in the registry, or outside its dates.
    NotListed = "not-listed",
    /// A stop without its lift.
    Stopped = "stopped",
    /// Wall and boot clock moved apart, or the wall clock lies before the last time stored.
    ClockMoved = "clock-moved",
    /// Host and controller differ by more than 60 s.
    ClockSkew = "clock-skew",
    /// Two machines seem to use the host's key.
    CloneSuspected = "clone-suspected",
    /// A change is being looked at.
    Verifying = "verifying",
    /// Evidence is older than allowed, or there never was any.
    Stale = "stale",
    /// Evidence was collected under a baseline that is no longer in force.
    BaselineOutdated = "baseline-outdated",
    /// Timestamp or snapshot have expired: the controller signs no permit that says issue.
    Freeze = "freeze",
    /// The baseline has nothing to judge this host by.
    NothingJudged = "nothing-judged",
    /// No permit received.
    NoPermit = "no-permit",
    /// The permit's life is over.
    PermitExpired = "permit-expired",
    /// The permit is for another state or baseline: the answer to the newest evidence is awaited.
    PermitMismatch = "permit-mismatch",
    /// The permit's signature is none of a controller in the registry.
    PermitSignature = "permit-signature",
    /// The permit is another host's or product's.
    PermitWrongHost = "permit-wrong-host",
    /// The permit is older than one received before.
    PermitOld = "permit-old",
    /// The permit claims a longer life than the baseline allows.
    PermitTooLong = "permit-too-long",
    /// The permit was signed in the future.
    PermitFuture = "permit-future",
    /// The permit answers nothing that this host sent.
    PermitUnasked = "permit-unasked",
    /// The permit names a stop that has not arrived here.
    PermitStop = "permit-stop",
    /// Another host of the site holds.
    SiteHold = "site-hold",
    /// A known-bad release or file.
    Denied = "denied",
    /// The tree is no listed release and patches.
    Altered = "altered",
    /// The build does not belong here.
    WrongVariant = "wrong-variant",
    /// The fix is not on the disk.
    FixMissing = "fix-missing",
    /// An exclusive lock has another value.
    LockDrifted = "lock-drifted",
    /// A setting has another value.
    SettingDrifted = "setting-drifted",
    /// A pinned configuration has another content.
    ConfigDrifted = "config-drifted",
    /// An exclusive lock is given twice with different values.
    LockAmbiguous = "lock-ambiguous",
    /// A setting is given twice with different values.
    SettingAmbiguous = "setting-ambiguous",
    /// An exclusive lock's key is missing.
    LockAbsent = "lock-absent",
    /// A setting's key, a program or a configuration is missing.
    Absent = "absent",
    /// Right on disk, but a running process holds something older. Behind what is wrong on disk: starting
    /// the program again would put that in force.
    NotLoaded = "not-loaded",
    /// Could not be told.
    Unknown = "unknown",
    /// No fix exists, and its due date is past.
    NoFix = "no-fix",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
