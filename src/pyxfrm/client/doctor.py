"""What is wrong with a host's SAs and policies, as far as tables can tell.

A rule is a function from :class:`Facts` (two dumps, and what was found out beside them) to findings; :data:`RULES` is all of them, and
:func:`examine` runs them. No rule asks anything, changes anything, or shows a key.

Severities: ``error``, traffic is lost or secrecy is; ``warning``, it will be, or is as soon as something common happens; ``note``, worth knowing before
one changes anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from pyxfrm.client.records import PolicyRecord, SaRecord
from pyxfrm.client.safety import pick, same_mark
from pyxfrm.errors import UsageError
from pyxfrm.model import (
    Action,
    AlgorithmKind,
    Direction,
    ExtraFlag,
    Mark,
    Mode,
    Policy,
    Proto,
    Sa,
    SaDir,
    Template,
)

__all__ = ["Facts", "Finding", "RULES", "Severity", "Socket", "examine", "parse_netlink"]

_NETLINK_XFRM = 6
_ACQUIRE = 1  # bit of XFRMNLGRP_ACQUIRE in a socket's groups
_WATCHERS = ("ip", "xfrm")  # they listen to everything and own nothing
_NEGATIVE = 1 << 63  # from here on the kernel's sum of times is below zero
_NUMBERS = 1 << 32
_NEAR, _VERY_NEAR = _NUMBERS // 10 * 8, _NUMBERS // 20 * 19
_COUNTERS = ("gcm(", "ccm(", "ctr(", "rfc7539", "chacha20", "gmac")
_SHORT_WINDOW = 32
_WITH_ENDS = (Mode.TUNNEL, Mode.BEET, Mode.IPTFS)  # in other modes the packet's own addresses count
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

    ``sas``, ``policies``  dumps, in the order in which they came
    ``exact_marks``  whether lookups compare marks exactly (:mod:`pyxfrm.client.probe`); None: not known
    ``sockets``      NETLINK_XFRM sockets of other processes
    ``lockdown``     the kernel's lockdown, ``none``, ``integrity`` or ``confidentiality``; "": not known
    """

    sas: Sequence[SaRecord]
    policies: Sequence[PolicyRecord] = ()
    exact_marks: bool | None = None
    sockets: Sequence[Socket] = ()
    lockdown: str = ""

    @cached_property
    def installed(self) -> list[tuple[SaRecord, Sa]]:
        """SAs with their values, those left out that only hold an SPI (ALLOCSPI, ACQUIRE)."""
        return [(record, sa) for record in self.sas if not _is_larval(sa := record.sa)]

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


def _is_larval(sa: Sa) -> bool:
    return sa.id.proto in (Proto.ESP, Proto.AH, Proto.COMP) and not sa.algorithms


def _protects(sa: Sa) -> bool:
    return sa.id.proto in (Proto.ESP, Proto.AH)


# -- marks -----------------------------------------------------------------------------------------


def ambiguous_marks(facts: Facts) -> Iterator[Finding]:
    """SAs that a lookup of their own name does not find, or does not find alone."""
    groups: dict[tuple[object, ...], list[SaRecord]] = defaultdict(list)
    for record in facts.sas:
        name = record.id
        if name.proto.by_spi and not name.spi:
            continue  # of an ACQUIRE: nothing is found by it
        groups[name.daddr, name.proto, name.spi, name.saddr].append(record)
    for group in groups.values():
        for record in group:
            found = _one_mark(record, group, exact_marks=facts.exact_marks is True)
            if found is not None:
                yield found


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


def templates_without_sa(facts: Facts) -> Iterator[Finding]:
    """Templates whose addresses no SA has."""
    sas = [sa for _, sa in facts.installed]
    by_ends: dict[tuple[object, ...], list[Sa]] = defaultdict(list)
    by_reqid: dict[int, list[Sa]] = defaultdict(list)
    for sa in sas:
        by_ends[sa.saddr, sa.id.daddr, sa.id.proto].append(sa)
        by_reqid[sa.reqid].append(sa)
    for policy in facts.rules_of_traffic:
        for template in policy.templates:
            if template.optional or template.mode not in _WITH_ENDS:
                continue
            if template.saddr.is_any or template.daddr.is_any:
                continue
            there = by_ends[template.saddr, template.daddr, template.proto]
            if not any(_meets(sa, template, policy) for sa in there):
                yield _no_sa(policy, template, by_reqid.get(template.reqid, []))


def _meets(sa: Sa, template: Template, policy: Policy) -> bool:
    """As net/xfrm/xfrm_policy.c: xfrm_state_ok, and the lookup by if_id."""
    return (
        sa.mode == template.mode
        and template.reqid in (0, sa.reqid)
        and template.spi in (0, sa.id.spi)
        and sa.if_id == policy.if_id
    )


def _no_sa(policy: Policy, template: Template, namesakes: list[Sa]) -> Finding:
    rule, subject = "template-without-sa", f"policy {policy.id}"
    asks = f"its template asks for {template}"
    out = policy.dir == Direction.OUT
    effect = (
        "packets are dropped (XfrmOutNoStates) and ACQUIREs sent"
        if out
        else "packets are dropped (XfrmInTmplMismatch)"
    )
    likely = [sa for sa in namesakes if sa.id.proto == template.proto]
    if template.reqid and likely:
        one = likely[0]
        return Finding(
            rule,
            Severity.ERROR,
            subject,
            f"{asks}; the SAs of that reqid are others, as from {one.saddr} to {one.id.daddr} ({one.mode}): {effect}",
            "after a move: update the policy's template to the SA's addresses, or move the SA",
        )
    return Finding(
        rule,
        Severity.NOTE if out else Severity.WARNING,
        subject,
        f"{asks}, and there is no such SA: {effect}",
        "fine if an IKE daemon makes the SA when there is traffic; else install it",
    )


