"""The lab itself, on real kernels."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pyxfrm.lab import JobError, Lab
from pyxfrm.lab.fetch import iproute2
from pyxfrm.lab.line import Frame

pytestmark = pytest.mark.kernel


@pytest.fixture(params=["7.2", "6.12"])
def lab(request: pytest.FixtureRequest) -> Lab:
    name = {"7.2": "lab72", "6.12": "lab612"}[request.param]
    lab: Lab = request.getfixturevalue(name)
    assert lab.release.startswith(request.param + ".")
    return lab


def test_output_and_status_of_a_command_are_its_own(lab: Lab) -> None:
    done = lab.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)


def test_bytes_pass_unchanged_both_ways(lab: Lab) -> None:
    data = bytes(range(256)) * 4096
    assert lab.run(["cat"], stdin=data).stdout == data


def test_output_is_handed_on_as_it_comes(lab: Lab) -> None:
    pieces: list[tuple[Frame, bytes]] = []
    script = "echo 1; sleep 0.1; echo 2 >&2"
    lab.run(["sh", "-c", script], output=lambda kind, data: pieces.append((kind, data)))
    assert pieces == [(Frame.STDOUT, b"1\n"), (Frame.STDERR, b"2\n")]


@pytest.mark.parametrize(
    ("argv", "status"), [(["no-such-program"], 127), (["/etc/passwd"], 126), (["false"], 1)]
)
def test_what_cannot_run_ends_as_in_a_shell(lab: Lab, argv: list[str], status: int) -> None:
    assert lab.run(argv).returncode == status


def test_a_command_that_takes_too_long_is_killed_with_its_children(lab: Lab) -> None:
    started = time.monotonic()
    done = lab.run(["sh", "-c", "echo begun; sleep 60 & sleep 60"], timeout=0.5)
    assert done.timed_out
    assert done.stdout == b"begun\n"
    assert time.monotonic() - started < 5
    assert lab.run(["sh", "-c", "ps ax | grep -c '[s]leep 60'"]).stdout == b"0\n"


def test_what_the_guest_writes_stays_in_the_guest(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("host")
    done = lab.run(["sh", "-c", f"echo guest > {file}; cat {file}; echo x > /etc/xfrm-lab-test"])
    assert (done.returncode, done.stdout) == (0, b"guest\n")
    assert file.read_text() == "host"
    assert not Path("/etc/xfrm-lab-test").exists()


def test_each_command_has_its_own_network_with_lo_up(lab: Lab) -> None:
    show = "cat /proc/net/dev; readlink /proc/self/ns/net"
    first, second = (lab.run(["sh", "-c", show]).stdout for _ in range(2))
    assert b"lo:" in first
    assert lab.run(["ping", "-c1", "127.0.0.1"]).returncode in (0, 127)
    assert first.splitlines()[-1].startswith(b"net:[")
    assert lab.run(["sh", "-c", show], namespace=False).stdout.splitlines()[-1] not in (
        first.splitlines()[-1],
        second.splitlines()[-1],
    )


def test_functions_return_json_values(lab: Lab) -> None:
    assert [r.value for r in lab.map("json:dumps", [{"a": 1}, [2]])] == ['{"a": 1}', "[2]"]


def test_what_a_function_raises_is_told_with_its_traceback(lab: Lab) -> None:
    with pytest.raises(JobError, match="math:sqrt in the guest: ValueError: ") as caught:
        lab.call("math:sqrt", -1)
    assert "Traceback" in caught.value.result.traceback


def test_what_a_function_prints_is_captured_for_each(lab: Lab) -> None:
    results = list(lab.map("builtins:print", ["one", "two"]))
    assert [r.stdout for r in results] == ["one\n", "two\n"]


def test_a_job_that_dies_or_hangs_costs_that_job_only(lab: Lab) -> None:
    results = list(lab.map("time:sleep", [0, 30, 0], timeout=0.5))
    assert [r.error for r in results] == ["", "LabError: no result within 0.5 s", ""]
    results = list(lab.map("os:_exit", [3, 4]))
    assert [r.error[-13:] for r in results] == ["exit status 3", "exit status 4"]


@pytest.mark.parametrize("fresh", [False, True])
def test_jobs_run_in_the_process_they_were_promised(lab: Lab, fresh: bool) -> None:
    results = list(lab.map("os:sysconf", ["SC_PAGESIZE"] * 3, fresh=fresh))
    assert [r.value for r in results] == [4096] * 3
    ended = list(lab.map("os:_exit", [7], fresh=fresh))
    assert ended[0].error.endswith("exit status 7")


def test_the_kernel_finds_modules_by_itself(lab: Lab) -> None:
    link = ["link", "add", "type", "vxlan", "id", "1", "dev", "lo", "dstport", "0"]
    assert lab.run([*iproute2().argv, *link]).stderr == b""
    assert b"vxlan" in lab.run(["cat", "/proc/modules"]).stdout
    assert lab.run(["modprobe", "no-such-module"]).returncode == 1
