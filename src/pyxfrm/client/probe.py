"""What a kernel can do, without changing anything.

MIGRATE_STATE: the message is sent for an SA that GETSA just said does not exist. ESRCH is the one positive sign: the kernel knew the
message and looked for the SA. EINVAL alone proves little (a malformed request gets it too), so only the bare EINVAL that a kernel
answers to numbers beyond its last message, without a text, counts as "too old".

Marks: a GETSA whose key fits an existing SA, but whose mark is not that SA's. A kernel that finds something for it matches by
``key & m == v``; one that finds nothing compares marks exactly. That needs an SA to look at, and only looks.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum

from pyxfrm.client import verbs
from pyxfrm.client.procedure import Procedure, ask, peek
from pyxfrm.client.records import SaRecord
from pyxfrm.client.safety import same_mark
from pyxfrm.errors import RefusedError
from pyxfrm.model import Family, Mark, Migration, Mode, Proto, SaId, Selector, ip

__all__ = ["Probe", "Support", "probe", "probe_marks"]

_NOWHERE = ip("192.0.2.254")  # RFC 5737: of a network that nobody has
_FIRST_SPI = 0xFFFFFF01
_LOOKED_AT = 16
_ALL = 0xFFFFFFFF


class Support(Enum):
    """Whether XFRM_MSG_MIGRATE_STATE can be used."""

    AVAILABLE = "available"
    BUILT_WITHOUT = "built without CONFIG_XFRM_MIGRATE"
    TOO_OLD = "too old"
    CANNOT_TELL = "cannot tell"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Probe:
    """``why``: the sign that told. ``exact_marks`` None: there was no SA to look at."""

    migrate_state: Support
    why: str
    exact_marks: bool | None = None


def probe() -> Procedure[Probe]:
    """Look at both."""
    support, why = yield from _probe_migrate_state()
    if support is Support.CANNOT_TELL:
        return Probe(support, why)
    marks = yield from probe_marks()
    return Probe(support, why, marks)


def _probe_migrate_state() -> Procedure[tuple[Support, str]]:
    for spi in range(_FIRST_SPI, _FIRST_SPI + 64):
        name = SaId(_NOWHERE, Proto.ESP, spi)
        try:
            yield from ask(verbs.get_sa(name))
        except RefusedError as no:
            if no.errno != errno.ESRCH:
                return Support.CANNOT_TELL, str(no)
            return (yield from _ask_for_nobody(name))
    return Support.CANNOT_TELL, f"SAs to {_NOWHERE} are in the way"


def _ask_for_nobody(name: SaId) -> Procedure[tuple[Support, str]]:
    move = Migration(name, name.daddr, name.daddr, 0, Selector.any(Family.INET))
    try:
        yield from ask(verbs.migrate_sa(move))
    except RefusedError as no:
        sign = f"{no.errno_name} {no.text}".strip()
        if no.errno == errno.ESRCH:
            return Support.AVAILABLE, sign
        if no.errno == errno.ENOPROTOOPT:
            return Support.BUILT_WITHOUT, sign
        if no.errno == errno.EINVAL and not no.text:
            return Support.TOO_OLD, sign
        return Support.CANNOT_TELL, sign
    return Support.CANNOT_TELL, "an SA that does not exist was moved"


def probe_marks(*, may_add: bool = False) -> Procedure[bool | None]:
    """Whether this kernel matches marks exactly; None if it has no SA to tell by.

    ``may_add``: then make a larval SA to 192.0.2.254, and remove it.
    """
    for record in (yield from peek(verbs.sas(), _LOOKED_AT)):
        name = _near_miss(record)
        if name is not None:
            return (yield from _is_exact(name))
    if not may_add:
        return None
    larva = SaId(_NOWHERE, Proto.ESP)
    record = yield from ask(
        verbs.allocate_spi(larva, _NOWHERE, Mode.TRANSPORT, low=_FIRST_SPI, high=_ALL)
    )
    name = _near_miss(record)
    exact = None if name is None else (yield from _is_exact(name))
    yield from ask(
        verbs.delete_sa(record.id)
    )  # not in `finally`: who is closed cannot ask, and a larva goes by itself
    return exact


def _near_miss(record: SaRecord) -> SaId | None:
    """A name that a lookup by key takes for this SA, and an exact one does not."""
    if not record.proto.by_spi or not record.spi:
        return None
    mark = record.mark or Mark(0, 0)
    if not mark.findable:
        return None
    spare = ~mark.mask & _ALL
    if spare:
        bit = spare & -spare
        other = Mark(mark.value | bit, mark.mask | bit)
    elif mark.value != _ALL:
        other = Mark(mark.value, mark.value)
    else:
        return None
    return SaId(record.daddr, record.proto, record.spi, other)


def _is_exact(name: SaId) -> Procedure[bool | None]:
    try:
        found = yield from ask(verbs.get_sa(name))
    except RefusedError as no:
        return True if no.errno == errno.ESRCH else None
    # An SA of exactly this mark tells nothing; any other was found by key.
    return None if same_mark(found.mark, name.mark) else False
