//! The resolver's address in a sandbox: stateless rewriting of port 53 over loopback.

use super::*;
use std::{
    io::Read,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    thread,
    time::Instant,
};

const PORT: u16 = 10053;

/// Requests are rewritten after everything else on the output hook and answers before, so that
/// connection tracking and a firewall's output chains see port 53 in both directions.
fn table(port: u16) -> Value {
    let body = format!(
        "chain to_resolver {{
            type filter hook output priority 300; policy accept;
            ip daddr 127.0.0.11 udp dport 53 udp dport set {port}
            ip daddr 127.0.0.11 tcp dport 53 tcp dport set {port}
        }}
        chain from_resolver {{
            type filter hook output priority raw; policy accept;
            ip saddr 127.0.0.11 udp sport {port} udp sport set 53
            ip saddr 127.0.0.11 tcp sport {port} tcp sport set 53
        }}"
    );
    Value::Table(NftTable { family: NftFamily::Ip, name: "linkspan".into(), body })
}

/// The answer to `query`: its question, and `address` (RFC 1035, section 4).
fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let question = query[12..].iter().position(|byte| *byte == 0).map(|end| &query[12..12 + end + 5]).unwrap();
    let mut answer = query[..2].to_vec();
    answer.extend([0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(question);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
    answer.extend(address.octets());
    answer
}

/// Serves `address` as the answer to every query, over UDP and TCP, until the process ends.
fn serve(at: (Ipv4Addr, u16), address: Ipv4Addr) {
    let (udp, tcp) = (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut query) {
            udp.send_to(&answer(&query[..length], address), from).unwrap();
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let (mut stream, mut length) = (stream.unwrap(), [0; 2]);
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).unwrap();
            let answer = answer(&query, address);
            stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
        }
    });
}

#[test]
fn the_resolver_answers_at_port_53_and_leaves_it_free() {
    enter_new_netns();
    // A strict firewall of the sandbox's own.
    nft("table ip own {
             chain input {
                 type filter hook input priority filter; policy drop;
                 ct state invalid counter drop
                 ct state established accept
                 iif lo accept
             }
             chain output {
                 type filter hook output priority filter; policy drop;
                 ct state invalid counter drop
                 ct state established accept
                 meta l4proto { tcp, udp } th dport 53 accept
             }
         }");
    create(&[table(PORT)]).unwrap();
    assert_eq!(observed(&[table(PORT)]), [table(PORT)]);
    serve((Ipv4Addr::new(127, 0, 0, 11), PORT), Ipv4Addr::new(10, 0, 0, 1));
    serve((Ipv4Addr::UNSPECIFIED, 53), Ipv4Addr::new(10, 0, 0, 2));
    for transport in ["+notcp", "+tcp"] {
        let ask = |server| run("dig", &format!("{transport} +short +tries=1 +timeout=3 @{server} web A"));
        assert_eq!(ask("127.0.0.11"), "10.0.0.1\n", "{transport}");
        assert_eq!(ask("127.0.0.1"), "10.0.0.2\n", "{transport}");
    }
    let firewall = run("nft", "list table ip own");
    assert_eq!(firewall.matches("ct state invalid counter packets 0 ").count(), 2, "{firewall}");
}

#[test]
fn the_table_of_a_sandbox_is_made_in_one_quick_batch() {
    let mut times: Vec<_> = (0..51)
        .map(|number| {
            thread::spawn(move || {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                let begin = Instant::now();
                create(&[table(PORT)]).unwrap();
                let known = begin.elapsed();
                delete(&[table(PORT)]).unwrap();
                let begin = Instant::now();
                create(&[table(20_000 + number)]).unwrap();
                (known, begin.elapsed())
            })
            .join()
            .unwrap()
        })
        .collect();
    times.sort_unstable();
    let known = times[times.len() / 2].0;
    times.sort_unstable_by_key(|(_, new)| *new);
    println!("a sandbox's table: {known:?} with a body seen before, {:?} with a new one", times[times.len() / 2].1);
    assert!(known.as_millis() < 50);
}
