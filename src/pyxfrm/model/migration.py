"""Moves: of one SA (MIGRATE_STATE), and of a policy with its SAs (the old MIGRATE).

What a :class:`Migration` says of each property is a value, ``INHERIT`` or ``REMOVE``, or it must be given: nothing stands for
"zero" and "not said" at once. :meth:`Migration.of` starts from the SA as it is, and keeps what is not named.

>>> move = Migration(
...     SaId(ip("198.51.100.1"), Proto.ESP, 0xC0FFEE01),
...     new_saddr=ip("203.0.113.10"),
...     new_daddr=ip("198.51.100.1"),
...     reqid=1,
...     sel=Selector.any(Family.INET),
... )
>>> move.encap, str(move.new_id)
(INHERIT, 'dst 198.51.100.1 proto esp spi 0xc0ffee01')
"""

from __future__ import annotations

from dataclasses import dataclass

from pyxfrm.abi.xfrm import XFRM_MAX_DEPTH
from pyxfrm.errors import UsageError
from pyxfrm.model.address import Address, ip
from pyxfrm.model.checks import U8, U32, uint
from pyxfrm.model.choice import INHERIT, REMOVE, HostToHost, Inherit, Remove
from pyxfrm.model.kinds import Direction, Family, Mode, PolicyType, Proto
from pyxfrm.model.sa import Encap, Offload, Sa, SaId
from pyxfrm.model.selector import Mark, Selector

__all__ = ["AddressMove", "KmAddress", "Migration", "PolicyMigration", "ip"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One SA's move (docs/migrate-state.md).

    ``sa``       the SA as it is now, its own mark included
    ``reqid``    0: none. Always said, as the addresses are
    ``sel``      the new selector, or HOST_TO_HOST: that of the two addresses, which needs it to be so now
    ``mark``     REMOVE: none
    ``encap``    REMOVE takes keep-alive and mapping threshold with it
    ``offload``  REMOVE: in software
    ``set_mark`` ``mapping_threshold`` ``nat_keepalive``  as in :class:`~pyxfrm.model.sa.Sa`
    """

    sa: SaId
    new_saddr: Address
    new_daddr: Address
    reqid: int
    sel: Selector | HostToHost
    mark: Mark | Inherit | Remove = INHERIT
    encap: Encap | Inherit | Remove = INHERIT
    offload: Offload | Inherit | Remove = INHERIT
    set_mark: Mark | Inherit | Remove = INHERIT
    mapping_threshold: int | Inherit | Remove = INHERIT
    nat_keepalive: int | Inherit | Remove = INHERIT

    def __post_init__(self) -> None:
        if self.sa.spi == 0:
            raise UsageError(f"migration of {self.sa}: an SA without SPI cannot be named")
        if self.new_saddr.family != self.new_daddr.family:
            raise UsageError(
                f"migration of {self.sa}: {self.new_saddr} and {self.new_daddr} are of two families"
            )
        if self.new_daddr.family not in (Family.INET, Family.INET6):
            raise UsageError(f"migration of {self.sa}: the new addresses must have a family")
        uint(f"migration of {self.sa}: reqid", self.reqid, U32)
        for name in ("mapping_threshold", "nat_keepalive"):
            value = getattr(self, name)
            if isinstance(value, int):
                uint(f"migration of {self.sa}: {name}", value, U32)
        if self.encap is REMOVE:
            for name in ("mapping_threshold", "nat_keepalive"):
                if isinstance(getattr(self, name), int):
                    raise UsageError(f"migration of {self.sa}: {name} needs an encapsulation")

    @classmethod
    def of(
        cls,
        sa: Sa,
        *,
        saddr: Address | None = None,
        daddr: Address | None = None,
        encap: Encap | Inherit | Remove = INHERIT,
        reqid: int | None = None,
    ) -> Migration:
        """A move of ``sa`` that keeps all that is not named, the selector included."""
        return cls(
            sa.id,
            sa.saddr if saddr is None else saddr,
            sa.id.daddr if daddr is None else daddr,
            sa.reqid if reqid is None else reqid,
            sa.sel,
            encap=encap,
        )

    @property
    def new_mark(self) -> Mark | None:
        """The mark afterwards."""
        if self.mark is INHERIT:
            return self.sa.mark
        return None if self.mark is REMOVE else self.mark

    @property
    def new_id(self) -> SaId:
        """The SA's name afterwards."""
        return SaId(self.new_daddr, self.sa.proto, self.sa.spi, self.new_mark)

    @property
    def same_tuple(self) -> bool:
        """Destination and family stay: the kernel then looks for nobody at the new place."""
        return self.new_daddr == self.sa.daddr


@dataclass(frozen=True, slots=True)
class AddressMove:
    """One template's move in the old message: the SAs with these addresses, mode, protocol, reqid."""

    old_saddr: Address
    old_daddr: Address
    new_saddr: Address
    new_daddr: Address
    proto: Proto
    mode: Mode
    reqid: int = 0

    def __post_init__(self) -> None:
        if self.old_saddr.family != self.old_daddr.family:
            raise UsageError(f"move: {self.old_saddr} and {self.old_daddr} are of two families")
        if self.new_saddr.family != self.new_daddr.family:
            raise UsageError(f"move: {self.new_saddr} and {self.new_daddr} are of two families")
        uint("move: reqid", self.reqid, U32)
        uint("move: protocol", self.proto, U8)
        uint("move: mode", self.mode, U8)


@dataclass(frozen=True, slots=True)
class KmAddress:
    """Addresses that the key manager goes on with (XFRMA_KMADDRESS)."""

    local: Address
    remote: Address

    def __post_init__(self) -> None:
        if self.local.family != self.remote.family:
            raise UsageError(f"km address: {self.local} and {self.remote} are of two families")


@dataclass(frozen=True, slots=True)
class PolicyMigration:
    """The old MIGRATE: a policy's templates move, and SAs with them (1 to 6 moves).

    ``encap`` None *removes* the encapsulation since Linux 7.2 (it kept it before).
    """

    sel: Selector
    dir: Direction
    moves: tuple[AddressMove, ...]
    type: PolicyType = PolicyType.MAIN
    encap: Encap | None = None
    km_address: KmAddress | None = None
    if_id: int = 0
    offload: Offload | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.moves) <= XFRM_MAX_DEPTH:
            raise UsageError(f"migration: {len(self.moves)} moves, 1 to {XFRM_MAX_DEPTH} fit")
        uint("migration: if_id", self.if_id, U32)
        uint("migration: direction", self.dir, U8)
        uint("migration: policy type", self.type, U8)
