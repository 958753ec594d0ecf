"""``xfrm state``: one function a verb."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

from pyxfrm.abi import xfrm as c
from pyxfrm.cli import as_json, build
from pyxfrm.cli.options import Options
from pyxfrm.cli.output import show_all, show_one
from pyxfrm.cli.parse import Found, Parsed
from pyxfrm.cli.streams import note
from pyxfrm.cli.text.state import state as text_of
from pyxfrm.client import Moved, SaRecord, ShadowedError, Xfrm, safety, verbs
from pyxfrm.errors import UsageError, XfrmError
from pyxfrm.model import (
    HOST_TO_HOST,
    INHERIT,
    REMOVE,
    Encap,
    Family,
    HostToHost,
    Inherit,
    Mark,
    Migration,
    Mode,
    Network,
    Offload,
    OffloadFlag,
    Proto,
    Remove,
    SaDir,
    SaId,
    Selector,
)

__all__ = [
    "add",
    "allocspi",
    "count",
    "delete",
    "deleteall",
    "flush",
    "get",
    "list",  # the verb's name
    "migrate",
    "update",
]


def add(options: Options, parsed: Parsed) -> int:
    """``state add``."""
    sa = build.sa(parsed, options.family)
    with options.open() as xfrm:
        note(xfrm.add_sa(sa).warning)
    return 0


def update(options: Options, parsed: Parsed) -> int:
    """``state update``."""
    sa = build.sa(parsed, options.family)
    with options.open() as xfrm:
        _check(xfrm, options, parsed, sa.id)
        note(xfrm.update_sa(sa, check=False).warning)
    return 0


def _check(xfrm: Xfrm, options: Options, parsed: Parsed, name: SaId) -> None:
    """Refuse if the kernel takes another SA than the one named, which iproute2 would not know.

    Where no mask was written, none is meant: an SA whose mark has the value named will do, if no other fits.
    """
    if options.unchecked:
        return
    try:
        xfrm.run(safety.guard(name))
    except ShadowedError as why:
        found = parsed.last("mark")
        loose = found is None or "mask" not in found.more
        if not (loose and not why.others and _value(why.picked.mark) == _value(name.mark)):
            raise _refused(why) from None


def _value(mark: Mark | None) -> int:
    return mark.value if mark else 0


def _refused(why: safety.AmbiguousError) -> XfrmError:
    return XfrmError(f"{why}; with --unchecked it is done all the same")


def allocspi(options: Options, parsed: Parsed) -> int:
    """``state allocspi``."""
    name, saddr = build.sa_id(parsed, options.family)
    if "spi" in parsed.group("ID"):
        raise parsed.refuse("spi: the kernel chooses one; min and max say from where")
    if ("min" in parsed) != ("max" in parsed):
        raise parsed.refuse(f"{'max' if 'min' in parsed else 'min'} is missing")
    comp = name.proto == Proto.COMP
    low = parsed.get("min", 1 if comp else 0x100)
    high = parsed.get("max", 0xFFFF if comp else 0xFFFFFFFF)
    if low > high:
        raise parsed.refuse(f"min: {low} is over max {high}")
    direction = parsed.get("dir")
    request = verbs.allocate_spi(
        name,
        saddr,
        Mode(parsed.get("mode", c.XFRM_MODE_TRANSPORT)),
        low=low,
        high=high,
        reqid=parsed.get("reqid", 0),
        dir=None if direction is None else SaDir(direction),
        cpu=parsed.get("pcpu-num"),
        acquire_seq=parsed.get("seq", 0),
    )
    with options.open() as xfrm:
        _show_one(options, xfrm.call(request))
    return 0


def _show_one(options: Options, record: SaRecord) -> None:
    show_one(options, "state", record, text_of, partial(as_json.state, keys=options.keys))


def get(options: Options, parsed: Parsed) -> int:
    """``state get``."""
    name, _ = build.sa_id(parsed, options.family)
    with options.open() as xfrm:
        _show_one(options, xfrm.get_sa(name))
    return 0


def delete(options: Options, parsed: Parsed) -> int:
    """``state delete``."""
    name, _ = build.sa_id(parsed, options.family)
    with options.open() as xfrm:
        _check(xfrm, options, parsed, name)
        xfrm.delete_sa(name, check=False)
    return 0


# -- many ----------------------------------------------------------------------------------------------


def _matcher(parsed: Parsed, family: Family | None) -> Callable[[SaRecord], bool]:
    """Whether an SA is one that the words ask for."""
    ident = parsed.group("ID")
    src, dst = ident.get("src"), ident.get("dst")
    build.require_family(parsed, family, src, dst)
    build.require_spi_of(parsed)
    family = src.family if src else dst.family if dst else family
    wanted = {
        "proto": ident.get("proto"),
        "spi": ident.get("spi"),
        "mode": parsed.get("mode"),
        "reqid": parsed.get("reqid"),
        "flags": build.flags_of(parsed, "flag") if "flag" in parsed else None,
        "family": family,
    }

    def matches(record: SaRecord) -> bool:
        info = record.info
        got = {
            "proto": info.id.proto,
            "spi": info.id.spi,
            "mode": info.mode,
            "reqid": info.reqid,
            "flags": info.flags,
            "family": info.family,
        }
        return all(value is None or got[key] == value for key, value in wanted.items())

    return matches


def _matching(xfrm: Xfrm, options: Options, parsed: Parsed) -> Iterator[SaRecord]:
    """The SAs that the words ask for, as they come; addresses are looked at by the kernel."""
    matches = _matcher(parsed, options.family)
    ident = parsed.group("ID")
    src: Network | None = ident.get("src")
    dst: Network | None = ident.get("dst")
    return (record for record in xfrm.sas(saddr=src, daddr=dst) if matches(record))


def list(options: Options, parsed: Parsed) -> int:  # noqa: A001  # the verb's name
    """``state list``."""
    if "nokeys" in parsed:
        options = options._replace(keys=False)
    with options.open() as xfrm:
        records = _matching(xfrm, options, parsed)
        show_all(options, "states", records, text_of, partial(as_json.state, keys=options.keys))
    return 0


def deleteall(options: Options, parsed: Parsed) -> int:
    """``state deleteall``: helpers of IPComp, which go with their SA, are passed over."""
    matches = _matcher(parsed, options.family)
    ident = parsed.group("ID")
    src: Network | None = ident.get("src")
    with options.open() as xfrm:
        # Whoever could be hit instead has the same destination, but maybe another source.
        table = [*xfrm.sas(daddr=ident.get("dst"))]
        doomed = [
            record
            for record in table
            if matches(record)
            and record.proto not in (Proto.IPIP, Proto.IPV6)
            and (src is None or record.saddr in src)
        ]
        hit = None if options.unchecked else safety.bystander(table, doomed)
        if hit is not None:
            _confirm(xfrm, *hit)
        for ticket in xfrm.batch(verbs.delete_sa(record.id) for record in doomed):
            ticket.result()
    return 0


def _confirm(xfrm: Xfrm, meant: SaRecord, hit: SaRecord) -> None:
    """Refuse, unless this kernel tells the two apart: one that compares marks exactly does."""
    try:
        xfrm.run(safety.guard(meant.id))
    except ShadowedError:
        raise _refused(ShadowedError(meant.id, hit, (meant,))) from None


def flush(options: Options, parsed: Parsed) -> int:
    """``state flush``."""
    proto = parsed.get("proto")
    with options.open() as xfrm:
        if options.stats > 1:
            shown = "0" if proto is None else str(Proto(proto))
            print(f'Flush state with XFRM-PROTO value "{shown}"', file=sys.stderr)
        xfrm.flush_sas(None if proto is None else Proto(proto))
    return 0


def count(options: Options, _: Parsed) -> int:
    """``state count``."""
    with options.open() as xfrm:
        info = xfrm.sad_info()
    if options.json:
        fields = {"sas": info.sas, "buckets": info.buckets, "max_buckets": info.max_buckets}
        print(as_json.document("count", fields))
        return 0
    text = f"\t SAD count {info.sas}"
    if options.stats:
        text += f" (buckets count {info.buckets} Max {info.max_buckets})"
    print(text)
    return 0


# -- moves ---------------------------------------------------------------------------------------------


def migrate(options: Options, parsed: Parsed) -> int:
    """``state migrate``: the SA's own selector is kept unless another is asked for."""
    name, _ = build.sa_id(parsed, options.family)
    with options.open() as xfrm:
        move = _migration(xfrm, parsed, name)
        try:
            moved = xfrm.migrate_sa(move, check=not options.unchecked, verify=False)
        except safety.AmbiguousError as why:
            raise _refused(why) from None
        note(moved.warning if "notification" not in moved.warning else "")
        if options.json:
            _show_moved(moved)
    return 0


