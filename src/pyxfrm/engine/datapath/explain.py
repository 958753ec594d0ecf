"""What would become of a packet, in words: the policies and SAs that were considered, what happens, and which counter moves.

An explanation goes the packet's own way, through the parts of the data path that decide and change nothing. Where the way itself leaves traces (a window that moves on, a limit
that is reached) it looks ahead, or works on a copy. So it can be asked at any time, and says what the packet would have met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.abi.xfrm import (
    IPPROTO_AH,
    IPPROTO_ESP,
    XFRM_MODE_TRANSPORT,
    XFRM_POLICY_ALLOW,
    XFRM_POLICY_FWD,
    XFRM_POLICY_IN,
    XFRM_POLICY_OUT,
)
from pyxfrm.engine.datapath import flow as flows
from pyxfrm.engine.datapath.arriving import destination, other_than_esp, udp_trimmed
from pyxfrm.engine.datapath.bundle import Fate, resolve
from pyxfrm.engine.datapath.check import judge
from pyxfrm.engine.datapath.pmtu import least_mtu, must_stay_whole
from pyxfrm.engine.datapath.queue import CAPACITY
from pyxfrm.engine.datapath.refused import Refused
from pyxfrm.engine.datapath.verdict import Action
from pyxfrm.engine.live import association_of, scratch_opener
from pyxfrm.engine.sa import State
from pyxfrm.errors import UsageError
from pyxfrm.esp import Drop, make_sealer, trim

if TYPE_CHECKING:
    from pyxfrm.abi.profiles import Profile
    from pyxfrm.engine.datapath.bundle import Resolution
    from pyxfrm.engine.datapath.opening import Step
    from pyxfrm.engine.datapath.path import Datapath
    from pyxfrm.engine.policy import Flow, Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["Explanation", "explain_input", "explain_output"]

_DIRECTIONS = {XFRM_POLICY_IN: "in", XFRM_POLICY_OUT: "out", XFRM_POLICY_FWD: "fwd"}
_OTHERS_SHOWN = 8
_U32 = 0xFFFFFFFF
_NUMBER_AT = {IPPROTO_ESP: 4, IPPROTO_AH: 8}
_PLAIN = {Fate.NO_POLICY: Action.CLEAR, Fate.CLEAR: Action.CLEAR}


class Explanation(NamedTuple):
    """``str()`` of it is the text; ``action`` and ``counters`` as in the verdict to come."""

    action: Action
    counters: tuple[str, ...]
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


class _Story:
    """Lines, and how it ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        self.lines.append(line)

    def end(self, action: Action, why: str = "", counters: tuple[str, ...] = ()) -> Explanation:
        line = f"{action.value}" + (f": {why}" if why else "")
        if counters:
            line += f"; counts {', '.join(counters)}"
        self.tell(line)
        return Explanation(action, counters, tuple(self.lines))

    def refused(self, no: Drop | Refused) -> Explanation:
        return self.end(Action.DROPPED, no.why, (str(no.counter),))


def explain_output(
    datapath: Datapath, packet: bytes, mark: int, if_id: int, oif: int, story: _Story | None = None
) -> Explanation:
    """A packet on its way out."""
    story = story or _Story()
    flow = flows.decode(packet, mark, oif)
    if flow is None:
        return story.end(Action.DROPPED, "not an IP packet", ("XfrmOutError",))
    story.tell(f"out: {flows.in_words(flow)}")
    engine = datapath.engine
    found = resolve(engine, flow, if_id, source=datapath.source, cpu=datapath.cpu)
    _tell_policies(story, datapath, flow, XFRM_POLICY_OUT, if_id, found.policies)
    if found.fate is Fate.BUNDLE:
        return _explain_seal(story, datapath, packet, flow, found)
    for policy in found.policies:
        _tell_candidates(story, datapath, policy)
    if found.fate in _PLAIN:
        return story.end(_PLAIN[found.fate], found.why)
    counters = ("XfrmOutPolBlock",) if found.fate is Fate.BLOCK else found.counters
    if found.fate is Fate.WAIT:
        counters = (*counters, "XfrmOutNoStates")
        if found.asks and not datapath.moves.may_wait(counters, flow):
            story.tell("key managers are asked for an SA")
    return _explain_wait(story, datapath, flow, found, counters)


