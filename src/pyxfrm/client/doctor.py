"""What is wrong with a host's SAs and policies, as far as tables can tell.

(:mod:`pyxfrm.client.doctor_moves` has the rules about moves.) A :class:`Rule` sees the SAs one after the other, and keeps of them only what it must; :data:`RULES` is all of them, and :func:`examine` runs them over
:class:`Facts`: policies, SAs as they come, and what was found out beside them. So SAs without faults cost no memory, however many there are. No rule asks anything,
changes anything, or shows a key.

Severities: ``error``, traffic is lost or secrecy is; ``warning``, it will be, or is as soon as something common happens; ``note``, worth knowing before
one changes anything.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from heapq import merge
from itertools import chain, pairwise
from typing import NamedTuple

from pyxfrm.abi.netlink import NETLINK_XFRM
from pyxfrm.abi.xfrm import XFRMNLGRP_ACQUIRE
from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.client.safety import pick, same_mark
from pyxfrm.errors import UsageError
from pyxfrm.model import (
    Action,
    Address,
    AlgorithmKind,
    Direction,
    ExtraFlag,
    Mark,
    Mode,
    Policy,
    Proto,
    Sa,
    SaDir,
    SaId,
    Template,
)

__all__ = [
    "Facts",
    "Finding",
    "RULES",
    "Rule",
    "Seen",
    "Severity",
    "Socket",
    "examine",
    "parse_netlink",
]

_ACQUIRE = 1 << (XFRMNLGRP_ACQUIRE - 1)  # in a socket's groups
_WATCHERS = ("ip", "xfrm")  # they listen to everything and own nothing
_NEGATIVE = 1 << 63  # from here on the kernel's sum of times is below zero
_NUMBERS = 1 << 32
_NEAR, _VERY_NEAR = _NUMBERS // 10 * 8, _NUMBERS // 20 * 19
_COUNTERS = ("gcm(", "ccm(", "ctr(", "rfc7539", "chacha20", "gmac")
_SHORT_WINDOW = 32
_SORTED_AT_ONCE = 4096
_NO_MARK = Mark(0, 0)


class Severity(Enum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """``rule`` that found it; ``subject``: which SA or policy; ``reason``: why it matters; ``next_step``: what to do."""

    rule: str
    severity: Severity
    subject: str
    reason: str
    next_step: str


class Socket(NamedTuple):
    """A NETLINK_XFRM socket of some process. ``groups``: bit 0 is group 1; ``inode`` finds its owner; ``owner``: its name, if known."""

    portid: int
    groups: int
    inode: int
    owner: str = ""


@dataclass(frozen=True)
class Facts:
    """What rules look at.

    ``sas``          the SAs in the order of a dump; they are gone through once, and again if some share a name: a list, or what asks the kernel each time
    ``policies``     those of a dump
    ``exact_marks``  whether lookups compare marks exactly (:mod:`pyxfrm.client.probe`); None: not known
    ``sockets``      NETLINK_XFRM sockets of other processes
    ``lockdown``     the kernel's lockdown, ``none``, ``integrity`` or ``confidentiality``; "": not known
    ``addresses``    those of interfaces; None: not known
    ``larval_drop``  the sysctl ``net.core.xfrm_larval_drop``; "": not known
    """

    sas: Iterable[SaRecord]
    policies: Sequence[PolicyRecord] = ()
    exact_marks: bool | None = None
    sockets: Sequence[Socket] = ()
    lockdown: str = ""
    addresses: frozenset[Address] | None = None
    larval_drop: str = ""

    @cached_property
    def rules_of_traffic(self) -> list[Policy]:
        """Policies that let traffic pass, as values."""
        found = [record.policy for record in self.policies]
        return [policy for policy in found if policy.action == Action.ALLOW]

    @cached_property
    def roles(self) -> dict[tuple[object, ...], set[SaDir]]:
        """By addresses, protocol, mode and reqid: what policies use such SAs for."""
        found: dict[tuple[object, ...], set[SaDir]] = defaultdict(set)
        for policy in self.rules_of_traffic:
            way = SaDir.OUT if policy.dir == Direction.OUT else SaDir.IN
            for t in policy.templates:
                found[t.saddr, t.daddr, t.proto, t.mode, t.reqid].add(way)
        return found

    def role(self, sa: Sa) -> SaDir | None:
        """Whether an SA receives or sends; None: nothing tells."""
        if sa.dir is not None:
            return sa.dir
        key = (sa.saddr, sa.id.daddr, sa.id.proto, sa.mode)
        ways = self.roles.get((*key, sa.reqid), set()) | self.roles.get((*key, 0), set())
        if len(ways) == 1:
            return next(iter(ways))
        if bool(sa.replay.oseq) != bool(sa.replay.seq):
            return SaDir.OUT if sa.replay.oseq else SaDir.IN
        return None


class Seen(NamedTuple):
    """One SA as rules see it: as it came, and its value."""

    record: SaRecord
    sa: Sa


class Rule:
    """One rule, and what it remembers of the SAs that it has seen.

    ``larval``  whether it sees SAs too that only hold an SPI (ALLOCSPI, ACQUIRE)
    """

    larval = False

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def see(self, seen: Seen) -> Iterable[Finding]:  # noqa: ARG002 (some rules look at policies only)
        """What is wrong with one SA, as far as it alone tells."""
        return ()

    def end(self) -> Iterable[Finding]:
        """What else is wrong, once all were seen."""
        return ()


def _is_larval(sa: Sa) -> bool:
    return sa.id.proto in (Proto.ESP, Proto.AH, Proto.COMP) and not sa.algorithms


def _protects(sa: Sa) -> bool:
    return sa.id.proto in (Proto.ESP, Proto.AH)


# -- marks -----------------------------------------------------------------------------------------


class AmbiguousMarks(Rule):
    """SAs that a lookup of their own name does not find, or does not find alone.

    Names are kept as 8 bytes each. Only if two are equal, or a mark is one that nothing finds, are the SAs gone through again, and those held that have such a name.
    """

    larval = True

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._names = [array("q")]  # all but the last are sorted
        self._suspect: set[int] = set()

    def see(self, seen: Seen) -> Iterable[Finding]:
        """Note its name."""
        mark, name = seen.sa.id.mark, _name(seen.sa)
        if name is not None:
            self._names[-1].append(hash(name))
            if len(self._names[-1]) == _SORTED_AT_ONCE:
                self._names[-1:] = [array("q", sorted(self._names[-1])), array("q")]
            if mark is not None and not mark.findable:
                self._suspect.add(hash(name))
        return ()

    def end(self) -> Iterator[Finding]:
        """Look at those that may be mistaken for each other."""
        names = merge(*self._names[:-1], sorted(self._names[-1]))
        self._suspect.update(one for one, following in pairwise(names) if one == following)
        if not self._suspect:
            return
        groups: dict[object, list[SaRecord]] = defaultdict(list)
        for record in self.facts.sas:
            name = _name(record.sa)
            if name is not None and hash(name) in self._suspect:
                groups[name].append(record)
        for group in groups.values():
            for record in group:
                found = _one_mark(record, group, exact_marks=self.facts.exact_marks is True)
                if found is not None:
                    yield found


def _name(sa: Sa) -> tuple[object, ...] | None:
    """What an SA is found by, but for its mark; None for one of an ACQUIRE: nothing is found by that."""
    name = sa.id
    if name.proto.by_spi and not name.spi:
        return None
    return name.daddr.packed, name.proto.value, name.spi, name.saddr and name.saddr.packed


def _one_mark(record: SaRecord, group: list[SaRecord], *, exact_marks: bool) -> Finding | None:
    rule, subject = "ambiguous-marks", f"SA {record.id}"
    if record.mark is not None and not record.mark.findable:
        return Finding(
            rule,
            Severity.ERROR,
            subject,
            "its mark has bits outside its mask: no packet and no request finds this SA",
            "flush, or let it expire, and install it with a mark inside its mask",
        )
    found = pick(group, record.id, exact_marks=exact_marks)
    if found.exact:
        return None
    if found.picked is not None and not same_mark(found.picked.mark, record.mark):
        return Finding(
            rule,
            Severity.ERROR,
            subject,
            f"the kernel takes {found.picked.id} for it: a packet, a move or a deletion meets that one instead",
            "give the SAs marks that exclude each other, or delete the wider one first",
        )
    return Finding(
        rule,
        Severity.ERROR,
        subject,
        f"{1 + len(found.others)} SAs have this name: only the first is ever found",
        "delete one of them, by this name, and look again",
    )


# -- policies --------------------------------------------------------------------------------------


class TemplatesWithoutSa(Rule):
    """Templates whose addresses no SA has.

    Kept are what templates ask for and no SA is yet (as net/xfrm/xfrm_policy.c: xfrm_state_ok, and the lookup by if_id), and the first SA of each reqid that
    they name.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._missing = {_wish(policy, template) for policy, template in self._asked()}
        self._reqids = {(template.reqid, template.proto) for _, template in self._asked()}
        self._namesakes: dict[tuple[int, Proto], Sa] = {}

    def _asked(self) -> Iterator[tuple[Policy, Template]]:
        for policy in self.facts.rules_of_traffic:
            for template in policy.templates:
                if template.optional or not template.mode.has_ends:
                    continue
                if not (template.saddr.is_any or template.daddr.is_any):
                    yield policy, template

    def see(self, seen: Seen) -> Iterable[Finding]:
        """Strike out what it is."""
        if self._missing:
            sa = seen.sa
            named = sa.reqid, sa.id.proto
            if named in self._reqids:
                self._namesakes.setdefault(named, sa)
            ends = sa.saddr, sa.id.daddr, sa.id.proto, sa.mode, sa.if_id
            self._missing.difference_update(
                [(*ends, reqid, spi) for reqid in (0, sa.reqid) for spi in (0, sa.id.spi)]
            )
        return ()

    def end(self) -> Iterator[Finding]:
        """Tell what is left."""
        for policy, template in self._asked():
            if _wish(policy, template) in self._missing:
                yield _no_sa(
                    policy, template, self._namesakes.get((template.reqid, template.proto))
                )


