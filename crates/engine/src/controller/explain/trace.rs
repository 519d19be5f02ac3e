use super::{ANYBODY_V4, ANYBODY_V6, From, Scene, scene::Member};
use crate::explanation::{Step, StepKind, Verdict};
use linkspan_kernel::{Decision, Hook, Inspect, Kernel, Origin, Packet, Passed, Place, Way};
use linkspan_model::{Error, PortRange, Protocol, Result, SandboxId};
use std::net::IpAddr;

/// A packet on its way, and what was decided of it.
pub(in super::super) struct Trace<'a> {
    kernel: &'a dyn Inspect,
    host: &'a dyn Kernel,
    scene: &'a Scene,
    packet: Packet,
    protocol: Option<Protocol>,
    /// Whose packet it is, where a sandbox of ours sends it.
    sender: Option<Member>,
    /// Another source address was given to it on the way.
    disguised: bool,
    mtu: Option<(u32, String)>,
    pub(in super::super) source: Option<IpAddr>,
    pub(in super::super) steps: Vec<Step>,
    pub(in super::super) may_stop: Vec<Decision>,
    pub(in super::super) verdict: Verdict,
    pub(in super::super) reason: String,
    /// Who gets it in the end.
    pub(in super::super) member: Option<Member>,
}

/// Why nobody takes a packet from or to `::1` that did not stay within a host.
const LOOPBACK_ON_A_WIRE: &str = "no kernel takes a packet from or to ::1 that comes in by another interface than lo";

/// An address that means something on a link only.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// How a way ends early.
type Ended = Option<()>;

impl<'a> Trace<'a> {
    fn new(
        host: &'a dyn Kernel,
        scene: &'a Scene,
        source: Option<IpAddr>,
        destination: IpAddr,
        port: Option<(Protocol, u16)>,
        steps: Vec<Step>,
    ) -> Result<Self> {
        let kernel = host.inspect().ok_or_else(|| Error::unsupported("this kernel cannot be looked into"))?;
        let echo = if destination.is_ipv4() { 1 } else { 58 };
        let packet = Packet {
            incoming: None,
            slave: None,
            outgoing: None,
            mac: None,
            source,
            destination,
            protocol: port.map_or(echo, |(protocol, _)| protocol.number()),
            port: port.map(|(_, port)| port),
            local: false,
            translated: false,
        };
        Ok(Self {
            kernel,
            host,
            scene,
            packet,
            protocol: port.map(|(protocol, _)| protocol),
            sender: None,
            disguised: false,
            mtu: None,
            source: None,
            steps,
            may_stop: Vec::new(),
            verdict: Verdict::Reached,
            reason: String::new(),
            member: None,
        })
    }

    /// Follows a packet of anybody's that comes into the host by `link`.
    pub(in super::super) fn entering(
        host: &'a dyn Kernel,
        scene: &'a Scene,
        link: &str,
        destination: IpAddr,
        port: (Protocol, u16),
    ) -> Result<Self> {
        let mut trace = Self::new(host, scene, None, destination, Some(port), Vec::new())?;
        trace.packet.incoming = Some(link.to_owned());
        let _ended = trace.enter_host()?;
        Ok(trace)
    }

    /// Follows a packet from `from` to `destination`.
    pub(in super::super) fn run(
        host: &'a dyn Kernel,
        scene: &'a Scene,
        from: &From,
        destination: IpAddr,
        port: Option<(Protocol, u16)>,
        steps: Vec<Step>,
    ) -> Result<Self> {
        let mut trace = Self::new(host, scene, from.source(), destination, port, steps)?;
        let _ended = match from {
            From::Sandbox { record, .. } => trace.sent_by_sandbox(&record.namespace.place(), record.id)?,
            From::Host(_) => trace.sent_by_host()?,
            From::Outside(address) => trace.sent_from_outside(*address)?,
        };
        if let Some((mtu, link)) = trace.mtu.take().filter(|_| trace.verdict == Verdict::Reached) {
            trace.say(StepKind::Mtu, format!("packets of up to {mtu} bytes pass ({link})"), None);
        }
        Ok(trace)
    }

