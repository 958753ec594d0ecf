"""Numbers with their meaning beside them; addresses only where their family is said."""

from __future__ import annotations

import pytest

from pyxfrm.abi import messages as m
from pyxfrm.abi.structs import Id, UserMapping, UserMigrateState, UserSaId, UserSaInfo
from pyxfrm.wire.describe import describe, lines, summary
from pyxfrm.wire.messages import build, decode
from pyxfrm.wire.names import error_text, plain_address
from tests.wire import bytes_of

V4 = bytes((192, 0, 2, 1)) + bytes(12)
V6 = bytes.fromhex("20010db8" + "00" * 11 + "01")


def of_an_sa(family: int, mode: int = 0) -> dict[str, str]:
    blank: UserSaInfo = decode(bytes_of.blank(m.XFRM_MSG_NEWSA)).body
    address = V6 if family == 10 else V4
    ident = Id(address, 0x100, 50, b"\0\0\0")
    body = blank._replace(id=ident, saddr=address, family=family, mode=mode)
    return dict(lines(build(m.XFRM_MSG_NEWSA, 0x605, body, []).encode()))


@pytest.mark.parametrize(
    ("family", "told", "address"),
    [(2, "2 inet", "192.0.2.1"), (10, "10 inet6", "2001:db8::1"), (7, "7", V4.hex())],
)
def test_an_address_is_of_the_family_that_is_said(family: int, told: str, address: str) -> None:
    found = of_an_sa(family)
    assert found["xfrm_usersa_info.family"] == told
    assert found["xfrm_usersa_info.saddr"] == found["xfrm_usersa_info.id.daddr"] == address
    assert found["xfrm_usersa_info.sel.daddr"] == "0" * 32  # a selector has a family of its own: 0


def test_numbers_have_names() -> None:
    found = of_an_sa(2, mode=1)
    assert found["header.nlmsg_type"] == "16 XFRM_MSG_NEWSA"
    assert found["header.nlmsg_flags"] == "0x605 REQUEST ACK EXCL CREATE"
    assert found["xfrm_usersa_info.id.spi"] == "0x00000100"
    assert found["xfrm_usersa_info.id.proto"] == "50 esp"
    assert found["xfrm_usersa_info.mode"] == "1 tunnel"
    assert of_an_sa(2, mode=77)["xfrm_usersa_info.mode"] == "77"


def test_old_and_new_have_families_of_their_own() -> None:
    blank: UserMigrateState = decode(bytes_of.blank(m.XFRM_MSG_MIGRATE_STATE)).body
    body = blank._replace(
        id=UserSaId(V4, 1, 2, 50, b"\0"), new_daddr=V6, new_saddr=V6, new_family=10
    )
    found = dict(lines(build(m.XFRM_MSG_MIGRATE_STATE, 0, body, []).encode()))
    assert found["xfrm_user_migrate_state.id.daddr"] == "192.0.2.1"
    assert found["xfrm_user_migrate_state.new_daddr"] == "2001:db8::1"
    mapping: UserMapping = decode(bytes_of.blank(m.XFRM_MSG_MAPPING)).body
    seen = mapping._replace(id=UserSaId(V4, 1, 2, 50, b"\0"), new_saddr=V4)
    text = describe(build(m.XFRM_MSG_MAPPING, 0, seen, []).encode())
    assert "xfrm_user_mapping.new_saddr = 192.0.2.1" in text


def test_errors_have_names() -> None:
    assert error_text(0) == "0"
    assert error_text(-22) == "-22 EINVAL"
    assert error_text(-4000) == "-4000"
    assert error_text(-95) == "-95 EOPNOTSUPP"  # Python has another name for it, too
    assert plain_address(V6, 2) is None  # 12 bytes too many for an IPv4 address
    refusal = bytes.fromhex(
        "24000000 02000000 0700000000000000 eaffffff 10000000 1c000500 0700000000000000"
    )
    assert summary(refusal) == "NLMSG_ERROR -22 EINVAL to XFRM_MSG_FLUSHSA"
