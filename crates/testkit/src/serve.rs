/// A command that serves `text` and the client's address to every TCP connection at `port`, both
/// families.
pub fn banner_tcp(port: u16, text: &str) -> Vec<String> {
    // Whoever waits for the second finds the first. A socket for each family: on one for both the client's IPv4 address is shown as an IPv6 one.
    let listen = |options: &str| format!("socat {options},fork,reuseaddr 'SYSTEM:echo {text} $SOCAT_PEERADDR'");
    let script = format!(
        "{} & sleep 0.2; exec {}",
        listen(&format!("TCP6-LISTEN:{port},ipv6only=1")),
        listen(&format!("TCP4-LISTEN:{port}"))
    );
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// A command that answers every UDP packet at `port` with `text` and the client's address, both
/// families.
pub fn banner_udp(port: u16, text: &str) -> Vec<String> {
    let listen = |options: &str| format!("socat {options},fork 'SYSTEM:echo {text} $SOCAT_PEERADDR'");
    let script = format!(
        "{} & sleep 0.2; exec {}",
        listen(&format!("UDP6-RECVFROM:{port},ipv6only=1")),
        listen(&format!("UDP4-RECVFROM:{port}"))
    );
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// A command that sends back everything it gets on TCP connections at `port`.
pub fn echo_tcp(port: u16) -> Vec<String> {
    ["socat".to_owned(), format!("TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr"), "EXEC:cat".to_owned()].to_vec()
}
