use super::Controller;
use crate::{
    Durability, EndpointRecord, Namespace, Phase, RecordChange, SandboxRecord, SandboxView, desired::loopback, files,
};
use linkspan_kernel::{Owner, Place, Value, Values, netns_of_pid};
use linkspan_model::{
    Error, ErrorClass, EventAction, EventSubject, Name, NamespaceSpec, Result, SandboxId, SandboxSpec,
    is_valid_dns_name,
};
use std::path::{Path, PathBuf};

impl Controller {
    /// Makes a sandbox, joins it to its networks and publishes its ports; whole or not at all.
    pub fn create_sandbox(&self, spec: SandboxSpec) -> Result<SandboxView> {
        self.make_sandbox(spec, false)
    }

    /// The same for a program that is about to be started: an engine that ends before
    /// [`set_process`](Self::set_process) takes the sandbox along.
    pub fn lease_sandbox(&self, spec: SandboxSpec) -> Result<SandboxView> {
        self.make_sandbox(spec, true)
    }

    fn make_sandbox(&self, spec: SandboxSpec, leased: bool) -> Result<SandboxView> {
        spec.check_limits()?;
        check_spec(&spec)?;
        let id = SandboxId::random();
        let operation = self.sandbox_operation(id);
        let mut operating = self.operate(&operation);
        let namespace = self.open_namespace(id, &spec)?;
        let kept = namespace.path().map(Path::to_owned);
        let made = self
            .raise_loopback(&namespace)
            .and_then(|()| self.record_sandbox(id, namespace, &spec, leased))
            .and_then(|()| {
                let joined = self.publish_ports(id, &spec).and_then(|()| {
                    self.change_sandbox(&mut operating, id, |state| {
                        let mut records: Vec<EndpointRecord> = Vec::new();
                        // Endpoints of one transaction see each other: names, addresses, MAC addresses.
                        let mut scratch = Scratch::new(self, state);
                        for endpoint in &spec.networks {
                            records.push(scratch.join(endpoint, id)?);
                        }
                        scratch.keep();
                        Ok(records)
                    })
                });
                joined.map(drop).inspect_err(|_| self.forget_sandbox(id))
            });
        if let Err(error) = made {
            if let Some(path) = kept
                && let Err(undo) = self.kernel.remove_netns(&path)
            {
                tracing::error!(%undo, "could not remove the namespace of a sandbox that failed");
            }
            return Err(error);
        }
        let view = self.sandbox(&id.to_string())?;
        self.emit(EventSubject::Sandbox, EventAction::Create, id.to_string(), [("name", view.name.to_string())]);
        Ok(view)
    }

    fn open_namespace(&self, id: SandboxId, spec: &SandboxSpec) -> Result<Namespace> {
        let on_host = {
            let state = self.read();
            let mut on_host = false;
            for endpoint in &spec.networks {
                let network = state.ready_network(&endpoint.network)?;
                on_host |= self.drivers.get(&network.spec.driver)?.capabilities().host_namespace;
            }
            on_host
        };
        let path = self.config.runtime_dir.join("netns").join(id.short());
        let adopt = |source: PathBuf| {
            self.kernel.keep_netns(&Place::Netns(source.clone()), &path)?;
            self.check_adoption(&path, source).inspect_err(|_| {
                if let Err(undo) = self.kernel.remove_netns(&path) {
                    tracing::error!(%undo, "could not let go of a namespace");
                }
            })
        };
        match &spec.namespace {
            NamespaceSpec::Host => Ok(Namespace::Host),
            NamespaceSpec::Own if on_host => Ok(Namespace::Host),
            _ if on_host => Err(Error::invalid("network host does not go with a namespace of its own")
                .fix("leave out the namespace, or the network")),
            NamespaceSpec::Own => {
                self.kernel.create_netns(&path)?;
                Ok(Namespace::Own(path))
            }
            NamespaceSpec::Path(source) => adopt(source.clone()),
            NamespaceSpec::Pid(pid) => adopt(netns_of_pid(*pid)).map_err(|error| match error.class() {
                ErrorClass::NotFound => {
                    Error::not_found(format!("there is no process {pid}")).fix("give the PID of a running process")
                }
                _ => error.context(format!("process {pid}")),
            }),
        }
    }

