"""What a packet costs on its way through policies and SAs, against bare seal and open.

    pytest benchmarks/bench_datapath.py --benchmark-only     times of 64 packets
    python -m benchmarks.bench_datapath                      microseconds a packet and ratios, the best of many short runs, interleaved

IPv4 in IPv4, AES-GCM-128, one policy, one SA, limits of bytes and packets: none.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable
from itertools import islice

import pytest
from tests.engine.datapath.support import IN, OUT, policy_info, tmpl
from tests.engine.helpers import GCM, NOW, sa_info

from benchmarks.bench_esp import COUNT, SA, packets
from pyxfrm.abi import messages as m
from pyxfrm.engine import Engine
from pyxfrm.engine.datapath import Action, Datapath
from pyxfrm.esp import EspOpener, EspSealer
from pyxfrm.wire.messages import build

SIZES = (64, 512, 1400)
HERE, THERE = SA.saddr.ljust(16, b"\0"), SA.daddr.ljust(16, b"\0")
Run = Callable[[], object]


def datapath(direction: int) -> Datapath:
    """A data path with one policy and one SA."""
    engine = Engine()
    port = engine.port(1)
    info = sa_info(SA.spi, THERE, HERE, reqid=7, replay_window=32)
    info = info._replace(sel=info.sel._replace(family=0))
    for kind, body, attrs in (
        (m.XFRM_MSG_NEWSA, info, [(m.XFRMA_ALG_AEAD, GCM)]),
        (m.XFRM_MSG_NEWPOLICY, policy_info(direction), [(m.XFRMA_TMPL, [tmpl(HERE, THERE)])]),
    ):
        engine.handle(build(kind, 5, body, attrs).encode(), port, NOW)
    return Datapath(engine)


def of_flow(size: int) -> list[bytes]:
    """Different packets of one UDP flow."""
    return [p[:9] + b"\x11" + p[10:12] + bytes(range(12)) + p[24:] for p in packets(size)]


def seal(size: int) -> Run:
    each, sent = EspSealer(SA).seal, of_flow(size)
    return lambda: [each(packet) for packet in sent]


def seal_batch(size: int) -> Run:
    sealer, sent = EspSealer(SA), of_flow(size)
    return lambda: sealer.seal_batch(sent)


def output(size: int) -> Run:
    path, sent = datapath(OUT), of_flow(size)
    assert path.output(sent[0], NOW).action is Action.PROTECTED
    return lambda: [path.output(packet, NOW) for packet in sent]


def output_batch(size: int) -> Run:
    path, sent = datapath(OUT), of_flow(size)
    return lambda: path.output_batch(sent, NOW)


def open_each(size: int) -> Run:
    each, sealer, sent = EspOpener(SA).open, EspSealer(SA), of_flow(size)
    arriving = iter(sealer.seal_batch(sent * 400))
    return lambda: [each(next(arriving)) for _ in range(COUNT)]  # type: ignore[arg-type]


def input_each(size: int) -> Run:
    path, sealer, sent = datapath(IN), EspSealer(SA), of_flow(size)
    arriving = iter(sealer.seal_batch(sent * 400))
    return lambda: [path.input(next(arriving), NOW) for _ in range(COUNT)]  # type: ignore[arg-type]


def open_batch(size: int) -> Run:
    opener, sealer, sent = EspOpener(SA), EspSealer(SA), of_flow(size)
    arriving = iter(sealer.seal_batch(sent * 400))
    return lambda: opener.open_batch(islice(arriving, COUNT))  # type: ignore[arg-type]


def input_batch(size: int) -> Run:
    path, sealer, sent = datapath(IN), EspSealer(SA), of_flow(size)
    arriving = iter(sealer.seal_batch(sent * 400))
    return lambda: path.input_batch(islice(arriving, COUNT), NOW)  # type: ignore[arg-type]


WAYS: dict[str, Callable[[int], Run]] = {
    "seal": seal,
    "output": output,
    "seal_batch": seal_batch,
    "output_batch": output_batch,
    "open": open_each,
    "input": input_each,
    "open_batch": open_batch,
    "input_batch": input_batch,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS)
def test_datapath(benchmark: Callable[..., object], way: str, size: int) -> None:
    benchmark.pedantic(WAYS[way](size), rounds=50, warmup_rounds=5)  # type: ignore[attr-defined]


def main() -> None:
    """Microseconds a packet, the best of many short runs."""
    for size in SIZES:
        runs = {name: way(size) for name, way in WAYS.items()}
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(60):
            for name, run in runs.items():
                times[name].append(timeit.timeit(run, number=4) / 4 / COUNT * 1e6)
        cost = {name: min(many) for name, many in times.items()}
        words = "  ".join(f"{name} {us:.2f}" for name, us in cost.items())
        shares = (
            ("output", "seal"),
            ("output_batch", "seal_batch"),
            ("output_batch", "output"),
            ("input", "open"),
            ("input_batch", "open_batch"),
            ("input_batch", "input"),
        )
        told = ", ".join(f"{one}/{other} {cost[one] / cost[other]:.2f}" for one, other in shares)
        sys.stdout.write(f"{size:5} bytes, us: {words}\n      ratios: {told}\n")


if __name__ == "__main__":
    main()
