use std::fmt;

/// The host's own firewalls let pass what is forwarded from and to some interfaces, where one is there that
/// would drop it for want of a rule: a `FORWARD` chain of iptables whose policy is to drop, or firewalld.
/// Where none is, there is nothing to let pass, and the value is there by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The name of an interface, or what their names begin with, followed by `*`.
    pub interfaces: String,
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "passage of {} through the host's firewalls", self.interfaces)
    }
}
