use crate::{Error, Result};
use std::{fmt, str::FromStr};

/// A name of a network or sandbox: a letter or digit, then letters, digits,
/// `_`, `.` and `-`, at most 128 characters (Docker's rule, with a bound).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The longest name.
    pub const MAX: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let valid = text.len() <= Self::MAX
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if !valid {
            return Err(Error::invalid(format!("invalid name {text:?}")).fix(
                "a name starts with a letter or digit and holds only letters, digits, '_', '.' and '-', at most 128",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Name {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether `text` can stand in the DNS as a relative name: labels of at most 63
/// letters, digits, `-` and `_`, 253 characters in all (RFC 1035 §2.3.4, with the
/// underscore that container names carry).
pub fn is_valid_dns_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

/// Whether an interface that we make can be called `text`: what the kernel takes (dev_valid_name) and tools
/// can tell apart, but for the loopback's name.
pub fn is_valid_interface_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | ".." | "lo")
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%' | b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "web-1", "0net", "a_b.c"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "ä", &"a".repeat(129)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!(is_valid_dns_name("web.app_net"));
        assert!(!is_valid_dns_name("web..x") && !is_valid_dns_name(""));
    }
}
