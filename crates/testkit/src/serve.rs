/// A command that serves `text` and the client's address to every TCP connection at `port`, both
/// families.
pub fn banner_tcp(port: u16, text: &str) -> Vec<String> {
    let v6 = format!("TCP6-LISTEN:{port},ipv6only=1,fork,reuseaddr");
    let v4 = format!("TCP4-LISTEN:{port},fork,reuseaddr");
    let listening = format!("ss -Hlnt 'sport = :{port}'");
    let answer = format!("'SYSTEM:echo {text} $SOCAT_PEERADDR'");
    // A socket for each family, since one for both shows a client's IPv4 address as an IPv6 one. Whoever waits for
    // the IPv4 one finds the other.
    let script =
        format!("socat {v6} {answer} & until {listening} | grep -q .; do sleep 0.02; done; exec socat {v4} {answer}");
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// A command that answers every UDP packet at `port` with `text` and the client's address, both
/// families. (`socat UDP-RECVFROM,fork` now and then waits for a signal that came already, and answers no more.)
pub fn banner_udp(port: u16, text: &str) -> Vec<String> {
    ["python3", "-c", UDP, &port.to_string(), text].map(str::to_owned).to_vec()
}

/// Writes addresses as `banner_tcp` does. Whoever waits for the IPv4 socket finds the other.
const UDP: &str = r#"
import ipaddress, select, socket, sys
port, text = int(sys.argv[1]), sys.argv[2]
v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
v6.bind(("::", port))
v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v4.bind(("0.0.0.0", port))
while True:
    for server in select.select([v4, v6], [], [])[0]:
        _, client = server.recvfrom(65536)
        name = client[0] if server is v4 else f"[{ipaddress.ip_address(client[0].split('%')[0]).exploded}]"
        try:
            server.sendto(f"{text} {name}\n".encode(), client)
        except OSError:
            pass
"#;

/// A command that sends back everything it gets on TCP connections at `port`.
pub fn echo_tcp(port: u16) -> Vec<String> {
    ["socat".to_owned(), format!("TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr"), "EXEC:cat".to_owned()].to_vec()
}
