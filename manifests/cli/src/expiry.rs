//! When root, targets and lifts end: said before it happens, as every gate holds some days after.

use manifests::time::{Span, Time};

use crate::directory::Directory;
use crate::people::People;
use crate::role_metadata::{RoleVersions, SignedRole};
use crate::roots::Roots;

/// Days before the end at which the words change.
const DAYS: [u64; 3] = [1, 7, 30];

/// One line for each of root, targets and lifts in force that has expired or soon does.
///
/// What cannot be read is passed over: whoever needs it says so.
pub(crate) fn warnings(directory: &Directory, now: Time) -> Vec<String> {
    let (Ok(people), Ok(roots)) = (People::read(directory), Roots::read(directory)) else { return Vec::new() };
    let Some(root) = roots.in_force(&people) else { return Vec::new() };
    let mut warnings: Vec<_> = warning(&root.name, root.root.expires, now).into_iter().collect();
    let Ok(signers) = root.signers() else { return warnings };
    for kind in [SignedRole::Targets, SignedRole::Lifts] {
        let complete =
            RoleVersions::read(kind, directory, (signers, &roots), &people).ok().and_then(|found| found.complete);
        warnings.extend(complete.and_then(|document| warning(&document.name, document.targets.expires, now)));
    }
    warnings
}

fn warning(name: &str, expires: Time, now: Time) -> Option<String> {
    let what = if name.ends_with(".root.json") {
        "`renew` makes and signs a new one"
    } else {
        "`sign` or `renew` makes it anew"
    };
    if expires <= now {
        return Some(format!(
            "{name} HAS EXPIRED, at {expires} (this machine's clock: {now}); hosts hold once the baseline's \
             expiry_grace is over: {what}"
        ));
    }
    let left = expires.since(now);
    let days = DAYS.into_iter().find(|days| left <= Span::from_s(days * 86_400))?;
    let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
    Some(format!("{name} expires within {days}, at {expires} (this machine's clock: {now}): {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_thirty_seven_and_one_days_before_and_afterwards() {
        let now = Time::from_unix_ms(1_700_000_000_000);
        let check = |left_s: u64, words: Option<&str>| {
            let told = warning("metadata/1.targets.json", now.after(Span::from_s(left_s)), now);
            assert_eq!(told.is_some(), words.is_some(), "{told:?}");
            assert!(words.is_none_or(|words| told.is_some_and(|told| told.contains(words))), "{words:?}");
        };
        check(30 * 86_400 + 1, None);
        check(30 * 86_400, Some("expires within 30 days, at 2023-12-14T22:13:20"));
        check(7 * 86_400, Some("within 7 days"));
        check(86_400, Some("within 1 day,"));
        check(0, Some("HAS EXPIRED, at 2023-11-14T22:13:20.000Z (this machine's clock: 2023-11-14T22:13:20"));
    }
}
