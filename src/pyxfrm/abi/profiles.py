"""What differs between kernels: named behaviours, one row a kernel.

A profile is chosen when an engine is made. Code asks a profile for a behaviour by name and never for a version; a known
fault of a shipped kernel is a behaviour like any other.
"""

from __future__ import annotations

from typing import NamedTuple

from pyxfrm.errors import UsageError

__all__ = [
    "EXACT_MARKS",
    "LINUX_6_12",
    "LINUX_7_2",
    "LINUX_7_2_NOMIG",
    "LINUX_7_3",
    "PROFILES",
    "Profile",
    "profile_named",
]


class Profile(NamedTuple):
    """The behaviours of one kernel.

    ``msg_max``              highest XFRM message number it knows; above it: EINVAL, no text
    ``attr_max``             highest XFRMA number it knows; above it: ignored
    ``migrate``              built with CONFIG_XFRM_MIGRATE
    ``exact_marks``          control-plane lookups match mark and mask exactly (the announced fix); else by ``key & m == v``
    ``clone_offload_type``   a clone's offload type is set, so that MIGRATE_STATE with OFFLOAD_DEV can succeed
    ``align_u64``            64-bit attributes are put at multiples of 8 with XFRMA_PAD (no efficient unaligned access)
    ``iptfs``                built with CONFIG_XFRM_IPTFS
    ``cpus``                 number of possible CPUs: an SA_PCPU must be below it
    ``rejects_pcpu``         refuses XFRMA_SA_PCPU in messages that cannot use it
    ``hz``                   CONFIG_HZ: the unit of replay timers that GETAE shows in tenths of a second
    ``selinux``              SELinux is the active security module (no policy loaded); else contexts are ignored
    ``mtimer_texts``         refusals of XFRMA_MTIMER_THRESH: without encapsulation, and on an output SA
    ``tfcpad_limit``         XFRMA_TFCPAD is held to 65535
    ``auth_by_number``       whether AUTH_TRUNC was given is told by the algorithm's number: one that has none is overruled by AUTH
    ``offload_type_first``   that a type has no offload is said before anything else about offload
    ``offload_if_id``        an inbound SA with an if_id can be offloaded
    ``missing_algorithms``   names of the list of algorithms that its crypto lacks
    ``xcbc_keys``            bytes of key that its xcbc(aes) takes
    ``mode_max``             XFRM_MODE_MAX: modes are below it; IP-TFS is known from 6 on, with or without the code behind it
    ``comp_gains``           bytes that IPComp must have saved: for what comes in not to be refused, for what goes out not to be left as it is
    ``migrate_as_it_was``    MIGRATE clones SAs as it did before MIGRATE_STATE came, see handlers/migrate.py
    ``release``              what uname(2) says: programs look at it before they try a new message
    """

    name: str
    msg_max: int = 0x29
    attr_max: int = 41
    migrate: bool = True
    exact_marks: bool = False
    clone_offload_type: bool = False
    align_u64: bool = False
    iptfs: bool = False
    cpus: int = 1
    rejects_pcpu: bool = True
    hz: int = 100
    selinux: bool = True
    mtimer_texts: tuple[str, str] = (
        "MTIMER_THRESH requires encapsulation",
        "MTIMER_THRESH should not be set on output SA",
    )
    tfcpad_limit: bool = True
    auth_by_number: bool = False
    offload_type_first: bool = False
    offload_if_id: bool = False
    missing_algorithms: frozenset[str] = frozenset(("hmac(rmd160)", "hmac(sm3)", "cbc(sm4)"))
    xcbc_keys: frozenset[int] = frozenset((16,))
    mode_max: int = 6
    comp_gains: tuple[int, int] = (1, 4)
    migrate_as_it_was: bool = False
    release: str = "7.2.7"


LINUX_7_2 = Profile("LINUX_7_2")
LINUX_7_2_NOMIG = LINUX_7_2._replace(name="LINUX_7_2_NOMIG", migrate=False)
LINUX_7_3 = LINUX_7_2._replace(name="LINUX_7_3", release="7.3.4", iptfs=True, cpus=4)
EXACT_MARKS = LINUX_7_2._replace(name="EXACT_MARKS", exact_marks=True)
LINUX_6_12 = Profile(
    "LINUX_6_12",
    msg_max=0x28,
    attr_max=35,
    rejects_pcpu=False,
    align_u64=True,
    mtimer_texts=(
        "MTIMER_THRESH attribute can only be set on ENCAP states",
        "MTIMER_THRESH attribute should not be set on output SA",
    ),
    tfcpad_limit=False,
    auth_by_number=True,
    offload_type_first=True,
    offload_if_id=True,
    missing_algorithms=frozenset(("hmac(sm3)", "cbc(sm4)")),
    xcbc_keys=frozenset((16, 24, 32)),
    mode_max=5,
    comp_gains=(4, 5),
    migrate_as_it_was=True,
    release="6.12.101",
)

PROFILES = {
    profile.name: profile
    for profile in (LINUX_7_2, LINUX_7_2_NOMIG, LINUX_7_3, EXACT_MARKS, LINUX_6_12)
}


def profile_named(name: str) -> Profile:
    """A profile by its name, in upper or lower case, with ``-`` or ``.`` for ``_``; ``7.2`` is short for ``LINUX_7_2``. UsageError if there is none.

    >>> profile_named("7.2").name, profile_named("exact-marks").name
    ('LINUX_7_2', 'EXACT_MARKS')
    """
    made = name.upper().replace("-", "_").replace(".", "_")
    found = PROFILES.get(made) or PROFILES.get(f"LINUX_{made}")
    if found is None:
        raise UsageError(f"no profile {name!r}: choose one of {', '.join(sorted(PROFILES))}")
    return found