    /// Whether the namespace kept at `path` may be a sandbox: not the host's, and no sandbox yet.
    fn check_adoption(&self, path: &Path, source: PathBuf) -> Result<Namespace> {
        let identity = self.kernel.netns_identity(&Place::Netns(path.to_owned()))?;
        if self.kernel.netns_identity(&Place::Host)? == identity {
            return Err(Error::invalid(format!("{} is the namespace of the host itself", source.display()))
                .fix("use --network host for that"));
        }
        let state = self.read();
        let holder = state.sandboxes.values().find(|other| {
            // Ours may be given back to us as a path.
            matches!(&other.namespace, Namespace::Adopted { identity: theirs, .. } if *theirs == identity)
                || matches!(&other.namespace, Namespace::Own(_)
                        if self.kernel.netns_identity(&other.namespace.place()).is_ok_and(|own| own == identity))
        });
        match holder {
            Some(holder) => Err(Error::exists(format!("namespace {} is a sandbox already", source.display()))
                .held_by(format!("sandbox {}", holder.name))
                .fix(format!("use `linkspan network connect NETWORK {}`", holder.name))),
            None => Ok(Namespace::Adopted { path: path.to_owned(), source, identity }),
        }
    }

    /// The resolver listens on the loopback of a sandbox, which is down in a new namespace.
    fn raise_loopback(&self, namespace: &Namespace) -> Result<()> {
        if *namespace == Namespace::Host {
            return Ok(());
        }
        let mut values = Values::new();
        values.insert(namespace.place(), &Owner::new("sandbox"), Value::Link(loopback()));
        self.apply(&Values::new(), &values)
    }

    /// Writes the record of a new sandbox, without endpoints and ports yet.
    fn record_sandbox(&self, id: SandboxId, namespace: Namespace, spec: &SandboxSpec, leased: bool) -> Result<()> {
        let mut state = self.write();
        let name = match &spec.name {
            Some(name) => name.clone(),
            None => {
                let name: Name = format!("sandbox-{}", id.short()).parse()?;
                name
            }
        };
        if let Some(other) = state.sandbox_named(name.as_str()) {
            return Err(Error::exists(format!("sandbox {name} already exists"))
                .held_by(format!("sandbox {}", other.id.short()))
                .fix("choose another name, or remove it first"));
        }
        let record = SandboxRecord {
            id,
            name,
            hostname: spec.hostname.clone().unwrap_or_else(|| id.short()),
            created: jiff::Timestamp::now(),
            phase: Phase::Creating,
            namespace,
            dns: spec.dns.clone(),
            dns_port: None,
            extra_hosts: spec.extra_hosts.clone(),
            ports: spec.ports.clone(),
            bindings: Vec::new(),
            expose: spec.expose.clone(),
            labels: spec.labels.clone(),
            process: None,
            leased,
        };
        self.commit(&[RecordChange::PutSandbox(record.clone())])?;
        state.put_sandbox(record);
        Ok(())
    }

    /// Forgets a sandbox that came to nothing.
    fn forget_sandbox(&self, id: SandboxId) {
        self.resolver.stop(id);
        let mut state = self.write();
        if let Some(record) = state.remove_sandbox(id) {
            files::remove(&self.config, &record);
        }
        self.make_or_owe(&[RecordChange::DeleteSandbox(id)], Durability::Process);
    }

    /// Starts the name server of a sandbox when it first joins a network with names.
    pub(super) fn serve_names(&self, id: SandboxId) -> Result<()> {
        let (netns, policy) = {
            let state = self.read();
            let Some(sandbox) = state.sandboxes.get(&id) else { return Ok(()) };
            let names = state
                .joined(id)
                .filter_map(|endpoint| state.networks.get(&endpoint.network))
                .filter_map(|network| self.drivers.get(&network.spec.driver).ok())
                .any(|driver| driver.capabilities().names);
            let Some(path) = sandbox.namespace.path().filter(|_| names && sandbox.dns_port.is_none()) else {
                return Ok(());
            };
            (path.to_owned(), self.forward_policy(&state, id))
        };
        let port = self.resolver.serve(id, &netns, None, policy)?;
        let mut state = self.write();
        let Some(sandbox) = state.sandboxes.get_mut(&id) else { return Ok(()) };
        sandbox.dns_port = Some(port);
        match sandbox.phase {
            // Committed together with the end of this phase.
            Phase::Creating => Ok(()),
            Phase::Ready | Phase::Removing => self.commit(&[RecordChange::PutSandbox(sandbox.clone())]),
        }
    }

    /// Undoes [`serve_names`](Self::serve_names).
    pub(super) fn stop_names(&self, id: SandboxId) {
        self.resolver.stop(id);
        let mut state = self.write();
        let Some(sandbox) = state.sandboxes.get_mut(&id) else { return };
        sandbox.dns_port = None;
        self.make_or_owe(&[RecordChange::PutSandbox(sandbox.clone())], Durability::Process);
    }

