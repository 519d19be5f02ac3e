use crate::Time;
use ipnet::IpNet;
use std::{net::IpAddr, time::Duration};

/// A time of a lease that does not end.
pub const FOREVER: u32 = u32::MAX;

/// What a server has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address, with the prefix length of what is reached without a router.
    pub address: IpNet,
    /// Who gave it.
    pub server: Server,
    /// Seconds after which that server is asked for more (T1).
    pub renew: u32,
    /// Seconds after which any server is (T2).
    pub rebind: u32,
    /// Seconds after which it ends.
    pub expire: u32,
    /// What else was given.
    pub settings: Settings,
}

/// A server, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// By its address.
    V4(std::net::Ipv4Addr),
    /// By its DUID.
    V6(Vec<u8>),
}

/// What servers say beside an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The next hop of the default route.
    pub gateway: Option<IpAddr>,
    /// Further routes.
    pub routes: Vec<Way>,
    /// MTU of the wire.
    pub mtu: Option<u16>,
    /// Domains in which names without a dot are looked for.
    pub search: Vec<String>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Time servers.
    pub ntp: Vec<IpAddr>,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Where it leads.
    pub destination: IpNet,
    /// The next hop; none where it leads to neighbours.
    pub gateway: Option<IpAddr>,
}

impl Lease {
    /// When a time of a lease that began at `since` comes.
    pub(crate) fn at(since: Time, seconds: u32) -> Time {
        if seconds == FOREVER { Time::MAX } else { since.saturating_add(Duration::from_secs(seconds.into())) }
    }

    /// When the lease ends where it began at `since`.
    pub fn end(&self, since: Time) -> Time {
        Self::at(since, self.expire)
    }

    /// Puts the times in order: those that contradict each other are replaced by the defaults (RFC 2131 §4.4.5,
    /// RFC 8415 §21.4).
    pub(crate) fn times(expire: u32, renew: Option<u32>, rebind: Option<u32>, defaults: (f64, f64)) -> (u32, u32) {
        if expire == FOREVER {
            let finite = |time: Option<u32>| time.filter(|time| *time != 0).unwrap_or(FOREVER);
            let (renew, rebind) = (finite(renew), finite(rebind));
            return (renew.min(rebind), rebind);
        }
        let part = |share: f64| ((f64::from(expire) * share) as u32).clamp(1, expire);
        let (renew, rebind) = (renew.filter(|time| *time != 0), rebind.filter(|time| *time != 0));
        let rebind = rebind
            .filter(|rebind| *rebind <= expire)
            .unwrap_or_else(|| part(defaults.1).max(renew.filter(|renew| *renew <= expire).unwrap_or(0)));
        let renew = renew.filter(|renew| *renew <= rebind).unwrap_or_else(|| part(defaults.0).min(rebind));
        (renew, rebind)
    }
}
