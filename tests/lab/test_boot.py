"""A machine's life on the host: how it is started, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyxfrm.errors import UsageError
from pyxfrm.lab import Lab, LabError, Options, boot
from pyxfrm.lab.boot import command_line
from pyxfrm.lab.fetch import Kernel

KERNEL = Kernel(Path("/cache/linux"), Path("/cache/modules"), ("seccomp=on",))


def gone(pid: int, seconds: float = 5) -> bool:
    """Whether the process group ends within some seconds (zombies count as ended)."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not any(_alive(int(p.name), pid) for p in Path("/proc").iterdir() if p.name.isdigit()):
            return True
        time.sleep(0.02)
    return False


def _alive(pid: int, group: int) -> bool:
    try:
        state, _, pgrp = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return False
    return int(pgrp) == group and state != "Z"


def test_the_command_line_of_the_kernel() -> None:
    options = Options("64M", tap="tap0", append=("debug",))
    assert command_line(KERNEL, options, Path("/run/x"), "ssl0=fd:7,fd:7") == [
        *("/cache/linux", "mem=64M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
        *("init=/run/x/init", "umid=lab", "uml_dir=/run/x", "ubd0=/run/x/no-disk"),
        *("quiet", "noreboot", "con=null", "ssl=null", "con0=null,fd:1"),
        "initcall_blacklist=raid6_init,raid6_select_algo",
        *("ssl0=fd:7,fd:7", "seccomp=on"),
        *("vec0:transport=tap,ifname=tap0,depth=128,gro=1", "debug"),
    ]


@pytest.mark.parametrize("memory", ["", "much", "256MB", "-1M", "1.5G", "256", "M"])
def test_a_memory_that_makes_no_sense_is_refused(memory: str) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        Options(memory)


def test_memory_in_bytes() -> None:
    assert [Options(m).memory_bytes for m in ("64k", "256M", "1G")] == [65536, 1 << 28, 1 << 30]


def test_a_kernel_that_does_not_start_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(Path(boot._plain_temporary()).glob("xfrm-lab-*"))
    with pytest.raises(LabError, match="cannot start /cache/linux: No such file"):
        Lab(kernel=KERNEL)
    assert set(Path(boot._plain_temporary()).glob("xfrm-lab-*")) - before == set()


def test_a_program_that_is_no_kernel_is_told_with_its_last_words() -> None:
    with pytest.raises(
        LabError, match=r"the guest is gone; its console: .*: No such file or directory"
    ):
        Lab(kernel=Kernel(Path("/bin/false").with_name("ls")))


@pytest.mark.kernel
class TestEnding:
    """Boots of its own: each test ends one."""

    def test_nothing_is_left_of_a_lab_that_was_closed(self, lab72: Lab) -> None:
        with Lab(kernel=lab72.kernel) as lab:
            pid, run = lab.pid, lab._machine.run_directory
            assert run.is_dir()
        assert gone(pid, 0.1)
        assert not run.exists()
        lab.close()
        with pytest.raises(LabError, match="closed"):
            lab.run(["true"])

    def test_a_panic_is_told_by_its_line(self, lab72: Lab) -> None:
        with Lab(kernel=lab72.kernel) as lab:
            with pytest.raises(LabError, match=r"Kernel panic - .*sysrq triggered crash") as caught:
                lab.run(["sh", "-c", "echo c > /proc/sysrq-trigger"])
            assert "Call Trace:" in caught.value.console
            assert gone(lab.pid)

    def test_a_guest_that_hangs_is_ended(self, lab72: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(boot, "_MARGIN", 0.2)
        with Lab(kernel=lab72.kernel) as lab:
            os.killpg(lab.pid, signal.SIGSTOP)
            with pytest.raises(LabError, match="does not answer"):
                lab.run(["true"], timeout=0.1)
            assert gone(lab.pid)

    @pytest.mark.parametrize(
        ("number", "status"),
        [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGKILL, -9)],
    )
    def test_no_kernel_outlives_its_host(
        self, lab72: Lab, tmp_path: Path, number: signal.Signals, status: int
    ) -> None:
        code = (
            "import sys\nfrom pyxfrm.lab import Lab\nlab = Lab()\nprint(lab.pid, flush=True)\n"
            "try:\n lab.run(['sleep', '60'])\nexcept KeyboardInterrupt:\n sys.exit(130)"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        host = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
        )
        assert host.stdout
        with host.stdout as output:
            pid = int(output.readline())
        time.sleep(0.3)
        host.send_signal(number)
        assert host.wait(10) == status
        assert gone(pid)
        assert list(tmp_path.rglob("request-*")) == []

    def test_the_end_of_the_interpreter_ends_it(self, lab72: Lab) -> None:
        code = "from pyxfrm.lab import Lab\nlab = Lab()\nprint(lab.pid)"
        pid = int(subprocess.check_output([sys.executable, "-c", code]))
        assert gone(pid)

    def test_a_verbose_kernel_is_heard(self, lab72: Lab) -> None:
        code = (
            "from pyxfrm.lab import Lab, Options\n"
            "with Lab(options=Options(verbose=True)) as lab: print(lab.release)"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert run.stdout.decode() == f"{lab72.release}\n"
        assert b"Linux version 7.2" in run.stderr

    def test_a_shared_directory_is_written_to(self, lab72: Lab, tmp_path: Path) -> None:
        with Lab(kernel=lab72.kernel, options=Options(share=(tmp_path,))) as lab:
            assert lab.run(["sh", "-c", f"echo guest > {tmp_path}/file"]).returncode == 0
        assert (tmp_path / "file").read_text() == "guest\n"

    def test_a_kernel_without_modules_boots_on_a_plain_root(self, lab72: Lab) -> None:
        bare = Kernel(lab72.kernel.image, None, lab72.kernel.options)
        with Lab(kernel=bare) as lab:
            assert lab.run(["sh", "-c", "echo x > /etc/xfrm-lab-test"]).returncode != 0
            assert lab.run(["sh", "-c", "echo x > /run/x; cat /run/x"]).stdout == b"x\n"