    /// Removes a sandbox: its endpoints leave, its ports are unpublished, a namespace of our own goes.
    /// Programs that still run in it lose their network, nothing else.
    pub fn remove_sandbox(&self, reference: &str) -> Result<()> {
        let id = self.read().ready_sandbox(reference)?.id;
        let operation = self.sandbox_operation(id);
        let _operation = self.operate(&operation);
        let (record, endpoints, given, left, direct, inside, before, after) = {
            let mut state = self.write();
            let record = state.ready_sandbox(&id.to_string())?.clone();
            let before = self.desired(&state).sandbox(id)?;
            let endpoints: Vec<_> = state.joined(id).map(|endpoint| endpoint.id).collect();
            let given: Vec<_> = state.joined(id).filter(|endpoint| endpoint.duid.is_some()).cloned().collect();
            let left: Vec<_> =
                state.joined(id).filter_map(|endpoint| state.networks.get(&endpoint.network)).cloned().collect();
            let direct = state.joined(id).flat_map(|endpoint| self.direct_flows(&state, endpoint)).collect();
            let inside = self.inside_links(&state, state.joined(id));
            let mut changes = Vec::new();
            for endpoint in &endpoints {
                state.withdraw_names(*endpoint);
                changes.extend(state.set_endpoint_phase(*endpoint, Phase::Removing).map(RecordChange::PutEndpoint));
            }
            let mut removing = record.clone();
            removing.phase = Phase::Removing;
            changes.push(RecordChange::PutSandbox(removing.clone()));
            if let Err(error) = self.commit(&changes) {
                for endpoint in &endpoints {
                    state.set_endpoint_phase(*endpoint, Phase::Ready);
                    state.publish_names(*endpoint);
                }
                return Err(error);
            }
            state.put_sandbox(removing);
            let after = self.desired(&state).sandbox(id)?;
            (record, endpoints, given, left, direct, inside, before, after)
        };
        self.resolver.stop(id);
        given.iter().for_each(|endpoint| self.give_back(endpoint));
        // What is inside a namespace of our own goes with it, and nothing is inside of one that is gone.
        let goes = matches!(record.namespace, Namespace::Own(_)) || !self.namespace_lives(&record.namespace);
        let before = if goes { only_on_host(&before) } else { before };
        self.apply_anyway(&before, &after, &format_args!("sandbox {}", record.name));
        // Programs may live on in it, and their links would go on answering at addresses that are given back.
        if let Err(error) = self.delete_inside(&inside) {
            tracing::warn!(%error, sandbox = %id, "links inside of it could not be deleted");
        }
        if let Some(path) = record.namespace.path()
            && let Err(error) = self.kernel.remove_netns(path)
        {
            tracing::warn!(%error, sandbox = %id, "its namespace could not be removed");
        }
        files::remove(&self.config, &record);
        self.flush_flows(&record.bindings);
        self.reaper.flush(direct);
        {
            let mut state = self.write();
            state.remove_sandbox(id);
            self.make_or_owe(&[RecordChange::DeleteSandbox(id)], Durability::Process);
        }
        self.reaper.take(endpoints);
        left.iter().for_each(|network| self.emit_connection(EventAction::Disconnect, network, id));
        self.emit(EventSubject::Sandbox, EventAction::Destroy, id.to_string(), [("name", record.name.to_string())]);
        Ok(())
    }
}

fn only_on_host(values: &Values) -> Values {
    let mut on_host = Values::new();
    for (place, _, entry) in values.iter() {
        if *place == Place::Host {
            on_host.insert(Place::Host, &entry.owner, entry.value.clone());
        }
    }
    on_host
}

/// Endpoints that are being made together with the sandbox: gives back their addresses where
/// one of them fails.
struct Scratch<'a> {
    controller: &'a Controller,
    state: &'a crate::state::State,
    records: Vec<EndpointRecord>,
}

impl<'a> Scratch<'a> {
    fn new(controller: &'a Controller, state: &'a crate::state::State) -> Self {
        Self { controller, state, records: Vec::new() }
    }

    fn join(&mut self, spec: &linkspan_model::EndpointSpec, sandbox: SandboxId) -> Result<EndpointRecord> {
        let record = self.controller.new_endpoint(self.state, spec)?;
        let record = self.controller.join_record(self.state, record, sandbox, &self.records)?;
        self.records.push(record.clone());
        Ok(record)
    }

    fn keep(mut self) {
        self.records.clear();
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for record in &self.records {
            self.controller.release_addresses(self.state, record);
        }
    }
}

fn check_spec(spec: &SandboxSpec) -> Result<()> {
    if let Some(hostname) = &spec.hostname
        && (hostname.len() > 64 || !is_valid_dns_name(hostname))
    {
        return Err(Error::invalid(format!("invalid host name {hostname:?}"))
            .fix("a host name has at most 64 letters, digits, '-' and '.'"));
    }
    if let Some((name, _)) = spec.extra_hosts.iter().find(|(name, _)| !is_valid_dns_name(name)) {
        return Err(Error::invalid(format!("invalid host name {name:?} for /etc/hosts")));
    }
    Ok(())
}
