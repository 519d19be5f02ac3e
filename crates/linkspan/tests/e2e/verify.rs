//! What `verify` finds of real damage beside the kernel's objects, and puts right.

use crate::support::{host, says, sleeper, status, web};
use linkspan_testkit::{Host, within};
use std::time::Duration;

/// `verify` says exactly these words in its one line, `verify --fix` puts it right, and all is well.
#[track_caller]
fn finds(host: &Host, damage: &str, words: &[&str]) {
    host.ok(damage);
    let told = host.sh("linkspan verify");
    assert_eq!(told.status, status::DIFFERS, "{damage}: {told}");
    assert_eq!(told.stdout.lines().count(), 1, "{damage}: {told}");
    says(&told.stdout, words);
    let fixed = host.ok("linkspan verify --fix");
    says(&fixed, words);
    assert!(fixed.contains("put right"), "{damage}: {fixed}");
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
}

#[test]
fn verify_looks_beside_the_kernel_too() {
    let host = host();
    host.ok("linkspan network create app");
    let id = web(&host, "web", "--network app");
    sleeper(&host, "client", "--network app");
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
    let netns = host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' web");
    let run = netns.split("/netns/").next().expect("a directory").to_owned();
    let files = format!("{run}/sandboxes/{}", &id[..12]);

    // Files of a sandbox: what is inside follows, for the same file is written.
    finds(&host, &format!("echo '10.6.6.6 client' > {files}/hosts"), &["different", "hosts", "sandbox web"]);
    assert!(!host.inside("web").ok("cat /etc/hosts").contains("10.6.6.6"));
    finds(&host, &format!("rm {files}/hostname"), &["missing", "hostname", "sandbox web"]);
    finds(&host, &format!(": > {files}/resolv.conf"), &["different", "resolv.conf", "sandbox web"]);
    assert!(host.inside("web").pings("client"), "names are found again");

    // What belongs to no sandbox and no network.
    let stray = format!("{run}/netns/stray");
    let bind = format!("touch {stray}; unshare -n mount --bind /proc/self/ns/net {stray}");
    finds(&host, &bind, &["belongs to nothing", "namespace", &stray]);
    host.ok(format!("test ! -e {stray}; ! grep -q {stray} /proc/mounts"));
    finds(&host, &format!("mkdir {run}/sandboxes/stray"), &["belongs to nothing", "files of a sandbox"]);
    // The daemon may have been faster with a bridge that says it is ours; the name alone says nothing.
    host.ok("ip link add ls-mine type bridge; ip link add ls-lost type bridge");
    host.ok("ip link set ls-lost alias 'linkspan network lost'; linkspan verify --fix");
    host.ok("ip link show ls-mine; ! ip link show ls-lost; linkspan verify");

    // A namespace that is gone: nothing can be put into it, the sandbox goes.
    finds(&host, &format!("umount -l {netns}"), &["missing", "namespace", &netns, "sandbox web"]);
    host.ok(format!("test ! -e {netns} -a ! -e {files}; ! linkspan sandbox inspect web"));
    assert_eq!(host.ok("ip -o link show type veth | wc -l"), "1", "the client's alone");
    assert_eq!(host.ok("linkspan network inspect app | jq '.[0].Containers | length'"), "1");
}

/// Somebody unmounts the file of a namespace whose program runs on. Nothing can be put into it any more, which is told;
/// whatever else there is goes on, and is put right.
#[test]
fn an_unmounted_namespace_is_told_and_hurts_nobody_else() {
    let host = host();
    let outside = host.neighbour("outside", 0);
    host.ok("linkspan network create --ipv6 app; linkspan network create other");
    web(&host, "web", "--network app -p 8080:80");
    sleeper(&host, "client", "--network app");
    let netns = host.ok("linkspan sandbox inspect -f '{{.NetworkSettings.SandboxKey}}' web");
    host.ok(format!("umount -l {netns}"));
    // Its program has the namespace still, and is reached.
    assert!(outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web")));
    assert!(host.inside("client").pings("web"));
    // What is in the host is put right, its published port too.
    host.ok("nft flush ruleset");
    let back = || outside.fetch("10.99.0.1", 8080).is_some_and(|text| text.starts_with("web"));
    assert!(within(Duration::from_secs(5), back) && host.inside("client").pings("web"));
    let told = host.sh("linkspan verify");
    assert_eq!(told.status, status::DIFFERS, "{told}");
    says(&told.stdout, &["missing", "namespace", &netns, "sandbox web"]);
    // What needs the namespace is refused by name and leaves nothing; what does not, is done.
    says(&host.refused(status::INVALID, "linkspan network connect other web"), &[&netns]);
    host.ok("linkspan network connect other client && linkspan run --rm --network app -- true");
    let repairs = || host.ok("grep -c repairing $LINKSPAN_STATE_DIR/daemon.log || true");
    let before = repairs();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(repairs(), before, "it does not try the impossible again and again");
    // It goes where that is wished, and everything of it.
    says(&host.ok("linkspan verify --fix"), &["sandbox removed"]);
    says(&host.ok("linkspan verify"), &["objects are as they should be"]);
    assert!(outside.fetch("10.99.0.1", 8080).is_none());
    host.ok(format!("test ! -e {netns}; ! linkspan sandbox inspect web; kill $(pgrep -x socat)"));
    host.ok("linkspan run --rm --network app -p 8080:80 -- true");
}
