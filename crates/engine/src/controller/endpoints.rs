use super::{Controller, Operation};
use crate::{Durability, EndpointRecord, EndpointView, NetworkRecord, Phase, RecordChange, files, state::State};
use linkspan_kernel::Flow;
use linkspan_model::{
    EndpointId, EndpointSpec, Error, ErrorClass, EventAction, EventSubject, PortRange, Result, SandboxId,
};
use std::{
    sync::RwLockWriteGuard,
    thread,
    time::{Duration, Instant},
};

/// How long a request waits for what others are about to release. Longer than addresses rest.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

impl Controller {
    /// Joins a sandbox to a network by a new endpoint.
    pub fn connect(&self, sandbox: &str, spec: EndpointSpec) -> Result<EndpointView> {
        let id = self.read().ready_sandbox(sandbox)?.id;
        let operation = self.sandbox_operation(id);
        let mut operating = self.operate(&operation);
        self.wait_for_links_of(id);
        let endpoint = self.change_sandbox(&mut operating, id, |state| {
            let endpoint = self.new_endpoint(state, &spec)?;
            self.join_record(state, endpoint, id, &[]).map(|record| vec![record])
        })?;
        self.endpoint_view(&self.read(), endpoint[0])
    }

    /// Makes an endpoint that has joined no sandbox yet. Its addresses are held from now on.
    pub fn create_endpoint(&self, spec: EndpointSpec) -> Result<EndpointView> {
        let (mut state, mut record) = self.once_released(|state| self.new_endpoint(state, &spec))?;
        record.phase = Phase::Ready;
        let id = record.id;
        if let Err(error) = self.commit(&[RecordChange::PutEndpoint(record.clone())]) {
            self.release_addresses(&state, &record);
            return Err(error);
        }
        state.put_endpoint(record);
        self.endpoint_view(&state, id)
    }

    /// Joins an endpoint to a sandbox.
    pub fn join(&self, endpoint: &str, sandbox: &str) -> Result<EndpointView> {
        let (endpoint, id) = {
            let state = self.read();
            let endpoint = state.ready_endpoint(endpoint)?;
            if let Some(holder) = endpoint.sandbox.and_then(|holder| state.sandboxes.get(&holder)) {
                return Err(Error::in_use(format!("endpoint {} has joined a sandbox", endpoint.id.short()))
                    .held_by(format!("sandbox {}", holder.name))
                    .fix("leave that sandbox first"));
            }
            (endpoint.id, state.ready_sandbox(sandbox)?.id)
        };
        let operation = self.sandbox_operation(id);
        let mut operating = self.operate(&operation);
        self.wait_for_links_of(id);
        self.change_sandbox(&mut operating, id, |state| {
            let record = state.endpoints.get(&endpoint).cloned();
            let record = record.filter(|record| record.phase == Phase::Ready && record.sandbox.is_none());
            let record = record.ok_or_else(|| Error::not_found(format!("endpoint {} has gone", endpoint.short())))?;
            self.join_record(state, record, id, &[]).map(|record| vec![record])
        })?;
        self.endpoint_view(&self.read(), endpoint)
    }

    /// Takes an endpoint out of its sandbox. Its addresses stay held, until it is deleted.
    pub fn leave(&self, endpoint: &str) -> Result<()> {
        let record = self.read().ready_endpoint(endpoint)?.clone();
        let Some(sandbox) = record.sandbox else {
            return Err(Error::not_found(format!("endpoint {} has joined no sandbox", record.id.short())));
        };
        let operation = self.sandbox_operation(sandbox);
        let _operation = self.operate(&operation);
        self.detach(sandbox, record.id, true)?;
        self.reaper.wait_idle();
        match self.read().endpoints.get(&record.id) {
            Some(left) if left.sandbox.is_some() => Err(Error::unavailable(format!(
                "endpoint {} has left, and its link is still being deleted",
                record.id.short()
            ))),
            _ => Ok(()),
        }
    }

    /// Deletes an endpoint that has joined no sandbox.
    pub fn delete_endpoint(&self, endpoint: &str) -> Result<()> {
        let mut state = self.write();
        let record = state.ready_endpoint(endpoint)?.clone();
        if let Some(holder) = record.sandbox.and_then(|holder| state.sandboxes.get(&holder)) {
            return Err(Error::in_use(format!("endpoint {} has joined a sandbox", record.id.short()))
                .held_by(format!("sandbox {}", holder.name))
                .fix("leave it first"));
        }
        self.commit(&[RecordChange::DeleteEndpoint(record.id)])?;
        state.remove_endpoint(record.id);
        self.release_addresses(&state, &record);
        Ok(())
    }

