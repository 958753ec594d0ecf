"""MIGRATE, the older message: move the SAs that a policy's templates ask for, and the templates with them.

It names no SA. It names a policy, by a packet that the policy would meet, and a list of address pairs, each with protocol, mode and reqid (0: any); an
SA is found by these, the first of its chain. So SAs that share all of that cannot be told apart, and only one of them moves.

An SA that is not there is passed over. If one cannot be moved, or no template of the policy fits, what was made is undone, but larval SAs that a
new one replaced stay away. Both generations exist for a moment: a packet sent in between uses a number that the clone uses again.

Kernels that know MIGRATE_STATE use its rule for the clone (:mod:`pyxfrm.engine.migrate`); then encapsulation that is not given is *removed*, the opposite
of what MIGRATE_STATE does. Kernels before (the profile's ``migrate_as_it_was``) inherit it, know no offload here, compare nothing but the
destination, and try out the clone where the old SA is.

Sources: net/xfrm/xfrm_user.c: xfrm_do_migrate, build_migrate; net/xfrm/xfrm_policy.c: xfrm_migrate, xfrm_migrate_check, xfrm_migrate_policy_find,
xfrm_policy_migrate; net/xfrm/xfrm_state.c: xfrm_migrate_state_find, xfrm_state_migrate.
"""

from __future__ import annotations

import struct
from errno import EAFNOSUPPORT, EINVAL, ENODATA, ENOENT, ENOPROTOOPT
from typing import TYPE_CHECKING

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import KmAddress, UserMigrate, UserPolicyId
from pyxfrm.abi.xfrm import (
    AF_INET,
    AF_INET6,
    IPSEC_ULPROTO_ANY,
    XFRM_MAX_DEPTH,
    XFRM_MODE_TRANSPORT,
    XFRMNLGRP_MIGRATE,
)
from pyxfrm.engine.handlers.migrate_state import create
from pyxfrm.engine.hashing import dst_hash
from pyxfrm.engine.migrate import Move, clone, hand_over
from pyxfrm.engine.policy import Flow, flow_ports
from pyxfrm.engine.policy_encode import type_attribute
from pyxfrm.engine.policy_verify import TUNNEL_MODES, verified_type, verify_direction
from pyxfrm.engine.refusal import Refusal
from pyxfrm.engine.replies import attr, message
from pyxfrm.engine.sa import key_of
from pyxfrm.engine.sa_build import init_state
from pyxfrm.engine.sa_install import add_sa, delete_sa, insert_sa
from pyxfrm.wire.codec import codec

if TYPE_CHECKING:
    from pyxfrm.abi.structs import Selector, UserTmpl
    from pyxfrm.engine.core import Engine
    from pyxfrm.engine.policy import Policy
    from pyxfrm.engine.request import Request
    from pyxfrm.engine.sa import Sa

__all__ = ["migrate"]

_id = codec(UserPolicyId).decode
_entry = codec(UserMigrate)
_kmaddress = codec(KmAddress)
_u32 = struct.Struct("=I").unpack_from
_SELECTOR = 56
_ENCAP = 24
_OFFLOAD = 8
_LEAD = 40  # bits of IV that each clone too many has for itself


def migrate(request: Request) -> None:
    """XFRM_MSG_MIGRATE."""
    engine = request.engine
    if not engine.profile.migrate:
        raise Refusal(ENOPROTOOPT)
    if m.XFRMA_MIGRATE not in request.attrs:
        raise Refusal(EINVAL, "Missing required MIGRATE attribute")
    kind = verified_type(request)
    entries = _entries(request.attrs[m.XFRMA_MIGRATE])
    _check(entries)
    asked = _id(request.data, request.body)
    verify_direction(asked.dir)
    raw = request.attrs.get(m.XFRMA_IF_ID)
    if_id = int(_u32(raw)[0]) if raw else 0
    policy = _find_policy(engine, asked.sel, asked.dir, kind, if_id)
    old, new = _move_states(request, entries, if_id)
    templates = _moved_templates(policy, entries)
    if templates is None:
        for sa in new:
            delete_sa(engine, sa)
        raise Refusal(ENODATA)
    policy.templates = templates
    for sa in old:
        delete_sa(engine, sa)
    _hand_over(engine, old, new)
    engine.multicast(XFRMNLGRP_MIGRATE, _event(request, asked.dir, kind, entries))


def _entries(raw: bytes) -> list[UserMigrate]:
    count = len(raw) // _entry.size
    if count > XFRM_MAX_DEPTH:
        raise Refusal(
            EINVAL, "Invalid number of SAs to migrate, must be 0 < num <= XFRM_MAX_DEPTH (6)"
        )
    return [_entry.decode(raw, at) for at in range(0, count * _entry.size, _entry.size)]


