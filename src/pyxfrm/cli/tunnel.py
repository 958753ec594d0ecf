"""``xfrm tunnel run | pair | keys | list``: VPN ends in user space, whose engines other commands can ask.

xfrm tunnel run name gw tun vpn0                    an empty engine behind a TUN device, for an IKE daemon or a script to fill
xfrm --engine gw state add ...                      which is done like this
xfrm tunnel pair stream 1000                        two ends on loopback and a stream between them, without privileges
xfrm --engine left state migrate ...                which can be moved while it flows
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

from pyxfrm.abi.profiles import profile_named
from pyxfrm.cli import tunnel_view
from pyxfrm.cli.as_json import document
from pyxfrm.cli.options import Options
from pyxfrm.cli.parse import Found, Parsed
from pyxfrm.engine import Engine
from pyxfrm.model import Address, Network, ip, network
from pyxfrm.tunnel import End, Inner, Keys, Point, Static, Station, Tun
from pyxfrm.tunnel.keyfile import make_keys, take_keys
from pyxfrm.tunnel.names import running, socket_of, tidy

__all__ = ["keys", "list", "pair", "run"]

_PORT = 4500
_LEFT, _RIGHT = network("10.9.0.1"), network("10.9.0.2")
_PLACES = (Point(ip("127.0.0.1"), 14500), Point(ip("127.0.0.2"), 14500))


def run(options: Options, parsed: Parsed) -> int:
    """One end, until Ctrl-C, SIGTERM or its time is over."""
    name = parsed.get("name", "tunnel")
    view = _static(parsed)  # with keys that are nobody's, until the end is sure to run
    with ExitStack() as stack:
        stack.callback(tidy)
        ending = stack.enter_context(tunnel_view.Ending())
        inner = _inner(parsed, view)
        end = stack.enter_context(_end(parsed, inner))
        end.serve(path := socket_of(name, make=True))
        found = parsed.last("keys")
        if view is not None and found is not None:
            view.keys = take_keys(found.value, found.more["side"].value)
            view.install(end.client())
        _say(f"{name} serves at {path}: xfrm --engine {name} state list; Ctrl-C ends it")
        if isinstance(inner, Tun):
            _say(f"{name} has the device {inner.name}")
        source = _sources(parsed, inner, view)
        tunnel_view.follow([(name, end)], source, options, parsed.get("seconds"), ending)
        _report(options, {name: end})
    return 0


def pair(options: Options, parsed: Parsed) -> int:
    """Two ends in this process, on loopback, with keys that nobody else ever has."""
    here, there = _PLACES
    view = Static(Keys.fresh(), here, there, [_LEFT], [_RIGHT])
    names = "left", "right"
    stations = Station(_LEFT.address, keep=False), Station(_RIGHT.address, keep=False)
    with ExitStack() as stack:
        stack.callback(tidy)
        ending = stack.enter_context(tunnel_view.Ending())
        ends = [stack.enter_context(_end(parsed, station, hold=1.0)) for station in stations]
        for end, name, one in zip(ends, names, (view, view.mirror()), strict=True):
            end.serve(socket_of(name, make=True))
            one.install(end.client())
        _say(f"left is {here}, right {there}; look: xfrm --engine left state list")
        source = _sources(parsed, stations[0], view) or tunnel_view.Sources(
            stream=stations[0].stream(_RIGHT.address, rate=1000)
        )
        both = [*zip(names, ends, strict=True)]
        tunnel_view.follow(both, source, options, parsed.get("seconds"), ending, sink=stations[1])
        _report(options, dict(both))
    return 0


def keys(_: Options, parsed: Parsed) -> int:
    """A file of new keys."""
    path = parsed.get("file")
    if path is None:
        raise parsed.refuse("file is missing: where to write them")
    make_keys(path)
    _say(f"{path}: new keys; copy it to the other end, where the side is the other one")
    return 0


def list(options: Options, parsed: Parsed) -> int:  # noqa: A001, ARG001  # the verb's name
    """The ends that serve on this machine."""
    found = [(name, str(socket_of(name)), serves) for name, serves in running()]
    if options.json:
        rows = [{"name": name, "path": path, "serves": serves} for name, path, serves in found]
        print(document("tunnels", rows))
        return 0
    for name, path, serves in found:
        print(f"{name:<16} {path}{'' if serves else '  (gone)'}")
    return 0


# -- what was asked for ------------------------------------------------------------------------------


def _end(parsed: Parsed, inner: Inner, hold: float = 0.0) -> End:
    """An end as ``drain``, ``hold`` and ``profile`` say; inner is closed if it cannot be made."""
    try:
        return End(
            inner,
            engine=Engine(profile_named(parsed.get("profile", "7.2"))),
            drain=parsed.get("drain", 1.0),
            hold=parsed.get("hold", hold or (1.0 if "keys" in parsed else 0.0)),
        )
    except BaseException:
        inner.close()
        raise


def _static(parsed: Parsed) -> Static | None:
    """The tunnel that ``keys`` asks for, with other keys: says what is wrong before those of the file are used up."""
    found = parsed.last("keys")
    given = [word for word in ("local", "remote", "inner", "peer") if word in parsed]
    if found is None:
        if given:
            raise parsed.refuse(f"{given[0]}: needs keys FILE side left|right, too")
        return None
    for word in ("local", "remote", "inner", "peer"):
        if word not in parsed:
            raise parsed.refuse(f"keys: {word} is missing")
    side = found.more.get("side")
    if side is None:
        raise parsed.refuse("keys: side is missing: left at one end, right at the other")
    ends = point(parsed.get("local"), parsed), point(parsed.get("remote"), parsed)
    inner = [[one.value for one in parsed.all(word)] for word in ("inner", "peer")]
    _say("fixed keys are for tests: no IKE makes new ones, and each file serves each side once")
    return Static(Keys.fresh(), *ends, *inner)


def point(text: str, parsed: Parsed) -> Point:
    """``ADDR``, ``ADDR:PORT``, ``[ADDR]:PORT``; ``ADDR:esp`` is ESP without UDP."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = text, str(_PORT)
    address = ip(host.removeprefix("[").removesuffix("]"))
    if port == "esp":
        return Point(address, None)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise parsed.refuse(f'"{text}": the port is 1 to 65535, or esp for ESP without UDP')
    return Point(address, int(port))