def _wish(policy: Policy, template: Template) -> tuple[object, ...]:
    """What a template asks of an SA; where reqid or SPI are 0 they may be any."""
    t = template
    return t.saddr, t.daddr, t.proto, t.mode, policy.if_id, t.reqid, t.spi


def _no_sa(policy: Policy, template: Template, namesake: Sa | None) -> Finding:
    rule, subject = "template-without-sa", f"policy {policy.id}"
    asks = f"its template asks for {template}"
    out = policy.dir == Direction.OUT
    effect = (
        "packets are dropped (XfrmOutNoStates) and ACQUIREs sent"
        if out
        else "packets are dropped (XfrmInTmplMismatch)"
    )
    if template.reqid and namesake is not None:
        return Finding(
            rule,
            Severity.ERROR,
            subject,
            f"{asks}; the SAs of that reqid are others, as from {namesake.saddr} to {namesake.id.daddr} ({namesake.mode}): {effect}",
            "after a move: update the policy's template to the SA's addresses, or move the SA",
        )
    return Finding(
        rule,
        Severity.NOTE if out else Severity.WARNING,
        subject,
        f"{asks}, and there is no such SA: {effect}",
        "fine if an IKE daemon makes the SA when there is traffic; else install it",
    )


class MissingFwd(Rule):
    """Inbound tunnel policies without one for what is handed on."""

    def end(self) -> Iterator[Finding]:
        """Compare policies."""
        policies = self.facts.rules_of_traffic
        forward = {_packets(p) for p in policies if p.dir == Direction.FWD}
        for policy in policies:
            if policy.dir != Direction.IN or _packets(policy) in forward:
                continue
            if not any(t.mode in (Mode.TUNNEL, Mode.IPTFS) for t in policy.templates):
                continue
            yield Finding(
                "missing-fwd",
                Severity.NOTE if policy.sel.daddr.is_host else Severity.WARNING,
                f"policy {policy.id}",
                "no `fwd` policy has its selector: packets from the tunnel to another host are not matched to the tunnel's SAs",
                "add the same policy with `dir fwd`; not needed if the destination is only this host itself",
            )


