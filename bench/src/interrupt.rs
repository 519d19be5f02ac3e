//! Ctrl-C ends a measurement between two runs, so that everything is cleaned up.

use crate::Result;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use tokio::signal::unix::{SignalKind, signal};

static WISHED: AtomicBool = AtomicBool::new(false);

/// Listens for SIGINT and SIGTERM from here on.
pub(crate) fn watch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        WISHED.store(true, Ordering::Relaxed);
    })?;
    Ok(())
}

/// Whether the end was wished.
pub(crate) fn wished() -> bool {
    WISHED.load(Ordering::Relaxed)
}

/// Fails once the end was wished.
pub(crate) fn check() -> Result<()> {
    if wished() { Err("interrupted".into()) } else { Ok(()) }
}

/// Ctrl-C also ends the programs of private hosts, which panic then; that is no news.
pub(crate) fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !wished() {
            usual(info);
        }
    }));
}
