"""TUN devices and raw sockets against a kernel: this machine's, in a namespace of its own, and the lab's."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any

import pytest

from pyxfrm.errors import TransportError, UsageError
from pyxfrm.lab import Lab
from pyxfrm.model import network
from pyxfrm.transport.netns import in_new_netns
from pyxfrm.tunnel import Tun
from tests.tunnel import guest
from tests.tunnel.allowed import needs_devices


def check(found: dict[str, Any]) -> None:
    everything = {"pong v4": 5, "stream v4": 50, "pong v6": 5, "stream v6": 50}
    assert found == {
        "device": True,
        "problems": [],
        "before": everything,
        "after": everything,
        "stranger": 1,
        "drops": 0,
        "left": [],
        "routes_left": 0,
        "descriptors_left": 0,
    }


def check_killed(found: dict[str, Any], number: int) -> None:
    assert found["during"] == ["vpn0"]
    assert found["left"] == []
    assert found["socket"] == (number == signal.SIGKILL)
    assert found["status"] == (-signal.SIGKILL if number == signal.SIGKILL else 0)


ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


@pytest.mark.parametrize("port", [4500, None], ids=["udp", "esp"])
@needs_devices
def test_this_kernel_talks_through_a_tunnel_that_moves(port: int | None) -> None:
    check(in_new_netns(lambda: guest.tun({"port": port})))


@pytest.mark.kernel
@pytest.mark.parametrize("port", [4500, None], ids=["udp", "esp"])
def test_the_labs_kernel_talks_through_a_tunnel_that_moves(lab72: Lab, port: int | None) -> None:
    check(lab72.call("tests.tunnel.guest:tun", {"port": port}, fresh=True, timeout=120))


@pytest.mark.parametrize("number", ENDS)
@needs_devices
def test_nothing_is_left_however_it_ends(number: int, tmp_path: Path) -> None:
    words = {"signal": number, "folder": str(tmp_path)}
    check_killed(in_new_netns(lambda: guest.killed(words)), number)
    if number == signal.SIGKILL:  # the next start takes the dead socket's place
        again = {"signal": signal.SIGTERM, "folder": str(tmp_path)}
        check_killed(in_new_netns(lambda: guest.killed(again)), signal.SIGTERM)


@pytest.mark.kernel
@pytest.mark.parametrize("number", ENDS)
def test_nothing_is_left_on_the_labs_kernel(lab72: Lab, number: int) -> None:
    words = {"signal": number, "folder": "/tmp"}  # of the guest
    found = lab72.call("tests.tunnel.guest:killed", words, fresh=True, timeout=120)
    check_killed(found, number)


@needs_devices
def test_what_cannot_be_set_is_told_and_leaves_no_device() -> None:
    def attempt() -> set[str]:
        device = Tun("t%d")
        with pytest.raises(TransportError, match=r"device t0: route 192\.0\.2\.0/24: "):
            device.configure((), [network("192.0.2.0/24"), network("192.0.2.0/24")])
        device.close()
        device.close()
        return guest.devices()

    assert in_new_netns(attempt) == {"lo"}


@needs_devices
def test_a_name_that_is_taken_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match=r"device lo: .*is the name taken"):
        in_new_netns(lambda: Tun("lo"))


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-bytes-xx", ".", ".."])
def test_a_name_that_is_none_is_refused_before_anything(name: str) -> None:
    with pytest.raises(UsageError, match="a name of 1 to 15 bytes"):
        Tun(name)


@pytest.mark.parametrize("mtu", [67, 65536])
def test_an_mtu_that_is_none_is_refused(mtu: int) -> None:
    with pytest.raises(UsageError, match=f"mtu {mtu}: bytes, 68 to 65535"):
        Tun(mtu=mtu)


def check_too_long(found: dict[str, Any]) -> None:
    # 1300 = 20 + 8 (IP, UDP) + 8 + 8 (ESP, IV) + 1240 + 16 (ICV); 1240 = 1238 + 2 of trailer
    assert found == {
        "must not": errno.EMSGSIZE,
        "must not: arrived": 0,
        "may": 0,
        "may: arrived": 2,  # fragments: the kernel has learned
        "learned": 1238,
        "the longest arrived": 3,
        "too big": 1,
        "unsent": {},
    }


@needs_devices
def test_who_sends_what_is_too_long_for_the_path_is_told() -> None:
    check_too_long(in_new_netns(lambda: guest.too_long(None)))


@pytest.mark.kernel
def test_the_labs_kernel_is_told_what_is_too_long(lab72: Lab) -> None:
    check_too_long(lab72.call("tests.tunnel.guest:too_long", fresh=True, timeout=120))
