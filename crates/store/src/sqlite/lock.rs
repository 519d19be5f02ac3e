use super::fault::Faults;
use linkspan_model::{Error, Result};
use std::{
    fs::{File, Metadata, OpenOptions, TryLockError},
    io::{self, Read, Seek as _, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt},
    },
    path::Path,
};

/// Name of the file in the state directory.
const LOCK: &str = "linkspan.lock";

/// The right to use a state directory: an flock(2) on `linkspan.lock`, which the kernel takes
/// back when the process ends however it ends. The file holds the PID for people and messages.
#[derive(Debug)]
pub(super) struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the lock of `directory`, or fails with `InUse` and the holder.
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let fault = |e: &io::Error| Faults::new(directory).io(e);
        let path = directory.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| fault(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::in_use(format!("the store in {} is open", directory.display()))
                    .held_by(holder(&mut file))
                    .fix("stop that process, or choose another state directory"));
            }
            Err(TryLockError::Error(error)) => return Err(fault(&error)),
        }
        Self::hold(file).map_err(|e| fault(&e))
    }

    /// The lock of `directory` that another process has taken and shares.
    pub(super) fn shared(directory: &Path, file: File) -> Result<Self> {
        Self::hold(file).map_err(|e| Faults::new(directory).io(&e))
    }

    /// The same for another process.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }

    /// The same lock once more.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()? })
    }

    /// Its file is still the one in `directory`.
    pub(super) fn is_in_place(&self, directory: &Path) -> bool {
        let identity = |metadata: io::Result<Metadata>| metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let own = identity(self.file.metadata());
        own.is_some() && own == identity(std::fs::metadata(directory.join(LOCK)))
    }

    fn hold(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { file })
    }
}

/// Who wrote the lock file: `linkspan, PID 42`.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // The text is only for the message; a holder that has not written yet stays nameless.
    let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    let Some(pid) = pid else { return "another process".to_owned() };
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(command) => format!("{}, PID {pid}", command.trim()),
        Err(_) => format!("PID {pid}"),
    }
}