def _explain_wait(
    story: _Story, datapath: Datapath, flow: Flow, found: Resolution, counters: tuple[str, ...]
) -> Explanation:
    """A packet that finds no SA: it may wait for a move, or in Linux's queue."""
    if datapath.moves.may_wait(counters, flow):
        return story.end(Action.QUEUED, f"it waits for a move ({found.why})")
    if found.fate is Fate.WAIT and not datapath.engine.sysctl.xfrm_larval_drop:
        queue = found.policies[0].queue
        if queue is not None and len(queue.packets) >= CAPACITY:
            return story.end(Action.DROPPED, "the policy's queue is full")
        return story.end(Action.QUEUED, "it waits for an SA")
    return story.end(Action.DROPPED, found.why, counters)


def _explain_seal(
    story: _Story, datapath: Datapath, packet: bytes, flow: Flow, found: Resolution
) -> Explanation:
    mtu = _mtu(datapath, found, flow)
    if mtu and len(packet) > mtu and must_stay_whole(packet):
        return story.end(Action.DROPPED, f"{len(packet)} bytes; the path carries {mtu}, sealed")
    for sa in found.sas:
        story.tell(f"through {_named(sa)}")
        try:
            packet = _rehearse(sa, packet, datapath.engine.profile)
        except (Drop, Refused) as no:
            counters = (str(no.counter),)
            if datapath.moves.may_wait(counters, flow):
                return story.end(Action.QUEUED, f"it waits for a move ({no.why})")
            return story.refused(no)
    return story.end(Action.PROTECTED)


def _mtu(datapath: Datapath, found: Resolution, flow: Flow) -> int:
    try:
        profile = datapath.engine.profile
        sealers = [(sa, make_sealer(association_of(sa, profile))) for sa in found.sas]
    except UsageError:
        return 0
    return least_mtu(datapath.paths, sealers, flow.family)


def _rehearse(sa: Sa, packet: bytes, profile: Profile) -> bytes:
    """A packet like the one that the SA would make; Drop or Refused where it would make none."""
    try:
        sealer = make_sealer(association_of(sa, profile))
    except UsageError as error:
        raise Refused("XfrmOutStateModeError", str(error)) from None
    sealer.payload_length(packet)
    if sa.state is not State.VALID:
        raise Refused("XfrmOutStateInvalid", f"the SA is {sa.state.name}")
    if _at_limit(sa):
        raise Refused("XfrmOutStateExpired", "a hard limit of bytes or packets is reached")
    state = sa.esn or sa.replay
    last = state.oseq == _U32 and (
        not sealer.association.esn or (sa.esn and sa.esn.oseq_hi == _U32)
    )
    if last and sa.proto in _NUMBER_AT and not sealer.association.may_wrap:
        raise Refused("XfrmOutStateSeqError", "the sequence numbers are used up")
    return sealer.seal(packet)


def _at_limit(sa: Sa) -> bool:
    limits = sa.traits.lft
    return sa.bytes >= limits.hard_byte_limit or sa.packets >= limits.hard_packet_limit


def explain_input(
    datapath: Datapath, datagram: bytes, mark: int, if_id: int, oif: int
) -> Explanation:
    """A datagram on its way in."""
    story = _Story()
    sas: list[Sa] = []
    try:
        packet = trim(datagram)
        while True:
            flow = flows.decode(packet, mark, oif)
            if flow is None:
                raise Refused("XfrmInHdrError", "not an IP packet")
            story.tell(f"in: {flows.in_words(flow)}")
            if not datapath.local(destination(packet)):
                return _explain_check(story, datapath, packet, flow, sas, if_id, XFRM_POLICY_FWD)
            encapsulated = not sas and datapath.is_encapsulated(flow)
            if encapsulated:
                packet = udp_trimmed(packet)
                other = other_than_esp(packet)
                if other is not None:
                    return story.end(other)
            elif not datapath.opening.is_protected(packet, flow.proto, mark):
                return _explain_check(story, datapath, packet, flow, sas, if_id, XFRM_POLICY_IN)
            step = datapath.opening.step(packet, mark, len(sas), encapsulated=encapsulated)
            story.tell(f"for {_named(step.sa)}")
            sas.append(step.sa)
            mark = step.sa.smark[0] & step.sa.smark[1] | mark & ~step.sa.smark[1]
            packet = _open_copy(packet, step)
    except (Drop, Refused) as no:
        return story.refused(no)


