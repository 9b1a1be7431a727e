//! What the operations pages take as given, on one machine, and the pages' commands, run as they stand there: two
//! controllers, one host, release managers. Ports, and directories that are the system's on a page, are put in their
//! place; nothing else is.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api::HostRow;
use manifests::outcome::Verdict;
use tokio::net::TcpSocket;

use crate::world::{DEADLINE, Output, Process, World, reserved_port, until};

/// How long a permit lives, as SET_UP has it.
const PERMIT_TTL: Duration = Duration::from_secs(60);
/// The host. Its agent's directory bears its name; the one of its successor is `replacement`.
pub const HOST: &str = "402206-ap1";
/// Arguments that lead an operator to the controller in service.
pub const MAIN: &str = "--controller https://127.0.0.1:8443 --ca main/ca.pem --token-file main/admin.token";
/// first-steps.md in short, with an agent that knows both controllers.
const SET_UP: &str = r#"
for n in 1 2 3; do sekisho-baseline keygen manager-$n.pem > /dev/null; done
for c in main standby; do sekisho-controller init --data $c --id $c --product convenience-issuance; done
sekisho-baseline init --product convenience-issuance \
  --signer 'one;first unit;manager-1.pem.pub' --signer 'two;second unit;manager-2.pem.pub' \
  --signer 'three;third unit;manager-3.pem.pub' \
  --controller main/controller.json --controller standby/controller.json baseline
mkdir etc && printf '[queue]\nlock = exclusive\n' > etc/print.ini
cat >> baseline/registry.toml <<END

[[site]]
code = "402206"
name = { en = "Munakata" }

[[host]]
id = "402206-ap1"
roles = ["ap"]
joined = 2023-04-01T00:00:00+09:00
END
cat >> baseline/baseline.toml <<END

[[config]]
id = "print"
files = ["$PWD/etc/print.ini"]
format = "ini"
roles = ["ap"]

[[setting]]
id = "lock"
kind = "exclusive-lock"
config = "print"
key = "queue.lock"
expect = { equals = "exclusive" }
END
sed -i 's/^heartbeat = .*/heartbeat = "1s"/; s/^permit_ttl = .*/permit_ttl = "1m"/; s/^evidence_max_age = .*/evidence_max_age = "20s"/' baseline/baseline.toml
for n in 1 2; do sekisho-baseline sign --key manager-$n.pem baseline; done
cp baseline/metadata/1.root.json root.json
for d in 402206-ap1 replacement; do
  mkdir $d && cp root.json $d/ && cat main/ca.pem standby/ca.pem > $d/ca.pem
  cat > $d/agent.toml <<END
product = "convenience-issuance"
host = "402206-ap1"
controllers = ["https://127.0.0.1:8443", "https://127.0.0.1:8444"]
ca = "ca.pem"
root = "root.json"
state = "state"

[gate]
socket = "gate.sock"
listen = "127.0.0.1:8640"
END
done
"#;
const ENROL: &str = "(umask 077; sekisho-controller token host 402206-ap1 --data main | cut -d ' ' -f 2 > token)
    sekisho-agent enroll --config 402206-ap1/agent.toml --token-file token";

/// Files and processes of one installation.
pub struct Installation {
    // Ended before their files go.
    processes: BTreeMap<&'static str, Process>,
    blocks: BTreeMap<String, String>,
    placed: Vec<(String, String)>,
    _reserved: Vec<TcpSocket>,
    world: World,
}

/// The blocks of commands of a page, by the name behind `sh`.
///
/// # Errors
/// If the page cannot be read, or a block has no name.
pub fn blocks(page: &str) -> Result<BTreeMap<String, String>> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let (mut blocks, mut open) = (BTreeMap::new(), None::<(String, Vec<&str>)>);
    for line in text.lines().map(str::trim_start) {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                open = Some((info.strip_prefix("sh ").context("a block without a name")?.to_owned(), Vec::new()));
            }
            (Some(_), Some((name, lines))) => {
                ensure!(blocks.insert(name.clone(), lines.join("\n")).is_none(), "two blocks are called {name}");
            }
            (None, Some((name, mut lines))) => {
                lines.push(line);
                open = Some((name, lines));
            }
            (None, None) => {}
        }
    }
    Ok(blocks)
}

