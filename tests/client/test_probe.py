"""What a kernel can do: told by engines of every profile, and by answers made up."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from pyxfrm.abi.profiles import EXACT_MARKS, LINUX_6_12, LINUX_7_2, LINUX_7_2_NOMIG, Profile
from pyxfrm.client import AsyncXfrm, Support, Xfrm, verbs
from pyxfrm.client.probe import Probe, probe, probe_marks
from pyxfrm.client.records import SaRecord
from pyxfrm.client.request import Done, Request
from pyxfrm.engine import Engine
from pyxfrm.errors import RefusedError
from pyxfrm.lab import Lab
from pyxfrm.model import Mark
from pyxfrm.transport.local import EngineHost
from tests.client.scenarios import SA, numbered
from tests.transport.bytes import message


@pytest.mark.parametrize(
    ("profile", "support", "exact"),
    [
        (LINUX_7_2, Support.AVAILABLE, False),
        (EXACT_MARKS, Support.AVAILABLE, True),
        (LINUX_7_2_NOMIG, Support.BUILT_WITHOUT, False),
        (LINUX_6_12, Support.TOO_OLD, False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_each_kernel_is_told(profile: Profile, support: Support, exact: bool) -> None:
    xfrm = Xfrm.engine(Engine(profile))
    assert xfrm.probe().exact_marks is None
    assert xfrm.run(probe_marks(may_add=True)) is exact
    assert list(xfrm.sas()) == []
    for sa in (SA, numbered(5, Mark(7, 0xFF)), numbered(6, Mark(7)), numbered(7, Mark(0))):
        xfrm.add_sa(sa)
        found = xfrm.probe()
        assert (found.migrate_state, found.exact_marks) == (support, exact)
        xfrm.flush_sas()


def test_an_sa_marked_all_ones_does_not_tell() -> None:
    xfrm = Xfrm.engine(Engine())
    xfrm.add_sa(numbered(5, Mark(0xFFFFFFFF)))
    assert xfrm.probe().exact_marks is None
    xfrm.add_sa(numbered(6))
    assert xfrm.probe().exact_marks is False


def answered(*answers: Any) -> Any:
    """What the probe says when its questions are answered so."""
    procedure = probe()
    asked = next(procedure)
    for answer in answers:
        assert isinstance(asked, Request)
        try:
            if isinstance(answer, Exception):
                asked = procedure.throw(answer)
            else:
                asked = procedure.send(answer)
        except StopIteration as end:
            return end.value
    raise AssertionError("the probe asks on")


NOBODY = RefusedError("XFRM_MSG_GETSA", errno.ESRCH)


def migrate(number: int, text: str = "") -> RefusedError:
    return RefusedError("XFRM_MSG_MIGRATE_STATE", number, text)


@pytest.mark.parametrize(
    "answers",
    [
        (RefusedError("XFRM_MSG_GETSA", errno.EPERM),),
        (NOBODY, migrate(errno.EPERM)),
        (NOBODY, migrate(errno.EINVAL, "Unknown flags: 0x4")),
        (NOBODY, migrate(errno.ENOMEM)),
        (NOBODY, Done()),
        tuple([object()] * 64),
    ],
)
def test_anything_but_a_clear_sign_is_no_sign(answers: tuple[Any, ...]) -> None:
    found = answered(*answers)
    assert found.migrate_state is Support.CANNOT_TELL
    assert found.why


def test_a_probe_that_is_cut_off_in_its_middle_ends_at_once() -> None:
    procedure = probe_marks(may_add=True)
    next(procedure)
    procedure.send([])
    procedure.send(SaRecord.of(message(0x10, 0, 0, 0, verbs.add_sa(SA).payload)))
    procedure.close()


def test_one_who_may_not_ask_is_told_so() -> None:
    xfrm = Xfrm(transport=EngineHost(Engine()).connect(capable=False))
    found = xfrm.probe()
    assert found.migrate_state is Support.CANNOT_TELL
    assert "EPERM" in found.why


async def probe_awaited() -> Probe:
    async with AsyncXfrm() as xfrm:
        return await xfrm.probe()


def probe_here(_: Any) -> list[str | None]:
    """Called in the guest: what its kernel says of itself, with no SA in this namespace."""
    with Xfrm() as xfrm:
        found = xfrm.probe()
        assert asyncio.run(probe_awaited()) == found
        assert list(xfrm.sas()) == []
    return [str(found.migrate_state), None if found.exact_marks is None else str(found.exact_marks)]


@pytest.mark.kernel
def test_real_kernels(lab72: Lab, lab612: Lab) -> None:
    assert lab72.call("tests.client.test_probe:probe_here", None) == ["available", "False"]
    assert lab612.call("tests.client.test_probe:probe_here", None) == ["too old", "False"]
