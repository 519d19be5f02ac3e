use linkspan_model::{Error, NetworkSpec, Result};

/// Docker's names for what the flags `--ipv4` and `--ipv6` say, and short ones. They concern the engine, whatever the
/// driver.
const NAMES: [(&str, &str); 2] =
    [("enable_ipv4", "com.docker.network.enable_ipv4"), ("enable_ipv6", "com.docker.network.enable_ipv6")];

/// Takes the options that say which IP versions a network has out of those of the driver.
///
/// # Errors
/// Of class `Invalid`, naming the option, where one is malformed or given twice.
pub(super) fn take_families(spec: &mut NetworkSpec) -> Result<()> {
    for (short, docker) in NAMES {
        let given = [short, docker].map(|key| spec.options.remove(key).map(|value| (key, value)));
        let (key, value) = match given {
            [None, None] => continue,
            [Some(_), Some(_)] => {
                return Err(
                    Error::invalid(format!("options {docker} and {short} are the same")).fix("give one of them")
                );
            }
            [Some(given), None] | [None, Some(given)] => given,
        };
        let enabled = match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => true,
            "false" | "0" | "f" => false,
            _ => return Err(Error::invalid(format!("option {key}={value} is malformed")).fix("give true or false")),
        };
        *(if short == "enable_ipv4" { &mut spec.enable_ipv4 } else { &mut spec.enable_ipv6 }) = enabled;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_which_families_there_are() {
        let mut spec = NetworkSpec::new("app".parse().unwrap(), "bridge");
        for (key, value) in [("com.docker.network.enable_ipv6", "1"), ("enable_ipv4", "false"), ("mtu", "1400")] {
            spec.options.insert(key.to_owned(), value.to_owned());
        }
        take_families(&mut spec).unwrap();
        assert_eq!((spec.enable_ipv4, spec.enable_ipv6, spec.options.len()), (false, true, 1));
        spec.options.insert("enable_ipv6".to_owned(), "maybe".to_owned());
        assert!(take_families(&mut spec).unwrap_err().to_string().contains("enable_ipv6=maybe"));
    }
}
