# Plays the service manager for `linkspan daemon` as systemd does for a service with a socket unit and FileDescriptorStoreMax=
# (sd_notify(3), sd_listen_fds(3)): it listens for the service, keeps what the service puts into its store, and gives
# all of it to the next one. SIGHUP restarts the service; what happens is told on standard output.
import array, os, resource, signal, socket

STORE_MAX = 500
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
path = os.environ["T"] + "/notify"
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(path)
manager.settimeout(0.05)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(os.environ["LINKSPAN_SOCKET"])
os.chmod(os.environ["LINKSPAN_SOCKET"], 0o660)
listener.listen(4096)

store = []  # names and descriptors
restart = False


def on_hup(*_):
    global restart
    restart = True


signal.signal(signal.SIGHUP, on_hup)


def start():
    given = [("linkspan.socket", listener.fileno())] + store
    pid = os.fork()
    if pid:
        return pid
    # Out of the way first: the numbers from 3 on may be in use by one another.
    moved = [os.dup2(fd, 1000 + n) for n, (_, fd) in enumerate(given)]
    for n, fd in enumerate(moved):
        os.dup2(fd, 3 + n)
    os.closerange(3 + len(given), 4096)
    os.environ.update(
        NOTIFY_SOCKET=path,
        LISTEN_PID=str(os.getpid()),
        LISTEN_FDS=str(len(given)),
        LISTEN_FDNAMES=":".join(name for name, _ in given),
    )
    log = os.open(os.environ["LINKSPAN_STATE_DIR"] + "/daemon.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 2)
    os.execvp("linkspan", ["linkspan", "daemon"])


def hear():
    """Reads one message of the service; whether there was one."""
    try:
        text, control, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4 * 253))
    except (TimeoutError, InterruptedError):
        return False
    fds = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    lines = text.decode().split("\n")
    name = next((line[7:] for line in lines if line.startswith("FDNAME=")), "stored")
    if "FDSTORE=1" in lines:
        store.extend((name, fd) for fd in fds)
        assert len(store) <= STORE_MAX
    else:
        if "FDSTOREREMOVE=1" in lines:
            for kept in [kept for kept in store if kept[0] == name]:
                os.close(kept[1])
                store.remove(kept)
        # A barrier is over once its descriptor is closed.
        for fd in fds:
            os.close(fd)
    if "READY=1" in lines:
        print("ready", flush=True)
    return True


service = start()
while True:
    hear()
    if restart:
        restart = False
        os.kill(service, signal.SIGTERM)
        while os.waitpid(service, os.WNOHANG) == (0, 0):
            hear()
        while hear():
            pass
        print(f"restarted with {len(store)} descriptors", flush=True)
        service = start()
    elif os.waitpid(service, os.WNOHANG) != (0, 0):
        print("ended by itself", flush=True)
        break
