"""Where ends serve."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyxfrm.errors import UsageError
from pyxfrm.tunnel.names import directory, running, socket_of, tidy


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_the_directory_is_made_for_this_user_alone(runtime: Path) -> None:
    assert directory() == runtime / "pyxfrm"
    assert not directory().exists()
    assert socket_of("gw", make=True) == runtime / "pyxfrm" / "gw"
    assert directory().stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_may_enter_is_refused(runtime: Path) -> None:
    (runtime / "pyxfrm").mkdir(mode=0o755)
    with pytest.raises(UsageError, match="not a directory of this user alone"):
        socket_of("gw")


def test_a_link_in_its_place_is_refused(
    runtime: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (runtime / "pyxfrm").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UsageError, match="not a directory"):
        directory(make=True)


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "-x", "x" * 65, "a b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="a name has letters"):
        socket_of(name)


def test_who_runs_and_who_is_gone() -> None:
    assert running() == []
    path = socket_of("one", make=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen()
        assert running() == [("one", True)]
    assert running() == [("one", False)]


def test_the_directory_goes_with_the_last_socket() -> None:
    path = socket_of("one", make=True)
    path.touch()
    tidy()
    assert directory().exists()
    path.unlink()
    tidy()
    assert not directory().exists()
    tidy()
