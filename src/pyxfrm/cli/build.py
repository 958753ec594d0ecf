"""What was parsed, as values: SAs, policies, their names, moves.

Some things are settled here that iproute2 settles before it asks the kernel: which algorithms a protocol takes, which ports a selector can have, what an
SA with extended sequence numbers needs. What is left to the kernel, the kernel refuses.
"""

from __future__ import annotations

from pyxfrm.abi import xfrm as c
from pyxfrm.cli.parse import Found, Parsed
from pyxfrm.cli.text.form import protocol_name
from pyxfrm.errors import UsageError
from pyxfrm.model import (
    ANY_PORT,
    NO_LIMITS,
    Action,
    Address,
    Algorithm,
    AlgorithmKind,
    Direction,
    Encap,
    EncapKind,
    ExtraFlag,
    Family,
    Limits,
    Mark,
    Mode,
    Network,
    Offload,
    OffloadFlag,
    Policy,
    PolicyFlag,
    PolicyId,
    PolicyType,
    Port,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    SecurityContext,
    Selector,
    StateFlag,
    Template,
)
from pyxfrm.model.checks import as_seen

__all__ = [
    "encap",
    "ends",
    "flags_of",
    "mark",
    "offload",
    "policy",
    "policy_id",
    "require_family",
    "require_spi_of",
    "sa",
    "sa_id",
    "selector",
]

_IPSEC = (Proto.ESP, Proto.AH, Proto.COMP)
_KINDS = {
    "enc": AlgorithmKind.CRYPT,
    "auth": AlgorithmKind.AUTH,
    "auth-trunc": AlgorithmKind.AUTH,
    "aead": AlgorithmKind.AEAD,
    "comp": AlgorithmKind.COMP,
}
_WITH_PORTS = (6, 17, 132, 33)  # tcp, udp, sctp, dccp
_WITH_TYPES = (1, 58, 135)  # icmp, ipv6-icmp, mobility-header
_GRE = 47
_LIKE_PORTS = frozenset(("sport", "dport", "type", "code", "key"))
_LONGEST_WINDOW = 4096


def mark(found: Found | None) -> Mark | None:
    """``mark MARK [ mask MASK ]``: bits outside the mask are dropped; with mask 0 there is none."""
    if found is None:
        return None
    mask = found.more["mask"].value if "mask" in found.more else 0xFFFFFFFF
    return Mark(found.value & mask, mask) if mask else None


def output_mark(found: Found | None) -> Mark | None:
    """``output-mark MARK [ mask MASK ]``: 0 is none, and mask 0 is all ones."""
    if found is None or found.value == 0:
        return None
    mask = found.more["mask"].value if "mask" in found.more else 0
    # Bits outside the mask have no effect, but the kernel keeps and shows them.
    return as_seen(Mark, found.value, mask or 0xFFFFFFFF)


def flags_of(parsed: Parsed, word: str) -> int:
    """All flags of a keyword: names are added up, a number takes the place of what was before it."""
    total = 0
    for found in parsed.all(word):
        value, is_number = found.value
        total = value if is_number else total | value
    return total


# -- addresses -----------------------------------------------------------------------------------------


def require_family(parsed: Parsed, family: Family | None, *networks: Network | None) -> None:
    """Refuse networks of two families, or not of that which ``-4`` or ``-6`` asked for."""
    families = {n.family for n in networks if n is not None}
    if len(families) > 1:
        raise parsed.refuse("src and dst must be of one address family")
    if family is not None and families - {family}:
        raise parsed.refuse(f"an address is not of the family that -{_digit(family)} asks for")


def require_spi_of(parsed: Parsed) -> None:
    """Refuse an SPI of a protocol that has none."""
    ident = parsed.group("ID")
    if "spi" in ident and "proto" in ident and not Proto(ident.get("proto")).by_spi:
        raise parsed.refuse(f"spi: proto {Proto(ident.get('proto'))} has none")


