//! What the daemon may do, who may use it, and what one client of it takes from others.

use crate::support::{host, says, sleeper, status};
use linkspan_testkit::{Host, within};
use std::path::Path;

/// What the daemon keeps: DAC_READ_SEARCH 2, NET_BIND_SERVICE 10, NET_BROADCAST 11, NET_ADMIN 12, NET_RAW 13, SYS_PTRACE 19,
/// SYS_ADMIN 21 (capabilities(7)).
const KEPT: [u32; 7] = [2, 10, 11, 12, 13, 19, 21];

fn of_process(host: &Host, pid: &str, field: &str) -> String {
    host.ok(format!("sed -n 's/^{field}:[[:space:]]*//p' /proc/{pid}/status"))
}

#[test]
fn the_daemon_keeps_seven_capabilities_and_sandboxes_lose_none() {
    let host = host();
    let own = of_process(&host, "self", "CapEff");
    let filters = of_process(&host, "self", "Seccomp_filters");
    let kept = format!("{:016x}", KEPT.iter().map(|bit| 1_u64 << bit).sum::<u64>());
    let confined = |when: &str| {
        let pid = host.daemon_pid().to_string();
        for (field, value) in [
            ("CapEff", kept.as_str()),
            ("CapPrm", &kept),
            ("CapBnd", &kept),
            ("CapInh", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
        ] {
            assert_eq!(of_process(&host, &pid, field), value, "{when}: {field}");
        }
        // Every thread of it, also those that were there first.
        assert_eq!(host.ok(format!("sort -u <(sed -n 's/^CapEff:\\t//p' /proc/{pid}/task/*/status)")), kept, "{when}");
        of_process(&host, &pid, "Seccomp_filters").parse::<u32>().expect("a number")
    };
    let before = confined("started");
    assert_eq!(before, filters.parse::<u32>().expect("a number") + 1);
    host.ok("linkspan system restart; linkspan system restart");
    assert_eq!(confined("restarted"), before, "filters do not add up");
    // Programs are started by the command, not by the daemon.
    let program = host.ok("linkspan run --rm -- sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status");
    assert_eq!(program, own);
    assert_eq!(host.ok("linkspan run --rm -- sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status"), "0");
    // A namespace of another user's process, in a directory that only that user may enter.
    host.ok("useradd --help >/dev/null 2>&1; mkdir -p $T/theirs; chown 12345:12345 $T/theirs; chmod 700 $T/theirs");
    let _theirs =
        host.here().spawn("exec setpriv --reuid 12345 --regid 12345 --clear-groups unshare --user --net sleep 600");
    let find = "pgrep -u 12345 -x sleep";
    assert!(within(std::time::Duration::from_secs(5), || host.sh(find).status == 0));
    host.ok(format!("linkspan sandbox create --name theirs --pid $({find}) && linkspan rm theirs"));
}

#[test]
fn files_and_logs_give_nothing_away() {
    let host = host();
    host.ok("LINKSPAN_LOG=trace linkspan network create --label token=secret-of-network app");
    let words = "sh -c 'echo $PASSWORD; sleep 600' secret-argument";
    host.ok(format!(
        "linkspan run -d --name web --network app -l key=secret-of-sandbox -e PASSWORD=secret-variable -p 8080:80 -- {words}"
    ));
    host.ok("linkspan exec -e OTHER=secret-of-exec web true; nft flush ruleset; sleep 1; linkspan verify; linkspan system restart");
    // What is refused is told, without what was asked for.
    host.ok("! linkspan network create --label key=secret-of-refusal app 2>/dev/null");
    let log = host.ok("cat $LINKSPAN_STATE_DIR/daemon.log");
    assert!(log.contains("repairing") && log.contains("DEBUG"), "it logs a lot: {log}");
    assert!(!log.contains("secret"), "{}", log.lines().find(|line| line.contains("secret")).unwrap_or_default());
    for (path, mode) in [
        ("$LINKSPAN_SOCKET", "660 root:root"),
        ("$LINKSPAN_SOCKET.lock", "600 root:root"),
        ("$LINKSPAN_STATE_DIR/linkspan.db", "600 root:root"),
        ("$LINKSPAN_STATE_DIR/linkspan.db-wal", "600 root:root"),
        ("$LINKSPAN_STATE_DIR/daemon.log", "600 root:root"),
    ] {
        assert_eq!(host.ok(format!("stat -c '%a %U:%G' {path}")), mode, "{path}");
    }
    // A directory that is made is for root alone; the socket is for its group, where there is one.
    host.ok(
        "linkspan rm -f web; linkspan system stop; cp /etc/group $T/group; echo 'linkspan:x:4242:' >> $T/group; mount --bind $T/group /etc/group
        export LINKSPAN_STATE_DIR=$T/made; linkspan info >/dev/null",
    );
    assert_eq!(host.ok("stat -c '%a %U' $T/made; stat -c '%a %g' $LINKSPAN_SOCKET"), "700 root\n660 4242");
    // Its members may use the daemon, but not have it run programs.
    let member = "setpriv --reuid 65534 --regid 65534 --groups 4242";
    host.ok("chmod 711 $(dirname $LINKSPAN_SOCKET) $(dirname $(dirname $LINKSPAN_SOCKET))");
    host.ok(format!("{member} linkspan network create theirs"));
    let ran = host.sh(format!("{member} linkspan system upgrade"));
    says(ran.failure(status::PERMISSION), &["only root"]);
}

/// One process that asks a thousand things at once, again and again: it prints how they were answered.
const HAMMER: &str = r#"
import os, socket, sys, threading
path, seen, lock = os.environ["LINKSPAN_SOCKET"], {}, threading.Lock()
def ask(n):
    while not os.path.exists(os.environ["T"] + "/stop"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        try:
            s.connect(path)
            s.sendall(b"POST /v1/verify HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 13\r\n\r\n{\"fix\":false}")
            answer = b""
            while (part := s.recv(65536)):
                answer += part
            head = answer.split(b"\r\n\r\n")[0].lower()
            what = head.split(b"\r\n")[0].decode() + (" retry" if b"retry-after: " in head else "")
        except OSError as error:
            what = type(error).__name__
        finally:
            s.close()
        with lock:
            seen[what] = seen.get(what, 0) + 1
threading.stack_size(256 * 1024)
threads = [threading.Thread(target=ask, args=(n,)) for n in range(1000)]
[t.start() for t in threads]
print("hammering", flush=True)
[t.join() for t in threads]
print(seen)
"#;

#[test]
fn one_client_does_not_starve_another() {
    let host = host();
    host.ok("linkspan network create app");
    sleeper(&host, "web", "--network app");
    std::fs::write(host.tmp().join("hammer.py"), HAMMER).expect("an own file");
    let hammer = host.here().spawn("exec python3 $T/hammer.py");
    hammer.until("hammering");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut times: Vec<_> = (0..10)
        .map(|_| host.linkspan(["network", "inspect", "app"]))
        .map(|ran| {
            ran.success();
            ran.took
        })
        .collect();
    host.ok(
        "linkspan network create other && linkspan network connect other web && linkspan network disconnect other web",
    );
    host.ok("touch $T/stop");
    let (_, text) = hammer.finish();
    times.sort();
    #[allow(clippy::print_stdout, reason = "the figures, for who asks for them")]
    let () = println!("others answered in {:?} at most, {:?} in the middle; the one: {text}", times[9], times[5]);
    // Each is a process of its own, on two cores that the one keeps busy.
    assert!(times[5] < std::time::Duration::from_secs(3), "{times:?}");
    // What was too much was told so, and nothing else happened.
    assert!(text.contains("503 service unavailable retry") && text.contains("200 ok"), "{text}");
    assert!(!text.contains("500") && !text.contains("Error"), "{text}");
}

#[test]
fn requests_that_drip_or_never_end_hold_up_nobody() {
    let host = host();
    host.ok("linkspan info >/dev/null");
    // Heads that never end, and bodies that do not come; more of them than are worked on at once.
    let slow = host.here().spawn(
        "exec python3 -c '
import os, socket, time
all = []
for n in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ[\"LINKSPAN_SOCKET\"])
    s.sendall(b\"GET /v1/info HTTP/1.1\\r\\nx: \" if n % 2 else b\"POST /v1/networks HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 100\\r\\n\\r\\n{\")
    all.append(s)
print(\"dripping\", flush=True)
closed = time.time()
while all and time.time() - closed < 30:
    for s in list(all):
        s.setblocking(False)
        try:
            if not s.recv(4096): all.remove(s)
        except BlockingIOError: pass
        except OSError: all.remove(s)
    time.sleep(0.2)
print(len(all), \"open after\", int(time.time() - closed), flush=True)
'",
    );
    slow.until("dripping");
    let ran = host.sh("linkspan network create app");
    ran.success();
}

#[test]
fn the_unit_exposes_little() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd/linkspan.service");
    let Ok(ran) = std::process::Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(unit).output()
    else {
        linkspan_testkit::skip!("systemd-analyze is missing");
    };
    let text = String::from_utf8_lossy(&ran.stdout);
    let score = text.rsplit("Overall exposure level for linkspan.service: ").next().unwrap_or_default();
    let score: f32 = score.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!(score < 5.5, "{text}");
}