def _open_copy(packet: bytes, step: Step) -> bytes:
    """What is inside, opened with a copy of the window."""
    sa = step.sa
    opener = scratch_opener(sa, step.opener.association)
    if _at_limit(sa):
        at = step.arrival.at + _NUMBER_AT.get(sa.proto, 0)
        if sa.proto in _NUMBER_AT:
            opener.replay.check(int.from_bytes(packet[at : at + 4], "big"))
        raise Refused("XfrmInStateExpired", "a hard limit of bytes or packets is reached")
    inner = opener.open(packet)
    return inner if sa.traits.mode == XFRM_MODE_TRANSPORT else trim(inner)


def _explain_check(
    story: _Story,
    datapath: Datapath,
    packet: bytes,
    flow: Flow,
    sas: list[Sa],
    if_id: int,
    direction: int,
) -> Explanation:
    judged = judge(datapath.engine, flow, sas, direction, if_id)
    _tell_policies(story, datapath, flow, direction, if_id, judged.policies)
    if judged.counter is not None:
        return story.end(Action.DROPPED, judged.why, (judged.counter,))
    if direction == XFRM_POLICY_FWD:
        return explain_output(datapath, packet, flow.mark, 0, flow.oif, story)
    return story.end(Action.DELIVERED, judged.why)


# -- policies and SAs ------------------------------------------------------------------------------


def _tell_policies(
    story: _Story,
    datapath: Datapath,
    flow: Flow,
    direction: int,
    if_id: int,
    found: tuple[Policy, ...],
) -> None:
    """Every policy of the direction that covers the flow, and a few that do not, in the order in which they count."""
    others = 0
    policies = [policy for policy in datapath.engine.spd if policy.dir == direction]
    for policy in sorted(policies, key=lambda one: (-one.type, one.priority, one.serial)):
        why = _why_not_this_policy(policy, flow, if_id)
        if why:
            others += 1
            if others > _OTHERS_SHOWN:
                continue
        elif policy in found:
            what = "lets pass" if policy.action == XFRM_POLICY_ALLOW else "blocks"
            why = f"it decides: {what}, {len(policy.templates)} templates"
        else:
            why = "another one comes before it"
        story.tell(
            f"  policy {_DIRECTIONS[direction]} index {policy.index} priority {policy.priority}: {why}"
        )
    if others > _OTHERS_SHOWN:
        story.tell(f"  and {others - _OTHERS_SHOWN} policies that do not cover it")


def _why_not_this_policy(policy: Policy, flow: Flow, if_id: int) -> str:
    if policy.if_id != if_id:
        return f"if_id is {policy.if_id}, not {if_id}"
    value, mask = policy.mark
    if flow.mark & mask != value:
        return f"mark 0x{flow.mark:x} is not 0x{value:x}/0x{mask:x}"
    return "" if policy.covers(flow) else "its selector does not cover the packet"


def _tell_candidates(story: _Story, datapath: Datapath, policy: Policy) -> None:
    """The SAs that nearly fit the templates of a policy: same protocol and reqid, or same protocol and destination."""
    for number, template in enumerate(policy.templates):
        story.tell(
            f"  template {number}: protocol {template.id.proto}, mode {template.mode}, reqid {template.reqid}"
        )
        size = 4 if len(template.saddr.rstrip(b"\0")) <= 4 else 16
        for sa in datapath.engine.sadb:
            near = sa.reqid == template.reqid or sa.daddr[:size] == template.id.daddr[:size]
            if sa.proto == template.id.proto and near:
                story.tell(f"    {_named(sa)}: {_why_not_this_sa(sa, policy, number)}")


def _why_not_this_sa(sa: Sa, policy: Policy, number: int) -> str:
    template = policy.templates[number]
    value = policy.mark[0] & policy.mark[1]
    reasons = (
        (sa.state is not State.VALID, f"it is {sa.state.name}"),
        (sa.family != template.family, "the family differs"),
        (sa.reqid != template.reqid, f"reqid is {sa.reqid}"),
        (sa.traits.mode != template.mode, f"mode is {sa.traits.mode}"),
        (sa.traits.if_id != policy.if_id, f"if_id is {sa.traits.if_id}"),
        (value & sa.mark[1] != sa.mark[0], "the mark differs"),
        (
            template.id.spi not in (0, int.from_bytes(sa.spi, "big")),
            f"the template names SPI 0x{template.id.spi:x}",
        ),
    )
    found = [text for wrong, text in reasons if wrong]
    return ", ".join(found) or "its addresses, its selector or its direction do not fit"


def _named(sa: Sa) -> str:
    """An SA by what identifies it."""
    return f"SA 0x{sa.spi.hex()} protocol {sa.proto} reqid {sa.reqid} ({sa.packets} packets so far)"
