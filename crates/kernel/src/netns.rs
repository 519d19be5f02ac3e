//! Network namespaces, always passed explicitly.

use linkspan_failpoint::{Point, hit};
use linkspan_model::{Error, Result};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};
use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd as _},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

/// A network namespace, kept alive by an open file.
#[derive(Debug)]
pub struct Netns {
    file: File,
}

const OWN: &str = "/proc/thread-self/ns/net";

impl Netns {
    /// The namespace of the calling thread.
    pub fn current() -> Result<Self> {
        let file = File::open(OWN).map_err(|error| Error::internal(format!("{OWN}: {error}")))?;
        Ok(Self { file })
    }

    /// The namespace of a file: a bind mount, or `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Self> {
        // Whatever else is there, such as a FIFO, must not block the caller.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|error| {
            let what = format!("no network namespace at {}: {error}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => Error::not_found(what),
                io::ErrorKind::PermissionDenied => Error::permission(what).fix("run it as root"),
                _ => Error::invalid(what),
            }
        })?;
        if !is_netns(&file) {
            return Err(Error::invalid(format!("{} is no network namespace", path.display()))
                .fix("give the path of a namespace file, such as /run/netns/NAME or /proc/PID/ns/net"));
        }
        Ok(Self { file })
    }

    /// The same namespace, kept alive by another open file.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let file = self.file.try_clone();
        file.map(|file| Self { file }).map_err(|error| Error::internal(format!("network namespace: {error}")))
    }

    /// Device and inode of the namespace, which identify it as long as it lives.
    pub fn identity(&self) -> Result<(u64, u64)> {
        let metadata = self.file.metadata().map_err(|error| Error::internal(format!("network namespace: {error}")))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Runs `f` on this thread inside the namespace, and comes back. Costs two `setns` calls.
    ///
    /// # Panics
    /// Never: a thread that cannot come back ends the process, because it would go on in the wrong
    /// namespace.
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        let home = Self::current()?;
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(entering)?;
        let _back = Back(home);
        Ok(f())
    }

    /// Makes a namespace and keeps it by a bind mount at `path`.
    pub fn create(path: &Path) -> Result<()> {
        mount_at(path, || {
            let home = Self::current()?;
            unshare(CloneFlags::CLONE_NEWNET).map_err(entering)?;
            let _back = Back(home);
            Self::current()
        })
    }

    /// Runs `f` on this thread inside a new namespace, which goes when `f` is done, and comes back.
    pub(crate) fn within_a_new_one<T>(f: impl FnOnce() -> T) -> Result<T> {
        let home = Self::current()?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(entering)?;
        let _back = Back(home);
        Ok(f())
    }

    /// Keeps the namespace by a bind mount at `path` as well.
    pub fn keep(&self, path: &Path) -> Result<()> {
        mount_at(path, || self.try_clone())
    }

    /// Takes the file of [`create`](Self::create) or [`keep`](Self::keep) away. Absence is not an error.
    pub fn remove(path: &Path) -> Result<()> {
        match umount2(path, MntFlags::MNT_DETACH) {
            // Not a mount point: the mount is gone, or the namespace was never made.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(errno) => {
                return Err(Error::internal(format!("cannot unmount the namespace at {}: {errno}", path.display())));
            }
        }
        hit(Point::NetnsUnmounted);
        let removed = fs::remove_file(path);
        hit(Point::NetnsFileRemoved);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::internal(format!("cannot remove {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Brings the thread back when it is dropped, also by a panic.
struct Back(Netns);

impl Drop for Back {
    fn drop(&mut self) {
        if setns(self.0.file.as_fd(), CloneFlags::CLONE_NEWNET).is_err() {
            tracing::error!("cannot return to the network namespace of the host");
            std::process::abort();
        }
    }
}

/// Mounts the namespace that `of` returns at `path`, which must be new.
fn mount_at(path: &Path, of: impl FnOnce() -> Result<Netns>) -> Result<()> {
    let failed = |what: &str, error: io::Error| {
        let what = format!("cannot {what} {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::AlreadyExists => Error::exists(what),
            io::ErrorKind::PermissionDenied => Error::permission(what).fix("run it as root"),
            io::ErrorKind::StorageFull => Error::exhausted(what),
            _ => Error::internal(what),
        }
    };
    File::create_new(path).map_err(|error| failed("make the namespace file", error))?;
    hit(Point::NetnsFile);
    let mounted = of().and_then(|netns| {
        hit(Point::NetnsMade);
        let source = format!("/proc/thread-self/fd/{}", netns.file.as_raw_fd());
        mount(Some(source.as_str()), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(|errno| failed("mount the namespace at", errno.into()))
    });
    hit(Point::NetnsMounted);
    if mounted.is_err() {
        let _ = fs::remove_file(path);
    }
    mounted
}

fn entering(errno: nix::Error) -> Error {
    let what = format!("cannot enter a network namespace: {errno}");
    match errno {
        nix::Error::EPERM => Error::permission(what).fix("run it as root"),
        _ => Error::internal(what),
    }
}

/// `NS_GET_NSTYPE` of ioctl_ns(2): which kind of namespace an nsfs file is.
fn is_netns(file: &File) -> bool {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: the ioctl takes no argument and only reads what the descriptor refers to.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}
