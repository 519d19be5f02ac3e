use crate::{Place, Ran, Snapshot};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A private host. See the crate's documentation.
pub struct Host {
    dir: TempDir,
    /// `unshare`, whose child is the first process of the host and ends at the end of its input.
    init: Child,
    /// That first process, as the machine numbers it.
    pid: u32,
    /// Further variables of every program of the host.
    variables: Vec<(&'static str, String)>,
}

/// Makes the mounts of the host and then lives as its first process, which adopts and reaps.
/// The old `/proc` still tells it the number that the machine knows it by.
const INIT: &str = r#"
set -e
for tool in ip nft ping socat dig tcpdump jq lsns conntrack; do
    command -v $tool >/dev/null || { echo "$tool is missing: run scripts/install-test-tools"; exit 1; }
done
read -r pid _ < /proc/self/stat
resolv=$(realpath -m /etc/resolv.conf)
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p "$(dirname "$resolv")" /run/netns
test -e "$resolv" || : > "$resolv"
mount --bind "$1/resolv.conf" "$resolv"
ip link set lo up
echo "$pid"
while read -r _; do :; done
"#;

impl Host {
    /// A new host with an empty state, whose programs find `linkspan` in their `PATH`.
    /// `binary` is the executable under test, in tests `env!("CARGO_BIN_EXE_linkspan")`.
    ///
    /// # Panics
    /// Where the machine does not allow new namespaces (the tests need root).
    pub fn new(binary: impl AsRef<Path>) -> Self {
        let dir = tempfile::Builder::new().prefix("lsp").tempdir().expect("a temporary directory");
        for sub in ["bin", "state", "run", "tmp"] {
            fs::create_dir(dir.path().join(sub)).expect("an own directory");
        }
        symlink(binary, dir.path().join("bin/linkspan")).expect("an own directory");
        fs::write(dir.path().join("resolv.conf"), "").expect("an own directory");
        let mut init = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private"])
            .args(["bash", "-c", INIT, "init"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare of util-linux is installed");
        let mut line = String::new();
        let stdout = init.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the host's first process speaks");
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("no private host (tests need root): {line:?}"));
        Self { dir, init, pid, variables: Vec::new() }
    }

    /// Sets a variable in the environment of every program started from now on.
    pub fn set_variable(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.push((name, value.into()));
    }

    /// Directory of the state, `LINKSPAN_STATE_DIR` of every program of the host.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The daemon's socket, `LINKSPAN_SOCKET` of every program of the host.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/linkspan.sock")
    }

    /// A directory for the test's own files, seen under the same path inside and outside.
    pub fn tmp(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    /// The first process of the host, as the machine numbers it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sets `/etc/resolv.conf` of the host.
    pub fn set_resolv_conf(&self, text: &str) {
        fs::write(self.dir.path().join("resolv.conf"), text).expect("an own file");
    }

    /// The host itself as a place to run programs in.
    pub fn here(&self) -> Place<'_> {
        Place::new(self, Vec::new())
    }

    /// The inside of a sandbox, entered by `linkspan exec`.
    pub fn inside(&self, sandbox: &str) -> Place<'_> {
        Place::new(self, ["linkspan", "exec", sandbox].map(str::to_owned).to_vec())
    }

    /// Runs `linkspan` with these arguments.
    pub fn linkspan<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let words = arguments.into_iter().map(|word| word.as_ref().to_owned());
        self.here().run(std::iter::once("linkspan".to_owned()).chain(words))
    }

    /// Runs a line of shell in the host.
    pub fn sh(&self, script: impl AsRef<str>) -> Ran {
        self.here().sh(script)
    }

    /// Runs a line of shell in the host and gives its output.
    ///
    /// # Panics
    /// Where it fails.
    #[track_caller]
    pub fn ok(&self, script: impl AsRef<str>) -> String {
        self.sh(script).success().to_owned()
    }

    /// Runs a line of shell that must fail with `status`, leave the kernel and the records as they were and
    /// say why in one line, which is given.
    ///
    /// # Panics
    /// Where it does otherwise.
    #[track_caller]
    pub fn refused(&self, status: i32, script: impl AsRef<str>) -> String {
        // The daemon makes what is built in when it starts, which is not what is tested here.
        self.ok("linkspan info >/dev/null");
        let records = || self.ok("linkspan network ls -q --no-trunc | sort; linkspan ps -aq --no-trunc");
        let before = (Snapshot::of(self), records());
        let ran = self.sh(script);
        let message = ran.failure(status).to_owned();
        assert_eq!(message.lines().count(), 1, "one line: {ran}");
        assert!(message.starts_with("linkspan: "), "{ran}");
        assert_eq!(ran.stdout, "", "nothing on standard output: {ran}");
        before.0.assert_same(&Snapshot::of(self));
        assert_eq!(before.1, records(), "the records are not as before: {ran}");
        message
    }

    /// Process ID of the daemon, as the host numbers it.
    ///
    /// # Panics
    /// Where none answers.
    pub fn daemon_pid(&self) -> u32 {
        let info = self.json("linkspan info --format json");
        let pid = info["pid"].as_u64().or_else(|| info["Pid"].as_u64());
        u32::try_from(pid.unwrap_or_else(|| panic!("no pid in {info}"))).expect("a process ID")
    }

    /// Kills the daemon and waits until it has ended: until then its socket still takes connections.
    ///
    /// # Panics
    /// Where none runs.
    pub fn kill_daemon(&self) {
        let pid = self.daemon_pid();
        self.ok(format!("kill -9 {pid}; while kill -0 {pid} 2>/dev/null; do sleep 0.01; done"));
    }

    /// Output of a line of shell, read as JSON.
    ///
    /// # Panics
    /// Where it fails or prints no JSON.
    #[track_caller]
    pub fn json(&self, script: &str) -> serde_json::Value {
        let text = self.ok(script);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{script}: {error} in {text}"))
    }

    /// A command of the machine that starts a program in this host.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--net", "--mount", "--pid", "--uts", "--ipc", "--wdns=/", "--"])
            .env_clear()
            .envs(self.environment())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The environment of every program of the host.
    fn environment(&self) -> [(&'static str, String); 7] {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let bin = text(self.dir.path().join("bin"));
        [
            ("PATH", format!("{bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
            ("HOME", "/root".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "dumb".to_owned()),
            ("LINKSPAN_STATE_DIR", text(self.state_dir())),
            ("LINKSPAN_SOCKET", text(self.socket())),
            ("T", text(self.tmp())),
        ]
    }
}

impl Drop for Host {
    #[allow(clippy::print_stderr, reason = "a failed test shows what the daemon said")]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.state_dir().join("daemon.log"))
        {
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("daemon.log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        // The end of its input ends the first process; the kernel ends all others with it.
        drop(self.init.stdin.take());
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.init.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.init.kill();
                let _ = self.init.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
