"""The little of rtnetlink that scripts need: devices, addresses, routes.

Works in the calling thread's network namespace, with no dependency. Each function raises OSError
with the kernel's errno. Source: rtnetlink(7), <linux/if_link.h>, <linux/if_addr.h>.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct

__all__ = ["add_address", "add_link", "add_route", "set_link"]

_NETLINK_ROUTE = 0
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_REQUEST_ACK, _CREATE, _EXCL = 0x5, 0x400, 0x200
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO = 3, 4, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_F_NODAD = 1, 2, 8, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
_SCOPE_GLOBAL, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_IFF_UP = 1


def _attr(number: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), number) + payload + bytes(-len(payload) % 4)


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError as problem:  # it comes without an errno
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), device) from problem


def _request(kind: int, flags: int, body: bytes) -> None:
    header = struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as sock:
        sock.send(header + body)
        answer = sock.recv(65536)
    code = -struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise OSError(code, os.strerror(code))


def add_link(name: str, kind: str, peer: str = "") -> None:
    """Make a device of a kind; ``peer`` names the other end of a veth pair."""
    info = _attr(_IFLA_INFO_KIND, kind.encode())
    if peer:
        end = _ifinfo() + _attr(_IFLA_IFNAME, peer.encode() + b"\0")
        info += _attr(_IFLA_INFO_DATA, _attr(_VETH_INFO_PEER, end))
    body = _ifinfo() + _attr(_IFLA_IFNAME, name.encode() + b"\0") + _attr(_IFLA_LINKINFO, info)
    _request(_NEWLINK, _CREATE | _EXCL, body)


def set_link(name: str, *, up: bool = True, mtu: int = 0) -> None:
    """Bring a device up or down and set its MTU (0: leave it)."""
    body = _ifinfo(_index(name), _IFF_UP if up else 0, _IFF_UP)
    if mtu:
        body += _attr(_IFLA_MTU, struct.pack("=I", mtu))
    _request(_NEWLINK, 0, body)


def add_address(device: str, text: str) -> None:
    """Give a device an address, e.g. ``192.0.2.1/24``; IPv6 without duplicate detection."""
    interface = ipaddress.ip_interface(text)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    length = interface.network.prefixlen
    scope = _SCOPE_HOST if interface.is_loopback else _SCOPE_GLOBAL
    index = _index(device)
    body = struct.pack("=BBBBI", family, length, 0, scope, index)
    body += _attr(_IFA_LOCAL, interface.ip.packed) + _attr(_IFA_ADDRESS, interface.ip.packed)
    if interface.version == 6:
        body += _attr(_IFA_FLAGS, struct.pack("=I", _IFA_F_NODAD))
    _request(_NEWADDR, _CREATE | _EXCL, body)


def add_route(destination: str, device: str, gateway: str = "") -> None:
    """Route a network, e.g. ``0.0.0.0/0``, through a device."""
    network = ipaddress.ip_network(destination)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    scope = _SCOPE_GLOBAL if gateway or network.version == 6 else _SCOPE_LINK
    body = struct.pack(
        *("=BBBBBBBBI", family, network.prefixlen, 0, 0, _RT_TABLE_MAIN),
        *(_RTPROT_STATIC, scope, _RTN_UNICAST, 0),
    )
    body += _attr(_RTA_DST, network.network_address.packed)
    body += _attr(_RTA_OIF, struct.pack("=I", _index(device)))
    if gateway:
        body += _attr(_RTA_GATEWAY, ipaddress.ip_address(gateway).packed)
    _request(_NEWROUTE, _CREATE | _EXCL, body)