def _packets(policy: Policy) -> tuple[object, ...]:
    """What tells the packets of one policy from those of another."""
    return policy.sel, policy.mark or _NO_MARK, policy.if_id


# -- replay and sequence numbers -------------------------------------------------------------------


class ReplayWindow(Rule):
    """Windows of 0 on SAs that receive; wide ones without ESN."""

    def see(self, seen: Seen) -> Iterator[Finding]:
        """Look at its window."""
        sa = seen.sa
        if not _protects(sa):
            return
        role, window = self.facts.role(sa), sa.replay.window
        if window == 0 and role is not SaDir.OUT:
            yield Finding(
                "replay-window",
                Severity.WARNING if role is SaDir.IN else Severity.NOTE,
                f"SA {sa.id}",
                "its replay window is 0: whoever copies a packet can send it again",
                "fine if this SA only sends; else install it again with `replay-window 32` or more",
            )
        elif window > _SHORT_WINDOW and not sa.replay.esn:
            yield Finding(
                "replay-window",
                Severity.NOTE,
                f"SA {sa.id}",
                f"its replay window is {window}, over 32, and it has no ESN: a program that rebuilds it in the short form makes it 32",
                "rebuild it only with the ESN attribute (XFRMA_REPLAY_ESN_VAL); so fast a link is better off with ESN",
            )


