/// A command that serves `text` and the client's address to every TCP connection at `port`, both
/// families.
pub fn banner_tcp(port: u16, text: &str) -> Vec<String> {
    let v6 = format!("TCP6-LISTEN:{port},ipv6only=1,fork,reuseaddr");
    banner(text, &v6, &format!("ss -Hlnt 'sport = :{port}'"), &format!("TCP4-LISTEN:{port},fork,reuseaddr"))
}

/// A command that answers every UDP packet at `port` with `text` and the client's address, both
/// families.
pub fn banner_udp(port: u16, text: &str) -> Vec<String> {
    let v6 = format!("UDP6-RECVFROM:{port},ipv6only=1,fork");
    banner(text, &v6, &format!("ss -Hlnu 'sport = :{port}'"), &format!("UDP4-RECVFROM:{port},fork"))
}

/// A socket for each family, since one for both shows a client's IPv4 address as an IPv6 one. Whoever waits for
/// the IPv4 one finds the other.
fn banner(text: &str, v6: &str, listening: &str, v4: &str) -> Vec<String> {
    let answer = format!("'SYSTEM:echo {text} $SOCAT_PEERADDR'");
    let script =
        format!("socat {v6} {answer} & until {listening} | grep -q .; do sleep 0.02; done; exec socat {v4} {answer}");
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// A command that sends back everything it gets on TCP connections at `port`.
pub fn echo_tcp(port: u16) -> Vec<String> {
    ["socat".to_owned(), format!("TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr"), "EXEC:cat".to_owned()].to_vec()
}
