use linkspan_model::Family;

/// One of a kind for each IP version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bridge) struct PerFamily<T> {
    /// For IPv4.
    pub(in crate::bridge) v4: T,
    /// For IPv6.
    pub(in crate::bridge) v6: T,
}

impl<T> PerFamily<T> {
    /// The one of `family`.
    pub(in crate::bridge) fn of(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// How a network is joined to the outside, in one IP version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bridge) enum GatewayMode {
    /// Published ports are ports of the host, by translation; everything that leaves has the host's address.
    #[default]
    Nat,
    /// The same, and every port answers whoever routes to the sandbox's address.
    NatUnprotected,
    /// Nothing is translated; published ports answer at the sandbox's own address.
    Routed,
    /// The bridge has no address, so that not even the host is on the network.
    Isolated,
}

impl GatewayMode {
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("nat", Self::Nat),
        ("nat-unprotected", Self::NatUnprotected),
        ("routed", Self::Routed),
        ("isolated", Self::Isolated),
    ];

    /// Whether host ports lead to sandboxes by translation.
    pub(in crate::bridge) fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::NatUnprotected)
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// Whether traffic passes between a network and the host's other ones. Replies always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bridge) enum Isolation {
    /// With none.
    #[default]
    Strict,
    /// With those that are not isolated.
    Normal,
    /// With those that are not strict.
    Off,
}

impl Isolation {
    /// Its words, the last two those of netavark.
    pub(super) const NAMES: [(&'static str, Self); 5] = [
        ("strict", Self::Strict),
        ("normal", Self::Normal),
        ("off", Self::Off),
        ("true", Self::Normal),
        ("false", Self::Off),
    ];
}
