"""``xfrm demo`` as a user calls it: what it says, and that its exit status follows the numbers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pyxfrm.cli import main
from pyxfrm.cli.demo import flow, moves
from pyxfrm.tunnel import Keys


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The report goes to a place of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


MOVES = [move.name for move in moves.JOURNEY]


def demo(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit status and output, in one line."""
    status = main(["demo", *words])
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line for line in out.splitlines() if not line.startswith("All of this")]
    assert max(map(len, lines)) <= 80
    return status, " ".join(out.split())


def test_packets_flow(
    capsys: pytest.CaptureFixture[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Keys] = []
    fresh = Keys.fresh

    def remembered() -> Keys:
        made.append(fresh())
        return made[-1]

    monkeypatch.setattr(Keys, "fresh", remembered)
    status, text = demo(capsys, "--only", "live", "--seconds", "4", "--rate", "100")
    assert status == 0
    done = len(MOVES) - text.count("left out:")
    assert re.search(
        rf"{done} moves, \d+ packets: 0 lost, 0 came twice, 0 could be read, 0 with a", text
    )
    for name in MOVES:
        assert len(re.findall(name, text)) >= 2, name
    assert "delete and add" in text
    report = cache / "pyxfrm" / "demo.html"
    assert f"All of this with pictures: {report}" in text
    sent = re.search(r"moves, (\d+) packets", text)
    assert sent is not None
    page = report.read_text()
    assert f"lost of {sent[1]}" in page
    assert "xfrm demo --only live --seconds 4 --rate 100" in page
    assert made
    for key in (one for keys in made for one in (keys.left, keys.right)):
        for shown in (key.hex(), key[:8].hex(), repr(key)[2:20]):
            assert shown not in page
            assert shown not in text


def test_the_figure_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figure = tmp_path / "figure.svg"
    words = ("--only", "live", "--seconds", "1", "--rate", "50", "--report", str(figure))
    assert demo(capsys, *words)[0] == 0
    assert figure.read_text().startswith("<svg")


def test_a_report_that_cannot_be_written_is_told(
    capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    cache.write_text("not a directory")
    status, text = demo(capsys, "--only", "live", "--seconds", "1", "--rate", "50")
    assert status == 0
    assert "The report could not be written to" in text
    assert "Not a directory" in text


def test_replay_and_ways(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = demo(capsys, "--only", "replay")
    assert status == 0
    assert "5611 of 5611 replies and events are identical to the last byte" in text
    status, text = demo(capsys, "--only", "ways")
    assert status == 0
    assert "calls for the SAs 6 2 6" in text
    assert "with a number used before 0 0 2" in text
    assert "took the right SA of two alike no yes yes" in text
    assert "Keys left the kernel twice." in text


def test_without_ipv6(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "has_ipv6", lambda: False)
    status, text = demo(capsys, "--only", "live", "--seconds", "2", "--rate", "100")
    assert status == 0
    assert "IPv4 to IPv6: left out, since this machine has no IPv6." in text
    assert "5 moves" in text


def test_without_cryptography(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the demo is as good as ever; who wanted just that part has nothing."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    status, text = demo(capsys)
    assert status == 0
    assert "Left out: ESP needs the `cryptography` package: pip install 'pyxfrm[esp]'." in text
    assert "Keys left the kernel twice." in text
    assert demo(capsys, "--only", "live")[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "0"),
        ("--rate", "many"),
        ("--seconds", "0"),
        ("--only", "nothing"),
        ("--report", "picture.gif"),
        ("--report", "/no/such/directory/x.html"),
    ],
)
def test_bad_words(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *words]) == 2
    err = capsys.readouterr().err
    assert f"argument {words[0]}" in err
    assert "Traceback" not in err


def test_a_report_of_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--only", "ways", "--report", str(tmp_path / "x.svg")]) == 2
    assert "--only ways leaves it out" in capsys.readouterr().err


def test_the_readme_shows_what_happens() -> None:
    """Names of moves and columns of the table, as they are."""
    text = (Path(__file__).parents[3] / "README.md").read_text()
    assert " ".join(flow.COLUMNS) in " ".join(text.split())
    for name in MOVES:
        assert name in text