    fn say(&mut self, kind: StepKind, text: String, by: Option<Decision>) {
        self.steps.push(Step { kind, text, by });
    }

    fn end(&mut self, verdict: Verdict, reason: String) -> Ended {
        (self.verdict, self.reason) = (verdict, reason);
        None
    }

    fn limit(&mut self, mtu: u32, link: &str) {
        if self.mtu.as_ref().is_none_or(|(least, _)| mtu < *least) {
            self.mtu = Some((mtu, link.to_owned()));
        }
    }

    fn sent_by_sandbox(&mut self, place: &Place, sandbox: SandboxId) -> Result<Ended> {
        if *place == Place::Host {
            return self.sent_by_host();
        }
        let destination = self.packet.destination;
        let origin = self.packet.source.map(|source| Origin { link: None, source });
        let (link, gateway, source, mtu) = match self.kernel.route_to(place, destination, origin)? {
            Way::Local => return Ok(self.end(Verdict::Reached, format!("{destination} is its own address"))),
            Way::Nowhere(why) => {
                self.say(StepKind::Route, format!("no route to {destination}: {why}"), None);
                return Ok(self.end(Verdict::Unroutable, format!("it has no route to {destination}")));
            }
            Way::Out { link, gateway, source, mtu } => (link, gateway, source, mtu),
        };
        let source = self.packet.source.or(source);
        self.packet.source = source;
        self.source = source;
        self.limit(mtu, &format!("{link} inside"));
        let via = gateway.map_or_else(String::new, |gateway| format!(" by {gateway}"));
        let from = source.map_or_else(String::new, |source| format!(", from {source}"));
        self.say(StepKind::Route, format!("leaves by {link}{via}{from}"), None);
        let inside = self.scene.rules_inside(self.kernel, sandbox)?;
        self.packet.outgoing = Some(link.clone());
        let passed = inside.pass(Hook::Output, &self.packet, false);
        if self.took(passed, "leaving the sandbox").is_none() {
            return Ok(None);
        }
        let scene = self.scene;
        let Some(member) = scene.of(sandbox).find(|member| member.endpoint.interface.as_deref() == Some(&link)) else {
            return Ok(self.end(Verdict::Reached, format!("it leaves by {link}, which is none of linkspan's")));
        };
        let (Some(port), Some(bridge)) = (member.host_link.clone(), member.bridge.clone()) else {
            return Ok(self.end(Verdict::Reached, format!("it leaves by {link}")));
        };
        self.sender = Some(member.clone());
        self.packet.outgoing = None;
        self.packet.incoming = Some(port.clone());
        self.packet.mac = Some(member.endpoint.mac);
        let passed = scene.rules.pass(Hook::Prerouting, &self.packet, true);
        let allowed = passed.accepted.clone();
        if self.took(passed, "entering the bridge").is_none() {
            return Ok(None);
        }
        if allowed.is_some() {
            self.say(StepKind::Antispoof, format!("its port {port} may send from its own addresses"), allowed);
        }
        let next = gateway.unwrap_or(destination);
        if scene.is_gateway(member.endpoint.network, next) || self.is_the_hosts_end(next, &bridge)? {
            self.packet.incoming = Some(bridge);
            return self.enter_host();
        }
        let Some(target) = scene.holder(next, Some(&bridge)) else {
            let network = scene.network_name(member);
            return Ok(self.end(Verdict::Unroutable, format!("nobody on network {network} has {next}")));
        };
        if scene.is_isolated(member) && scene.is_isolated(target) {
            self.say(
                StepKind::Bridge,
                "both ports are isolated: members do not reach each other (icc=false)".to_owned(),
                None,
            );
            return Ok(
                self.end(Verdict::Stopped, format!("network {} keeps its members apart", scene.network_name(member)))
            );
        }
        self.say(StepKind::Bridge, format!("bridge {bridge} hands it to the port of {}", scene.name(target)), None);
        self.packet.outgoing = target.host_link.clone();
        for hook in [Hook::Forward, Hook::Postrouting] {
            let passed = scene.rules.pass(hook, &self.packet, true);
            if self.took(passed, "crossing the bridge").is_none() {
                return Ok(None);
            }
        }
        if gateway.is_some() {
            return Ok(self.end(Verdict::Stopped, format!("{} is no router of linkspan's", scene.name(target))));
        }
        self.deliver(target)
    }

