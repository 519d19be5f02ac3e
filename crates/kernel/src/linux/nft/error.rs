use crabtables::{Error as NftError, MessageError};
use linkspan_model::{Error, ErrorClass};
use std::fmt::Display;

/// The class of a kernel error number, as nf_tables uses it.
fn class(errno: i32) -> ErrorClass {
    match errno {
        // An interval that overlaps another one is refused as ENOTEMPTY.
        libc::EEXIST | libc::ENOTEMPTY => ErrorClass::Exists,
        libc::ENOENT => ErrorClass::NotFound,
        libc::EBUSY => ErrorClass::InUse,
        libc::EPERM | libc::EACCES => ErrorClass::Permission,
        libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT => ErrorClass::Unsupported,
        libc::ENFILE | libc::ENOSPC | libc::ENOMEM | libc::ENOBUFS => ErrorClass::Exhausted,
        _ => ErrorClass::Internal,
    }
}

fn words(errno: i32) -> String {
    match errno {
        libc::EEXIST => "exists already".to_owned(),
        libc::ENOTEMPTY => "overlaps an element that is there".to_owned(),
        _ => std::io::Error::from_raw_os_error(errno).to_string(),
    }
}

/// The error of a batch's message: the object, what the kernel says, and, in a table, which part.
pub(super) fn of_message(subject: impl Display, in_table: bool, error: &MessageError) -> Error {
    let mut what = format!("{subject}: {}", words(error.errno));
    if let Some(message) = &error.message {
        what = format!("{what}: {message}");
    }
    if in_table {
        what = format!("{what} (at {}", error.operation);
        if let Some(name) = error.location.as_ref().and_then(|location| location.expr_name.as_ref()) {
            what = format!("{what}, expression {name}");
        }
        what.push(')');
    }
    let error = Error::new(class(error.errno), what);
    if error.class() == ErrorClass::Permission { error.fix("run as root") } else { error }
}

/// The error of a request or of the socket.
pub(super) fn of_request(subject: impl Display, error: &NftError) -> Error {
    let errno = error.errno();
    let class = errno.map_or(ErrorClass::Internal, |errno| match errno {
        libc::EINTR => ErrorClass::Unavailable,
        _ => class(errno),
    });
    let class = if matches!(error, NftError::DumpInterrupted) { ErrorClass::Unavailable } else { class };
    let error = Error::new(class, format!("{subject}: {error}"));
    if class == ErrorClass::Permission { error.fix("run as root") } else { error }
}
