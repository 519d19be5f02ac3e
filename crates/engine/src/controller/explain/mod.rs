//! Whether a packet would arrive, and what decides. Routes and rules are asked of the kernel as they are, so that the
//! explanation cannot differ from what the drivers make; the records only say whose things are.

mod exposure;
mod scene;
mod target;
mod trace;

use super::Controller;
use crate::explanation::{ExplainRequest, Explanation, Verdict};
use linkspan_kernel::{Inspect, Place, Probe, ProbeResult};
use linkspan_model::{Error, Protocol, Result};
use scene::{Member, Scene};
use std::time::Duration;
use target::{From, Target};
use trace::Trace;

/// How long a probe waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// An address of nobody (RFC 5737): what stands for the outside in a look at routes.
pub(super) const ANYBODY_V4: std::net::Ipv4Addr = std::net::Ipv4Addr::new(203, 0, 113, 1);
/// The same of IPv6 (RFC 3849).
pub(super) const ANYBODY_V6: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

impl Controller {
    /// Says of each packet whether it would arrive and what decides, by one look into the kernel; nothing is changed.
    /// With a probe, a real packet is sent.
    ///
    /// # Errors
    /// `NotFound` where `from` or `to` is nothing that is known; `Invalid` where a probe from outside is asked for;
    /// `Unsupported` of a kernel in memory.
    pub fn explain(&self, requests: &[ExplainRequest]) -> Result<Vec<Explanation>> {
        let scene = self.scene()?;
        requests.iter().map(|request| self.explain_in(&scene, request)).collect()
    }

    fn explain_in(&self, scene: &Scene, request: &ExplainRequest) -> Result<Explanation> {
        let kernel = self.inspect()?;
        let from = From::read(kernel, scene, &request.from)?;
        if request.probe && matches!(from, From::Outside(_)) {
            return Err(Error::invalid("a probe cannot be sent from outside")
                .fix("leave --probe out, or try it from a machine there"));
        }
        let mut steps = Vec::new();
        let target = Target::find(self, kernel, scene, &from, request, &mut steps)?;
        let port = request.port.map(|port| (request.protocol, port));
        let trace = Trace::run(self.kernel.as_ref(), scene, &from, target.address, port, steps)?;
        let mut explanation = Explanation {
            from: from.to_string(),
            to: target.name,
            source: trace.source,
            destination: target.address,
            port: request.port,
            steps: trace.steps,
            verdict: trace.verdict,
            reason: trace.reason,
            may_stop: trace.may_stop,
            differences: scene.differences,
            probe: None,
            contradicted: false,
        };
        if request.probe {
            let place = from.place();
            let probe = Probe { destination: target.address, port, source: from.source(), patience: PATIENCE };
            let result = kernel.probe(&place, &probe)?;
            explanation.probe = Some(result);
            explanation.contradicted = contradicts(explanation.verdict, result, port);
        }
        Ok(explanation)
    }

    pub(super) fn inspect(&self) -> Result<&dyn Inspect> {
        self.kernel.inspect().ok_or_else(|| Error::unsupported("this kernel cannot be looked into"))
    }
}

/// Whether what happened is not what was said. A datagram may be taken without an answer.
fn contradicts(verdict: Verdict, result: ProbeResult, port: Option<(Protocol, u16)>) -> bool {
    let arrived = matches!(result, ProbeResult::Answered | ProbeResult::Refused);
    match verdict {
        Verdict::Reached | Verdict::Refused => {
            let silent_udp = result == ProbeResult::Silence && matches!(port, Some((Protocol::Udp, _)));
            !arrived && !silent_udp
        }
        Verdict::Stopped | Verdict::Unroutable => arrived,
    }
}

impl From {
    fn place(&self) -> Place {
        match self {
            Self::Sandbox { record, .. } => record.namespace.place(),
            Self::Host(_) | Self::Outside(_) => Place::Host,
        }
    }
}
