//! What commands print reaches whoever reads it, harms no terminal, and is no reason to fall over where nobody
//! reads or the disk is full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use manifests::id::HostId;
use rustix::process::{Pid, Signal, kill_process};
use tests::fleet::{Faults, Fleet, Part, small};
use tests::host::Issued;
use tests::operator::text;
use tests::world::{DEADLINE, until};

/// Exit code of a command whose output could not be written.
const IO_ERROR: i32 = 74;

async fn one_host() -> Result<(Fleet, HostId)> {
    let mut fleet = small(6).await?;
    let ap = fleet.part(Part::Munakata)?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    fleet.issues(&ap).await?;
    Ok((fleet, ap))
}

/// A command as the operator, or at a host, in a locale.
fn command(fleet: &Fleet, program: &str, args: &[&str], locale: &str) -> Result<Command> {
    let mut command = Command::new(fleet.world.program(program));
    command.args(args).env("LC_ALL", locale).stdin(Stdio::null());
    if program == "sekisho" {
        command.env("SEKISHO_CONTROLLER", fleet.controller.url()).env("SEKISHO_CA", fleet.controller.ca());
        command.env("SEKISHO_TOKEN_FILE", fleet.controller.token_file());
    }
    Ok(command)
}

#[tokio::test]
async fn a_reader_that_left_and_a_full_disk_are_no_reason_to_fall_over() -> Result<()> {
    let (fleet, ap) = one_host().await?;
    let config = fleet.host(&ap)?.config();
    let (config, data) = (text(&config)?, text(fleet.controller.data())?);
    let commands: [(&str, &[&str]); 6] = [
        ("sekisho-agent", &["status", "--config", config]),
        ("sekisho-agent", &["collect", "--config", config, "--dry-run"]),
        ("sekisho-agent", &["gate", "--config", config]),
        ("sekisho-controller", &["doctor", "--data", data]),
        ("sekisho", &["sites"]),
        ("sekisho", &["hosts", "-o", "json"]),
    ];
    for (program, args) in commands {
        let of = format!("{program} {}", args.join(" "));
        let run = |stdout: Stdio| -> Result<(Option<i32>, String)> {
            let mut command = command(&fleet, program, args, "C.UTF-8")?;
            let output = command.stdout(stdout).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
            Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
        };
        let (usual, said) = run(Stdio::null())?;
        let (read, write) = std::io::pipe()?;
        drop(read);
        ensure!(run(Stdio::from(write))? == (usual, said.clone()), "{of}: a reader that left changes how it ends");
        let (code, said_full) = run(Stdio::from(fs::File::options().write(true).open("/dev/full")?))?;
        // The gate's exit code is its answer.
        let expected = if usual == Some(0) && args[0] != "gate" { Some(IO_ERROR) } else { usual };
        ensure!(code == expected, "{of} on a full disk: {code:?} in place of {expected:?}: {said_full}");
        let more = said_full.lines().filter(|line| !said.lines().any(|before| before == *line));
        let more: Vec<&str> = more.collect();
        ensure!(more.len() == 1 && more[0].contains("cannot be written"), "{of} on a full disk: {said_full}");
    }
    Ok(())
}

