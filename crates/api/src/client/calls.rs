//! One method a path.

use super::{Client, path};
use crate::wire::{
    DisconnectRequest, ExitRequest, ExposureRequest, JoinRequest, PruneRequest, UpgradeRequest, VerifyRequest,
    VersionInfo,
};
use hyper::Method;
use linkspan_engine::{
    EndpointView, ExplainRequest, Explanation, Exposure, FeatureView, Info, NetworkView, ProcessRecord, SandboxView,
    Verification, Warned,
};
use linkspan_model::{EndpointSpec, NetworkId, NetworkSpec, Result, SandboxSpec};

const NOTHING: Option<&()> = None;

/// The engine's operations; what they do and how they fail is said there.
impl Client {
    /// [`Controller::info`](linkspan_engine::Controller::info).
    pub fn info(&self) -> Result<Info> {
        self.get("/info")
    }

    /// [`Controller::features`](linkspan_engine::Controller::features).
    pub fn features(&self) -> Result<Vec<FeatureView>> {
        self.get("/features")
    }

    /// [`Controller::networks`](linkspan_engine::Controller::networks).
    pub fn networks(&self) -> Result<Vec<NetworkView>> {
        self.get("/networks")
    }

    /// [`Controller::network`](linkspan_engine::Controller::network).
    pub fn network(&self, network: &str) -> Result<NetworkView> {
        self.get(&path("/networks/", network, "")?)
    }

    /// [`Controller::create_network`](linkspan_engine::Controller::create_network).
    pub fn create_network(&self, spec: &NetworkSpec) -> Result<Warned<NetworkId>> {
        self.post("/networks", spec)
    }

    /// [`Controller::remove_network`](linkspan_engine::Controller::remove_network).
    pub fn remove_network(&self, network: &str) -> Result<()> {
        self.order(Method::DELETE, &path("/networks/", network, "")?, NOTHING)
    }

    /// [`Controller::prune_networks`](linkspan_engine::Controller::prune_networks) of those that pass.
    pub fn prune_networks(&self, request: &PruneRequest) -> Result<Vec<NetworkView>> {
        self.post("/networks/prune", request)
    }

    /// [`Controller::connect`](linkspan_engine::Controller::connect).
    pub fn connect(&self, sandbox: &str, spec: &EndpointSpec) -> Result<EndpointView> {
        self.post(&path("/sandboxes/", sandbox, "/endpoints")?, spec)
    }

    /// [`Controller::disconnect`](linkspan_engine::Controller::disconnect).
    pub fn disconnect(&self, network: &str, sandbox: &str, force: bool) -> Result<()> {
        let request = DisconnectRequest { sandbox: sandbox.to_owned(), force };
        self.order(Method::POST, &path("/networks/", network, "/disconnect")?, Some(&request))
    }

    /// [`Controller::create_endpoint`](linkspan_engine::Controller::create_endpoint).
    pub fn create_endpoint(&self, spec: &EndpointSpec) -> Result<EndpointView> {
        self.post("/endpoints", spec)
    }

    /// [`Controller::join`](linkspan_engine::Controller::join).
    pub fn join(&self, endpoint: &str, sandbox: &str) -> Result<EndpointView> {
        self.post(&path("/endpoints/", endpoint, "/join")?, &JoinRequest { sandbox: sandbox.to_owned() })
    }

    /// [`Controller::leave`](linkspan_engine::Controller::leave).
    pub fn leave(&self, endpoint: &str) -> Result<()> {
        self.order(Method::POST, &path("/endpoints/", endpoint, "/leave")?, NOTHING)
    }

    /// [`Controller::delete_endpoint`](linkspan_engine::Controller::delete_endpoint).
    pub fn delete_endpoint(&self, endpoint: &str) -> Result<()> {
        self.order(Method::DELETE, &path("/endpoints/", endpoint, "")?, NOTHING)
    }

    /// [`Controller::sandboxes`](linkspan_engine::Controller::sandboxes).
    pub fn sandboxes(&self) -> Result<Vec<SandboxView>> {
        self.get("/sandboxes")
    }

    /// [`Controller::sandbox`](linkspan_engine::Controller::sandbox).
    pub fn sandbox(&self, sandbox: &str) -> Result<SandboxView> {
        self.get(&path("/sandboxes/", sandbox, "")?)
    }

    /// [`Controller::create_sandbox`](linkspan_engine::Controller::create_sandbox).
    pub fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxView> {
        self.post("/sandboxes", spec)
    }

    /// [`Controller::remove_sandbox`](linkspan_engine::Controller::remove_sandbox).
    pub fn remove_sandbox(&self, sandbox: &str) -> Result<()> {
        self.order(Method::DELETE, &path("/sandboxes/", sandbox, "")?, NOTHING)
    }

    /// [`Controller::set_process`](linkspan_engine::Controller::set_process).
    pub fn set_process(&self, sandbox: &str, process: &ProcessRecord) -> Result<()> {
        self.order(Method::PUT, &path("/sandboxes/", sandbox, "/process")?, Some(process))
    }

    /// [`Controller::process_exited`](linkspan_engine::Controller::process_exited); the sandbox goes
    /// where its program was started so.
    pub fn process_exited(&self, sandbox: &str, status: i32) -> Result<()> {
        self.order(Method::POST, &path("/sandboxes/", sandbox, "/exit")?, Some(&ExitRequest { status }))
    }

    /// [`Controller::verify`](linkspan_engine::Controller::verify).
    pub fn verify(&self, fix: bool) -> Result<Verification> {
        self.post("/verify", &VerifyRequest { fix })
    }

    /// Has another daemon take over, and returns once it serves; only root may.
    pub fn upgrade(&self, request: &UpgradeRequest) -> Result<VersionInfo> {
        self.post("/upgrade", request)
    }

    /// [`Controller::explain`](linkspan_engine::Controller::explain).
    pub fn explain(&self, requests: &[ExplainRequest]) -> Result<Vec<Explanation>> {
        self.post("/explain", &requests)
    }

    /// [`Controller::exposure`](linkspan_engine::Controller::exposure).
    pub fn exposure(&self, sandboxes: &[String]) -> Result<Vec<Exposure>> {
        self.post("/exposure", &ExposureRequest { sandboxes: sandboxes.to_vec() })
    }

    /// [`Controller::purge`](linkspan_engine::Controller::purge).
    pub fn purge(&self) -> Result<()> {
        self.order(Method::POST, "/purge", NOTHING)
    }
}
