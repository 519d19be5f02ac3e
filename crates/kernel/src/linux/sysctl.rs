//! Settings below `/proc/sys`, in the network namespace of the calling thread.

use crate::Sysctl;
use linkspan_model::{Error, Result};
use std::{fs, io, path::PathBuf};

fn file(path: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(path)
}

fn failed(path: &str, error: &io::Error) -> Error {
    let what = format!("sysctl {path}: {error}");
    match error.kind() {
        io::ErrorKind::NotFound if lacks_ipv6(path) => Error::unsupported("the kernel has no IPv6")
            .fix("load its module ipv6, boot without ipv6.disable=1, or do without IPv6"),
        io::ErrorKind::NotFound => Error::not_found(what),
        io::ErrorKind::PermissionDenied => Error::permission(what).fix("run it as root"),
        io::ErrorKind::ReadOnlyFilesystem => Error::permission(what).fix("mount /proc/sys writable"),
        _ => Error::internal(what),
    }
}

pub(crate) fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(file(path)).map_err(|error| failed(path, &error))?;
    Ok(text.trim_end().to_owned())
}

pub(crate) fn write(path: &str, value: &str) -> Result<()> {
    fs::write(file(path), value).map_err(|error| failed(path, &error))
}

/// Whether a setting of IPv6 is missing because all of IPv6 is.
fn lacks_ipv6(path: &str) -> bool {
    path.starts_with("net/ipv6/") && !file("net/ipv6").exists()
}

/// Sets a setting. One that switches something of IPv6 off needs no IPv6 in the kernel.
pub(crate) fn set(sysctl: &Sysctl) -> Result<()> {
    let says_off = match sysctl.path.rsplit('/').next() {
        Some("disable_ipv6") => sysctl.value == "1",
        Some("accept_ra") => sysctl.value == "0",
        _ => false,
    };
    match write(&sysctl.path, &sysctl.value) {
        Err(_) if says_off && lacks_ipv6(&sysctl.path) => Ok(()),
        result => result,
    }
}

/// Puts a setting back, where something is to be put back and the setting still exists.
pub(crate) fn restore(sysctl: &Sysctl) -> Result<()> {
    match &sysctl.restore {
        Some(value) if file(&sysctl.path).exists() => write(&sysctl.path, value),
        _ => Ok(()),
    }
}
