//! Against the kernel, each test in a network namespace of its own, with `nft` as the witness.

mod cost;
mod dns;
mod packets;
mod refusals;
mod roundtrip;

use super::{apply, observe};
use crate::{Change, NftData, NftElement, NftFamily, NftField, NftTable, Place, Value};
use linkspan_model::{Protocol, Result};
use nix::sched::{CloneFlags, unshare};
use std::{
    io::Write,
    net::IpAddr,
    process::{Command, Stdio},
};

/// The ruleset of a host with bridge networks, in all its forms.
const HOST: &str = include_str!("host.nft");

/// Moves the calling thread to a new network namespace, which goes when the thread ends.
fn enter_new_netns() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
    run("ip", "link set lo up");
}

/// Runs a program in the thread's namespace and gives its output; it must succeed.
fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Feeds `text` to `nft -f -`.
fn nft(text: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft refused {text}");
}

fn table_of(body: &str) -> Value {
    Value::Table(NftTable { family: NftFamily::Inet, name: "linkspan".into(), body: body.into() })
}

fn host_table() -> Value {
    table_of(HOST)
}

fn element(set: &str, key: Vec<NftField>, data: Option<NftData>, comment: &str) -> Value {
    Value::Element(NftElement {
        family: NftFamily::Inet,
        table: "linkspan".into(),
        set: set.into(),
        key,
        data,
        comment: comment.into(),
    })
}

fn address(text: &str) -> NftField {
    NftField::Address(text.parse().unwrap())
}

fn net(text: &str) -> NftField {
    NftField::Net(text.parse().unwrap())
}

fn interface(name: &str) -> NftField {
    NftField::Interface(name.into())
}

fn tcp() -> NftField {
    NftField::Protocol(Protocol::Tcp.number())
}

/// Port `port` of `host` published to `sandbox`.
fn published(host: IpAddr, port: u16, sandbox: &str, comment: &str) -> Value {
    let data = NftData::Fields(vec![address(sandbox), NftField::Port(80)]);
    element("publish4", vec![NftField::Address(host), tcp(), NftField::Port(port)], Some(data), comment)
}

fn create(values: &[Value]) -> Result<()> {
    apply_all(values.iter().map(|value| Change::Create(Place::Host, value.clone())).collect())
}

fn delete(values: &[Value]) -> Result<()> {
    apply_all(values.iter().map(|value| Change::Delete(Place::Host, value.clone())).collect())
}

fn update(from: &Value, to: &Value) -> Result<()> {
    apply_all(vec![Change::Update { place: Place::Host, from: from.clone(), to: to.clone() }])
}

fn apply_all(changes: Vec<Change>) -> Result<()> {
    apply(&changes.iter().collect::<Vec<_>>()).map(drop)
}

fn observed(wanted: &[Value]) -> Vec<Value> {
    observe(&wanted.iter().collect::<Vec<_>>()).unwrap()
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(Value::key);
    values
}
