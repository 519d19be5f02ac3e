"""A DHCP server that lies in the way its argument says."""
import socket
import struct
import sys

how = sys.argv[1]
moved = False
server = bytes([10, 77, 0, 1])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
sock.bind(("", 67))
print("ready")


def options(data):
    found, at = {}, 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def option(code, value):
    return bytes([code, len(value)]) + value


while True:
    data, _ = sock.recvfrom(4096)
    if len(data) < 241 or data[0] != 1:
        continue
    asked = options(data)
    kind = asked.get(53, b"\0")[0]
    print("asked", kind)
    if how == "silent" or kind not in (1, 3):
        continue
    xid, address, seconds, mask = data[4:8], bytes([10, 77, 0, 77]), 3600, bytes([255, 255, 255, 0])
    answer = 2 if kind == 1 else 5
    if how == "number":
        xid = bytes([xid[0] ^ 1]) + xid[1:]
    elif how == "outside":
        address = bytes([10, 77, 0, 255])
    elif how == "multicast":
        address = bytes([224, 0, 0, 9])
    elif how == "nothing":
        seconds = 0
    elif how == "mask":
        mask = bytes([255, 0, 255, 0])
    elif how == "moved":
        seconds, old = 6, data[12:16]
        if old == address:
            print("no")
            answer, address = 6, bytes(4)
            moved = True
        elif moved:
            address = bytes([10, 77, 0, 78])
    elif how == "nak" and kind == 3:
        answer, address = 6, bytes(4)
    head = bytes([2, 1, 6, 0]) + xid + bytes(8) + address + bytes(8) + data[28:44] + bytes(192)
    body = option(53, bytes([answer])) + option(54, server) + option(1, mask) + option(51, struct.pack("!I", seconds))
    message = head + bytes([99, 130, 83, 99]) + body + b"\xff"
    if how == "garbage":
        message = bytes(range(256)) * 4
    elif how == "cut":
        message = message[:200]
    sock.sendto(message, ("255.255.255.255", 68))
