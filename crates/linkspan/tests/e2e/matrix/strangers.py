"""Sends what a neighbour of the host sends that means harm, each frame marked: `<wire:spoofed-app>`. Argument: a JSON object with
the addresses of the host on the wire (`host`), of the neighbour (`me`), a published port (`port`) and, by network, those
of its gateway, of a sandbox and of one beside it. Prints a line for each kind of frame: its name, and where it may be seen, `nowhere` or the name
of a sandbox.
"""

import json
import sys
import time

WHO = json.loads(sys.argv[1])
HOST, ME, NETWORKS = WHO["host"], WHO["me"], WHO["networks"]
GROUP6 = "33:33:00:00:00:01"




def sent():
    """Name, where it may be seen, and the frame but for its source, from a mark."""
    me4, me6, port = ME["v4"], ME["v6"], WHO["port"]

    def to_host(name, rest, seen="nowhere", dst=HOST["mac"]):
        mark = f"<{WHO['name']}:{name}>".encode()
        yield name, seen, mac(dst) + mac(ME["mac"]) + rest(mark)

    # What is published does arrive: the others are not lost for want of a way.
    yield from to_host("published", lambda mark: ip(me4, HOST["v4"], 17, udp(mark, 1000, port)), "app1")
    yield from to_host("published6", lambda mark: ip6(me6, HOST["v6"], 17, udp6(me6, HOST["v6"], mark, 1000, port)), "app1")
    for name, net in NETWORKS.items():
        box4, box6, beside4, gate4, gate6 = net["v4"], net["v6"], net["beside4"], net["gateway4"], net["gateway6"]
        direct = f"{name}1" if net["direct"] else "nowhere"
        yield from to_host(f"routed-{name}", lambda mark: ip(me4, box4, 17, udp(mark)), direct)
        yield from to_host(f"routed6-{name}", lambda mark: ip6(me6, box6, 17, udp6(me6, box6, mark)), direct)
        yield from to_host(f"closed-{name}", lambda mark: ip(me4, box4, 17, udp(mark, 1000, 4444)))
        yield from to_host(f"closed6-{name}", lambda mark: ip6(me6, box6, 17, udp6(me6, box6, mark, 1000, 4444)))
        # From within, as it says: of the same network, the sandbox itself, its gateway.
        for who, src in (("beside", beside4), ("itself", box4), ("gateway", gate4)):
            for at, dst in (("box", box4), ("broadcast", box4.rsplit(".", 1)[0] + ".255")):
                yield from to_host(f"from-{who}-to-{at}-{name}", lambda mark: ip(src, dst, 17, udp(mark, 1000, 4444)))
        for who, src in (("itself", box6), ("gateway", gate6)):
            yield from to_host(f"from-{who}6-{name}", lambda mark: ip6(src, box6, 17, udp6(src, box6, mark, 1000, 4444)))
        # Answers to nothing.
        yield from to_host(f"answer-{name}", lambda mark: ip(me4, box4, 17, udp(mark, 53, 4444)))
        yield from to_host(f"echo-reply-{name}", lambda mark: ip(me4, box4, 1, icmp(0, 0, b"\x00\x01\x00\x01" + mark)))
        for kind, code in ((3, 3), (3, 4), (11, 0), (5, 1)):
            inner = ip(box4, me4, 17, udp(b"", 4444, 53))[2:]
            yield from to_host(f"icmp-{kind}-{code}-{name}", lambda mark: ip(me4, box4, 1, icmp(kind, code, v4(me4) + inner + mark)))
        inner6 = ip6(box6, me6, 17, udp6(box6, me6, b"", 4444, 53))[2:]
        for kind in (1, 2, 137):
            yield from to_host(f"icmp6-{kind}-{name}", lambda mark: ip6(me6, box6, 58, icmp6(me6, box6, kind, bytes(4) + inner6 + mark)))
        # Routed by the sender: by the host, to the sandbox.
        for way, kind in (("lsrr", 0x83), ("ssrr", 0x89)):
            route = bytes([kind, 7, 4]) + v4(box4) + b"\x00"
            yield from to_host(f"{way}-{name}", lambda mark: ip(me4, HOST["v4"], 17, udp(mark), route), direct)
            route = bytes([kind, 7, 4]) + v4("127.0.0.1") + b"\x00"
            yield from to_host(f"{way}-loopback-{name}", lambda mark: ip(me4, gate4, 17, udp(mark, 1000, 8003), route))
        for way, kind in (("rh0", 0), ("rh2", 2), ("rpl", 3), ("srh", 4)):
            header = bytes([17, 2, kind, 1]) + bytes(4) + v6(box6)
            yield from to_host(f"{way}-{name}", lambda mark: ip6(me6, HOST["v6"], 17, udp6(me6, box6, mark), header, 43))
        # Fragments, tunnels and protocols without ports.
        for more, offset, part in ((0x2000, 0, "first"), (0, 2, "second")):
            yield from to_host(f"fragment-{part}-{name}", lambda mark: ip(me4, box4, 17, (udp(mark, 1000, 4444) + bytes(40))[: 16 + 8 * (len(mark) // 8)] if more else mark, fragment=more | offset, ident=9))
        for proto in (4, 41, 47, 50, 51, 253):
            yield from to_host(f"protocol-{proto}-{name}", lambda mark: ip(me4, box4, proto, udp(mark)))
            yield from to_host(f"protocol6-{proto}-{name}", lambda mark: ip6(me6, box6, proto, udp6(me6, box6, mark)))
        # Its link-local address, by the host.
        yield from to_host(f"link-local-{name}", lambda mark: ip6(me6, net["link"], 17, udp6(me6, net["link"], mark)))
        yield from to_host(f"from-link-local-{name}", lambda mark: ip6(ME["link"], box6, 17, udp6(ME["link"], box6, mark)))
        # Tagged, and as nothing that the host knows.
        for tag, raw in (("vlan", "81000005"), ("vlan-0", "81000000"), ("vlan-ad", "88a80005"), ("vlan-double", "88a8000581000007")):
            seen = direct if tag == "vlan-0" else "nowhere"
            yield from to_host(f"{tag}-{name}", lambda mark: bytes.fromhex(raw) + ip(me4, box4, 17, udp(mark)), seen)
        # Frames for the sandbox's and the bridge's own MAC addresses.
        yield from to_host(f"mac-{name}", lambda mark: ip(me4, box4, 17, udp(mark)), dst=net["mac"])
    # The host's loopback, and what is from it.
    for at in ("127.0.0.1", "127.0.0.53", "127.255.255.254"):
        for dport in (80, 8001, 8003):
            yield from to_host(f"to-{at}-{dport}", lambda mark: ip(me4, at, 17, udp(mark, 1000, dport)))
            # What is published is so to everybody; otherwise the host tells itself that nobody listens there.
            seen = "app1" if dport == port else "lo"
            yield from to_host(f"from-{at}-{dport}", lambda mark: ip(at, HOST["v4"], 17, udp(mark, 1000, dport)), seen)
    for dport in (80, 8001, 8003):
        yield from to_host(f"to-loopback6-{dport}", lambda mark: ip6(me6, "::1", 17, udp6(me6, "::1", mark, 1000, dport)))
        yield from to_host(f"from-loopback6-{dport}", lambda mark: ip6("::1", HOST["v6"], 17, udp6("::1", HOST["v6"], mark, 1000, dport)))
        mapped = "::ffff:127.0.0.1"
        yield from to_host(f"to-mapped-{dport}", lambda mark: ip6(me6, mapped, 17, udp6(me6, mapped, mark, 1000, dport)))
    # Martians.
    for src in ("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", HOST["v4"]):
        # What was reserved is an address like any other to Linux.
        seen = "app1" if src.startswith("240.") else "nowhere"
        yield from to_host(f"martian-{src}", lambda mark: ip(src, HOST["v4"], 17, udp(mark, 1000, port)), seen)
        for name, net in NETWORKS.items():
            seen = f"{name}1" if net["direct"] and src.startswith("240.") else "nowhere"
            yield from to_host(f"martian-{src}-{name}", lambda mark: ip(src, net["v4"], 17, udp(mark)), seen)
    for src in ("::", "ff02::1", HOST["v6"]):
        for name, net in NETWORKS.items():
            # Of IPv6 the kernel does not ask whether a source is its own.
            seen = f"{name}1" if net["direct"] and src == HOST["v6"] else "nowhere"
            yield from to_host(f"martian-{src}-{name}", lambda mark: ip6(src, net["v6"], 17, udp6(src, net["v6"], mark)), seen)
    # A router, and groups.
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + v6("2001:db8:bad::")
    advert = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + b"\x01\x01" + mac(ME["mac"]) + prefix
    yield from to_host("ra", lambda mark: ip6(ME["link"], "ff02::1", 58, icmp6(ME["link"], "ff02::1", 134, advert)), dst=GROUP6)
    for dst, to in (("ff02::1", GROUP6), ("ff05::1234", "33:33:00:00:12:34"), ("ff0e::1234", "33:33:00:00:12:34")):
        yield from to_host(f"group-{dst}", lambda mark: ip6(me6, dst, 17, udp6(me6, dst, mark)), dst=to)
    for dst, to in (("255.255.255.255", "ff:ff:ff:ff:ff:ff"), ("224.0.0.1", "01:00:5e:00:00:01"), ("239.1.2.3", "01:00:5e:01:02:03")):
        yield from to_host(f"group-{dst}", lambda mark: ip(me4, dst, 17, udp(mark)), dst=to)


wire = by("eth0")
everything = list(sent())
names = [name for name, _, _ in everything]
assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
for _ in range(2):
    for _, _, frame in everything:
        wire.send(frame)
        time.sleep(0.0005)
for name, seen, _ in everything:
    print(name, seen)
