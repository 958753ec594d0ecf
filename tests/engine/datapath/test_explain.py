"""An explanation foretells the verdict, in every case that the kernel was asked about, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pyxfrm.abi.xfrm import XFRM_POLICY_IN, XFRM_POLICY_OUT
from pyxfrm.engine.datapath import Action
from tests.engine.datapath.cases import CASES
from tests.engine.datapath.lane import DEVICE, INSIDE, EngineLane
from tests.engine.datapath.support import IN, OUT, Host, packet4, pair, tmpl, udp
from tests.engine.datapath.test_conformance import recorded
from tests.engine.helpers import v4


@dataclass
class _Foretold:
    right: int = 0


class ForetellingLane(EngineLane):
    """Asks for an explanation before each packet."""

    def __init__(self) -> None:
        super().__init__()
        self.foretold = _Foretold()

    def _compare(
        self, packet: bytes, direction: int, oif: int, mark: int
    ) -> tuple[Action, tuple[str, ...]]:
        before = dict(self.datapath.stat)
        told = self.datapath.explain(packet, direction, mark=mark, oif=oif)
        assert self.datapath.stat == before
        assert str(told)
        return told.action, told.counters

    def _transmit(
        self, data: bytes, daddr: bytes, sport: int, dport: int, mark: int, whole: bool
    ) -> int:
        packet = packet4(INSIDE, daddr, udp(sport, dport, data))
        told = self._compare(packet, XFRM_POLICY_OUT, DEVICE, mark)
        errno = super()._transmit(data, daddr, sport, dport, mark, whole)
        self._check(told)
        return errno

    def _arrive(self, datagram: bytes) -> None:
        told = self._compare(datagram, XFRM_POLICY_IN, 0, 0)
        super()._arrive(datagram)
        self._check(told)

    def _check(self, told: tuple[Action, tuple[str, ...]]) -> None:
        verdict = self._verdicts[-1]
        assert told == (verdict.action, verdict.counters), verdict.why
        self.foretold.right += 1


@pytest.mark.parametrize("name", sorted(CASES))
def test_foretold(name: str) -> None:
    lane = ForetellingLane()
    CASES[name](lane)
    assert lane.notes == recorded("7.2")[name], "explaining left a trace"
    assert lane.foretold.right


def test_what_it_says() -> None:
    one, two = pair()
    text = str(one.datapath.explain(packet4()))
    assert "10.0.1.1 -> 10.0.2.1 proto 17 ports 1000 -> 2000" in text
    assert "it decides: lets pass, 1 templates" in text
    assert text.endswith("protected")
    one.policy(OUT, tmpl(reqid=8))
    text = str(one.datapath.explain(packet4()))
    assert "reqid is 7" in text
    assert text.endswith("counts XfrmOutNoStates")
    two.policy(IN, action=1, priority=1)
    assert "XfrmInPolBlock" in str(two.datapath.explain(one_packet(one), XFRM_POLICY_IN))


def one_packet(one: Host) -> bytes:
    one.policy(OUT, tmpl())
    return one.out(packet4()).packet


def test_no_key_in_it() -> None:
    one, _ = pair()
    text = str(one.datapath.explain(packet4(v4(1), v4(2))))
    assert bytes(range(8)).hex() not in text
