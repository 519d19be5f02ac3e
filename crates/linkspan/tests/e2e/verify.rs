//! What `verify` finds of real damage beside the kernel's objects, and puts right.

use crate::support::{host, says, sleeper, status, web};
use linkspan_testkit::Host;

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
