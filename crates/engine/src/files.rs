//! The files that are mounted over a sandbox's `/etc/hosts`, `/etc/resolv.conf` and
//! `/etc/hostname`. They are rewritten in place, because a bind mount follows the file, not its name.

use crate::{EndpointRecord, HostFiles, Namespace, SandboxRecord, controller::Config};
use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, ErrorClass, Result};
use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Where the resolver listens in every sandbox, as in Docker.
const RESOLVER: &str = "127.0.0.11";

fn directory(config: &Config, sandbox: &SandboxRecord) -> PathBuf {
    config.runtime_dir.join("sandboxes").join(sandbox.id.short())
}

/// Where the files of a sandbox are.
pub(crate) fn paths(config: &Config, sandbox: &SandboxRecord) -> HostFiles {
    let directory = directory(config, sandbox);
    HostFiles {
        hosts: directory.join("hosts"),
        resolv_conf: directory.join("resolv.conf"),
        hostname: directory.join("hostname"),
    }
}

/// Writes the files of a sandbox.
pub(crate) fn write<'a>(
    config: &Config,
    sandbox: &SandboxRecord,
    endpoints: impl Iterator<Item = &'a EndpointRecord>,
) -> Result<()> {
    let directory = directory(config, sandbox);
    fs::create_dir_all(&directory).map_err(|error| io_error(&directory, &error))?;
    hit(Point::FilesDirectory);
    wanted(config, sandbox, endpoints).iter().try_for_each(|(path, content)| put(path, content))
}

/// The files that a sandbox should have, with their content.
pub(crate) fn wanted<'a>(
    config: &Config,
    sandbox: &SandboxRecord,
    endpoints: impl Iterator<Item = &'a EndpointRecord>,
) -> [(PathBuf, String); 3] {
    let endpoints: Vec<&EndpointRecord> = endpoints.collect();
    let paths = paths(config, sandbox);
    [
        (paths.hosts, hosts(config, sandbox, endpoints.iter().copied())),
        (paths.resolv_conf, resolv_conf(config, sandbox, &endpoints)),
        (paths.hostname, format!("{}\n", sandbox.hostname)),
    ]
}

/// What the host's own files were when they were last looked at. Looking follows every way of replacing them (rename,
/// symbolic link, mount), which a watch of a name would not.
#[derive(Debug, Default)]
pub(crate) struct HostFilesSeen(Vec<Option<FileState>>);

/// Device, inode, size and times of a file.
type FileState = (u64, u64, u64, i64, i64);

impl HostFilesSeen {
    /// Whether a file has changed since the last look.
    pub(crate) fn changed(&mut self, config: &Config) -> bool {
        let state = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((
                file.dev(),
                file.ino(),
                file.size(),
                file.mtime_nsec() ^ file.mtime(),
                file.ctime_nsec() ^ file.ctime(),
            ))
        };
        let now = vec![state(&config.resolv_conf), state(&config.hosts)];
        let changed = now != self.0;
        self.0 = now;
        changed
    }
}

/// Removes the files of a sandbox.
pub(crate) fn remove(config: &Config, sandbox: &SandboxRecord) {
    let directory = directory(config, sandbox);
    if let Err(error) = fs::remove_dir_all(&directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, directory = %directory.display(), "could not remove the files of a sandbox");
    }
    hit(Point::FilesRemoved);
}

fn put(path: &Path, content: &str) -> Result<()> {
    // Programs inside may be reading; what is the same is left alone.
    if fs::read_to_string(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(path, content).map_err(|error| io_error(path, &error))?;
    hit(Point::FilesWritten);
    Ok(())
}

fn io_error(path: &Path, error: &io::Error) -> Error {
    let class = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorClass::Permission,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorClass::Exhausted,
        _ => ErrorClass::Internal,
    };
    Error::new(class, format!("{}: {error}", path.display()))
}

fn hosts<'a>(config: &Config, sandbox: &SandboxRecord, endpoints: impl Iterator<Item = &'a EndpointRecord>) -> String {
    let mut text = match sandbox.namespace {
        Namespace::Host => fs::read_to_string(&config.hosts).unwrap_or_default(),
        Namespace::Own(_) | Namespace::Adopted { .. } => "127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::\tip6-localnet\n\
             ff00::\tip6-mcastprefix\n\
             ff02::1\tip6-allnodes\n\
             ff02::2\tip6-allrouters\n"
            .to_owned(),
    };
    for (name, address) in &sandbox.extra_hosts {
        let _ = writeln!(text, "{address}\t{name}");
    }
    for address in endpoints.flat_map(EndpointRecord::addresses) {
        let _ = writeln!(text, "{}\t{}", address.addr(), sandbox.hostname);
    }
    text
}

/// The search domains that servers have given, each once.
fn leased_search(endpoints: &[&EndpointRecord]) -> Vec<String> {
    let mut search: Vec<String> = Vec::new();
    for name in
        endpoints.iter().flat_map(|endpoint| endpoint.leases_in_force()).flat_map(|lease| &lease.settings.search)
    {
        if !search.contains(name) {
            search.push(name.clone());
        }
    }
    search
}

fn resolv_conf(config: &Config, sandbox: &SandboxRecord, endpoints: &[&EndpointRecord]) -> String {
    let host = fs::read_to_string(&config.resolv_conf).unwrap_or_default();
    let dns = &sandbox.dns;
    let untouched = dns.servers.is_empty() && dns.search.is_empty() && dns.options.is_empty();
    if sandbox.namespace == Namespace::Host && untouched {
        return host;
    }
    let host_values = |keyword: &str| -> Vec<String> {
        let line = host.lines().rev().find_map(|line| line.trim().strip_prefix(keyword));
        line.into_iter().flat_map(str::split_whitespace).map(str::to_owned).collect()
    };
    let mut text = String::new();
    if sandbox.dns_port.is_some() {
        let _ = writeln!(text, "nameserver {RESOLVER}");
    } else if dns.servers.is_empty() {
        let servers = host.lines().filter(|line| line.trim_start().starts_with("nameserver"));
        servers.for_each(|line| {
            let _ = writeln!(text, "{}", line.trim());
        });
    } else {
        for server in &dns.servers {
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    let search = match (&dns.search, leased_search(endpoints)) {
        (own, _) if !own.is_empty() => own.clone(),
        (_, leased) if !leased.is_empty() => leased,
        _ => host_values("search "),
    };
    // A single dot asks for no search domain at all, as in Docker.
    if !search.is_empty() && search != ["."] {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let options = if dns.options.is_empty() { host_values("options ") } else { dns.options.clone() };
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}
