"""``-batch``: lines, their numbers, and when it ends; on the engine, and against iproute2 7.3 on a kernel."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxfrm.cli import main
from pyxfrm.cli.batch import read
from pyxfrm.errors import UsageError
from pyxfrm.lab import Lab
from tests.cli import lines

Run = Callable[..., tuple[int, str, str]]
ADD = "policy add src 10.0.0.1 dst 10.0.0.{} dir out\n"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a text as a batch on a fresh engine: status, output, errors without the folder's name."""

    def play(text: str, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "file"
        path.write_text(text)
        status = main(["--engine", "7.2", *options, "-batch", str(path)])
        out, err = capsys.readouterr()
        return status, out, err.replace(f"{tmp_path}/", "")

    return play


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a b\nc\n", [(1, ["a", "b"]), (2, ["c"])]),
        ("\n  \n# all of it\na # rest\n", [(4, ["a"])]),
        ("a \\\n  b\\\nc\nd", [(3, ["a", "bc"]), (4, ["d"])]),
        ("a \\\n b", [(2, ["a", "b"])]),
        ("a 'b  c' \"d\"e 'f#g'\n", UsageError),  # a comment begins anywhere
        ("a 'b  c' \"d\"e f'g\n", [(1, ["a", "b  c", "d", "e", "f'g"])]),
        ("a 'b\n", UsageError),
        ("", []),
    ],
)
def test_lines_are_read_as_iproute2_reads_them(
    text: str, commands: list[tuple[int, list[str]]] | type[UsageError]
) -> None:
    if isinstance(commands, list):
        assert list(read(io.StringIO(text), "f")) == commands
    else:
        with pytest.raises(UsageError, match="f:1: a quoted word has no end"):
            list(read(io.StringIO(text), "f"))


def test_all_lines_see_the_same_tables_and_print_in_order(run: Run) -> None:
    sa = "state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 enc 'cipher_null' ''\n"
    listed = "policy list\nxfrm policy count\nsta list nokeys\n"
    status, out, err = run(f"xfrm {ADD.format(2)}{listed}{sa}{listed}")
    assert (status, err) == (0, "")
    assert out.count("src 10.0.0.1/32 dst 10.0.0.2/32") == 2
    assert out.count("SPD IN  0 OUT 1 FWD 0") == 2
    assert out.count("proto esp spi 0x00000001") == 1
    assert out.index("SPD IN") < out.index("proto esp")


def test_it_ends_at_the_first_failure(run: Run) -> None:
    text = f"{ADD.format(2)}\n{ADD.format(2)}{ADD.format(3)}policy count\n"
    status, out, err = run(text)
    assert (status, out) == (1, "")
    assert err == (
        "xfrm: file:3: XFRM_MSG_NEWPOLICY dir out src 10.0.0.1/32 dst 10.0.0.2/32: "
        "EEXIST: File exists\n"
    )


def test_with_force_it_goes_on_and_tells_each(run: Run) -> None:
    text = (
        f"{ADD.format(2)}{ADD.format(2)}policy delete src 1.1.1.1 dst 2.2.2.2 dir in\n"
        f"policy bogus\nlink show\n{ADD.format(3)}policy count\n"
    )
    status, out, err = run(text, "-force")
    assert status == 1
    assert out == "\t SPD IN  0 OUT 2 FWD 0\n"
    assert [line.split(" ")[1] for line in err.splitlines()] == [f"file:{n}:" for n in (2, 3, 4, 5)]
    assert '"bogus" is no command' in err
    assert '"link" is no command' in err
    assert run("policy bogus\n" + ADD.format(2) * 2, "-force")[0] == 2


def test_many_lines_go_together(run: Run) -> None:
    text = "".join(ADD.format(f"{n % 250 + 1}/{32 - n // 250}") for n in range(1000))
    status, out, err = run(text + text[: text.index("\n") + 1] + "policy count\n", "-force")
    assert (status, out) == (1, "\t SPD IN  0 OUT 1000 FWD 0\n")
    assert err.startswith("xfrm: file:1001: ")
    assert err.count("\n") == 1


def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("policy count\npolicy bogus\n"))
    assert main(["--engine", "7.2", "-b", "-"]) == 2
    out, err = capsys.readouterr()
    assert out == "\t SPD IN  0 OUT 0 FWD 0\n"
    assert err.startswith("xfrm: -:2: policy:")


def test_what_makes_no_sense_around_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for words, why in (
        (["-batch"], "a value is missing"),
        (["-batch", "/no/such/file"], "-batch /no/such/file: No such file"),
        (["-batch", "-", "policy", "list"], '"policy" is unexpected'),
        (["-s"], "no command"),
    ):
        assert main(words) == 2
        assert why in capsys.readouterr().err


def test_help_is_no_request(run: Run) -> None:
    status, out, _ = run("policy add help\n")
    assert status == 0
    assert "policy add" in out


# -- against iproute2 ----------------------------------------------------------------------------------


# `ip xfrm` leaves the program at the first refusal, with and without -force, and after it has listed something; so a list stands last here, and -force is
# compared with one `ip xfrm` a line.

PLAIN = [*lines.SAS, *lines.POLICIES]
EVERY = [line for line in [*lines.ALONE, *PLAIN] if not line.startswith("-")]
AGAIN = "xfrm policy add src 10.1.0.0/16 \\\n dst '10.2.0.0/16' dir \"out\" # joined\n"
BATCHES = {
    "all is well": ([], "".join(f"xfrm {line}\n" for line in PLAIN)),
    "up to the refusal": ([], f"# begin\n\n{AGAIN}{AGAIN}xfrm policy setdefault in block\n"),
    "up to what makes no sense": ([], f"{AGAIN}xfrm policy bogus\nxfrm policy flush\n"),
    "options go before": (["-s", "-o"], f"xfrm {PLAIN[0]}\nxfrm {PLAIN[1]}\nxfrm state list\n"),
}


@pytest.mark.kernel
@pytest.mark.parametrize("name", BATCHES)
def test_it_does_what_iproute2_does(lab72: Lab, name: str) -> None:
    options, text = BATCHES[name]
    arguments = [[whose, options, text] for whose in ("iproute2", "xfrm")]
    theirs, ours = lab72.map("tests.cli.guest_batch:play", arguments)
    assert not theirs.error + ours.error
    for what in ("done", "out", "tables"):
        assert ours.value[what] == theirs.value[what], (ours.value["err"], theirs.value["err"])
    assert ours.value["tables"][0] or name != "all is well"


@pytest.mark.kernel
def test_to_the_end_it_does_what_iproute2_does_line_by_line(lab72: Lab) -> None:
    text = "".join(f"{line}\n" for line in EVERY)
    (theirs,) = lab72.map("tests.cli.guest_batch:one_by_one", [EVERY], timeout=120)
    for _ in range(5):  # until it takes less than a second, as times of installation are compared
        (ours,) = lab72.map(
            "tests.cli.guest_batch:play", [["xfrm", ["--unchecked", "-force"], text]]
        )
        if ours.error or ours.value["took"] < 0.9:
            break
    assert not theirs.error + ours.error
    assert len(ours.value["failed"]) > 20
    for what in ("failed", "out", "tables"):
        assert ours.value[what] == theirs.value[what]
