use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened to a network or a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: jiff::Timestamp,
    /// To what kind of thing.
    pub subject: EventSubject,
    /// What happened.
    pub action: EventAction,
    /// Full ID of the thing.
    pub id: String,
    /// Attributes, such as `name`, `type` (the driver) and `container`.
    pub attributes: BTreeMap<String, String>,
}

/// What kind of thing an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventSubject {
    /// A network.
    Network,
    /// A sandbox.
    Sandbox,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventAction {
    /// It was made.
    Create,
    /// A sandbox joined the network.
    Connect,
    /// A sandbox left the network.
    Disconnect,
    /// It was removed.
    Destroy,
    /// A process was started in the sandbox.
    Start,
    /// The sandbox's process ended.
    Die,
}

macro_rules! display_lowercase {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&format!("{self:?}").to_ascii_lowercase())
            }
        }
    )*};
}
display_lowercase!(EventSubject, EventAction);
