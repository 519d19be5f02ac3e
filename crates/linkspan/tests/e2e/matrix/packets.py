"""Frames by their parts, for whoever sends what only raw sockets can."""

import socket
import struct


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def v4(text):
    return socket.inet_aton(text)


def v6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def total(data):
    data += bytes(len(data) % 2)
    result = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while result >> 16:
        result = (result & 0xFFFF) + (result >> 16)
    return ~result & 0xFFFF


def ip(src, dst, next, body, options=b"", fragment=0, ttl=64, ident=1):
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(body), ident, fragment, ttl, next, 0)
    head += v4(src) + v4(dst) + options
    return b"\x08\x00" + head[:10] + struct.pack("!H", total(head)) + head[12:] + body


def ip6(src, dst, next, body, before=b"", first=None, hops=255):
    """`before` are extension headers, the first of which is of type `first`; the last must name `next`."""
    head = struct.pack("!IHBB", 6 << 28, len(before) + len(body), next if first is None else first, hops)
    return b"\x86\xdd" + head + v6(src) + v6(dst) + before + body


def sum6(src, dst, next, body, at):
    pseudo = v6(src) + v6(dst) + struct.pack("!II", len(body), next)
    return body[:at] + struct.pack("!H", total(pseudo + body)) + body[at + 2 :]


def udp(mark, sport=1000, dport=80):
    return struct.pack("!4H", sport, dport, 8 + len(mark), 0) + mark


def udp6(src, dst, mark, sport=1000, dport=80):
    return sum6(src, dst, 17, udp(mark, sport, dport), 6)


def icmp6(src, dst, kind, rest):
    return sum6(src, dst, 58, bytes([kind, 0, 0, 0]) + rest, 2)


def icmp(kind, code, rest):
    body = bytes([kind, code, 0, 0]) + rest
    return body[:2] + struct.pack("!H", total(body)) + body[4:]


def arp(op, sender_mac, sender, target, hardware=1):
    words = struct.pack("!HHBBH", hardware, 0x800, 6, 4, op)
    return b"\x08\x06" + words + mac(sender_mac) + v4(sender) + bytes(6) + v4(target) + bytes(18)


def link_local(text):
    raw = mac(text)
    return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:])


def by(interface):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    return wire