def _show_moved(moved: Moved) -> None:
    fields = {"id": as_json.sa_id(moved.move.new_id), "warning": moved.warning}
    print(as_json.document("moved", fields))


def _migration(xfrm: Xfrm, parsed: Parsed, name: SaId) -> Migration:
    new_src, new_dst = parsed.get("new-src"), parsed.get("new-dst")
    build.require_family(parsed, None, new_src, new_dst)
    family = new_dst.family
    mark = parsed.last("new-mark")
    return Migration(
        name,
        new_src.address,
        new_dst.address,
        parsed.get("new-reqid"),
        _new_selector(xfrm, parsed, name, family),
        INHERIT if mark is None else build.mark(mark) or REMOVE,
        _encap(parsed.last("encap"), family),
        _offload(parsed.last("offload")),
        _set_mark(parsed.last("set-mark")),
        parsed.get("mtimer-thresh", INHERIT),
        parsed.get("nat-keepalive", INHERIT),
    )


def _new_selector(xfrm: Xfrm, parsed: Parsed, name: SaId, family: Family) -> Selector | HostToHost:
    sel = parsed.last("new-sel")
    if "update-h2h-sel" in parsed:
        if sel is not None:
            raise parsed.refuse("new-sel and update-h2h-sel say two things")
        return HOST_TO_HOST
    if sel is not None and sel.run is not None:
        return build.selector(sel.run, None, family)
    return xfrm.get_sa(name).sel


def _encap(found: Found | None, family: Family) -> Encap | Inherit | Remove:
    if found is None:
        return INHERIT
    one: Found = found.value
    if one.word == "none":
        return REMOVE
    sport, dport, oa = one.values
    if not oa.is_any and oa.family != family:
        raise UsageError(f'encap: OADDR "{oa}" is not of the new address family')
    return Encap(sport, dport, oa=oa)


def _offload(found: Found | None) -> Offload | Inherit | Remove:
    if found is None:
        return INHERIT
    one: Found = found.value
    if one.word == "none":
        return REMOVE
    made = build.offload(one)
    assert made is not None  # noqa: S101  # something was found
    packet = OffloadFlag.PACKET if one.word == "packet" else OffloadFlag(0)
    return Offload(made.ifindex, made.flags | packet)


def _set_mark(found: Found | None) -> Mark | Inherit | Remove:
    if found is None:
        return INHERIT
    return build.mark(found) or REMOVE
