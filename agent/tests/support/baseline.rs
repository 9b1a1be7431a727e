//! A baseline around the part that a test is about.

use manifests::baseline::Baseline;

/// What `TREE` stands for: the digest of nothing.
const TREE: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn baseline(part: &str) -> Baseline {
    baseline_of(2, part)
}

pub(crate) fn baseline_of(schema: u32, part: &str) -> Baseline {
    let part = part.replace("TREE", TREE);
    let text = format!(
        "schema = {schema}\nproduct = \"convenience-issuance\"\nversion = \"1.0.0\"\nmin_agent = \"0.1.0\"\n\
         [gate]\nheartbeat = \"30s\"\npermit_ttl = \"30m\"\nevidence_max_age = \"10m\"\nverify_hold = \"250ms\"\n\
         expiry_grace = \"14d\"\n{part}\n\
         [[setting]]\nid = \"filler.k\"\nconfig = \"filler\"\nkey = \"k\"\nexpect = {{ present = true }}\n\
         enforce = \"warn\"\nowner = \"o\"\nremediation = {{ en = \"r\" }}\npattern = \"misconfiguration\"\n\
         [[config]]\nid = \"filler\"\nfiles = [\"/nonexistent/filler.ini\"]\nformat = \"ini\"\nreload = \"live\"\n"
    );
    manifests::source::baseline(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}
