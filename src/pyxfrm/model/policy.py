"""Policies: what packets need, and the templates of the SAs they ask for.

>>> tunnel = Template(
...     ip("192.0.2.10"), ip("198.51.100.1"), Proto.ESP, Mode.TUNNEL, reqid=1
... )
>>> out = Policy(
...     Direction.OUT,
...     Selector(network("10.1.0.0/16"), network("10.2.0.0/16")),
...     templates=(tunnel,),
... )
>>> str(out.id)
'dir out src 10.1.0.0/16 dst 10.2.0.0/16'
"""

from __future__ import annotations

from dataclasses import dataclass

from pyxfrm.abi.xfrm import XFRM_MAX_DEPTH
from pyxfrm.errors import UsageError
from pyxfrm.model.address import Address, ip, network
from pyxfrm.model.checks import U8, U32, as_seen, fits, uint
from pyxfrm.model.kinds import (
    Action,
    Direction,
    Family,
    Mode,
    PolicyFlag,
    PolicyType,
    Proto,
    Share,
)
from pyxfrm.model.sa import NO_LIMITS, Limits, Offload, SecurityContext
from pyxfrm.model.selector import Mark, Selector

__all__ = ["Policy", "PolicyId", "Template", "ip", "network"]


_NO_FLAG = PolicyFlag(0)
_NUMBERS = (
    ("priority", U32),
    ("index", U32),
    ("if_id", U32),
    ("dir", U8),
    ("action", U8),
    ("type", U8),
    ("flags", U8),
    ("share", U8),
)
_TEMPLATE_NUMBERS = (
    ("reqid", U32),
    ("spi", U32),
    ("aalgos", U32),
    ("ealgos", U32),
    ("calgos", U32),
    ("proto", U8),
    ("mode", U8),
    ("share", U8),
)


@dataclass(frozen=True, slots=True)
class Template:
    """One SA that a policy asks for.

    The addresses are the tunnel's ends; in transport mode the "any" address of the family. ``spi`` 0: whatever SPI.
    ``optional``: packets pass without, too. ``*algos``: masks of allowed algorithms, all ones for all.
    """

    saddr: Address
    daddr: Address
    proto: Proto
    mode: Mode
    reqid: int = 0
    spi: int = 0
    optional: bool = False
    share: Share = Share.ANY
    aalgos: int = U32
    ealgos: int = U32
    calgos: int = U32

    def __post_init__(self) -> None:
        if self.saddr.family != self.daddr.family:
            raise UsageError(f"template {self.saddr} -> {self.daddr}: two families")
        for name, limit in _TEMPLATE_NUMBERS:
            if not fits(getattr(self, name), limit):
                uint(f"template's {name}", getattr(self, name), limit)

    @property
    def family(self) -> Family:
        """The family of both addresses: the outer one of a tunnel."""
        return self.daddr.family

    def __str__(self) -> str:
        return f"{self.proto} {self.mode} src {self.saddr} dst {self.daddr} reqid {self.reqid}"


@dataclass(frozen=True, slots=True)
class PolicyId:
    """Names one policy: by ``index`` if that is not 0, else by selector.

    Mark and if_id must be the policy's own; two policies may differ in them alone.
    """

    dir: Direction
    sel: Selector | None
    index: int = 0
    mark: Mark | None = None
    if_id: int = 0
    type: PolicyType = PolicyType.MAIN
    context: SecurityContext | None = None

    def __post_init__(self) -> None:
        for what, value, limit in (
            ("direction", self.dir, U8),
            ("index", self.index, U32),
            ("if_id", self.if_id, U32),
            ("type", self.type, U8),
        ):
            if not fits(value, limit):
                uint(f"policy's {what}", value, limit)
        if (self.sel is None) == (self.index == 0):
            raise UsageError("policy: name it by selector or by index, one of the two")

    @classmethod
    def by_index(cls, direction: Direction, index: int) -> PolicyId:
        """By the number that the kernel gave it."""
        return cls(direction, None, index)

    def __str__(self) -> str:
        what = f"index {self.index}" if self.sel is None else str(self.sel)
        mark = f" mark {self.mark}" if self.mark else ""
        if_id = f" if_id {self.if_id:#x}" if self.if_id else ""
        return f"dir {self.dir} {what}{mark}{if_id}"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. Of those that match a packet the one with the *lowest* priority number wins.

    ``templates``  SAs it asks for, innermost first, 6 at most; none: let pass (or block) as it is
    ``index``      0: the kernel chooses one
    """

    dir: Direction
    sel: Selector
    action: Action = Action.ALLOW
    priority: int = 0
    templates: tuple[Template, ...] = ()
    mark: Mark | None = None
    if_id: int = 0
    index: int = 0
    type: PolicyType = PolicyType.MAIN
    flags: PolicyFlag = _NO_FLAG
    share: Share = Share.ANY
    limits: Limits = NO_LIMITS
    context: SecurityContext | None = None
    offload: Offload | None = None

    def __post_init__(self) -> None:
        if self.sel.family not in (Family.INET, Family.INET6):
            raise UsageError(f"policy dir {self.dir} {self.sel}: its selector must have a family")
        for name, limit in _NUMBERS:
            if not fits(getattr(self, name), limit):
                uint(f"policy's {name}", getattr(self, name), limit)
        if len(self.templates) > XFRM_MAX_DEPTH:
            raise UsageError(f"policy: {len(self.templates)} templates, {XFRM_MAX_DEPTH} at most")

    @property
    def id(self) -> PolicyId:
        """Its name, by selector."""
        mark, context = self.mark, self.context  # checked when this was made
        return as_seen(PolicyId, self.dir, self.sel, 0, mark, self.if_id, self.type, context)

    def __str__(self) -> str:
        return str(self.id)