/// Says which blocks of a page a test's source does not name.
///
/// # Errors
/// If there are any.
pub fn all_are_named(page: &str, source: &str) -> Result<()> {
    let left: Vec<_> = blocks(page)?.into_keys().filter(|name| !source.contains(&format!("{name:?}"))).collect();
    ensure!(left.is_empty(), "docs/{page}: nobody runs {left:?}");
    Ok(())
}

impl Installation {
    /// Everything is made and signed, and nothing runs. `places`: what a page's directories are called here.
    ///
    /// # Errors
    /// If the page cannot be read, or a command fails.
    pub async fn new(page: &str, places: &[(&str, &str)]) -> Result<Self> {
        let mut placed: Vec<_> = places.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let mut reserved = Vec::new();
        for port in ["8443", "8444", "8445", "8640"] {
            let (socket, ours) = reserved_port()?;
            placed.push((format!("127.0.0.1:{port}"), format!("127.0.0.1:{ours}")));
            reserved.push(socket);
        }
        let (processes, blocks, world) = (BTreeMap::new(), blocks(page)?, World::new()?);
        let here = Self { processes, blocks, placed, _reserved: reserved, world };
        here.ok(SET_UP).await?;
        Ok(here)
    }

    /// The same with what is signed in force, and the host's gate open.
    ///
    /// # Errors
    /// As [`Installation::new`].
    pub async fn issuing(page: &str, places: &[(&str, &str)]) -> Result<Self> {
        let mut here = Self::new(page, places).await?;
        here.start_main().await?;
        here.ok(&format!("sekisho-baseline publish baseline {MAIN}")).await?;
        here.enrol().await?;
        Ok(here)
    }

    /// Enrols the host, starts its agent and waits for its gate.
    ///
    /// # Errors
    /// If the controller refuses it, or the gate does not open.
    pub async fn enrol(&mut self) -> Result<()> {
        self.ok(ENROL).await?;
        self.start_agent(HOST).await?;
        self.opens(HOST).await
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.world.path().join(name)
    }

    fn script(&self, text: &str) -> Result<String> {
        let placed = self.placed.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let programs = self.world.program("sekisho-agent");
        let programs = programs.parent().context("no directory")?.display();
        let directory = self.world.path().display();
        Ok(format!(
            "set -euo pipefail; cd '{directory}'; export PATH='{programs}':\"$PATH\" \
             SEKISHO_PASSPHRASE='for this test only'; unset SEKISHO_CONTROLLER SEKISHO_CA SEKISHO_TOKEN_FILE\n{placed}\n"
        ))
    }

    /// Runs commands to their end, whatever they say.
    ///
    /// # Errors
    /// If there is no shell.
    pub async fn run(&self, text: &str) -> Result<Output> {
        self.world.output("/bin/bash", &["-c", &self.script(text)?]).await
    }

    /// Runs commands that must end with 0.
    ///
    /// # Errors
    /// If one does not: what was said.
    pub async fn ok(&self, text: &str) -> Result<Output> {
        let output = self.run(text).await?;
        ensure!(output.success(), "{text}: {}\n{}{}", output.status, output.stdout, output.stderr);
        Ok(output)
    }

