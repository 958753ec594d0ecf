"""What a procedure can ask for, and what it hears: a closed set.

A procedure (:mod:`pyxfrm.relocation.steps`) is a generator. It yields commands, gets replies, and touches nothing: no sockets, no clock,
no files. So every path of it can be read, replayed, and cut after any step.

Two levels::

    kernel commands   one netlink request each: Block, InstallPolicy, UpdatePolicy, RemovePolicy, Unblock,
                      Migrate, MigrateByPolicy, AddSa, RemoveSa, Below
    commands          what is yielded: Batch (kernel commands in one send), Script (batches and waits without a
                      pause between them), Look, ReadSa, Journal, Wait, SetSysctl, DualAccept, ReadCounters

``end`` says which machine, 0 or 1: a relocation of a pair has both ends in one procedure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyxfrm.model import Migration, Policy, PolicyId, PolicyMigration, Sa, SaId
from pyxfrm.relocation.dual import Rule
from pyxfrm.relocation.footprint import Footprint
from pyxfrm.relocation.machine import State

__all__ = [
    "AddSa",
    "Answer",
    "Batch",
    "Below",
    "Block",
    "Command",
    "DONE",
    "DualAccept",
    "Failed",
    "InstallPolicy",
    "Journal",
    "KernelCommand",
    "Look",
    "Migrate",
    "MigrateByPolicy",
    "ReadCounters",
    "ReadSa",
    "RemovePolicy",
    "RemoveSa",
    "Reply",
    "Script",
    "SetSysctl",
    "Sight",
    "UNKNOWN",
    "Unblock",
    "UpdatePolicy",
    "Wait",
]

# -- one request to the kernel each ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """Stop a policy's traffic: UPDPOLICY of the policy itself, or NEWPOLICY of an overlay."""

    policy: Policy
    overlay: bool = False


@dataclass(frozen=True, slots=True)
class Unblock:
    """Take an overlay away: DELPOLICY."""

    policy: PolicyId


@dataclass(frozen=True, slots=True)
class InstallPolicy:
    """A policy where none is: NEWPOLICY."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class UpdatePolicy:
    """A policy in place of the one with its name, as one exchange; or new: UPDPOLICY."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class RemovePolicy:
    """DELPOLICY."""

    policy: PolicyId


@dataclass(frozen=True, slots=True)
class Migrate:
    """MIGRATE_STATE of one SA."""

    migration: Migration


@dataclass(frozen=True, slots=True)
class MigrateByPolicy:
    """The old MIGRATE: a policy's templates, and the SAs they name."""

    migration: PolicyMigration


@dataclass(frozen=True, slots=True)
class AddSa:
    """NEWSA. Its keys are hidden in every text."""

    sa: Sa


@dataclass(frozen=True, slots=True)
class RemoveSa:
    """DELSA."""

    sa: SaId


@dataclass(frozen=True, slots=True)
class Below:
    """Nothing is changed: GETSA, and a failure (EAGAIN) if the SA has sent up to ``number`` or more."""

    sa: SaId
    number: int


KernelCommand = (
    Block
    | Unblock
    | InstallPolicy
    | UpdatePolicy
    | RemovePolicy
    | Migrate
    | MigrateByPolicy
    | AddSa
    | RemoveSa
    | Below
)

# -- what a procedure yields -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """Kernel commands in one send, in order. The kernel does not stop at one that it refuses.

    Reply: an :data:`Answer` for each.
    """

    commands: tuple[KernelCommand, ...]
    end: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Let packets that are under way arrive. Reply: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Script:
    """Batches and waits with nothing between them; all datagrams are built before the first is sent.

    It stops after the first batch in which anything failed. Reply: a tuple of answers for each batch that was sent.
    """

    parts: tuple[Batch | Wait, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Read these SAs and policies. Reply: :class:`Sight`, or :data:`UNKNOWN`."""

    sas: tuple[SaId, ...]
    policies: tuple[PolicyId, ...]
    end: int = 0


@dataclass(frozen=True, slots=True)
class ReadSa:
    """Read one SA whole, keys included. Reply: an Sa, None where it is not there, or UNKNOWN."""

    sa: SaId
    end: int = 0


@dataclass(frozen=True, slots=True)
class Journal:
    """Write down where we are *before* going on; durable when it is answered. Reply: None.

    ``cuts``  by end and SPI: the sequence number that separates an SA from its copy
    """

    state: State
    note: str = ""
    cuts: tuple[tuple[int, SaId, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Set a sysctl of the namespace; the old value is kept and put back however it ends.

    ``value`` None: put back now. Reply: None, or :class:`Failed`.
    """

    name: str
    value: str | None
    end: int = 0


@dataclass(frozen=True, slots=True)
class DualAccept:
    """Take packets for an old address as if they were for the new one, too, by tc; ``on`` False: no longer.

    Reply: None, or :class:`Failed`.
    """

    rule: Rule
    on: bool = True
    end: int = 0


@dataclass(frozen=True, slots=True)
class ReadCounters:
    """/proc/net/xfrm_stat. Reply: a dict of its counters ({} where there is none)."""

    end: int = 0


Command = Batch | Script | Look | ReadSa | Wait | Journal | SetSysctl | DualAccept | ReadCounters

# -- what it hears ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Done:
    def __repr__(self) -> str:
        return "DONE"


@dataclass(frozen=True, slots=True)
class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Failed:
    """It was refused. ``errno``: positive; ``text``: one line for a person."""

    errno: int
    text: str = ""


DONE = _Done()
UNKNOWN = _Unknown()

Answer = _Done | _Unknown | Failed


@dataclass(frozen=True, slots=True)
class Sight:
    """What a Look saw. ``oseq``: last number that each SA sent.

    Only what is there has an entry. ``policies`` are without the kernel's index.
    """

    sas: dict[SaId, Footprint]
    policies: dict[PolicyId, Policy]
    oseq: dict[SaId, int]


Reply = Any
