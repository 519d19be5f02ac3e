//! Being the daemon, and finding or starting it.

mod claim;
mod handover;
mod limits;
mod lock;
mod log;
mod running;
mod serve;
mod socket;
mod start;
mod watch;

pub(crate) use limits::close_output;

use crate::exit::Outcome;
use linkspan_api::{Client, UpgradeRequest, VersionInfo};
use linkspan_model::{Error, Result};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where a daemon keeps things.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    /// Its socket, in the directory of what lives until the next reboot.
    pub(crate) socket: PathBuf,
    /// The directory of its store.
    pub(crate) state_dir: PathBuf,
}

impl Place {
    /// The same with absolute paths.
    fn absolute(&self) -> Result<Self> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| Error::invalid(format!("{}: {error}", path.display())))
        };
        Ok(Self { socket: absolute(&self.socket)?, state_dir: absolute(&self.state_dir)? })
    }

    /// The directory of the socket.
    fn runtime_dir(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("/"))
    }

    /// The copy of the records, which lives until the next reboot.
    fn copy(&self) -> PathBuf {
        let mut path = self.socket.clone().into_os_string();
        path.push(".records");
        path.into()
    }

    /// The log of a daemon that was started on demand.
    fn log(&self) -> PathBuf {
        self.state_dir.join("daemon.log")
    }
}

/// Arguments of `daemon`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  linkspan daemon
  linkspan --socket /run/lab/linkspan.sock --state-dir /var/lib/lab daemon

It serves the network and mount namespace that it is started in, so that several hosts can live on \
         one machine. SIGTERM and `linkspan system stop` end it; networks and sandboxes stay as they are, and \
         the next daemon takes them over. `linkspan system upgrade` has another one take over at once, with nothing \
         lost. Records that are lost from the state directory while sandboxes run are rebuilt from a copy beside the socket (SOCKET.records); \
         to begin anew, use `linkspan system purge`, or remove both while no daemon runs. It takes its socket from systemd where systemd gives one. What it logs goes to standard error; LINKSPAN_LOG chooses how much (error, warn, info, debug, trace).")]
pub(crate) struct Args {
    /// Report on standard output when ready, then close it
    #[arg(long, hide = true)]
    background: bool,
    /// Take over from the daemon at standard input
    #[arg(long, hide = true, conflicts_with = "background")]
    take_over: bool,
    /// Questions a second that one sandbox may ask the name server; what is more waits. 0 is no bound
    #[arg(long, value_name = "NUMBER", env = "LINKSPAN_DNS_RATE", hide_env_values = true, default_value_t = 50_000)]
    dns_rate: u32,
}

/// What a daemon was started with.
#[derive(Clone, Copy, Debug)]
struct Settings {
    dns_rate: u32,
}

/// What a daemon in the background says to whom started it, as one line of JSON.
#[derive(serde::Serialize, serde::Deserialize)]
enum Report {
    /// It listens.
    Ready,
    /// It could not start.
    Failed(Error),
}

/// Serves until told to stop.
pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    let place = place.absolute()?;
    log::start();
    let settings = Settings { dns_rate: args.dns_rate };
    if args.take_over {
        let served = serve::take_over(&place, settings);
        return Ok(served.inspect_err(|error| tracing::error!(%error, "cannot take over"))?);
    }
    let report = |report: &Report| {
        if args.background
            && let Ok(line) = serde_json::to_string(report)
        {
            // Whoever started it may have gone; it serves others then.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
            close_output();
        }
    };
    let served = serve::serve(&place, settings, || report(&Report::Ready));
    if let Err(error) = &served {
        if args.background {
            tracing::error!(%error, "cannot serve");
        }
        report(&Report::Failed(error.clone()));
    }
    Ok(served?)
}

/// A client of the daemon at `place`, which is started where none runs.
pub(crate) fn client(place: &Place) -> Result<Client> {
    let client = Client::new(place.absolute()?.socket)?;
    if !client.is_answered()? {
        start::start(&place.absolute()?, &client)?;
    }
    Ok(client)
}

/// Has `program` take over from the daemon at `place`, or its own program where none is given; where no daemon
/// runs, one is started.
pub(crate) fn replace(place: &Place, program: Option<PathBuf>) -> Result<VersionInfo> {
    let place = place.absolute()?;
    let client = Client::new(&place.socket)?;
    if client.is_answered()? {
        return client.upgrade(&UpgradeRequest { program });
    }
    start::start(&place, &client)?;
    client.version()
}

/// Stops the daemon at `place` and waits until it has ended; whether there was one.
pub(crate) fn stop(place: &Place) -> Result<bool> {
    let place = place.absolute()?;
    let client = Client::new(&place.socket)?;
    if !client.is_answered()? {
        return Ok(false);
    }
    client.stop()?;
    lock::wait_for_end(&place)?;
    Ok(true)
}
