//! Bodies that are not types of the model or views of the engine already.

use jiff::Timestamp;
use linkspan_engine::NetworkView;
use linkspan_model::Error;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

/// The version of this API. It changes when a request that was understood no longer is, or
/// when an answer loses something.
pub const API_VERSION: u32 = 1;

/// Header, of requests and of answers, that holds [`API_VERSION`].
pub const VERSION_HEADER: &str = "linkspan-api-version";

/// The largest body of a request, in bytes.
pub(crate) const BODY_LIMIT: usize = 1 << 20;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: Error,
}

/// The answer to `GET /version`, of a daemon of any version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The version of the API that the daemon speaks.
    pub api_version: u32,
    /// The version of the daemon's program.
    pub version: String,
    /// Its process ID.
    pub pid: u32,
}

/// Which sandbox an endpoint joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The sandbox: name, ID or unique prefix of an ID.
    pub sandbox: String,
}

/// Which sandbox leaves a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisconnectRequest {
    /// The sandbox: name, ID or unique prefix of an ID.
    pub sandbox: String,
    /// It is no error where it is not on the network.
    #[serde(default)]
    pub force: bool,
}

/// How the program of a sandbox ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRequest {
    /// Its exit status; 128 and the signal's number where a signal ended it.
    pub status: i32,
}

/// Whose exposure is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposureRequest {
    /// Sandboxes; all where empty.
    #[serde(default)]
    pub sandboxes: Vec<String>,
}

/// How the kernel is compared with what is desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// Whether the difference is written.
    pub fix: bool,
}

/// Which program takes over from the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeRequest {
    /// Its path; the daemon's own where absent.
    #[serde(default)]
    pub program: Option<PathBuf>,
}

/// Which unused networks are removed: all that pass every filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneRequest {
    /// Made before this moment.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Carrying each of these labels.
    #[serde(default)]
    pub labels: Vec<LabelFilter>,
    /// Carrying none of these labels.
    #[serde(default)]
    pub without_labels: Vec<LabelFilter>,
}

impl PruneRequest {
    /// Whether `network` passes.
    pub fn matches(&self, network: &NetworkView) -> bool {
        self.until.is_none_or(|until| network.created < until)
            && self.labels.iter().all(|filter| filter.matches(&network.labels))
            && !self.without_labels.iter().any(|filter| filter.matches(&network.labels))
    }
}

/// `KEY` or `KEY=VALUE`: a label that is there, whatever its value, or with this value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelFilter {
    /// The label's key.
    pub key: String,
    /// The value it must have.
    #[serde(default)]
    pub value: Option<String>,
}

impl LabelFilter {
    /// Whether one of `labels` is meant.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.key).is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value))
    }
}

impl FromStr for LabelFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(Error::invalid(format!("label {text:?} has no key")).fix("write KEY or KEY=VALUE"));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_by_key_or_by_key_and_value() {
        let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
        let matches = |text: &str| text.parse::<LabelFilter>().unwrap().matches(&labels);
        assert!(matches("tier") && matches("tier=web"));
        assert!(!matches("tier=db") && !matches("tier=") && !matches("stage"));
        assert!("=x".parse::<LabelFilter>().is_err());
    }
}
