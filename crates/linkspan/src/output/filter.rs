use linkspan_model::{Error, Result};
use std::collections::BTreeMap;

/// `--filter KEY=VALUE`, any number of them: values of one key are alternatives, keys add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Reads filters; `known` are the keys there are.
    pub(crate) fn parse(filters: &[String], known: &[&str]) -> Result<Self> {
        let mut parsed = BTreeMap::<String, Vec<String>>::new();
        for filter in filters {
            let (key, value) = filter
                .split_once('=')
                .ok_or_else(|| Error::invalid(format!("invalid filter {filter:?}")).fix("write KEY=VALUE"))?;
            let key = key.trim().to_ascii_lowercase();
            if !known.contains(&key.as_str()) {
                return Err(
                    Error::invalid(format!("unknown filter {key:?}")).fix(format!("filters are {}", known.join(", ")))
                );
            }
            parsed.entry(key).or_default().push(value.trim().to_owned());
        }
        Ok(Self(parsed))
    }

    /// The values given for `key`.
    pub(crate) fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether `key` was not given, or one of its values passes `test`.
    pub(crate) fn any(&self, key: &str, test: impl Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.iter().any(|value| test(value))
    }

    /// Refuses values of `key` other than `words`.
    pub(crate) fn only(&self, key: &str, words: &[&str]) -> Result<()> {
        match self.values(key).iter().find(|value| !words.contains(&value.as_str())) {
            Some(other) => Err(Error::invalid(format!("invalid filter {key}={other}"))
                .fix(format!("write one of {}", words.join(", ")))),
            None => Ok(()),
        }
    }

    /// The value of a filter that is true or false.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>> {
        match self.values(key).last().map(String::as_str) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(Error::invalid(format!("invalid filter {key}={other}")).fix("write true or false")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_and_additions() {
        let given = ["driver=bridge", "driver=host", "name = web", "dangling=1"].map(str::to_owned);
        let filters = Filters::parse(&given, &["driver", "name", "dangling"]).unwrap();
        assert!(filters.any("driver", |driver| driver == "host") && !filters.any("driver", |driver| driver == "none"));
        assert!(filters.any("id", |_| false), "what was not asked for passes");
        assert_eq!(filters.boolean("dangling"), Ok(Some(true)));
        assert_eq!(filters.values("name"), ["web"]);
    }

    #[test]
    fn unknown_and_malformed() {
        for bad in ["colour=red", "name"] {
            assert!(Filters::parse(&[bad.to_owned()], &["name"]).is_err(), "{bad}");
        }
        let filters = Filters::parse(&["dangling=maybe".to_owned()], &["dangling"]).unwrap();
        assert!(filters.boolean("dangling").is_err());
        assert!(filters.only("dangling", &["maybe"]).is_ok() && filters.only("dangling", &["yes"]).is_err());
    }
}
