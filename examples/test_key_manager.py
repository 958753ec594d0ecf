"""How a key manager's test suite uses engines: copy the fixtures, and put your daemon where `move` is.

pytest examples/test_key_manager.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyxfrm.abi.profiles import LINUX_6_12, LINUX_7_2, LINUX_7_2_NOMIG, Profile
from pyxfrm.client import Group, Xfrm
from pyxfrm.client.events import SaExpired, SaMigrated
from pyxfrm.engine import Engine
from pyxfrm.errors import RefusedError
from pyxfrm.model import Algorithm, Limits, Migration, Mode, Proto, ReplayState, Sa, SaId, ip
from pyxfrm.transport.local import EngineHost
from pyxfrm.transport.preload import environment
from pyxfrm.transport.server import serving

SA = Sa(
    SaId(ip("198.51.100.1"), Proto.ESP, 0x100),
    saddr=ip("192.0.2.10"),
    mode=Mode.TUNNEL,
    reqid=7,
    algorithms=(Algorithm.aes_gcm(bytes(range(20))),),
    replay=ReplayState.of(128),
)


def move(xfrm: Xfrm, sa: Sa, daddr: str) -> None:
    """Stands for what your daemon does when its peer has moved."""
    xfrm.migrate_sa(Migration.of(sa, daddr=ip(daddr)))


# -- a daemon in Python: an engine in this process ---------------------------------------------------


@pytest.fixture
def xfrm() -> Iterator[Xfrm]:
    with Xfrm.engine(Engine()) as client:
        yield client


def test_a_move_is_one_event(xfrm: Xfrm) -> None:
    xfrm.add_sa(SA)
    with xfrm.events(Group.SA, Group.MIGRATE) as events:
        move(xfrm, SA, "198.51.100.2")
        (event,) = events.drain()
    assert isinstance(event, SaMigrated)


def test_a_place_that_is_taken(xfrm: Xfrm) -> None:
    xfrm.add_sa(SA)
    xfrm.add_sa(replace(SA, id=SaId(ip("198.51.100.2"), Proto.ESP, 0x100)))
    with pytest.raises(RefusedError, match="EEXIST: New SA tuple already occupied"):
        move(xfrm, SA, "198.51.100.2")
    assert len(list(xfrm.sas())) == 2  # both stay


@pytest.mark.parametrize(
    ("profile", "errno"),
    [(LINUX_7_2, "ESRCH"), (LINUX_7_2_NOMIG, "ENOPROTOOPT"), (LINUX_6_12, "EINVAL")],
    ids=lambda value: getattr(value, "name", value),
)
def test_how_each_kernel_refuses(profile: Profile, errno: str) -> None:
    with Xfrm.engine(Engine(profile)) as xfrm, pytest.raises(RefusedError) as refused:
        xfrm.migrate_sa(Migration.of(SA, saddr=ip("192.0.2.11")), check=False)
    assert refused.value.errno_name == errno


# -- time is yours -----------------------------------------------------------------------------------


def test_an_sa_expires_at_once() -> None:
    now = [1_700_000_000.0]
    host = EngineHost(Engine(), clock=lambda: now[0])
    with Xfrm.engine(host) as xfrm, xfrm.events(Group.EXPIRE) as events:
        xfrm.add_sa(replace(SA, limits=Limits(soft_add=3000, hard_add=3600)))
        now[0] += 3000
        (soft,) = events.drain()
        now[0] += 600
        (hard,) = events.drain()
        assert isinstance(soft, SaExpired)
        assert isinstance(hard, SaExpired)
        assert (soft.hard, hard.hard) == (False, True)
        assert list(xfrm.sas()) == []


# -- a daemon in any language: an engine for another process -----------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with serving(Engine(), tmp_path / "engine"):
        yield tmp_path / "engine"


@pytest.mark.skipif(not (shutil.which("ip") and shutil.which("cc")), reason="needs ip and cc")
def test_an_unmodified_program(path: Path) -> None:
    """``ip`` stands for the daemon: its netlink sockets lead to the engine, without root."""
    key = bytes(range(20)).hex()
    add = f"xfrm state add src 192.0.2.10 dst 198.51.100.1 proto esp spi 0x100 mode tunnel reqid 7 aead rfc4106(gcm(aes)) 0x{key} 128"
    subprocess.run(["ip", *add.split()], env=os.environ | environment(path), check=True)
    with Xfrm.connect(path) as xfrm:
        assert xfrm.get_sa(SA.id).algorithms == SA.algorithms
