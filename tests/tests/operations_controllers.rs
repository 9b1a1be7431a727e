//! The commands of `docs/operations-controllers.md`, run as they stand there: only ports are put in their place.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use manifests::api::HostRow;
use manifests::controller::PublicHalf;
use manifests::outcome::Verdict;
use tests::world::{Output, Process, World, until};

const DEADLINE: Duration = Duration::from_secs(60);
const HOST: &str = "402206-ap1";
/// What the page takes as given: first-steps.md in short, with an agent that knows both controllers.
const SET_UP: &str = r#"
for n in 1 2 3; do sekisho-baseline keygen manager-$n.pem > /dev/null; done
for c in main standby third; do sekisho-controller init --data $c --id $c --product operations; done
sekisho-baseline init --product operations \
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
product = "operations"
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

struct Operations {
    blocks: BTreeMap<String, String>,
    ports: [(String, String); 3],
    world: World,
    processes: BTreeMap<&'static str, Process>,
}

impl Operations {
    fn new() -> Result<Self> {
        let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/operations-controllers.md");
        let page = fs::read_to_string(page)?;
        let (mut blocks, mut open) = (BTreeMap::new(), None::<(String, Vec<&str>)>);
        for line in page.lines().map(str::trim_start) {
            match (line.strip_prefix("```"), open.take()) {
                (Some(info), None) => {
                    open = Some((info.strip_prefix("sh ").context("a block without a name")?.to_owned(), Vec::new()));
                }
                (Some(_), Some((name, lines))) => drop(blocks.insert(name, lines.join("\n"))),
                (None, Some((name, mut lines))) => {
                    lines.push(line);
                    open = Some((name, lines));
                }
                (None, None) => {}
            }
        }
        let mut taken = Vec::new();
        let ports = ["8443", "8444", "8640"].map(|port| {
            // Held until all are chosen, so that no two are one.
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
            let free = listener.as_ref().ok().and_then(|listener| listener.local_addr().ok());
            taken.extend(listener);
            (format!("127.0.0.1:{port}"), free.map_or_else(String::new, |address| address.to_string()))
        });
        Ok(Self { blocks, ports, world: World::new()?, processes: BTreeMap::new() })
    }

    fn script(&self, text: &str) -> Result<String> {
        let placed = self.ports.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        let programs = self.world.program("sekisho-agent");
        let programs = programs.parent().context("no directory")?.display();
        let directory = self.world.path().display();
        Ok(format!(
            "set -euo pipefail; cd '{directory}'; export PATH='{programs}':\"$PATH\" \
             SEKISHO_PASSPHRASE='for this test only'; unset SEKISHO_CONTROLLER SEKISHO_CA SEKISHO_TOKEN_FILE\n{placed}\n"
        ))
    }

