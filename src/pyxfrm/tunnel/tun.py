"""A TUN device: the inner side that is a network interface of this machine. Needs CAP_NET_ADMIN.

The device lives as long as its file descriptor (no IFF_PERSIST): when the process ends, however it does, the kernel removes the device, and with it the
addresses, routes and settings that were made for it. Nothing else on the machine is touched: no forwarding is switched on, no rule is added.

IPv6 is off on a device that is given no IPv6 address, so that the kernel does not send router solicitations into the tunnel.

Addresses and routes are set with pyroute2 (the extra ``net``). A packet is one ``read`` or ``write`` (linux/if_tun.h: IFF_NO_PI, no header in front).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxfrm.errors import TransportError, UsageError
from pyxfrm.model import Family, Network

if TYPE_CHECKING:
    from pyxfrm.tunnel.place import Via

__all__ = ["Tun"]

_DEVICE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_ifreq = struct.Struct("16sH22x")
_MOST_NAME = 15
_IFA_F_NODAD = 2
_LARGEST = 65536  # whatever the MTU is later set to
_QUEUE = 2000  # packets that wait for us; Linux has 500
_SMALLEST_MTU, _SMALLEST_MTU6 = 68, 1280
_CONF6 = Path("/proc/sys/net/ipv6/conf")


class Tun:
    """A new TUN device. ``name`` may have a ``%d``, for the kernel to number; ``mtu`` in bytes of the inner packets.

    ``refused``  packets from the tunnel that the device did not take (it is down, or they are no IP packets)

    UsageError for a name that is none or is taken; TransportError where there are no TUN devices or they are not allowed.
    """

    def __init__(self, name: str = "xfrm%d", *, mtu: int = 1400) -> None:
        self.refused = 0
        self.mtu = mtu
        _check(name, mtu)
        self._fd = _open()
        try:
            request = _ifreq.pack(name.encode(), _IFF_TUN | _IFF_NO_PI)
            answer = fcntl.ioctl(self._fd, _TUNSETIFF, request)
        except OSError as why:
            os.close(self._fd)
            raise _cannot(name, why) from None
        self.name = _ifreq.unpack(answer)[0].rstrip(b"\0").decode()

    def configure(self, addresses: Sequence[Network] = (), routes: Sequence[Network] = ()) -> None:
        """Set the MTU, give it addresses, bring it up, and route networks to it. TransportError names what the kernel refused."""
        with _iproute() as route:
            index = route.link_lookup(ifname=self.name)[0]
            six = any(one.family is Family.INET6 for one in (*addresses, *routes))
            if six and self.mtu < _SMALLEST_MTU6:
                raise UsageError(f"mtu {self.mtu}: IPv6 needs {_SMALLEST_MTU6} at least")
            self._quiet(off=not six)
            self._do("mtu", route.link, "set", index=index, mtu=self.mtu, txqlen=_QUEUE)
            for one in addresses:
                words = {"index": index, "address": str(one.address), "prefixlen": one.prefix}
                if one.family is Family.INET6:
                    words["flags"] = _IFA_F_NODAD
                self._do(f"address {one}", route.addr, "add", **words)
            self._do("up", route.link, "set", index=index, state="up")
            for one in routes:
                self._do(f"route {one}", route.route, "add", dst=str(one.masked), oif=index)

    def _quiet(self, *, off: bool) -> None:
        """No IPv6 on it, or none that talks by itself; a kernel without IPv6 has no such settings."""
        settings = {"disable_ipv6": 1} if off else {"accept_ra": 0, "router_solicitations": 0}
        for name, value in settings.items():
            with suppress(OSError):
                (_CONF6 / self.name / name).write_text(str(value))

    def _do(self, what: str, call: Any, *words: str, **more: Any) -> None:
        try:
            call(*words, **more)
        except Exception as why:
            code = getattr(why, "code", 0)
            if not code:
                raise
            raise TransportError(f"device {self.name}: {what}: {os.strerror(code)}") from None

    # -- as the inner side of an end ---------------------------------------------------------------

    def fileno(self) -> int:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        return self._fd

    def deadline(self) -> float | None:
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        return None

    def read(self, now: float, most: int) -> Sequence[bytes]:  # noqa: ARG002
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        packets: list[bytes] = []
        read, fd = os.read, self._fd
        try:
            for _ in range(most):
                packets.append(read(fd, _LARGEST))  # noqa: PERF401  # ends in an exception
        except OSError:  # nothing more; or the device is down
            pass
        return packets

    def write(self, packets: Sequence[bytes], via: Via | None, now: float) -> None:  # noqa: ARG002
        """See :class:`~pyxfrm.tunnel.inner.Inner`."""
        write, fd = os.write, self._fd
        for packet in packets:
            try:
                write(fd, packet)
            except OSError:
                self.refused += 1

    def close(self) -> None:
        """The device goes, and all that was made for it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _check(name: str, mtu: int) -> None:
    if not 0 < len(name.encode()) <= _MOST_NAME or "/" in name or name in (".", ".."):
        raise UsageError(f"device {name!r}: a name of 1 to {_MOST_NAME} bytes, without a slash")
    if not _SMALLEST_MTU <= mtu <= 65535:
        raise UsageError(f"mtu {mtu}: bytes, {_SMALLEST_MTU} to 65535")


def _open() -> int:
    try:
        return os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as why:
        raise TransportError(
            f"{_DEVICE}: {why.strerror}; without TUN devices `stream` and `ping` work all the same"
        ) from None


def _cannot(name: str, why: OSError) -> Exception:
    if isinstance(why, PermissionError):
        return TransportError(
            f"device {name}: permission denied; run as root (CAP_NET_ADMIN), or use `stream` or `ping` without a device"
        )
    return UsageError(f"device {name}: {why.strerror}; is the name taken?")


def _iproute() -> Any:
    try:
        from pyroute2 import IPRoute  # type: ignore[import-untyped]
    except ImportError:
        raise TransportError(
            "setting addresses needs pyroute2: pip install 'pyxfrm[net]'; or set them with ip addr, ip link"
        ) from None
    return IPRoute()
