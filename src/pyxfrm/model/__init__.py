"""The values people handle: addresses, selectors, marks, algorithms, SAs, policies, migrations.

Each is frozen, compares by value, and refuses to be built from what cannot be meant. None of them knows netlink: how they look on the
wire is :mod:`pyxfrm.client.convert`'s matter. Keys do not show (:class:`Key`).

* An address knows its family (:func:`ip`, :func:`network`); it is never guessed.
* "Not said" is ``INHERIT``, "none" is ``REMOVE``, and a value is a value, zeros included.
"""

from pyxfrm.model.address import Address, Network, ip, network
from pyxfrm.model.algorithm import NO_KEY, Algorithm, AlgorithmKind, Key
from pyxfrm.model.choice import HOST_TO_HOST, INHERIT, REMOVE, HostToHost, Inherit, Remove
from pyxfrm.model.kinds import (
    Action,
    Default,
    Direction,
    EncapKind,
    ExtraFlag,
    Family,
    Mode,
    OffloadFlag,
    PolicyFlag,
    PolicyType,
    Proto,
    SaDir,
    Share,
    StateFlag,
)
from pyxfrm.model.migration import AddressMove, KmAddress, Migration, PolicyMigration
from pyxfrm.model.policy import Policy, PolicyId, Template
from pyxfrm.model.sa import (
    NO_LIMITS,
    Counters,
    Encap,
    Iptfs,
    Limits,
    Offload,
    Refusals,
    Sa,
    SaId,
    SecurityContext,
)
from pyxfrm.model.selector import ANY_PORT, Mark, Port, Selector
from pyxfrm.model.sequence import ReplayState

__all__ = [
    "ANY_PORT",
    "Action",
    "Address",
    "AddressMove",
    "Algorithm",
    "AlgorithmKind",
    "Counters",
    "Default",
    "Direction",
    "Encap",
    "EncapKind",
    "ExtraFlag",
    "Family",
    "HOST_TO_HOST",
    "HostToHost",
    "INHERIT",
    "Inherit",
    "Iptfs",
    "Key",
    "KmAddress",
    "Limits",
    "Mark",
    "Migration",
    "Mode",
    "NO_KEY",
    "NO_LIMITS",
    "Network",
    "Offload",
    "OffloadFlag",
    "Policy",
    "PolicyFlag",
    "PolicyId",
    "PolicyMigration",
    "PolicyType",
    "Port",
    "Proto",
    "REMOVE",
    "Refusals",
    "Remove",
    "ReplayState",
    "Sa",
    "SaDir",
    "SaId",
    "SecurityContext",
    "Selector",
    "Share",
    "StateFlag",
    "Template",
    "ip",
    "network",
]
