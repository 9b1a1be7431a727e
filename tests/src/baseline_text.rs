//! The demo's fix baseline and registry, as a release manager would write them.

use manifests::digest::Digest;

use crate::sites::Site;

/// The product of the demo.
pub const PRODUCT: &str = "convenience-issuance";
/// Version of the first baseline published.
pub const VERSION: &str = "2023.7.2";
/// Version of the one that changes nothing for most sites.
pub const NEXT_VERSION: &str = "2023.7.3";

/// The forms file that a fix brings, outside any program's root.
pub const FORMS: &[u8] = b"certificate of residence; seal registration; family register\n";

/// Times of the demo's gates, which are short, so that nobody waits half an hour for a permit to end.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// How often an unchanged host reports, in seconds.
    pub heartbeat_s: u64,
    /// How long evidence counts, in seconds; a complete pass runs at least every quarter of it.
    pub evidence_max_age_s: u64,
    /// How long a permit counts, in seconds: the least that a baseline may say.
    pub permit_ttl_s: u64,
}

impl Rhythm {
    /// What two cores carry for so many hosts.
    pub fn for_hosts(hosts: usize) -> Self {
        if hosts > 40 {
            Self { heartbeat_s: 8, evidence_max_age_s: 40, permit_ttl_s: 60 }
        } else {
            Self { heartbeat_s: 2, evidence_max_age_s: 15, permit_ttl_s: 60 }
        }
    }
}

/// `baseline.toml` without its releases, which `sekisho-baseline capture` adds.
pub fn baseline(rhythm: Rhythm) -> String {
    let Rhythm { heartbeat_s, evidence_max_age_s, permit_ttl_s } = rhythm;
    let forms = Digest::of(FORMS).hex();
    format!(
        r#"# The fix baseline of the demo: invented, but for the pattern of FIX-2019-0007 and the two cities' history.
schema = 1
product = "{PRODUCT}"
version = "{VERSION}"
min_agent = "0.1.0"

[gate]
heartbeat = "{heartbeat_s}s"
permit_ttl = "{permit_ttl_s}s"
evidence_max_age = "{evidence_max_age_s}s"
verify_hold = "250ms"
expiry_grace = "14d"

[[config]]
id = "print"
files = ["/etc/issuing/print.ini"]
format = "ini"
roles = ["ap"]

[[config]]
id = "linkage"
files = ["/etc/issuing/linkage.xml", "/etc/issuing/linkage.d/*.xml"]
format = "xml"
roles = ["ap"]

[[config]]
id = "jobs"
files = ["/etc/issuing/jobs.properties"]
format = "properties"
roles = ["ap"]

[[config]]
id = "issuing"
files = ["/etc/issuing/issuing.toml"]
format = "toml"
roles = ["ap"]

[[config]]
id = "register"
files = ["/etc/register/register.ini"]
format = "ini"
roles = ["db"]

[[fact]]
id = "linkage.method"
config = "linkage"
key = "linkage/mode"
one_of = ["batch", "on-demand-1", "on-demand-2"]

[[fact]]
id = "topology"
registry = "topology"

[[program]]
id = "issuing-server"
root = "/opt/issuing"
exclude = ["logs/**", "tmp/**"]
process = {{ exe = "bin/issuingd" }}
roles = ["ap"]
enforce = "hold"
owner = "release management"
remediation = {{ en = "Install the release that belongs here and restart issuingd.", ja = "この団体向けの版を導入し、issuingd を再起動する。" }}

[[program]]
id = "register-db"
root = "/opt/register"
roles = ["db"]
enforce = "hold"
owner = "release management"

[[setting]]
id = "lock.print-wait"
kind = "exclusive-lock"
pattern = "misconfiguration"
title = {{ en = "Print queue waits exclusively", ja = "印刷待ちの排他制御" }}
config = "print"
key = "queue.lock"
expect = {{ equals = "exclusive" }}
enforce = "hold"
owner = "release management"
remediation = {{ en = "Set lock = exclusive under [queue] in print.ini and restart issuingd after service hours.", ja = "print.ini の [queue] で lock = exclusive とし、業務時間後に issuingd を再起動する。" }}

[[setting]]
id = "lock.register"
kind = "exclusive-lock"
pattern = "linked-system"
title = {{ en = "Register rows are locked while one is read", ja = "住民記録の行の排他制御" }}
config = "register"
key = "transaction.lock"
expect = {{ equals = "exclusive" }}
enforce = "hold"
owner = "release management"

[[setting]]
id = "jobs.per-session"
pattern = "print-control"
title = {{ en = "One print job per session", ja = "1セッション1印刷" }}
config = "jobs"
key = "print.jobs.per-session"
expect = {{ at_most = 1 }}
enforce = "hold"
owner = "release management"

[[setting]]
id = "linkage.timeout"
pattern = "linkage"
title = {{ en = "Linkage waits long enough for the register", ja = "連携の待ち時間" }}
config = "linkage"
key = "linkage/timeout"
expect = {{ at_least = 30 }}
enforce = "warn"
owner = "release management"

[[setting]]
id = "issuing.sessions"
pattern = "print-control"
title = {{ en = "Sessions within the printers' capacity", ja = "同時セッション数" }}
config = "issuing"
key = "sessions.max"
expect = {{ at_most = 8 }}
enforce = "hold"
owner = "release management"

[[fix]]
id = "FIX-2019-0007"
title = {{ en = "Print wait released while linkage runs", ja = "随時連携中に印刷待ちが解除される" }}
pattern = "update-control"
origin = "2019, first seen at another municipality"
references = ["https://example.org/notice/7"]
roles = ["ap"]
when = {{ fact = "linkage.method", equals = "on-demand-2" }}
triggered_by = "two or more prints while linkage runs"
requires = [ {{ program = "issuing-server", fixed_in = ">=3.4.2" }}, {{ setting = "lock.print-wait" }} ]
enforce = "hold"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"
remediation = {{ en = "Install 3.4.2 in the variant of the site; restart issuingd.", ja = "団体の構成に合う 3.4.2 を導入し、issuingd を再起動する。" }}

[[fix]]
id = "FIX-2020-0003"
title = {{ en = "Linkage gives up before the register answers", ja = "住民記録の応答前に連携が打ち切られる" }}
pattern = "linkage"
roles = ["ap"]
requires = [ {{ setting = "linkage.timeout" }} ]
enforce = "warn"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"

[[fix]]
id = "FIX-2021-0012"
title = {{ en = "Two print jobs of one session change places", ja = "同一セッションの印刷が入れ替わる" }}
pattern = "print-control"
roles = ["ap"]
requires = [ {{ setting = "jobs.per-session" }}, {{ setting = "issuing.sessions" }} ]
enforce = "hold"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"

[[fix]]
id = "FIX-2022-0004"
title = {{ en = "Forms of the family register", ja = "戸籍証明の様式" }}
pattern = "missed-fix"
roles = ["ap"]
requires = [ {{ file = "/etc/issuing/forms.lst", sha256 = ["sha256:{forms}"] }} ]
enforce = "hold"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"

[[fix]]
id = "FIX-2022-0009"
title = {{ en = "Register hands out a row that is being written", ja = "更新中の行が読み出される" }}
pattern = "linked-system"
roles = ["db"]
requires = [ {{ program = "register-db", fixed_in = ">=2.1.0" }}, {{ setting = "lock.register" }} ]
enforce = "hold"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"

[[fix]]
id = "FIX-2023-0002"
title = {{ en = "Printer settings are read twice", ja = "印刷設定の二重読込み" }}
pattern = "misconfiguration"
roles = ["ap"]
requires = [ {{ setting = "lock.print-wait" }} ]
enforce = "hold"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"
"#
    )
}

