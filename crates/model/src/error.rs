use std::fmt;

/// What kind of failure an [`Error`] is: a closed list. Each front end owns one
/// table from these classes to its own codes (HTTP status, exit status …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The request itself is malformed or contradicts itself.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// A short name or ID prefix means more than one thing.
    Ambiguous,
    /// The name, address or object already exists.
    Exists,
    /// The thing is held by someone: endpoints on a network, a busy port.
    InUse,
    /// A pool, range or limit has nothing left to give.
    Exhausted,
    /// The operation is never allowed on this object.
    Forbidden,
    /// The caller or the daemon lacks a privilege.
    Permission,
    /// The running kernel lacks a feature, which the message names.
    Unsupported,
    /// Something needed is not reachable now; the same request may work later.
    Unavailable,
    /// The two sides do not speak the same version.
    Incompatible,
    /// A fault of linkspan or of the machine below it.
    Internal,
}

impl ErrorClass {
    /// Every class, in declaration order.
    pub const ALL: [ErrorClass; 12] = [
        Self::Invalid,
        Self::NotFound,
        Self::Ambiguous,
        Self::Exists,
        Self::InUse,
        Self::Exhausted,
        Self::Forbidden,
        Self::Permission,
        Self::Unsupported,
        Self::Unavailable,
        Self::Incompatible,
        Self::Internal,
    ];
}

/// A failure: its class, what happened, who holds the thing and how to mend it.
///
/// It displays as one line, `what (held by HOLDER); FIX`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Error {
    class: ErrorClass,
    what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `class`; `what` is a clause without a full stop.
    pub fn new(class: ErrorClass, what: impl Into<String>) -> Self {
        Self { class, what: what.into(), holder: None, fix: None }
    }

    /// Names who holds the thing that was asked for.
    #[must_use]
    pub fn held_by(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// Says how the user can mend it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Puts `context` before the message: `context: what`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.what = format!("{context}: {}", self.what);
        self
    }

    /// The class.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// What happened, without holder and fix.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Who holds the thing, where that is known.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }
}

macro_rules! constructors {
    ($($name:ident => $class:ident),* $(,)?) => {
        impl Error {
            $(
                #[doc = concat!("An error of class [`ErrorClass::", stringify!($class), "`].")]
                pub fn $name(what: impl Into<String>) -> Self {
                    Self::new(ErrorClass::$class, what)
                }
            )*
        }
    };
}

constructors! {
    invalid => Invalid,
    not_found => NotFound,
    ambiguous => Ambiguous,
    exists => Exists,
    in_use => InUse,
    exhausted => Exhausted,
    forbidden => Forbidden,
    permission => Permission,
    unsupported => Unsupported,
    unavailable => Unavailable,
    incompatible => Incompatible,
    internal => Internal,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(holder) = &self.holder {
            write!(f, " (held by {holder})")?;
        }
        if let Some(fix) = &self.fix {
            write!(f, "; {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_who_and_how() {
        let error = Error::in_use("port 80/tcp is taken").held_by("nginx (pid 7)").fix("choose another port");
        assert_eq!(error.to_string(), "port 80/tcp is taken (held by nginx (pid 7)); choose another port");
        assert_eq!(error.context("sandbox web").what(), "sandbox web: port 80/tcp is taken");
    }
}
