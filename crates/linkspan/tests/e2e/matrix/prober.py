"""One place of the reachability matrix: servers that say whose they are, clients, and a witness of what the kernel
of this place delivered. Arguments: the place's name, and the socket that commands come by, a line of JSON each:

  {"probe": [[ID, PROTOCOL, ADDRESS, PORT, SOURCE or null], ...], "window": SECONDS}
      sends all of them at once; the answer has, for each ID, what came back
  {"delivered": true}
      which probes of anybody were delivered here, and from which address; forgets them

A probe is recognised by its source port (the identifier of an echo request), which is its ID, everywhere. Kernels
without SCTP get what a kernel with it would: INIT, answered by INIT ACK, over raw sockets.
"""

import errno
import json
import os
import selectors
import socket
import struct
import sys
import time

NAME, CONTROL = sys.argv[1:3]
PORT = 80
IDS = range(10000, 32768)
TCP, UDP, SCTP = socket.IPPROTO_TCP, socket.IPPROTO_UDP, 132
V4, V6 = socket.AF_INET, socket.AF_INET6
ICMP = {V4: socket.IPPROTO_ICMP, V6: socket.IPPROTO_ICMPV6}
PKTINFO = {V4: (socket.IPPROTO_IP, 8), V6: (socket.IPPROTO_IPV6, 50)}
RECVPKTINFO = {V4: (socket.IPPROTO_IP, 8), V6: (socket.IPPROTO_IPV6, 49)}

