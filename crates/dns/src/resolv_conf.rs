//! The host's servers, as resolv.conf(5) names them at this moment.

use nix::net::if_::if_nametoindex;
use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How old our knowledge of the file may be when it is used.
const MAX_AGE: Duration = Duration::from_millis(250);

/// The longest file that is read.
const MAX_FILE: u64 = 64 << 10;

/// What glibc asks where the file names no server, as resolv.conf(5) says.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

/// The host's servers. The file is read again when the servers are asked for and our
/// knowledge is older than [`MAX_AGE`]: that follows every way of replacing it
/// (rename, symlink, mount) and costs nothing while nobody asks.
pub(crate) struct HostServers {
    path: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    servers: Arc<[SocketAddr]>,
    read_at: Option<Instant>,
}

impl HostServers {
    /// The servers in the file at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::new(Known { servers: Arc::new([DEFAULT]), read_at: None }) }
    }

    /// The servers at `now`: the default one where there is no file. If the file
    /// cannot be read for another reason, those known before.
    pub(crate) fn at(&self, now: Instant) -> Arc<[SocketAddr]> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read_at.is_some_and(|at| now.saturating_duration_since(at) < MAX_AGE) {
            return known.servers.clone();
        }
        known.read_at = Some(now);
        let servers = match self.read() {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![DEFAULT],
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read the host's resolv.conf");
                return known.servers.clone();
            }
        };
        if *known.servers != *servers {
            tracing::debug!(?servers, "the host's name servers");
            known.servers = servers.into();
        }
        known.servers.clone()
    }

    fn read(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The `nameserver` lines of `text`, in order and each once.
pub(crate) fn parse(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        if let Some(server) = words.next().and_then(address)
            && !servers.contains(&server)
        {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        servers.push(DEFAULT);
    }
    servers
}

/// An address, with the zone that a link-local one needs (RFC 4007 §11).
fn address(text: &str) -> Option<SocketAddr> {
    let Some((ip, zone)) = text.split_once('%') else {
        return text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    };
    let zone = zone.parse().or_else(|_| if_nametoindex(zone)).ok()?;
    Some(SocketAddrV6::new(ip.parse::<Ipv6Addr>().ok()?, 53, 0, zone).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 53)
    }

    #[test]
    fn name_servers_in_order() {
        let text = "# nameserver 9.9.9.9\nsearch example\nnameserver 127.0.0.53\n\tnameserver\tfd01::1 # x\n\
                    nameserver 127.0.0.53\nnameserver nonsense\nnameserver\n;nameserver 8.8.8.8\n";
        assert_eq!(parse(text), [at("127.0.0.53"), at("fd01::1")]);
        assert_eq!(parse("options ndots:5\n"), [at("127.0.0.1")]);
        let zoned = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 1));
        assert_eq!(parse("nameserver fe80::1%lo\nnameserver fe80::1%nosuchlink"), [zoned]);
    }

    #[test]
    fn follows_the_file_however_it_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let host = HostServers::new(path.clone());
        let mut now = Instant::now();
        let mut expect = |servers: &[&str], why: &str| {
            let servers: Vec<_> = servers.iter().map(|ip| at(ip)).collect();
            assert_eq!(*host.at(now), servers, "{why}");
            now += MAX_AGE;
        };
        expect(&["127.0.0.1"], "no file");
        fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        expect(&["10.0.0.1"], "written");
        fs::write(&path, "nameserver 10.0.0.2\n").unwrap();
        expect(&["10.0.0.2"], "written in place");
        let other = dir.path().join("new");
        fs::write(&other, "nameserver 10.0.0.3\n").unwrap();
        fs::rename(&other, &path).unwrap();
        expect(&["10.0.0.3"], "replaced by rename");
        fs::write(&other, "nameserver 10.0.0.4\n").unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&other, &path).unwrap();
        expect(&["10.0.0.4"], "a symlink");
        fs::write(&other, "nameserver 10.0.0.5\n").unwrap();
        expect(&["10.0.0.5"], "the target of the symlink");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        expect(&["10.0.0.5"], "unreadable: as before");
    }

    #[test]
    fn is_not_read_for_every_question() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        let host = HostServers::new(path.clone());
        let start = Instant::now();
        assert_eq!(*host.at(start), [at("10.0.0.1")]);
        fs::write(&path, "nameserver 10.0.0.2\n").unwrap();
        assert_eq!(*host.at(start + MAX_AGE / 2), [at("10.0.0.1")]);
        assert_eq!(*host.at(start + MAX_AGE), [at("10.0.0.2")]);
    }
}
