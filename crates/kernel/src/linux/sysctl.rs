//! Settings below `/proc/sys`, in the network namespace of the calling thread.

use crate::Sysctl;
use linkspan_model::{Error, ErrorClass, Result};
use std::{fs, io, path::PathBuf};

fn file(path: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(path)
}

fn failed(path: &str, error: &io::Error) -> Error {
    let what = format!("sysctl {path}: {error}");
    match error.kind() {
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

/// Sets a setting. A setting of IPv6 that says "off" needs no IPv6 in the kernel.
pub(crate) fn set(sysctl: &Sysctl) -> Result<()> {
    let without_ipv6 = || sysctl.path.starts_with("net/ipv6/") && !file("net/ipv6").exists();
    match write(&sysctl.path, &sysctl.value) {
        Err(_) if without_ipv6() && matches!(sysctl.path.rsplit('/').next(), Some("disable_ipv6" | "accept_ra")) => {
            Ok(())
        }
        result => result,
    }
}

/// Puts a setting back, where something is to be put back; whether the setting exists.
pub(crate) fn restore(sysctl: &Sysctl) -> Result<bool> {
    if !file(&sysctl.path).exists() {
        return Ok(false);
    }
    match sysctl.restore.as_ref().map(|value| write(&sysctl.path, value)) {
        // The link that it belonged to went meanwhile.
        Some(Err(error)) if error.class() == ErrorClass::NotFound => Ok(false),
        Some(Err(error)) => Err(error),
        Some(Ok(())) | None => Ok(true),
    }
}

/// The link whose setting `path` is.
pub(crate) fn link_of(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("net"), Some("ipv4" | "ipv6"), Some("conf" | "neigh"), Some(link))
            if !matches!(link, "all" | "default") =>
        {
            Some(link)
        }
        _ => None,
    }
}
