use super::{ANYBODY_V4, ANYBODY_V6, From, Member, Scene, Trace};
use crate::{
    Controller, Namespace, SandboxRecord,
    explanation::{Audience, Exposure, ExposureRow, StepKind, Verdict},
};
use linkspan_kernel::{Decision, Kernel, Place, Way};
use linkspan_model::{Family, PortBinding, Protocol, Result};
use std::net::IpAddr;

/// A port that stands for all that are not published: nobody is told to publish it (discard, RFC 863).
const ANY_PORT: u16 = 9;

/// What stands for an interface of the host where it has no default route.
const NO_LINK: &str = "outside";

impl Controller {
    /// What of the sandboxes that `references` mean, or of all, can be reached by whom, and by which rule: as the
    /// rules of the kernel are.
    ///
    /// # Errors
    /// `NotFound` where there is no such sandbox; `Unsupported` of a kernel in memory.
    pub fn exposure(&self, references: &[String]) -> Result<Vec<Exposure>> {
        let wanted = {
            let state = self.read();
            let found = references.iter().map(|reference| state.ready_sandbox(reference).map(|sandbox| sandbox.id));
            found.collect::<Result<Vec<_>>>()?
        };
        let scene = self.scene()?;
        let mut sandboxes: Vec<&SandboxRecord> =
            scene.sandboxes.values().filter(|sandbox| references.is_empty() || wanted.contains(&sandbox.id)).collect();
        sandboxes.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        let looker = Looker { kernel: self.kernel.as_ref(), scene: &scene };
        sandboxes.into_iter().map(|sandbox| looker.exposure(sandbox)).collect()
    }
}

struct Looker<'a> {
    kernel: &'a dyn Kernel,
    scene: &'a Scene,
}

/// How a trial ended, and who decided.
struct Trial {
    open: bool,
    by: Option<Decision>,
    may_stop: Vec<Decision>,
}