    /// The commands of a block of the page.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn text(&self, name: &str) -> Result<&str> {
        Ok(self.blocks.get(name).with_context(|| format!("the page has no block {name}"))?)
    }

    /// Runs a block of the page; it must end with this code.
    ///
    /// # Errors
    /// If it does not: what was said.
    pub async fn block(&self, name: &str, code: i32) -> Result<Output> {
        let output = self.run(self.text(name)?).await?;
        ensure!(output.status.code() == Some(code), "{name}: {}\n{}{}", output.status, output.stdout, output.stderr);
        Ok(output)
    }

    /// Starts a program of a script's last line and waits for a line that begins with `ready`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&mut self, name: &'static str, text: &str, ready: &str) -> Result<()> {
        let script = self.script(text)?;
        let mut process = self.world.start(name, "/bin/bash".as_ref(), &["-c", &script])?;
        process.line(ready, DEADLINE).await?;
        self.processes.insert(name, process);
        Ok(())
    }

    /// Starts the controller of a block of the page, in the place of the shell, so that it can be ended.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_block(&mut self, name: &'static str, block: &str) -> Result<()> {
        let text = self.text(block)?.replace("sekisho-controller serve", "exec sekisho-controller serve");
        self.start(name, &text, "listening on https://").await
    }

    /// Starts the controller in service.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_main(&mut self) -> Result<()> {
        let serve = "exec sekisho-controller serve --data main --root root.json --listen 127.0.0.1:8443";
        self.start("main", serve, "listening on https://").await
    }

    /// Starts the agent of that directory.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_agent(&mut self, directory: &str) -> Result<()> {
        let run = format!("rm -f {directory}/gate.sock; exec sekisho-agent run --config {directory}/agent.toml");
        self.start("agent", &run, "gate on unix:").await
    }

    /// Kills `main`, `standby` or `agent`.
    ///
    /// # Errors
    /// If it was never started.
    pub fn end(&mut self, name: &str) -> Result<()> {
        Ok(self.processes.get_mut(name).with_context(|| format!("{name} does not run"))?.kill()?)
    }

    /// What one of them logged.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(self.path("logs").join(name).with_extension("err"))?)
    }

    /// Number of the newest permit that a controller made for the host; 0 where it says hold.
    ///
    /// # Errors
    /// If the controller does not answer.
    pub async fn permit(&self, controller: &str) -> Result<u64> {
        let rows = self.run(&format!("sekisho hosts --output json {controller}")).await?;
        let rows: Vec<HostRow> = serde_json::from_str(&rows.stdout).with_context(|| rows.stderr)?;
        let permit = rows.into_iter().next().and_then(|row| row.permit);
        Ok(permit.filter(|permit| permit.verdict == Verdict::Issue).map_or(0, |permit| permit.number))
    }

    /// Waits until the host has a newer permit of the controller in service than `before`.
    ///
    /// # Errors
    /// If it gets none.
    pub async fn is_permitted_after(&self, before: u64) -> Result<()> {
        until("the host to have a new permit of the main one", DEADLINE, async || {
            ensure!(self.permit(MAIN).await? > before, "it has not");
            Ok(())
        })
        .await
    }

    async fn gate(&self, directory: &str) -> Result<Output> {
        self.run(&format!("sekisho-agent gate --config {directory}/agent.toml")).await
    }

    /// Waits until the gate of that directory's agent opens.
    ///
    /// # Errors
    /// If it does not.
    pub async fn opens(&self, directory: &str) -> Result<()> {
        until("the gate to open", DEADLINE, async || {
            let output = self.gate(directory).await?;
            ensure!(output.success(), "{}{}", output.stdout, output.stderr);
            Ok(())
        })
        .await
    }

    /// Waits until it holds for that reason, which may be the end of a permit.
    ///
    /// # Errors
    /// If it does not.
    pub async fn holds(&self, directory: &str, reason: &str) -> Result<()> {
        until(&format!("the gate to hold: {reason}"), PERMIT_TTL + DEADLINE, async || {
            let output = self.gate(directory).await?;
            ensure!(!output.success() && output.stdout.contains(reason), "{}{}", output.stdout, output.stderr);
            Ok(())
        })
        .await
    }

    /// Waits until the controller in service says that it was set back.
    ///
    /// # Errors
    /// If it does not.
    pub async fn notices_that_it_was_set_back(&self) -> Result<()> {
        until("the main one to notice that it was set back", DEADLINE, async || {
            let output = self.run(&format!("sekisho hosts {MAIN}")).await?;
            ensure!(output.stderr.contains("set back"), "{}{}", output.stdout, output.stderr);
            Ok(())
        })
        .await
    }

    /// Waits until commands end with 0 and say `words`.
    ///
    /// # Errors
    /// If they do not.
    pub async fn says(&self, text: &str, words: &str) -> Result<()> {
        until(words, DEADLINE, async || {
            let output = self.run(text).await?;
            ensure!(output.success() && output.stdout.contains(words), "{}{}", output.stdout, output.stderr);
            Ok(())
        })
        .await
    }
}
