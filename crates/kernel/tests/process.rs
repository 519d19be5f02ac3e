//! Programs in sandboxes, with `ps`, `/proc` and the programs' own eyes as witnesses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use linkspan_kernel::{
    Netns,
    process::{ProcessHandle, Surroundings, detach_from_terminal, start_time_of, surround},
};
use linkspan_model::ErrorClass;
use linkspan_testkit::Scratch;
use nix::mount::MsFlags;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A namespace file that goes with the test.
struct Sandbox(PathBuf);

impl Sandbox {
    fn new(dir: &Path) -> Self {
        let path = dir.join("netns");
        Netns::create(&path).unwrap();
        Self(path)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A failure here would hide the test's own.
        let _ = Netns::remove(&self.0);
    }
}

/// A child that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper() -> Running {
    Running(Command::new("sleep").arg("60").spawn().unwrap())
}

fn handle(child: &Running) -> ProcessHandle {
    let pid = child.0.id();
    ProcessHandle::open(pid, start_time_of(pid).unwrap()).unwrap()
}

/// What a shell script prints in these surroundings.
fn output(script: &str, surroundings: Surroundings) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    surround(&mut command, surroundings).unwrap();
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_program_sees_the_network_of_its_sandbox() {
    let dir = Scratch::on_a_host_of_this_thread();
    let sandbox = Sandbox::new(dir.path());
    let look = "stat -Lc %d:%i /proc/self/ns/net";
    let (device, inode) = Netns::open(&sandbox.0).unwrap().identity().unwrap();
    let inside = output(look, Surroundings { netns: Some(sandbox.0.clone()), ..Surroundings::default() });
    assert_eq!(inside, format!("{device}:{inode}"));
    let links = output("ip -o link", Surroundings { netns: Some(sandbox.0.clone()), ..Surroundings::default() });
    assert_eq!(links.lines().count(), 1, "loopback alone: {links}");
    let here = Netns::current().unwrap().identity().unwrap();
    assert_eq!(output(look, Surroundings::default()), format!("{}:{}", here.0, here.1));
    assert_ne!(here, (device, inode));
}

#[test]
fn files_are_mounted_for_the_program_alone() {
    let dir = Scratch::on_a_host_of_this_thread();
    let (source, target, other) = (dir.path().join("source"), dir.path().join("target"), dir.path().join("link"));
    fs::write(&source, "the sandbox's").unwrap();
    fs::write(&target, "the host's").unwrap();
    std::os::unix::fs::symlink(&target, &other).unwrap();
    let before = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    for path in [&target, &other] {
        let surroundings =
            Surroundings { bind_mounts: vec![(source.clone(), path.clone())], ..Surroundings::default() };
        assert_eq!(output(&format!("cat {}", path.display()), surroundings), "the sandbox's");
        assert_eq!(fs::read_to_string(path).unwrap(), "the host's");
    }
    assert_eq!(fs::read_to_string("/proc/thread-self/mountinfo").unwrap(), before);
}

/// Also where the mounts of the host are shared with whoever starts from them, as under systemd.
#[test]
fn mounts_do_not_leave_a_shared_tree() {
    let dir = Scratch::on_a_host_of_this_thread();
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>).unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    fs::write(&source, "the sandbox's").unwrap();
    fs::write(&target, "the host's").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "echo ready; exec sleep 60"]).stdout(Stdio::piped());
    let surroundings = Surroundings { bind_mounts: vec![(source, target.clone())], ..Surroundings::default() };
    surround(&mut command, surroundings).unwrap();
    let mut child = Running(command.spawn().unwrap());
    child.0.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "the host's");
}

#[test]
fn a_host_name_is_the_programs_own() {
    let _dir = Scratch::on_a_host_of_this_thread();
    let here = nix::unistd::gethostname().unwrap();
    let surroundings = Surroundings { hostname: Some("web-1".into()), ..Surroundings::default() };
    assert_eq!(output("uname -n", surroundings), "web-1");
    assert_eq!(nix::unistd::gethostname().unwrap(), here);
}

/// Names in DNS may be four times as long as a host name.
#[test]
fn a_host_name_that_linux_does_not_take_is_found_before_anything_starts() {
    let _dir = Scratch::on_a_host_of_this_thread();
    let named = |length| Surroundings { hostname: Some("h".repeat(length)), ..Surroundings::default() };
    assert_eq!(output("uname -n", named(64)), "h".repeat(64));
    let error = surround(&mut Command::new("true"), named(65)).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Invalid, "{error}");
}

