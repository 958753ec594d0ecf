"""``xfrm monitor``: prints events until it is stopped; or those in a file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pyxfrm.cli import as_json
from pyxfrm.cli.options import Options
from pyxfrm.cli.parse import Parsed
from pyxfrm.cli.text.event import event as text_of
from pyxfrm.cli.text.form import Form
from pyxfrm.client import Group
from pyxfrm.client.core import Core
from pyxfrm.client.events import read
from pyxfrm.errors import UsageError
from pyxfrm.transport.base import ALL_GROUPS, LOST, Transport
from pyxfrm.wire.netlink import frames, leftover

__all__ = ["GROUPS", "run"]

GROUPS: dict[str, tuple[Group, ...]] = {
    "all": ALL_GROUPS,
    "acquire": (Group.ACQUIRE,),
    "expire": (Group.EXPIRE,),
    "SA": (Group.SA,),
    "policy": (Group.POLICY,),
    "aevent": (Group.AEVENTS,),
    "report": (Group.REPORT,),
    "migrate": (Group.MIGRATE, Group.MAPPING),
}


def run(options: Options, parsed: Parsed) -> int:
    """Print what comes; ends with Ctrl-C. Where events were lost, a line on stderr says so."""
    if "nokeys" in parsed:
        options = options._replace(keys=False)
    printer = _Printer(options, everywhere="all-nsid" in parsed)
    if "file" in parsed:
        _from_file(printer, parsed.get("file"))
        return 0
    asked = {group for word, groups in GROUPS.items() if word in parsed for group in groups}
    with options.open() as xfrm:
        groups = sorted(asked) or ALL_GROUPS
        if printer.everywhere:
            port = _everywhere(xfrm.transport, groups)
        else:
            port = xfrm.transport.sibling(groups)
        try:
            _follow(printer, port)
        finally:
            port.close()
    return 0


class _Printer:
    """How events are printed. ``nsid``: where the next ones come from, None for here."""

    def __init__(self, options: Options, *, everywhere: bool) -> None:
        self.options = options
        self.form: Form = options.form
        self.everywhere = everywhere
        self.nsid: int | None = None

    def show(self, message: bytes) -> None:
        options = self.options
        if options.json:
            own: dict[str, float] = (
                {"nsid": self.nsid} if self.everywhere and self.nsid is not None else {}
            )
            if options.stamp:
                own["time"] = time.time()
            print(as_json.event(read(message), keys=options.keys, beside=own))
            return
        text = _STAMPS[options.stamp](time.time_ns())
        if self.everywhere:
            text += f"[nsid {'current' if self.nsid is None else self.nsid}]"
        sys.stdout.write(text + text_of(self.form, message))


def _long_stamp(now: int) -> str:
    seconds, rest = divmod(now, 10**9)
    return f"Timestamp: {time.asctime(time.localtime(seconds))} {rest // 1000} usec\n"


def _short_stamp(now: int) -> str:
    seconds, rest = divmod(now, 10**9)
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
    return f"[{date}.{rest // 1000:06}] "


_STAMPS = {"": lambda _: "", "long": _long_stamp, "short": _short_stamp}


def _everywhere(transport: Transport, groups: list[Group] | tuple[Group, ...]) -> Transport:
    """A port that hears other namespaces, too; an engine has none."""
    from pyxfrm.transport.base import Wrapper
    from pyxfrm.transport.everywhere import EverywhereTransport
    from pyxfrm.transport.kernel import KernelTransport
    from pyxfrm.transport.tracer import traced

    while isinstance(transport, Wrapper):
        transport = transport.inner
    if isinstance(transport, KernelTransport):
        return traced(EverywhereTransport(transport, groups))
    return traced(transport.sibling(groups))


def _nsid(port: Transport) -> int | None:
    """Where the last datagram came from."""
    inner = getattr(port, "inner", port)
    found: int | None = getattr(inner, "nsid", None)
    return found


def _follow(printer: _Printer, port: Transport) -> None:
    core = Core(port.portid)
    while port.wait(None):
        data = port.recv()
        if data is None:
            continue
        printer.nsid = _nsid(port)
        for message in core.feed(data):
            if message is LOST:
                print("xfrm: events were lost here: too many came at once", file=sys.stderr)
            else:
                printer.show(message)
        sys.stdout.flush()


def _from_file(printer: _Printer, name: str) -> None:
    """Netlink messages, one behind the other, as they came from a socket."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as why:
        raise UsageError(f"monitor: file: {name}: {why.strerror}") from None
    for start, end in frames(data):
        printer.show(data[start:end])
    left = len(leftover(data))
    if left:
        raise UsageError(f"monitor: file: {name}: its last {left} bytes are no netlink message")
