use crate::{Error, Result, is_valid_dns_name};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A name that one sandbox alone has for another on its network: `NAME[:ALIAS]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkSpec {
    /// A name of the other on the network.
    pub name: String,
    /// What the linking sandbox calls it.
    pub alias: String,
}

impl LinkSpec {
    /// Refuses what cannot be looked up.
    pub fn check(&self) -> Result<()> {
        match [&self.name, &self.alias].into_iter().find(|name| !is_valid_dns_name(name)) {
            None => Ok(()),
            Some(name) => Err(Error::invalid(format!("invalid name {name:?} in link {self}")).fix(
                "write NAME[:ALIAS]; both are names of the DNS: letters, digits, '-' and '_' in labels of at most 63",
            )),
        }
    }
}

impl FromStr for LinkSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, alias) = text.split_once(':').unwrap_or((text, text));
        let link = Self { name: name.to_owned(), alias: alias.to_owned() };
        link.check().map(|()| link)
    }
}

impl fmt::Display for LinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.alias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_back(name in "[a-zA-Z0-9_-]{1,63}(\\.[a-z0-9]{1,9})?", alias in proptest::option::of("[a-z0-9_-]{1,63}")) {
            let text = alias.as_ref().map_or_else(|| name.clone(), |alias| format!("{name}:{alias}"));
            let link: LinkSpec = text.parse().unwrap();
            prop_assert_eq!((&link.name, &link.alias), (&name, alias.as_ref().unwrap_or(&name)));
            prop_assert_eq!(link.to_string().parse::<LinkSpec>(), Ok(link));
        }

        #[test]
        fn no_text_is_too_odd(text: String) {
            if let Ok(link) = text.parse::<LinkSpec>() {
                prop_assert!(is_valid_dns_name(&link.name) && is_valid_dns_name(&link.alias));
            }
        }
    }

    #[test]
    fn bad_links() {
        for bad in ["", ":", "a:", ":b", "a:b:c", "a b", "a..b"] {
            assert!(bad.parse::<LinkSpec>().is_err(), "{bad}");
        }
    }
}
