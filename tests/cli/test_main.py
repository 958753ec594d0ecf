"""The ``xfrm`` command's frame: statuses, and one line for what went wrong."""

from __future__ import annotations

import subprocess
import sys
from errno import EEXIST, EPERM
from importlib import import_module

import pytest

from pyxfrm import __version__, cli
from pyxfrm.errors import RefusedError, UsageError, XfrmError


def command(monkeypatch: pytest.MonkeyPatch, problem: BaseException | None) -> None:
    """Make ``xfrm try`` a command that raises."""

    def work(argv: list[str]) -> int:
        print("worked", *argv)  # noqa: T201
        if problem:
            raise problem
        return 7

    monkeypatch.setattr(cli, "COMMANDS", {"try": cli.Command("x:y", "a test")})
    monkeypatch.setattr(cli, "_load", lambda _: work)


@pytest.mark.parametrize(
    ("problem", "status", "told"),
    [
        (None, 7, ""),
        (XfrmError("no luck"), 1, "xfrm: no luck\n"),
        (UsageError("nonsense"), 2, "xfrm: nonsense\n"),
        (KeyboardInterrupt(), 130, ""),
        (FileNotFoundError(2, "No such file", "x"), 1, "xfrm: x: No such file\n"),
        (SystemExit(2), 2, ""),
        (SystemExit("words"), 1, ""),
    ],
)
def test_each_end_has_its_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: BaseException | None,
    status: int,
    told: str,
) -> None:
    command(monkeypatch, problem)
    assert cli.main(["try", "a", "-b"]) == status
    assert capsys.readouterr() == ("worked a -b\n", told)


@pytest.mark.parametrize(
    ("argv", "status", "out", "err"),
    [
        (["--version"], 0, f"xfrm {__version__}\n", ""),
        (["--help"], 0, "usage: xfrm", ""),
        ([], 2, "", "usage: xfrm"),
        (["nonsense"], 2, "", "xfrm: no command 'nonsense'"),
    ],
)
def test_without_a_command(
    capsys: pytest.CaptureFixture[str], argv: list[str], status: int, out: str, err: str
) -> None:
    assert cli.main(argv) == status
    shown = capsys.readouterr()
    assert shown.out.startswith(out)
    assert shown.err.startswith(err)
    assert bool(shown.out) == bool(out)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_can_be_loaded_and_is_told_in_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module, _, function = cli.COMMANDS[name].target.partition(":")
    assert callable(getattr(import_module(module), function))
    cli.main(["help"])
    assert cli.COMMANDS[name].summary in capsys.readouterr().out


def test_a_reader_that_has_gone_is_no_error() -> None:
    code = (
        "import sys\nfrom pyxfrm import cli\n"
        "def work(argv):\n for _ in range(100000): print('line')\n return 0\n"
        "cli._load = lambda _: work\nsys.exit(cli.main(['lab']))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout
    assert run.stderr
    run.stdout.close()
    with run.stderr as told:
        assert told.read() == b""
    assert run.wait(10) == 141


def test_the_frame_imports_little() -> None:
    code = "import sys\nimport pyxfrm.cli\nprint(*sys.modules)"
    loaded = subprocess.check_output(
        [sys.executable, "-IS", "-c", f"import sys; sys.path[:0]={sys.path!r}\n{code}"]
    )
    heavy = {b"argparse", b"subprocess", b"json", b"rich", b"dataclasses", b"asyncio"}
    assert heavy & set(loaded.split()) == set()


def test_a_bare_eperm_is_told_with_what_is_missing_and_a_kernels_own_words_are_not_added_to() -> (
    None
):
    bare = cli.told(RefusedError("XFRM_MSG_GETSA", EPERM))
    assert bare.startswith("XFRM_MSG_GETSA: EPERM: Operation not permitted (")
    assert "CAP_NET_ADMIN" in bare
    assert "CAP_NET_ADMIN" not in cli.told(RefusedError("XFRM_MSG_NEWSA", EPERM, "Not you"))
    assert "CAP_NET_ADMIN" not in cli.told(RefusedError("XFRM_MSG_NEWSA", EEXIST))


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-", "> /dev/full"])
def test_streams_that_cannot_be_written_give_no_traceback(closed: str) -> None:
    words = f"{sys.executable} -m pyxfrm.cli --version {closed}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    full = closed == "> /dev/full"
    told = "xfrm: standard output: No space left on device\n" if full else ""
    assert (done.returncode, done.stderr) == (int(full), told)
