//! The municipalities that a demo fleet is made of.

use anyhow::{Context, Result, ensure};
use manifests::id::SiteCode;

/// Every municipality of Japan; `tests/data/README.md` says where the list comes from.
const CODES: &str = include_str!("../data/local-government-codes.csv");

/// Munakata, where the fix made in 2019 for another city was missing in 2023.
pub const MUNAKATA: &str = "402206";
/// Takamatsu, which joined after the inspection and got the single-server build.
pub const TAKAMATSU: &str = "372013";

/// One site of the demo.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its local government code.
    pub code: SiteCode,
    /// Its name in English. The state of every site but the two named in public is invented, and
    /// the name says so.
    pub en: String,
    /// Its name in Japanese.
    pub ja: String,
    /// Application and database server on two hosts.
    pub split: bool,
}

/// `count` sites in code order, `split` of them split: Munakata, Takamatsu, and municipalities
/// spread evenly over the country. The same for the same arguments.
///
/// # Errors
/// If the list cannot be read, or holds too few municipalities.
pub fn choose(count: usize, split: usize) -> Result<Vec<Site>> {
    let mut others = Vec::new();
    let mut sites = Vec::new();
    for line in CODES.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [code, _, name, _, romaji] = fields.as_slice() else { anyhow::bail!("{line:?} has not five fields") };
        let code: SiteCode = code.parse().with_context(|| format!("in {line:?}"))?;
        match code.as_str() {
            // What was published of them: the missing fix, and the single-server build on several servers.
            MUNAKATA => sites.push(Site { code, en: (*romaji).to_owned(), ja: (*name).to_owned(), split: false }),
            TAKAMATSU => sites.push(Site { code, en: (*romaji).to_owned(), ja: (*name).to_owned(), split: true }),
            _ => others.push(Site {
                code,
                en: format!("{romaji} (demo state)"),
                ja: format!("{name}（デモの状態）"),
                split: false,
            }),
        }
    }
    ensure!(sites.len() == 2, "Munakata and Takamatsu are not both in the list");
    let wanted = count.checked_sub(sites.len()).filter(|wanted| *wanted <= others.len());
    let wanted = wanted.with_context(|| format!("{count} sites cannot be chosen from the list"))?;
    let step = others.len() / wanted.max(1);
    let mut spread: Vec<Site> = others.into_iter().step_by(step.max(1)).take(wanted).collect();
    // The last ones, so that a story that names sites from the front meets both kinds.
    for site in spread.iter_mut().rev().take(split.saturating_sub(1)) {
        site.split = true;
    }
    sites.append(&mut spread);
    sites.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_has_the_two_cities_and_the_asked_number_of_split_sites() {
        for (count, split) in [(123, 18), (12, 4)] {
            let sites = choose(count, split).unwrap();
            assert_eq!(sites.len(), count);
            assert_eq!(sites.iter().filter(|site| site.split).count(), split);
            assert!(sites.windows(2).all(|pair| pair[0].code < pair[1].code));
            for code in [MUNAKATA, TAKAMATSU] {
                assert!(sites.iter().any(|site| site.code.as_str() == code), "{code}");
            }
        }
    }

    #[test]
    fn an_invented_state_is_marked_as_one() {
        for site in choose(123, 18).unwrap() {
            let named = [MUNAKATA, TAKAMATSU].contains(&site.code.as_str());
            assert_ne!(site.en.contains("demo state"), named, "{}", site.en);
        }
    }
}
