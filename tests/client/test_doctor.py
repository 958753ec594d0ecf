"""Each rule of the doctor: what it finds, and that it is silent where nothing is wrong."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from pyxfrm.abi.profiles import LINUX_7_2
from pyxfrm.client import PolicyRecord, SaRecord, Xfrm
from pyxfrm.client.doctor import Facts, Finding, Severity, Socket, examine, parse_netlink
from pyxfrm.engine import Engine
from pyxfrm.errors import UsageError
from pyxfrm.model import (
    Algorithm,
    Direction,
    ExtraFlag,
    Limits,
    Mark,
    Mode,
    Policy,
    Proto,
    ReplayState,
    Sa,
    SaId,
    Selector,
    Template,
    ip,
    network,
)

HERE, THERE = ip("192.0.2.10"), ip("198.51.100.1")
KEY = bytes(range(1, 21))
OUT = Sa(
    SaId(THERE, Proto.ESP, 0x100),
    HERE,
    Mode.TUNNEL,
    (Algorithm.aes_gcm(KEY),),
    ReplayState.of(32),
    reqid=1,
)
IN = replace(OUT, id=SaId(HERE, Proto.ESP, 0x200), saddr=THERE)
TO = Selector(network("10.1.0.0/16"), network("10.2.0.0/16"))
OUTWARDS = Template(HERE, THERE, Proto.ESP, Mode.TUNNEL, reqid=1)
INWARDS = Template(THERE, HERE, Proto.ESP, Mode.TUNNEL, reqid=1)
POLICIES = (
    Policy(Direction.OUT, TO, templates=(OUTWARDS,)),
    Policy(Direction.IN, TO.reversed(), templates=(INWARDS,)),
    Policy(Direction.FWD, TO.reversed(), templates=(INWARDS,)),
)


def dumps(
    sas: Sequence[Sa] = (IN, OUT), policies: Sequence[Policy] = POLICIES
) -> tuple[list[SaRecord], list[PolicyRecord]]:
    with Xfrm.engine(Engine(LINUX_7_2)) as xfrm:
        for sa in sas:
            xfrm.add_sa(sa)
        for policy in policies:
            xfrm.add_policy(policy)
        return list(xfrm.sas()), list(xfrm.policies())


def found(sas: Sequence[Sa] = (IN, OUT), policies: Sequence[Policy] = POLICIES) -> list[Finding]:
    return examine(Facts(*dumps(sas, policies)))


def named(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.rule, one.severity.value) for one in findings]


def test_a_sound_tunnel_has_no_findings() -> None:
    assert found() == []


def test_nothing_at_all_has_no_findings() -> None:
    assert examine(Facts([], sockets=[Socket(7, 1, 1, "charon")])) == []


def test_an_sa_that_stands_before_another() -> None:
    narrow = replace(OUT, id=SaId(THERE, Proto.ESP, 0x100, Mark(1, 1)))
    (one,) = found((IN, narrow, OUT))
    assert named([one]) == [("ambiguous-marks", "error")]
    assert "mark 0x1/0x1" in one.subject
    assert "dst 198.51.100.1 proto esp spi 0x00000100 for it" in one.reason


def test_marks_that_exclude_each_other_are_fine() -> None:
    pair = [replace(OUT, id=SaId(THERE, Proto.ESP, 0x100, Mark(n, 3))) for n in (1, 2)]
    assert found((IN, *pair)) == []


class Table:
    """SAs that can be gone through again and again, as a client's dumps; ``times``: how often that was done."""

    def __init__(self, sas: Sequence[SaRecord]) -> None:
        self.sas = sas
        self.times = 0

    def __iter__(self) -> Iterator[SaRecord]:
        self.times += 1
        return iter(self.sas)


@pytest.mark.parametrize(("twice", "times"), [(False, 1), (True, 2)])
def test_sas_are_looked_at_again_only_if_some_share_a_name(twice: bool, times: int) -> None:
    many = [replace(OUT, id=SaId(THERE, Proto.ESP, 0x100 + n)) for n in range(10_000)]
    narrow = replace(many[7], id=replace(many[7].id, mark=Mark(1, 1)))
    sas, policies = dumps((IN, narrow, *many) if twice else (IN, *many))
    table = Table(sas)
    findings = examine(Facts(table, policies))
    assert named(findings) == [("ambiguous-marks", "error")] * twice
    assert table.times == times


def test_a_mark_with_bits_outside_its_mask() -> None:
    """As a larval SA may have one: no value of the model can, so its bytes are changed."""
    marked = replace(OUT, id=SaId(THERE, Proto.ESP, 0x100, Mark(0x707, 0x707)))
    sas, policies = dumps((IN, marked))
    kept, odd = struct.pack("=II", 0x707, 0x707), struct.pack("=II", 0x404, 0x303)
    sas = [SaRecord.of(record.raw.replace(kept, odd)) for record in sas]
    (one,) = examine(Facts(sas, policies))
    assert "bits outside its mask" in one.reason


def test_exact_lookups_are_not_confused_by_a_wide_mark() -> None:
    narrow = replace(OUT, id=SaId(THERE, Proto.ESP, 0x100, Mark(1, 1)))
    sas, policies = dumps((IN, narrow, OUT))
    assert examine(Facts(sas, policies, exact_marks=True)) == []


def test_a_template_that_names_the_old_address() -> None:
    moved = replace(OUT, saddr=ip("203.0.113.7"))
    (one,) = found((IN, moved))
    assert named([one]) == [("template-without-sa", "error")]
    assert "from 203.0.113.7 to 198.51.100.1" in one.reason
    assert "XfrmOutNoStates" in one.reason


