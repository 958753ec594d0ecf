"""An SA or a policy as an XFRM shows it, decoded when looked at.

A dump of a hundred thousand entries costs little more than receiving it as long as nobody asks for more. Each property decodes what it
needs once; :attr:`SaRecord.sa` and :attr:`PolicyRecord.policy` give the whole as a value.

Any property may raise :class:`pyxfrm.errors.MalformedError` if the message is too short for what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyxfrm.abi import messages as m
from pyxfrm.abi import structs as s
from pyxfrm.abi import xfrm as c
from pyxfrm.client import from_wire
from pyxfrm.model import (
    Address,
    Algorithm,
    Counters,
    Direction,
    Encap,
    Limits,
    Mark,
    Mode,
    Policy,
    PolicyId,
    Proto,
    Refusals,
    ReplayState,
    Sa,
    SaDir,
    SaId,
    Selector,
    Template,
)
from pyxfrm.wire import messages
from pyxfrm.wire.codec import codec
from pyxfrm.wire.lookup import Attributes
from pyxfrm.wire.netlink import HEADER_SIZE

if TYPE_CHECKING:
    from pyxfrm.wire.messages import Message

__all__ = ["PolicyRecord", "SaRecord"]

_SA = codec(s.UserSaInfo)
_POLICY = codec(s.UserPolicyInfo)


class _Record:
    """A message, and where in it the structure and the attributes begin."""

    __slots__ = ("_at", "_attrs", "_attrs_at", "_info", "raw")

    def __init__(self, raw: bytes, at: int, attrs_at: int) -> None:
        self.raw = raw
        self._at = at
        self._attrs_at = attrs_at
        self._info: Any = None
        self._attrs: Attributes | None = None

    @property
    def attrs(self) -> Attributes:
        """Its attributes."""
        if self._attrs is None:
            self._attrs = Attributes(self.raw, self._attrs_at)
        return self._attrs

    @property
    def message(self) -> Message:
        """The whole message as it came."""
        return messages.decode(self.raw)

    @property
    def mark(self) -> Mark | None:
        """Its mark."""
        return from_wire.mark(self.attrs.get(m.XFRMA_MARK))

    @property
    def if_id(self) -> int:
        """Its XFRM interface; 0: none."""
        return self.attrs.get(m.XFRMA_IF_ID) or 0


class SaRecord(_Record):
    """One SA. What EXPIRE events leave out (algorithms, sequence numbers) is empty or zero here."""

    __slots__ = ()

    @classmethod
    def of(cls, raw: bytes) -> SaRecord:
        """From NEWSA or UPDSA."""
        return cls(raw, HEADER_SIZE, HEADER_SIZE + _SA.size)

    @property
    def info(self) -> s.UserSaInfo:
        """Its structure, as it is on the wire."""
        if self._info is None:
            self._info = _SA.decode(self.raw, self._at)
        info: s.UserSaInfo = self._info
        return info

    @property
    def id(self) -> SaId:
        """Its name, its own mark included."""
        info = self.info
        return from_wire.sa_id(self.daddr, info.id.proto, info.id.spi, self.attrs, self.saddr)

    @property
    def saddr(self) -> Address:
        """Its source."""
        return from_wire.address(from_wire.family(self.info.family), self.info.saddr)

    @property
    def daddr(self) -> Address:
        """Its destination."""
        return from_wire.address(from_wire.family(self.info.family), self.info.id.daddr)

    @property
    def spi(self) -> int:
        """Its SPI, host order."""
        return self.info.id.spi

    @property
    def proto(self) -> Proto:
        """Its protocol."""
        return Proto(self.info.id.proto)

    @property
    def mode(self) -> Mode:
        """Its mode."""
        return Mode(self.info.mode)

    @property
    def reqid(self) -> int:
        """What ties it to templates."""
        return self.info.reqid

    @property
    def sel(self) -> Selector:
        """Its selector, of the family it says."""
        return from_wire.selector(self.info.sel)

    @property
    def dir(self) -> SaDir | None:
        """Its direction, if it has one."""
        value = self.attrs.get(m.XFRMA_SA_DIR)
        return None if value is None else SaDir(value)

    @property
    def encap(self) -> Encap | None:
        """Its encapsulation, if it has one."""
        return from_wire.encap(self.attrs.get(m.XFRMA_ENCAP), from_wire.family(self.info.family))

    @property
    def replay(self) -> ReplayState:
        """Its sequence numbers."""
        info = self.info
        return from_wire.replay(
            self.attrs, info.replay_window, esn=bool(info.flags & c.XFRM_STATE_ESN)
        )

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        """Its algorithms; their keys do not show."""
        return from_wire.algorithms(self.attrs)

    @property
    def limits(self) -> Limits:
        """When it expires."""
        return from_wire.limits(self.info.lft)

    @property
    def counters(self) -> Counters:
        """What went through it."""
        return from_wire.counters(self.info.curlft)

    @property
    def refusals(self) -> Refusals:
        """What it refused."""
        return from_wire.refusals(self.info.stats)

    @property
    def last_used(self) -> int | None:
        """Seconds since the epoch; None: not known, or never."""
        value: int | None = self.attrs.get(m.XFRMA_LASTUSED)
        return value

    @property
    def sa(self) -> Sa:
        """All that can be said when it is installed, as a value."""
        return from_wire.sa(self.info, self.attrs)

    def __repr__(self) -> str:
        return f"<SaRecord {self.id}>"


class PolicyRecord(_Record):
    """One policy."""

    __slots__ = ()

    @classmethod
    def of(cls, raw: bytes) -> PolicyRecord:
        """From NEWPOLICY or UPDPOLICY."""
        return cls(raw, HEADER_SIZE, HEADER_SIZE + _POLICY.size)

    @property
    def info(self) -> s.UserPolicyInfo:
        """Its structure, as it is on the wire."""
        if self._info is None:
            self._info = _POLICY.decode(self.raw, self._at)
        info: s.UserPolicyInfo = self._info
        return info

    @property
    def id(self) -> PolicyId:
        """Its name, by selector."""
        return self.policy.id

    @property
    def dir(self) -> Direction:
        """Its direction."""
        return Direction(self.info.dir)

    @property
    def index(self) -> int:
        """The number that the kernel gave it."""
        return self.info.index

    @property
    def priority(self) -> int:
        """The lowest wins."""
        return self.info.priority

    @property
    def sel(self) -> Selector:
        """Its selector."""
        return from_wire.selector(self.info.sel)

    @property
    def templates(self) -> tuple[Template, ...]:
        """The SAs it asks for."""
        return tuple([from_wire.template(t) for t in self.attrs.get(m.XFRMA_TMPL) or ()])

    @property
    def counters(self) -> Counters:
        """What it was used for."""
        return from_wire.counters(self.info.curlft)

    @property
    def policy(self) -> Policy:
        """The whole as a value."""
        return from_wire.policy(self.info, self.attrs)

    def __repr__(self) -> str:
        return f"<PolicyRecord {self.id}>"
