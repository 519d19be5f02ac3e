//! Values of options. Every error is of class `Invalid` and names the option.

use linkspan_model::{Error, Result};
use std::{net::IpAddr, ops::RangeInclusive, str::FromStr};

fn malformed(key: &str, text: &str) -> Error {
    Error::invalid(format!("option {key}={text} is malformed"))
}

/// A value of a type of its own; `wanted` says what to give.
pub(crate) fn value<T: FromStr>(key: &str, text: &str, wanted: &str) -> Result<T> {
    text.parse().map_err(|_| malformed(key, text).fix(format!("give {wanted}")))
}

/// A number within `range` of `unit`.
pub(crate) fn number(key: &str, text: &str, range: RangeInclusive<u32>, unit: &str) -> Result<u32> {
    let wanted = format!("a number from {} to {} of {unit}", range.start(), range.end());
    let number = value(key, text, &wanted)?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(Error::invalid(format!("option {key}={text} is out of range")).fix(format!("give {wanted}")))
}

/// One of a list of words.
pub(crate) fn list<T: Copy>(key: &str, text: &str, words: &[(&str, T)]) -> Result<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        malformed(key, text).fix(format!("give one of {}", known.join(", ")))
    })
}

/// A truth value in the forms that Docker accepts.
pub(crate) fn boolean(key: &str, text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" => Ok(true),
        "false" | "0" | "f" => Ok(false),
        _ => Err(malformed(key, text).fix("give true or false")),
    }
}

/// A name the kernel takes for an interface (dev_valid_name), at most `longest` bytes.
pub(crate) fn interface_name(key: &str, text: &str, longest: usize) -> Result<String> {
    let fits = (1..=longest).contains(&text.len()) && text != "." && text != "..";
    if fits && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%' | b'"')) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(format!("option {key}={text:?} is no name for an interface"))
        .fix(format!("give 1 to {longest} printable characters without '/', ':', '%', '\"' and blanks")))
}

/// Names of interfaces with colons between them, as Docker writes them.
pub(crate) fn interfaces(key: &str, text: &str) -> Result<Vec<String>> {
    text.split(':').map(|name| interface_name(key, name, 15)).collect()
}

/// An address that a packet can have.
pub(crate) fn address_of_host<T: FromStr + Into<IpAddr>>(key: &str, text: &str, family: &str) -> Result<IpAddr> {
    let wanted = format!("an {family} address of the host");
    let address: IpAddr = value::<T>(key, text, &wanted)?.into();
    if address.is_unspecified() || address.is_multicast() {
        return Err(malformed(key, text).fix(format!("give {wanted}")));
    }
    Ok(address)
}