def missing_fwd(facts: Facts) -> Iterator[Finding]:
    """Inbound tunnel policies without one for what is handed on."""
    forward = {_packets(p) for p in facts.rules_of_traffic if p.dir == Direction.FWD}
    for policy in facts.rules_of_traffic:
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


def replay_window(facts: Facts) -> Iterator[Finding]:
    """Windows of 0 on SAs that receive; wide ones without ESN."""
    for record, sa in facts.installed:
        if not _protects(sa):
            continue
        role, window = facts.role(sa), sa.replay.window
        if window == 0 and role is not SaDir.OUT:
            yield Finding(
                "replay-window",
                Severity.WARNING if role is SaDir.IN else Severity.NOTE,
                f"SA {record.id}",
                "its replay window is 0: whoever copies a packet can send it again",
                "fine if this SA only sends; else install it again with `replay-window 32` or more",
            )
        elif window > _SHORT_WINDOW and not sa.replay.esn:
            yield Finding(
                "replay-window",
                Severity.NOTE,
                f"SA {record.id}",
                f"its replay window is {window}, over 32, and it has no ESN: a program that rebuilds it in the short form makes it 32",
                "rebuild it only with the ESN attribute (XFRMA_REPLAY_ESN_VAL); so fast a link is better off with ESN",
            )


def counters_near_wrap(facts: Facts) -> Iterator[Finding]:
    """Counter modes whose 32-bit numbers run out: a number used twice gives away what is in both packets."""
    for record, sa in facts.installed:
        if sa.replay.esn or not _in_counter_mode(sa):
            continue
        subject = f"SA {record.id}"
        if sa.extra_flags & ExtraFlag.OSEQ_MAY_WRAP:
            yield Finding(
                "counter-wrap",
                Severity.ERROR,
                subject,
                "its sequence numbers may wrap (oseq-may-wrap), and its cipher makes IVs of them: the same IV comes again, and plaintext leaks",
                "take the flag away; use ESN",
            )
        used = max(sa.replay.oseq, sa.replay.seq)
        if used >= _NEAR:
            yield Finding(
                "counter-wrap",
                Severity.ERROR if used >= _VERY_NEAR else Severity.WARNING,
                subject,
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


def limits_at_once(facts: Facts) -> Iterator[Finding]:
    """Limits that are over as soon as they begin (net/xfrm/xfrm_state.c: xfrm_timer_handler, xfrm_state_check_expire)."""
    for subject, lft in _all_limits(facts):
        for name, seconds in zip(_TIMES, lft[4:], strict=True):
            if seconds >= _NEGATIVE:
                yield Finding(
                    "limit-at-once",
                    Severity.ERROR if name.startswith("hard") else Severity.WARNING,
                    subject,
                    f"its limit {name} is {seconds} s, which is negative when added to a time: it expires at the first tick",
                    "install it again with 0 for no limit: all ones (XFRM_INF) mean none for bytes and packets only",
                )
        if not subject.startswith("SA "):
            continue
        for name, count in (("hard_bytes", lft[1]), ("hard_packets", lft[3])):
            if count == 0:
                yield Finding(
                    "limit-at-once",
                    Severity.ERROR,
                    subject,
                    f"its limit {name} is 0: the first packet expires it",
                    "install it again without this limit (in netlink: all ones, XFRM_INF)",
                )


def _all_limits(facts: Facts) -> Iterator[tuple[str, Sequence[int]]]:
    for sa, _ in facts.installed:
        yield f"SA {sa.id}", sa.info.lft
    for policy in facts.policies:
        yield f"policy {policy.id}", policy.info.lft


# -- keys, and who else is there -------------------------------------------------------------------


def unreadable_keys(facts: Facts) -> Iterator[Finding]:
    """Keys that are all zeros."""
    hidden = [
        record for record, sa in facts.installed if any(a.key.unreadable for a in sa.algorithms)
    ]
    if not hidden:
        return
    rest = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
    locked = facts.lockdown == "confidentiality"
    yield Finding(
        "unreadable-keys",
        Severity.NOTE if locked else Severity.WARNING,
        f"SA {hidden[0].id}{rest}",
        "keys read as zeros: "
        + (
            "the kernel is locked down and does not show them"
            if locked
            else "the kernel is locked down, or the keys really are zeros"
        ),
        "do not rebuild these SAs from a dump: move them (MIGRATE_STATE), or rekey"
        + ("" if locked else "; see /sys/kernel/security/lockdown"),
    )


def key_managers(facts: Facts) -> Iterator[Finding]:
    """Other processes that answer ACQUIREs."""
    if not facts.sas and not facts.policies:
        return
    for socket in facts.sockets:
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


Rule = Callable[[Facts], Iterable[Finding]]

RULES: tuple[Rule, ...] = (
    ambiguous_marks,
    templates_without_sa,
    missing_fwd,
    replay_window,
    counters_near_wrap,
    limits_at_once,
    unreadable_keys,
    key_managers,
)
_ORDER = list(Severity)


def examine(facts: Facts) -> list[Finding]:
    """All findings, the worst first."""
    found = [finding for rule in RULES for finding in rule(facts)]
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
        if protocol == _NETLINK_XFRM and portid not in skipped:
            found.append(Socket(portid, groups, inode))
    return found
