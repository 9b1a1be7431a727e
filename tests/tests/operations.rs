//! The walk-throughs of `docs/operations.md`, word for word, from where `docs/first-steps.md` ends.
//!
//! Two words alone are others than on the page: the ports, so that several tests can run at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::world::{programs_directory, reserved_port};

/// The directory of the project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A part of a page: from this heading to the next one of its level.
fn section(page: &str, title: &str) -> Result<String> {
    let mut lines = page.lines().skip_while(|line| !(line.starts_with("## ") && line.ends_with(title)));
    let first = lines.next().with_context(|| format!("no section {title:?}"))?;
    let rest = lines.take_while(|line| !line.starts_with("## "));
    Ok([first].into_iter().chain(rest).collect::<Vec<_>>().join("\n"))
}

/// The commands of a page, in order.
fn commands(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    text
}

fn page(name: &str) -> Result<String> {
    let path = project().join("docs").join(name);
    fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
}

/// Runs the first steps, a section, and `check`, which sees variables and files of all of it.
fn walk(title: &str, check: &str) -> Result<()> {
    let first = page("first-steps.md")?;
    // What is before section 1 builds the programs.
    let (_, first) = first.split_once("\n## 1. ").context("docs/first-steps.md has no section 1")?;
    let (first, _) = first.split_once("\n## 6. ").context("docs/first-steps.md has no section 6")?;
    let body = commands(&section(&page("operations.md")?, title)?);
    ensure!(!body.is_empty(), "{title} has no commands");
    let programs = programs_directory()?;
    let directory = tempfile::Builder::new().prefix("operations-").tempdir()?;
    let ((_one, controller), (_other, gate)) = (reserved_port()?, reserved_port()?);
    let script = format!(
        "set -eu\n\
         trap 'for f in controller.pid agent.pid; do [ -s $f ] && kill -9 \"$(cat $f)\" 2> /dev/null; done; true' EXIT\n\
         {}\n\
         export SEKISHO_CONTROLLER=https://127.0.0.1:8443 SEKISHO_CA=main/ca.pem SEKISHO_TOKEN_FILE=main/admin.token\n\
         # {title}\n{body}\n\
         {check}",
        commands(first)
    );
    let script = script.replace("8443", &controller.to_string()).replace("8640", &gate.to_string());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path)))?;
    // Longer than any of it takes; a page that waits for ever must not hold up everybody.
    let output = Command::new("timeout")
        .args(["300", "bash", "-c", &script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env("SEKISHO_PASSPHRASE", "for this test only")
        .output()?;
    let log = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap_or_default();
    ensure!(
        output.status.success(),
        "{title}: {}\n{}\n{}\ncontroller: {}\nagent: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        tail(&log("controller.log")),
        tail(&log("agent.log"))
    );
    Ok(())
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}

/// Until the host has followed to root N, and its gate is open.
fn follows(root: u64) -> String {
    format!(
        "until grep -q '\"version\": {root}' host/state/trust/root.json\n\
         do sleep 0.2; done\n\
         until sekisho-agent gate --config host/agent.toml > /dev/null; do sleep 0.2; done\n"
    )
}

/// A key that signs nothing any more.
fn refused(key: &str, directory: &str) -> String {
    format!("if sekisho-baseline sign --key {key} {directory}; then echo {key} still signs; exit 1; fi\n")
}

#[test]
fn a_year_is_over_and_everything_is_renewed() -> Result<()> {
    walk("Yearly root", &follows(2))
}

#[test]
fn a_host_that_was_off_catches_up() -> Result<()> {
    let check = "kill \"$(cat agent.pid)\"; while kill -0 \"$(cat agent.pid)\" 2> /dev/null; do sleep 0.2; done\n\
                 for year in 3 4; do\n\
                 for n in 1 3; do sekisho-baseline renew --key manager-$n.pem baseline; done\n\
                 sekisho-baseline publish baseline\n\
                 done\n\
                 sekisho-agent run --config host/agent.toml >> agent.log 2>&1 & echo $! > agent.pid\n";
    walk("Yearly root", &(follows(2) + check + &follows(4)))
}

#[test]
fn one_leaves_and_one_joins() -> Result<()> {
    let gone = refused("manager-3.pem", "baseline");
    walk("A release manager leaves / joins", &(follows(2) + &gone))
}

#[test]
fn a_key_is_replaced() -> Result<()> {
    let gone = refused("manager-2.pem", "baseline");
    walk("A key is lost or stolen", &(follows(2) + &gone))
}

#[test]
fn a_threshold_is_raised_and_lowered() -> Result<()> {
    // Everybody signs twice: the first has no complete root yet. The last time a key is replaced at once.
    let next = |change: &str, keys: [u8; 3]| {
        let [one, two, three] = keys;
        format!(
            "sekisho-baseline root propose {change} baseline\n             for n in {one} {two} {three} {one} {two} {three}; do\n             sekisho-baseline sign --key manager-$n.pem baseline\n             done\n             sekisho-baseline publish baseline\n"
        )
    };
    let replaced = "--threshold 3 --replace 'release manager, quality;manager-5.pem.pub'";
    let check = [
        follows(2),
        next("--threshold 3", [1, 2, 3]),
        follows(3),
        next("--threshold 2", [3, 1, 2]),
        follows(4),
        "sekisho-baseline keygen manager-5.pem\n".to_owned(),
        next(replaced, [5, 3, 1]),
        follows(5),
        refused("manager-2.pem", "baseline"),
    ];
    walk("Yearly root", &check.concat())
}

#[test]
fn nobody_can_sign_any_more_and_others_begin_anew() -> Result<()> {
    // The old people sign nothing here, and a renewal by the new ones reaches the host.
    let after = "sekisho-baseline renew --key manager-6.pem anew\n\
                 sekisho-baseline renew --key manager-8.pem anew\n\
                 sekisho-baseline publish anew\n";
    walk("Threshold lost: new ceremony", &(follows(2) + &refused("manager-1.pem", "anew") + after + &follows(3)))
}

#[test]
fn every_section_with_commands_is_walked_through() -> Result<()> {
    let own = fs::read_to_string(project().join("tests/tests/operations.rs"))?;
    for part in page("operations.md")?.split("\n## ").skip(1).filter(|part| part.contains("```sh")) {
        let heading = part.lines().next().unwrap_or_default();
        let title = heading.split_once(". ").map_or(heading, |(_, title)| title);
        ensure!(own.contains(&format!("\"{title}\"")), "no test walks through {title:?}");
    }
    Ok(())
}

/// The name that a heading has in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_index_names_every_walk_through_and_nothing_else() -> Result<()> {
    let index = section(&page("operations.md")?, "Which walk-through")?;
    let mut linked: Vec<String> = Vec::new();
    for target in index.split("](").skip(1) {
        let target = target.split(')').next().unwrap_or_default();
        linked.push(if target.starts_with('#') { format!("operations.md{target}") } else { target.to_owned() });
    }
    let mut there = Vec::new();
    for name in ["operations.md", "operations-controllers.md", "operations-disk.md"] {
        let text = page(name)?;
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        let walks = headings.filter(|heading| !["Which walk-through", "How to read this page"].contains(heading));
        there.extend(walks.map(|heading| format!("{name}#{}", anchor(heading))));
    }
    ensure!(linked == there, "the index leads to {linked:#?}\nthere are {there:#?}");
    Ok(())
}
