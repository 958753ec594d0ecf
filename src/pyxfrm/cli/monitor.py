"""``xfrm monitor``: prints events until it is stopped."""

from __future__ import annotations

import sys

from pyxfrm.cli import as_json
from pyxfrm.cli.options import Options
from pyxfrm.cli.parse import Parsed
from pyxfrm.cli.text.event import event as text_of
from pyxfrm.client import Group
from pyxfrm.client.core import Core
from pyxfrm.client.events import read
from pyxfrm.transport.base import ALL_GROUPS, LOST, Transport

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
    asked = {group for word, groups in GROUPS.items() if word in parsed for group in groups}
    with options.open() as xfrm:
        port = xfrm.transport.sibling(sorted(asked) or ALL_GROUPS)
        try:
            _follow(options, port)
        finally:
            port.close()
    return 0


def _follow(options: Options, port: Transport) -> None:
    core = Core(port.portid)
    form = options.form
    while port.wait(None):
        data = port.recv()
        if data is None:
            continue
        for message in core.feed(data):
            if message is LOST:
                print("xfrm: events were lost here: too many came at once", file=sys.stderr)
            elif options.json:
                print(as_json.event(read(message), keys=options.keys))
            else:
                sys.stdout.write(text_of(form, message))
        sys.stdout.flush()