impl Looker<'_> {
    fn exposure(&self, sandbox: &SandboxRecord) -> Result<Exposure> {
        let mut exposure = Exposure {
            sandbox: sandbox.name.to_string(),
            host_network: sandbox.namespace == Namespace::Host,
            rows: Vec::new(),
            differences: self.scene.differences,
        };
        if exposure.host_network {
            return Ok(exposure);
        }
        for binding in &sandbox.bindings {
            self.published(sandbox, binding, &mut exposure.rows)?;
        }
        for member in self.scene.of(sandbox.id) {
            for address in member.endpoint.addresses().map(|net| net.addr()) {
                self.direct(sandbox, member, address, &mut exposure.rows)?;
            }
        }
        Ok(exposure)
    }

    /// Who reaches a published port at the host's addresses.
    fn published(&self, sandbox: &SandboxRecord, binding: &PortBinding, rows: &mut Vec<ExposureRow>) -> Result<()> {
        let families = match binding.host_ip {
            Some(address) => vec![Family::of(address)],
            None => Family::BOTH.to_vec(),
        };
        for family in families {
            if self.scene.of(sandbox.id).all(|member| member.endpoint.address(family).is_none()) {
                continue;
            }
            let port = (binding.protocol, binding.host.first);
            let at = match (binding.host_ip, family) {
                (Some(IpAddr::V6(address)), _) => format!("[{address}]:{}/{}", binding.host, binding.protocol),
                (Some(address), _) => format!("{address}:{}/{}", binding.host, binding.protocol),
                (None, Family::V4) => format!("0.0.0.0:{}/{}", binding.host, binding.protocol),
                (None, Family::V6) => format!("[::]:{}/{}", binding.host, binding.protocol),
            };
            // "Any address" is tried at the one that a neighbour would use, or at the loopback where there is none.
            let address = match binding.host_ip {
                Some(address) => address,
                None => self.host_address(family)?,
            };
            let trials = [
                (Audience::Outside, self.entering(None, address, port)?),
                (Audience::OtherNetworks, self.of_other_networks(sandbox, address, port)?),
                (Audience::Host, Some(self.sent_by_host(address, port)?)),
            ];
            let last = binding.sandbox + (binding.host.last - binding.host.first);
            let ports = if last == binding.sandbox { last.to_string() } else { format!("{}-{last}", binding.sandbox) };
            rows.push(row(trials, at, Some(ports), binding.host.count()));
        }
        Ok(())
    }

    /// Who reaches an address of the sandbox itself: a port that is not published, and those that are.
    fn direct(
        &self,
        sandbox: &SandboxRecord,
        member: &Member,
        address: IpAddr,
        rows: &mut Vec<ExposureRow>,
    ) -> Result<()> {
        let members = Trial { open: !self.scene.is_isolated(member), by: None, may_stop: Vec::new() };
        let any = (Protocol::Tcp, ANY_PORT);
        // On a wire whoever is there reaches it, by no rule of this host.
        let outside = match member.wire {
            Some(_) => Some(Trial { open: true, by: None, may_stop: Vec::new() }),
            None => self.entering(None, address, any)?,
        };
        let trials = [
            (Audience::Members(self.scene.network_name(member)), Some(members)),
            (Audience::Host, Some(self.sent_by_host(address, any)?)),
            (Audience::OtherNetworks, self.of_other_networks(sandbox, address, any)?),
            (Audience::Outside, outside),
        ];
        rows.push(row(trials, address.to_string(), None, 0));
        for binding in &sandbox.bindings {
            let port = (binding.protocol, binding.sandbox);
            let trials = [
                (Audience::OtherNetworks, self.of_other_networks(sandbox, address, port)?),
                (Audience::Outside, self.entering(None, address, port)?),
            ];
            if trials.iter().any(|(_, trial)| trial.as_ref().is_some_and(|trial| trial.open)) {
                let at = format!("{address} port {}/{}", binding.sandbox, binding.protocol);
                rows.push(row(trials, at, Some(binding.sandbox.to_string()), binding.host.count()));
            }
        }
        Ok(())
    }

    fn anybody(family: Family) -> IpAddr {
        if family == Family::V4 { ANYBODY_V4.into() } else { ANYBODY_V6.into() }
    }

    fn inspect(&self) -> Result<&dyn linkspan_kernel::Inspect> {
        self.kernel.inspect().ok_or_else(|| linkspan_model::Error::unsupported("this kernel cannot be looked into"))
    }

    fn host_address(&self, family: Family) -> Result<IpAddr> {
        let source = match self.inspect()?.route_to(&Place::Host, Self::anybody(family), None)? {
            Way::Out { source, .. } => source,
            _ => None,
        };
        let loopback = match family {
            Family::V4 => std::net::Ipv4Addr::LOCALHOST.into(),
            Family::V6 => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        Ok(source.unwrap_or(loopback))
    }

    fn sent_by_host(&self, address: IpAddr, port: (Protocol, u16)) -> Result<Trial> {
        let trace = Trace::run(self.kernel, self.scene, &From::Host(None), address, Some(port), Vec::new())?;
        Ok(trial(trace))
    }

    /// A packet that comes into the host by `link`, or where the default route leads.
    fn entering(&self, link: Option<&str>, address: IpAddr, port: (Protocol, u16)) -> Result<Option<Trial>> {
        let found;
        let link = match link {
            Some(link) => link,
            None => {
                let anybody = Self::anybody(Family::of(address));
                found = match self.inspect()?.route_to(&Place::Host, anybody, None)? {
                    Way::Out { link, .. } => link,
                    _ => NO_LINK.to_owned(),
                };
                &found
            }
        };
        Trace::entering(self.kernel, self.scene, link, address, port).map(|trace| Some(trial(trace)))
    }

    /// The same by the bridge of a network that the sandbox is not on and that has a way out; none where there is none.
    fn of_other_networks(
        &self,
        sandbox: &SandboxRecord,
        address: IpAddr,
        port: (Protocol, u16),
    ) -> Result<Option<Trial>> {
        let own =
            |member: &&Member| !self.scene.of(sandbox.id).any(|own| own.endpoint.network == member.endpoint.network);
        let has_way_out =
            |member: &&Member| self.scene.networks.get(&member.endpoint.network).is_some_and(|n| !n.spec.internal);
        let other =
            self.scene.members.iter().filter(own).filter(has_way_out).find_map(|member| member.bridge.as_deref());
        other.map_or(Ok(None), |link| self.entering(Some(link), address, port))
    }
}

/// A packet that is answered where nobody listens is not exposed, nor is one that the host itself gets.
fn trial(trace: Trace<'_>) -> Trial {
    let published = trace.steps.iter().find(|step| step.kind == StepKind::Published).and_then(|step| step.by.clone());
    let decided = trace.steps.iter().rev().find(|step| step.kind == StepKind::Rules).and_then(|step| step.by.clone());
    Trial {
        open: trace.verdict == Verdict::Reached && trace.member.is_some(),
        by: published.filter(|_| trace.verdict == Verdict::Reached).or(decided),
        may_stop: trace.may_stop,
    }
}

fn row<const N: usize>(
    trials: [(Audience, Option<Trial>); N],
    at: String,
    ports: Option<String>,
    count: u32,
) -> ExposureRow {
    let mut row = ExposureRow {
        open_to: Vec::new(),
        closed_to: Vec::new(),
        at,
        ports,
        count,
        open_by: None,
        closed_by: None,
        may_stop: Vec::new(),
    };
    for (audience, trial) in trials {
        let Some(trial) = trial else { continue };
        if trial.open {
            row.open_to.push(audience);
            row.open_by = row.open_by.or(trial.by);
        } else {
            row.closed_to.push(audience);
            row.closed_by = row.closed_by.or(trial.by);
        }
        row.may_stop.extend(trial.may_stop);
    }
    row.may_stop.sort();
    row.may_stop.dedup();
    row
}
