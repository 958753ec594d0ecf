"""Netlink messages of every kind that ``monitor`` prints, from a seed: fields at random, but of the sizes that they must have."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.wire.codec import codec

U32 = struct.Struct("=I").pack

FIELDS: dict[str, tuple[int, ...]] = {
    "family": (2, 2, 10, 10, 0, 99),
    "proto": (50, 51, 108, 43, 60, 255, 0, 6, 17, 1, 58, 135, 47, 99),
    "mode": (0, 1, 2, 3, 4, 5, 9),
    "hard": (0, 1),
    "dir": (0, 1, 2, 3, 4, 5, 6, 9),
    "action": (0, 1, 2),
    "share": (0, 1, 2, 3, 4),
    "optional": (0, 1, 2),
    "prefixlen_s": (0, 24, 32),
    "prefixlen_d": (0, 8, 32),
    "ifindex": (0, 0, 1, 77),
    "encap_type": (0, 1, 2, 7, 9),
    "type": (0, 1, 2),
    "in_": (0, 1, 2, 3),
    "fwd": (0, 1, 2, 3),
    "out": (0, 1, 2, 3),
    "add_time": (0, 1, 1_700_000_000, 1 << 33),
    "use_time": (0, 1, 1_700_000_000, 1 << 33),
    "bytes": (0, 5, (1 << 64) - 1),
    "sport_mask": (0, 0xFFFF),
    "dport_mask": (0, 0xFFFF),
}


def word(random: Random) -> bytes:
    return random.choice((bytes(4), bytes(4), U32(random.randrange(300)), random.randbytes(4)))


def value(random: Random, cls: type[Any]) -> Any:
    made = codec(cls)
    raw = b"".join(word(random) for _ in range(made.size // 4 + 1))[: made.size]
    return sane(random, made.decode(raw, 0))


def sane(random: Random, body: Any) -> Any:
    changed = {}
    for name, own in zip(body._fields, body, strict=True):
        if hasattr(own, "_fields"):
            changed[name] = sane(random, own)
        elif name in FIELDS and isinstance(own, int):
            changed[name] = random.choice(FIELDS[name])
    return body._replace(**changed)


def encoded(random: Random, cls: type[Any]) -> bytes:
    return codec(cls).encode(value(random, cls))


def algorithm(random: Random, cls: type[Any]) -> bytes:
    key = random.randbytes(random.choice((0, 1, 16, 36)))
    name = random.choice((b"cbc(aes)", b"x", b"authenc(hmac(sha1),cbc(aes))", b"n" * 63))
    made = value(random, cls)._replace(alg_name=name.ljust(64, b"\0"))
    return codec(cls).encode(made._replace(alg_key_len=8 * len(key), alg_key=key))


def esn(random: Random) -> bytes:
    words = random.choice((0, 1, 2, 8, 9, 128))
    made = value(random, s.ReplayStateEsn)._replace(bmp_len=words, bmp=random.randbytes(4 * words))
    return codec(s.ReplayStateEsn).encode(made)


def context(random: Random) -> bytes:
    text = random.choice((b"a:b:c\0", b"system_u:object_r:ipsec_spd_t:s0\0"))
    made = s.UserSecCtx(8 + len(text), 8, 1, 1, len(text), text)
    return codec(s.UserSecCtx).encode(made)


def templates(random: Random) -> bytes:
    return b"".join(encoded(random, s.UserTmpl) for _ in range(random.randrange(1, 4)))


ATTRIBUTES: dict[int, Callable[[Random], bytes]] = {
    m.XFRMA_ALG_AUTH: lambda r: algorithm(r, s.Algo),
    m.XFRMA_ALG_CRYPT: lambda r: algorithm(r, s.Algo),
    m.XFRMA_ALG_COMP: lambda r: algorithm(r, s.Algo),
    m.XFRMA_ALG_AEAD: lambda r: algorithm(r, s.AlgoAead),
    m.XFRMA_ALG_AUTH_TRUNC: lambda r: algorithm(r, s.AlgoAuth),
    m.XFRMA_ENCAP: lambda r: encoded(r, s.EncapTmpl),
    m.XFRMA_TMPL: templates,
    m.XFRMA_SEC_CTX: context,
    m.XFRMA_LTIME_VAL: lambda r: encoded(r, s.LifetimeCur),
    m.XFRMA_REPLAY_VAL: lambda r: encoded(r, s.ReplayState),
    m.XFRMA_REPLAY_ESN_VAL: esn,
    m.XFRMA_COADDR: lambda r: r.randbytes(16),
    m.XFRMA_SRCADDR: lambda r: r.randbytes(16),
    m.XFRMA_LASTUSED: lambda r: struct.pack("=Q", r.choice((0, 1_700_000_000))),
    m.XFRMA_POLICY_TYPE: lambda r: encoded(r, s.UserPolicyType),
    m.XFRMA_MARK: lambda r: encoded(r, s.MarkVM),
    m.XFRMA_SA_EXTRA_FLAGS: lambda r: U32(r.choice((0, 1, 2, 3, 0x40))),
    m.XFRMA_OFFLOAD_DEV: lambda r: codec(s.UserOffload).encode(
        s.UserOffload(r.choice((0, 1, 77)), r.choice(range(8)))
    ),
    m.XFRMA_SET_MARK: word,
    m.XFRMA_SET_MARK_MASK: word,
    m.XFRMA_IF_ID: word,
    m.XFRMA_TFCPAD: word,
    m.XFRMA_SA_DIR: lambda r: bytes((r.randrange(4),)),
    m.XFRMA_SA_PCPU: word,
    m.XFRMA_MTIMER_THRESH: word,
    m.XFRMA_NAT_KEEPALIVE_INTERVAL: word,
}

SA = {
    m.XFRMA_ALG_AUTH, m.XFRMA_ALG_CRYPT, m.XFRMA_ALG_COMP, m.XFRMA_ALG_AEAD, m.XFRMA_ALG_AUTH_TRUNC,
    m.XFRMA_ENCAP, m.XFRMA_SEC_CTX, m.XFRMA_REPLAY_VAL, m.XFRMA_REPLAY_ESN_VAL, m.XFRMA_COADDR,
    m.XFRMA_LASTUSED, m.XFRMA_MARK, m.XFRMA_SA_EXTRA_FLAGS, m.XFRMA_OFFLOAD_DEV, m.XFRMA_SET_MARK,
    m.XFRMA_SET_MARK_MASK, m.XFRMA_IF_ID, m.XFRMA_TFCPAD, m.XFRMA_SA_DIR, m.XFRMA_SA_PCPU,
    m.XFRMA_MTIMER_THRESH, m.XFRMA_NAT_KEEPALIVE_INTERVAL,
}  # fmt: skip
POLICY = {
    m.XFRMA_TMPL, m.XFRMA_SEC_CTX, m.XFRMA_POLICY_TYPE, m.XFRMA_MARK, m.XFRMA_IF_ID, m.XFRMA_OFFLOAD_DEV,
}  # fmt: skip

# What iproute2 7.3 knows: (body, attributes that may follow, the one that must).
KINDS: dict[int, tuple[type[Any] | None, set[int], int | None]] = {
    m.XFRM_MSG_NEWSA: (s.UserSaInfo, SA, None),
    m.XFRM_MSG_UPDSA: (s.UserSaInfo, SA, None),
    m.XFRM_MSG_DELSA: (s.UserSaId, SA, m.XFRMA_SA),
    m.XFRM_MSG_EXPIRE: (s.UserExpire, {m.XFRMA_MARK, m.XFRMA_IF_ID}, None),
    m.XFRM_MSG_FLUSHSA: (s.UserSaFlush, set(), None),
    m.XFRM_MSG_NEWPOLICY: (s.UserPolicyInfo, POLICY, None),
    m.XFRM_MSG_UPDPOLICY: (s.UserPolicyInfo, POLICY, None),
    m.XFRM_MSG_DELPOLICY: (s.UserPolicyId, POLICY, m.XFRMA_POLICY),
    m.XFRM_MSG_POLEXPIRE: (s.UserPolExpire, POLICY, None),
    m.XFRM_MSG_FLUSHPOLICY: (None, {m.XFRMA_POLICY_TYPE}, None),
    m.XFRM_MSG_GETDEFAULT: (s.UserPolicyDefault, set(), None),
    m.XFRM_MSG_ACQUIRE: (s.UserAcquire, POLICY, None),
    m.XFRM_MSG_NEWAE: (s.AeventId, {m.XFRMA_REPLAY_VAL, m.XFRMA_LTIME_VAL}, None),
    m.XFRM_MSG_MAPPING: (s.UserMapping, {m.XFRMA_MARK, m.XFRMA_IF_ID}, None),
    m.XFRM_MSG_REPORT: (s.UserReport, {m.XFRMA_COADDR}, None),
}


def attribute(number: int, payload: bytes) -> bytes:
    made = struct.pack("=HH", 4 + len(payload), number) + payload
    return made + bytes(-len(made) % 4)


def message(random: Random, kind: int) -> bytes:
    cls, some, needed = KINDS[kind]
    payload = b"" if cls is None else encoded(random, cls)
    payload += bytes(-len(payload) % 4)
    if needed is not None:
        inner = s.UserSaInfo if needed == m.XFRMA_SA else s.UserPolicyInfo
        payload += attribute(needed, encoded(random, inner))
    for number in sorted(some, key=lambda _: random.random()):
        if random.random() < 0.3:
            payload += attribute(number, ATTRIBUTES[number](random))
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload


def messages(seed: int, count: int) -> list[bytes]:
    """``count`` of each kind."""
    random = Random(seed)
    return [message(random, kind) for kind in KINDS for _ in range(count)]


def others() -> list[bytes]:
    """Kinds that are no events of a kernel."""
    known = {*KINDS, m.XFRM_MSG_MIGRATE, m.XFRM_MSG_MIGRATE_STATE}
    kinds = (k for k in (1, 2, 3, *range(16, 46)) if k not in known)
    return [struct.pack("=IHHII", 16, kind, 0x302, 5, 6) for kind in kinds]
