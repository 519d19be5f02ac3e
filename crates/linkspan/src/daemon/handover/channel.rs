use linkspan_kernel::fds;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// The longest message: thousands of sandboxes, each with queries under way.
const LONGEST: u32 = 256 << 20;

/// The most descriptors with one message.
const MOST: u32 = 1 << 20;

/// A socket between two daemons. A message is its length, the number of its descriptors, JSON, and the descriptors.
#[derive(Debug)]
pub(in crate::daemon) struct Channel(UnixStream);

impl Channel {
    /// Both ends of a new one.
    pub(in crate::daemon) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self(one), other.into()))
    }

    /// The other's end.
    pub(in crate::daemon) fn of(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Says `message`, each part of it within `limit`.
    pub(in crate::daemon) fn say(
        &self,
        message: &impl Serialize,
        fds: &[BorrowedFd<'_>],
        limit: Duration,
    ) -> io::Result<()> {
        self.0.set_write_timeout(Some(limit))?;
        let body = serde_json::to_vec(message)?;
        let mut frame = Vec::with_capacity(8 + body.len());
        for number in [body.len(), fds.len()] {
            frame.extend(u32::try_from(number).map_err(io::Error::other)?.to_ne_bytes());
        }
        frame.extend(body);
        (&self.0).write_all(&frame)?;
        fds::send(&self.0, fds)
    }

    /// Hears a message, each part of it within `limit`.
    pub(in crate::daemon) fn hear<T: DeserializeOwned>(&self, limit: Duration) -> io::Result<(T, Vec<OwnedFd>)> {
        self.0.set_read_timeout(Some(limit))?;
        let mut head = [0; 8];
        (&self.0).read_exact(&mut head)?;
        let [length, count] = [0, 4].map(|at| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        if length > LONGEST || count > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = Vec::new();
        if (&self.0).take(length.into()).read_to_end(&mut body)? != length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((serde_json::from_slice(&body)?, fds::receive(&self.0, count as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn messages_with_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        let other = Channel::of(other);
        let file = tempfile::tempfile().unwrap();
        one.say(&"first", &[file.as_fd(), file.as_fd()], SOON).unwrap();
        one.say(&["second", "third"], &[], SOON).unwrap();
        let (text, fds): (String, _) = other.hear(SOON).unwrap();
        assert_eq!((text.as_str(), fds.len()), ("first", 2));
        let (words, fds): (Vec<String>, _) = other.hear(SOON).unwrap();
        assert_eq!((words.len(), fds.len()), (2, 0));
    }

    #[test]
    fn silence_and_nonsense_are_errors() {
        let (one, other) = Channel::pair().unwrap();
        let mut raw = UnixStream::from(other);
        assert!(one.hear::<String>(Duration::from_millis(10)).is_err(), "nothing was said");
        raw.write_all(b"\xff\xff\xff\xff\0\0\0\0").unwrap();
        assert!(one.hear::<String>(SOON).is_err(), "too long");
        raw.write_all(b"\x02\0\0\0\0\0\0\0{").unwrap();
        drop(raw);
        assert!(one.hear::<String>(SOON).is_err(), "cut");
    }
}
