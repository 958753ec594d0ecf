"""Whatever bytes come in on a port, only answers come out; and what is refused has changed nothing."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxfrm.abi import messages as m
from pyxfrm.abi.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyxfrm.abi.profiles import PROFILES
from pyxfrm.engine import Engine, Port
from pyxfrm.lab.generator import Generator
from pyxfrm.wire import messages
from pyxfrm.wire.netlink import frames, leftover
from tests.engine.helpers import ALL_GROUPS, NOW

profiles = st.sampled_from(sorted(PROFILES))

# Refusals that leave something behind, because they do on Linux: ALLOCSPI its larval SA, MIGRATE what it had done before the entry that failed.
LEAVES_SOMETHING = {m.XFRM_MSG_ALLOCSPI, m.XFRM_MSG_MIGRATE}


def engine_of(profile: str) -> tuple[Engine, Port]:
    engine = Engine(PROFILES[profile])
    engine.port(2, ALL_GROUPS)
    return engine, engine.port(1, ext_ack=True)


def feed(engine: Engine, port: Port, data: bytes) -> list[messages.Message]:
    """Everything that came out, each of it whole messages of known kinds."""
    out = []
    for datagram in engine.handle(data, port, NOW):
        assert leftover(datagram) == b""
        for start, end in frames(datagram):
            out.append(messages.decode(datagram, start, end))
    for message in out:
        assert message.header.nlmsg_type in {NLMSG_ERROR, NLMSG_DONE, *m.MESSAGES}
        assert not message.rest
    return out


def everything(engine: Engine) -> bytes:
    """All SAs and policies, as a dump shows them."""
    port = engine.port(999)
    asked = b""
    for kind in (m.XFRM_MSG_GETSA, m.XFRM_MSG_GETPOLICY):
        request = struct.pack("=IHHII", 16, kind, NLM_F_REQUEST | NLM_F_DUMP, 0, 0)
        asked += b"".join(engine.handle(request, port, NOW))
    engine.close(port)
    return asked


@given(data=st.binary(max_size=400), profile=profiles)
def test_any_bytes(data: bytes, profile: str) -> None:
    engine, port = engine_of(profile)
    feed(engine, port, data)


@given(
    kind=st.integers(0, 0x40),
    flags=st.integers(0, 0xFFFF),
    body=st.binary(max_size=500),
    profile=profiles,
)
def test_any_message_with_an_honest_length(
    kind: int, flags: int, body: bytes, profile: str
) -> None:
    engine, port = engine_of(profile)
    header = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 1)
    feed(engine, port, header + body)


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32), profile=profiles)
def test_sequences_that_meet_what_earlier_ones_made(seed: int, profile: str) -> None:
    engine, port = engine_of(profile)
    generator = Generator(seed)
    for _ in range(40):
        data = generator.message()
        before = everything(engine)
        out = feed(engine, port, data)
        refused = [one for one in out if one.header.nlmsg_type == NLMSG_ERROR and one.body.error]
        if refused and struct.unpack_from("=H", data, 4)[0] not in LEAVES_SOMETHING:
            assert everything(engine) == before
