//! Serves `web1.net` to `web100.net` on a port of 127.0.0.11 until its input ends, for measurements:
//!
//! ```sh
//! cargo run --release -p linkspan-dns --example names
//! for i in $(seq 100); do echo "web$i.net A"; done > /tmp/queries
//! dnsperf -s 127.0.0.11 -p PORT -d /tmp/queries -l 10 -T 1 -c 1
//! ```
//!
//! An argument `IP:PORT` is the server that other names are forwarded to.

#![allow(clippy::print_stdout, reason = "a program for people")]

use linkspan_dns::{Directory, DnsConfig, DnsServer, Knowledge, Question, Upstreams};
use linkspan_model::{Family, SandboxId};
use std::{collections::HashMap, error::Error, io, net::IpAddr, sync::Arc};

struct Names(HashMap<String, IpAddr>);

impl Directory for Names {
    fn look_up(&self, _: SandboxId, question: Question<'_>) -> Knowledge {
        match question {
            Question::Address { name, family } => match self.0.get(name) {
                Some(&ip) if Family::of(ip) == family => Knowledge::Addresses(vec![ip]),
                Some(_) => Knowledge::NoData,
                None => Knowledge::NotOurs,
            },
            _ => Knowledge::NotOurs,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let names = (1..=100).map(|i| (format!("web{i}.net"), IpAddr::from([172, 18, 0, i]))).collect();
    let names = Arc::new(Names(names));
    let server = DnsServer::start(DnsConfig::default(), runtime.handle().clone());
    server.attach(&names);
    let upstreams = match std::env::args().nth(1) {
        Some(server) => Upstreams::Servers(vec![server.parse()?]),
        None => Upstreams::Nobody,
    };
    println!("{}", server.serve(SandboxId::random(), None, None, upstreams)?);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    println!("{:?}", server.stats());
    Ok(())
}
