use crate::{Point, VARIABLE};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

static DIRECTORY: OnceLock<Option<PathBuf>> = OnceLock::new();

/// One thread at a time: the order of the trace is that of the steps.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) fn hit(point: Point) {
    let directory = DIRECTORY.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from));
    let Some(directory) = directory else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if is_due(directory, point) {
        let _ = fs::write(directory.join("killed"), Pid::this().to_string());
        let _ = kill(Pid::this(), Signal::SIGKILL);
        // The signal ends every thread; this one goes no step further until it does.
        loop {
            thread::park();
        }
    }
}

/// Takes down that `point` was reached, and whether the process is to end there.
fn is_due(directory: &Path, point: Point) -> bool {
    let trace = directory.join("trace");
    // A directory that has gone means that nobody watches any more.
    let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&trace) else { return false };
    let _ = file.write_all(format!("{point}\n").as_bytes());
    let Ok(arm) = fs::read_to_string(directory.join("arm")) else { return false };
    let Some((name, number)) = arm.trim().split_once(' ') else { return false };
    let passed = || fs::read_to_string(&trace).unwrap_or_default().lines().filter(|line| *line == name).count();
    name == point.name() && number.parse::<usize>().is_ok_and(|number| passed() == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_of_a_name_is_due() {
        let directory = tempfile::tempdir().unwrap();
        let arm = |text: &str| fs::write(directory.path().join("arm"), text).unwrap();
        let due = |point| is_due(directory.path(), point);
        assert!(!due(Point::Commit));
        arm("store.commit 3\n");
        assert!(!due(Point::Commit) && !due(Point::Committed) && due(Point::Commit));
        // A process that is started afterwards goes on.
        assert!(!due(Point::Commit));
        fs::write(directory.path().join("trace"), "").unwrap();
        assert!(!due(Point::Commit));
        arm("");
        assert!(!due(Point::Commit) && !due(Point::Commit) && !due(Point::Commit));
    }
}