def _inner(parsed: Parsed, view: Static | None) -> Inner:
    """A TUN device, or a station with the first address of each ``address`` or ``inner``."""
    addresses: tuple[Network, ...] = tuple(one.value for one in parsed.all("address"))
    tun = parsed.last("tun")
    if tun is None:
        if not addresses and view is not None:
            addresses = view.inner_here
        return Station(*(one.address for one in addresses), keep=False)
    if "stream" in parsed or "ping" in parsed:
        raise parsed.refuse("tun: stream and ping are for ends without a device")
    routes = [one.value for one in parsed.all("route")] or (view.inner_there if view else ())
    mtu = tun.more.get("mtu")
    device = Tun(tun.value) if mtu is None else Tun(tun.value, mtu=mtu.value)
    try:
        device.configure(addresses, routes)
    except BaseException:
        device.close()
        raise
    return device


def _sources(parsed: Parsed, inner: Inner, view: Static | None) -> tunnel_view.Sources | None:
    """The stream and the ping that were asked for, towards ``to`` or the other end's first address."""
    stream, ping = parsed.last("stream"), parsed.last("ping")
    if not isinstance(inner, Station) or not (stream or ping):
        return None
    to = _target(parsed, view)
    return tunnel_view.Sources(
        stream=inner.stream(to, **_rate(stream, 200)) if stream else None,
        ping=inner.ping(to, **_rate(ping, 56)) if ping else None,
    )


def _target(parsed: Parsed, view: Static | None) -> Address:
    to = parsed.get("to")
    if to is not None:
        address: Address = to.address
        return address
    if view is None:
        raise parsed.refuse("to is missing: the address that stream or ping goes to")
    return view.inner_there[0].address


def _rate(found: Found, size: int) -> dict[str, Any]:
    more = {word: one.value for word, one in found.more.items()}
    return {"rate": float(found.value), "size": more.get("size", size), "total": more.get("count")}


# -- what is said ------------------------------------------------------------------------------------


def _say(line: str) -> None:
    print(f"xfrm: {line}", file=sys.stderr, flush=True)


def _report(options: Options, ends: dict[str, End]) -> None:
    """What the ends counted."""
    if options.json:
        for name, end in ends.items():
            counts = {one.name: getattr(end.stats, one.name) for one in fields(end.stats)}
            row = {"name": name, **counts, "xfrm_stat": _moved(end)}
            print(document("end", {**row, "problems": end.problems}))
        return
    for name, end in ends.items():
        stats = end.stats
        drops = {**_moved(end), **stats.unsent}
        if stats.clear_out:
            drops["without policy"] = stats.clear_out
        told = ", ".join(f"{what} {count}" for what, count in drops.items()) or "none"
        _say(f"{name}: {stats.packets_out} packets out, {stats.packets_in} in; dropped: {told}")
        for problem in end.problems:
            _say(f"{name}: {problem}")


def _moved(end: End) -> dict[str, int]:
    return {name: count for name, count in end.datapath.stat.items() if count}