def _digit(family: Family) -> int:
    return 6 if family is Family.INET6 else 4


def ends(parsed: Parsed, family: Family | None) -> tuple[Address, Address]:
    """Source and destination of a run with ``src`` and ``dst``; what is missing is all zeros."""
    src, dst = parsed.get("src"), parsed.get("dst")
    require_family(parsed, family, src, dst)
    known = src or dst
    kind = known.family if known else family or Family.INET
    zero = Address.any(kind)
    return src.address if src else zero, dst.address if dst else zero


def selector(parsed: Parsed, family: Family | None, otherwise: Family) -> Selector:
    """A run of selector keywords. ``otherwise``: the family if no network tells it."""
    src, dst = parsed.get("src"), parsed.get("dst")
    require_family(parsed, family, src, dst)
    known = src or dst
    every = Network.any(known.family if known else otherwise)
    sport, dport = _ports(parsed)
    return Selector(src or every, dst or every, _upper(parsed), sport, dport, parsed.get("dev", 0))


def _upper(parsed: Parsed) -> int:
    proto: int = parsed.get("proto", parsed.get("sel-proto", 0))
    return proto


def _ports(parsed: Parsed) -> tuple[Port, Port]:
    if _LIKE_PORTS.isdisjoint(parsed.keywords):
        return ANY_PORT, ANY_PORT
    proto = _upper(parsed)
    for words, takes in (
        (("sport", "dport"), (0, *_WITH_PORTS)),
        (("type", "code"), _WITH_TYPES),
        (("key",), (_GRE,)),
    ):
        for word in words:
            if word in parsed and proto not in takes:
                name = protocol_name(proto) if proto else "any"
                raise parsed.refuse(f"{word}: proto {name} has none")
    if "key" in parsed:
        key = parsed.get("key")
        return Port(key >> 16), Port(key & 0xFFFF)
    return _port(parsed, "sport", "type"), _port(parsed, "dport", "code")


def _port(parsed: Parsed, name: str, kind: str) -> Port:
    """A port, of which 0 is any; or an ICMP type or code, of which 0 is one."""
    port, number = parsed.get(name, 0), parsed.get(kind)
    if port:
        return Port(port)
    return ANY_PORT if number is None else Port(number)


# -- SAs -----------------------------------------------------------------------------------------------


def sa_id(parsed: Parsed, family: Family | None) -> tuple[SaId, Address]:
    """The SA that ID and ``mark`` name, and its source."""
    ident = parsed.group("ID")
    if not parsed.groups.get("ID"):
        raise parsed.refuse("which SA? src, dst, proto and spi are missing")
    saddr, daddr = ends(ident, family)
    if "proto" not in ident:
        raise parsed.refuse("proto is missing")
    require_spi_of(parsed)
    proto = Proto(ident.get("proto"))
    by_source = None if proto.by_spi else saddr
    name = SaId(daddr, proto, ident.get("spi", 0), mark(parsed.last("mark")), by_source)
    return name, saddr


def sa(parsed: Parsed, family: Family | None) -> Sa:
    """The SA of ``state add`` and ``state update``."""
    name, saddr = sa_id(parsed, family)
    mode = Mode(parsed.get("mode", c.XFRM_MODE_TRANSPORT))
    algorithms = _algorithms(parsed)
    _check_kind(parsed, name.proto, mode, {a.kind for a in algorithms})
    flags = flags_of(parsed, "flag")
    sel = parsed.last("sel")
    care_of = parsed.get("coa")
    if care_of is not None and care_of.family != name.family:
        raise parsed.refuse("coa: not of the SA's address family")
    carried = parsed.last("offload")
    direction = parsed.get("dir")
    if carried is not None and carried.run is not None:
        direction = carried.run.get("dir", direction)
    return Sa(
        name,
        saddr,
        mode,
        algorithms,
        _replay(parsed, esn=bool(flags & c.XFRM_STATE_ESN)),
        parsed.get("reqid", 0),
        selector(sel.run or parsed, None, Family.UNSPEC) if sel else Selector.any(Family.UNSPEC),
        limits(parsed),
        StateFlag(flags & ~c.XFRM_STATE_ESN),
        ExtraFlag(flags_of(parsed, "extra-flag")),
        None if direction is None else SaDir(direction),
        parsed.get("if_id", 0),
        output_mark(parsed.last("output-mark")),
        encap(parsed.last("encap")),
        offload=offload(carried),
        tfc_pad=parsed.get("tfcpad", 0),
        cpu=parsed.get("pcpu-num"),
        context=_context(parsed),
        care_of=None if care_of is None else care_of.address,
        acquire_seq=parsed.get("seq", 0),
    )


