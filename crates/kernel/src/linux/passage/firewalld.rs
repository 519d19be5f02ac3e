//! firewalld, whose table `inet firewalld` rejects what belongs to no zone that lets it pass. It rewrites its rules whenever it
//! likes and takes no others among them, so that it is asked by D-Bus: an interface that nobody put into a zone is put into
//! `trusted`, until firewalld is reloaded or restarted; nothing is written to its configuration.

use super::compares;
use crabtables::{Family, MetaKey, Rule, Socket};
use linkspan_model::{Error, Result};
use rustbus::{
    MessageBuilder, MessageType, RpcConn,
    connection::{Timeout, ll_conn::force_finish_on_error},
    message_builder::{HeaderFlags, MarshalledMessage},
};
use std::time::Duration;

const TABLE: &str = "firewalld";
/// Where zones are found by interface: since firewalld 1.0, and before.
const CHAINS: [&str; 2] = ["filter_FORWARD_ZONES", "filter_FORWARD_IN_ZONES"];
const ZONE: &str = "trusted";
const BUS_NAME: &str = "org.fedoraproject.FirewallD1";
const OBJECT: &str = "/org/fedoraproject/FirewallD1";
const INTERFACE: &str = "org.fedoraproject.FirewallD1.zone";
/// It answers nobody while it reloads.
const PATIENCE: Timeout = Timeout::Duration(Duration::from_secs(5));

/// By which interfaces firewalld finds zones; none where it has no table.
pub(super) struct Zones(Option<Vec<Rule>>);

impl Zones {
    pub(super) fn read(socket: &mut Socket) -> Result<Self> {
        let failed = |error: &crabtables::Error| Error::internal(format!("table inet {TABLE}: {error}"));
        match socket.get_table(Family::Inet, TABLE) {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(Self(None)),
            Err(error) => return Err(failed(&error)),
        }
        let mut zones = Vec::new();
        for chain in CHAINS {
            match socket.list_rules(Family::Inet, Some(TABLE), Some(chain)) {
                Ok(rules) => zones.extend(rules.into_iter().filter(|rule| rule.chain == chain && rule.table == TABLE)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(Self(Some(zones)))
    }

    pub(super) fn are_there(&self) -> bool {
        self.0.is_some()
    }

    /// Whether firewalld has no zone of their own for `interfaces`. One that the administrator chose is as good as ours.
    pub(super) fn lack(&self, interfaces: &str) -> bool {
        let rules = self.0.as_ref();
        rules.is_some_and(|rules| !rules.iter().any(|rule| compares(rule, MetaKey::IifName, interfaces)))
    }
}

/// Puts `interfaces` into the zone that lets everything pass, unless they are in another.
pub(super) fn trust(interfaces: &str) -> Result<()> {
    let mut bus = Bus::open()?;
    let name = as_firewalld_has_it(interfaces);
    match bus.call("addInterface", &[ZONE, &name]) {
        Err(error) if ["ZONE_ALREADY_SET", "ZONE_CONFLICT"].iter().any(|name| error.to_string().contains(name)) => {
            Ok(())
        }
        done => done.map(drop),
    }
}

/// Takes `interfaces` out of that zone again.
pub(super) fn distrust(interfaces: &str) -> Result<()> {
    let mut bus = Bus::open()?;
    let name = as_firewalld_has_it(interfaces);
    if bus.call("getZoneOfInterface", &[&name])?.body.parser().get::<&str>().is_ok_and(|zone| zone == ZONE) {
        bus.call("removeInterface", &[ZONE, &name])?;
    }
    Ok(())
}

/// firewalld takes `+` at the end of a name for what nftables writes `*`.
fn as_firewalld_has_it(interfaces: &str) -> String {
    interfaces.replace('*', "+")
}

struct Bus(RpcConn);

impl Bus {
    fn open() -> Result<Self> {
        RpcConn::system_conn(PATIENCE).map(Self).map_err(|error| failed(&error))
    }

    fn call(&mut self, member: &str, arguments: &[&str]) -> Result<MarshalledMessage> {
        let mut call = MessageBuilder::new().call(member).with_interface(INTERFACE).on(OBJECT).at(BUS_NAME).build();
        // One that does not run is not to be started by us.
        HeaderFlags::NoAutoStart.set(&mut call.flags);
        for argument in arguments {
            call.body.push_param(*argument).map_err(|error| failed(&error))?;
        }
        let sent = self.0.send_message(&mut call).map_err(|error| failed(&error))?;
        let serial = sent.write(PATIENCE).map_err(force_finish_on_error).map_err(|error| failed(&error))?;
        let answer = self.0.wait_response(serial, PATIENCE).map_err(|error| failed(&error))?;
        if answer.typ == MessageType::Error {
            let name = answer.dynheader.error_name.clone().unwrap_or_default();
            let words = answer.body.parser().get::<&str>().unwrap_or_default().to_owned();
            return Err(failed(&format!("{name}: {words}")));
        }
        Ok(answer)
    }
}

fn failed(error: &impl std::fmt::Display) -> Error {
    Error::unavailable(format!("firewalld cannot be asked to let networks pass: {error}"))
        .fix("start firewalld and D-Bus again, or remove the table `inet firewalld`")
}
