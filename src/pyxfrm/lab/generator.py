"""Sequences of netlink messages for a kernel and an engine to disagree about.

Most messages are valid or nearly so (:mod:`pyxfrm.lab.grammar`), for a random byte string tells little after the first check has refused it. Some are sent
again, with other attributes, or as an update, or as a deletion: so they meet what they have made. On top, a share of messages is damaged: an
attribute dropped, doubled, cut short, grown, swapped or one that belongs elsewhere; a field set to an edge value; another type or flag; raw bytes
changed. Everything follows from a seed.
"""

from __future__ import annotations

import random
import struct
import sys
from collections import deque
from typing import Any, NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi import xfrm as x
from pyxfrm.abi.messages import ATTRIBUTES, MESSAGES
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.errors import MalformedError
from pyxfrm.lab.grammar import KINDS, WEIGHTS
from pyxfrm.lab.picker import Attrs, Picker
from pyxfrm.wire.attrs import Attr
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import build, decode

__all__ = [
    "Generator",
    "Op",
    "SOCKETS",
    "Socket",
]

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Bytes that are left alone: a limit in seconds would expire in the middle, a range of SPIs be drawn from.
_LIMITS = range(16 + 72, 16 + 168)
_RANGE = range(16 + 224, 16 + 232)
_REMEMBERED = 25  # messages that may be sent again
_TYPES = (0, 1, 2, 3, 4, 15, 16, 0x29, 0x2A, 0x2B, 0x40, 0x110, 0xFFFF)
# Messages with the same structure.
_AKIN = {
    kind: akin
    for akin in (
        (m.XFRM_MSG_NEWSA, m.XFRM_MSG_UPDSA),
        (m.XFRM_MSG_GETSA, m.XFRM_MSG_DELSA),
        (m.XFRM_MSG_NEWPOLICY, m.XFRM_MSG_UPDPOLICY),
        (m.XFRM_MSG_GETPOLICY, m.XFRM_MSG_DELPOLICY),
        (m.XFRM_MSG_GETAE, m.XFRM_MSG_NEWAE),
    )
    for kind in akin
}
_SIZES = (0, 1, 2, 3, 4, 8, 12, 16, 20, 24, 40, 64)


class Socket(NamedTuple):
    """A socket that takes part: its groups and options."""

    groups: tuple[int, ...]
    ext_ack: bool
    cap_ack: bool


SOCKETS = (
    Socket((x.XFRMNLGRP_SA, x.XFRMNLGRP_POLICY, x.XFRMNLGRP_MIGRATE), True, False),
    Socket((), True, True),
    Socket((x.XFRMNLGRP_EXPIRE, x.XFRMNLGRP_AEVENTS, x.XFRMNLGRP_ACQUIRE), False, False),
)


class Op(NamedTuple):
    """One send: on which socket, which datagram."""

    socket: int
    data: bytes


