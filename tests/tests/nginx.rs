//! A real nginx with `auth_request` in front of an agent's gate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tests::fleet::{Faults, Part, small};
use tests::host::{Issued, Lock};
use tests::http::Address;
use tests::operator::text;
use tests::world::{DEADLINE, reserved_port, until};

fn nginx() -> Option<PathBuf> {
    ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].iter().map(PathBuf::from).find(|path| path.exists())
}

/// The servers of `agent/dist/nginx.conf` as they are, but for addresses, a certificate and the bodies that the
/// application takes.
fn configuration(directory: &Path, (port, inner): (u16, u16), gate: &str, application: u16) -> Result<String> {
    let place = directory.display();
    let shipped = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../agent/dist/nginx.conf"))?;
    let tls = format!(
        "listen 127.0.0.1:{port} ssl;\n ssl_certificate {place}/tls.pem;\n ssl_certificate_key {place}/tls.key;"
    );
    let replaced = [
        ("listen 443 ssl;", tls),
        ("127.0.0.1:8640", gate.to_owned()),
        ("127.0.0.1:8642", format!("127.0.0.1:{inner}")),
        ("127.0.0.1:8080", format!("127.0.0.1:{application}")),
        ("/usr/share/sekisho-agent/html", format!("{place}/www")),
        ("    location / {", "    location / {\n client_max_body_size 8m;".to_owned()),
    ];
    let mut servers = shipped;
    for (from, to) in replaced {
        ensure!(servers.contains(from), "nginx.conf has no {from:?}");
        servers = servers.replace(from, &to);
    }
    // The application: it issues whatever it is asked.
    Ok(format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {place}/pid;\nerror_log {place}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {place}/t1;\n  proxy_temp_path {place}/t2;\n\
         fastcgi_temp_path {place}/t3;\n  uwsgi_temp_path {place}/t4;\n  scgi_temp_path {place}/t5;\n\
         server {{\n    listen 127.0.0.1:{application};\n    client_max_body_size 0;\n\
         location / {{ return 200 certificate; }}\n  }}\n{servers}\n}}\n"
    ))
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
    fs::write(directory.join("www/hold.html"), "nothing is issued\n")?;
    let name = "issuing.example.jp";
    let certified = rcgen::generate_simple_self_signed([name.to_owned()])?;
    fs::write(directory.join("tls.pem"), certified.cert.pem())?;
    fs::write(directory.join("tls.key"), certified.signing_key.serialize_pem())?;
    // nginx cannot say which it was given.
    let ((_first, port), (_second, inner), (_third, application)) =
        (reserved_port()?, reserved_port()?, reserved_port()?);
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration(&directory, (port, inner), &gate.to_string(), application)?)?;
    let mut server = fleet.world.start("nginx", &nginx, &["-p", text(&directory)?, "-c", text(&file)?])?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(certified.cert.pem().as_bytes())?;
    let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().timeout(DEADLINE);
    let client = client.resolve(name, ([127, 0, 0, 1], port).into()).build()?;
    let url = format!("https://{name}:{port}/certificate");
    let ask = || async { anyhow::Ok(client.get(&url).send().await?.status()) };
    until("nginx to listen", DEADLINE, async || {
        ensure!(server.runs(), "nginx ended: {}", server.log());
        ask().await.map(|_| ())
    })
    .await?;

    until("an open gate: 200", DEADLINE, async || {
        let (through, gate) = (ask().await?, fleet.host(&ap)?.ask_gate().await?);
        ensure!(gate == Issued::Certificate && through == 200, "{gate}; nginx {through}");
        Ok(())
    })
    .await?;
    // How large a body may be is the application's to say: the question about it has none.
    let large = client.post(&url).body(vec![b'x'; 2 << 20]).send().await?;
    ensure!(large.status() == 200, "a body of 2 MiB: {}", large.status());
    ensure!(large.text().await? == "certificate", "not from the application");

    // A request whose head came while the gate was open, and whose body comes after the close.
    let (send, parts) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let body = futures_util::stream::unfold(parts, async |mut parts| {
        let part = parts.recv().await?;
        Some((anyhow::Ok(part), parts))
    });
    let slow = client.post(&url).header("content-length", "10").body(reqwest::Body::wrap_stream(body));
    send.send("12345")?;
    let slow = tokio::spawn(slow.send());
    until("nginx to have the head", DEADLINE, async || {
        let connected = fs::read_to_string("/proc/net/tcp")?.matches(&format!(":{port:04X} ")).count();
        ensure!(connected > 1, "nobody is connected");
        Ok(())
    })
    .await?;
    fleet.host(&ap)?.set_print_lock(Lock::Shared)?;
    until("a closed gate: 403", DEADLINE, async || {
        let through = ask().await?;
        ensure!(through == 403, "nginx {through}");
        Ok(())
    })
    .await?;
    send.send("67890")?;
    drop(send);
    let slow = slow.await??.status();
    ensure!(slow == 403, "a body that came after the close: {slow}");
    // Once closed it stays closed: no answer is kept by the proxy.
    for _ in 0..20 {
        assert_eq!(ask().await?, 403);
    }
    fleet.host(&ap)?.set_print_lock(Lock::Exclusive)?;
    until("the repaired gate: 200", DEADLINE, async || {
        let through = ask().await?;
        ensure!(through == 200, "nginx {through}");
        Ok(())
    })
    .await?;
    fleet.host_mut(&ap)?.kill_agent()?;
    for _ in 0..20 {
        let through = ask().await?;
        assert!(through.is_server_error(), "without an agent nginx answers {through}");
    }
    Ok(())
}
