//! Values of flags that no type of the model reads.

use crate::program::Program;
use linkspan_model::{Error, NetworkSpec, Result};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

/// `KEY=VALUE`, or `KEY` for an empty value.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err("write KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

/// A subnet: `ADDRESS/LENGTH`.
pub(super) fn cidr(text: &str) -> Result<ipnet::IpNet, String> {
    text.parse().map_err(|_| "give an address and a prefix length such as 10.0.0.0/24".to_owned())
}

/// `NAME=ADDRESS`.
pub(super) fn named_address(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS")?;
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((name.to_owned(), address))
}

/// Where a name of `--add-host` leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostAddress {
    /// To this address.
    Address(IpAddr),
    /// To the host: the gateway of the default bridge network.
    Gateway,
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; the address may be `host-gateway`, and in brackets.
pub(super) fn host_entry(text: &str) -> Result<(String, HostAddress), String> {
    let (name, address) =
        text.split_once('=').or_else(|| text.split_once(':')).ok_or("write NAME:ADDRESS, such as db:10.0.0.7")?;
    if !linkspan_model::is_valid_dns_name(name) {
        return Err(format!("{name:?} is no host name"));
    }
    if address == "host-gateway" {
        return Ok((name.to_owned(), HostAddress::Gateway));
    }
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| format!("{bare:?} is neither an IP address nor host-gateway"))?;
    Ok((name.to_owned(), HostAddress::Address(address)))
}

/// A time such as `1h30m`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write a time such as 90s, 10m or 1h30m".to_owned())?;
    span.try_into().map_err(|_| "a time is not negative".to_owned())
}

/// The fields of one record of comma-separated values (RFC 4180): a field in quotes may hold commas,
/// and quotes doubled.
pub(super) fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut field = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(c) => field.push(c),
                    None => return Err("a quote is not closed".to_owned()),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|&c| c != ',') {
                field.push(c);
            }
        }
        fields.push(field);
        match chars.next() {
            Some(',') => {}
            Some(_) => return Err("text follows a closing quote".to_owned()),
            None => return Ok(fields),
        }
    }
}

/// Flags by which `run` and `exec` say what a program finds.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Settings {
    /// Variable of the program's environment, KEY=VALUE, or KEY to pass it on; may be repeated
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Accepted for the habit: standard input is passed on in any case
    #[arg(short, long)]
    interactive: bool,
    /// Accepted for the habit: a terminal is passed on in any case
    #[arg(short, long)]
    tty: bool,
    /// Working directory of the program
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
}

impl Settings {
    /// The program of these words.
    pub(super) fn program(&self, words: Vec<String>) -> Result<Program> {
        let here = || {
            std::env::current_dir().map_err(|error| Error::invalid(format!("there is no working directory: {error}")))
        };
        // A directory is written as seen from here; a supervisor is elsewhere.
        let directory = match &self.workdir {
            Some(directory) => here()?.join(directory),
            None => here()?,
        };
        // A name alone passes the caller's value on, where there is one.
        let value = |variable: &String| match variable.split_once('=') {
            Some((key, value)) => Some((key.to_owned(), value.to_owned())),
            None => std::env::var(variable).ok().map(|value| (variable.clone(), value)),
        };
        Ok(Program { words, environment: self.env.iter().filter_map(value).collect(), directory })
    }
}

/// Collects pairs; the last of a key wins.
pub(super) fn map(pairs: &[(String, String)]) -> BTreeMap<String, String> {
    pairs.iter().cloned().collect()
}

/// A name that a network may have, said as an error of the model.
pub(super) fn network_named(name: &str, driver: &str) -> Result<NetworkSpec> {
    let name = name.parse().map_err(|error: Error| error.context("network"))?;
    Ok(NetworkSpec::new(name, driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comma_separated_values() {
        let fields = |text| csv(text).map(|fields| fields.join("|"));
        assert_eq!(fields("a=1,b=2"), Ok("a=1|b=2".to_owned()));
        assert_eq!(fields(r#""o=a,b",x,"say ""hi""""#), Ok(r#"o=a,b|x|say "hi""#.to_owned()));
        assert_eq!(fields("a,,"), Ok("a||".to_owned()));
        assert!(fields(r#""a"#).is_err() && fields(r#""a"b"#).is_err());
    }

    #[test]
    fn hosts_by_colon_or_equals() {
        let address = |text: &str| HostAddress::Address(text.parse().unwrap());
        assert_eq!(host_entry("db:10.0.0.7"), Ok(("db".to_owned(), address("10.0.0.7"))));
        assert_eq!(host_entry("db:fd01::7"), Ok(("db".to_owned(), address("fd01::7"))));
        assert_eq!(host_entry("db=[fd01::7]"), Ok(("db".to_owned(), address("fd01::7"))));
        assert_eq!(host_entry("up:host-gateway"), Ok(("up".to_owned(), HostAddress::Gateway)));
        for bad in ["db", "db:nowhere", "a b:1.2.3.4", ":1.2.3.4"] {
            assert!(host_entry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("10", 10), ("90s", 90), ("1h30m", 5400), ("24h", 86400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(duration("-5s").is_err() && duration("soon").is_err());
    }
}
