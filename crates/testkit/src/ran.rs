use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take before the test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// How long after the end of a program its output may stay open.
const LINGER: Duration = Duration::from_secs(3);

/// A program that has ended.
#[derive(Debug)]
pub struct Ran {
    /// What was run, for messages.
    pub command: String,
    /// Exit status; 128 + signal where a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Runs `command` to its end without a terminal and with `input` on its standard input.
    ///
    /// # Panics
    /// Where it cannot be started, does not end within a minute, or leaves something behind that
    /// holds its output open.
    pub(crate) fn to_its_end(command: &mut Command, title: &str, input: Option<&str>) -> Self {
        let start = Instant::now();
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {title}: {error}"));
        let stdout = drain(child.stdout.take().expect("piped"));
        let stderr = drain(child.stderr.take().expect("piped"));
        if let Some(text) = input {
            let mut pipe = child.stdin.take().expect("piped");
            // A program that ends without reading its input is no failure of ours.
            let _ = std::io::Write::write_all(&mut pipe, text.as_bytes());
        }
        let status = wait(&mut child, start + LIMIT);
        let collect = |pipe: Receiver<Vec<u8>>| {
            let bytes = pipe.recv_timeout(LINGER).unwrap_or_else(|_| panic!("{title}: something holds its output"));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let Some(status) = status else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{title}: no end within {LIMIT:?}");
        };
        let (stdout, stderr) = (collect(stdout), collect(stderr));
        Self { command: title.to_owned(), status, stdout, stderr, took: start.elapsed() }
    }

    /// Its standard output without the last line end.
    ///
    /// # Panics
    /// Where it failed.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert_eq!(self.status, 0, "{self}");
        self.stdout.trim_end_matches('\n')
    }

    /// Its error message.
    ///
    /// # Panics
    /// Where its exit status is not `status`.
    #[track_caller]
    pub fn failure(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self}");
        self.stderr.trim_end_matches('\n')
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nexit status {}\nstdout: {}\nstderr: {}", self.command, self.status, self.stdout, self.stderr)
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

fn wait(child: &mut Child, end: Instant) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    let mut pause = Duration::from_micros(500);
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("our own child") {
            return Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    None
}
