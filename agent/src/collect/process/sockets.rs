//! Who listens on a TCP address: sockets by inode, from `/proc/net/tcp` and `/proc/net/tcp6`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{link, read_proc};

/// The most that is read of a table of sockets (8 MiB, about 50,000 of them).
const TABLE_BYTES_MAX: u64 = 8 << 20;
/// The most open files of a process that are looked through for a socket.
const OPEN_FILES_MAX: usize = 4096;
/// The kernel's number of the state in which a socket listens.
const LISTENING: &str = "0A";

/// Inodes of the sockets that take connections to one of the addresses.
pub(crate) fn listening(addresses: &[SocketAddr]) -> BTreeSet<u64> {
    if addresses.is_empty() {
        return BTreeSet::new();
    }
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| read_proc(path, TABLE_BYTES_MAX).unwrap_or_default());
    let mut inodes = BTreeSet::new();
    for table in &tables {
        let lines = table.split(|byte| *byte == b'\n').skip(1).filter_map(|line| std::str::from_utf8(line).ok());
        let sockets = lines.filter_map(socket);
        inodes
            .extend(sockets.filter(|(at, _)| addresses.iter().any(|asked| takes(*at, *asked))).map(|(_, inode)| inode));
    }
    inodes
}

/// Whether a socket bound to `at` takes connections to `asked`.
fn takes(at: SocketAddr, asked: SocketAddr) -> bool {
    let is_address =
        at.ip().is_unspecified() || at.ip().to_canonical() == asked.ip().to_canonical() || asked.ip().is_unspecified();
    at.port() == asked.port() && is_address
}

/// `sl local remote state … inode`: the address of a listening socket and its inode.
fn socket(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTENING {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of four bytes in the order of the machine.
    let words = |text: &str| -> Option<Vec<u8>> {
        let starts = (0..text.len()).step_by(8);
        let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
        let words: Option<Vec<u32>> = starts.map(word).collect();
        Some(words?.into_iter().flat_map(u32::to_ne_bytes).collect())
    };
    let bytes = words(ip)?;
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some((SocketAddr::new(ip, port), fields.get(9)?.parse().ok()?))
}

/// Which of the sockets a process has.
pub(crate) fn held(pid: i32, sockets: &BTreeSet<u64>) -> BTreeSet<u64> {
    let listing = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().take(OPEN_FILES_MAX);
    let inode = |entry: std::fs::DirEntry| {
        let target = link(&format!("/proc/{pid}/fd/{}", entry.file_name().to_string_lossy())).ok()?;
        let inode = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
        std::str::from_utf8(inode).ok()?.parse::<u64>().ok()
    };
    listing.filter_map(inode).filter(|inode| sockets.contains(inode)).collect()
}

/// `host:port` as a baseline writes it: an address, or `localhost`, which is both of its addresses.
pub(crate) fn addresses(listens: &str) -> Vec<SocketAddr> {
    if let Ok(address) = listens.parse() {
        return vec![address];
    }
    let port =
        listens.rsplit_once(':').filter(|(host, _)| matches!(*host, "localhost" | "*" | "")).map(|(_, port)| port);
    let Some(port) = port.unwrap_or(listens).parse().ok() else { return Vec::new() };
    let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    local.map(|ip| SocketAddr::new(ip, port)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_found_by_its_address_and_its_holder_by_its_inode() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sockets = listening(&[address]);
        assert_eq!(sockets.len(), 1);
        let ours = i32::try_from(std::process::id()).unwrap();
        assert_eq!(held(ours, &sockets), sockets);
        drop(listener);
        // A process that another test starts has it, too, until it executes its program.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !listening(&[address]).is_empty() {
            assert!(std::time::Instant::now() < end, "it is still there");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_socket_on_every_address_takes_connections_to_each() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(takes(at("0.0.0.0:80"), at("127.0.0.1:80")) && takes(at("[::]:80"), at("127.0.0.1:80")));
        assert!(!takes(at("127.0.0.2:80"), at("127.0.0.1:80")) && !takes(at("0.0.0.0:81"), at("127.0.0.1:80")));
        assert_eq!(addresses("localhost:80").len(), 2);
        assert_eq!(addresses("8080").len(), 2);
        assert_eq!(addresses("unix:/run/x").len(), 0);
    }
}