#[test]
fn missing_surroundings_are_found_before_anything_starts() {
    let dir = Scratch::on_a_host_of_this_thread();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let gone = dir.path().join("gone");
    let netns = |path: &Path| Surroundings { netns: Some(path.to_owned()), ..Surroundings::default() };
    let mounts = |source: &Path, target: &Path| Surroundings {
        bind_mounts: vec![(source.to_owned(), target.to_owned())],
        ..Surroundings::default()
    };
    for (surroundings, class, named) in [
        (netns(&gone), ErrorClass::NotFound, &gone),
        (netns(&file), ErrorClass::Invalid, &file),
        (mounts(&gone, &file), ErrorClass::NotFound, &gone),
        (mounts(&file, &gone), ErrorClass::NotFound, &gone),
    ] {
        let error = surround(&mut Command::new("true"), surroundings).unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(&named.display().to_string()), "{error}");
    }
}

#[test]
fn a_detached_program_leads_a_session_without_a_terminal() {
    let mut command = Command::new("sleep");
    command.arg("60");
    detach_from_terminal(&mut command);
    let child = Running(command.spawn().unwrap());
    let pid = child.0.id().to_string();
    let seen = Command::new("ps").args(["-o", "sid=,pgid=,tty=", "-p", &pid]).output().unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), [&pid, &pid, "?"]);
}

#[test]
fn a_process_is_signalled_and_its_end_is_seen() {
    let child = sleeper();
    let process = handle(&child);
    assert_eq!(process.pid(), child.0.id());
    assert!(!process.has_ended());
    let start = Instant::now();
    assert!(!process.wait(Duration::from_millis(50)));
    assert!(start.elapsed() >= Duration::from_millis(50));
    process.signal(libc::SIGTERM).unwrap();
    assert!(process.wait(Duration::from_secs(10)));
    // A zombie has ended too, before anybody has fetched its status.
    let status = Command::new("ps").args(["-o", "stat=", "-p", &process.pid().to_string()]).output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).trim().starts_with('Z'));
    assert!(process.has_ended());
}

#[test]
fn somebody_elses_child_is_waited_for() {
    let dir = Scratch::on_a_host_of_this_thread();
    let file = dir.path().join("pid");
    // The shell goes at once, so that the sleeping program is no child of the test's.
    let script = format!("sleep 60 & echo $! > {}", file.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let pid: u32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    let process = ProcessHandle::open(pid, start_time_of(pid).unwrap()).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| process.wait(Duration::from_secs(10)));
        process.signal(libc::SIGKILL).unwrap();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn another_process_of_the_same_number_is_refused() {
    let child = sleeper();
    let pid = child.0.id();
    let started = start_time_of(pid).unwrap();
    let error = ProcessHandle::open(pid, started + 1).unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(error.to_string().contains(&pid.to_string()), "{error}");
    drop(child);
    assert_eq!(ProcessHandle::open(pid, started).unwrap_err().class(), ErrorClass::NotFound);
    assert_eq!(start_time_of(pid).unwrap_err().class(), ErrorClass::NotFound);
    assert_eq!(start_time_of(u32::MAX).unwrap_err().class(), ErrorClass::Invalid);
}

/// A number may come to mean a thread of another process: `pidfd_open` has an error of its own for that.
#[test]
fn a_number_that_is_a_thread_now_is_no_process() {
    let (tell, told) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        tell.send(nix::unistd::gettid().as_raw() as u32).unwrap();
        let _ = released.recv();
    });
    let number = told.recv().unwrap();
    let error = ProcessHandle::open(number, start_time_of(number).unwrap()).unwrap_err();
    drop(release);
    thread.join().unwrap();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
}

/// A signal that the waiting thread handles is not the end of the process, nor that of the wait.
#[test]
fn a_signal_does_not_shorten_the_wait() {
    extern "C" fn ignore(_: libc::c_int) {}
    // SAFETY: the handler does nothing.
    unsafe { nix::sys::signal::signal(nix::sys::signal::SIGUSR1, nix::sys::signal::SigHandler::Handler(ignore)) }
        .unwrap();
    let child = sleeper();
    let process = handle(&child);
    let waiter = nix::sys::pthread::pthread_self();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            nix::sys::pthread::pthread_kill(waiter, nix::sys::signal::SIGUSR1).unwrap();
            thread::sleep(Duration::from_millis(150));
            process.signal(libc::SIGKILL).unwrap();
        });
        assert!(process.wait(Duration::from_secs(10)));
    });
}

/// A FIFO blocks whoever opens it until somebody writes; the daemon must not wait for a user's.
#[test]
fn a_file_that_blocks_is_no_namespace() {
    let dir = Scratch::on_a_host_of_this_thread();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || sender.send(Netns::open(&fifo).unwrap_err().class()));
    assert_eq!(receiver.recv_timeout(Duration::from_secs(2)), Ok(ErrorClass::Invalid));
}
