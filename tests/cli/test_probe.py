"""``xfrm probe``: each of its answers, word by word, from engines and from kernels."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout

import pytest

from pyxfrm import cli
from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_2_NOMIG, Profile
from pyxfrm.cli import probe
from pyxfrm.client import Xfrm
from pyxfrm.engine import Engine
from pyxfrm.lab import Lab
from pyxfrm.model import Mark
from pyxfrm.transport.local import EngineHost
from tests.client.scenarios import numbered

Captured = pytest.CaptureFixture[str]

AVAILABLE = (
    "MIGRATE_STATE: available: an SA can be moved in one step, its keys and sequence numbers kept "
    "[ESRCH Can not find state]"
)
BUILT_WITHOUT = (
    "MIGRATE_STATE: built without CONFIG_XFRM_MIGRATE: the kernel knows the message, but was built without CONFIG_XFRM_MIGRATE: "
    "SAs can only be deleted and added again [ENOPROTOOPT XFRM_MSG_MIGRATE_STATE is not supported]"
)
TOO_OLD = (
    "MIGRATE_STATE: too old: the kernel does not know the message (it came with Linux 7.2): "
    "SAs can only be deleted and added again, or moved by the old MIGRATE [EINVAL]"
)
CANNOT_TELL = (
    "MIGRATE_STATE: cannot tell: no sign for or against it was seen "
    "[XFRM_MSG_GETSA dst 192.0.2.254 proto esp spi 0xffffff01: EPERM: Operation not permitted]"
)
NO_SA = (
    "marks: cannot tell: no SA to find out by was seen: take care, as if marks were matched by mask"
)
BY_MASK = "marks: by mask: an SA with a wider mark, or none, can be taken for the one named: name marks with care"
EXACT = "marks: exact: an SA is found by exactly the mark that is named: no other SA can stand before it"


@pytest.mark.parametrize(
    ("profile", "capable", "support", "told"),
    [
        (LINUX_7_2, True, "available", AVAILABLE),
        (LINUX_7_2_NOMIG, True, "built_without", BUILT_WITHOUT),
        (LINUX_6_12, True, "too_old", TOO_OLD),
        (LINUX_7_2, False, "cannot_tell", CANNOT_TELL),
    ],
    ids=["available", "built without", "too old", "cannot tell"],
)
def test_each_answer(
    profile: Profile,
    capable: bool,
    support: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    host = EngineHost(Engine(profile))
    monkeypatch.setattr(probe, "connect", lambda *_: host.connect(capable=capable))
    assert cli.main(["probe"]) == 0
    assert capsys.readouterr() == (f"{told}\n{NO_SA}\n", "")
    assert cli.main(["probe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    assert found["probe"]["migrate_state"] == support
    assert told.endswith(f" [{found['probe']['sign']}]")
    assert found["probe"]["exact_marks"] is None


@pytest.mark.parametrize(
    ("engine", "told"),
    [("7.2", AVAILABLE), ("LINUX_7_2_NOMIG", BUILT_WITHOUT), ("6.12", TOO_OLD)],
)
def test_an_engine_is_named(engine: str, told: str, capsys: Captured) -> None:
    assert cli.main(["probe", "--engine", engine]) == 0
    assert capsys.readouterr().out.splitlines() == [told, NO_SA]


@pytest.mark.parametrize(("exact", "told"), [(False, BY_MASK), (True, EXACT)])
def test_marks(exact: bool, told: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    host = EngineHost(Engine(LINUX_7_2._replace(exact_marks=exact)))
    with Xfrm(transport=host.connect()) as xfrm:
        xfrm.add_sa(numbered(5, Mark(7, 0xFF)))
    monkeypatch.setattr(probe, "connect", lambda *_: host.connect())
    assert cli.main(["probe"]) == 0
    assert capsys.readouterr().out.splitlines() == [AVAILABLE, told]


def told_here(_: object) -> list[list[str]]:
    """Called in the guest: what the command says of its kernel, to root and then to somebody without privileges."""
    told = []
    for user in (0, 65534):
        out = io.StringIO()
        os.seteuid(user)
        try:
            with redirect_stdout(out):
                assert cli.main(["probe"]) == 0
        finally:
            os.seteuid(0)
        told.append(out.getvalue().splitlines())
    return told


@pytest.mark.kernel
def test_kernels(lab72: Lab, lab612: Lab) -> None:
    """Root sees how marks are matched though there is no SA: one is made in a network namespace of its own."""
    for lab, told in ((lab72, AVAILABLE), (lab612, TOO_OLD)):
        found = lab.call("tests.cli.test_probe:told_here", None)
        assert found == [[told, BY_MASK], [CANNOT_TELL, NO_SA]]
