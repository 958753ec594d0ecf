"""Scripts on real kernels: what each kind of step does."""

from __future__ import annotations

import errno
import struct

import pytest

from pyxfrm.lab import Lab, Script
from pyxfrm.lab.script import (
    Clock,
    Close,
    Link,
    Open,
    ReadFile,
    Receive,
    Route,
    Send,
    Sleep,
    Step,
    Sysctl,
    Udp,
    ask,
)

pytestmark = pytest.mark.kernel

GETSA, FLUSHSA, MIGRATE_STATE = 0x12, 0x1C, 0x29
REQUEST, ACK, DUMP = 1, 4, 0x300


def message(kind: int, flags: int = REQUEST | ACK, body: bytes = b"", seq: int = 7) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, seq, 0) + body


FLUSH = message(FLUSHSA, body=bytes(4))


def errnos(lab: Lab, *steps: Step) -> list[int]:
    return [o.errno for o in lab.run_script(Script(steps)).outcomes]


def error_of(datagram: bytes) -> int:
    return int(struct.unpack_from("=i", datagram, 16)[0])


def test_an_ack_comes_back_whole(lab72: Lab) -> None:
    transcript = lab72.run_script(Script((Open("a", port=5), *ask("a", FLUSH))))
    (ack,) = transcript.datagrams
    assert struct.unpack_from("=IHHIIi", ack) == (36, 2, 0x100, 7, 5, 0)
    assert ack[20:36] == FLUSH[:16]


def test_migrate_state_is_known_to_7_2_only(lab72: Lab, lab612: Lab) -> None:
    body = struct.pack(">16xI", 1) + bytes(112)
    script = Script((Open("a", port=1), *ask("a", message(MIGRATE_STATE, body=body))))
    (new,), (old,) = (lab.run_script(script).datagrams for lab in (lab72, lab612))
    assert len(new) > len(old), "7.2 has a text for its refusal"
    assert error_of(old) == -errno.EINVAL


def test_each_script_has_an_empty_network(lab72: Lab) -> None:
    look = (Open("a", 1), *ask("a", message(GETSA, REQUEST | DUMP)), ReadFile("/proc/net/dev"))
    make = (Link("lo"), Link("dummy0", addresses=("192.0.2.1/24", "2001:db8::1/64")))
    first, second = lab72.run_scripts([Script((*make, *look)), Script(look)])
    assert "dummy0" in first.outcomes[-1].text
    assert "dummy0" not in second.outcomes[-1].text
    assert [o.errno for o in first.outcomes] == [0] * 6


def test_without_privilege_xfrm_refuses(lab72: Lab) -> None:
    steps = (Open("a", 1), Send("a", FLUSH, privileged=False), Receive("a"))
    assert error_of(lab72.run_script(Script(steps)).datagrams[0]) == -errno.EPERM
    assert errnos(lab72, Open("c", 3, groups=(1,), privileged=False)) == [errno.EPERM]


@pytest.mark.parametrize(("addressed", "expected"), [(True, 0), (False, -errno.EPERM)])
def test_who_opened_counts_unless_the_kernel_is_addressed(
    lab72: Lab, addressed: bool, expected: int
) -> None:
    steps = (Open("a", 1, privileged=False), Send("a", FLUSH, addressed=addressed), Receive("a"))
    assert error_of(lab72.run_script(Script(steps)).datagrams[0]) == expected


def test_steps_that_fail_tell_their_errno(lab72: Lab) -> None:
    steps: dict[Step, int] = {
        Close("x"): errno.EBADF,
        Send("x", b""): errno.EBADF,
        Receive("x"): errno.EBADF,
        ReadFile("/nowhere"): errno.ENOENT,
        Sysctl("no.such", "1"): errno.ENOENT,
        Link("d", kind="nothing"): errno.EOPNOTSUPP,
        Link("lo", addresses=("127.0.0.1/8",)): errno.EEXIST,
        Open("a", 1): 0,
        Open("b", 1): errno.EADDRINUSE,
        Udp("192.0.2.1", 9, b"x"): errno.ENETUNREACH,
        Route("0.0.0.0/0", "none"): errno.ENODEV,
    }
    assert errnos(lab72, *steps) == list(steps.values())


def test_settings_belong_to_the_script(lab72: Lab) -> None:
    name = "net.core.xfrm_acq_expires"
    read = ReadFile("/proc/sys/net/core/xfrm_acq_expires")
    first, second = lab72.run_scripts([Script((Sysctl(name, "7"), read)), Script((read,))])
    assert [o.text for o in (*first.outcomes, *second.outcomes)] == ["", "7\n", "30\n"]


def test_the_clock_is_set_and_put_back(lab72: Lab) -> None:
    now, set_to = int(lab72.run(["date", "+%s"]).stdout), 2_000_000_000
    stat = ReadFile("/proc/stat")
    *_, shown = lab72.run_script(Script((Clock(set_to), stat))).outcomes
    (boot,) = (x for x in shown.text.splitlines() if x.startswith("btime"))
    assert abs(int(boot.split()[1]) - set_to) < 3600
    assert abs(int(lab72.run(["date", "+%s"]).stdout) - now) < 60


def test_a_full_receive_buffer_shows_as_enobufs(lab72: Lab) -> None:
    flood = [Send("a", FLUSH) for _ in range(100)]
    transcript = lab72.run_script(Script((Open("a", 1, rcvbuf=1), *flood, Receive("a"))))
    assert [r.errno for r in transcript.outcomes[-1].received if r.errno] == [errno.ENOBUFS]


def test_a_packet_is_sent_and_routed(lab72: Lab) -> None:
    steps = (
        *(Link("lo"), Link("dummy0", addresses=("192.0.2.1/24",), mtu=1400)),
        *(Route("198.51.100.0/24", "dummy0"), Udp("198.51.100.1", 9, b"x", saddr="192.0.2.1")),
        *(Sleep(0.01), ReadFile("/proc/net/dev")),
    )
    transcript = lab72.run_script(Script(steps))
    assert [o.errno for o in transcript.outcomes] == [0] * 6
    (line,) = (x for x in transcript.outcomes[-1].text.splitlines() if "dummy0" in x)
    assert int(line.split()[10]) >= 1  # packets sent
