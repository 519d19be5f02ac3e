use crate::{Place, within};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A program that runs beside the test. It is ended with its host at the latest.
pub struct Background {
    child: Child,
    title: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Background {
    pub(crate) fn start(place: &Place<'_>, script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| place.host().tmp().join(format!("background-{number}.{kind}"));
        let (stdout, stderr) = (file("out"), file("err"));
        let (mut command, title) = place.command(["bash", "-c", script].map(str::to_owned));
        let create = |path: &PathBuf| fs::File::create(path).expect("an own file");
        command.stdin(Stdio::null()).stdout(create(&stdout)).stderr(create(&stderr));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {title}: {error}"));
        Self { child, title, stdout, stderr }
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it has printed to its standard error so far.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until its output or its errors contain `text`.
    ///
    /// # Panics
    /// Where that takes more than ten seconds.
    #[track_caller]
    pub fn until(&self, text: &str) {
        let seen = || self.output().contains(text) || self.errors().contains(text);
        assert!(
            within(Duration::from_secs(10), seen),
            "{}: no {text:?} in {}{}",
            self.title,
            self.output(),
            self.errors()
        );
    }

    /// Waits for its end and gives exit status and output.
    ///
    /// # Panics
    /// Where that takes more than a minute.
    pub fn finish(mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt as _;
        let mut status = None;
        let ended = within(Duration::from_secs(60), || {
            status = self.child.try_wait().expect("our own child");
            status.is_some()
        });
        assert!(ended, "{}: no end within a minute: {}{}", self.title, self.output(), self.errors());
        let status = status.map_or(-1, |status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        (status, self.output())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // This ends only what entered the host; the program itself goes with the host.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
