"""Sends what an adversary in a sandbox sends, each frame marked with whom it is from and what it is: `<app2:ra>`.
Arguments: a JSON object with the addresses of everybody, and for how many seconds it goes on. Prints a line for each
kind of frame: its name, and where at most it may be seen:

  nowhere   forged, or of a kind that only switches, routers and servers send
  reserved  the same, but the kernel's own bridge keeps it back as well
  link      by siblings, and by the host on the bridge
  host      by the host on the bridge
  far       there, and by who is far away
"""

import json
import sys
import time

WHO = json.loads(sys.argv[1])
ME, YOU, GATE = WHO["me"], WHO["sibling"], WHO["gateway"]
OTHER, HOST, FAR = WHO["other"], WHO["host"], WHO["far"]
EVERY, GROUP6 = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"
NOBODY4, NOBODY6 = "203.0.113.9", "2001:db8::9"
LL = link_local(ME["mac"])
SUBNET4 = ME["v4"].rsplit(".", 1)[0]
OTHER_SUBNET4 = OTHER["v4"].rsplit(".", 1)[0]


def advert(src, target, own=True):
    return ip6(src, "ff02::1", 58, icmp6(src, "ff02::1", 136, struct.pack("!I", 0x20000000) + v6(target) + b"\x02\x01" + mac(ME["mac"])))


def router(before=b"", first=None):
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + v6("2001:db8:bad::")
    body = struct.pack("!BBHII", 64, 0, 1800, 0, 0) + b"\x01\x01" + mac(ME["mac"]) + prefix
    return ip6(LL, "ff02::1", 58, icmp6(LL, "ff02::1", 134, body), before, first)