def _check(entries: list[UserMigrate]) -> None:
    """New addresses that are addresses, and no entry twice."""
    for at, one in enumerate(entries):
        if _is_any(one.new_daddr, one.new_family) or _is_any(one.new_saddr, one.new_family):
            raise Refusal(EINVAL, "Addresses in the MIGRATE attribute's list cannot be null")
        if any(_asks_the_same(one, other) for other in entries[at + 1 :]):
            raise Refusal(EINVAL, "Entries in the MIGRATE attribute's list must be unique")


def _is_any(address: bytes, family: int) -> bool:
    if family == AF_INET:
        return not any(address[:4])
    return family == AF_INET6 and not any(address)


def _asks_the_same(one: UserMigrate, other: UserMigrate) -> bool:
    return (one.old_daddr, one.old_saddr, one.proto, one.mode, one.reqid, one.old_family) == (
        other.old_daddr,
        other.old_saddr,
        other.proto,
        other.mode,
        other.reqid,
        other.old_family,
    )


# -- the policy --------------------------------------------------------------------------------------


def _find_policy(engine: Engine, sel: Selector, direction: int, kind: int, if_id: int) -> Policy:
    """The policy met by a packet from the selector's source address to its destination address."""
    if sel.family not in (AF_INET, AF_INET6):
        raise Refusal(EAFNOSUPPORT, "Target policy not found")
    flow = Flow(sel.family, sel.daddr, sel.saddr, proto=sel.proto)
    if sel.proto != IPSEC_ULPROTO_ANY:
        dport, sport = flow_ports(sel.proto, sel.dport, sel.sport)
        flow = flow._replace(dport=dport, sport=sport, oif=sel.ifindex)
    policy = engine.spd.lookup(flow, direction, kind, if_id)
    if policy is None:
        raise Refusal(ENOENT, "Target policy not found")
    return policy


def _hand_over(engine: Engine, old: list[Sa], new: list[Sa]) -> None:
    """What packets have used goes over with the SA.

    An SA that two entries name has two clones with the same key and the same next number: packets of the second get IVs far ahead.
    """
    done: set[int] = set()
    for before, after in zip(old, new, strict=True):
        if id(before) in done:
            engine.twins += 1
            after.iv_lead = engine.twins << _LEAD
        else:
            done.add(id(before))
            hand_over(engine, after, before)


def _moved_templates(policy: Policy, entries: list[UserMigrate]) -> tuple[UserTmpl, ...] | None:
    """The templates with their new addresses; None if no entry fits any of them."""
    fitted = False
    made = []
    for tmpl in policy.templates:
        for entry in entries:
            if _fits(entry, tmpl):
                fitted = True
                if tmpl.mode in TUNNEL_MODES:
                    tmpl = tmpl._replace(
                        id=tmpl.id._replace(daddr=entry.new_daddr),
                        saddr=entry.new_saddr,
                        family=entry.new_family,
                    )
        made.append(tmpl)
    return tuple(made) if fitted else None


def _fits(entry: UserMigrate, tmpl: UserTmpl) -> bool:
    if tmpl.mode != entry.mode or tmpl.id.proto != entry.proto:
        return False
    if entry.reqid not in (0, tmpl.reqid):
        return False
    if tmpl.mode in TUNNEL_MODES:
        family = entry.old_family
        return _equal(tmpl.id.daddr, entry.old_daddr, family) and _equal(
            tmpl.saddr, entry.old_saddr, family
        )
    return tmpl.mode == XFRM_MODE_TRANSPORT


def _equal(one: bytes, other: bytes, family: int) -> bool:
    """Whether two addresses are equal (xfrm_addr_equal): by their first four bytes unless it is IPv6."""
    return one == other if family == AF_INET6 else one[:4] == other[:4]


# -- the SAs -------------------------------------------------------------------------------------------


def _move_states(
    request: Request, entries: list[UserMigrate], if_id: int
) -> tuple[list[Sa], list[Sa]]:
    """The SAs found and their clones, which are installed; nothing is, if one fails."""
    engine = request.engine
    install = _move_as_it_was if engine.profile.migrate_as_it_was else _move
    found: list[Sa] = []
    made: list[Sa] = []
    for entry in entries:
        old = _find_state(engine, entry, if_id)
        if old is None:
            continue
        found.append(old)
        try:
            made.append(install(request, old, entry))
        except Refusal as no:
            for sa in made:
                delete_sa(engine, sa)
            raise Refusal(ENODATA, no.text) from no
    return found, made


