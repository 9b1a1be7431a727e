//! A real nginx with `auth_request` in front of an agent's gate.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use tests::fleet::{Faults, Part, small};
use tests::host::{Issued, Lock};
use tests::http::{self, Address};
use tests::operator::text;
use tests::world::{DEADLINE, reserved_port, until};

fn nginx() -> Option<PathBuf> {
    ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].iter().map(PathBuf::from).find(|path| path.exists())
}

/// One server whose only content lies behind the gate.
fn configuration(directory: &Path, port: u16, gate: &str) -> String {
    let place = directory.display();
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {place}/pid;\nerror_log {place}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {place}/t1;\n  proxy_temp_path {place}/t2;\n\
         fastcgi_temp_path {place}/t3;\n  uwsgi_temp_path {place}/t4;\n  scgi_temp_path {place}/t5;\n\
         server {{\n    listen 127.0.0.1:{port};\n    location = /certificate {{\n      auth_request /gate;\n\
         root {place}/www;\n    }}\n    location = /gate {{\n      internal;\n      proxy_pass http://{gate}/v1/gate;\n\
         proxy_pass_request_body off;\n      proxy_set_header Content-Length \"\";\n\
         proxy_set_header X-Sekisho-Entry store;\n      proxy_cache off;\n      proxy_connect_timeout 500ms;\n\
         proxy_read_timeout 500ms;\n    }}\n  }}\n}}\n"
    )
}

#[tokio::test]
async fn nginx_lets_a_certificate_out_only_while_the_gate_is_open() -> Result<()> {
    let Some(nginx) = nginx() else {
        eprintln!("SKIPPED: nginx is not installed; tests/run installs it");
        return Ok(());
    };
    let mut fleet = small(6).await?;
    let ap = fleet.good(false).next().or(fleet.part(Part::Munakata).ok()).context("no site")?.ap()?;
    fleet.start_hosts(std::slice::from_ref(&ap), Faults::NONE, |_| {}).await?;
    let Some(Address::Tcp(gate)) = fleet.host(&ap)?.gate().cloned() else { anyhow::bail!("no loopback gate") };

    let directory = fleet.world.path().join("nginx");
    fs::create_dir_all(directory.join("www"))?;
    fs::write(directory.join("www/certificate"), "certificate (DEMO)\n")?;
    // nginx cannot say which it was given.
    let (_reserved, port) = reserved_port()?;
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration(&directory, port, &gate.to_string()))?;
    let mut server = fleet.world.start("nginx", &nginx, &["-p", text(&directory)?, "-c", text(&file)?])?;
    let address = Address::Tcp(([127, 0, 0, 1], port).into());
    let ask = || http::ask(&address, &Method::GET, "/certificate", &[], Duration::from_secs(8));
    until("nginx to listen", DEADLINE, async || {
        ensure!(server.runs(), "nginx ended: {}", server.log());
        ask().await.map(|_| ())
    })
    .await?;

    until("an open gate: 200", DEADLINE, async || {
        let (through, gate) = (ask().await?, fleet.host(&ap)?.ask_gate().await?);
        ensure!(gate == Issued::Certificate && through.status == 200, "{gate}; nginx {}", through.status);
        Ok(())
    })
    .await?;
    fleet.host(&ap)?.set_print_lock(Lock::Shared)?;
    until("a closed gate: 403", DEADLINE, async || {
        let through = ask().await?;
        ensure!(through.status == 403, "nginx {}", through.status);
        Ok(())
    })
    .await?;
    // Once closed it stays closed: no answer is kept by the proxy.
    for _ in 0..20 {
        assert_eq!(ask().await?.status, 403);
    }
    fleet.host(&ap)?.set_print_lock(Lock::Exclusive)?;
    until("the repaired gate: 200", DEADLINE, async || {
        let through = ask().await?;
        ensure!(through.status == 200, "nginx {}", through.status);
        Ok(())
    })
    .await?;
    fleet.host_mut(&ap)?.kill_agent()?;
    for _ in 0..20 {
        let through = ask().await?;
        assert!(through.status.is_server_error(), "without an agent nginx answers {}", through.status);
    }
    Ok(())
}
