use std::fmt;

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A step that changes the kernel, the store or the file system.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Point {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name: the part of the program, and the step.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

points! {
    /// The kernel is about to be changed by a plan.
    Apply = "kernel.apply",
    /// The kernel has been changed by a plan.
    Applied = "kernel.applied",
    /// A namespace is about to be made.
    CreateNetns = "kernel.create_netns",
    /// A namespace has been made.
    CreatedNetns = "kernel.created_netns",
    /// A namespace of another program is about to be kept.
    KeepNetns = "kernel.keep_netns",
    /// A namespace of another program is kept.
    KeptNetns = "kernel.kept_netns",
    /// A namespace is about to be let go.
    RemoveNetns = "kernel.remove_netns",
    /// A namespace has been let go.
    RemovedNetns = "kernel.removed_netns",
    /// Links are about to be deleted for good.
    RetireLinks = "kernel.retire_links",
    /// Links have been deleted for good.
    RetiredLinks = "kernel.retired_links",
    /// Tracked connections are about to be forgotten.
    FlushConntrack = "kernel.flush_conntrack",
    /// Tracked connections have been forgotten.
    FlushedConntrack = "kernel.flushed_conntrack",
    /// Addresses are about to be announced.
    Announce = "kernel.announce",
    /// Addresses have been announced.
    Announced = "kernel.announced",
    /// An address is about to be given back to a server.
    Transmit = "kernel.transmit",
    /// An address has been given back to a server.
    Transmitted = "kernel.transmitted",
    /// An endpoint has its link, and its address is about to be asked for.
    LeaseWanted = "lease.wanted",
    /// A server has given an address, which nobody else has.
    LeaseGiven = "lease.given",
    /// Within a plan: a batch of nf_tables is in force.
    Rules = "apply.rules",
    /// Within a plan: what was in links has gone.
    ContentsRemoved = "apply.contents_removed",
    /// Within a plan: links have gone.
    LinksRemoved = "apply.links_removed",
    /// Within a plan: links have been made.
    LinksMade = "apply.links_made",
    /// Within a plan: links have got their settings.
    LinksSet = "apply.links_set",
    /// Within a plan: ports of bridges have been opened or closed.
    PortsSet = "apply.ports_set",
    /// Within a plan: a setting below `/proc/sys` has been written.
    Setting = "apply.setting",
    /// Within a plan: a setting below `/proc/sys` has been put back.
    SettingRestored = "apply.setting_restored",
    /// Within a plan: addresses and routes are there, links are up.
    ContentsMade = "apply.contents_made",
    /// The file that a namespace is to be mounted on is there.
    NetnsFile = "netns.file",
    /// A namespace is there, and kept by nothing but a thread.
    NetnsMade = "netns.made",
    /// A namespace is mounted.
    NetnsMounted = "netns.mounted",
    /// A namespace is mounted no more; its file is there.
    NetnsUnmounted = "netns.unmounted",
    /// The file of a namespace has gone.
    NetnsFileRemoved = "netns.file_removed",
    /// Records are about to be written.
    Commit = "store.commit",
    /// Records have been written.
    Committed = "store.committed",
    /// A transaction of the database has begun.
    DatabaseBegun = "database.begun",
    /// A transaction of the database has its rows.
    DatabaseWritten = "database.written",
    /// A transaction of the database has ended.
    DatabaseCommitted = "database.committed",
    /// The database has its tables.
    DatabasePrepared = "database.prepared",
    /// The log of a database that nobody is to use has another name.
    LogSetAside = "database.log_set_aside",
    /// A database that nobody is to use has another name.
    DatabaseSetAside = "database.set_aside",
    /// The database has been made anew from what is known of its records.
    DatabaseRebuilt = "database.rebuilt",
    /// The database can be written to.
    DatabaseOpened = "database.opened",
    /// A transaction of the copy has its rows.
    CopyWritten = "copy.written",
    /// The copy has been made anew.
    CopyMade = "copy.made",
    /// The directory of a sandbox's files is there.
    FilesDirectory = "files.directory",
    /// A file of a sandbox has been written.
    FilesWritten = "files.written",
    /// The files of a sandbox have gone.
    FilesRemoved = "files.removed",
    /// A resolver has a port for UDP.
    ResolverBound = "resolver.bound",
    /// A resolver listens for TCP, too.
    ResolverListening = "resolver.listening",
    /// A resolver has been stopped.
    ResolverStopped = "resolver.stopped",
    /// The daemon has its locks.
    DaemonLocked = "daemon.locked",
    /// The daemon's socket is bound aside.
    SocketBound = "daemon.socket_bound",
    /// The daemon's socket is in its place.
    SocketPlaced = "daemon.socket_placed",
    /// The daemon's socket has gone.
    SocketRemoved = "daemon.socket_removed",
    /// A directory of the engine has been removed.
    DirectoryRemoved = "engine.directory_removed",
    /// `run` has a sandbox for its program.
    RunLeased = "run.leased",
    /// `run` has started its program.
    RunStarted = "run.started",
    /// The daemon knows the program of `run`.
    RunRecorded = "run.recorded",
    /// The program of `run` has ended.
    RunEnded = "run.ended",
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