def _find_state(engine: Engine, entry: UserMigrate, if_id: int) -> Sa | None:
    sadb = engine.sadb
    family = entry.old_family
    reqid = entry.reqid or None  # 0: any
    for sa in sadb.between(entry.old_daddr, entry.old_saddr, family, reqid):
        if sa.family == family and _answers(sa, entry, if_id):
            return sa
    # The kernel never asks for the family: an SA of another one, in the same bucket by chance, may do.
    strays = [
        sa
        for sa in sadb
        if sa.family != family
        and _answers(sa, entry, if_id)
        and _equal(sa.daddr, entry.old_daddr, family)
        and _equal(sa.saddr, entry.old_saddr, family)
        and _same_bucket(sa, entry, sadb.buckets)
    ]
    return max(strays, key=lambda sa: sa.rank, default=None)


def _answers(sa: Sa, entry: UserMigrate, if_id: int) -> bool:
    return (
        sa.traits.mode == entry.mode
        and sa.proto == entry.proto
        and entry.reqid in (0, sa.reqid)
        and if_id in (0, sa.traits.if_id)
    )


def _same_bucket(sa: Sa, entry: UserMigrate, buckets: int) -> bool:
    """In the table by destination if a reqid is asked for, else in the one by source, which knows none."""
    reqid = sa.reqid if entry.reqid else 0
    one = dst_hash(sa.daddr, sa.saddr, reqid, sa.family)
    other = dst_hash(entry.old_daddr, entry.old_saddr, entry.reqid, entry.old_family)
    return (one ^ other) & (buckets - 1) == 0


def _move(request: Request, old: Sa, entry: UserMigrate) -> Sa:
    """Clone an SA by the common rule and install the clone."""
    engine, attrs = request.engine, request.attrs
    encap = attrs.get(m.XFRMA_ENCAP)
    offload = attrs.get(m.XFRMA_OFFLOAD_DEV)
    move = _asked(old, entry, encap[:_ENCAP] if encap else None)
    new = create(request, old, move, offload[:_OFFLOAD] if offload else None)
    if entry.new_family == entry.old_family and _equal(
        old.daddr, entry.new_daddr, entry.new_family
    ):
        insert_sa(engine, new)
        return new
    try:
        add_sa(engine, new)
    except Refusal as no:
        raise Refusal(no.errno, "Failed to add migrated state") from no
    return new


def _move_as_it_was(request: Request, old: Sa, entry: UserMigrate) -> Sa:
    """Clone an SA as kernels without MIGRATE_STATE do, which never say what is wrong."""
    engine = request.engine
    encap = request.attrs.get(m.XFRMA_ENCAP)
    move = _asked(old, entry, encap[:_ENCAP] if encap else old.encap)
    try:
        new = clone(old, move._replace(daddr=old.daddr, saddr=old.saddr))
        init_state(engine, new)
    except Refusal as no:
        raise Refusal(no.errno) from no
    new.daddr, new.saddr = entry.new_daddr, entry.new_saddr
    new.key = key_of(new.daddr, new.spi, new.family, new.proto)
    if _equal(old.daddr, entry.new_daddr, entry.new_family):
        insert_sa(engine, new)
    else:
        add_sa(engine, new)
    return new


def _asked(old: Sa, entry: UserMigrate, encap: bytes | None) -> Move:
    return Move(
        entry.new_daddr,
        entry.new_saddr,
        entry.new_family,
        old.reqid,
        old.sel,
        encap,
        old.mark,
        old.smark,
        old.mapping_maxage,
        old.nat_keepalive,
    )


# -- the notification ----------------------------------------------------------------------------------


def _event(request: Request, direction: int, kind: int, entries: list[UserMigrate]) -> bytes:
    """The policy as it was asked for, and every entry in an attribute of its own; it names no cause."""
    attrs = request.attrs
    payload = request.data[request.body : request.body + _SELECTOR]
    payload += struct.pack("=IBxxx", 0, direction)
    raw = attrs.get(m.XFRMA_KMADDRESS)
    if raw is not None:
        told = _kmaddress.decode(raw)._replace(pad=bytes(2))
        payload += attr(m.XFRMA_KMADDRESS, _kmaddress.encode(told))
    encap = attrs.get(m.XFRMA_ENCAP)
    if encap is not None:
        payload += attr(m.XFRMA_ENCAP, encap[:_ENCAP])
    payload += type_attribute(kind)
    for entry in entries:
        payload += attr(m.XFRMA_MIGRATE, _entry.encode(entry._replace(reserved=0)))
    return message(m.XFRM_MSG_MIGRATE, 0, 0, 0, payload)
