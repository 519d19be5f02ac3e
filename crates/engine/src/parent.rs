//! Devices of the host that networks share, by name.

/// A device of the host that a network wants to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its name. One that is not there is a VLAN, such as `eth0.10`, which is made.
    pub name: String,
    /// Endpoints have its MAC address, so that it may be a radio, which knows no other.
    pub takes_radios: bool,
    /// Nobody else may share it.
    pub alone: bool,
    /// MTU of endpoints in bytes, where it was asked for.
    pub mtu: Option<u32>,
}

/// A VLAN by the name that says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan<'a> {
    /// Its name: the parent's, a dot and the tag.
    pub name: &'a str,
    /// The device that carries its frames.
    pub parent: &'a str,
    /// The tag.
    pub id: u16,
}

impl<'a> Vlan<'a> {
    /// Tags of 802.1Q; 0 is none, and 4095 is reserved.
    pub const TAGS: std::ops::RangeInclusive<u16> = 1..=4094;

    /// What a name says; nothing where it does not end in a dot and a tag.
    pub fn named(name: &'a str) -> Option<Self> {
        let (parent, tag) = name.rsplit_once('.')?;
        let canonical = !parent.is_empty() && !tag.starts_with(['0', '+']);
        let id = tag.parse().ok().filter(|id| canonical && Self::TAGS.contains(id))?;
        Some(Self { name, parent, id })
    }
}

/// The VLANs that a device called `name` is made of, the innermost first: `eth0.10.20` and `eth0.10`.
pub fn vlans(name: &str) -> impl Iterator<Item = Vlan<'_>> {
    std::iter::successors(Vlan::named(name), |vlan| Vlan::named(vlan.parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_vlan_is() {
        let read = |name| vlans(name).map(|vlan| format!("{} of {}", vlan.id, vlan.parent)).collect::<Vec<_>>();
        assert_eq!(read("eth0.10.20"), ["20 of eth0.10", "10 of eth0"]);
        assert_eq!(read("br.lan.4094"), ["4094 of br.lan"]);
        for name in ["eth0", "eth0.", "eth0.0", "eth0.010", "eth0.4095", "eth0.99999", "eth0.+5", ".5", "br.lan"] {
            assert_eq!(read(name), Vec::<String>::new(), "{name}");
        }
    }
}
