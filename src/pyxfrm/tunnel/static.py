"""Two SAs and their policies from keys that both ends have: a tunnel without a key manager, for tests and demonstrations.

Such a tunnel must never run twice with the same keys: its numbers start at 0 each time, and with AES-GCM a number used twice under one key
gives away what was in both packets, and the means to forge more. :class:`Keys` made by :meth:`Keys.fresh` are new; those
of a file (:mod:`pyxfrm.tunnel.keyfile`) serve each end once.

Each direction has an SPI, a key and a reqid of its own. Numbers are 64 bits (ESN), so they do not run out.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyxfrm.errors import UsageError
from pyxfrm.model import (
    REMOVE,
    Address,
    Algorithm,
    Direction,
    Encap,
    Migration,
    Mode,
    Network,
    Policy,
    Proto,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
    StateFlag,
    Template,
)

if TYPE_CHECKING:
    from pyxfrm.client import Xfrm

__all__ = ["Keys", "Point", "Static"]

KEY_BYTES = 36  # AES-256 and 4 of salt
WINDOW = 4096  # packets: as many as Linux has; late ones come from places that were left
_PRIORITY = 1000
_OUT, _IN = 0, 1  # of Static.sas()


@dataclass(frozen=True, slots=True)
class Point:
    """An end of the tunnel outside: an address and a UDP port, or None for ESP without UDP."""

    address: Address
    port: int | None = 4500

    def __str__(self) -> str:
        if self.port is None:
            return str(self.address)
        text = str(self.address)
        return f"[{text}]:{self.port}" if ":" in text else f"{text}:{self.port}"


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys (36 bytes: AES-256-GCM and its salt) and SPIs of the two directions, named by who sends: left or right."""

    left: bytes = field(repr=False)
    right: bytes = field(repr=False)
    spi_left: int = 0x10000001
    spi_right: int = 0x10000002

    def __post_init__(self) -> None:
        if len(self.left) != KEY_BYTES or len(self.right) != KEY_BYTES:
            raise UsageError(f"keys of a tunnel: {KEY_BYTES} bytes each")
        if self.left == self.right or self.spi_left == self.spi_right:
            raise UsageError("keys of a tunnel: each direction needs a key and an SPI of its own")

    @classmethod
    def fresh(cls) -> Keys:
        """New ones, by chance."""
        left, right = (0x10000000 + secrets.randbelow(1 << 30) for _ in range(2))
        right += left == right
        return cls(secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES), left, right)

    @property
    def swapped(self) -> Keys:
        """As the other end sees them."""
        return Keys(self.right, self.left, self.spi_right, self.spi_left)


