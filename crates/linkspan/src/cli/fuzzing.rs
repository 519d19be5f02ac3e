//! Values of flags.

use super::{attach, parse};
use linkspan_model::{
    Error, ErrorClass, ExposedPort, MacAddr, Name, NetworkId, PortRange, PortSpec, Protocol, SandboxId,
};
use std::{fmt::Display, str::FromStr};

/// Whatever stands after a flag: the first byte chooses what is read, the rest is its text. It is refused as invalid, or
/// read again as the same from what it prints as.
///
/// # Panics
/// Where that does not hold.
pub fn argument(input: &[u8]) {
    let Some((&flag, text)) = input.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    match flag {
        b'p' => same_again::<PortSpec>(text, is_invalid),
        b'e' => same_again::<ExposedPort>(text, is_invalid),
        b'r' => same_again::<PortRange>(text, is_invalid),
        b'm' => same_again::<MacAddr>(text, |_| true),
        b'a' => same_again::<Name>(text, is_invalid),
        b'i' => same_again::<NetworkId>(text, |_| true),
        b's' => same_again::<SandboxId>(text, |_| true),
        b't' => same_again::<Protocol>(text, is_invalid),
        b'n' => network(text),
        b'c' => csv(text),
        b'h' => host_entry(text),
        b'd' => said(parse::duration(text)),
        b'k' => said(parse::key_value(text)),
        b'g' => said(parse::named_address(text)),
        b'u' => said(parse::cidr(text)),
        _ => {}
    }
}

fn is_invalid(error: &Error) -> bool {
    error.class() == ErrorClass::Invalid
}

fn same_again<T: FromStr<Err: Display> + Display + PartialEq>(text: &str, expected: impl Fn(&T::Err) -> bool) {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            assert!(printed.parse().is_ok_and(|again: T| again == value), "{text:?} is printed as {printed:?}");
        }
        Err(error) => assert!(expected(&error) && !error.to_string().is_empty(), "{text:?}: {error}"),
    }
}

fn said<T>(read: Result<T, String>) {
    assert!(read.is_ok() || read.is_err_and(|error| !error.is_empty()));
}

fn network(text: &str) {
    match attach::network(text) {
        Ok(spec) => assert!(!spec.network.is_empty() || text.is_empty(), "{text:?}"),
        Err(error) => assert!(!error.is_empty()),
    }
}

/// Fields that are written with every one in quotes are the same fields.
fn csv(text: &str) {
    match parse::csv(text) {
        Ok(fields) => {
            let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            assert_eq!(parse::csv(&quoted.join(",")), Ok(fields), "{text:?}");
        }
        Err(error) => assert!(!error.is_empty()),
    }
}

fn host_entry(text: &str) {
    match parse::host_entry(text) {
        Ok((name, _)) => assert!(linkspan_model::is_valid_dns_name(&name)),
        Err(error) => assert!(!error.is_empty()),
    }
}