class CountersNearWrap(Rule):
    """Counter modes whose 32-bit numbers run out: a number used twice gives away what is in both packets."""

    def see(self, seen: Seen) -> Iterator[Finding]:
        """Look at its numbers."""
        sa = seen.sa
        if sa.replay.esn or not _in_counter_mode(sa):
            return
        if sa.extra_flags & ExtraFlag.OSEQ_MAY_WRAP:
            yield Finding(
                "counter-wrap",
                Severity.ERROR,
                f"SA {sa.id}",
                "its sequence numbers may wrap (oseq-may-wrap), and its cipher makes IVs of them: the same IV comes again, and plaintext leaks",
                "take the flag away; use ESN",
            )
        used = max(sa.replay.oseq, sa.replay.seq)
        if used >= _NEAR:
            yield Finding(
                "counter-wrap",
                Severity.ERROR if used >= _VERY_NEAR else Severity.WARNING,
                f"SA {sa.id}",
                f"without ESN it has {_NUMBERS - 1 - used} of 2^32 sequence numbers left; then its packets are dropped",
                "rekey now, with ESN",
            )


def _in_counter_mode(sa: Sa) -> bool:
    ciphers = (AlgorithmKind.AEAD, AlgorithmKind.CRYPT)
    return any(
        part in a.name for a in sa.algorithms if a.kind in ciphers for part in _COUNTERS
    ) or any("gmac" in a.name for a in sa.algorithms)


# -- limits ----------------------------------------------------------------------------------------

_TIMES = ("soft_add", "hard_add", "soft_use", "hard_use")


class LimitsAtOnce(Rule):
    """Limits that are over as soon as they begin (net/xfrm/xfrm_state.c: xfrm_timer_handler, xfrm_state_check_expire)."""

    def see(self, seen: Seen) -> Iterator[Finding]:
        """Look at times, bytes and packets."""
        lft = seen.record.info.lft
        yield from _times_at_once(seen.record, "SA", lft)
        for name, count in (("hard_bytes", lft[1]), ("hard_packets", lft[3])):
            if count == 0:
                yield Finding(
                    "limit-at-once",
                    Severity.ERROR,
                    f"SA {seen.sa.id}",
                    f"its limit {name} is 0: the first packet expires it",
                    "install it again without this limit (in netlink: all ones, XFRM_INF)",
                )

    def end(self) -> Iterator[Finding]:
        """Look at the times of policies."""
        for policy in self.facts.policies:
            yield from _times_at_once(policy, "policy", policy.info.lft)


