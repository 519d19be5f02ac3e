//! Programs whose supervisor died before them: the daemon notices their end itself.

use linkspan_engine::{Controller, ProcessRecord};
use linkspan_kernel::process::ProcessHandle;
use linkspan_model::{Error, Event, EventAction, EventSubject, Result};
use std::{
    collections::HashMap,
    sync::{Arc, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How often the programs are looked at: one cheap call each.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the one who waits for a program has to report its end.
const GRACE: Duration = Duration::from_secs(2);
/// The exit status of a program whose own nobody knows, as Docker has it.
const UNKNOWN: i32 = 255;

struct Watched {
    handle: Option<ProcessHandle>,
    remove: bool,
    ended: Option<Instant>,
}

/// Watches the programs of all sandboxes on a thread that ends with the engine.
pub(super) fn start(controller: &Arc<Controller>) -> Result<()> {
    let events = controller.subscribe();
    let mut watched = HashMap::new();
    for sandbox in controller.sandboxes() {
        match sandbox.process {
            Some(process) if process.exit_status.is_none() => {
                watched.insert(sandbox.id.to_string(), watch(&process));
            }
            // The last daemon ended between the end of the program and that of its sandbox.
            Some(process) if process.remove => controller.remove_sandbox(&sandbox.id.to_string())?,
            _ => {}
        }
    }
    let controller = Arc::downgrade(controller);
    thread::Builder::new()
        .name("programs".to_owned())
        .spawn(move || run(&controller, &events, watched))
        .map(drop)
        .map_err(|error| Error::internal(format!("no thread to watch programs: {error}")))
}

fn watch(process: &ProcessRecord) -> Watched {
    Watched { handle: ProcessHandle::open(process.pid, process.start_time).ok(), remove: process.remove, ended: None }
}

fn run(controller: &Weak<Controller>, events: &mpsc::Receiver<Event>, mut watched: HashMap<String, Watched>) {
    let mut due = Instant::now();
    loop {
        let event = if watched.is_empty() {
            events.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
        } else {
            events.recv_timeout(due.saturating_duration_since(Instant::now()))
        };
        let Some(controller) = controller.upgrade() else { return };
        match event {
            Ok(event) => follow(&controller, &event, &mut watched),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        // Also where events never stop coming.
        if Instant::now() >= due {
            watched.retain(|id, program| !has_ended(&controller, id, program));
            due = Instant::now() + INTERVAL;
        }
    }
}

fn follow(controller: &Controller, event: &Event, watched: &mut HashMap<String, Watched>) {
    match (event.subject, event.action) {
        (EventSubject::Sandbox, EventAction::Start) => {
            if let Ok(sandbox) = controller.sandbox(&event.id)
                && let Some(process) = sandbox.process.filter(|process| process.exit_status.is_none())
            {
                watched.insert(event.id.clone(), watch(&process));
            }
        }
        (EventSubject::Sandbox, EventAction::Die | EventAction::Destroy) => {
            watched.remove(&event.id);
        }
        _ => {}
    }
}

/// Whether a program needs no watching any more.
fn has_ended(controller: &Controller, id: &str, program: &mut Watched) -> bool {
    if program.handle.as_ref().is_some_and(|handle| !handle.has_ended()) {
        return false;
    }
    let ended = *program.ended.get_or_insert_with(Instant::now);
    if ended.elapsed() < GRACE {
        return false;
    }
    tracing::info!(sandbox = id, "its program ended, and nobody was left to say how");
    let done = match controller.process_exited(id, UNKNOWN) {
        Ok(()) if program.remove => controller.remove_sandbox(id),
        done => done,
    };
    if let Err(error) = done {
        tracing::warn!(%error, sandbox = id, "the end of its program could not be recorded");
    }
    true
}
