"""Differential fuzzing: the same messages to a kernel and to an engine, until they disagree.

Sequences come from :mod:`pyxfrm.lab.generator`; each is a script in a namespace of its own. After every send, every socket is read, so a
reply or an event is compared byte for byte at the step that caused it, and in its order. Nothing is masked: the clock of both sides is set to the
same second before every send, and where a kernel is in numbering policies and acquires is read off its
first answers.

A disagreement is made small: sends are left out as long as the two still disagree, and what is left is printed as a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyxfrm.abi.profiles import LINUX_7_2, Profile
from pyxfrm.abi.structs import LifetimeCfg, LifetimeCur, Selector, UserPolicyId, UserPolicyInfo
from pyxfrm.lab.errors import LabError
from pyxfrm.lab.generator import SOCKETS, Generator, Op
from pyxfrm.lab.imitation import Imitator
from pyxfrm.lab.script import (
    Clock,
    Open,
    Outcome,
    Receive,
    Script,
    Send,
    Sleep,
    Step,
    Transcript,
)
from pyxfrm.wire import describe
from pyxfrm.wire.messages import Message, build, decode_all

__all__ = [
    "Divergence",
    "Report",
    "as_test",
    "compare",
    "fuzz",
    "imitate",
    "script_of",
    "shrink",
]

NAMES = ("a", "b", "c")
START = 1_700_000_000.1
_MOMENT = 0.005  # seconds in which a kernel has done what it does in the background

Kernel = Callable[[Sequence[Script]], Iterable[Transcript]]

_ANY = Selector(bytes(16), bytes(16), 0, 0, 0, 0, 2, 0, 0, 0, 0, 0)
_NONE = LifetimeCfg(*(0xFFFFFFFF_FFFFFFFF,) * 4, 0, 0, 0, 0)
_POLICY = UserPolicyInfo(_ANY, _NONE, LifetimeCur(0, 0, 0, 0), 0, 0, 1, 0, 0, 0)
_FLAGS = NLM_F_REQUEST | NLM_F_ACK


class Divergence(NamedTuple):
    """Where kernel and engine first disagreed.

    ``ops``     the sends up to the one that they answered differently
    ``socket``  on which socket; ``kernel`` and ``engine``: what each had there (datagrams, or an errno)
    """

    ops: tuple[Op, ...]
    socket: str
    kernel: tuple[object, ...]
    engine: tuple[object, ...]


def _probe() -> tuple[Op, ...]:
    """A policy made and removed: its event tells from where the kernel counts indexes."""
    new = build(m.XFRM_MSG_NEWPOLICY, _FLAGS, _POLICY, seq=1).encode()
    gone = build(m.XFRM_MSG_DELPOLICY, _FLAGS, UserPolicyId(_ANY, 0, 1), seq=2).encode()
    return Op(0, new), Op(0, gone)


def script_of(ops: Iterable[Op], pause: float = 0.0) -> Script:
    """The script of a sequence, its sockets and the probe before it; ``pause``: seconds before each send."""
    steps: list[Step] = []
    for number, (name, socket) in enumerate(zip(NAMES, SOCKETS, strict=True)):
        steps.append(
            Open(name, 1000 + number, socket.groups, ext_ack=socket.ext_ack, cap_ack=socket.cap_ack)
        )
    for op in (*_probe(), *ops):
        steps += [Sleep(pause), Clock(START), Send(NAMES[op.socket], op.data)]
        steps += [Receive(name) for name in NAMES]
    return Script(tuple(steps))


def imitate(script: Script, kernel: Transcript, profile: Profile) -> Transcript:
    """The same script on an engine that counts from where the kernel did."""
    imitator = Imitator(profile)
    engine = imitator.engine
    index = _first(kernel, m.XFRM_MSG_NEWPOLICY)
    acquire = _first(kernel, m.XFRM_MSG_ACQUIRE)
    if index is None:
        raise LabError("the kernel did not answer the fuzzer's first request")
    engine.spd.next_index = index.body.index & ~7
    if acquire is not None:
        engine.chance.acquire_seq = count(acquire.body.seq).__next__
    return Transcript(tuple(imitator.step(step) for step in script.steps))


def _first(kernel: Transcript, kind: int) -> Message | None:
    """The first message of a kind that any socket got, in the order of the steps."""
    for data in kernel.datagrams:
        for message in decode_all(data):
            if message.header.nlmsg_type == kind:
                return message
    return None


def compare(ops: Sequence[Op], kernel: Transcript, engine: Transcript) -> Divergence | None:
    """The first disagreement of two transcripts of ``script_of(ops)``."""
    pairs = zip(kernel.outcomes, engine.outcomes, strict=True)
    for at, (one, other) in enumerate(pairs):
        if one != other:
            group, place = divmod(at - len(NAMES), 3 + len(NAMES))
            upto = group + 1 - len(_probe())
            name = NAMES[place - 3] if place > 2 else "send"
            return Divergence(tuple(ops[: max(upto, 0)]), name, _seen(one), _seen(other))
    return None


def _seen(outcome: Outcome) -> tuple[object, ...]:
    return tuple(r.errno or r.data for r in outcome.received) or (outcome.errno,)


class Report:
    """What a run came to.

    ``messages``, ``sequences``  sent, each to both
    ``found``      disagreements that stayed when the kernel was asked again
    ``wavering``   sequences to which the kernel itself gave different answers: it grows its tables, runs its timers and lets go of IPComp's helpers when it
                   gets to it
    """

    def __init__(self) -> None:
        self.messages = 0
        self.sequences = 0
        self.found: list[Divergence] = []
        self.wavering = 0


def fuzz(
    kernel: Kernel,
    seed: int,
    *,
    length: int = 40,
    batch: int = 50,
    profile: Profile = LINUX_7_2,
) -> Iterator[Report]:
    """Without end: a batch of sequences to both sides, then the report so far."""
    generator = Generator(seed)
    report = Report()
    while True:
        sequences = [generator.sequence(length) for _ in range(batch)]
        scripts = [script_of(ops) for ops in sequences]
        for ops, script, transcript in zip(sequences, scripts, kernel(scripts), strict=True):
            report.sequences += 1
            report.messages += len(ops)
            found = compare(ops, transcript, imitate(script, transcript, profile))
            if found is None:
                continue
            if _stays(kernel, ops, profile):
                report.found.append(found)
            else:
                report.wavering += 1
        yield report


def _stays(kernel: Kernel, ops: Sequence[Op], profile: Profile) -> bool:
    """Whether the kernel disagrees whenever it is asked, and even if it is given time for what it does in the background."""
    scripts = [script_of(ops), script_of(ops, _MOMENT)] * 2
    return all(
        compare(ops, transcript, imitate(script, transcript, profile)) is not None
        for script, transcript in zip(scripts, kernel(scripts), strict=True)
    )


def shrink(kernel: Kernel, found: Divergence, profile: Profile = LINUX_7_2) -> Divergence:
    """The same kind of disagreement with as few sends as leaving out can find."""
    best = found
    size = max(len(best.ops) // 2, 1)
    while size:
        tries = [
            best.ops[:start] + best.ops[start + size :]
            for start in range(0, len(best.ops) - 1, size)
        ]
        scripts = [script_of(ops) for ops in tries]
        smaller = None
        for ops, script, transcript in zip(tries, scripts, kernel(scripts), strict=True):
            again = compare(ops, transcript, imitate(script, transcript, profile))
            if (
                again is not None
                and again.ops
                and (smaller is None or len(again.ops) < len(smaller.ops))
            ):
                smaller = again
        if smaller is not None and len(smaller.ops) < len(best.ops):
            best = smaller
            size = min(size, max(len(best.ops) // 2, 1))
        else:
            size //= 2
    return best


def as_test(found: Divergence, name: str) -> str:
    """A test to paste into tests/lab/test_found.py, and what differs as comments."""
    lines = [f"def test_{name}(lanes: Lanes) -> None:", "    lanes.agree("]
    lines += [f'        Op({op.socket}, bytes.fromhex("{op.data.hex()}")),' for op in found.ops]
    lines.append("    )")
    for op in found.ops:
        lines.append(f"    # {NAMES[op.socket]}: {describe.summary(op.data)}")
    lines.append(f"    # on {found.socket}:")
    for title, seen in (("kernel", found.kernel), ("engine", found.engine)):
        lines += [f"    # {title}: {_text(item)}" for item in seen]
    for one, other in zip(found.kernel, found.engine, strict=False):
        if isinstance(one, bytes) and isinstance(other, bytes) and one != other:
            lines += [
                f"    #   {f}: kernel {a}, engine {b}"
                for f, a, b in describe.difference(one, other)
            ]
    return "\n".join(lines)


def _text(item: object) -> str:
    return describe.summary(item) if isinstance(item, bytes) else f"errno {item}"