def _times_at_once(
    record: SaRecord | PolicyRecord, what: str, lft: Sequence[int]
) -> Iterator[Finding]:
    for name, seconds in zip(_TIMES, lft[4:], strict=True):
        if seconds >= _NEGATIVE:
            yield Finding(
                "limit-at-once",
                Severity.ERROR if name.startswith("hard") else Severity.WARNING,
                f"{what} {record.id}",
                f"its limit {name} is {seconds} s, which is negative when added to a time: it expires at the first tick",
                "install it again with 0 for no limit: all ones (XFRM_INF) mean none for bytes and packets only",
            )


# -- keys, and who else is there -------------------------------------------------------------------


class UnreadableKeys(Rule):
    """Keys that are all zeros."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._hidden = 0
        self._first: SaId | None = None

    def see(self, seen: Seen) -> Iterable[Finding]:
        """Count it, if it has one."""
        if any(a.key.unreadable for a in seen.sa.algorithms):
            self._hidden += 1
            self._first = self._first or seen.sa.id
        return ()

    def end(self) -> Iterator[Finding]:
        """One finding for all of them."""
        if not self._hidden:
            return
        rest = f" and {self._hidden - 1} more" if self._hidden > 1 else ""
        locked = self.facts.lockdown == "confidentiality"
        yield Finding(
            "unreadable-keys",
            Severity.NOTE if locked else Severity.WARNING,
            f"SA {self._first}{rest}",
            "keys read as zeros: "
            + (
                "the kernel is locked down and does not show them"
                if locked
                else "the kernel is locked down, or the keys really are zeros"
            ),
            "do not rebuild these SAs from a dump: move them (MIGRATE_STATE), or rekey"
            + ("" if locked else "; see /sys/kernel/security/lockdown"),
        )


class KeyManagers(Rule):
    """Other processes that answer ACQUIREs."""

    larval = True

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._there = bool(facts.policies)

    def see(self, seen: Seen) -> Iterable[Finding]:  # noqa: ARG002 (whatever it is)
        """There is something to manage."""
        self._there = True
        return ()

    def end(self) -> Iterator[Finding]:
        """Who may be managing it."""
        for socket in self.facts.sockets if self._there else ():
            if not socket.groups & _ACQUIRE or socket.owner in _WATCHERS:
                continue
            who = socket.owner or "its process is not known"
            yield Finding(
                "key-manager",
                Severity.NOTE,
                f"netlink port {socket.portid} ({who})",
                "it listens to ACQUIREs, as an IKE daemon does: these SAs and policies are likely its own",
                "change them through it; it does not learn of changes behind its back, and may undo them at the next rekey",
            )


RULES: tuple[type[Rule], ...] = (
    AmbiguousMarks,
    TemplatesWithoutSa,
    MissingFwd,
    ReplayWindow,
    CountersNearWrap,
    LimitsAtOnce,
    UnreadableKeys,
    KeyManagers,
)
_ORDER = list(Severity)


def examine(facts: Facts, rules: Iterable[type[Rule]] = RULES) -> list[Finding]:
    """All findings, the worst first."""
    at_work = [(rule(facts), list[Finding]()) for rule in rules]
    for record in facts.sas:
        sa = record.sa
        seen, larval = Seen(record, sa), _is_larval(sa)
        for rule, findings in at_work:
            if rule.larval or not larval:
                findings += rule.see(seen)
    for rule, findings in at_work:
        findings += rule.end()
    found = chain.from_iterable(findings for _, findings in at_work)
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def parse_netlink(text: str, own: Iterable[int] = ()) -> list[Socket]:
    """The NETLINK_XFRM sockets in ``/proc/net/netlink`` (net/netlink/af_netlink.c: netlink_native_seq_show), without the kernel's and ports ``own``.

    UsageError with the line if it is no such file.
    """
    skipped = {0, *own}
    found = []
    for number, line in enumerate(text.splitlines()[1:], 2):
        words = line.split()
        try:
            protocol, portid, groups = int(words[1]), int(words[2]), int(words[3], 16)
            inode = int(words[9])
        except (IndexError, ValueError):
            raise UsageError(f"/proc/net/netlink:{number}: not a netlink socket") from None
        if protocol == NETLINK_XFRM and portid not in skipped:
            found.append(Socket(portid, groups, inode))
    return found