#[tokio::test]
async fn where_the_locale_has_no_utf8_json_is_ascii_and_tables_say_that_names_are_not() -> Result<()> {
    let (fleet, _) = one_host().await?;
    for locale in ["C", "POSIX", "ja_JP.eucJP"] {
        let output = command(&fleet, "sekisho", &["sites", "-o", "json"], locale)?.output()?;
        ensure!(output.stdout.is_ascii(), "{locale}: JSON beyond ASCII");
        let sites: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(sites.to_string().contains('宗'), "{locale}: a name is lost: {sites}");
        let output = command(&fleet, "sekisho", &["sites"], locale)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.stdout.is_ascii() || said.contains("not UTF-8"), "{locale}: {said}");
    }
    let output = command(&fleet, "sekisho", &["sites", "--lang", "ja"], "ja_JP.UTF-8")?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.stdout.is_ascii() && !said.contains("not UTF-8"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_says_of_processes_what_the_agent_says() -> Result<()> {
    let (fleet, ap) = one_host().await?;
    let host = fleet.host(&ap)?;
    let (answers, config) = ("an open gate", host.config());
    let opens = async |open: bool| {
        until(answers, DEADLINE, async || {
            let answer = host.ask_gate().await?;
            ensure!((answer == Issued::Certificate) == open, "{answer}");
            Ok(())
        })
        .await
    };
    until("the agent to know the process", DEADLINE, async || {
        let kept: serde_json::Value = serde_json::from_slice(&fs::read(host.own().join("state/processes.json"))?)?;
        ensure!(kept["images"].as_array().is_some_and(|images| !images.is_empty()), "it knows of none");
        Ok(())
    })
    .await?;
    opens(true).await?;
    // Changed and put back by one who wrote in between: its bytes are as they were read, its times are not.
    host.alter_module()?;
    opens(false).await?;
    host.alter_module()?;
    opens(true).await?;
    until("a dry run that says the same", DEADLINE, async || {
        let evidence = fleet.world.run("sekisho-agent", &["collect", "--config", text(&config)?, "--dry-run"]).await?;
        let evidence: serde_json::Value = serde_json::from_str(&evidence)?;
        let programs = evidence["state"]["programs"].as_object().context("no programs")?;
        for (program, seen) in programs {
            let loaded = &seen["loaded"];
            let is_empty = |list: &str| loaded[list].as_array().is_some_and(Vec::is_empty);
            ensure!(is_empty("older") && is_empty("elsewhere") && is_empty("unknown"), "{program}: {loaded}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_signal_that_ends_the_dashboard_gives_the_terminal_back() -> Result<()> {
    if !Path::new("/usr/bin/script").exists() {
        eprintln!("SKIPPED: script (bsdutils) is not installed");
        return Ok(());
    }
    let (fleet, _) = one_host().await?;
    for signal in [Signal::QUIT, Signal::TERM, Signal::HUP] {
        let place = fleet.world.path().join(format!("terminal-{}", signal.as_raw()));
        fs::create_dir(&place)?;
        let file = |name: &str| place.join(name);
        let wrapper = file("wrapper.sh");
        let sekisho = fleet.world.program("sekisho");
        let script = format!(
            "#!/bin/sh\ncd {}\nulimit -c 0\nsh -c 'echo $$ > pid.new; mv pid.new pid; exec {}'\nstty -a > after.new\nmv after.new after\n",
            text(&place)?,
            text(&sekisho)?
        );
        fs::write(&wrapper, script)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
        let mut command = Command::new("/usr/bin/script");
        command.args(["-q", "-f", "-c", text(&wrapper)?, text(&file("screen"))?]);
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env("SEKISHO_CA", fleet.controller.ca());
        command.env("SEKISHO_CONTROLLER", fleet.controller.url());
        command.env("SEKISHO_TOKEN_FILE", fleet.controller.token_file());
        let mut terminal = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let is_drawn = async || {
            let screen = fs::read(file("screen")).unwrap_or_default();
            ensure!(String::from_utf8_lossy(&screen).contains("\u{1b}[?1049h"), "no screen is taken yet");
            Ok(fs::read_to_string(file("pid"))?.trim().parse::<i32>()?)
        };
        let result = async {
            let pid = until("the dashboard to be drawn", DEADLINE, is_drawn).await?;
            kill_process(Pid::from_raw(pid).context("no process")?, signal)?;
            let after = async || fs::read_to_string(file("after")).context("it has not ended yet");
            let after = until("the dashboard to end", DEADLINE, after).await?;
            ensure!(after.contains(" icanon") && after.contains(" echo "), "{signal:?}: {after}");
            let screen = fs::read(file("screen"))?;
            ensure!(String::from_utf8_lossy(&screen).contains("\u{1b}[?1049l"), "{signal:?}: its screen is not left");
            Ok(())
        }
        .await;
        // It ends with what it runs; where it does not, nobody else would end it.
        let _ = terminal.kill();
        terminal.wait()?;
        result?;
    }
    Ok(())
}
