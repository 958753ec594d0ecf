"""The differential fuzzer: it finds what is wrong, makes it small, and finds nothing between Linux and the engine."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, Profile
from pyxfrm.lab import Lab
from pyxfrm.lab.fuzz import Kernel, Report, as_test, fuzz, shrink
from pyxfrm.lab.generator import Generator
from pyxfrm.lab.imitation import run
from pyxfrm.lab.script import Outcome, Script, Transcript
from pyxfrm.wire import messages

SEEDS = range(1, 6)
MESSAGES = 4_000  # each: 20,000 in all


def until(kernel: Kernel, seed: int, count: int, profile: Profile = LINUX_7_2) -> Report:
    """Fuzz until ``count`` messages have been sent."""
    for report in fuzz(kernel, seed, profile=profile, batch=20):
        if report.messages >= count:
            return report
    raise AssertionError("it ends never")


def engine(scripts: Sequence[Script]) -> list[Transcript]:
    """An engine in the place of the kernel."""
    return [run(script) for script in scripts]


def liar(scripts: Sequence[Script]) -> list[Transcript]:
    """An engine that answers MIGRATE_STATE with another errno than Linux."""

    def twist(outcome: Outcome) -> Outcome:
        received = []
        for one in outcome.received:
            message = messages.decode(one.data)
            body = message.body
            if (
                message.header.nlmsg_type == 2
                and body.request.nlmsg_type == m.XFRM_MSG_MIGRATE_STATE
                and body.error
            ):
                body = body._replace(error=-1)
                one = dataclasses.replace(one, data=message._replace(body=body).encode())
            received.append(one)
        return dataclasses.replace(outcome, received=tuple(received))

    return [Transcript(tuple(twist(o) for o in t.outcomes)) for t in engine(scripts)]


def test_the_same_seed_gives_the_same_messages() -> None:
    assert Generator(7).sequence(50) == Generator(7).sequence(50)
    assert Generator(7).sequence(50) != Generator(8).sequence(50)


def test_what_is_parted_is_parted() -> None:
    generator = Generator(5)
    parted, whole = {m.XFRMA_KMADDRESS, m.XFRMA_ENCAP}, 0
    for _ in range(20_000):
        raw = generator.message()
        if raw[4:6] == m.XFRM_MSG_MIGRATE.to_bytes(2, sys.byteorder) and len(raw) > 100:
            numbers = {one.number for one in messages.decode(raw).attrs}
            assert not parted <= numbers
            whole += bool(parted & numbers)
    assert whole > 50


def test_an_engine_agrees_with_itself() -> None:
    report = until(engine, 1, 800)
    assert (report.found, report.wavering) == ([], 0)


def test_a_lie_is_found_and_made_small() -> None:
    report = until(liar, 1, 800)
    assert report.found
    small = shrink(liar, report.found[0])
    assert len(small.ops) == 1
    text = as_test(small, "lie")
    compile(text, "pasted", "exec")
    assert "error: kernel -1 EPERM, engine -" in text


@pytest.mark.kernel
@pytest.mark.parametrize("seed", SEEDS)
def test_linux_7_2(lab72: Lab, seed: int) -> None:
    report = until(lab72.run_scripts, seed, MESSAGES)
    assert [as_test(found, "found") for found in report.found] == []


@pytest.mark.kernel
def test_linux_6_12(lab612: Lab) -> None:
    report = until(lab612.run_scripts, 1, MESSAGES, LINUX_6_12)
    assert [as_test(found, "found") for found in report.found] == []
