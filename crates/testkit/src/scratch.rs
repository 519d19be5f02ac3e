use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use std::{fs, path::Path};
use tempfile::TempDir;

/// A directory of a test, removed with all that was mounted in it. A plain temporary directory would stay behind:
/// what is mounted on, such as the file of a namespace, cannot be removed.
pub struct Scratch(TempDir);

impl Scratch {
    /// A directory on the machine.
    ///
    /// # Panics
    /// Where none can be made.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Moves this thread, and with it the test, to network and mount namespaces of its own, which end with the thread.
    ///
    /// # Panics
    /// Where the machine does not allow new namespaces (the tests need root).
    pub fn on_a_host_of_this_thread() -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("tests run as root");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .expect("tests run as root");
        Self::new()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whatever is above others was mounted later, and goes first.
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        for point in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(Path::new) {
            if point.starts_with(self.path()) {
                // What stays mounted shows as a directory that stays.
                let _ = umount2(point, MntFlags::MNT_DETACH);
            }
        }
    }
}