def _algorithms(parsed: Parsed) -> tuple[Algorithm, ...]:
    found: dict[AlgorithmKind, Algorithm] = {}
    own = parsed.group("ALGO")
    for word, each in own.keywords.items():
        for one in each:
            kind = _KINDS[word]
            if kind in found:
                raise parsed.refuse(f"{word}: a second algorithm for the same purpose")
            name, *rest = one.values
            found[kind] = Algorithm(kind, name, *rest)
    return tuple(found.values())


def _check_kind(parsed: Parsed, proto: Proto, mode: Mode, kinds: set[AlgorithmKind]) -> None:
    """Mode and algorithms that go with a protocol."""
    esp = {AlgorithmKind.CRYPT, AlgorithmKind.AUTH, AlgorithmKind.AEAD}
    modes = [Mode.TRANSPORT, Mode.TUNNEL] if proto in _IPSEC else [Mode.RO, Mode.IN_TRIGGER]
    if proto == Proto.ESP:
        modes.append(Mode.BEET)
    if mode not in modes:
        raise parsed.refuse(f"mode {mode} does not go with proto {proto}")
    takes = {Proto.ESP: esp, Proto.AH: {AlgorithmKind.AUTH}, Proto.COMP: {AlgorithmKind.COMP}}
    for kind in kinds - takes.get(proto, set()):
        raise parsed.refuse(f"{kind.value} does not go with proto {proto}")
    if proto == Proto.ESP and not kinds & {AlgorithmKind.CRYPT, AlgorithmKind.AEAD}:
        raise parsed.refuse("proto esp needs enc or aead")
    if proto in (Proto.AH, Proto.COMP) and not kinds:
        raise parsed.refuse(f"proto {proto} needs {'auth' if proto == Proto.AH else 'comp'}")
    if ("coa" in parsed) != (proto not in _IPSEC):
        raise parsed.refuse(
            f"coa {'does not go with' if proto in _IPSEC else 'is missing for'} proto {proto}"
        )


def _replay(parsed: Parsed, *, esn: bool) -> ReplayState:
    window = parsed.get("replay-window", 0)
    if esn and not window:
        raise parsed.refuse("flag: esn needs a replay-window")
    if window > _LONGEST_WINDOW:
        raise parsed.refuse(f'replay-window: "{window}" is over {_LONGEST_WINDOW}')
    seq, oseq = parsed.get("replay-seq", 0), parsed.get("replay-oseq", 0)
    state = ReplayState.of(window, esn=esn)
    if state.words is None:
        return ReplayState(window, oseq, seq)
    high = parsed.get("replay-oseq-hi", 0), parsed.get("replay-seq-hi", 0)
    return ReplayState(window, high[0] << 32 | oseq, high[1] << 32 | seq, 0, esn, state.words)


