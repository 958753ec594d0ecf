"""Files of keys: each side once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyxfrm.errors import UsageError
from pyxfrm.tunnel.keyfile import make_keys, take_keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keys"
    make_keys(made)
    return made


def test_both_sides_get_the_same_keys_the_other_way_round(path: Path) -> None:
    left, right = take_keys(path, "left"), take_keys(path, "right")
    assert left == right.swapped
    assert left != right
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_side_gets_them_once(path: Path, side: str) -> None:
    take_keys(path, side)
    with pytest.raises(UsageError, match=f"{side} has used them") as caught:
        take_keys(path, side)
    assert "xfrm tunnel keys" in str(caught.value)


def test_two_files_have_different_keys(path: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other")
    assert take_keys(path, "left") != take_keys(tmp_path / "other", "left")


def test_what_is_there_is_not_overwritten(path: Path) -> None:
    with pytest.raises(UsageError, match="File exists"):
        make_keys(path)


def test_a_file_that_others_may_read_is_refused_and_not_used_up(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(UsageError, match="others may read it"):
        take_keys(path, "left")
    path.chmod(0o600)
    take_keys(path, "left")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "left 1 00\n",
        "left x y\nright x y\n",
        "left 1\nright 2\n",
        "\0",
        "left 1 zz\nright 2 00\n",
    ],
)
def test_other_files_are_refused_in_a_line_without_their_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError) as caught:
        take_keys(path, "left")
    assert "\n" not in str(caught.value)
    assert path.read_text() == text


def test_keys_do_not_show(path: Path) -> None:
    keys = take_keys(path, "left")
    assert keys.left.hex() not in repr(keys)
    with pytest.raises(UsageError) as caught:
        take_keys(path, "left")
    assert keys.left.hex() not in str(caught.value)


def test_a_side_that_is_none_and_a_file_that_is_not_there(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither left nor right"):
        take_keys(path, "middle")
    with pytest.raises(UsageError, match="No such file"):
        take_keys(tmp_path / "none", "left")
