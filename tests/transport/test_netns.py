"""Names of network namespaces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyxfrm.errors import UsageError
from pyxfrm.transport.netns import open_netns


def test_by_path_and_by_pid() -> None:
    found = []
    for each in ("/proc/self/ns/net", Path("/proc/self/ns/net"), os.getpid()):
        fd = open_netns(each)
        found.append(os.fstat(fd).st_ino)
        os.close(fd)
    assert set(found) == {Path("/proc/self/ns/net").stat().st_ino}


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "/dev/null"])
def test_what_is_none_is_named(path: str) -> None:
    with pytest.raises(UsageError, match=f"namespace {path}: this is no network namespace"):
        open_netns(path)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        open_netns(name)


def test_none_of_that_name() -> None:
    with pytest.raises(UsageError, match="there is no /run/netns/nobody"):
        open_netns("nobody")
