use std::fmt;

/// A setting below `/proc/sys`, of the namespace it is placed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Path below `/proc/sys`, with slashes: `net/ipv4/ip_forward`.
    pub path: String,
    /// The value wanted, without newline.
    pub value: String,
    /// What is written when the value goes; nothing where absent.
    pub restore: Option<String>,
}

impl Sysctl {
    /// A setting that nobody restores, because the thing it belongs to goes with it.
    pub fn new(path: impl Into<String>, value: impl Into<String>) -> Self {
        Self { path: path.into(), value: value.into(), restore: None }
    }

    /// The link whose setting it is, if it is one of a link's.
    pub fn link(&self) -> Option<&str> {
        link_of_setting(&self.path)
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sysctl {}={}", self.path, self.value)
    }
}

/// The link whose setting `path` is.
pub(crate) fn link_of_setting(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("net"), Some("ipv4" | "ipv6" | "mpls"), Some("conf" | "neigh"), Some(link))
            if !matches!(link, "all" | "default") =>
        {
            Some(link)
        }
        _ => None,
    }
}
