//! The Container Network Model engine: networks, sandboxes and the endpoints that
//! join them, over drivers, IPAM drivers, a store and a kernel that are all traits.
//!
//! The engine is synchronous and may be embedded: build a [`Controller`] from
//! [`Parts`] and call it from any thread.

mod controller;
mod desired;
mod driver;
mod endpoint_options;
mod explanation;
mod files;
mod gateway;
mod ipam;
mod lease;
mod names;
mod parent;
mod passing;
mod ports;
mod record;
mod records;
mod reference;
mod resolver;
mod state;
mod store;
mod view;

pub use controller::{Config, Controller, Parts};
pub use driver::{DriverCapabilities, EndpointContext, NetworkDriver};
pub use endpoint_options::{Announcing, EndpointOptions, EndpointSysctl};
pub use explanation::{Audience, ExplainRequest, Explanation, Exposure, ExposureRow, Step, StepKind, Verdict};
pub use ipam::{IpamDriver, Occupied, PoolRequest, Source, Sources, Usage};
pub use lease::{LeaseRecord, LeaseServer, LeaseSettings};
pub use names::{Knowledge, Question, Service};
pub use parent::{Parent, Vlan, vlans};
pub use record::{EndpointRecord, Namespace, NetworkRecord, Phase, Pool, ProcessRecord, SandboxRecord};
pub use resolver::{ForwardPolicy, Resolver};
pub use store::{Durability, RecordChange, Snapshot, Store};
pub use view::{
    Difference, DifferenceKind, EndpointView, FeatureView, HostFiles, Info, LeaseStage, LeaseView, NetworkView,
    PoolView, PublishedPort, SandboxView, Verification, Warned,
};
