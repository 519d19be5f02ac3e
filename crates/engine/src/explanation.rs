//! Whether and how a packet would arrive, as types for front ends.

use linkspan_kernel::{Decision, ProbeResult};
use linkspan_model::{Family, Protocol};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A question: would `from` reach `to`?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainRequest {
    /// A sandbox, an address, `host` or `outside`.
    pub from: String,
    /// The same, or any name that `from` resolves.
    pub to: String,
    /// The port; without one an ICMP echo is meant.
    #[serde(default)]
    pub port: Option<u16>,
    /// The protocol of the port.
    #[serde(default)]
    pub protocol: Protocol,
    /// The IP version, where a name has addresses of both.
    #[serde(default)]
    pub family: Option<Family>,
    /// Sends a real packet as well.
    #[serde(default)]
    pub probe: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Who asks to reach.
    pub from: String,
    /// Who is to be reached.
    pub to: String,
    /// The source address, where it is known.
    pub source: Option<IpAddr>,
    /// The destination address.
    pub destination: IpAddr,
    /// The port.
    pub port: Option<u16>,
    /// What was decided on the way, in order.
    pub steps: Vec<Step>,
    /// How it ends.
    pub verdict: Verdict,
    /// Why, in a line.
    pub reason: String,
    /// What may stop it all the same: rules that look at more than is known here.
    pub may_stop: Vec<Decision>,
    /// How many kernel objects differ from what they should be: the verdict is about what is there.
    pub differences: usize,
    /// What became of a real packet.
    pub probe: Option<ProbeResult>,
    /// The probe says otherwise than the verdict.
    pub contradicted: bool,
}

/// Something that was decided on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What decides.
    pub kind: StepKind,
    /// What is decided, for people.
    pub text: String,
    /// The rule, where one decides.
    #[serde(default)]
    pub by: Option<Decision>,
}

/// What decides on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// A name and its addresses.
    Name,
    /// A route.
    Route,
    /// What a port may send.
    Antispoof,
    /// A port of a bridge.
    Bridge,
    /// A published port.
    Published,
    /// Rules.
    Rules,
    /// The source address on the way out.
    Source,
    /// The largest packet.
    Mtu,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It arrives.
    Reached,
    /// It arrives where nobody listens.
    Refused,
    /// Something stops it.
    Stopped,
    /// It has nowhere to go.
    Unroutable,
}

/// What of a sandbox can be reached by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// The sandbox.
    pub sandbox: String,
    /// It uses the host's own network: what it listens on is the host's affair.
    pub host_network: bool,
    /// Addresses and ports.
    pub rows: Vec<ExposureRow>,
    /// How many kernel objects differ from what they should be.
    pub differences: usize,
}

/// An address, with a port or with all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposureRow {
    /// Who reaches it.
    pub open_to: Vec<Audience>,
    /// Who does not.
    pub closed_to: Vec<Audience>,
    /// Where: address, and port where one is meant.
    pub at: String,
    /// The ports of the sandbox; all that are not published where absent.
    pub ports: Option<String>,
    /// How many ports; 0 where all are meant.
    pub count: u32,
    /// What lets it pass.
    pub open_by: Option<Decision>,
    /// What stops it.
    pub closed_by: Option<Decision>,
    /// What may stop it all the same.
    pub may_stop: Vec<Decision>,
}

/// Who may reach something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Whoever sends packets to the host.
    Outside,
    /// Sandboxes of other networks with a way out.
    OtherNetworks,
    /// Programs of the host.
    Host,
    /// Members of this network.
    Members(String),
}

impl std::fmt::Display for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Outside => f.write_str("outside"),
            Self::OtherNetworks => f.write_str("other networks"),
            Self::Host => f.write_str("host"),
            Self::Members(network) => write!(f, "members of {network}"),
        }
    }
}

impl Exposure {
    /// The whole in a line.
    pub fn summary(&self) -> String {
        if self.host_network {
            return "uses the host's own network: whatever it listens on is open as the host is".to_owned();
        }
        let reaches = |row: &ExposureRow, audience: &Audience| row.open_to.contains(audience);
        // A port of both IP versions is one.
        let mut everyone = std::collections::BTreeMap::new();
        let mut host = std::collections::BTreeMap::new();
        for row in &self.rows {
            let Some(ports) = &row.ports else { continue };
            let key = (ports.clone(), row.at.rsplit(':').next().unwrap_or_default().to_owned());
            if reaches(row, &Audience::Outside) {
                everyone.insert(key, row.count);
            } else if reaches(row, &Audience::Host) {
                host.insert(key, row.count);
            }
        }
        let host: u32 = host.iter().filter(|(key, _)| !everyone.contains_key(*key)).map(|(_, count)| count).sum();
        let everyone: u32 = everyone.values().sum();
        let plural = |count: u32| if count == 1 { "port" } else { "ports" };
        let mut parts = Vec::new();
        if everyone > 0 {
            parts.push(format!("{everyone} {} open to everyone", plural(everyone)));
        }
        if host > 0 {
            parts.push(format!("{host} {} to this host only", plural(host)));
        }
        if self.rows.iter().any(|row| row.ports.is_none() && reaches(row, &Audience::Outside)) {
            parts.push("every port open to whoever routes to its address".to_owned());
        }
        if parts.is_empty() { "nothing is open beyond its networks".to_owned() } else { parts.join(", ") }
    }
}
