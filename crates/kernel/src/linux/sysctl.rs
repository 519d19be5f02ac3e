//! Settings below `/proc/sys`, in the network namespace of the calling thread.

use crate::{Sysctl, value::link_of_setting};
use linkspan_model::{Error, ErrorClass, Result};
use std::{fs, io, path::PathBuf};

fn file(path: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(path)
}

fn failed(path: &str, error: &io::Error) -> Error {
    let what = format!("sysctl {path}: {error}");
    match error.kind() {
        io::ErrorKind::NotFound if path.starts_with("net/ipv6/") && !file("net/ipv6").exists() => {
            Error::unsupported("the kernel has no IPv6")
                .fix("load its module ipv6, boot without ipv6.disable=1, or do without IPv6")
        }
        io::ErrorKind::NotFound => {
            Error::not_found(what).fix("this kernel has no such setting, or its module is not loaded")
        }
        io::ErrorKind::InvalidInput => Error::invalid(what).fix("give a value that the kernel takes"),
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

/// Sets a setting. One that switches IPv6 off, or a part of it, needs no IPv6.
pub(crate) fn set(sysctl: &Sysctl) -> Result<()> {
    match write(&sysctl.path, &sysctl.value) {
        Err(_) if switches_off(sysctl) && lacks_ipv6(&sysctl.path) => Ok(()),
        Err(error) if error.class() == ErrorClass::NotFound && lacks_ipv6(&sysctl.path) => {
            Err(Error::unsupported(format!("{sysctl}: there is no IPv6 on that interface"))
                .fix("use an MTU of 1280 bytes or more, and a kernel with IPv6 switched on; or do without IPv6"))
        }
        result => result,
    }
}

/// The value of a setting, in the terms of `sysctl`: what switches IPv6 off is so where there is none, and
/// it does not matter what stands between the parts of a value (Linux writes tabulators).
pub(crate) fn seen(sysctl: &Sysctl) -> Option<String> {
    match read(&sysctl.path) {
        Ok(value) if value.split_whitespace().eq(sysctl.value.split_whitespace()) => Some(sysctl.value.clone()),
        Ok(value) => Some(value),
        Err(_) if switches_off(sysctl) && lacks_ipv6(&sysctl.path) => Some(sysctl.value.clone()),
        Err(_) => None,
    }
}

fn switches_off(sysctl: &Sysctl) -> bool {
    matches!(
        (sysctl.path.rsplit('/').next(), sysctl.value.as_str()),
        (Some("disable_ipv6"), "1") | (Some("accept_ra" | "autoconf" | "forwarding"), "0")
    )
}

/// Whether `path` is a setting of IPv6 that does not exist because there is no IPv6: in the whole kernel,
/// or on a link that is there, whose MTU is below the 1280 bytes that IPv6 needs (RFC 8200 §5).
fn lacks_ipv6(path: &str) -> bool {
    if !path.starts_with("net/ipv6/") {
        return false;
    }
    if !file("net/ipv6").exists() {
        return true;
    }
    link_of_setting(path).is_some_and(|link| {
        !file("net/ipv6/conf").join(link).exists() && matches!(super::apply::index(link), Ok(Some(_)))
    })
}

/// Whether there is IPv6 on a link.
pub(crate) fn has_ipv6(link: &str) -> bool {
    file("net/ipv6/conf").join(link).exists()
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
