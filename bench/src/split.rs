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
const WARM_UP: usize = 5;

/// Times `come` and `go` in turn, `runs` times.
pub(crate) fn in_turn<A, B>(
    daemon: &Daemon,
    runs: usize,
    come: impl Fn(&Client) -> linkspan_model::Result<A>,
    go: impl Fn(&Client) -> linkspan_model::Result<B>,
) -> Result<[Split; 2]> {
    let (mut coming, mut going) = (Split::default(), Split::default());
    for run in 0..WARM_UP + runs {
        if run == WARM_UP {
            (coming, going) = (Split::default(), Split::default());
        }
        coming.time(daemon, &come)?;
        going.time(daemon, &go)?;
    }
    Ok([coming, going])
}

/// The times of one kind of call.
#[derive(Debug, Default)]
pub(crate) struct Split {
    total: Vec<Duration>,
    kernel: Vec<Duration>,
    own: Vec<Duration>,
}

impl Split {
    /// Times `call`, and then waits until what happens behind its answer has happened.
    fn time<T>(&mut self, daemon: &Daemon, call: impl FnOnce(&Client) -> linkspan_model::Result<T>) -> Result<()> {
        interrupt::check()?;
        daemon.kernel.take();
        let start = Instant::now();
        call(&daemon.client)?;
        let total = start.elapsed();
        let kernel = daemon.kernel.take();
        self.total.push(total);
        self.kernel.push(kernel);
        self.own.push(total.saturating_sub(kernel));
        daemon.engine.wait_idle();
        Ok(())
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