/// `text` with what `capture` cannot see in a tree: where each variant belongs, and that 3.3.0 is bad.
pub fn place_releases(text: &str) -> String {
    let mut placed = String::with_capacity(text.len() + 1000);
    for line in text.lines() {
        placed.push_str(line);
        placed.push('\n');
        match line.trim() {
            "variant = \"single\"" => placed.push_str("when = { fact = \"topology\", equals = \"single\" }\n"),
            "variant = \"split\"" => placed.push_str("when = { fact = \"topology\", equals = \"split\" }\n"),
            "version = \"3.3.0\"" => placed.push_str("denied = \"prints another resident's certificate under load\"\n"),
            _ => {}
        }
    }
    placed
}

/// The next version of `baseline`: one more fix, which concerns `site` alone and which it has.
pub fn next_baseline(baseline: &str, site: &str) -> String {
    let forms = Digest::of(FORMS).hex();
    let grown = baseline.replacen(&format!("version = \"{VERSION}\""), &format!("version = \"{NEXT_VERSION}\""), 1);
    format!(
        r#"{grown}
[[fix]]
id = "FIX-2023-0011"
title = {{ en = "Forms of one municipality", ja = "一団体の様式" }}
pattern = "missed-fix"
roles = ["ap"]
sites = ["{site}"]
requires = [ {{ file = "/etc/issuing/forms.lst", sha256 = ["sha256:{forms}"] }} ]
enforce = "hold"
required_from = 2023-05-01T00:00:00+09:00
owner = "release management"
"#
    )
}

/// The registry's entry of one site and its hosts.
pub fn registry_entry(site: &Site) -> String {
    let Site { code, en, ja, split } = site;
    let mut text = format!("\n[[site]]\ncode = \"{code}\"\nname = {{ en = \"{en}\", ja = \"{ja}\" }}\n");
    for role in if *split { &["ap", "db"][..] } else { &["ap"] } {
        text.push_str(&format!(
            "\n[[host]]\nid = \"{code}-{role}1\"\nroles = [\"{role}\"]\njoined = 2023-05-01T00:00:00+09:00\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites;
    use crate::trees::Release;
    use manifests::baseline::Pattern;
    use manifests::source;

    /// As `capture` leaves it: a release per tree.
    fn captured() -> String {
        let mut text = baseline(Rhythm::for_hosts(141));
        for (index, release) in Release::ALL.into_iter().enumerate() {
            let before = format!("[[program]]\nid = \"{}\"\n", release.program());
            let at = text.find(&before).unwrap();
            let end = at + text[at..].find("\n\n").unwrap() + 1;
            let variant = release.variant().map(|name| format!("variant = \"{name}\"\n")).unwrap_or_default();
            let entry = format!(
                "\n[[program.release]]\nversion = \"{}\"\n{variant}tree = \"sha256:{}\"\n",
                release.version(),
                Digest::of(&[index as u8]).hex()
            );
            text.insert_str(end, &entry);
        }
        place_releases(&text)
    }

    #[test]
    fn both_baselines_are_read_without_a_problem_and_have_items_of_all_six_patterns() {
        let first = captured();
        for text in [next_baseline(&first, sites::MUNAKATA), first] {
            let baseline = source::baseline(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
            for (name, pattern) in Pattern::ALL {
                let fixes = baseline.fixes.iter().filter(|fix| fix.about.pattern == Some(pattern)).count();
                let settings =
                    baseline.settings.iter().filter(|setting| setting.about.pattern == Some(pattern)).count();
                assert!(fixes + settings > 0, "{name}");
            }
            assert!(baseline.programs.iter().flat_map(|program| &program.releases).any(|r| r.denied.is_some()));
        }
    }
}