def test_policies_that_wait_for_an_ike_daemon() -> None:
    findings = found(())
    assert sorted(named(findings)) == [
        ("template-without-sa", "note"),
        ("template-without-sa", "warning"),
        ("template-without-sa", "warning"),
    ]


def test_another_if_id_is_another_sa() -> None:
    assert {one.rule for one in found((IN, replace(OUT, if_id=5)))} == {"template-without-sa"}


def test_optional_templates_ask_for_nothing() -> None:
    """They can only be inbound, in tunnel mode: Linux refuses others."""
    policies = [
        replace(p, templates=tuple(replace(t, optional=True) for t in p.templates))
        for p in POLICIES[1:]
    ]
    assert found((), policies) == []


def test_fwd_forgotten() -> None:
    assert named(found(policies=POLICIES[:2])) == [("missing-fwd", "warning")]


def test_a_host_may_do_without_fwd() -> None:
    host = Selector(network("10.2.0.0/16"), network("10.1.0.1/32"))
    policies = (POLICIES[0], replace(POLICIES[1], sel=host))
    assert named(found(policies=policies)) == [("missing-fwd", "note")]


def test_no_replay_window() -> None:
    closed = ReplayState.off()
    assert named(found((replace(IN, replay=closed), OUT))) == [("replay-window", "warning")]
    assert found((IN, replace(OUT, replay=closed))) == []
    assert named(found((replace(OUT, replay=closed),), ())) == [("replay-window", "note")]


def test_a_wide_window_without_esn() -> None:
    assert named(found((replace(IN, replay=ReplayState.of(128)), OUT))) == [
        ("replay-window", "note")
    ]
    assert found((replace(IN, replay=ReplayState.of(128, esn=True)), OUT)) == []


@pytest.mark.parametrize(
    ("oseq", "severities"),
    [(0xC0000000, []), (0xE0000000, ["warning"]), (0xFFFFFFF0, ["error"])],
)
def test_gcm_near_its_end(oseq: int, severities: list[str]) -> None:
    used = replace(OUT, replay=ReplayState(32, oseq=oseq))
    assert [one.severity.value for one in found((IN, used))] == severities


def test_cbc_near_its_end_is_not_gcm() -> None:
    algorithms = (Algorithm.aes_cbc(KEY[:16]), Algorithm.hmac_sha256(bytes(range(1, 33))))
    used = replace(OUT, replay=ReplayState(32, oseq=0xFFFFFFF0), algorithms=algorithms)
    assert found((IN, used)) == []


def test_numbers_that_may_wrap_under_gcm() -> None:
    wrapping = replace(OUT, extra_flags=ExtraFlag.OSEQ_MAY_WRAP)
    assert named(found((IN, wrapping))) == [("counter-wrap", "error")]


def test_time_limits_that_are_over_at_once() -> None:
    policy = replace(POLICIES[0], limits=Limits(hard_add=(1 << 64) - 2))
    limited = replace(OUT, limits=Limits(soft_use=1 << 63))
    findings = found((IN, limited), (policy, *POLICIES[1:]))
    assert named(findings) == [("limit-at-once", "error"), ("limit-at-once", "warning")]
    assert "hard_add" in findings[0].reason
    assert found((IN, replace(OUT, limits=Limits(hard_add=3600)))) == []


def test_no_bytes_allowed() -> None:
    (one,) = found((IN, replace(OUT, limits=Limits(hard_bytes=0))))
    assert "hard_bytes is 0" in one.reason


def test_keys_that_cannot_be_read() -> None:
    dark = replace(OUT, algorithms=(Algorithm.aes_gcm(bytes(20)),))
    sas, policies = dumps((IN, dark))
    assert named(examine(Facts(sas, policies))) == [("unreadable-keys", "warning")]
    locked = examine(Facts(sas, policies, lockdown="confidentiality"))
    assert named(locked) == [("unreadable-keys", "note")]


def test_an_sa_without_keys_yet_is_left_alone() -> None:
    with Xfrm.engine(Engine(LINUX_7_2)) as xfrm:
        xfrm.allocate_spi(SaId(THERE, Proto.ESP), HERE, Mode.TUNNEL)
        assert examine(Facts(list(xfrm.sas()))) == []


def test_an_ike_daemon_and_a_watcher() -> None:
    sas, policies = dumps()
    sockets = [Socket(41, 0x1, 9, "charon"), Socket(42, 0x2, 9, "other"), Socket(43, 0x3, 9, "ip")]
    findings = examine(Facts(sas, policies, sockets=sockets))
    assert [one.subject for one in findings] == ["netlink port 41 (charon)"]
    assert findings[0].severity is Severity.NOTE


def test_no_finding_shows_a_key() -> None:
    told = repr(found((replace(IN, replay=ReplayState.off()),), POLICIES[:2]))
    assert KEY.hex() not in told
    assert KEY.hex()[:8] not in told


NETLINK = """\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000032df2498 0   0          00000000 0        0        0     2        0        4
00000000616d0aea 6   0          00000000 0        0        0     2        0        3602
00000000616d0aeb 6   1234       00000003 0        0        0     2        0        3603
00000000616d0aec 6   4294963199 00000001 0        0        0     2        0        3604
"""


def test_sockets_of_others() -> None:
    assert parse_netlink(NETLINK, (1234,)) == [Socket(4294963199, 1, 3604)]


def test_what_is_no_list_of_sockets() -> None:
    with pytest.raises(UsageError, match="/proc/net/netlink:2: "):
        parse_netlink("sk Eth\nnonsense")
