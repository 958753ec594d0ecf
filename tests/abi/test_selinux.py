"""How SELinux classes messages: every message once, and what must not be taken for a read."""

from pyxfrm.abi import messages as m
from pyxfrm.abi.selinux import READS, WRITES


def test_every_message_is_classed_once() -> None:
    assert set(m.MESSAGES) == READS | WRITES
    assert not READS & WRITES


def test_names_tell_but_for_what_only_the_kernel_sends() -> None:
    gets = {number for number, row in m.MESSAGES.items() if "_GET" in row.name}
    assert gets <= READS
    assert READS - gets == {m.XFRM_MSG_REPORT, m.XFRM_MSG_MAPPING, m.XFRM_MSG_NEWSADINFO}


def test_moving_an_sa_is_a_write() -> None:
    assert {m.XFRM_MSG_MIGRATE, m.XFRM_MSG_MIGRATE_STATE} <= WRITES