    /// Takes a sandbox off a network. With `force` it is no error if it is not on it.
    pub fn disconnect(&self, network: &str, sandbox: &str, force: bool) -> Result<()> {
        let (endpoint, id) = {
            let state = self.read();
            let network = state.find_network(network)?;
            let sandbox = state.find_sandbox(sandbox)?;
            match state.joined(sandbox.id).find(|endpoint| endpoint.network == network.id) {
                Some(endpoint) => (endpoint.id, sandbox.id),
                None if force => return Ok(()),
                None => {
                    return Err(Error::not_found(format!(
                        "sandbox {} is not on network {}",
                        sandbox.name,
                        network.name()
                    )));
                }
            }
        };
        let operation = self.sandbox_operation(id);
        let _operation = self.operate(&operation);
        self.detach(id, endpoint, false)
    }

    /// Changes the endpoints of a sandbox: `edit` returns the endpoint records to put, already
    /// joined, in phase `creating`. Undoes everything where something fails.
    pub(super) fn change_sandbox(
        &self,
        operation: &mut Operation<'_>,
        id: SandboxId,
        mut edit: impl FnMut(&State) -> Result<Vec<EndpointRecord>>,
    ) -> Result<Vec<EndpointId>> {
        let (records, previous, before, served) = {
            let (mut state, records) = self.once_released(&mut edit)?;
            // An endpoint that joins existed before; one that is made did not.
            let previous: Vec<Option<EndpointRecord>> =
                records.iter().map(|record| state.endpoints.get(&record.id).cloned()).collect();
            let before = self.desired(&state).sandbox(id)?;
            let changes: Vec<_> = records.iter().cloned().map(RecordChange::PutEndpoint).collect();
            if let Err(error) = self.commit(&changes) {
                let made = records.iter().zip(&previous).filter(|(_, previous)| previous.is_none());
                made.for_each(|(record, _)| self.release_addresses(&state, record));
                return Err(error);
            }
            records.iter().cloned().for_each(|record| state.put_endpoint(record));
            let served = state.sandboxes.get(&id).is_some_and(|sandbox| sandbox.dns_port.is_some());
            (records, previous, before, served)
        };
        let ids: Vec<EndpointId> = records.iter().map(|record| record.id).collect();
        let applied = self.serve_names(id).and_then(|()| {
            let after = self.desired(&self.read()).sandbox(id)?;
            self.apply(&before, &after)?;
            let whole = self
                .check_settings(&records)
                .and_then(|()| self.take_leases(operation, id, &records))
                .and_then(|()| self.finish_endpoints(id, &ids));
            whole.inspect_err(|_| {
                let now = self.give_back_all(&ids).and_then(|()| self.values_of(id));
                if let Err(error) = now.and_then(|now| self.apply(&now, &before)) {
                    tracing::error!(%error, sandbox = %id, "could not undo endpoints that failed");
                }
            })
        });
        if let Err(error) = applied {
            self.undo_endpoints(&records, previous);
            if !served {
                self.stop_names(id);
            }
            return Err(error);
        }
        self.endpoints_changed(id);
        for endpoint in &ids {
            self.endpoint_joined(*endpoint);
        }
        Ok(ids)
    }

    /// What `choose` takes from the records, which stay locked. What endpoints that are leaving still hold,
    /// and what rests after its release, is waited for.
    fn once_released<T>(
        &self,
        mut choose: impl FnMut(&State) -> Result<T>,
    ) -> Result<(RwLockWriteGuard<'_, State>, T)> {
        let end = Instant::now() + RELEASE_PATIENCE;
        loop {
            let state = self.write();
            let error = match choose(&state) {
                Ok(chosen) => return Ok((state, chosen)),
                Err(error) if Instant::now() > end => return Err(error),
                Err(error) => error,
            };
            let leaving = state.endpoints.values().any(|endpoint| endpoint.phase == Phase::Removing);
            drop(state);
            match error.class() {
                ErrorClass::InUse | ErrorClass::Exhausted if leaving => self.reaper.wait_idle(),
                ErrorClass::Unavailable => thread::sleep(Duration::from_millis(20)),
                _ => return Err(error),
            }
        }
    }

    /// Puts the records of endpoints back to what they were.
    fn undo_endpoints(&self, records: &[EndpointRecord], previous: Vec<Option<EndpointRecord>>) {
        let mut state = self.write();
        let mut changes = Vec::new();
        for (record, previous) in records.iter().zip(previous) {
            state.remove_endpoint(record.id);
            match previous {
                Some(previous) => {
                    state.put_endpoint(previous.clone());
                    changes.push(RecordChange::PutEndpoint(previous));
                }
                None => {
                    self.release_addresses(&state, record);
                    changes.push(RecordChange::DeleteEndpoint(record.id));
                }
            }
        }
        self.make_or_owe(&changes, Durability::Process);
    }

    /// Marks endpoints as whole; their names resolve from here on.
    fn finish_endpoints(&self, sandbox: SandboxId, ids: &[EndpointId]) -> Result<()> {
        let mut state = self.write();
        let ready: Vec<EndpointRecord> =
            ids.iter().filter_map(|id| state.set_endpoint_phase(*id, Phase::Ready)).collect();
        let mut changes: Vec<RecordChange> = ready.into_iter().map(RecordChange::PutEndpoint).collect();
        if let Some(record) = state.sandboxes.get_mut(&sandbox)
            && record.phase == Phase::Creating
        {
            record.phase = Phase::Ready;
            changes.push(RecordChange::PutSandbox(record.clone()));
        }
        self.commit(&changes)?;
        for id in ids {
            state.publish_names(*id);
        }
        Ok(())
    }