class Static:
    """One end's view of a tunnel: ``keys.left`` is what this end sends with (the other end takes ``keys.swapped``).

    ``here``, ``there``    the ends outside; ``inner_here``, ``inner_there``: the networks inside, in pairs of one family
    ``mirror``     the other end's view, for both in one process
    """

    def __init__(
        self,
        keys: Keys,
        here: Point,
        there: Point,
        inner_here: Sequence[Network],
        inner_there: Sequence[Network],
    ) -> None:
        self.keys = keys
        self.here = here
        self.there = there
        self.inner_here = tuple(inner_here)
        self.inner_there = tuple(inner_there)
        if not any(one.family == other.family for one in inner_here for other in inner_there):
            raise UsageError(
                "tunnel: no two networks of one family inside, so there is nothing to protect"
            )

    def mirror(self) -> Static:
        """The same tunnel, seen from the other end."""
        return Static(self.keys.swapped, self.there, self.here, self.inner_there, self.inner_here)

    # -- as SAs and policies ---------------------------------------------------------------------------

    def sas(self) -> tuple[Sa, Sa]:
        """(out, in)."""
        return (
            self._sa(self.here, self.there, self.keys.spi_left, self.keys.left, SaDir.OUT),
            self._sa(self.there, self.here, self.keys.spi_right, self.keys.right, SaDir.IN),
        )

    @staticmethod
    def _sa(source: Point, target: Point, spi: int, key: bytes, direction: SaDir) -> Sa:
        return Sa(
            SaId(target.address, Proto.ESP, spi),
            source.address,
            Mode.TUNNEL,
            (Algorithm.aes_gcm(key),),
            _numbers(direction),
            reqid=spi,
            flags=StateFlag.AF_UNSPEC,  # what is inside may be of any family, whatever is outside
            dir=direction,
            encap=_encap(source, target),
        )

    def policies(self) -> list[Policy]:
        """Out, in and forward, for each pair of networks.

        Inbound templates name no source: the SA with its reqid is meant, wherever it is. With one, packets that come between
        the SA's move and the policy's would be refused (XfrmInTmplMismatch).
        """
        made: list[Policy] = []
        out = self._template(self.here, self.there, self.keys.spi_left)
        into = self._template(self.there, self.here, self.keys.spi_right)
        into = replace(into, saddr=Address.any(into.family))
        for here, there in self._pairs():
            for direction, sel, template in (
                (Direction.OUT, Selector(here, there), out),
                (Direction.IN, Selector(there, here), into),
                (Direction.FWD, Selector(there, here), into),
            ):
                made.append(Policy(direction, sel, priority=_PRIORITY, templates=(template,)))
        return made

    def _pairs(self) -> Iterable[tuple[Network, Network]]:
        for here in self.inner_here:
            for there in self.inner_there:
                if here.family == there.family:
                    yield here, there

    @staticmethod
    def _template(source: Point, target: Point, reqid: int) -> Template:
        return Template(source.address, target.address, Proto.ESP, Mode.TUNNEL, reqid)

    # -- doing -----------------------------------------------------------------------------------------

    def install(self, xfrm: Xfrm) -> None:
        """Add SAs and policies."""
        for sa in self.sas():
            xfrm.add_sa(sa)
        for policy in self.policies():
            xfrm.add_policy(policy)

    def moved(self, here: Point | None = None, there: Point | None = None) -> Static:
        """The same tunnel with ends at other places; nothing is done."""
        here, there = here or self.here, there or self.there
        return Static(self.keys, here, there, self.inner_here, self.inner_there)

    def migrations(self, moved: Static) -> tuple[Migration, Migration]:
        """What takes the SAs from here to ``moved``: (out, in)."""
        out, into = (
            Migration(
                old.id, new.saddr, new.id.daddr, new.reqid, old.sel, encap=new.encap or REMOVE
            )
            for old, new in zip(self.sas(), moved.sas(), strict=True)
        )
        return out, into

    def move(self, xfrm: Xfrm, here: Point | None = None, there: Point | None = None) -> Static:
        """Move this end's SAs (MIGRATE_STATE) and policies to other places; the tunnel as it is afterwards.

        What comes in goes first. Packets that find no SA between the other SA's move and its policy's wait where the end holds them.
        """
        new = self.moved(here, there)
        self.carry_in(xfrm, new)
        self.carry_out(xfrm, new)
        return new

    def carry_in(self, xfrm: Xfrm, new: Static) -> None:
        """Half a move: what comes in."""
        self._carry(xfrm, new, _IN)

    def carry_out(self, xfrm: Xfrm, new: Static) -> None:
        """The other half: what goes out."""
        self._carry(xfrm, new, _OUT)

    def _carry(self, xfrm: Xfrm, new: Static, half: int) -> None:
        xfrm.migrate_sa(self.migrations(new)[half])
        for policy in new.policies():
            if (policy.dir is Direction.OUT) == (half == _OUT):
                xfrm.update_policy(policy)


def _encap(source: Point, target: Point) -> Encap | None:
    if source.port is None or target.port is None:
        return None
    return Encap(source.port, target.port)


def _numbers(direction: SaDir) -> ReplayState:
    """ESN; an outbound SA has no window."""
    return ReplayState.of(WINDOW if direction is SaDir.IN else 0, esn=True)
