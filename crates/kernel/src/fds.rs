//! File descriptors that go from one process to another.

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicBool, Ordering},
};

/// How many the kernel takes in one message (`SCM_MAX_FD` is 253).
const TOGETHER: usize = 250;

/// Sends `fds` over `stream`, which need not be read meanwhile as long as they are few thousand.
pub fn send(stream: &UnixStream, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    for fds in fds.chunks(TOGETHER) {
        let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        // Descriptors travel with a byte.
        sendmsg::<()>(
            stream.as_raw_fd(),
            &[IoSlice::new(&[0])],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
    }
    Ok(())
}

/// Receives as many as were [sent](send).
pub fn receive(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut received = Vec::with_capacity(count);
    while received.len() < count {
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!([RawFd; TOGETHER]);
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let before = received.len();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                // SAFETY: the kernel has just made them for this process, and nobody else knows them.
                received.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        if received.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if received.len() > count { Err(io::ErrorKind::InvalidData.into()) } else { Ok(received) }
}

/// What a service manager left open for this process, each with its name (sd_listen_fds(3)): closed on exec from
/// now on. Nothing the second time.
pub fn inherited() -> Vec<(String, OwnedFd)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let first = 3;
    let fds = (first..).take(number("LISTEN_FDS").unwrap_or(0) as usize);
    fds.filter_map(|fd| {
        let name = names.next().unwrap_or_default();
        // SAFETY: the manager says that it left the descriptor open for this process, and nobody else takes
        // it: this code runs once.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
        // SAFETY: as above, and it is open.
        Some((name, unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) }))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        io::{Read as _, Write as _},
        os::fd::AsFd as _,
    };

    #[test]
    fn many_arrive_in_order_between_other_bytes() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let files: Vec<File> = (0..600).map(|_| tempfile::tempfile().unwrap()).collect();
        for (number, mut file) in files.iter().enumerate() {
            file.write_all(&(number as u32).to_ne_bytes()).unwrap();
        }
        one.write_all(b"before").unwrap();
        send(&one, &files.iter().map(|file| file.as_fd()).collect::<Vec<_>>()).unwrap();
        one.write_all(b"after").unwrap();
        drop(one);
        let mut text = [0; 6];
        other.read_exact(&mut text).unwrap();
        let received = receive(&other, files.len()).unwrap();
        for (number, fd) in received.into_iter().enumerate() {
            let mut bytes = [0; 4];
            std::os::unix::fs::FileExt::read_exact_at(&File::from(fd), &mut bytes, 0).unwrap();
            assert_eq!(u32::from_ne_bytes(bytes), number as u32);
        }
        let mut rest = Vec::new();
        other.read_to_end(&mut rest).unwrap();
        assert_eq!((&text, rest.as_slice()), (b"before", &b"after"[..]));
        assert!(receive(&other, 1).is_err(), "nobody sends any more");
    }
}