    /// A packet of the host's own.
    fn sent_by_host(&mut self) -> Result<Ended> {
        let scene = self.scene;
        self.packet.local = matches!(self.way(self.own())?, Way::Local);
        if let Way::Out { link, source, .. } = self.way(self.own())? {
            self.packet.outgoing = Some(link);
            self.packet.source = self.packet.source.or(source);
        } else if self.packet.local {
            self.packet.outgoing = Some("lo".to_owned());
            self.packet.source = self.packet.source.or(Some(self.packet.destination));
        }
        self.source = self.packet.source;
        let passed = scene.rules.pass(Hook::Output, &self.packet, false);
        if self.took(passed, "leaving the host").is_none() {
            return Ok(None);
        }
        match self.way(self.own())? {
            Way::Local => {
                self.packet.incoming = Some("lo".to_owned());
                self.enter_programs()
            }
            way => self.onward(way),
        }
    }

    /// A packet of a neighbour that sends it to the host.
    fn sent_from_outside(&mut self, address: Option<IpAddr>) -> Result<Ended> {
        let v4 = self.packet.destination.is_ipv4();
        let anybody = if v4 { IpAddr::from(ANYBODY_V4) } else { ANYBODY_V6.into() };
        let source = address.unwrap_or(anybody);
        if source.is_ipv4() != v4 {
            return Err(
                Error::invalid("source and destination are of different IP versions").fix("choose one with -4 or -6")
            );
        }
        let Way::Out { link, mtu, .. } = self.kernel.route_to(&Place::Host, source, None)? else {
            return Err(Error::not_found(format!(
                "the host has no route to {source}, so that nothing comes from there"
            ))
            .fix("give the address of a neighbour"));
        };
        self.limit(mtu, &link);
        self.packet.source = Some(source);
        self.source = address;
        self.say(
            StepKind::Route,
            format!("comes in by {link} of the host, from a neighbour that sends it there"),
            None,
        );
        self.packet.incoming = Some(link);
        self.enter_host()
    }

    /// Comes into the host.
    fn enter_host(&mut self) -> Result<Ended> {
        let scene = self.scene;
        let v6_loopback = |address: IpAddr| address.is_ipv6() && address.is_loopback();
        if v6_loopback(self.packet.destination) || self.packet.source.is_some_and(v6_loopback) {
            return Ok(self.end(Verdict::Stopped, LOOPBACK_ON_A_WIRE.to_owned()));
        }
        self.packet.outgoing = None;
        self.packet.local = matches!(self.way(self.of_its_link())?, Way::Local);
        let passed = scene.rules.pass(Hook::Prerouting, &self.packet, false);
        if self.took(passed, "entering the host").is_none() {
            return Ok(None);
        }
        if let Some(link) = self.packet.incoming.clone()
            && let Some(vrf) = self.kernel.vrf_of(&Place::Host, &link)?
        {
            self.say(StepKind::Route, format!("{link} is in VRF {vrf}, whose routes hold"), None);
            self.packet.incoming = Some(vrf);
            self.packet.slave = Some(link);
        }
        if matches!(self.way(self.of_its_link())?, Way::Local) {
            return self.enter_programs();
        }
        let way = match (self.packet.incoming.clone(), self.packet.source) {
            (Some(link), Some(source)) => self.way(Some(Origin { link: Some(&link), source }))?,
            _ => self.way(None)?,
        };
        self.onward(way)
    }

    fn way(&self, from: Option<Origin<'_>>) -> Result<Way> {
        self.kernel.route_to(&Place::Host, self.packet.destination, from)
    }

