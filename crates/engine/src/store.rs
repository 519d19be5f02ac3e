use crate::{EndpointRecord, NetworkRecord, SandboxRecord};
use linkspan_model::{EndpointId, NetworkId, Result, SandboxId};
use std::collections::BTreeMap;

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// Inserts or replaces a network.
    PutNetwork(NetworkRecord),
    /// Removes a network.
    DeleteNetwork(NetworkId),
    /// Inserts or replaces a sandbox.
    PutSandbox(SandboxRecord),
    /// Removes a sandbox.
    DeleteSandbox(SandboxId),
    /// Inserts or replaces an endpoint.
    PutEndpoint(EndpointRecord),
    /// Removes an endpoint.
    DeleteEndpoint(EndpointId),
    /// Inserts or replaces a setting of the host.
    PutSetting(String, String),
    /// Removes a setting of the host.
    DeleteSetting(String),
}

/// What a commit must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process at any moment (`kill -9`). No fsync: a reboot erases the kernel
    /// objects that the record describes anyway.
    Process,
    /// A power failure as well: one fsync before the commit returns.
    Power,
}

/// Everything a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The networks, by ID.
    pub networks: BTreeMap<NetworkId, NetworkRecord>,
    /// The sandboxes, by ID.
    pub sandboxes: BTreeMap<SandboxId, SandboxRecord>,
    /// The endpoints, by ID.
    pub endpoints: BTreeMap<EndpointId, EndpointRecord>,
    /// Settings of the host.
    pub settings: BTreeMap<String, String>,
}

/// Where the engine keeps its records.
pub trait Store: Send + Sync {
    /// Reads everything; once, at start.
    fn load(&self) -> Result<Snapshot>;

    /// Makes all of `changes` or none of them.
    fn commit(&self, changes: &[RecordChange], durability: Durability) -> Result<()>;

    /// What users should know of its records: that they had to be rebuilt, for example.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}