    /// Tells neighbours, clients and listeners of an endpoint that has joined.
    fn endpoint_joined(&self, id: EndpointId) {
        let state = self.read();
        let Some(endpoint) = state.endpoints.get(&id).cloned() else { return };
        let Some(sandbox) = endpoint.sandbox.and_then(|sandbox| state.sandboxes.get(&sandbox)).cloned() else { return };
        let Some(network) = state.networks.get(&endpoint.network).cloned() else { return };
        drop(state);
        if let Some(announcement) = self.announcement(id) {
            self.reaper.announce(announcement);
        }
        self.emit_connection(EventAction::Connect, &network, sandbox.id);
    }

    pub(super) fn emit_connection(&self, action: EventAction, network: &NetworkRecord, sandbox: SandboxId) {
        self.emit(
            EventSubject::Network,
            action,
            network.id.to_string(),
            [
                ("name", network.name().to_string()),
                ("type", network.spec.driver.clone()),
                ("container", sandbox.to_string()),
            ],
        );
    }

    /// Brings everything that follows from the set of endpoints up to date.
    pub(super) fn endpoints_changed(&self, id: SandboxId) {
        let state = self.read();
        let Some(sandbox) = state.sandboxes.get(&id) else { return };
        if let Err(error) = files::write(&self.config, sandbox, state.joined(id)) {
            tracing::warn!(%error, sandbox = %id, "could not write its files");
        }
        let policy = self.forward_policy(&state, id);
        let bindings = sandbox.bindings.clone();
        drop(state);
        self.resolver.update(id, policy);
        self.flush_flows(&bindings);
    }

    /// Has tracked connections to published ports forgotten: they lead where the port led before.
    pub(super) fn flush_flows(&self, bindings: &[linkspan_model::PortBinding]) {
        let mut flows: Vec<Flow> = Vec::new();
        for binding in bindings {
            let ports = binding.host;
            // Neighbouring ports are one flow, so that a thousand of them are one look at the table.
            if let Some(last) = flows.last_mut()
                && (last.protocol, last.address) == (binding.protocol, binding.host_ip)
                && u32::from(last.ports.last) + 1 == u32::from(ports.first)
            {
                last.ports = PortRange { first: last.ports.first, last: ports.last };
                continue;
            }
            let address = binding.host_ip.filter(|ip| !ip.is_unspecified());
            flows.push(Flow { protocol: binding.protocol, address, ports });
        }
        self.reaper.flush(flows);
    }

    /// Takes an endpoint off its sandbox. What the caller waits for: names withdrawn, ports
    /// unpublished, addresses and routes gone, the port closed. What happens behind the answer:
    /// the link is deleted, and the addresses are given back unless the endpoint is to be kept.
    pub(super) fn detach(&self, sandbox: SandboxId, endpoint: EndpointId, keep: bool) -> Result<()> {
        let (record, before, after, network, direct) = {
            let mut state = self.write();
            let record = state.endpoints.get(&endpoint).filter(|record| record.phase == Phase::Ready).cloned();
            let Some(record) = record else {
                return Err(Error::not_found(format!("endpoint {} has gone", endpoint.short())));
            };
            let before = self.desired(&state).sandbox(sandbox)?;
            let direct = self.direct_flows(&state, &record);
            state.withdraw_names(endpoint);
            let removing = EndpointRecord { phase: Phase::Removing, keep, ..record.clone() };
            state.put_phase(&removing);
            let after = self
                .commit(&[RecordChange::PutEndpoint(removing)])
                .and_then(|()| self.desired(&state).sandbox(sandbox));
            match after {
                Ok(after) => {
                    let network = state.networks.get(&record.network).cloned();
                    (record, before, after, network, direct)
                }
                Err(error) => {
                    state.set_endpoint_phase(endpoint, Phase::Ready);
                    state.publish_names(endpoint);
                    return Err(error);
                }
            }
        };
        if keep {
            self.keep_leases(&record)
        } else {
            self.give_back(&record)
        }
        // Removal goes on whatever the kernel says: the reaper deletes the link itself.
        self.apply_anyway(&before, &after, &format_args!("endpoint {}", endpoint.short()));
        self.endpoints_changed(sandbox);
        self.reaper.flush(direct);
        self.reaper.take([endpoint]);
        if let Some(network) = network {
            self.emit_connection(EventAction::Disconnect, &network, sandbox);
        }
        Ok(())
    }

    /// Links of this sandbox that wait for deletion still hold their names inside.
    fn wait_for_links_of(&self, id: SandboxId) {
        if self.read().endpoints_of(id).any(|endpoint| endpoint.phase == Phase::Removing) {
            self.reaper.wait_idle();
        }
    }
}