    /// Whether `next` is the link-local address of a bridge.
    fn is_the_hosts_end(&self, next: IpAddr, bridge: &str) -> Result<bool> {
        let Some(source) = self.packet.source.filter(|_| is_link_local(next)) else { return Ok(false) };
        let origin = Origin { link: Some(bridge), source };
        Ok(matches!(self.kernel.route_to(&Place::Host, next, Some(origin))?, Way::Local))
    }

    /// The origin of a packet that came in, where its destination says nothing without its link.
    fn of_its_link(&self) -> Option<Origin<'_>> {
        let link = self.packet.incoming.as_deref().filter(|_| is_link_local(self.packet.destination));
        link.zip(self.packet.source).map(|(link, source)| Origin { link: Some(link), source })
    }

    /// The origin of a packet of the host's own: what sends from the loopback gets out by few interfaces.
    fn own(&self) -> Option<Origin<'static>> {
        self.packet.source.map(|source| Origin { link: None, source })
    }

    /// To the host itself.
    fn enter_programs(&mut self) -> Result<Ended> {
        let scene = self.scene;
        self.packet.outgoing = None;
        let destination = self.packet.destination;
        if destination.is_loopback() && self.packet.incoming.as_deref() != Some("lo") {
            return Ok(self.end(Verdict::Stopped, "the host's loopback is closed to others".to_owned()));
        }
        let passed = scene.rules.pass(Hook::Input, &self.packet, false);
        let copied = passed.copied.clone();
        if self.took(passed, "entering programs of the host").is_none() {
            return Ok(None);
        }
        if let Some((next_hop, by)) = copied {
            let exit = match self.kernel.route_to(&Place::Host, next_hop, None)? {
                Way::Out { link, .. } => scene.peer(&link),
                _ => None,
            };
            let Some(exit) = exit else {
                return Ok(self.end(Verdict::Unroutable, format!("no pair of links is at {next_hop}")));
            };
            self.say(StepKind::Rules, format!("let through to {exit}, to be led on"), Some(by));
            self.packet.incoming = Some(exit);
            return self.enter_host();
        }
        if let (Some(protocol), Some(port)) = (self.protocol, self.packet.port) {
            let taken = self.host.check_ports_free(Some(destination), protocol, PortRange::one(port));
            return Ok(match taken {
                Ok(()) => self.end(
                    Verdict::Refused,
                    format!(
                        "{destination} is the host itself, where nothing is published or listens at {port}/{protocol}"
                    ),
                ),
                Err(error) => {
                    let holder = error.holder().map_or_else(String::new, |holder| format!(" ({holder})"));
                    self.end(
                        Verdict::Reached,
                        format!("a program of the host listens at {destination} port {port}{holder}"),
                    )
                }
            });
        }
        Ok(self.end(Verdict::Reached, format!("{destination} is the host itself")))
    }

    /// Out of the host by `way`.
    fn onward(&mut self, way: Way) -> Result<Ended> {
        let scene = self.scene;
        let destination = self.packet.destination;
        let (link, gateway, mtu) = match way {
            Way::Out { link, gateway, mtu, .. } => (link, gateway, mtu),
            Way::Local => return self.enter_programs(),
            Way::Nowhere(why) => {
                self.say(StepKind::Route, format!("the host does not pass it on to {destination}: {why}"), None);
                return Ok(
                    self.end(Verdict::Unroutable, format!("the host does not pass it on to {destination}: {why}"))
                );
            }
        };
        self.limit(mtu, &link);
        let via = gateway.map_or_else(String::new, |gateway| format!(" by {gateway}"));
        self.say(StepKind::Route, format!("the host sends it out by {link}{via}"), None);
        self.packet.outgoing = Some(link.clone());
        if self.packet.incoming.is_some() {
            let passed = scene.rules.pass(Hook::Forward, &self.packet, false);
            if self.took(passed, "passing through the host").is_none() {
                return Ok(None);
            }
        }
        let passed = scene.rules.pass(Hook::Postrouting, &self.packet, false);
        if self.took(passed, "leaving the host").is_none() {
            return Ok(None);
        }
        if self.packet.source.is_some_and(|source| source.is_ipv6() && source.is_loopback()) && !self.disguised {
            return Ok(self.end(Verdict::Stopped, LOOPBACK_ON_A_WIRE.to_owned()));
        }
        if let Some(astray) = scene.bridged_holder(destination).filter(|member| member.bridge.as_ref() != Some(&link)) {
            let (name, bridge) = (scene.name(astray), astray.bridge.as_deref().unwrap_or_default());
            let text =
                format!("{name} has {destination}, but no route of the host leads to {bridge}: it goes out by {link}");
            return Ok(self.end(Verdict::Unroutable, text));
        }
        let next = gateway.unwrap_or(destination);
        match scene.holder(next, Some(&link)) {
            Some(target) if self.stays_on_bridge(target) => {
                let text = "br_netfilter translates within the bridge, whose ports are isolated (icc=false)".to_owned();
                self.say(StepKind::Bridge, text.clone(), None);
                Ok(self.end(Verdict::Stopped, text))
            }
            Some(target) => self.deliver(target),
            None if scene.members.iter().any(|member| member.bridge.as_deref() == Some(&link)) => {
                Ok(self.end(Verdict::Unroutable, format!("nobody behind {link} has {next}")))
            }
            None => Ok(self.end(Verdict::Reached, format!("it leaves the host by {link}{via}"))),
        }
    }

    /// Whether the kernel hands a translated packet on within the bridge that it came from, between isolated ports.
    fn stays_on_bridge(&self, target: &Member) -> bool {
        let Some(sender) = self.sender.as_ref().filter(|_| self.packet.translated) else { return false };
        let setting = if self.packet.destination.is_ipv4() { "iptables" } else { "ip6tables" };
        let path = format!("net/bridge/bridge-nf-call-{setting}");
        sender.bridge == target.bridge
            && self.scene.is_isolated(sender)
            && self.scene.is_isolated(target)
            && self.host.read_sysctl(&Place::Host, &path).is_ok_and(|value| value.trim() == "1")
    }

    /// Into a sandbox.
    fn deliver(&mut self, target: &Member) -> Result<Ended> {
        let scene = self.scene;
        let Some(sandbox) = scene.sandboxes.get(&target.sandbox) else { return Ok(None) };
        self.packet.incoming = target.endpoint.interface.clone();
        self.packet.slave = None;
        self.packet.outgoing = None;
        let inside = scene.rules_inside(self.kernel, sandbox.id)?;
        let passed = inside.pass(Hook::Input, &self.packet, false);
        if self.took(passed, "entering the sandbox").is_none() {
            return Ok(None);
        }
        self.member = Some(target.clone());
        let interface = target.endpoint.interface.as_deref().unwrap_or_default();
        let port = self.packet.port.map_or_else(String::new, |port| format!(" port {port}"));
        Ok(self.end(
            Verdict::Reached,
            format!("it arrives in sandbox {} at {}{port} ({interface})", sandbox.name, self.packet.destination),
        ))
    }

    /// Takes note of what a hook did; none where it ends there.
    fn took(&mut self, passed: Passed, doing: &str) -> Option<()> {
        self.may_stop.extend(passed.may_stop);
        if let Some(by) = passed.stopped {
            self.reason = format!("{by} stops it {doing}");
            self.say(StepKind::Rules, format!("stopped {doing}"), Some(by));
            self.verdict = Verdict::Stopped;
            return None;
        }
        if let Some((address, port, by)) = passed.translated {
            let to =
                port.or(self.packet.port).map_or_else(|| address.to_string(), |port| format!("{address} port {port}"));
            self.say(StepKind::Published, format!("a published port: led to {to}"), Some(by));
            self.packet.destination = address;
            self.packet.port = port.or(self.packet.port);
            self.packet.translated = true;
            self.packet.local = false;
        } else if let Some(by) = passed.accepted.filter(|_| doing.starts_with("passing")) {
            self.say(StepKind::Rules, format!("let through {doing}"), Some(by));
        }
        if let Some(by) = passed.source_changed {
            self.disguised = true;
            self.say(StepKind::Source, "gets the host's address as its source".to_owned(), Some(by));
        }
        Some(())
    }
}
