"""Many packets at once: those of one flow, or for one SA, in a row go together.

Nothing is decided here. A row is looked up once, by the name of its flow or of its SA, and taken through the SA in one call; the policies note the time once, the
SA counts once. That is allowed where nobody can tell the difference: not while an SA's limits have to be looked at before each packet, while somebody listens to
replay events, while packets wait for a move, where a packet's source is to be told, or through more SAs than one. Then, and with whatever is not known yet, each packet goes by itself.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from pyxfrm.engine.datapath import flow as flows
from pyxfrm.engine.datapath.arriving import rows
from pyxfrm.engine.datapath.bundle import Fate, Resolution
from pyxfrm.engine.datapath.refused import Refused
from pyxfrm.engine.datapath.sealing import marked
from pyxfrm.engine.datapath.verdict import Verdict, alike, delivered, protected, refusal
from pyxfrm.esp import Drop, trim

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pyxfrm.engine.datapath.opening import Step
    from pyxfrm.engine.datapath.path import Datapath
    from pyxfrm.engine.policy import Policy
    from pyxfrm.engine.sa import Sa

__all__ = ["Arrivals", "Passed", "receive_all", "send_all"]


class Passed(NamedTuple):
    """Inner packets of a flow may come in: the policies that said so, and whether they are to go on (``forward``)."""

    policies: tuple[Policy, ...]
    forward: bool


class Arrivals(NamedTuple):
    """Datagrams for one SA, which has been found: ``step``; ``passed``: flows seen inside."""

    step: Step
    sas: tuple[Sa, ...]
    passed: dict[Hashable, Passed]


def send_all(
    datapath: Datapath, packets: Iterable[bytes], mark: int, if_id: int, oif: int
) -> list[Verdict]:
    """:meth:`Datapath.output_batch`."""
    verdicts: list[Verdict] = []
    for name, run in flows.rows(packets):
        for at, packet in enumerate(run):
            found = datapath.remembered(name, mark, if_id, oif)
            if found is not None and _takes_runs(datapath, found, run):
                _seal_run(datapath, run[at:], mark, found, verdicts)
                break
            verdicts.append(datapath.send(packet, mark, if_id, oif))
    return verdicts


def _takes_runs(datapath: Datapath, found: Resolution, run: list[bytes]) -> bool:
    return (
        found.fate is Fate.BUNDLE
        and (not found.mtu or max(map(len, run)) <= found.mtu)
        and len(found.sas) == 1
        and not datapath.moves.waiting
        and datapath.sealing.takes_runs(found.sas[0])
    )


def _seal_run(
    datapath: Datapath, run: list[bytes], mark: int, found: Resolution, verdicts: list[Verdict]
) -> None:
    datapath.use(found.policies)
    policy, sas = found.policies[0], found.sas
    mark = marked(mark, sas[0])
    sealed: list[bytes | Drop | Refused]
    try:
        sealed = [*datapath.sealing.seal_run(sas[0], run)]
    except Refused as no:
        sealed = [no] * len(run)
    if set(map(type, sealed)) == {bytes}:
        verdicts.extend(alike(protected(b"", policy, sas, mark), sealed))  # type: ignore[arg-type]
        return
    for one in sealed:
        if isinstance(one, bytes):
            verdicts.append(protected(one, policy, sas, mark))
        else:
            verdicts.append(datapath.count(refusal(one, policy, sas)))


def receive_all(
    datapath: Datapath, datagrams: Iterable[bytes], mark: int, if_id: int, oif: int
) -> list[Verdict]:
    """:meth:`Datapath.input_batch`."""
    if mark or if_id or oif:
        return [datapath.receive(datagram, mark, if_id, oif) for datagram in datagrams]
    verdicts: list[Verdict] = []
    for key, run in rows(datagrams):
        for at, datagram in enumerate(run):
            known = None if key is None else datapath.arrivals.get(key)
            if known is not None and datapath.opening.takes_runs(known.step):
                opened = datapath.opening.open_run(known.step, run[at:])
                _check_run(datapath, opened, known, verdicts)
                break
            verdicts.append(datapath.receive(datagram, 0, 0, 0))
    return verdicts


def _check_run(
    datapath: Datapath, opened: list[bytes | Drop], known: Arrivals, verdicts: list[Verdict]
) -> None:
    """The policies' word on what was inside."""
    for kind, group in groupby(opened, type):
        if kind is not bytes:
            verdicts.extend(_one_by_one(datapath, group, known))
            continue
        for name, packets in flows.rows(group):  # type: ignore[arg-type]
            passed = None if name is None else known.passed.get(name)
            trimmed = packets if flows.whole(packets) else _trimmed(packets)
            if passed is None or trimmed is None:
                verdicts.extend(_one_by_one(datapath, packets, known))
                continue
            datapath.use(passed.policies)
            if passed.forward:
                verdicts.extend(send_all(datapath, trimmed, 0, 0, 0))
            else:
                verdicts.extend(alike(delivered(b"", passed.policies[0], known.sas), trimmed))


def _trimmed(packets: list[bytes]) -> list[bytes] | None:
    try:
        return list(map(trim, packets))
    except Drop:
        return None


def _one_by_one(
    datapath: Datapath, opened: Iterable[bytes | Drop], known: Arrivals
) -> Iterable[Verdict]:
    for one in opened:
        try:
            if isinstance(one, Drop):
                raise one
            packet = trim(one)
        except Drop as no:
            yield datapath.count(refusal(no, None, known.sas))
        else:
            yield datapath.inside(packet, known)
