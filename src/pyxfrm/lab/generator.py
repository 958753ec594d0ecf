"""Sequences of netlink messages for a kernel and an engine to disagree about.

Most messages are valid or nearly so (:mod:`pyxfrm.lab.grammar`), for a random byte string tells little after the first check has refused it. On
top, a share of messages is damaged: an attribute dropped, doubled, cut short, grown or swapped; a field set to an edge value; raw
bytes changed. Everything follows from a seed.
"""

from __future__ import annotations

import random
import struct
from typing import Any, NamedTuple

from pyxfrm.abi import xfrm as x
from pyxfrm.abi.messages import XFRM_MSG_ALLOCSPI
from pyxfrm.abi.netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_ECHO,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    NLM_F_ROOT,
)
from pyxfrm.lab.grammar import KINDS, WEIGHTS
from pyxfrm.lab.picker import Attrs, Picker
from pyxfrm.wire.attrs import Attr
from pyxfrm.wire.codec import codec
from pyxfrm.wire.messages import build

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

    def sequence(self, length: int) -> list[Op]:
        """``length`` sends."""
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
        self.seq += 1
        kind, make = self.rng.choices(KINDS, weights=WEIGHTS)[0]
        flags, body, attrs = make(self.picker, kind)
        flags |= NLM_F_REQUEST
        if self.rng.random() < 0.9:
            flags |= NLM_F_ACK
        if self.rng.random() < 0.03:
            flags ^= self.rng.choice(
                (NLM_F_ECHO, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_ROOT)
            )
        if self.rng.random() < 0.12:
            attrs = self._damage(kind, attrs)
        if body is not None and self.rng.random() < 0.08:
            body = self._edge(body)
        pid = 0 if self.rng.random() < 0.9 else 77
        raw = build(kind, flags, body, attrs, seq=self.seq, pid=pid).encode()
        return self._raw(raw) if self.rng.random() < 0.04 else raw

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
            if rng.random() < 0.7 or raw[4] == XFRM_MSG_ALLOCSPI:
                return struct.pack("=I", cut) + raw[4:cut]
            return raw[:cut]
        changed = bytearray(raw)
        at = rng.randrange(4, len(raw))
        if at in _LIMITS or (raw[4] == XFRM_MSG_ALLOCSPI and at in _RANGE):
            at = 16 + 60
        changed[at] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        return bytes(changed)


def _attr(kind: int, payload: bytes) -> Attr:
    return Attr(kind, payload, bytes(-len(payload) % 4))
