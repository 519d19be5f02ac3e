//! Many of everything: afterwards the kernel and the store are as before.

use crate::support::{host, sleeper};
use linkspan_testkit::{Host, Snapshot, within};
use std::{collections::BTreeSet, fs, time::Duration};

/// Every row of the store but its history, which counts commits, read by SQLite itself. The daemon is stopped meanwhile.
fn stored(host: &Host) -> BTreeSet<String> {
    host.ok("linkspan system stop");
    let store = rusqlite::Connection::open(host.state_dir().join("linkspan.db")).expect("the store");
    let names: Vec<String> = {
        let mut query = store
            .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'history'")
            .expect("a schema");
        let names = query.query_map([], |row| row.get(0)).expect("a schema");
        names.map(|name| name.expect("a name")).collect()
    };
    let mut rows = BTreeSet::new();
    for name in names {
        let mut query = store.prepare(&format!("SELECT * FROM {name}")).expect("a table");
        let width = query.column_count();
        let mut found = query.query([]).expect("a table");
        while let Some(row) = found.next().expect("a row") {
            let cells: Vec<String> =
                (0..width).map(|cell| format!("{:?}", row.get_ref(cell).expect("a cell"))).collect();
            rows.insert(format!("{name}: {}", cells.join(" | ")));
        }
    }
    rows
}

#[track_caller]
fn is_as_before(host: &Host, before: &(Snapshot, BTreeSet<String>)) {
    within(Duration::from_secs(10), || before.0 == Snapshot::of(host));
    before.0.assert_same(&Snapshot::of(host));
    assert_eq!(stored(host), before.1, "the store");
    host.ok("linkspan info >/dev/null");
    before.0.assert_same(&Snapshot::of(host));
}

fn state_of(host: &Host) -> (Snapshot, BTreeSet<String>) {
    let stored = stored(host);
    host.ok("linkspan info >/dev/null");
    (Snapshot::of(host), stored)
}

/// Asks for its own name, which never changes, over and over and once each; prints how often, and how many
/// questions had another answer than the address within a second.
const ASKER: &str = r#"
import os, socket, struct, time
asked = lost = 0
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
while not os.path.exists(os.environ["T"] + "/enough"):
    asked += 1
    number = asked & 0xffff
    question = struct.pack(">6H", number, 0x100, 1, 0, 0, 0) + b"\x05asker\0" + struct.pack(">2H", 1, 1)
    client.sendto(question, ("127.0.0.11", 53))
    try:
        answer = client.recv(512)
        given, flags, _, answers = struct.unpack(">4H", answer[:8])
        lost += (given, flags & 15, answers) != (number, 0, 1)
    except OSError:
        lost += 1
    time.sleep(0.002)
print(asked, lost)
"#;

#[test]
fn a_thousand_attachments_leave_nothing() {
    let host = host();
    host.ok("linkspan network create --ipv6 app && linkspan network create other");
    sleeper(&host, "live", "--network other -p 8080:80 -p 9000-9100:9000-9100");
    sleeper(&host, "asker", "--network app");
    let before = state_of(&host);
    assert!(!before.1.is_empty());
    fs::write(host.tmp().join("ask.py"), ASKER).expect("an own file");
    let asking = host.inside("asker").spawn("exec python3 $T/ask.py");
    // A live sandbox joins and leaves; another is made and removed. In parts, for no command may take a minute.
    for _ in 0..5 {
        host.ok("set -e
            for n in $(seq 100); do
                linkspan network connect app live
                linkspan network disconnect app live
                linkspan sandbox create --name s --network app -p 8081:81 >/dev/null
                linkspan sandbox rm s >/dev/null
            done");
    }
    host.ok("touch $T/enough");
    let (status, answers) = asking.finish();
    let counts: Vec<u32> = answers.split_whitespace().filter_map(|count| count.parse().ok()).collect();
    assert!(status == 0 && counts.len() == 2 && counts[0] > 1000, "asked, lost: {answers}");
    assert_eq!(counts[1], 0, "queries lost while others came and went: {answers}");
    is_as_before(&host, &before);
    assert_eq!(host.ok("linkspan exec live ip -br -4 addr show eth0 | wc -l"), "1");
}

#[test]
fn two_hundred_at_once() {
    let host = host();
    host.ok("linkspan network create --ipv6 --subnet 10.20.0.0/16 app");
    let before = state_of(&host);
    host.ok("seq 200 | xargs -P 200 -I@ linkspan sandbox create --name s@ --network app -p 80 >/dev/null");
    let inspected = host.json("linkspan network inspect app");
    let members = inspected[0]["Containers"].as_object().expect("members");
    let unique = |field: &str| members.values().map(|member| member[field].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!(
        [members.len(), unique("IPv4Address"), unique("IPv6Address"), unique("MacAddress")],
        [200; 4],
        "each has its own"
    );
    let ports: BTreeSet<String> = host
        .ok("for n in $(seq 200); do linkspan port s$n 80; done | grep 0.0.0.0")
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(ports.len(), 200);
    // The witness: that many ports on the bridge, each with its element.
    assert_eq!(host.ok("bridge -o link | grep -c lsv"), "200");
    assert!(host.inside("s1").pings("s200") && host.inside("s200").pings("s100"));
    host.ok("seq 200 | xargs -P 200 -I@ linkspan sandbox rm s@ >/dev/null");
    is_as_before(&host, &before);
}
