use crate::option_values::boolean;
use linkspan_model::{Error, PortRange, Protocol, Result};

/// What sandboxes reach of the host itself, beside echo and the name server at the gateway's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::bridge) enum HostAccess {
    /// Nothing.
    #[default]
    Closed,
    /// These ports, at every address of the host.
    Ports(Vec<(Protocol, PortRange)>),
    /// Everything.
    Open,
}

impl HostAccess {
    /// Reads `true`, `false` or a list such as `tcp/22,udp/500-510`.
    ///
    /// # Errors
    /// Of class `Invalid`, naming the option, where it is malformed or names a port twice.
    pub(super) fn parse(key: &str, text: &str) -> Result<Self> {
        if let Ok(open) = boolean(key, text) {
            return Ok(if open { Self::Open } else { Self::Closed });
        }
        let malformed = |item: &str| {
            Error::invalid(format!("option {key}={text} is malformed: {item:?}"))
                .fix("give true, false, or a list such as tcp/22,udp/500-510")
        };
        let mut ports: Vec<(Protocol, PortRange)> = Vec::new();
        for item in text.split(',') {
            let (protocol, range) = item.split_once('/').ok_or_else(|| malformed(item))?;
            let protocol: Protocol = protocol.parse().map_err(|_| malformed(item))?;
            let range: PortRange = range.parse().map_err(|_| malformed(item))?;
            if ports.iter().any(|(other, taken)| *other == protocol && taken.overlaps(range)) {
                return Err(
                    Error::invalid(format!("option {key}={text} names {item} twice")).fix("name each port once")
                );
            }
            ports.push((protocol, range));
        }
        Ok(Self::Ports(ports))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_nothing_or_a_list() {
        let parse = |text| HostAccess::parse("host_access", text);
        assert_eq!(parse("true"), Ok(HostAccess::Open));
        assert_eq!(parse("false"), Ok(HostAccess::Closed));
        let udp = PortRange { first: 500, last: 510 };
        let listed = HostAccess::Ports(vec![(Protocol::Tcp, PortRange::one(22)), (Protocol::Udp, udp)]);
        assert_eq!(parse("tcp/22,udp/500-510"), Ok(listed));
        for (text, why) in [
            ("", "malformed"),
            ("22", "malformed"),
            ("tcp/22,", "malformed"),
            ("icmp/1", "malformed"),
            ("tcp/22 ,udp/1", "malformed"),
            ("tcp/1-9,tcp/5", "twice"),
        ] {
            assert!(parse(text).unwrap_err().to_string().contains(why), "{text}");
        }
    }
}
