use super::{
    connect,
    fault::{Faults, OrFault},
};
use linkspan_model::{Error, Result};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// Commits between two checkpoints. A commit of an endpoint writes about 20 KiB of log, so
/// the log stays around 20 MiB.
const INTERVAL: u32 = 1024;

/// Frames (of 4 KiB) of the log from which on commits have to wait for a checkpoint, so that
/// the log cannot grow for ever under commits that never pause: 128 MiB.
const LONGEST_LOG: i64 = 32 * 1024;

/// The thread that moves the write-ahead log into the database, with the syncs this takes, on
/// a connection of its own beside the committing one.
#[derive(Debug)]
pub(super) struct Checkpointer {
    commits: AtomicU32,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Empties the log that the last process left and starts the thread.
    pub(super) fn start(file: PathBuf, faults: &Faults) -> Result<Self> {
        let connection = connect(&file).or_fault(faults)?;
        checkpoint(&connection, "TRUNCATE").or_fault(faults)?;
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("linkspan-store".to_owned())
            .spawn(move || run(&connection, &woken))
            .map_err(|e| Error::exhausted(format!("cannot start the checkpoint thread of the store: {e}")))?;
        Ok(Self { commits: AtomicU32::new(0), wake: Some(wake), thread: Some(thread) })
    }

    /// Counts a commit, and wakes the thread where it is due.
    pub(super) fn committed(&self) {
        if (self.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(INTERVAL)
            && let Some(wake) = &self.wake
        {
            // A full channel means that a checkpoint is due already.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    /// Ends the thread. Its connection is the last, so SQLite moves the rest of the log, syncs
    /// and removes the log.
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(connection: &Connection, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        if let Err(error) = catch_up(connection) {
            // The records are safe in the log; the next turn tries again.
            tracing::warn!(%error, "the store's write-ahead log cannot be moved into the database");
        }
    }
}

/// Moves the log without holding up commits, then what was committed meanwhile. Once all is
/// moved the next commit starts the log anew.
fn catch_up(connection: &Connection) -> rusqlite::Result<()> {
    let mut left = 0;
    for _ in 0..4 {
        let (frames, moved) = checkpoint(connection, "PASSIVE")?;
        if frames == moved {
            return Ok(());
        }
        left = frames;
    }
    if left > LONGEST_LOG {
        checkpoint(connection, "RESTART")?;
    }
    Ok(())
}

/// Runs a checkpoint and returns the frames in the log and how many of them are moved.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| Ok((row.get(1)?, row.get(2)?)))
}