class Generator:
    """One sequence after another, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311  # nothing secret: repeatability is the point
        self.picker = Picker(self.rng)
        self.seq = 0
        self._sent: deque[bytes] = deque(maxlen=_REMEMBERED)

    def sequence(self, length: int) -> list[Op]:
        """``length`` sends."""
        self._sent.clear()
        return [self.op() for _ in range(length)]

    def op(self) -> Op:
        """One send: mostly one message, sometimes several in a datagram."""
        count = 1 if self.rng.random() < 0.93 else self.rng.randrange(2, 4)
        data = b""
        for _ in range(count):
            data += bytes(-len(data) % 4) + self.message()
        return Op(self.rng.randrange(len(SOCKETS)), data)

    def message(self) -> bytes:
        """One message, perhaps damaged."""
        return _parted(self._message())

    def _message(self) -> bytes:
        rng = self.rng
        self.seq += 1
        if self._sent and rng.random() < 0.2:
            return self._again(rng.choice(self._sent))
        kind, make = rng.choices(KINDS, weights=WEIGHTS)[0]
        flags, body, attrs = make(self.picker, kind)
        flags |= NLM_F_REQUEST
        if rng.random() < 0.9:
            flags |= NLM_F_ACK
        if rng.random() < 0.05:
            flags ^= 1 << rng.randrange(16)
        if MESSAGES[kind].space is ATTRIBUTES:
            while rng.random() < 0.15:
                attrs = [*attrs, *self.picker.stray()]
        if rng.random() < 0.12:
            attrs = self._damage(kind, attrs)
        if body is not None and rng.random() < 0.1:
            body = self._edge(body)
        pid = 0 if rng.random() < 0.9 else 77
        raw = build(kind, flags, body, attrs, seq=self.seq, pid=pid).encode()
        self._sent.append(raw)
        if rng.random() < 0.01:
            raw = raw[:4] + struct.pack("=H", rng.choice(_TYPES)) + raw[6:]
        return self._raw(raw) if rng.random() < 0.04 else raw

    def _again(self, raw: bytes) -> bytes:
        """A message that was sent before, as another of its kind, some of its attributes and fields changed."""
        rng = self.rng
        old = decode(raw)
        kind = rng.choice(_AKIN.get(old.header.nlmsg_type, (old.header.nlmsg_type,)))
        attrs = list(old.attrs)
        if MESSAGES[kind].space is ATTRIBUTES and rng.random() < 0.6:
            for _ in range(rng.choice((1, 1, 2))):
                if attrs and rng.random() < 0.35:
                    del attrs[rng.randrange(len(attrs))]
                else:
                    attrs += build(kind, 0, None, self.picker.stray()).attrs
        body = old.body
        if isinstance(body, tuple) and rng.random() < 0.2:
            body = self._edge(body)
        return build(kind, old.header.nlmsg_flags, body, attrs, seq=self.seq).encode()

    # -- damage ------------------------------------------------------------------------------------

    def _damage(self, kind: int, attrs: Attrs) -> Any:
        rng = self.rng
        made = list(build(kind, 0, None, attrs).attrs)
        what = rng.randrange(6)
        if what == 0 or not made:
            number = rng.randrange(0, 50)
            made.insert(
                rng.randrange(len(made) + 1), _attr(number, rng.randbytes(rng.choice(_SIZES)))
            )
            return made
        i = rng.randrange(len(made))
        one = made[i]
        if what == 1:
            del made[i]
        elif what == 2:
            made.append(one)
        elif what == 3:
            made[i] = _attr(one.type, one.payload[: rng.randrange(len(one.payload) + 1)])
        elif what == 4:
            made[i] = _attr(one.type, one.payload + rng.randbytes(rng.randrange(1, 9)))
        else:
            made[i] = one._replace(type=one.type | rng.choice((0x8000, 0x4000)))
        return made

    def _edge(self, body: Any) -> Any:
        """Set one number of a structure to an edge value, somewhere in it."""
        if isinstance(body, int):
            return self.rng.choice(EDGES)
        raw = bytearray(codec(type(body)).encode(body))
        leaf = self.rng.choice(
            [
                leaf
                for leaf in codec(type(body)).leaves
                if leaf.path[-1] not in ("min", "max") and not {"lft", "curlft"} & set(leaf.path)
            ]
        )
        value = self.rng.choice(EDGES) & (1 << 8 * min(leaf.size, 4)) - 1
        raw[leaf.offset : leaf.offset + leaf.size] = value.to_bytes(4, "little")[: leaf.size].ljust(
            leaf.size, b"\0"
        )
        return codec(type(body)).decode(bytes(raw))

    def _raw(self, raw: bytes) -> bytes:
        rng = self.rng
        if rng.random() < 0.4:
            cut = rng.randrange(16, len(raw) + 1)
            if rng.random() < 0.7 or raw[4] == m.XFRM_MSG_ALLOCSPI:
                return struct.pack("=I", cut) + raw[4:cut]
            return raw[:cut]
        changed = bytearray(raw)
        at = rng.randrange(4, len(raw))
        if at in _LIMITS or (raw[4] == m.XFRM_MSG_ALLOCSPI and at in _RANGE):
            at = 16 + 60
        changed[at] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        return bytes(changed)


def _parted(raw: bytes) -> bytes:
    """MIGRATE has the key manager's addresses or an encapsulation, not both: no key manager sends that."""
    if len(raw) < 16 or int.from_bytes(raw[4:6], sys.byteorder) != m.XFRM_MSG_MIGRATE:
        return raw
    try:
        header, body, attrs, *_ = decode(raw)
    except MalformedError:  # too short for a kernel to look at its attributes
        return raw
    if not {m.XFRMA_KMADDRESS, m.XFRMA_ENCAP} <= {one.number for one in attrs}:
        return raw
    kept = [one for one in attrs if one.number != m.XFRMA_ENCAP]
    numbers = {"seq": header.nlmsg_seq, "pid": header.nlmsg_pid}
    return build(m.XFRM_MSG_MIGRATE, header.nlmsg_flags, body, kept, **numbers).encode()


def _attr(kind: int, payload: bytes) -> Attr:
    return Attr(kind, payload, bytes(-len(payload) % 4))