    async fn run(&self, text: &str) -> Result<Output> {
        let output = tokio::process::Command::new("/bin/bash").args(["-c", &self.script(text)?]).output().await?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a block of the page; it must end with one of these codes.
    async fn block(&mut self, name: &str, codes: &[i32]) -> Result<Output> {
        let text = self.blocks.remove(name).with_context(|| format!("the page has no block {name}"))?;
        let output = self.run(&text).await?;
        let ends = output.status.code().is_some_and(|code| codes.contains(&code));
        ensure!(ends, "{name}: {}\n{}{}", output.status, output.stdout, output.stderr);
        Ok(output)
    }

    async fn ok(&self, text: &str) -> Result<Output> {
        let output = self.run(text).await?;
        ensure!(output.success(), "{text}: {}\n{}{}", output.status, output.stdout, output.stderr);
        Ok(output)
    }

    async fn start(&mut self, name: &'static str, text: &str, ready: &str) -> Result<()> {
        let script = self.script(text)?;
        let mut process = self.world.start(name, "/bin/bash".as_ref(), &["-c", &script])?;
        process.line(ready, DEADLINE).await?;
        self.processes.insert(name, process);
        Ok(())
    }

    async fn start_main(&mut self) -> Result<()> {
        let serve = "exec sekisho-controller serve --data main --root root.json --listen 127.0.0.1:8443";
        self.start("main", serve, "listening on https://").await
    }

    async fn start_agent(&mut self, directory: &str) -> Result<()> {
        let run = format!("rm -f {directory}/gate.sock; exec sekisho-agent run --config {directory}/agent.toml");
        self.start("agent", &run, "gate on unix:").await
    }

    fn end(&mut self, name: &str) -> Result<()> {
        Ok(self.processes.get_mut(name).with_context(|| format!("{name} does not run"))?.kill()?)
    }

    /// Number of the newest permit that a controller made for the host.
    async fn permit(&self, controller: &str) -> Result<u64> {
        let rows = self.run(&format!("sekisho hosts --output json {controller}")).await?;
        let rows: Vec<HostRow> = serde_json::from_str(&rows.stdout).with_context(|| rows.stderr)?;
        let permit = rows.into_iter().next().and_then(|row| row.permit);
        Ok(permit.filter(|permit| permit.verdict == Verdict::Issue).map_or(0, |permit| permit.number))
    }

    async fn opens(&self, directory: &str) -> Result<()> {
        until("the gate to open", DEADLINE, async || {
            let output = self.run(&format!("sekisho-agent gate --config {directory}/agent.toml")).await?;
            ensure!(output.success(), "{}{}", output.stdout, output.stderr);
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(())
        })
        .await
    }
}

#[tokio::test]
async fn every_command_of_the_page_does_what_it_says() -> Result<()> {
    let mut here = Operations::new()?;
    here.ok(SET_UP).await?;
    here.start_main().await?;
    let standby = here.blocks.remove("standby").context("no block standby")?;
    let standby = standby.replace("sekisho-controller serve", "exec sekisho-controller serve");
    here.start("standby", &standby, "listening on https://").await?;
    let both = here.block("publish-both", &[0]).await?;
    ensure!(both.stdout.matches("published: ").count() == 2, "{}", both.stdout);
    here.ok("(umask 077; sekisho-controller token host 402206-ap1 --data main | cut -d ' ' -f 2 > token)
         sekisho-agent enroll --config 402206-ap1/agent.toml --token-file token")
        .await?;
    here.start_agent(HOST).await?;
    here.opens(HOST).await?;

    // Controller dead.
    here.end("main")?;
    here.ok("mkdir copy && cp main/controller.db* copy/").await?;
    let hosts = here.blocks.get("standby-hosts").cloned().context("no block standby-hosts")?;
    until("the host to be verified at the standby", DEADLINE, async || {
        let output = here.run(&hosts).await?;
        ensure!(output.success() && output.stdout.contains(HOST), "{}{}", output.stdout, output.stderr);
        Ok(())
    })
    .await?;
    here.block("standby-hosts", &[0]).await?;
    here.block("standby-publish", &[0]).await?;
    here.block("standby-stops", &[0]).await?;

    // Restored from backup: first the host comes back, and gets permits that the copy knows nothing of.
    here.start_main().await?;
    let main = "--controller https://127.0.0.1:8443 --ca main/ca.pem --token-file main/admin.token";
    let before = here.permit(main).await?;
    here.end("agent")?;
    here.start_agent(HOST).await?;
    until("the host to have a new permit of the main one", DEADLINE, async || {
        ensure!(here.permit(main).await? > before, "it has not");
        Ok(())
    })
    .await?;
    here.opens(HOST).await?;
    here.end("main")?;
    here.ok("rm main/controller.db* && cp copy/* main/").await?;
    here.start_main().await?;
    until("the main one to notice that it was set back", DEADLINE, async || {
        let output = here.run(&format!("sekisho hosts {main}")).await?;
        ensure!(output.stderr.contains("set back"), "{}{}", output.stdout, output.stderr);
        Ok(())
    })
    .await?;
    here.block("looked-at", &[0]).await?;
    until("the host to be allowed again", DEADLINE, async || {
        let output = here.run(&format!("sekisho hosts {main}")).await?;
        ensure!(output.success() && output.stderr.is_empty(), "{}{}", output.stdout, output.stderr);
        Ok(())
    })
    .await?;

    // A host's hardware replaced.
    here.end("agent")?;
    here.block("replace", &[0]).await?;
    here.block("enrol-replacement", &[0]).await?;
    here.start_agent("replacement").await?;
    here.opens("replacement").await?;

    // A controller's keys stolen: the registry goes on with a third one in its place.
    let public = |name: &str| -> Result<PublicHalf> {
        Ok(serde_json::from_slice(&fs::read(here.world.path().join(name).join("controller.json"))?)?)
    };
    let (stolen, third) = (public("main")?, public("third")?);
    let registry = here.world.path().join("baseline/registry.toml");
    let hex = |key: &manifests::key::PublicKey| key.ed25519_bytes().map(|bytes| data_encoding::HEXLOWER.encode(bytes));
    let mut text = fs::read_to_string(&registry)?.replace("id = \"main\"", "id = \"third\"");
    for (old, new) in [(&stolen.permit_key, &third.permit_key), (&stolen.log_key, &third.log_key)] {
        text = text.replace(&hex(old).context("a key")?, &hex(new).context("a key")?);
    }
    fs::write(&registry, text)?;
    here.ok("for n in 1 2; do sekisho-baseline sign --key manager-$n.pem baseline; done").await?;
    here.block("without-main", &[0]).await?;
    here.end("main")?;
    here.opens("replacement").await?;
    here.block("unlisted", &[0]).await?;
    ensure!(here.blocks.is_empty(), "nobody runs {:?}", here.blocks.keys());
    Ok(())
}