def kinds():
    """Name, where it may be seen, destination and source MAC address, and the rest with the mark in it."""
    me4, me6, my, gate = ME["v4"], ME["v6"], ME["mac"], GATE["mac"]

    def one(name, seen, dst, src, rest):
        mark = f"<{WHO['name']}:{name}>".encode()
        yield name, seen, mac(dst) + mac(src) + (rest(mark) if callable(rest) else rest + mark)

    def forged(name, rest, dst=EVERY, src=my):
        return one(name, "nowhere", dst, src, rest)

    # Identities of others.
    for name, src in (("mac-sibling", YOU["mac"]), ("mac-gateway", gate), ("mac-nobody", "02:00:00:00:0b:ad")):
        yield from forged(name, lambda mark: ip(me4, YOU["v4"], 17, udp(mark)), src=src)
    yield from one("mac-group", "reserved", YOU["mac"], GROUP6, lambda mark: ip(me4, YOU["v4"], 17, udp(mark)))
    sources4 = {
        "sibling": YOU["v4"], "gateway": GATE["v4"], "other": OTHER["v4"], "host": HOST[0], "far": FAR[0], "nobody": NOBODY4,
        "loopback": "127.0.0.1", "unspecified": "0.0.0.0", "broadcast": "255.255.255.255", "group": "224.0.0.1",
        "link-local": "169.254.7.7",
    }  # fmt: skip
    for name, src in sources4.items():
        for at, dst in (("sibling", YOU["v4"]), ("other", OTHER["v4"]), ("host", HOST[0]), ("far", FAR[0])):
            to = EVERY if at == "sibling" else gate
            yield from forged(f"ip-{name}-{at}", lambda mark: ip(src, dst, 17, udp(mark)), dst=to)
    sources6 = {
        "sibling": YOU["v6"], "gateway": GATE["v6"], "other": OTHER["v6"], "host": HOST[1], "far": FAR[1], "nobody": NOBODY6,
        "loopback": "::1", "group": "ff02::1", "link-local": "fe80::bad", "mapped": "::ffff:" + me4, "unspecified": "::",
        "gateway-link-local": link_local(gate), "sibling-link-local": link_local(YOU["mac"]),
    }  # fmt: skip
    for name, src in sources6.items():
        for at, dst in (("sibling", YOU["v6"]), ("other", OTHER["v6"]), ("host", HOST[1]), ("far", FAR[1])):
            to = GROUP6 if at == "sibling" else gate
            yield from forged(f"ip6-{name}-{at}", lambda mark: ip6(src, dst, 17, udp6(src, dst, mark)), dst=to)

    # ARP and its relatives.
    for name, address in (("gateway", GATE["v4"]), ("sibling", YOU["v4"]), ("nobody", NOBODY4)):
        yield from forged(f"arp-reply-{name}", arp(2, my, address, YOU["v4"]))
        yield from forged(f"arp-request-{name}", arp(1, my, address, address))
        yield from forged(f"arp-unicast-{name}", arp(2, my, address, YOU["v4"]), dst=YOU["mac"])
    yield from forged("arp-mac", arp(1, YOU["mac"], me4, NOBODY4))
    yield from forged("arp-unasked-reply", arp(2, my, "0.0.0.0", YOU["v4"]))
    yield from forged("arp-hardware", arp(1, my, me4, NOBODY4, hardware=6))
    yield from forged("rarp", b"\x80\x35" + arp(3, my, me4, me4)[2:])

    # Neighbour discovery, routers, redirects.
    for name, address in (("gateway", GATE["v6"]), ("sibling", YOU["v6"]), ("gateway-link-local", link_local(gate))):
        yield from forged(f"na-{name}", advert(me6, address), dst=GROUP6)
        yield from forged(f"na-as-{name}", advert(address, address), dst=GROUP6)
        solicit = bytes(4) + v6(address)
        yield from forged(f"dad-{name}", ip6("::", "ff02::1", 58, icmp6("::", "ff02::1", 135, solicit)), dst=GROUP6)
        # Who asks in another's name is believed to be him.
        asking = bytes(4) + v6(YOU["v6"]) + b"\x01\x01" + mac(my)
        yield from forged(f"ns-as-{name}", ip6(address, "ff02::1", 58, icmp6(address, "ff02::1", 135, asking)), dst=GROUP6)
    yield from forged("ra", router(), dst=GROUP6)
    yield from forged("ra-unicast", router(), dst=YOU["mac"])
    yield from forged("ra-behind-hop-by-hop", router(b"\x3a\x00\x01\x04" + bytes(4), 0), dst=GROUP6)
    yield from forged("ra-behind-options", router(b"\x3a\x00\x01\x04" + bytes(4), 60), dst=GROUP6)
    yield from forged("ra-behind-two", router(b"\x3c\x00\x01\x04" + bytes(4) + b"\x3a\x00\x01\x04" + bytes(4), 0), dst=GROUP6)
    yield from forged("ra-in-one-fragment", router(b"\x3a\x00\x00\x00" + bytes(4), 44), dst=GROUP6)
    for name, src in (("own", LL), ("gateway", link_local(gate))):
        body = bytes(4) + v6(NOBODY6) + v6(NOBODY6)
        yield from forged(f"redirect6-{name}", ip6(src, "ff02::1", 58, icmp6(src, "ff02::1", 137, body)), dst=GROUP6)
    inner = ip(YOU["v4"], FAR[0], 17, udp(b""))[2:]
    yield from forged("redirect-gateway", lambda mark: ip(GATE["v4"], YOU["v4"], 1, icmp(5, 1, v4(me4) + inner + mark)), dst=YOU["mac"])

    # Servers of addresses.
    for sport in (67,):
        yield from forged("dhcp-offer", lambda mark: ip(me4, "255.255.255.255", 17, udp(mark, sport, 68)))
        yield from forged("dhcp-offer-unicast", lambda mark: ip(me4, YOU["v4"], 17, udp(mark, sport, 68)), dst=YOU["mac"])
        yield from forged("dhcp-offer-options", lambda mark: ip(me4, YOU["v4"], 17, udp(mark, sport, 68), b"\x01" * 8), dst=YOU["mac"])
        yield from forged("dhcp-offer-fragment", lambda mark: ip(me4, YOU["v4"], 17, udp(mark, sport, 68), fragment=0x2000), dst=YOU["mac"])
    yield from forged("dhcp-discover", lambda mark: ip("0.0.0.0", "255.255.255.255", 17, udp(mark, 68, 67)))
    yield from forged("dhcp6-reply", lambda mark: ip6(LL, "ff02::1", 17, udp6(LL, "ff02::1", mark, 547, 546)), dst=GROUP6)
    yield from forged("dhcp6-reply-unicast", lambda mark: ip6(me6, YOU["v6"], 17, udp6(me6, YOU["v6"], mark, 547, 546)), dst=YOU["mac"])
    yield from forged("dhcp6-reply-behind-options", lambda mark: ip6(LL, "ff02::1", 17, udp6(LL, "ff02::1", mark, 547, 546), b"\x11\x00\x01\x04" + bytes(4), 60), dst=GROUP6)

    # Frames that are no plain IPv4, IPv6 or ARP.
    plain = {"sibling": (YOU["mac"], YOU["v4"]), "other": (gate, OTHER["v4"])}
    tags = {"vlan": "81000005", "vlan-0": "81000000", "vlan-ad": "88a80005", "vlan-double": "88a8000581000007", "vlan-qinq": "9100000581000007"}
    for tag, raw in tags.items():
        for at, (dst, address) in plain.items():
            yield from forged(f"{tag}-{at}", lambda mark: bytes.fromhex(raw) + ip(me4, address, 17, udp(mark)), dst=dst)
        yield from forged(f"{tag}-ra", bytes.fromhex(raw) + router(), dst=GROUP6)
    others = {"0800": "88b5", "pppoe": "88641100000100000021", "mpls": "884700001140", "llc": "002eaaaa03000000", "nsh": "894f0206", "profinet": "8892", "macsec": "88e5"}
    for name, raw in others.items():
        yield from forged(f"type-{name}", lambda mark: bytes.fromhex(raw) + ip(me4, YOU["v4"], 17, udp(mark))[2:] + mark, dst=YOU["mac"])
    yield from forged("ip6-as-ip", lambda mark: b"\x08\x00" + ip6(me6, YOU["v6"], 17, udp6(me6, YOU["v6"], mark))[2:], dst=YOU["mac"])
    yield from forged("ip-as-ip6", lambda mark: b"\x86\xdd" + ip(me4, YOU["v4"], 17, udp(mark))[2:], dst=YOU["mac"])
    bpdu = b"\x00\x26\x42\x42\x03" + bytes(35)
    yield from forged("stp", bpdu, dst="01:80:c2:00:00:00")
    yield from forged("pvst", bpdu, dst="01:00:0c:cc:cc:cd")
    yield from forged("cdp", b"\x00\x2e\xaa\xaa\x03\x00\x00\x0c\x20\x00" + bytes(38), dst="01:00:0c:cc:cc:cc")
    for name, last, raw in (("pause", 1, "8808"), ("lacp", 2, "8809"), ("eapol", 3, "888e"), ("lldp", 14, "88cc"), ("ptp", 14, "88f7")):
        rest = bytes.fromhex(raw) + bytes(46)
        yield from one(name, "reserved", f"01:80:c2:00:00:{last:02x}", my, rest)
        yield from one(f"{name}-mac", "reserved", f"01:80:c2:00:00:{last:02x}", "02:00:00:00:0b:ae", rest)
        yield from forged(f"{name}-sibling", rest, dst=YOU["mac"])
    yield from one("ip-reserved", "reserved", "01:80:c2:00:00:0e", "02:00:00:00:0b:af", lambda mark: ip(NOBODY4, YOU["v4"], 17, udp(mark)))

    # A bridge hands what is for this address to the port itself, past its own hooks: the host would take it.
    for name, dst, src in (("own", HOST[0], me4), ("forged", HOST[0], NOBODY4), ("own-gateway", GATE["v4"], me4)):
        yield from one(f"port-{name}", "reserved", "01:80:c2:00:00:0e", my, lambda mark: ip(src, dst, 17, udp(mark, 1000, 7001)))
    for name, dst, src in (("own", HOST[1], me6), ("forged", HOST[1], NOBODY6), ("link-local", "ff02::1", LL)):
        yield from one(f"port6-{name}", "reserved", "01:80:c2:00:00:0e", my, lambda mark: ip6(src, dst, 17, udp6(src, dst, mark, 1000, 7001)))
    yield from one("port-ra", "reserved", "01:80:c2:00:00:0e", my, router())

    # Its own name, but where it has no business.
    def through(name, rest, seen="host", dst=gate):
        return one(name, seen, dst, my, rest)

    targets = {"other": OTHER["v4"], "other-broadcast": OTHER_SUBNET4 + ".255", "loopback": "127.0.0.1", "loopback-resolver": "127.0.0.53", "mine-by-gateway": me4, "sibling-by-gateway": YOU["v4"]}
    for name, dst in targets.items():
        seen = "link" if name == "sibling-by-gateway" else "host"
        for proto, number in (("udp", 17), ("gre", 47), ("ipip", 4), ("6in4", 41), ("esp", 50), ("sctp", 132), ("odd", 253)):
            yield from through(f"{proto}-to-{name}", lambda mark: ip(me4, dst, number, udp(mark)), seen)
        yield from through(f"ttl-1-to-{name}", lambda mark: ip(me4, dst, 17, udp(mark), ttl=1), seen)
        yield from through(f"ttl-0-to-{name}", lambda mark: ip(me4, dst, 17, udp(mark), ttl=0), seen)
        for more, offset, part in ((0x2000, 0, "first"), (0, 2, "second"), (0, 100, "lonely")):
            yield from through(f"fragment-{part}-to-{name}", lambda mark: ip(me4, dst, 17, (udp(mark) + bytes(40))[: 16 + 8 * (len(mark) // 8)] if more else mark, fragment=more | offset, ident=7 if part != "lonely" else 8), seen)
    for name, dst in {"other": OTHER["v6"], "loopback": "::1", "mapped-loopback": "::ffff:127.0.0.1", "sibling-by-gateway": YOU["v6"]}.items():
        seen = {"sibling-by-gateway": "link", "mapped-loopback": "far"}.get(name, "host")
        for proto, number in (("udp6", 17), ("gre6", 47), ("ip6ip6", 41), ("sctp6", 132)):
            yield from through(f"{proto}-to-{name}", lambda mark: ip6(me6, dst, number, udp6(me6, dst, mark)), seen)
        yield from through(f"fragment6-to-{name}", lambda mark: ip6(me6, dst, 17, udp6(me6, dst, mark), b"\x11\x00\x00\x01" + bytes(4), 44), seen)
    for name, kind in (("lsrr", 0x83), ("ssrr", 0x89)):
        # A hop that is still to come, then the rest of the way.
        for by, first, last in (("gateway", GATE["v4"], OTHER["v4"]), ("host", HOST[0], OTHER["v4"]), ("gateway-to-far", GATE["v4"], FAR[0]), ("gateway-to-sibling", GATE["v4"], YOU["v4"])):
            route = bytes([kind, 7, 4]) + v4(last) + b"\x00"
            yield from through(f"{name}-by-{by}", lambda mark: ip(me4, first, 17, udp(mark), route))
        route = bytes([kind, 7, 4]) + v4(OTHER["v4"]) + b"\x00"
        yield from through(f"{name}-by-sibling", lambda mark: ip(me4, YOU["v4"], 17, udp(mark), route), "link", YOU["mac"])
    for name, kind in (("rh0", 0), ("rh2", 2), ("rpl", 3), ("srh", 4)):
        for by, first, last in (("gateway", GATE["v6"], OTHER["v6"]), ("gateway-to-sibling", GATE["v6"], YOU["v6"])):
            header = bytes([17, 2, kind, 1]) + bytes(4) + v6(last)
            yield from through(f"{name}-by-{by}", lambda mark: ip6(me6, first, 17, udp6(me6, last, mark), header, 43))
    # Errors about connections that are not its own: as its owner knows them, and as the host translated them.
    for name, src, src6 in (("", OTHER["v4"], OTHER["v6"]), ("-translated", HOST[0], HOST[1])):
        inner = ip(src, FAR[0], 17, udp(b"", 80, 80))[2:]
        inner6 = ip6(src6, FAR[1], 17, udp6(src6, FAR[1], b"", 80, 80))[2:]
        for kind, code in ((3, 1), (3, 4), (11, 0)):
            yield from through(f"icmp-{kind}-{code}-to-other{name}", lambda mark: ip(me4, src, 1, icmp(kind, code, b"\x00\x00\x02\x00" + inner + mark)))
        for kind in (1, 2, 3):
            yield from through(f"icmp6-{kind}-to-other{name}", lambda mark: ip6(me6, src6, 58, icmp6(me6, src6, kind, b"\x00\x00\x05\x00" + inner6 + mark)))
    yield from through("redirect-own", lambda mark: ip(me4, YOU["v4"], 1, icmp(5, 1, v4(me4) + inner + mark)), "link", YOU["mac"])
    yield from through("too-big-to-other", lambda mark: ip(me4, OTHER["v4"], 1, icmp(3, 4, b"\x00\x00\x02\x00" + inner + mark)))
    # Everybody on its own link may hear these, and nobody elsewhere.
    for name, to, dst in (("broadcast", EVERY, "255.255.255.255"), ("subnet-broadcast", EVERY, SUBNET4 + ".255"), ("mdns", "01:00:5e:00:00:fb", "224.0.0.251"), ("all-hosts", "01:00:5e:00:00:01", "224.0.0.1"), ("routed-group", "01:00:5e:01:02:03", "239.1.2.3")):
        yield from through(name, lambda mark: ip(me4, dst, 17, udp(mark), ttl=64), "link", to)
    for name, to, dst in (("mdns6", "33:33:00:00:00:fb", "ff02::fb"), ("all-nodes", GROUP6, "ff02::1"), ("site-group", "33:33:00:00:12:34", "ff05::1234"), ("global-group", "33:33:00:00:12:34", "ff0e::1234")):
        yield from through(name, lambda mark: ip6(me6, dst, 17, udp6(me6, dst, mark)), "link", to)
    for group in range(1, 9):
        yield from through(f"igmp-{group}", lambda mark: ip(me4, f"239.0.0.{group}", 2, icmp(0x16, 0, v4(f"239.0.0.{group}")), b"\x94\x04\x00\x00", ttl=1) + mark, "link", f"01:00:5e:00:00:{group:02x}")
        report = icmp6(LL, f"ff15::{group}", 131, bytes(4) + v6(f"ff15::{group}"))
        yield from through(f"mld-{group}", lambda mark: ip6(LL, f"ff15::{group}", 58, report, b"\x3a\x00\x05\x02\x00\x00\x01\x00", 0, 1) + mark, "link", f"33:33:00:00:00:{group:02x}")
    yield from through("own-to-sibling", lambda mark: ip(me4, YOU["v4"], 17, udp(mark)), "link", YOU["mac"])
    yield from through("own-to-sibling6", lambda mark: ip6(me6, YOU["v6"], 17, udp6(me6, YOU["v6"], mark)), "link", YOU["mac"])
    yield from through("own-to-far", lambda mark: ip(me4, FAR[0], 17, udp(mark)), "far")
    yield from through("own-to-far6", lambda mark: ip6(me6, FAR[1], 17, udp6(me6, FAR[1], mark)), "far")


wire = by("eth0")
everything = list(kinds())
names = [name for name, _, _ in everything]
assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
for name, seen, _ in everything:
    print(name, seen)
end = time.monotonic() + float(sys.argv[2])
while True:
    for _, _, frame in everything:
        wire.send(frame)
        time.sleep(0.0005)
    if time.monotonic() > end:
        break