def limits(parsed: Parsed) -> Limits:
    """All ``limit`` keywords; no seconds, and the largest count, are no limit."""
    if "limit" not in parsed:
        return NO_LIMITS
    fields: dict[str, int | None] = {}
    names = {"time": "add", "time-use": "use", "byte": "bytes", "packet": "packets"}
    for found in parsed.all("limit"):
        one: Found = found.value
        what, _, how = one.word.rpartition("-")
        value: int | None = one.value
        if value == c.XFRM_INF:
            if what.startswith("time"):
                raise parsed.refuse(f'limit: {one.word} "{value}" seconds expire at once')
            value = None
        if value == 0 and what.startswith("time"):
            value = None
        fields[f"{how}_{names[what]}"] = value
    return Limits(**fields)


def encap(found: Found | None) -> Encap | None:
    """``encap TYPE SPORT DPORT OADDR``; the kernel has 16 bytes for the address, of whatever family."""
    if found is None:
        return None
    kind, sport, dport, oa = found.values
    return Encap(sport, dport, EncapKind(kind), oa)


def offload(found: Found | None) -> Offload | None:
    """``offload [ crypto | packet ] dev DEV [ dir DIR ]``."""
    if found is None:
        return None
    own = found.run
    if own is None or "dev" not in own:
        raise UsageError("offload: dev is missing")
    flags = OffloadFlag(found.first or 0)
    if own.get("dir") == c.XFRM_SA_DIR_IN:
        flags |= OffloadFlag.INBOUND
    return Offload(own.get("dev"), flags)


# -- policies --------------------------------------------------------------------------------------------


def _direction(parsed: Parsed) -> Direction:
    return Direction(parsed.get("dir"))


def _context(parsed: Parsed) -> SecurityContext | None:
    text = parsed.get("ctx")
    return None if text is None else SecurityContext(text.encode() + b"\0")


def policy(parsed: Parsed, family: Family | None) -> Policy:
    """The policy of ``policy add`` and ``policy update``."""
    sel = selector(parsed.group("SELECTOR"), family, family or Family.INET)
    return Policy(
        _direction(parsed),
        sel,
        Action(parsed.get("action", 0)),
        parsed.get("priority", 0),
        tuple([_template(found, sel.family) for found in parsed.all("tmpl")]),
        mark(parsed.last("mark")),
        parsed.get("if_id", 0),
        parsed.get("index", 0),
        PolicyType(parsed.get("ptype", 0)),
        PolicyFlag(flags_of(parsed, "flag")),
        limits=limits(parsed),
        context=_context(parsed),
        offload=offload(parsed.last("offload")),
    )


def _template(found: Found, family: Family) -> Template:
    own = found.run
    assert own is not None  # noqa: S101  # the grammar has a run here
    src, dst = own.get("src"), own.get("dst")
    if "proto" not in own and any(word in own for word in ("src", "dst", "spi")):
        raise own.refuse("proto is missing")
    require_family(own, None, src, dst)
    known = src or dst
    zero = Address.any(known.family if known else family)
    return Template(
        src.address if src else zero,
        dst.address if dst else zero,
        Proto(own.get("proto", 0)),
        Mode(own.get("mode", c.XFRM_MODE_TRANSPORT)),
        own.get("reqid", 0),
        own.get("spi", 0),
        bool(own.get("level", 0)),
    )


def policy_id(parsed: Parsed, family: Family | None) -> PolicyId:
    """The policy that ``policy get`` and ``policy delete`` name."""
    direction = _direction(parsed)
    named = "SELECTOR" in parsed.groups
    index = parsed.get("index", 0)
    if named and "index" in parsed:
        raise parsed.refuse("name the policy by its selector or by its index, not by both")
    if not named and "index" not in parsed:
        raise parsed.refuse("which policy? a selector or an index is missing")
    sel = selector(parsed.group("SELECTOR"), family, family or Family.INET) if not index else None
    found = parsed.last("mark")
    loose = found is not None and found.value == 0 and "mask" not in found.more
    return PolicyId(
        direction,
        sel,
        index,
        None if loose else mark(found),  # iproute2 says nothing of a mark of 0
        parsed.get("if_id", 0),
        PolicyType(parsed.get("ptype", 0)),
        _context(parsed),
    )