loop = selectors.DefaultSelector()
delivered, results, wanted = {}, {}, {}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp(sport, dport, tag, kind, body):
    chunk = struct.pack("!BBH", kind, 0, 4 + len(body)) + body + bytes(-len(body) % 4)
    head = struct.pack("!HHI", sport, dport, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


def place(address, port):
    """What sockets take for an address, one with a scope too."""
    name, _, interface = address.partition("%")
    return (name, port, 0, socket.if_nametoindex(interface)) if interface else (name, port)


def source(family, address):
    """Ancillary data that makes `address` the source of a packet."""
    level, kind = PKTINFO[family]
    packed = socket.inet_pton(family, address)
    data = struct.pack("I4s4s", 0, packed, bytes(4)) if family == V4 else packed + struct.pack("I", 0)
    return [(level, kind, data)]


def called(family, ancillary):
    """The address that a packet came to."""
    for level, kind, data in ancillary:
        if (level, kind) == PKTINFO[family]:
            return socket.inet_ntop(family, data[8:12] if family == V4 else data[:16])
    return None


def note(ident, address):
    if ident in IDS:
        delivered.setdefault(ident, address)


def settle(ident, **result):
    """The first thing that came back counts."""
    if ident in wanted and ident not in results:
        results[ident] = result


# ---- servers


def serve_tcp(listener):
    try:
        connection, _ = listener.accept()
        connection.settimeout(1)
        connection.sendall(NAME.encode())
        connection.close()
    except OSError:
        pass


def serve_udp(server):
    try:
        data, ancillary, _, peer = server.recvmsg(2048, 256)
        address = called(server.family, ancillary)
        server.sendmsg([NAME.encode()], source(server.family, address), 0, peer)
    except OSError:
        pass


# ---- the witness


def seen(raw, protocol):
    """A packet of `protocol` that the kernel delivered to this place, whoever else gets it."""
    packet, ancillary, _, peer = raw.recvmsg(65535, 256)
    family = raw.family
    body = packet[(packet[0] & 15) * 4 :] if family == V4 else packet
    if len(body) < 8:
        return
    address = peer[0].split("%")[0]
    if protocol == ICMP[family]:
        # What this kernel tells itself, such as that nobody answers ARP, is no answer of anybody.
        if address != called(family, ancillary) or body[0] in (8, 128, 0, 129):
            echo(family, body, address)
        return
    sport, dport = struct.unpack_from("!HH", body)
    if protocol == TCP:
        if len(body) > 13 and body[13] & 0x12 == 2:
            note(sport, address)
    elif protocol == UDP:
        note(sport, address)
    elif protocol == SCTP and len(body) >= 16:
        if body[12] == 1:
            note(sport, address)
            cookie = struct.pack("!HH", 7, 4 + len(NAME)) + NAME.encode()
            kind, rest = (2, struct.pack("!IIHHI", 7, 65535, 1, 1, 7) + cookie) if dport == PORT else (6, b"")
            answer = sctp(dport, sport, struct.unpack_from("!I", body, 16)[0], kind, rest)
            raw.sendmsg([answer], source(family, called(family, ancillary)), 0, (address, 0) + tuple(peer[2:]))
        elif body[12] == 2:
            length = struct.unpack_from("!H", body, 34)[0] - 4
            settle(dport, answer=body[36 : 36 + length].decode())
        elif body[12] == 6:
            settle(dport, error="refused")


def echo(family, body, address):
    kind, code = body[:2]
    ident = struct.unpack_from("!H", body, 4)[0]
    if kind == (8 if family == V4 else 128):
        note(ident, address)
    elif kind == (0 if family == V4 else 129):
        settle(ident, answer=None)
    elif kind in ((3, 11) if family == V4 else (1, 3, 4)):
        inner = body[8:]
        protocol, at = (inner[9], (inner[0] & 15) * 4) if family == V4 else (inner[6], 40)
        ident = struct.unpack_from("!H", inner, at + (4 if protocol == ICMP[family] else 0))[0]
        nobody = (kind, code) in ([(3, 2), (3, 3)] if family == V4 else [(1, 4), (4, 1)])
        settle(ident, error="refused" if nobody else "unreachable")


def quietly(call, *arguments):
    try:
        return call(*arguments)
    except OSError:
        return None


# ---- clients


def send(ident, protocol, address, port, own):
    """Sends one probe; gives the socket to watch, if there is one of its own."""
    family = V6 if ":" in address else V4
    if protocol in ("icmp", "sctp"):
        if protocol == "icmp":
            packet = struct.pack("!BBHHH", 8 if family == V4 else 128, 0, 0, ident, 1)
            if family == V4:
                total = sum(struct.unpack("!4H", packet))
                packet = packet[:2] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + packet[4:]
        else:
            packet = sctp(ident, port, 0, 1, struct.pack("!IIHHI", ident, 65535, 1, 1, ident))
        raws[family, ICMP[family] if protocol == "icmp" else SCTP].sendmsg(
            [packet], source(family, own) if own else [], 0, place(address, 0)
        )
        return None
    client = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if protocol == "tcp":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        client.bind((own or ("0.0.0.0" if family == V4 else "::"), ident))
        status = client.connect_ex(place(address, port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, "connect")
        if protocol == "udp":
            client.send(b"hello")
    except OSError:
        client.close()
        raise
    return client


def heard(client, ident):
    """Something happened to the socket of a probe."""
    try:
        text = client.recv(2048)
        settle(ident, **({"answer": text.decode()} if text else {"error": "closed"}))
    except BlockingIOError:
        return
    except ConnectionRefusedError:
        settle(ident, error="refused")
    except OSError:
        # Errors that somebody else sent are seen by the witness.
        pass
    forget(client)


def forget(client):
    if client.fileno() >= 0:
        loop.unregister(client)
        client.close()


def probe(probes, window):
    results.clear()
    wanted.clear()
    wanted.update((p[0], p) for p in probes)
    clients = []
    for p in probes:
        try:
            client = send(*p)
        except OSError as error:
            settle(p[0], error="no route", errno=errno.errorcode.get(error.errno, "?"))
            continue
        if client:
            clients.append(client)
            loop.register(client, selectors.EVENT_READ, lambda sock, ident=p[0]: heard(sock, ident))
        turn(0)
    start = time.monotonic()
    again = [window / 3, window * 2 / 3]
    while len(results) < len(wanted) and time.monotonic() < start + window:
        turn(0.02)
        if again and time.monotonic() > start + again[0]:
            again.pop(0)
            for p in probes:
                if p[0] not in results and p[1] in ("icmp", "sctp"):
                    quietly(send, *p)
    for client in clients:
        forget(client)
    return {str(ident): result for ident, result in results.items()}


# ---- the loop


def turn(timeout):
    for key, _ in loop.select(timeout):
        if key.fileobj.fileno() >= 0:
            key.data(key.fileobj)


raws = {}
for family in (V4, V6):
    for protocol in (TCP, UDP, SCTP, ICMP[family]):
        raw = socket.socket(family, socket.SOCK_RAW, protocol)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        raw.setsockopt(*RECVPKTINFO[family], 1)
        raws[family, protocol] = raw
        loop.register(raw, selectors.EVENT_READ, lambda sock, protocol=protocol: quietly(seen, sock, protocol))
    for kind, serve in ((socket.SOCK_STREAM, serve_tcp), (socket.SOCK_DGRAM, serve_udp)):
        server = socket.socket(family, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == V6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.setsockopt(*RECVPKTINFO[family], 1)
        server.bind(("" if family == V4 else "::", PORT))
        if kind == socket.SOCK_STREAM:
            server.listen(512)
        loop.register(server, selectors.EVENT_READ, serve)

pending = bytearray()


def accept(orders):
    commander, _ = orders.accept()
    loop.register(commander, selectors.EVENT_READ, receive)


def receive(commander):
    """A command is carried out by the outermost turn of the loop alone."""
    global answers
    data = commander.recv(1 << 20)
    if not data:
        forget(commander)
    answers = commander
    pending.extend(data)


def commanded(line):
    order = json.loads(line)
    if "probe" in order:
        return probe(order["probe"], order["window"])
    answer = dict(delivered)
    delivered.clear()
    return answer


# Errors of ICMP are limited to one a second for each peer, which would look like silence.
for limit in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
    with open(f"/proc/sys/net/{limit}", "w") as file:
        file.write("0")
orders = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
# Who sees the socket may connect.
orders.bind(CONTROL + ".new")
orders.listen(1)
os.rename(CONTROL + ".new", CONTROL)
loop.register(orders, selectors.EVENT_READ, accept)
answers = None
while True:
    turn(None)
    while b"\n" in pending:
        line, _, rest = bytes(pending).partition(b"\n")
        pending[:] = rest
        answers.sendall(json.dumps(commanded(line)).encode() + b"\n")
