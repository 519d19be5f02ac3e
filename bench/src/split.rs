//! Calls of the local API, timed as a whole and by where the time went.

use crate::{
    Result,
    daemon::Daemon,
    interrupt,
    report::{Cell, Row, Unit},
    summary::Summary,
};
use linkspan_api::Client;
use std::time::{Duration, Instant};

/// Runs before the first one that counts: caches fill, memory is there.
pub(crate) const WARM_UP: usize = 5;

/// The times of one kind of call.
#[derive(Debug, Default)]
pub(crate) struct Split {
    total: Vec<Duration>,
    kernel: Vec<Duration>,
    own: Vec<Duration>,
}

impl Split {
    /// Times `call`, and then waits until what happens behind its answer has happened.
    pub(crate) fn time<T>(
        &mut self,
        daemon: &Daemon,
        call: impl FnOnce(&Client) -> linkspan_model::Result<T>,
    ) -> Result<T> {
        interrupt::check()?;
        daemon.kernel.take();
        let start = Instant::now();
        let given = call(&daemon.client)?;
        let total = start.elapsed();
        let kernel = daemon.kernel.take();
        self.total.push(total);
        self.kernel.push(kernel);
        self.own.push(total.saturating_sub(kernel));
        daemon.engine.wait_idle();
        Ok(given)
    }

    /// Forgets what was timed so far.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A line of a report: the whole, and its parts.
    pub(crate) fn row(&self, what: impl Into<String>) -> Row {
        let part = |times: &[Duration]| Summary::of_times(times).median_only();
        Row {
            what: what.into(),
            runs: self.total.len(),
            cells: vec![
                Cell::new("total", Unit::Milliseconds, Summary::of_times(&self.total)),
                Cell::new("kernel", Unit::Milliseconds, part(&self.kernel)),
                Cell::new("own", Unit::Milliseconds, part(&self.own)),
            ],
        }
    }
}
